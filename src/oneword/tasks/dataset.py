"""A dataset: texts, or pairs of them, with labels, numbers or answer spans."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from oneword.errors import InputError, nearest_names
from oneword.evaluation.results import digest_of
from oneword.text import text_problem

Kind = Literal["classification", "regression", "span"]
KINDS: tuple[str, ...] = get_args(Kind)

_ROWS = 4096  # read at a time


class Span(NamedTuple):
    """An answer inside a context, in characters of it."""

    start: int
    end: int


@dataclass(frozen=True)
class Dataset:
    """Examples of one task.

    Args:
        name: what messages and vectors call it.
        texts: the texts; of pairs, the first ones; of extractive question answering, the questions.
        labels: of each text a class (``classification``), a number (``regression``), or a :class:`Span` of the second
            text (``span``).
        text_pairs: the second texts of pairs, or the contexts; None for tasks of single texts.
        kind: what the labels are.

    Raises:
        InputError: texts or labels that cannot be used; the first is named by its row.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[Any, ...]
    text_pairs: tuple[str, ...] | None = None
    kind: Kind = "classification"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"{self.name}: kind '{self.kind}' is not one of: {', '.join(KINDS)}")
        for field in ("texts", "labels", "text_pairs"):
            value = getattr(self, field)
            object.__setattr__(self, field, None if value is None else tuple(value))
        if not self.texts:
            raise InputError(f"{self.name} has no texts; a task needs some")
        for what, column in (("labels", self.labels), ("text pairs", self.text_pairs)):
            if column is not None and len(column) != len(self.texts):
                raise InputError(f"{self.name} has {len(self.texts):,} texts, but {len(column):,} {what}")
        for column in (self.texts, self.text_pairs or ()):
            for row, text in enumerate(column, 1):
                if problem := text_problem(text):
                    raise InputError(f"{self.name}, row {row} {problem}; leave it out or replace it")
        if self.kind == "span":
            self._check_spans()
        else:
            read = _number if self.kind == "regression" else _class
            labels = (read(label, f"{self.name}, row {row}") for row, label in enumerate(self.labels, 1))
            object.__setattr__(self, "labels", tuple(labels))

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        text: str = "text",
        label: str = "label",
        text_pair: str | None = None,
        kind: Kind | None = None,
        name: str | None = None,
        skip_unlabelled: bool = False,
    ) -> Dataset:
        """Read a csv, tsv, jsonl or parquet file.

        Args:
            path: the file.
            text: column of the texts; of questions.
            label: column of the classes, the numbers, or the answers: as in SQuAD ``{"text": [...], "answer_start":
                [...]}``, or the answer's wording, which is then found in the context.
            text_pair: column of the second texts; None takes ``text_pair`` where it is there.
            kind: what the labels are; None takes numbers with fractions as regression, anything else as classes.
            name: what messages call it; None takes the file's name, or its folder's for ``train`` and the like.
            skip_unlabelled: leave out rows without a label; they are refused otherwise.

        Raises:
            InputError: no such file or column, no row with a label, or as for :class:`Dataset`, with the row.
        """
        path = Path(path)
        columns = _read_columns(path, [text, label], text_pair)
        if skip_unlabelled:
            columns = _labelled(columns, label, path)
        texts, labels, pairs = columns[text], columns[label], columns.get(text_pair or "text_pair")
        kind = kind or _kind_of(labels)
        name = name or (path.parent.name if path.stem in ("train", "test", "dev", "validation") else path.stem)
        if kind == "span":
            if pairs is None:
                raise InputError(f"{path}: answers are spans of a context; name its column with text_pair")
            labels = [_span(answer, context, f"{path}, row {row}") for row, (answer, context) in _rows(labels, pairs)]
        return cls(name or str(path), tuple(texts), tuple(labels), None if pairs is None else tuple(pairs), kind)

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order in which they first appear, so that their names change nothing."""
        return tuple(dict.fromkeys(self.labels)) if self.kind == "classification" else ()

    @functools.cached_property
    def digest(self) -> str:
        """Twelve hex digits of all texts and labels."""
        return digest_of(self.kind, self.texts, self.text_pairs, self.labels)

    def sample(self, count: int, seed: int = 0, every_class: bool = True) -> Dataset:
        """At most so many examples, drawn without regard to their labels.

        Args:
            count: how many.
            seed: of the draw.
            every_class: keep two of every class, to learn from.

        Raises:
            InputError: fewer than two for each class.
        """
        if len(self) <= count:
            return self
        order = np.random.default_rng(seed).permutation(len(self)).tolist()
        if self.kind == "classification" and every_class:
            if count < 2 * len(self.classes):
                raise InputError(
                    f"{self.name} has {len(self.classes)} classes, of each of which two examples are needed; {count} "
                    "examples are too few"
                )
            order = list(dict.fromkeys([*self._two_of_each_class(order), *order]))
        return self.rows(sorted(order[:count]))

    def _two_of_each_class(self, order: Sequence[int]) -> Iterator[int]:
        """The first two rows of every class, in this order of the rows."""
        seen: Counter[str] = Counter()
        for row in order:
            seen[self.labels[row]] += 1
            if seen[self.labels[row]] <= 2:
                yield row

    def rows(self, rows: Sequence[int]) -> Dataset:
        """The examples at these indices."""
        pairs = self.text_pairs
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            text_pairs=None if pairs is None else tuple(pairs[row] for row in rows),
        )

    def relabelled(self, names: Mapping[str, str], drop: bool = False) -> Dataset:
        """The same texts with their classes called otherwise; two classes of one new name become one.

        Args:
            names: of each class its new name.
            drop: leave out texts of other classes; they are refused otherwise.

        Raises:
            InputError: a class without a new name, no text left, or a dataset without classes.
        """
        if self.kind != "classification":
            raise InputError(f"{self.name} has no classes to call otherwise: its kind is {self.kind}")
        lacking = [label for label in self.classes if label not in names]
        if len(lacking) == len(self.classes) or (lacking and not drop):
            raise InputError(
                f"{self.name}: the label '{lacking[0]}' has no new name; those that have one: {', '.join(names)}"
            )
        kept = self.rows([row for row, label in enumerate(self.labels) if label in names]) if lacking else self
        return replace(kept, labels=tuple(names[label] for label in kept.labels))

    def check_learnable(self) -> None:
        """Refuse what nothing can be learnt from.

        Raises:
            InputError: one class only, a class that has one example, or numbers that are all the same.
        """
        if len(set(self.labels)) == 1 and self.kind != "span":
            raise InputError(f"{self.name}: every label is '{self.labels[0]}'; a task needs two that differ")
        if self.kind != "classification":
            return
        label, count = min(Counter(self.labels).items(), key=lambda item: item[1])
        if count == 1:
            raise InputError(
                f"{self.name}, row {self.labels.index(label) + 1}: the label '{label}' appears once; leave the row "
                "out, or add an example, since some are held out"
            )

    def _check_spans(self) -> None:
        if self.text_pairs is None:
            raise InputError(f"{self.name}: answers are spans of a context; give text_pairs")
        for row, (span, context) in _rows(self.labels, self.text_pairs):
            if not 0 <= span[0] < span[1] <= len(context):
                raise InputError(f"{self.name}, row {row}: characters {span[0]} to {span[1]} are not in its context")


def _rows(*columns: Sequence[Any]) -> enumerate[tuple[Any, ...]]:
    return enumerate(zip(*columns), 1)


def _read_columns(path: Path, wanted: Sequence[str], pair: str | None) -> dict[str, list[Any]]:
    from oneword.io.texts import open_texts

    with open_texts(str(path)) as file:
        optional = pair or "text_pair"
        for column in [*wanted, *([pair] if pair else [])]:
            if column not in file.columns:
                raise InputError(f"{file.name} has no column '{column}' ({nearest_names(column, file.columns)})")
        names = [column for column in (*wanted, optional) if column in file.columns]
        found: dict[str, list[Any]] = {name: [] for name in names}
        for piece in file.pieces(wanted[0], _ROWS):
            for name in names:
                if name == wanted[0]:
                    found[name] += piece.texts
                elif name in piece.table.column_names:
                    found[name] += piece.table.column(name).to_pylist()
                else:  # no line of a JSONL piece has it
                    found[name] += [None] * len(piece.texts)
    return found


def _labelled(columns: dict[str, list[Any]], label: str, path: Path) -> dict[str, list[Any]]:
    """The rows that have a label; what is wrong with their texts is told here, by their place in the file."""
    rows = [row for row, value in enumerate(columns[label]) if not _is_missing(value)]
    if not rows:
        raise InputError(f"{path}: no row has a label in the column '{label}'; label some")
    for name, column in columns.items():
        for row in rows:
            if name != label and (problem := text_problem(column[row])):
                raise InputError(f"{path}, row {row + 1} {problem}; leave it out or replace it")
    return {name: [column[row] for row in rows] for name, column in columns.items()}


def _kind_of(labels: Sequence[Any]) -> Kind:
    """Answers as SQuAD has them are spans, numbers with fractions are regressed on; texts count as what they spell."""
    if all(isinstance(_parsed(label), Mapping) and "answer_start" in _parsed(label) for label in labels):
        return "span"
    numbers = [_as_float(label) for label in labels]
    fractions = any(number is not None and number % 1 for number in numbers)
    return "regression" if fractions and None not in numbers else "classification"


def _as_float(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _number(value: Any, place: str) -> float:
    number = _as_float(value)
    if number is None or not math.isfinite(number):
        raise InputError(f"{place}: the label {value!r} is no number to regress on; classes are kind='classification'")
    return number


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _class(value: Any, place: str) -> str:
    if _is_missing(value):
        raise InputError(f"{place} has no label; leave it out or label it")
    if isinstance(value, (dict, list)):
        raise InputError(f"{place}: the label {value!r} is no class; give kind='span' for answers")
    return str(value)


def _span(answer: Any, context: str, place: str) -> Span:
    """An answer's place in its context: as SQuAD writes it, or where its wording first stands."""
    answer = _parsed(answer)
    start: Any = None
    if isinstance(answer, Mapping):
        texts, starts = answer.get("text"), answer.get("answer_start")
        if texts in (None, "", []) or starts in (None, []):
            raise InputError(f"{place} has no answer; leave out questions that have none")
        answer, start = (value[0] if isinstance(value, list) else value for value in (texts, starts))
    if not isinstance(answer, str) or not answer.strip():
        raise InputError(f"{place} has no answer; leave out questions that have none")
    if problem := text_problem(context):
        raise InputError(f"{place}: its context {problem}; leave the row out")
    if not isinstance(start, (int, type(None))):
        raise InputError(f"{place}: answer_start is {start!r}, not the number of a character")
    start = context.find(answer) if start is None else start
    if start < 0 or context[start : start + len(answer)] != answer:
        raise InputError(f"{place}: the answer '{answer[:40]}' does not stand in its context")
    return Span(start, start + len(answer))


def _parsed(answer: Any) -> Any:
    """The object that a text spells, where it spells one."""
    if isinstance(answer, str) and answer.startswith("{"):
        try:
            return json.loads(answer)
        except ValueError:
            return answer
    return answer
