"""What comes with oneword besides its code: in the package, or beside its sources."""

from __future__ import annotations

import csv
from pathlib import Path

from oneword.errors import InputError

_PACKAGE = Path(__file__).resolve().parent
_SOURCES = _PACKAGE.parents[2]


def peers_folder() -> Path:
    """The scripts that contenders run."""
    return _first(_PACKAGE / "peers", _SOURCES / "benchmarks" / "peers")


def corpus() -> list[str]:
    """The sentences of the demo."""
    with _first(_PACKAGE / "corpus.csv", _SOURCES / "examples" / "corpus.csv").open(
        encoding="utf-8", newline=""
    ) as rows:
        return [row["text"] for row in csv.DictReader(rows)]


def _first(*places: Path) -> Path:
    for place in places:
        if place.exists():
            return place
    raise InputError(f"{places[0]} is missing; install oneword again")
