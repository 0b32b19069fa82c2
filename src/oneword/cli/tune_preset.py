"""`oneword tune --preset`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.evaluation.options import EvaluationOptions
from oneword.cli.options import ModelOptions
from oneword.cli.tables import print_table

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.answer_store import AnswerStore
    from oneword.evaluation.intervals import RowIntervals
    from oneword.evaluation.preset_search import Candidate
    from oneword.evaluation.sentence_pairs import SentencePairs
    from oneword.method import Method

# Nothing else is looked at: no test set
TASKS = ("STSB-train", "STSB-dev", "SICKR-train")
SEARCHED = ("prompteol", "pretended_cot", "knowledge", "metaeol")  # the prompts of these
_LOWEST_LAYER = 0.6  # of the depth
_SHOWN = 8
_SCREENED_SHARE = 5  # steerings are compared on a fifth of the pairs; the best is then tried on all


def tune_preset(
    data: Path,
    pairs: int,
    output: Path,
    name: str,
    force: bool,
    as_json: bool,
    run_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Find the prompts, layer and calibration that do best, then the steering of these; write them as a method."""
    from oneword.evaluation.sentence_pairs import read_pairs
    from oneword.prompting.method_folder import check_method_folder
    from oneword.registry import find_method

    check_method_folder(output, force)
    tasks = [read_pairs(data, task).evenly(pairs) for task in TASKS]
    prompts = list(dict.fromkeys(prompt for method in SEARCHED for prompt in find_method(method).prompts))
    searched = replace(find_method("metaeol"), name="searched", prompts=prompts)
    whole = replace(model_options, method=None, layer=-1).embedder()
    depth = whole.layers[0]
    layers = list(range(max(1, round(_LOWEST_LAYER * depth)), depth + 1))
    from oneword.evaluation.preset_search import PresetSearch
    from oneword.evaluation.tuning import make_grid, paper_blocks

    steerings = make_grid(searched, paper_blocks(depth), (1.0, 2.0))
    whole.with_method(searched, steering=steerings[0])  # what cannot be steered is told now
    with run_options.run() as run:
        embedder = whole.with_method(searched, layer=layers)
        with run.progress(0, "tune --preset") as bar:
            search = PresetSearch(embedder, tasks, run.store, bar.update)
            few = [task.evenly(max(10, len(task) // _SCREENED_SHARE)) for task in tasks]
            screen = PresetSearch(embedder, few, run.store, bar.update)
            bar.total = 2 * search.texts
            unsteered = search.unsteered()
            bar.total = 2 * search.texts + len(unsteered[0].prompts) * screen.texts
            screened = screen.steered(unsteered[0], [steering.resolved(depth) for steering in steerings])
            steered = [search.rescored(one) for one in screened[:1]]
        best = max([unsteered[0], *steered], key=lambda one: one.score)
        plain = next(one for one in unsteered if not one.chain)
        rows = {
            "prompteol": find_method("prompteol"),
            "metaeol, proportional layer": replace(find_method("metaeol"), layer="proportional"),
            "best uncalibrated": plain.method(searched, "uncalibrated"),
            "best unsteered": unsteered[0].method(searched, "unsteered"),
            "best": best.method(searched, name),
        }
        scores, intervals = _scored(whole, list(rows.values()), tasks, run.store)
    whole.with_method(rows["best"]).save_method(output, overwrite=force)
    found = [*unsteered[:_SHOWN], *steered]
    if as_json:
        tried = [_fields(one, searched) for one in found]
        click.echo(json.dumps({"written": str(output), "best": _fields(best, searched), "tried": tried}))
        return
    lines = []
    for row, score, interval in zip(rows, scores, intervals):
        gain = f"{interval.difference:+}" if interval.difference is not None else ""
        lines.append([row, f"{score:.2f}", f"{interval.average}", gain])
    print_table(lines, ["", "mean", "95% interval", "gain, 95% interval"])
    click.echo(f"\nthe {_SHOWN} best without steering, and the best with:")
    shown = [[f"{one.score:.2f}", *(f"{score:.2f}" for score in one.scores), _line(one, searched)] for one in found]
    print_table(shown, ["mean", *TASKS, ""])
    asked = ["oneword", "eval", "sts", "--data", str(data), "--tasks", "STS12,STSB,SICKR"]
    asked += [*model_options.model_arguments(), "--method", "prompteol", "--method", f"{output}/"]
    click.echo(
        f"\n{output}: {_line(best, searched)}. It was chosen on this data, so its gain is too high; confirm it on a "
        f"test set:\n{shlex.join(asked)}"
    )


def _scored(
    model: Embedder, methods: Sequence[Method], tasks: Sequence[SentencePairs], store: AnswerStore
) -> tuple[list[float], list[RowIntervals]]:
    """Each method's mean score, and the intervals of that and of its difference to the first's."""
    from statistics import fmean

    from oneword.evaluation.intervals import bootstrap_rows, spearman
    from oneword.evaluation.sts import cosines

    items: list[list[Any]] = []
    for method in methods:
        embedder = model.with_method(method)
        vectors = [store.vectors(embedder, [*task.first, *task.second])[:, 0] for task in tasks]
        items.append([{"cosine": cosines(one).tolist(), "gold": task.gold} for one, task in zip(vectors, tasks)])
    scores = [fmean(spearman(one["cosine"], one["gold"]) for one in row) for row in items]
    return scores, bootstrap_rows(items)


def _line(one: Candidate, searched: Method) -> str:
    from oneword.calibration.recipe import Calibration

    steering = one.steering
    how = "" if steering is None else f"; block {steering.layer}, {steering.norm} {steering.scale:g}"
    prompts = ", ".join(searched.prompts[place].name for place in one.prompts)
    return f"layer {one.layer}; {Calibration(one.chain) if one.chain else 'uncalibrated'}{how}; {prompts}"


def _fields(one: Candidate, searched: Method) -> dict[str, Any]:
    return {"score": one.score, "scores": dict(zip(TASKS, one.scores)), "what": _line(one, searched)}
