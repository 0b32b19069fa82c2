"""What the selection experiment says: how good the choices are, in the layout of FUTE's Table 3, and its map."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from oneword.evaluation.results import now, versions
from oneword.tasks.map import FEWEST, make_map
from oneword.tasks.map_page import write_map_page
from oneword.tasks.map_picture import draw_map
from oneword.tasks.selection.choices import Choice, ChoiceByLot, choice_by_lot, make_choice, mean_choice
from oneword.tasks.selection.experiment import TaskScores
from oneword.tasks.selection.experiment_tasks import INFERENCE, SENTIMENT
from oneword.tasks.task_embedding import TaskEmbedding
from oneword.whole_file import write_whole

ALL, BY_LOT = "all", "by lot"
KINDS = {SENTIMENT: "SA", INFERENCE: "NLI"}
_MEASURES = ("performance", "rate", "NDCG")


@dataclass(frozen=True)
class Block:
    """One family of candidates on some tasks.

    Args:
        model: the family's name.
        over: a task's name, one of :data:`KINDS`'s, or :data:`ALL`.
        choices: by method, the mean over the tasks.
        by_lot: what choosing by lot reaches.
    """

    model: str
    over: str
    choices: Mapping[str, Choice]
    by_lot: ChoiceByLot


@dataclass(frozen=True)
class Report:
    """All blocks: of each model each task, each kind of task with several, and all."""

    blocks: tuple[Block, ...]

    def averages(self, model: str) -> list[Block]:
        """The blocks of a model that are averages: the kinds of task, and all."""
        return [one for one in self.blocks if one.model == model and one.over in (*KINDS.values(), ALL)]

    @property
    def models(self) -> tuple[str, ...]:
        """The families' names."""
        return tuple(dict.fromkeys(one.model for one in self.blocks))

    def rows(self, model: str) -> tuple[list[str], list[list[str]]]:
        """Headings and cells of a model's table, in percent: a row for each method, and one for choosing by lot."""
        blocks = self.averages(model)
        methods = dict.fromkeys(method for block in blocks for method in block.choices)
        rows = [[method, *(cell for block in blocks for cell in _cells(block, method))] for method in methods]
        rows.append([BY_LOT, *(cell for block in blocks for cell in _cells_by_lot(block.by_lot))])
        return ["chosen by", *(f"{block.over} {measure}" for block in blocks for measure in _MEASURES)], rows


def make_report(found: Sequence[TaskScores], seed: int = 0) -> Report:
    """How good each method's choices are, for each model.

    Args:
        found: what :class:`~oneword.tasks.selection.experiment.SelectionExperiment` found.
        seed: of the choices by lot.
    """
    blocks = []
    for model in dict.fromkeys(one.model for one in found):
        own = [one for one in found if one.model == model]
        parts = {one.task: [one] for one in own}
        parts |= {name: [one for one in own if one.kind == kind] for kind, name in KINDS.items()}
        parts[ALL] = own
        blocks += [_block(model, over, some, seed) for over, some in parts.items() if some]
    return Report(tuple(blocks))


def as_markdown(report: Report, found: Sequence[TaskScores]) -> str:
    """Tables for people: the choices, the accuracy of every candidate, and what was chosen for each task."""
    parts = []
    for model in report.models:
        parts.append(f"**{model}** (in percent; of chance, the middle 95%)\n\n{_table(*report.rows(model))}")
        own = [one for one in found if one.model == model]
        names = list(dict.fromkeys(name for one in own for name in one.candidates))
        rows = []
        for name in names:
            known = [dict(zip(one.candidates, one.accuracies)) for one in own]
            rows.append([name, *("" if name not in one else f"{100 * one[name]:.1f}" for one in known)])
        tasks = [f"{one.task} ({one.examples:,})" for one in own]
        parts.append(f"Accuracies of {model}:\n\n{_table(['candidate', *tasks], rows)}")
        methods = dict.fromkeys(method for one in own for method in one.scores)
        rows = [[method, *(one.chosen(method) if method in one.scores else "" for one in own)] for method in methods]
        parts.append(f"Chosen:\n\n{_table(['chosen by', *(one.task for one in own)], rows)}")
    return "\n".join(parts)


def as_fields(report: Report, found: Sequence[TaskScores]) -> dict[str, Any]:
    """For programs."""
    return {
        "choices": [asdict(block) for block in report.blocks],
        "tasks": [{**asdict(one), "chosen": {method: one.chosen(method) for method in one.scores}} for one in found],
    }


def write_report(
    report: Report,
    found: Sequence[TaskScores],
    folder: Path,
    facts: Mapping[str, Any],
    embeddings: Sequence[TaskEmbedding] = (),
) -> list[Path]:
    """Write ``results.json``, ``table.md``, and ``map.html`` with ``map.png`` where there are task embeddings.

    The picture needs the extra ``viz`` and is left out without it.

    Args:
        report: the report.
        found: what it is of.
        folder: where to.
        facts: what else belongs into ``results.json``, as the options.
        embeddings: what the map shows.

    Returns:
        What was written.

    Raises:
        OutputError: it cannot be written.
    """
    fields = {**as_fields(report, found), **facts, "versions": versions(), "date": now()}
    paths = [folder / "results.json", folder / "table.md"]
    for path, text in zip(paths, (json.dumps(fields, indent=1), as_markdown(report, found))):
        write_whole(path, text.encode())
    if len(embeddings) >= FEWEST:
        made = make_map(embeddings)
        paths.append(folder / "map.html")
        write_map_page(made, paths[-1], names=True)
        if find_spec("matplotlib") is not None:
            paths.append(folder / "map.png")
            draw_map(made, paths[-1], labels=True)
    return paths


def _block(model: str, over: str, found: Sequence[TaskScores], seed: int) -> Block:
    methods = [method for method in found[0].scores if all(method in one.scores for one in found)]
    choices = {
        method: mean_choice([make_choice(method, one.scores[method], one.accuracies) for one in found])
        for method in methods
    }
    return Block(model, over, choices, choice_by_lot({one.task: one.accuracies for one in found}, seed=seed))


def _cells(block: Block, method: str) -> list[str]:
    choice = block.choices.get(method)
    if choice is None:
        return [""] * len(_MEASURES)
    return [f"{100 * value:.1f}" for value in (choice.performance, choice.rate, choice.ndcg)]


def _cells_by_lot(chance: ChoiceByLot) -> list[str]:
    both = (
        (chance.performance, chance.performance_interval),
        (chance.rate, chance.rate_interval),
        (chance.ndcg, chance.ndcg_interval),
    )
    return [f"{100 * mean:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})" for mean, interval in both]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
