"""How good a ranking of candidates is, where each brings a gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import InputError
from oneword.evaluation.intervals import Interval
from oneword.extras import check_extra

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RandomRanking:
    """What ranking by lot reaches, averaged over the targets.

    Args:
        rank: expected rank of the best candidate, 1-based.
        rank_interval: the middle 95 % of the averages of random rankings.
        ndcg: expected NDCG, 0 to 1.
        ndcg_interval: as for the rank.
    """

    rank: float
    rank_interval: Interval
    ndcg: float
    ndcg_interval: Interval


def rank_of_best(scores: ArrayLike, gains: ArrayLike) -> float:
    """Where the candidate of the largest gain stands when the highest score comes first; 1 is best.

    Candidates of equal score share the mean of their ranks. Of several that bring the largest gain, any is as good as
    the others, so the best-ranked of them counts.

    Args:
        scores: (n,), larger is better.
        gains: (n,), of the same candidates.

    Raises:
        InputError: no candidates, another number of scores than of gains, or one that is not a finite number.
    """
    scores, gains = _checked(scores, gains)
    best = scores[gains == gains.max()].max()
    return float((scores > best).sum() + ((scores == best).sum() + 1) / 2)


def ndcg(scores: ArrayLike, gains: ArrayLike) -> float:
    """Normalized discounted cumulative gain of a ranking by scores, from 0 to 1.

    The relevance of a candidate is its gain less the smallest gain, since gains can be negative. It is discounted by
    the logarithm of the rank; of candidates of equal score the mean over their orders counts.

    Args:
        scores: (n,), larger is better.
        gains: (n,), of the same candidates; when all are equal, every ranking is ideal.

    Raises:
        InputError: as for :func:`rank_of_best`, or scikit-learn is not installed.
    """
    check_extra("tasks", "sklearn", "rankings")
    from sklearn.metrics import ndcg_score

    scores, gains = _checked(scores, gains)
    relevance = gains - gains.min()
    if not relevance.any():
        return 1.0
    return float(ndcg_score([relevance], [scores]))


def random_ranking(gains_by_target: Mapping[str, ArrayLike], draws: int = 10_000, seed: int = 0) -> RandomRanking:
    """What rankings by lot reach: what any other ranking has to be better than.

    The expectations are exact; the intervals are of random rankings, one for each target and draw.

    Args:
        gains_by_target: of each target the gains of its candidates; targets can have different numbers of them.
        draws: how many times all targets are ranked.
        seed: the same seed gives the same intervals.

    Raises:
        InputError: no targets, or gains as for :func:`rank_of_best`.
    """
    if not gains_by_target:
        raise InputError("a random ranking needs at least one target")
    generator = np.random.default_rng(seed)
    ranks, ndcgs = np.zeros(draws), np.zeros(draws)
    expected_rank = expected_ndcg = 0.0
    for given in gains_by_target.values():
        gains, _ = _checked(given, given)
        drawn = generator.permuted(np.tile(gains - gains.min(), (draws, 1)), axis=1)  # relevances by rank
        largest, discounts = gains.max() - gains.min(), 1 / np.log2(np.arange(len(gains)) + 2)
        ranks += drawn.argmax(axis=1) + 1
        expected_rank += (len(gains) + 1) / (int((gains == gains.max()).sum()) + 1)
        if largest:
            ideal = float(np.sort(gains - gains.min())[::-1] @ discounts)
            ndcgs += drawn @ discounts / ideal
            expected_ndcg += float((gains - gains.min()).mean() * discounts.sum()) / ideal
        else:
            ndcgs += 1
            expected_ndcg += 1
    targets = len(gains_by_target)
    return RandomRanking(
        rank=expected_rank / targets,
        rank_interval=_middle(ranks / targets),
        ndcg=expected_ndcg / targets,
        ndcg_interval=_middle(ndcgs / targets),
    )


def _checked(scores: ArrayLike, gains: ArrayLike) -> tuple[Floats, Floats]:
    columns = np.asarray(scores, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    for name, column in zip(("scores", "gains"), columns):
        if column.ndim != 1 or not len(column):
            raise InputError(
                f"a ranking needs a list of {name}, one for each candidate; these have shape {column.shape}"
            )
        if not np.isfinite(column).all():
            raise InputError(
                f"{name}: number {int((~np.isfinite(column)).argmax()) + 1} is {column[~np.isfinite(column)][0]}"
            )
    if len(columns[0]) != len(columns[1]):
        raise InputError(
            f"{len(columns[0])} scores for {len(columns[1])} gains; a ranking needs one of each a candidate"
        )
    return columns


def _middle(averages: Floats) -> Interval:
    low, high = np.percentile(averages, [2.5, 97.5])
    return Interval(float(low), float(high))
