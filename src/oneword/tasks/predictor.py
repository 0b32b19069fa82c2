"""Predictors: anything that answers for a task, known only by its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError

AnswerKind = Literal["probabilities", "numbers", "strings", "spans"]


@runtime_checkable
class Predictor(Protocol):
    """Anything with a ``predict``.

    It may also have ``name`` (what files and messages call it), ``model_name`` and ``trained_on`` (where several
    predictors are one model trained on several datasets, for maps), ``fingerprint`` (under which its answers are kept,
    so that a stopped run goes on), ``classes`` (the names of its classes: of the columns of its probabilities, or all
    that it may answer), and ``takes_pairs`` (True where it needs a second text).
    """

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Any:
        """Answer for each text, or pair of texts.

        Returns:
            An array (n, classes) of probabilities, a sequence of n numbers, of n class names, of n texts, or of n
            :class:`~oneword.tasks.Span` of the second texts.
        """


@dataclass(frozen=True)
class Answers:
    """What a predictor answered, as a surrogate can be tuned on it.

    Args:
        kind: ``probabilities`` (n, classes), also for class names; ``numbers`` (n,); ``strings``; or ``spans`` (n, 2).
        values: float64 array, or a tuple of strings.
        classes: of probabilities the names, where they are known.
    """

    kind: AnswerKind
    values: Any
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)


def read_answers(
    raw: Any, count: int, name: str, classes: Sequence[str] | None = None, rows: Sequence[int] | None = None
) -> Answers:
    """What a predictor answered, checked.

    Class names become probabilities of 0 and 1. Without ``classes``, strings are free text; whether they are class
    names is for the whole of them to say: :func:`settle`.

    Args:
        raw: what ``predict`` returned.
        count: how many texts it was given.
        name: what messages call the predictor.
        classes: the names of its classes, where it has some.
        rows: which row of all texts each answer is to, for messages; None numbers them from 1.

    Raises:
        InputError: another number of rows, what is no answer, probabilities that are none, or an unknown class; with
            the row.
    """
    rows = range(1, count + 1) if rows is None else rows
    values = _listed(raw, name)
    if len(values) != count:
        raise InputError(f"{name} was given {count:,} texts and answered {len(values):,} rows; it must answer each")
    if all(isinstance(value, str) for value in values):
        if classes is None:
            return Answers("strings", tuple(values))
        return _one_hot(values, tuple(classes), name, rows)
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} answered neither numbers, probabilities nor strings, or rows of different lengths; its first "
            f"answer is {values[0]!r}"
        ) from None
    _check_finite(array, name, rows)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and classes is not None:  # numbers that name classes
        return _one_hot(values, tuple(map(str, classes)), name, rows)
    if array.ndim == 1:
        return Answers("numbers", array)
    if array.ndim != 2:
        raise InputError(f"{name} answered an array of shape {array.shape}; give (n, classes) or (n,)")
    if all(hasattr(value, "start") and hasattr(value, "end") for value in values):
        return Answers("spans", array)
    return _probabilities(array, classes, name, rows)


def settle(answers: Answers, name: str) -> Answers:
    """Whether all strings together are class names: few, and every one of them several times on average."""
    if answers.kind != "strings":
        return answers
    strings: Sequence[str] = answers.values
    different = tuple(dict.fromkeys(strings))
    if len(different) > 1 and len(different) <= 100 and len(different) * 5 <= len(strings):
        return _one_hot(strings, different, name, range(1, len(strings) + 1))
    return answers


def joined(kinds: Sequence[AnswerKind], values: Sequence[Any], classes: tuple[str, ...], name: str) -> Answers:
    """Answers to single texts as the answers to all of them.

    Args:
        kinds: of each answer; at least one.
        values: of each answer.
        classes: of probabilities the names, where they are known.
        name: what messages call the predictor.

    Raises:
        InputError: they are not of one kind, or of different numbers of classes.
    """
    first, shape = kinds[0], np.shape(values[0])
    for row, (kind, value) in enumerate(zip(kinds, values, strict=True), start=1):
        if kind != first or np.shape(value) != shape:
            raise InputError(
                f"{name} answers {first} in row 1 and {kind} in row {row}, or for other classes; its answers must all "
                "be of one kind"
            )
    if first == "strings":
        return Answers("strings", tuple(values), classes)
    return Answers(first, np.array(values, np.float64), classes)


def check_varied(answers: Answers, name: str) -> None:
    """Refuse answers that are the same for every text: nothing can be learnt from them.

    Raises:
        InputError: they are.
    """
    if answers.kind == "strings":
        same = len(set(answers.values)) == 1
    else:
        array = np.asarray(answers.values)
        same = bool((array == array[0]).all())
    if same:
        raise InputError(f"{name} answers the same for all {len(answers):,} texts; there is nothing to learn from it")


def _listed(raw: Any, name: str) -> list[Any]:
    if hasattr(raw, "detach"):  # a tensor
        raw = raw.detach().float().cpu().numpy()
    if isinstance(raw, str) or not hasattr(raw, "__len__") or not hasattr(raw, "__iter__"):
        raise InputError(f"{name} answered {type(raw).__name__}, not a row for each text")
    return list(raw)


def _check_finite(array: NDArray[np.float64], name: str, rows: Sequence[int]) -> None:
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        raise InputError(f"{name}, row {rows[int(bad.argmax())]}: its answer is not a finite number")


def _probabilities(
    array: NDArray[np.float64], classes: Sequence[str] | None, name: str, rows: Sequence[int]
) -> Answers:
    if classes is not None and len(classes) != array.shape[1]:
        raise InputError(f"{name} has {len(classes)} classes and answered {array.shape[1]} probabilities a text")
    wrong = (array < -1e-6).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-2)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{name}, row {rows[row]}: {np.round(array[row], 4).tolist()} are no probabilities, which are "
            "from 0 to 1 and add up to 1; put its logits through a softmax"
        )
    array = array.clip(0)
    return Answers("probabilities", array / array.sum(axis=1, keepdims=True), tuple(map(str, classes or ())))


def _one_hot(answers: Sequence[Any], classes: tuple[str, ...], name: str, rows: Sequence[int]) -> Answers:
    values = [str(answer) for answer in answers]
    places = {label: place for place, label in enumerate(classes)}
    for row, value in enumerate(values):
        if value not in places:
            raise InputError(f"{name}, row {rows[row]}: '{value[:40]}' is none of its classes ({', '.join(classes)})")
    hot = np.zeros((len(values), len(classes)))
    hot[np.arange(len(values)), [places[value] for value in values]] = 1
    return Answers("probabilities", hot, classes)
