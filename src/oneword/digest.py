"""The digest of a file's content."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 1 << 16


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
