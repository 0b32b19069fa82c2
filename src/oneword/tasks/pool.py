"""A pool: unlabeled texts, unrelated to any task, on which models are known by their answers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oneword.errors import InputError, nearest_names
from oneword.evaluation.results import digest_of
from oneword.io.formats import INPUT_ENDINGS
from oneword.text import text_problem

if TYPE_CHECKING:
    from oneword.tasks.dataset import Dataset

_ROWS = 4096  # read at a time
_PAIR = "text_pair"


@dataclass(frozen=True)
class Pool:
    """Unlabeled texts.

    Args:
        name: what messages and vectors call it.
        texts: the texts.
        text_pairs: the second text of each; None for single texts.
        sources: where each text comes from, as a dataset's name or a style; empty where nobody said.
        known_pairs: of single texts, those second texts that some of them have, None for the others; :meth:`paired`
            takes them.

    Raises:
        InputError: no texts, or some that cannot be used.
    """

    name: str
    texts: tuple[str, ...]
    text_pairs: tuple[str, ...] | None = None
    sources: tuple[str, ...] = ()
    known_pairs: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        for field in ("texts", "text_pairs", "sources", "known_pairs"):
            value = getattr(self, field)
            object.__setattr__(self, field, tuple(value) if value or field != "text_pairs" else None)
        if not self.texts:
            raise InputError(f"{self.name} has no texts; a pool needs some")
        for what, column in (("text pairs", self.text_pairs), ("sources", self.sources), ("pairs", self.known_pairs)):
            if column and len(column) != len(self.texts):
                raise InputError(f"{self.name} has {len(self.texts):,} texts, but {len(column):,} {what}")
        for column in (self.texts, self.text_pairs or ()):
            for row, text in enumerate(column, 1):
                if problem := text_problem(text):
                    raise InputError(f"{self.name}, row {row} {problem}; leave it out or replace it")

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def default(cls) -> Pool:
        """The pool that comes with oneword: English texts written for it; their styles are the sources."""
        return _shipped()

    @classmethod
    def of(cls, texts: Pool | str | Path | Iterable[str] | None = None) -> Pool:
        """A pool of whatever holds texts: a pool, the path of a file or folder, or texts; None is the shipped one.

        Raises:
            InputError: as :meth:`from_path`, or for texts as the class.
        """
        if texts is None:
            return cls.default()
        if isinstance(texts, Pool):
            return texts
        if isinstance(texts, (str, Path)):
            return cls.from_path(texts)
        return cls("texts", tuple(texts))

    @classmethod
    def from_path(cls, path: str | Path, *, text: str = "text", text_pair: str | None = None) -> Pool:
        """Read a txt, csv, tsv, jsonl or parquet file, or all such files of a folder.

        Args:
            path: the file or folder.
            text: column of the texts.
            text_pair: column of the second texts; None takes ``text_pair`` where it is there. Where some rows have
                none, the pool is one of single texts, and :meth:`paired` takes those that there are.

        Raises:
            InputError: no such file, a folder without one, no such column, no texts, or one that cannot be used: with
                file and row.
        """
        path = Path(path)
        found = [read_texts(one, text, text_pair) for one in _files(path)]
        pairs = [pair for one in found for pair in one.text_pairs]
        whole = all(pair is not None for pair in pairs)
        single = all(pair is None for pair in pairs)
        return cls(
            path.stem if path.is_file() else path.name or str(path),
            tuple(line for one in found for line in one.checked()),
            text_pairs=tuple(pairs) if pairs and whole else None,
            sources=tuple(source for one in found for source in one.sources),
            known_pairs=() if whole or single else tuple(pairs),
        )

    @functools.cached_property
    def digest(self) -> str:
        """Twelve hex digits of all texts and pairs."""
        return digest_of(self.texts, self.text_pairs, *([self.known_pairs] if self.known_pairs else []))

    def sample(self, count: int, seed: int = 0) -> Pool:
        """At most so many texts, drawn at random, in their order."""
        if len(self) <= count:
            return self
        rows = np.random.default_rng(seed).permutation(len(self))[:count]
        return self.rows(sorted(rows.tolist()))

    def rows(self, rows: Sequence[int]) -> Pool:
        """The texts at these indices.

        Raises:
            InputError: none.
        """
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            text_pairs=self.text_pairs and tuple(self.text_pairs[row] for row in rows),
            sources=self.sources and tuple(self.sources[row] for row in rows),
            known_pairs=self.known_pairs and tuple(self.known_pairs[row] for row in rows),
        )

    def paired(self, seed: int = 0) -> Pool:
        """Single texts as pairs, for predictors that take two; pairs as they are.

        By turns, a text is paired with some other text of the pool, and with a part of itself: half of its words,
        beginning anywhere. Two texts drawn at random are hardly ever related, so that a model of entailment or of
        paraphrase would give one answer to all random pairs, and there would be nothing to tell it by. Second texts
        that are known are kept.

        Args:
            seed: of the draws.

        Raises:
            InputError: a single text, for which there is no other.
        """
        if self.text_pairs is not None:
            return self
        if len(self) < 2:
            raise InputError(f"{self.name} has one text; pairs of texts need at least two")
        generator = np.random.default_rng(seed)
        others = (np.arange(len(self)) + generator.integers(1, len(self), len(self))) % len(self)
        known = self.known_pairs or (None,) * len(self)
        pairs = []
        for row, (text, other, pair) in enumerate(zip(self.texts, others.tolist(), known)):
            part = _part(text, generator)
            pairs.append(pair or (part if row % 2 else self.texts[other]))
        return replace(self, text_pairs=tuple(pairs), known_pairs=())

    def without(self, texts: Iterable[str]) -> Pool:
        """The pool without near duplicates of these texts, among first and second texts.

        Raises:
            InputError: nothing is left.
        """
        left_out = self._like(list(texts))
        kept = [row for row in range(len(self)) if row not in left_out]
        if not kept:
            raise InputError(f"{self.name}: every text is to be left out; none is left")
        return self.rows(kept) if left_out else self

    def check_apart(self, dataset: Dataset) -> None:
        """Refuse a pool that has texts of a dataset, or near duplicates of some.

        Raises:
            InputError: with how many, and the first.
        """
        like = self._like([*dataset.texts, *(dataset.text_pairs or ())])
        if like:
            first = self.texts[min(like)]
            shown = first if len(first) <= 60 else f"{first[:57]}..."
            raise InputError(
                f"{len(like):,} of {len(self):,} texts of the pool {self.name} are in {dataset.name} too, or nearly "
                f"so; the first is '{shown}'. Make a pool without them: oneword tasks pool --without FILE"
            )

    def _like(self, texts: Sequence[str]) -> set[int]:
        """The rows that have near duplicates of these texts."""
        from oneword.tasks.near_duplicates import among

        pairs = self.text_pairs or self.known_pairs
        rows = [*range(len(self)), *(row for row, pair in enumerate(pairs) if pair)]
        return {rows[place] for place in among([*self.texts, *filter(None, pairs)], texts)}


@dataclass(frozen=True)
class ReadTexts:
    """What a file of texts holds, unchecked.

    Args:
        path: the file.
        texts: its texts.
        text_pairs: the second text of each, None where there is none.
        sources: where each comes from: the column ``source`` or ``style``, or the file's name.
    """

    path: Path
    texts: list[Any]
    text_pairs: list[Any]
    sources: list[str]

    def checked(self) -> list[str]:
        """The texts.

        Raises:
            InputError: one that cannot be used, or a second one: file and row.
        """
        for row, (text, pair) in enumerate(zip(self.texts, self.text_pairs), 1):
            problem = text_problem(text) or (pair is not None and text_problem(pair))
            if problem:
                raise InputError(f"{self.path}, row {row} {problem}; leave it out or replace it")
        return self.texts


def read_texts(path: Path, text: str = "text", text_pair: str | None = None) -> ReadTexts:
    """Read a file of texts that have no labels, or whose labels nobody shall see.

    Args:
        path: a txt, csv, tsv, jsonl or parquet file.
        text: column of the texts.
        text_pair: column of the second texts; None takes ``text_pair`` where it is there. An empty one is none.

    Raises:
        InputError: no such file or column, or no row.
    """
    from oneword.io.texts import open_texts

    with open_texts(str(path)) as file:
        for column in (text, text_pair):
            if column is not None and file.columns and column not in file.columns:
                raise InputError(f"{file.name} has no column '{column}' ({nearest_names(column, file.columns)})")
        label = next((name for name in ("source", "style") if name in file.columns), None)
        pair = text_pair or (_PAIR if _PAIR in file.columns else None)
        found = ReadTexts(path, [], [], [])
        for piece in file.pieces(text, _ROWS) if file.columns else ():
            count = len(piece.texts)
            columns = dict(zip(piece.table.column_names, piece.table.columns))
            pairs = columns[pair].to_pylist() if pair in columns else [None] * count
            sources = columns[label].to_pylist() if label in columns else [None] * count
            found.texts.extend(piece.texts)
            found.text_pairs.extend(None if one == "" else one for one in pairs)
            found.sources.extend(path.stem if one is None else str(one) for one in sources)
    if not found.texts:
        raise InputError(f"{path} holds no texts")
    return found


@functools.cache
def _shipped() -> Pool:
    with as_file(files("oneword") / "pool.jsonl") as path:
        return replace(Pool.from_path(path), name="default")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in INPUT_ENDINGS)
    if not found:
        raise InputError(f"{path} holds no file of texts ({', '.join(INPUT_ENDINGS)})")
    return found


def _part(text: str, generator: np.random.Generator) -> str:
    """Half of a text's words, in their order; a single word whole."""
    words = text.split()
    count = (len(words) + 1) // 2
    start = int(generator.integers(0, len(words) - count + 1))
    return " ".join(words[start : start + count])
