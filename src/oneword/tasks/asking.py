"""Asking a predictor about texts, piece by piece, so that finished answers outlive whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.pool import Pool
from oneword.tasks.predictor import AnswerKind, Answers, Predictor, joined, read_answers, settle

_PIECE = 64  # texts; what a stopped run can lose


@dataclass
class Calls:
    """How much predictors were asked.

    Args:
        made: texts that a predictor was asked about.
        saved: texts that it was not asked about again, since the answer was there.
    """

    made: int = 0
    saved: int = 0


def ask(
    predictor: Predictor,
    pool: Pool,
    kept: KeptAnswers | None = None,
    on_texts: Callable[[int], object] = lambda texts: None,
    calls: Calls | None = None,
) -> Answers:
    """A predictor's answers to every text of a pool; of equal texts it is asked about one.

    Args:
        predictor: what is asked; where it has a ``fingerprint``, its answers are kept.
        pool: the texts.
        kept: answers that are there already, and those to come; a text is not asked about whose answer is kept.
        on_texts: told how many more texts are answered.
        calls: counts what is asked and what is not.

    Raises:
        InputError: answers that are none, as in :func:`~oneword.tasks.predictor.read_answers`; a predictor of pairs and
            a pool of single texts.
        OutputError: answers cannot be kept.
        OnewordError: what the predictor raises; finished pieces stay.
    """
    name = name_of(predictor)
    if getattr(predictor, "takes_pairs", None) and pool.text_pairs is None:
        raise InputError(
            f"{name} takes pairs of texts, but the pool {pool.name} has single ones; name a pool with a column "
            "text_pair, or pair its texts with --pair-texts (Pool.paired)"
        )
    pairs = None if getattr(predictor, "takes_pairs", None) is False else pool.text_pairs
    asking = _Asking(predictor, False, kept, on_texts, calls or Calls())
    return settle(asking.whole(asking.answers(pool.texts, pairs)), name)


def ask_with_perplexity(
    predictor: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    kept: KeptAnswers | None = None,
    on_texts: Callable[[int], object] = lambda texts: None,
    calls: Calls | None = None,
) -> tuple[Answers, NDArray[np.float64]]:
    """A predictor's answers, and the perplexity of each filled prompt; both in one pass, and both are kept.

    Args:
        predictor: one with ``predict_with_perplexity``; an answer that is kept without perplexity is asked for again.
        texts: at least one.
        pairs: the second texts, where it takes pairs.
        kept: as for :func:`ask`.
        on_texts: likewise.
        calls: likewise.

    Returns:
        The answers, and float64 (n,).

    Raises:
        InputError: a predictor that has no perplexities, or one that is not finite; answers that are none; no texts.
        OutputError: answers cannot be kept.
        OnewordError: what the predictor raises; finished pieces stay.
    """
    name = name_of(predictor)
    if not hasattr(predictor, "predict_with_perplexity"):
        raise InputError(
            f"{name} gives no perplexity of its prompt, which SPELL needs; leave SPELL out, or take a local model with "
            "label words"
        )
    if not texts:
        raise InputError(f"{name} was to be asked about no texts; give at least one")
    asking = _Asking(predictor, True, kept, on_texts, calls or Calls())
    answers = asking.answers(texts, pairs)
    return asking.whole(answers), np.array([answer[2] for answer in answers], np.float64)


def name_of(predictor: Predictor) -> str:
    """What messages and vectors call a predictor."""
    return str(getattr(predictor, "name", None) or type(predictor).__name__)


_Asked = tuple[str, "str | None"]  # a text and its second text
_Kept = Sequence[Any]  # an answer as it is kept: its kind, its value, and its perplexity where that was asked for


class _Asking:
    """One predictor, asked with or without perplexity, its answers one by one."""

    def __init__(
        self,
        predictor: Any,
        perplexity: bool,
        kept: KeptAnswers | None,
        on_texts: Callable[[int], object],
        calls: Calls,
    ) -> None:
        self._predictor, self._perplexity, self._on_texts, self._calls = predictor, perplexity, on_texts, calls
        self._name = name_of(predictor)
        self._classes = getattr(predictor, "classes", None)
        fingerprint = getattr(predictor, "fingerprint", None)
        self._kept = kept if fingerprint else None
        # A function's fingerprint need not know its classes, but how its answers are read depends on them
        self._fingerprint = f"{fingerprint} {json.dumps(None if self._classes is None else list(self._classes))}"

    def answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[_Kept]:
        """The answer to each text."""
        asked: list[_Asked] = list(zip(texts, [None] * len(texts) if pairs is None else pairs, strict=True))
        rows: dict[_Asked, list[int]] = {}
        for row, one in enumerate(asked):
            rows.setdefault(one, []).append(row)
        found: dict[_Asked, _Kept] = self._found(list(rows), pairs is not None)
        missing = [one for one in rows if one not in found]
        self._calls.saved += len(asked) - len(missing)
        self._on_texts(sum(len(rows[one]) for one in found))
        size = getattr(self._predictor, "piece", _PIECE)
        for start in range(0, len(missing), size):
            piece = missing[start : start + size]
            found.update(zip(piece, self._asked(piece, pairs is not None, [rows[one][0] + 1 for one in piece])))
            self._calls.made += len(piece)
            self._on_texts(sum(len(rows[one]) for one in piece))
        return [found[one] for one in asked]

    def whole(self, answers: Sequence[_Kept]) -> Answers:
        """All answers as one."""
        kinds: list[AnswerKind] = [answer[0] for answer in answers]
        classes = tuple(map(str, self._classes or ())) if kinds[0] == "probabilities" else ()
        return joined(kinds, [answer[1] for answer in answers], classes, self._name)

    def _found(self, asked: Sequence[_Asked], in_pairs: bool) -> dict[_Asked, _Kept]:
        """What is kept of the answers."""
        if self._kept is None:
            return {}
        answers = self._kept.get(self._fingerprint, *_split(asked, in_pairs))
        return {
            one: answer
            for one, answer in zip(asked, answers)
            if answer is not None and (len(answer) > 2 or not self._perplexity)
        }

    def _asked(self, asked: Sequence[_Asked], in_pairs: bool, rows: Sequence[int]) -> list[_Kept]:
        """The answers to one piece, which are kept at once."""
        texts, pairs = _split(asked, in_pairs)
        perplexities: list[float] | None = None
        if self._perplexity:
            raw, measured = self._predictor.predict_with_perplexity(texts, pairs)
            perplexities = np.asarray(measured, np.float64).tolist()
            for row, perplexity in zip(rows, perplexities, strict=True):
                if not np.isfinite(perplexity):
                    raise InputError(f"{self._name}, row {row}: the perplexity of its prompt is not a finite number")
        else:
            raw = self._predictor.predict(texts, pairs)
        read = read_answers(raw, len(texts), self._name, self._classes, rows)
        values = read.values if read.kind == "strings" else np.asarray(read.values).tolist()
        answers: list[_Kept] = [[read.kind, value] for value in values]
        if perplexities is not None:
            answers = [[*answer, perplexity] for answer, perplexity in zip(answers, perplexities)]
        if self._kept is not None:
            self._kept.put(self._fingerprint, texts, pairs, answers)
        return answers


def _split(asked: Sequence[_Asked], in_pairs: bool) -> tuple[list[str], list[str] | None]:
    """Texts, and their second texts where there are some."""
    return [text for text, _ in asked], [str(pair) for _, pair in asked] if in_pairs else None
