"""A digest of model weights, computed once for each file and remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oneword.digest import file_sha256
from oneword.errors import ModelError
from oneword.models.cache import cache_folder

_BLOCK = 1 << 20


def weights_digest(files: Iterable[Path]) -> str:
    """Twelve hex digits that differ between different weights, whatever the files' names, folder and sharding.

    They are made of every tensor of a safetensors file (name, dtype, shape and bytes), and of any other file whole.

    Raises:
        ModelError: a safetensors file that is broken or truncated.
    """
    parts = [part for path in files for part in _remembered_parts(path)]
    return digest_of_parts(parts)


def digest_of_parts(parts: Iterable[str]) -> str:
    """The digest of files whose parts (SHA-256 in hex) are known."""
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:12]


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: of each tensor its dtype, shape and place.

    Raises:
        ModelError: it has none, or its tensors end past the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(header_bytes) if header_bytes <= size else b"")
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict) or not all(isinstance(tensor, dict) for tensor in header.values()):
        raise ModelError(f"{path} is broken or truncated: it has no safetensors header; fetch it again")
    header.pop("__metadata__", None)
    for name, tensor in header.items():
        tensor["data_offsets"] = [8 + header_bytes + offset for offset in tensor["data_offsets"]]
        if tensor["data_offsets"][1] > size:
            raise ModelError(f"{path} is truncated: tensor '{name}' ends past the end of the file; fetch it again")
    return header


def _remembered_parts(path: Path) -> list[str]:
    """The file's parts; hashing all bytes takes a second a gigabyte, so they are kept until the file changes."""
    header = read_header(path) if path.suffix == ".safetensors" else None
    state = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()
    note = cache_folder() / "digests" / f"{key[:32]}.txt"
    if note.is_file():
        return note.read_text(encoding="ascii").split()
    parts = [file_sha256(path)] if header is None else list(_tensor_parts(path, header))
    note.parent.mkdir(parents=True, exist_ok=True)
    unfinished = note.with_suffix(".unfinished")
    unfinished.write_text("\n".join(parts), encoding="ascii")
    unfinished.replace(note)
    return parts


def _tensor_parts(path: Path, header: dict[str, Any]) -> Iterable[str]:
    with path.open("rb") as file:
        for name, tensor in header.items():
            part = hashlib.sha256(f"{name} {tensor['dtype']} {tensor['shape']}".encode())
            start, end = tensor["data_offsets"]
            file.seek(start)
            while start < end:
                block = file.read(min(_BLOCK, end - start))
                part.update(block)
                start += len(block)
            yield part.hexdigest()
