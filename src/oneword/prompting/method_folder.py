"""A method with its calibration's statistics as a folder, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from oneword.calibration.statistics import Statistics
from oneword.errors import OutputError
from oneword.method import METHOD_FILE, Method
from oneword.prompting.method_file import format_methods
from oneword.registry import presets

STATISTICS_FILE = "calibration.safetensors"


def check_method_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that could not be written or found again, before any work is done.

    Raises:
        OutputError: no place to put it, something is there already, or a published method's name, which is taken first.
    """
    if str(folder) in presets().methods:
        raise OutputError(f"{folder} is the name of a method that comes with oneword; give the folder another")
    if not folder.parent.is_dir():
        raise OutputError(f"{folder} cannot be written: there is no folder {folder.parent}; make it first")
    if not os.access(folder.parent, os.W_OK):
        raise OutputError(f"{folder} cannot be written: permission denied")
    if not folder.exists():
        return
    ours = folder.is_dir() and {one.name for one in folder.iterdir()} <= {METHOD_FILE, STATISTICS_FILE}
    if not ours:
        raise OutputError(f"{folder} is there already, and holds more than a method; give another name")
    if not overwrite:
        raise OutputError(f"{folder} is there already; give another name, or --force to replace it")


def write_method_folder(folder: Path, method: Method, statistics: Statistics | None, overwrite: bool = False) -> None:
    """Write a method and its calibration's statistics into a folder of their own.

    Args:
        folder: the folder.
        method: the method.
        statistics: of its calibration; None without one.
        overwrite: replace a method that is there.

    Raises:
        OutputError: see :func:`check_method_folder`.
    """
    check_method_folder(folder, overwrite)
    if method.calibration is not None and statistics is not None:
        kept = replace(method.calibration, texts=method.calibration.texts_digest, statistics=Path(STATISTICS_FILE))
        method = replace(method, calibration=kept)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    new, old = beside / "new", beside / "old"
    try:
        new.mkdir()
        (new / METHOD_FILE).write_text(format_methods([method]), encoding="utf-8")
        if statistics is not None:
            (new / STATISTICS_FILE).write_bytes(statistics.to_bytes())
        if folder.exists():
            folder.rename(old)  # of a link, the link
        new.rename(folder)
    except BaseException as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        if isinstance(error, OSError):
            raise OutputError(f"{folder} cannot be written: {error.strerror}") from None
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
