"""How good the choice of a prompt is, where every prompt's accuracy is known (FUTE, section 5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import InputError
from oneword.evaluation.intervals import Interval
from oneword.tasks.ranking import ndcg, random_ranking

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What a selection method chose for one task, or the mean over several.

    Args:
        method: its name.
        chosen: the prompts of the highest score, by their place from 0; none where it is a mean over tasks.
        performance: accuracy of the chosen prompt, 0 to 1; the mean over those of the same score.
        rate: performance rate: that divided by the best prompt's accuracy.
        ndcg: of all prompts ranked by their scores, 0 to 1.
    """

    method: str
    chosen: tuple[int, ...]
    performance: float
    rate: float
    ndcg: float


@dataclass(frozen=True)
class ChoiceByLot:
    """What choosing and ranking by lot reaches, averaged over tasks: what a method has to be better than.

    Args:
        performance: expected, exactly.
        performance_interval: the middle 95 % of the averages of choices by lot.
        rate: as for the performance.
        rate_interval: as for the performance.
        ndcg: as for the performance.
        ndcg_interval: as for the performance, of rankings by lot.
    """

    performance: float
    performance_interval: Interval
    rate: float
    rate_interval: Interval
    ndcg: float
    ndcg_interval: Interval


def make_choice(method: str, scores: ArrayLike, accuracies: ArrayLike) -> Choice:
    """What a method's scores choose, and how good that is.

    Args:
        method: its name.
        scores: (prompts,), larger is better.
        accuracies: (prompts,), 0 to 1.

    Raises:
        InputError: no prompts, another number of scores than of accuracies, one that is not a finite number, an
            accuracy that is none, or scikit-learn is not installed.
    """
    gained = ndcg(scores, accuracies)  # checks both
    truth = _checked(accuracies)
    chosen = best_prompts(scores)
    performance = float(truth[list(chosen)].mean())
    return Choice(method, chosen, performance, float(_rate(np.array(performance), truth)), gained)


def best_prompts(scores: ArrayLike) -> tuple[int, ...]:
    """The places of the highest score, from 0.

    Raises:
        InputError: there are no scores, or one is not a finite number.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InputError(f"choosing needs a list of finite scores, one a prompt, not {array.tolist()}")
    return tuple(np.flatnonzero(array == array.max()).tolist())


def mean_choice(choices: Sequence[Choice]) -> Choice:
    """The mean over tasks of what one method chose.

    Raises:
        InputError: there are none, or they are of several methods.
    """
    methods = {choice.method for choice in choices}
    if len(methods) != 1:
        raise InputError(f"a mean is over the choices of one method, not of {', '.join(sorted(methods)) or 'none'}")
    performance, rate, gained = np.mean([(one.performance, one.rate, one.ndcg) for one in choices], axis=0).tolist()
    return Choice(methods.pop(), (), performance, rate, gained)


def choice_by_lot(accuracies_by_task: Mapping[str, ArrayLike], draws: int = 10_000, seed: int = 0) -> ChoiceByLot:
    """What choosing a prompt by lot for each task reaches.

    The expectations are exact; the intervals are of random choices and rankings, one for each task and draw.

    Args:
        accuracies_by_task: of each task those of its prompts, 0 to 1; tasks can have different numbers of them.
        draws: how many times a prompt is drawn for every task.
        seed: the same seed gives the same intervals.

    Raises:
        InputError: no tasks, or accuracies as for :func:`make_choice`.
    """
    ranked = random_ranking(accuracies_by_task, draws, seed)
    generator = np.random.default_rng([seed, 1])
    tasks = [_checked(accuracies) for accuracies in accuracies_by_task.values()]
    drawn = [generator.choice(truth, draws) for truth in tasks]
    rates = [_rate(some, truth) for some, truth in zip(drawn, tasks)]
    return ChoiceByLot(
        performance=float(np.mean([truth.mean() for truth in tasks])),
        performance_interval=_middle(np.mean(drawn, axis=0)),
        rate=float(np.mean([_rate(truth, truth).mean() for truth in tasks])),
        rate_interval=_middle(np.mean(rates, axis=0)),
        ndcg=ranked.ndcg,
        ndcg_interval=ranked.ndcg_interval,
    )


def _checked(accuracies: ArrayLike) -> Floats:
    truth = np.asarray(accuracies, dtype=np.float64)
    if (truth < 0).any() or (truth > 1).any():
        raise InputError(f"accuracies lie between 0 and 1, not at {truth[(truth < 0) | (truth > 1)][0]:g}")
    return truth


def _rate(performance: Floats, truth: Floats) -> Floats:
    """Performances by the best prompt's; 1 where no prompt is ever right, so that any is the best."""
    best = truth.max()
    return performance / best if best else np.ones_like(performance)


def _middle(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
