"""Where oneword keeps what it fetches and converts."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """``$ONEWORD_CACHE``, or the operating system's cache folder for oneword; made when first written to."""
    chosen = os.environ.get("ONEWORD_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("oneword", appauthor=False))


def folder_size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
