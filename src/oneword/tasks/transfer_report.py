"""What the transfer experiment says: how good each method's rankings of the sources are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.evaluation.intervals import Interval
from oneword.tasks.collection import Split
from oneword.tasks.ranking import ndcg, random_ranking, rank_of_best
from oneword.tasks.ranking_methods import FUTE
from oneword.tasks.transfer import Found

ALL_MODELS = "all models"
# What compares sources of different models; the other methods have a space for each model
_ACROSS_MODELS = (*FUTE, "datasize", "curvegrad")
_DRAWS = 10_000

Scores = Mapping[str, Mapping[str, float]]  # by target and source


@dataclass(frozen=True)
class Line:
    """One method's rankings in one setting, averaged over the targets.

    Args:
        model: whose sources are ranked, or :data:`ALL_MODELS`.
        setting: one of :data:`~oneword.tasks.ranking_methods.SETTINGS`.
        method: what ranks, or ``"random"``.
        rank: average rank of the source that brings the largest gain; 1 is best.
        rank_interval: 95 %, over targets drawn anew; of ``random``, over random rankings.
        ndcg: in percent.
        ndcg_interval: as for the rank.
        targets: how many.
        candidates: how many sources a target has, on average.
    """

    model: str
    setting: str
    method: str
    rank: float
    rank_interval: Interval
    ndcg: float
    ndcg_interval: Interval
    targets: int
    candidates: float


def make_report(found: Sequence[Found], splits: Mapping[str, Split], settings: Sequence[str]) -> list[Line]:
    """A line for each model, setting and method; and for all models together where there are several."""
    lines = []
    for setting in settings:
        allowed = _allowed(setting, splits)
        for one in found:
            lines += _lines(one.model, setting, _kept(one.gains, allowed), one.scores, allowed)
        if len(found) > 1:
            gains, scores = _joined(found)
            lines += _lines(ALL_MODELS, setting, _kept(gains, allowed), scores, allowed)
    return lines


def as_fields(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(line) for line in lines]


def as_markdown(lines: Sequence[Line], found: Sequence[Found]) -> str:
    """Tables for people: the rankings, and what every source brought."""
    parts = []
    for model, setting in dict.fromkeys((line.model, line.setting) for line in lines):
        here = [line for line in lines if (line.model, line.setting) == (model, setting)]
        first = here[0]
        parts.append(
            f"**{model}**, {setting}: {first.targets} targets, {first.candidates:.1f} sources each\n\n"
            "| method | rank of the best source | 95% interval | NDCG | 95% interval |\n"
            "| --- | --- | --- | --- | --- |\n"
            + "".join(
                f"| {line.method} | {line.rank:.2f} | {line.rank_interval} | {line.ndcg:.1f} | {line.ndcg_interval} |\n"
                for line in here
            )
        )
    for one in found:
        names = sorted(one.gains)
        rows = "".join(
            f"| {target} | {one.base[target]:.1f} | "
            + " | ".join("" if source == target else f"{one.gains[target][source]:+.1f}" for source in names)
            + " |\n"
            for target in names
        )
        parts.append(
            f"**{one.model}**: each target's score (row) from the pretrained model, and what each source (column) "
            "adds\n\n"
            f"| target | pretrained | {' | '.join(names)} |\n| --- | --- |{' --- |' * len(names)}\n{rows}"
        )
    return "\n".join(parts)


def _allowed(setting: str, splits: Mapping[str, Split]) -> Callable[[str, str], bool]:
    """Whether a source may be ranked for a target."""

    def answers(name: str) -> bool:
        return splits[name].train.kind == "span"

    if setting == "all-class":
        return lambda target, source: True
    if setting == "cross-domain":
        return lambda target, source: splits[target].domain != splits[source].domain
    return lambda target, source: answers(target) == answers(source)


def _kept(scores: Scores, allowed: Callable[[str, str], bool]) -> dict[str, dict[str, float]]:
    """Only what may be ranked; a target needs two sources."""
    kept = {
        target: {name: value for name, value in row.items() if allowed(target, name.rpartition("/")[2])}
        for target, row in scores.items()
    }
    return {target: row for target, row in kept.items() if len(row) > 1}


def _lines(
    model: str,
    setting: str,
    gains: Mapping[str, Mapping[str, float]],
    scores: Mapping[str, Scores],
    allowed: Callable[[str, str], bool],
) -> list[Line]:
    if not gains:
        return []
    candidates = float(np.mean([len(row) for row in gains.values()]))
    lines = []
    for method, by_target in scores.items():
        kept = _kept(by_target, allowed)
        columns = [([kept[target][name] for name in row], list(row.values())) for target, row in gains.items()]
        ranks = np.array([rank_of_best(*column) for column in columns])
        gained = 100 * np.array([ndcg(*column) for column in columns])
        lines.append(Line(model, setting, method, *_averaged(ranks), *_averaged(gained), len(gains), candidates))
    lot = random_ranking({target: list(row.values()) for target, row in gains.items()})
    percent = Interval(100 * lot.ndcg_interval.low, 100 * lot.ndcg_interval.high)
    chance = Line(
        model, setting, "random", lot.rank, lot.rank_interval, 100 * lot.ndcg, percent, len(gains), candidates
    )
    return [*lines, chance]


def _averaged(values: NDArray[np.float64]) -> tuple[float, Interval]:
    """The mean, and its interval over targets drawn anew."""
    drawn = np.random.default_rng(0).choice(values, (_DRAWS, len(values))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(values.mean()), Interval(float(low), float(high))


def _joined(found: Sequence[Found]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, dict[str, float]]]]:
    """The sources of all models as the candidates of one ranking, named ``model/source``."""

    def join(each: Sequence[Scores]) -> dict[str, dict[str, float]]:
        return {
            target: {
                f"{one.model}/{source}": value
                for one, scores in zip(found, each)
                for source, value in scores[target].items()
            }
            for target in found[0].gains
        }

    methods = [method for method in found[0].scores if method in _ACROSS_MODELS]
    return join([one.gains for one in found]), {
        method: join([one.scores[method] for one in found]) for method in methods
    }
