"""Bootstrap intervals of scores and of their differences, paired: every row is resampled alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Items = Mapping[str, Sequence[float]]  # of one task: cosine and gold, or correct
Floats = NDArray[np.float64]

_BLOCK = 200_000  # numbers ranked at a time


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of what resampled data gives."""

    low: float
    high: float

    def __format__(self, sign: str) -> str:
        return f"{self.low:{sign}.2f} to {self.high:{sign}.2f}"


@dataclass(frozen=True)
class RowIntervals:
    """Of one row of a table: its average over the tasks, and that less the first row's (None for the first itself)."""

    average: Interval
    difference: Interval | None


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's correlation, in percent; NaN where one side is constant."""
    from scipy.stats import rankdata

    return float(_correlation(rankdata(first)[None], rankdata(second)[None])[0])


def bootstrap_rows(rows: Sequence[Sequence[Items]], resamples: int = 1000, seed: int = 1) -> list[RowIntervals]:
    """Intervals of rows of a table, by the percentile bootstrap.

    The pairs of sentences (or the texts) of each task are drawn anew with replacement, the same ones for every row;
    each row is scored on them, and averaged over the tasks.

    Args:
        rows: for each row the items of its tasks, in the same order and of the same data in every row.
        resamples: how many times.
        seed: the same seed gives the same intervals.
    """
    averages: Floats = np.zeros((len(rows), resamples))
    for task in range(len(rows[0])):
        averages += _resampled([row[task] for row in rows], resamples, np.random.default_rng([seed, task]))
    averages /= len(rows[0])
    return [
        RowIntervals(_middle(row), _middle(row - averages[0]) if number else None)
        for number, row in enumerate(averages)
    ]


def _resampled(rows: Sequence[Items], resamples: int, generator: np.random.Generator) -> Floats:
    """One task's scores on resampled data, (rows, resamples)."""
    gold = rows[0].get("gold")
    columns = [np.asarray(row["correct" if gold is None else "cosine"], dtype=np.float64) for row in rows]
    size = len(columns[0])
    scores = np.empty((len(rows), resamples))
    block = max(1, _BLOCK // size)
    for start in range(0, resamples, block):
        end = min(start + block, resamples)
        drawn = generator.integers(size, size=(end - start, size))
        gold_ranks = _ranks(np.asarray(gold)[drawn]) if gold is not None else None
        for number, column in enumerate(columns):
            scores[number, start:end] = (
                100 * column[drawn].mean(axis=1)
                if gold_ranks is None
                else _correlation(_ranks(column[drawn]), gold_ranks)
            )
    return scores


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values, axis=1)
    return ranks


def _correlation(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of each row, in percent."""
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        found: Floats = 100 * (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return found


def _middle(values: Floats) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
