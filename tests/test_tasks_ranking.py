"""Ranking metrics: hand-made cases, and the definitions written out another way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks.ranking import ndcg, random_ranking, rank_of_best


def dcg(relevances: Sequence[float]) -> float:
    return sum(relevance / math.log2(rank + 1) for rank, relevance in enumerate(relevances, 1))


def ndcg_over_orders(scores: Sequence[float], gains: Sequence[float]) -> float:
    """The mean over all orders that the scores allow, each discounted by hand."""
    relevances = [gain - min(gains) for gain in gains]
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[first] >= scores[second] for first, second in itertools.pairwise(order))
    ]
    found = [dcg([relevances[place] for place in order]) for order in orders]
    return sum(found) / len(found) / dcg(sorted(relevances, reverse=True))


@pytest.mark.parametrize(
    ("scores", "gains", "rank"),
    [
        ([0.9, 0.5, 0.1], [3, 2, 1], 1),
        ([0.9, 0.5, 0.1], [1, 2, 3], 3),
        ([-0.9, -0.5, -0.1], [-3, -2, -1], 1),
        ([0.5, 0.9, 0.5, 0.5], [4, 1, 2, 3], 3),  # ranks 2, 3 and 4 are shared
        ([0.2, 0.2], [0, 1], 1.5),
        ([0.1, 0.9, 0.5], [7, 0, 7], 2),  # of two best candidates the better-ranked
        ([0.1], [0], 1),
    ],
)
def test_rank_of_the_best_candidate(scores, gains, rank):
    assert rank_of_best(scores, gains) == rank


def test_ndcg_of_a_hand_made_ranking():
    # Relevances by rank: 1, 3, 0; ideal: 3, 1, 0
    expected = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert ndcg([0.9, 0.5, 0.1], [0.5, 2.5, -0.5]) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_ndcg_is_the_mean_over_the_orders_of_equal_scores(seed):
    random = np.random.default_rng(seed)
    scores, gains = random.integers(0, 3, 6).tolist(), random.normal(size=6).tolist()
    assert ndcg(scores, gains) == pytest.approx(ndcg_over_orders(scores, gains))


def test_ndcg_is_1_for_the_ideal_ranking_and_where_no_ranking_is_better():
    assert ndcg([3, 2, 1], [0.2, -0.1, -5]) == pytest.approx(1)
    assert ndcg([1, 2, 3], [-0.3, -0.3, -0.3]) == 1
    assert ndcg([1], [4]) == 1


def test_ndcg_does_not_change_with_a_shift_or_a_scale_of_the_gains():
    scores, gains = [0.1, 0.7, 0.3, 0.5], np.array([0.02, -0.01, 0.05, 0.0])
    assert ndcg(scores, 100 * gains - 7) == pytest.approx(ndcg(scores, gains))


def test_expectations_of_a_random_ranking_are_those_over_all_orders():
    gains = {"a": [0.3, -0.2, 0.1, 0.0], "b": [1.0, 1.0, 0.0]}
    ranks, ndcgs = [], []
    for row in gains.values():
        orders = list(itertools.permutations(range(len(row))))
        ranks.append(np.mean([rank_of_best(order, row) for order in orders]))
        ndcgs.append(np.mean([ndcg(order, row) for order in orders]))
    found = random_ranking(gains, draws=10)
    assert found.rank == pytest.approx(np.mean(ranks))
    assert found.ndcg == pytest.approx(np.mean(ndcgs))
    assert random_ranking({"a": range(9)}, draws=10).rank == pytest.approx((9 + 1) / 2)


def test_the_interval_of_a_random_ranking_is_of_the_average_over_targets():
    one = random_ranking({"a": range(40)})
    assert (one.rank_interval.low, one.rank_interval.high) == pytest.approx((1.5, 39.5), abs=0.6)
    many = random_ranking({str(target): range(40) for target in range(25)})
    deviation = math.sqrt((40**2 - 1) / 12 / 25)  # of the mean of 25 uniform ranks
    assert many.rank_interval.low == pytest.approx(20.5 - 1.96 * deviation, abs=0.3)
    assert many.rank_interval.high == pytest.approx(20.5 + 1.96 * deviation, abs=0.3)
    assert many.ndcg_interval.low < many.ndcg < many.ndcg_interval.high
    assert many == random_ranking({str(target): range(40) for target in range(25)})
    assert many.ndcg_interval != random_ranking({str(target): range(40) for target in range(25)}, seed=1).ndcg_interval


def test_a_random_ranking_of_equal_gains_is_ideal():
    found = random_ranking({"a": [2, 2, 2]}, draws=50)
    assert (found.ndcg, found.ndcg_interval.low) == (1, 1)
    assert (found.rank, found.rank_interval.high) == (1, 1)


@pytest.mark.parametrize(
    ("scores", "gains", "reason"),
    [
        ([], [], "one for each candidate"),
        ([1, 2], [1, 2, 3], "2 scores for 3 gains"),
        ([1, math.nan], [1, 2], "scores: number 2 is nan"),
        ([1, 2], [math.inf, 2], "gains: number 1 is inf"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, gains, reason):
    for metric in (rank_of_best, ndcg):
        with pytest.raises(InputError, match=reason):
            metric(scores, gains)


def test_a_random_ranking_needs_targets_with_candidates():
    with pytest.raises(InputError, match="at least one target"):
        random_ranking({})
    with pytest.raises(InputError, match="one for each candidate"):
        random_ranking({"a": []})
