"""Datasets that texts of a pool are drawn from: files and folders, the shipped pool, CrossFit's tasks on the Hub."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from oneword.digest import file_sha256
from oneword.errors import InputError
from oneword.extras import check_extra
from oneword.io.formats import INPUT_ENDINGS
from oneword.tasks.pool import Pool, read_texts
from oneword.text import text_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Folders in layouts of their own, which can hold files that look like files of texts
_SENTEVAL = {"CR", "MPQA", "MR", "MRPC", "SICK", "SST", "STS", "SUBJ", "TREC"}
_PARTS = ("train", "validation", "dev", "test")  # of a dataset, by file name; the first that is there is read
_AHEAD = 10_000  # rows of a Hub dataset among which the next is drawn
_TRIES = 3  # rows of a Hub dataset that are read for every text wanted, since some can be unusable
_UNREACHED = {"ConnectionError", "ConnectError", "TimeoutException"}  # of whichever HTTP library the Hub's client uses


class UnreachableError(InputError):
    """The Hub cannot be reached."""


@dataclass(frozen=True)
class Row:
    """One text, or one pair."""

    text: str
    text_pair: str | None = None


@dataclass(frozen=True)
class Drawn:
    """Rows of one dataset.

    Args:
        rows: those that can be used.
        unusable: how many were met that cannot.
        facts: where they come from, for the record.
    """

    rows: Sequence[Row]
    unusable: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


# So many rows at random; None takes all, in their order
Draw: TypeAlias = Callable[[int | None, np.random.Generator], Drawn]


@dataclass(frozen=True)
class Source:
    """A dataset to draw from.

    Args:
        name: what it is called.
        draw: its rows.
        dataset: what it is a part of, by which it can be left out too.
        is_local: whether it lies here, so that all of it can be read.
    """

    name: str
    draw: Draw
    dataset: str = ""
    is_local: bool = True


def local_sources(path: Path) -> list[Source]:
    """The datasets of a folder and its sub-folders, or of a file.

    Files are txt, csv, tsv, jsonl or parquet, with the column ``text`` and maybe ``text_pair``. A folder with ``train``
    is one dataset, of which only that part is read; any other file is one by itself; and SentEval's folders are read as
    SentEval lays them out. Of a single file, each value of its column ``source`` is a dataset, so that a pool can be
    sampled again.

    Raises:
        InputError: no such file or folder, or nothing in it to read.
    """
    if path.is_file():
        return _of_pool(Pool.from_path(path), {"path": str(path), "sha256": file_sha256(path)})
    if not path.is_dir():
        raise InputError(f"no file or folder {path}; name one that holds texts")
    folders = [path, *sorted(one for one in path.rglob("*") if one.is_dir())]
    found: dict[str, Source] = {}
    for folder in folders:
        for name, file in _text_files(folder, folder.relative_to(path)).items():
            key = str(file.relative_to(path)) if name in found else name
            found[key] = Source(key, partial(_draw_from_file, file))
    if any(folder.name in _SENTEVAL for folder in folders):
        for name, draw in _senteval(path).items():
            found.setdefault(name, Source(name, draw))
    if not found:
        raise InputError(
            f"{path} holds no texts: neither a file of texts ({', '.join(INPUT_ENDINGS)}) nor SentEval's layout"
        )
    return [found[name] for name in sorted(found)]


def shipped_sources() -> list[Source]:
    """The styles of the pool that comes with oneword."""
    pool = Pool.default()
    return _of_pool(pool, {"pool": pool.name, "digest": pool.digest})


def crossfit_sources() -> list[Source]:
    """The tasks of CrossFit, which are fetched from the Hugging Face Hub when they are drawn from.

    Raises:
        InputError: the library that fetches them is not installed.
    """
    check_extra("tasks", "datasets", "datasets of the Hub")
    listed = files("oneword") / "tasks" / "data" / "crossfit.toml"
    tasks = tomllib.loads(listed.read_text(encoding="utf-8"))["tasks"]
    return [
        Source(name, partial(_draw_from_hub, **task), task["dataset"], is_local=False) for name, task in tasks.items()
    ]


def _text_files(folder: Path, place: Path) -> dict[str, Path]:
    """The files of texts in a folder, by the names of their datasets."""
    listed = sorted(one for one in folder.iterdir() if one.is_file() and one.suffix.lower() in INPUT_ENDINGS)
    parts = {one.stem.lower(): one for one in listed if one.stem.lower() in _PARTS}
    if _SENTEVAL.intersection(place.parts) and "train" not in parts:
        return {}
    found = {one.stem: one for one in listed if one not in parts.values()}
    if parts:
        found[folder.resolve().name] = next(parts[part] for part in _PARTS if part in parts)
    return found


def _of_pool(pool: Pool, facts: Mapping[str, Any]) -> list[Source]:
    """The sources that a pool names, each as one to draw from."""
    pairs = pool.text_pairs or pool.known_pairs or (None,) * len(pool)
    rows: dict[str, list[Row]] = {}
    for source, text, pair in zip(pool.sources, pool.texts, pairs):
        rows.setdefault(source, []).append(Row(text, pair))

    def draw(source: str, count: int | None, generator: np.random.Generator) -> Drawn:
        return _some(rows[source], count, generator, facts)

    return [Source(source, partial(draw, source)) for source in sorted(rows)]


def _draw_from_file(path: Path, count: int | None, generator: np.random.Generator) -> Drawn:
    read = read_texts(path)
    rows = [Row(*pair) for pair in zip(read.texts, read.text_pairs)]
    return _some(rows, count, generator, {"path": str(path), "sha256": file_sha256(path)})


def _senteval(path: Path) -> dict[str, Draw]:
    from oneword.tasks.collection import Split, read_collection

    def draw(read: Callable[[], Split], count: int | None, generator: np.random.Generator) -> Drawn:
        train = read().train
        rows = [Row(*pair) for pair in zip(train.texts, train.text_pairs or itertools.repeat(None))]
        return _some(rows, count, generator, {"path": str(path), "digest": train.digest})

    return {name: partial(draw, read) for name, read in read_collection(path).items()}


def _some(rows: Sequence[Row], count: int | None, generator: np.random.Generator, facts: Mapping[str, Any]) -> Drawn:
    order: Iterable[int] = range(len(rows)) if count is None else generator.permutation(len(rows)).tolist()
    return _usable((rows[place] for place in order), count, facts)


def _usable(rows: Iterable[Row], count: int | None, facts: Mapping[str, Any]) -> Drawn:
    """The first so many rows that can be used."""
    kept: list[Row] = []
    unusable = 0
    for row in rows:
        if count is not None and len(kept) == count:
            break
        if text_problem(row.text) or (row.text_pair is not None and text_problem(row.text_pair)):
            unusable += 1
        else:
            kept.append(row)
    return Drawn(kept, unusable, facts)


def _draw_from_hub(
    count: int | None,
    generator: np.random.Generator,
    *,
    dataset: str,
    text: str,
    text_pair: str | None = None,
    config: str | None = None,
    split: str = "train",
) -> Drawn:
    """Rows of a dataset on the Hub, drawn from the beginning of its files in a random order.

    All of it would be gigabytes for some; so what is sorted by label gives texts of its first labels.
    """
    import datasets
    from huggingface_hub import HfApi

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every retry
    try:
        place = HfApi().dataset_info(dataset)  # by the name that the dataset has now
        rows = _open_hub(datasets, place.id, place.sha, config, split)
        shuffled = rows.shuffle(seed=int(generator.integers(1 << 31)), buffer_size=_AHEAD)
        tried = None if count is None else _TRIES * count
        facts = {"hub": place.id, "revision": place.sha, "config": config, "split": split}
        facts["datasets"] = datasets.__version__
        return _usable((_hub_row(row, text, text_pair) for row in itertools.islice(shuffled, tried)), count, facts)
    except InputError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        unreached = _UNREACHED.intersection(kind.__name__ for kind in type(error).__mro__)
        raise (UnreachableError if unreached else InputError)(f"cannot be fetched from {dataset}: {reason}") from None


def _open_hub(datasets: Any, name: str, revision: str | None, config: str | None, split: str) -> Any:
    try:
        return datasets.load_dataset(name, config, revision=revision, split=split, streaming=True)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
    # A dataset that a script made is read as the Hub has converted it, where it has: a folder for each configuration
    return datasets.load_dataset(name, data_dir=config, revision="refs/convert/parquet", split=split, streaming=True)


def _hub_row(row: Mapping[str, Any], text: str, text_pair: str | None) -> Row:
    for column in (text, text_pair):
        if column is not None and column not in row:
            raise InputError(f"has no column '{column}', but {', '.join(row)}")
    return Row(_joined(row[text]), (_joined(row[text_pair]) or None) if text_pair else None)


def _joined(value: Any) -> Any:
    """A list of words or sentences as one text."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
