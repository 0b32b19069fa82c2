"""A short digest of model weights, fast enough to compute at every start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from oneword.errors import ModelError

_BLOCK = 4096
_BLOCKS_A_FILE = 4096  # spread evenly over a file that is not safetensors


def weights_digest(files: Iterable[Path]) -> str:
    """Twelve hex digits that differ between different weights, whatever the files' names, folder and sharding.

    Of every tensor of a safetensors file: name, dtype, shape and the bytes at its start, middle and end; of any
    other file: its size and 16 MiB of blocks spread over it. A model fine-tuned anywhere changes one of them.

    Raises:
        ModelError: a file that is not what its ending says.
    """
    parts: list[bytes] = []
    for path in files:
        parts.extend(_safetensors_parts(path) if path.suffix == ".safetensors" else [_file_part(path)])
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()[:12]


def _safetensors_parts(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        size = path.stat().st_size
        header_bytes = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(header_bytes) if header_bytes <= size else b"")
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or not all(isinstance(tensor, dict) for tensor in header.values()):
            raise ModelError(f"{path} is broken or truncated: it has no safetensors header; fetch it again")
        data_start = 8 + header_bytes
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            start, end = tensor["data_offsets"]
            if data_start + end > size:
                raise ModelError(f"{path} is truncated: tensor '{name}' ends past the end of the file; fetch it again")
            part = hashlib.sha256(f"{name} {tensor['dtype']} {tensor['shape']}".encode())
            for position in (start, (start + end) // 2, max(start, end - _BLOCK)):
                file.seek(data_start + position)
                part.update(file.read(min(_BLOCK, end - position)))
            yield part.digest()


def _file_part(path: Path) -> bytes:
    size = path.stat().st_size
    part = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for position in range(0, size, max(_BLOCK, size // _BLOCKS_A_FILE)):
            file.seek(position)
            part.update(file.read(_BLOCK))
    return part.digest()
