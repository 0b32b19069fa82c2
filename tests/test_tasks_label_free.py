"""Scores that need no labels, against examples computed by hand."""

from __future__ import annotations

import itertools
from math import log

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks.selection.label_free import global_entropy, local_entropy, mutual_information, spell, zero_label

# Two prompts, two texts, two labels: one tells the texts apart, one says the same of both
TELLING = [[1.0, 0.0], [0.25, 0.75]]
CONSTANT = [[0.5, 0.5], [0.5, 0.5]]
# H(0.25) = 0.25 log 4 + 0.75 log(4/3) = 0.562335; the mean answer of the first prompt is (0.625, 0.375)
QUARTER = 0.562335
MEAN_ANSWER = 0.625 * log(1 / 0.625) + 0.375 * log(1 / 0.375)


def test_mutual_information_is_entropy_of_the_mean_less_mean_entropy():
    assert mutual_information([TELLING, CONSTANT]) == pytest.approx([MEAN_ANSWER - QUARTER / 2, 0.0], abs=1e-6)


def test_local_entropy_is_the_mean_entropy():
    assert local_entropy([TELLING, CONSTANT]) == pytest.approx([QUARTER / 2, 0.693147], abs=1e-6)


def test_global_entropy_counts_the_likeliest_labels():
    # Labels 0, 1, 1, 1 and 2, 2, 2, 2
    first = [[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.0, 1.0, 0.0], [0.1, 0.5, 0.4]]
    second = [[0.3, 0.3, 0.4]] * 4
    assert global_entropy([first, second]) == pytest.approx([QUARTER, 0.0], abs=1e-6)


# Confidences 0.666, 0.6, 0.767 and 0.02: the last prompt gives no pseudo-labels, and is scored like the others
FOUR = [
    [[0.600, 0.400], [0.001, 0.999], [0.90, 0.10]],  # labels 0 1 0
    [[0.600, 0.400], [0.850, 0.150], [0.95, 0.05]],  # labels 0 0 0
    [[0.050, 0.950], [0.800, 0.200], [0.90, 0.10]],  # labels 1 0 0
    [[0.490, 0.510], [0.490, 0.510], [0.49, 0.51]],  # labels 1 1 1
]


@pytest.mark.parametrize(
    ("by", "scores"),
    [
        # Products 0.018 to 0.152, 0.00068 to 0.02997, and 0: pseudo-labels 1 1 0
        ("log", [2 / 3, 1 / 3, 2 / 3, 2 / 3]),
        # Sums 1.25 to 1.75, 1.651 to 1.349, and 0: pseudo-labels 1 0 0
        ("prob", [1 / 3, 2 / 3, 1, 1 / 3]),
        # Votes 2 to 1, 2 to 1, 3 to 0: pseudo-labels 0 0 0
        ("vote", [2 / 3, 1, 2 / 3, 0]),
    ],
)
def test_zero_label_is_accuracy_against_the_more_confident_prompts(by, scores):
    assert zero_label(FOUR, by) == pytest.approx(scores)


def test_zero_label_lets_a_few_sure_prompts_outvote_many_unsure_ones():
    sure, unsure = [[0.9, 0.1]], [[0.49, 0.51]]
    assert zero_label([sure, unsure, unsure, sure, unsure], "vote").tolist() == [1, 0, 0, 1, 0]


def test_two_prompts_both_give_pseudo_labels():
    # The second is the more confident (0.4 to 0.6); sums 1.3 to 0.7, and 0.51 to 1.49: pseudo-labels 0 1
    assert zero_label([[[0.9, 0.1], [0.51, 0.49]], [[0.4, 0.6], [0, 1]]], "prob").tolist() == [0.5, 0.5]


def test_equally_confident_prompts_all_give_pseudo_labels():
    # Confidence 0.65 each, but for rounding; sums 1.35 to 1.65, and 0.3 to 2.7: pseudo-labels 1 1
    first, second = [[0.05, 0.95], [0.3, 0.7]], [[0.65, 0.35], [0.0, 1.0]]
    assert zero_label([first, second, second], "prob").tolist() == [1, 0.5, 0.5]


def test_zero_label_breaks_a_tied_vote_by_the_sum_of_probabilities():
    assert zero_label([[[0.6, 0.4]], [[0.2, 0.8]]], "vote").tolist() == [0, 1]


def test_zero_label_takes_answers_without_any_doubt():
    assert zero_label([[[1, 0]], [[0, 1]], [[0, 1]]], "log").tolist() == [0, 1, 1]


def naive_zero_label(prompts, by):
    """Over every way to part the prompts in two, in plain loops."""
    confidences = [sum(sorted(p)[-1] - sorted(p)[-2] for p in texts) / len(texts) for texts in prompts]

    def squares(group):
        mean = sum(confidences[one] for one in group) / len(group)
        return sum((confidences[one] - mean) ** 2 for one in group)

    everyone = range(len(prompts))
    parts = [
        (chosen, tuple(set(everyone) - set(chosen)))
        for size in range(1, len(prompts))
        for chosen in itertools.combinations(everyone, size)
    ]
    one, other = min(parts, key=lambda part: squares(part[0]) + squares(part[1]))
    kept = max(one, other, key=lambda group: sum(confidences[place] for place in group) / len(group))

    def pseudo(text):
        def worth(label):
            answers = [prompts[place][text] for place in kept]
            total = sum(answer[label] for answer in answers)
            if by == "vote":
                return sum(answer[label] == max(answer) for answer in answers), total
            return sum(log(answer[label]) for answer in answers) if by == "log" else total

        return max(range(len(prompts[0][0])), key=worth)

    truth = [pseudo(text) for text in range(len(prompts[0]))]
    return [sum(p[y] == max(p) for p, y in zip(texts, truth)) / len(truth) for texts in prompts]


@pytest.mark.parametrize("by", ["log", "prob", "vote"])
@pytest.mark.parametrize("seed", range(5))
def test_zero_label_against_plain_loops(by, seed):
    probabilities = np.random.default_rng(seed).dirichlet([0.5, 0.5, 0.5], (7, 9))
    assert zero_label(probabilities, by) == pytest.approx(naive_zero_label(probabilities.tolist(), by))


def test_spell_is_minus_the_mean_perplexity():
    assert spell([[10.0, 20.0], [5.0, 7.0]]).tolist() == [-15, -6]


@pytest.mark.parametrize("score", [mutual_information, local_entropy, global_entropy, zero_label])
@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.zeros((0, 3, 2)), r"no prompts; choosing a prompt needs at least 1"),
        (np.zeros((3, 0, 2)), r"no texts; .*at least 1"),
        (np.ones((3, 4, 1)), r"1 labels; .*at least 2"),
        (np.ones((4, 2)), r"\(prompts, texts, labels\); these have \(4, 2\)"),
        ([[[0.5, 0.5], [0.5, 0.6]]], r"prompt 1, text 2: 0\.5, 0\.6 are no probabilities"),
        ([[[0.5, 0.5]], [[1.5, -0.5]]], r"prompt 2, text 1: 1\.5, -0\.5 are no"),
        ([[[float("nan"), 0.5]]], r"prompt 1, text 1: nan, 0\.5 are no"),
    ],
)
def test_what_is_no_pool_of_answers_is_refused(score, probabilities, message):
    with pytest.raises(InputError, match=message):
        score(probabilities)


def test_unknown_pseudo_labels_are_refused():
    with pytest.raises(InputError, match=r"log, prob or vote, not 'sum'"):
        zero_label(FOUR, "sum")


@pytest.mark.parametrize(
    ("perplexities", "message"),
    [
        (np.zeros((0, 3)), r"shape \(prompts, texts\)"),
        (np.zeros((3, 0)), r"shape \(prompts, texts\)"),
        ([[3.0, float("inf")]], r"prompt 1, text 2: inf is no perplexity"),
        ([[3.0], [0.0]], r"prompt 2, text 1: 0\.0 is no perplexity"),
    ],
)
def test_what_is_no_perplexity_is_refused(perplexities, message):
    with pytest.raises(InputError, match=message):
        spell(perplexities)
