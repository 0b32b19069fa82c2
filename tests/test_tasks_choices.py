"""How good a choice is: by hand, and choice by lot against every choice there is."""

from __future__ import annotations

import itertools
from math import log2

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks.selection.choices import Choice, best_prompts, choice_by_lot, make_choice, mean_choice

pytest.importorskip("sklearn")


def test_the_prompt_of_the_highest_score_is_chosen():
    found = make_choice("mi", [0.1, 0.7, 0.4], [0.5, 0.6, 0.8])
    assert (found.method, found.chosen) == ("mi", (1,))
    assert found.performance == pytest.approx(0.6)
    assert found.rate == pytest.approx(0.6 / 0.8)
    # Relevances by rank 0.1, 0.3, 0; ideal 0.3, 0.1, 0
    assert found.ndcg == pytest.approx((0.1 + 0.3 / log2(3)) / (0.3 + 0.1 / log2(3)))


def test_prompts_of_one_score_share_their_performance():
    found = make_choice("zps-vote", [2.0, 1.0, 2.0], [0.4, 0.9, 0.8])
    assert found.chosen == (0, 2)
    assert found.performance == pytest.approx(0.6)
    assert found.rate == pytest.approx(2 / 3)


def test_where_no_prompt_is_ever_right_any_is_the_best():
    assert make_choice("mi", [1, 2], [0, 0]).rate == 1
    assert choice_by_lot({"a": [0, 0]}).rate == 1


def test_mean_over_tasks():
    found = mean_choice([Choice("mi", (0,), 0.5, 0.8, 0.6), Choice("mi", (2,), 0.7, 1.0, 0.7)])
    assert (found.method, found.chosen) == ("mi", ())
    assert (found.performance, found.rate, found.ndcg) == pytest.approx((0.6, 0.9, 0.65))


def test_choice_by_lot_is_the_mean_over_every_choice():
    tasks = {"a": [0.5, 0.6, 0.9], "b": [0.2, 0.4, 0.4, 0.8]}
    found = choice_by_lot(tasks)
    pairs = list(itertools.product(*tasks.values()))
    assert found.performance == pytest.approx(np.mean(pairs))
    assert found.rate == pytest.approx(np.mean([(a / 0.9 + b / 0.8) / 2 for a, b in pairs]))
    ranked = [
        [make_choice("lot", order, accuracies).ndcg for order in itertools.permutations(range(len(accuracies)))]
        for accuracies in tasks.values()
    ]
    assert found.ndcg == pytest.approx(np.mean([np.mean(ndcgs) for ndcgs in ranked]))


def test_interval_of_choice_by_lot_holds_95_percent_of_the_averages():
    many = {str(task): np.arange(21) / 20 for task in range(16)}
    found = choice_by_lot(many)
    # An average of 16 uniform draws from 0, 0.05, ..., 1 has the deviation sqrt((21 ** 2 - 1) / 12) / 20 / 4
    expected = 1.96 * np.sqrt((21**2 - 1) / 12) / 20 / 4
    assert found.performance_interval.low == pytest.approx(0.5 - expected, abs=0.01)
    assert found.performance_interval.high == pytest.approx(0.5 + expected, abs=0.01)
    assert found.rate_interval == found.performance_interval
    assert found.ndcg_interval.low < found.ndcg < found.ndcg_interval.high


def test_interval_of_one_task_is_of_its_prompts():
    found = choice_by_lot({"a": [0.5, 0.75]})
    assert (found.performance_interval.low, found.performance_interval.high) == (0.5, 0.75)
    assert (found.rate_interval.low, found.rate_interval.high) == (pytest.approx(2 / 3), 1)


@pytest.mark.parametrize(
    ("scores", "accuracies", "message"),
    [
        ([], [], r"a list of scores"),
        ([1, 2], [0.5], r"2 scores for 1 gains"),
        ([1, float("nan")], [0.5, 0.5], r"scores: number 2 is nan"),
        ([1, 2], [0.5, 63.0], r"between 0 and 1, not at 63"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(scores, accuracies, message):
    with pytest.raises(InputError, match=message):
        make_choice("mi", scores, accuracies)


def test_nothing_to_average_or_draw_from_is_refused():
    with pytest.raises(InputError, match=r"one method, not of none"):
        mean_choice([])
    with pytest.raises(InputError, match=r"one method, not of mi, spell"):
        mean_choice([Choice("mi", (0,), 1, 1, 1), Choice("spell", (0,), 1, 1, 1)])
    with pytest.raises(InputError, match=r"at least one target"):
        choice_by_lot({})
    with pytest.raises(InputError, match=r"finite scores"):
        best_prompts([])
