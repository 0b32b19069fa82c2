"""Scores along something that is varied: layers, prompts, meta-tasks, wordings."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from oneword.errors import MethodError
from oneword.evaluation.answer_store import Array, combine
from oneword.evaluation.results import now, versions
from oneword.evaluation.sentence_pairs import SentencePairs
from oneword.evaluation.sts import score_pairs
from oneword.evaluation.table import Row
from oneword.method import Method, check_prompts_can_change
from oneword.prompt import Prompt

_ALL_SUBSETS_OF = 10  # prompts; of more, some subsets are drawn


@dataclass(frozen=True)
class Point:
    """One score along a sweep.

    Args:
        x: where on the axis.
        label: what stands there, where that is no number.
        score: average over the tasks, in percent.
        low: of its interval, or of its spread.
        high: likewise.
    """

    x: float
    score: float
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Sweep:
    """One line of a picture, and what is kept of it as JSON.

    Args:
        kind: ``"layers"``, ``"prompts"``, ``"tasks"`` or ``"perturb"``.
        axis: what is varied.
        band: what ``low`` and ``high`` are.
        method: name of the method.
        model: what the model is called.
        fingerprint: of the method's vectors.
        tasks: what the scores are averages over.
        points: the scores.
        command: what was run.
        versions: of the libraries.
        date: when it was made, UTC.
    """

    kind: str
    axis: str
    band: str
    method: str
    model: str
    fingerprint: str
    tasks: Sequence[str]
    points: Sequence[Point]
    command: str
    versions: Mapping[str, str] = field(default_factory=versions)
    date: str = field(default_factory=now)

    def fields(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


Subset = tuple[int, ...]  # places of prompts in their method


@dataclass(frozen=True)
class SubsetSize:
    """All subsets of a method's prompts of one size (MetaEOL, Figure 3).

    Args:
        size: how many prompts.
        scores: of each subset.
    """

    size: int
    scores: Mapping[Subset, float]

    @property
    def mean(self) -> float:
        """Mean over the subsets."""
        return float(np.mean(list(self.scores.values())))

    @property
    def deviation(self) -> float:
        """Standard deviation over the subsets: of all there are, not of a sample."""
        return float(np.std(list(self.scores.values())))

    @property
    def best(self) -> Subset:
        """The subset of the highest score."""
        return max(self.scores, key=self.scores.__getitem__)


def points_of(rows: Sequence[Row], labels: Sequence[str] = ()) -> list[Point]:
    """A table's rows as points with intervals: by layer, or by label in their order."""
    points = []
    for place, row in enumerate(rows):
        assert row.intervals is not None, "rows of a sweep have intervals"
        x, label = (place, labels[place]) if labels else (row.results[0].layer, "")
        interval = row.intervals.average
        points.append(Point(x, row.average, interval.low, interval.high, label))
    return points


def draw_subsets(prompts: int, most: int = 60, seed: int = 1) -> list[Subset]:
    """Subsets of some prompts, small ones first: all of them, or up to ``most`` of a size where there are too many."""
    generator = random.Random(seed)
    subsets: list[Subset] = []
    for size in range(1, prompts + 1):
        if prompts <= _ALL_SUBSETS_OF or math.comb(prompts, size) <= most:
            subsets += itertools.combinations(range(prompts), size)
        else:
            drawn: set[Subset] = set()
            while len(drawn) < most:
                drawn.add(tuple(sorted(generator.sample(range(prompts), size))))
            subsets += sorted(drawn)
    return subsets


def score_subsets(
    subsets: Sequence[Subset], answers: Array, pairs: SentencePairs, method: Method
) -> dict[Subset, float]:
    """The score of each subset of a method's prompts on one task.

    Args:
        subsets: the subsets.
        answers: (prompts, 2n, d), of the first sentences and then of the second.
        pairs: the task.
        method: says how prompts are combined.
    """
    return {
        subset: score_pairs(
            combine((answers[prompt] for prompt in subset), method.combine),
            pairs.gold,
            f"{pairs.task}, {method.name} with prompts {subset}",
        )[0]
        for subset in subsets
    }


def by_size(tasks: Sequence[Mapping[Subset, float]]) -> list[SubsetSize]:
    """The averages of subsets' scores over the tasks, by size."""
    sizes: dict[int, dict[Subset, float]] = {}
    for subset in tasks[0]:
        sizes.setdefault(len(subset), {})[subset] = float(np.mean([task[subset] for task in tasks]))
    return [SubsetSize(size, scores) for size, scores in sorted(sizes.items())]


def by_meta_tasks(method: Method) -> list[Method]:
    """A method's meta-tasks added one at a time, in the order of its prompts (MetaEOL, Table 4).

    Raises:
        MethodError: prompts without a meta-task, or all of one; a method with weights, or with a calibration that was
            fitted on its own prompts.
    """
    check_prompts_can_change(method)
    if method.weights:
        raise MethodError(f"method '{method.name}' has weights, which its meta-tasks alone have not; leave them out")
    groups: dict[str, list[Prompt]] = {}
    for prompt in method.prompts:
        groups.setdefault(prompt.meta_task, []).append(prompt)
    if "" in groups or len(groups) < 2:
        raise MethodError(
            f"method '{method.name}' has no prompts of several meta-tasks to add one at a time; use one such as "
            "metaeol, or give your prompts a meta_task"
        )
    names = list(groups)
    return [
        replace(
            method,
            name=f"{method.name}: {'+ ' if count else ''}{names[count]}",
            prompts=[prompt for name in names[: count + 1] for prompt in groups[name]],
        )
        for count in range(len(names))
    ]
