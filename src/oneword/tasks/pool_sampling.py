"""A pool sampled from datasets: some texts of each, without evaluation sets and near duplicates, and what went in."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oneword.errors import InputError, OutputError, nearest_names
from oneword.tasks.near_duplicates import THRESHOLD, OnText, among, repeated
from oneword.tasks.pool import Pool
from oneword.tasks.pool_sources import Drawn, Row, Source, UnreachableError
from oneword.whole_file import write_whole

_SHOWN = 5  # reasons that a message names


@dataclass(frozen=True)
class Without:
    """What shall not be in a pool.

    Args:
        names: datasets that are left out whole.
        texts: texts whose near duplicates are left out.
        facts: of each thing that was named, what it was, for the record.
    """

    names: frozenset[str] = frozenset()
    texts: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceRecord:
    """What became of one dataset's texts.

    Args:
        name: the dataset's.
        taken: how many are in the pool.
        near_duplicates: how many were left out since they are in the pool already, or nearly so.
        evaluation_texts: how many were left out since they are among the texts to be left out, or nearly so.
        unusable: how many rows were met that have no usable text.
        left_out: why it was left out whole; empty where it was not.
        failed: whether that is because it cannot be read.
        facts: where it lies, and its digest or revision.
    """

    name: str
    taken: int = 0
    near_duplicates: int = 0
    evaluation_texts: int = 0
    unusable: int = 0
    left_out: str = ""
    failed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """Rows that were drawn, by dataset, before near duplicates are left out.

    Args:
        drawn: the rows, or why there are none.
        without: what shall not be in the pool.
    """

    drawn: Mapping[str, Drawn | SourceRecord]
    without: Without


@dataclass(frozen=True)
class SampledPool:
    """A pool, and what went in.

    Args:
        pool: the texts.
        records: of each dataset, in their order.
        without: what was left out by request, for the record.
    """

    pool: Pool
    records: Sequence[SourceRecord]
    without: Mapping[str, Any]


def find_without(asked: Sequence[str], sources: Sequence[Source]) -> Without:
    """What users name to be left out.

    Args:
        asked: names of datasets, or of what several of them are parts of, in any case; or paths of files or folders. A
            dataset that lies here is left out with all near duplicates of its texts, which other datasets can hold.
        sources: the datasets.

    Raises:
        InputError: neither a dataset nor a path, or a file that cannot be read.
    """
    names: set[str] = set()
    texts: list[str] = []
    facts: dict[str, Any] = {}
    for one in asked:
        found = [source for source in sources if one.casefold() in (source.name.casefold(), source.dataset.casefold())]
        if found:
            names |= {source.name for source in found}
            facts[one] = {"datasets": [source.name for source in found]}
            for source in found:
                if source.is_local:
                    texts += _all_texts(source.draw(None, np.random.default_rng()).rows)
        elif Path(one).exists():
            pool = Pool.from_path(one)
            texts += [*pool.texts, *(pool.text_pairs or ()), *filter(None, pool.known_pairs)]
            facts[one] = {"texts": len(pool), "digest": pool.digest}
        else:
            known = {source.name for source in sources} | {source.dataset for source in sources if source.dataset}
            raise InputError(f"--without {one}: neither a dataset ({nearest_names(one, known)}) nor a file")
    return Without(frozenset(names), texts, facts)


def draw_sample(
    sources: Sequence[Source],
    per_dataset: int = 100,
    seed: int = 0,
    without: Without | None = None,
    on_source: Callable[[str], object] = lambda name: None,
) -> Sample:
    """Draw texts from datasets.

    What is drawn from one depends on the seed and its name alone, not on what else there is.

    Args:
        sources: the datasets; those that cannot be read are left out, with the reason.
        per_dataset: how many texts of each at most.
        seed: of the draws.
        without: what is left out.
        on_source: told the name of each dataset that is done.

    Raises:
        InputError: none can be read, or the first that is looked for on the Hub shows that it cannot be reached.
    """
    without = without or Without()
    drawn: dict[str, Drawn | SourceRecord] = {}
    fetched = False
    for source in sources:
        if source.name in without.names:
            drawn[source.name] = SourceRecord(source.name, left_out="by request")
        else:
            generator = np.random.default_rng([seed, zlib.crc32(source.name.encode())])
            try:
                drawn[source.name] = source.draw(per_dataset, generator)
                fetched = fetched or not source.is_local
            except UnreachableError as error:
                if not fetched:  # each of the others would fail the same way, after a while
                    raise InputError(f"{source.name} {error}; give folders that lie here by --data") from None
                drawn[source.name] = SourceRecord(source.name, left_out=str(error), failed=True)
            except InputError as error:
                drawn[source.name] = SourceRecord(source.name, left_out=str(error), failed=True)
        on_source(source.name)
    _check_some(drawn)
    return Sample(drawn, without)


def leave_out(sample: Sample, name: str = "sample", on_text: OnText = lambda done: None) -> SampledPool:
    """Make a pool of what was drawn, without near duplicates.

    Args:
        sample: the rows.
        name: of the pool.
        on_text: told how many more of the rows are done.

    Raises:
        InputError: nothing is left.
    """
    rows = [(source, row) for source, drawn in sample.drawn.items() if isinstance(drawn, Drawn) for row in drawn.rows]
    seconds = [place for place, (_, row) in enumerate(rows) if row.text_pair]
    compared = [*(row.text for _, row in rows), *(rows[place][1].text_pair or "" for place in seconds)]
    places = [*range(len(rows)), *seconds]
    evaluation = {places[one] for one in among(compared, sample.without.texts)}
    left = [place for place in range(len(rows)) if place not in evaluation]
    on_text(len(evaluation))
    again = {left[one] for one in repeated([_whole(rows[place][1]) for place in left], on_text)}
    kept = [rows[place] for place in left if place not in again]
    if not kept:
        raise InputError("no text is left: all that was drawn is to be left out; name more datasets")
    records = [
        drawn
        if isinstance(drawn, SourceRecord)
        else SourceRecord(
            source,
            taken=sum(one == source for one, _ in kept),
            near_duplicates=sum(rows[place][0] == source for place in again),
            evaluation_texts=sum(rows[place][0] == source for place in evaluation),
            unusable=drawn.unusable,
            facts=drawn.facts,
        )
        for source, drawn in sample.drawn.items()
    ]
    return SampledPool(_pool(name, kept), records, sample.without.facts)


def check_pool_file(path: Path, overwrite: bool = False) -> None:
    """Refuse a path that could not be written to, before any work is done.

    Raises:
        OutputError: another ending than .jsonl, no such folder, or a file that is there.
    """
    if path.suffix != ".jsonl":
        raise OutputError(f"{path} cannot be used for a pool: its name must end in .jsonl")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: permission denied")
    for one in (path, record_path(path)):
        if one.is_dir():
            raise OutputError(f"{one} cannot be written: it is a folder")
        if one.exists() and not overwrite:
            raise OutputError(f"{one} is there already; give another name, or --force to replace it")


def record_path(path: Path) -> Path:
    """Where the record of a pool file lies: beside it."""
    return path.with_suffix(".json")


def write_pool(path: Path, sampled: SampledPool, facts: Mapping[str, Any], overwrite: bool = False) -> None:
    """Write a pool as JSON lines, and what went in as JSON beside it; both are there when both are whole.

    Args:
        path: the file, .jsonl.
        sampled: the pool and the records of its datasets.
        facts: what else shall be recorded: seed, command, versions ...
        overwrite: replace files that are there.

    Raises:
        OutputError: see :func:`check_pool_file`.
    """
    check_pool_file(path, overwrite)
    pool = sampled.pool
    pairs = pool.text_pairs or pool.known_pairs or (None,) * len(pool)
    rows = [
        {"text": text, **({"text_pair": pair} if pair else {}), "source": source}
        for text, pair, source in zip(pool.texts, pairs, pool.sources)
    ]
    record = {
        "texts": len(pool),
        "pairs": sum(pair is not None for pair in pairs),
        "digest": pool.digest,
        **facts,
        "near_duplicates": {"of": "five-character pieces", "jaccard": THRESHOLD},
        "without": sampled.without,
        "datasets": [asdict(one) for one in sampled.records],
    }
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(record_path(path), (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode())
    try:
        write_whole(path, lines.encode())
    except BaseException:
        record_path(path).unlink(missing_ok=True)
        raise


def _check_some(drawn: Mapping[str, Drawn | SourceRecord]) -> None:
    if any(isinstance(one, Drawn) and one.rows for one in drawn.values()):
        return
    failed = [one for one in drawn.values() if isinstance(one, SourceRecord) and one.failed]
    if not failed:
        raise InputError("nothing is left to draw from: every dataset is left out or has no usable text")
    reasons = "; ".join(f"{one.name} {one.left_out}" for one in failed[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN:,} more" if len(failed) > _SHOWN else ""
    raise InputError(f"no dataset can be read: {reasons}{more}; give others that lie here by --data")


def _all_texts(rows: Sequence[Row]) -> list[str]:
    return [text for row in rows for text in (row.text, row.text_pair) if text is not None]


def _whole(row: Row) -> str:
    """Both texts of a pair as one, since a pair of which one is new is new."""
    return row.text if row.text_pair is None else f"{row.text}\n{row.text_pair}"


def _pool(name: str, rows: Sequence[tuple[str, Row]]) -> Pool:
    pairs = [row.text_pair for _, row in rows]
    whole = [pair for pair in pairs if pair is not None]
    return Pool(
        name,
        tuple(row.text for _, row in rows),
        text_pairs=tuple(whole) if len(whole) == len(rows) else None,
        sources=tuple(source for source, _ in rows),
        known_pairs=tuple(pairs) if 0 < len(whole) < len(rows) else (),
    )
