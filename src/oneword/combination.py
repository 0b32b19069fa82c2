"""How the vectors of a method's prompts become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from oneword.calibration.applying import Calibrator
from oneword.calibration.statistics import LayerStatistics
from oneword.method import Combine, Method
from oneword.precision import LARGEST_CODE, is_binary


class Combination:
    """How the answers of a method's prompts become its vectors: calibrated, combined, rounded to their precision.

    Args:
        method: says how.
        precision: of the vectors.
        statistics: of the method's calibration, a set for each layer of the answers; empty without one.
    """

    def __init__(self, method: Method, precision: str = "float32", statistics: Sequence[LayerStatistics] = ()) -> None:
        self._method, self._precision = method, precision
        self._calibrator = Calibrator(statistics) if statistics else None

    def __call__(self, answers: Iterable[torch.Tensor]) -> torch.Tensor:
        """Each counting prompt's answers, (n, layers, d), to vectors (n, layers, d')."""
        if self._calibrator is not None:
            answers = self._calibrator.prompts(answers)
        combined = combine_answers(answers, self._method.combine, self._method.shares)
        if self._calibrator is not None:
            combined = self._calibrator.combined(combined)
        return rounded(combined, self._precision)


def combine_answers(answers: Iterable[torch.Tensor], how: Combine, shares: Sequence[float] = ()) -> torch.Tensor:
    """Prompts' answers, each (..., d), to one tensor: their mean, their maximum, or all of them, (..., prompts x d).

    Answers are taken one by one; for a mean or a maximum no two lie in memory longer than they must.

    Args:
        answers: of each prompt that counts.
        how: the method's combination.
        shares: :attr:`Method.shares` of a mean or a concatenation; the latter's vectors are multiplied by their share
            times the number of prompts, so that their mean factor is 1.
    """
    if how == "concat":
        if not shares:
            return torch.cat(list(answers), dim=-1)
        return torch.cat([answer * (share * len(shares)) for answer, share in zip(answers, shares, strict=True)], -1)
    if shares:
        assert how == "mean", "a maximum has no weights"
        return _weighted_sum(answers, shares)
    combined: torch.Tensor | None = None
    count = 0
    for answer in answers:
        count += 1
        if combined is None:
            combined = answer.clone()
        elif how == "max":
            torch.maximum(combined, answer, out=combined)
        else:
            combined += answer
    assert combined is not None, "no prompts"
    return combined / count if how == "mean" else combined


def _weighted_sum(answers: Iterable[torch.Tensor], shares: Sequence[float]) -> torch.Tensor:
    total: torch.Tensor | None = None
    for answer, share in zip(answers, shares, strict=True):
        total = answer * share if total is None else total.add_(answer, alpha=share)
    assert total is not None, "no prompts"
    return total


def rounded(vectors: torch.Tensor, precision: str) -> torch.Tensor:
    """What codes stand for, as float32 (..., d), which :func:`oneword.precision.packed` makes codes of.

    ``int8``: each vector scaled so that its largest number is 127, and rounded: the length is lost, and cosines are
    those of the codes themselves. ``binary``: the signs, as -1 and 1.
    """
    if precision == "float32":
        return vectors
    if is_binary(precision):
        return torch.where(vectors > 0, 1.0, -1.0)
    largest = vectors.abs().amax(dim=-1, keepdim=True)
    return (vectors / largest.clamp_min(torch.finfo(torch.float32).tiny) * LARGEST_CODE).round()
