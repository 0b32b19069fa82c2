"""File formats by ending."""

from __future__ import annotations

import os
from pathlib import Path

from oneword.errors import InputError, OutputError

INPUT_ENDINGS = {
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
OUTPUT_ENDINGS = {".parquet": "parquet", ".npy": "npy", ".jsonl": "jsonl", ".ndjson": "jsonl"}
INPUT_FORMATS = tuple(dict.fromkeys(INPUT_ENDINGS.values()))


def names_input_file(argument: str) -> bool:
    """Whether an argument means a file of texts: ``-``, a path that is there, or one word with a known ending.

    A word that is also the name of a folder here is a text, unless it is written as a path.
    """
    # Not pathlib: it raises on a text that is too long for a path
    if argument == "-" or (os.path.exists(argument) and (os.sep in argument or not os.path.isdir(argument))):  # noqa: PTH110, PTH112
        return True
    return not any(map(str.isspace, argument)) and Path(argument).suffix.lower() in INPUT_ENDINGS


def input_format(path: Path) -> str:
    """The format of a file of texts.

    Raises:
        InputError: an ending that says no format.
    """
    try:
        return INPUT_ENDINGS[path.suffix.lower()]
    except KeyError:
        raise InputError(
            f"{path}: the ending '{path.suffix}' names no format ({', '.join(INPUT_ENDINGS)}); give --input-format"
        ) from None


def output_format(path: Path) -> str:
    """The format of a file of vectors.

    Raises:
        OutputError: an ending that says no format.
    """
    try:
        return OUTPUT_ENDINGS[path.suffix.lower()]
    except KeyError:
        raise OutputError(
            f"{path}: the ending '{path.suffix}' is none that vectors are written to ({', '.join(OUTPUT_ENDINGS)})"
        ) from None
