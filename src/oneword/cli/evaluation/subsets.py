"""`oneword eval prompts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    Run,
    check_scipy,
    evaluation_options,
    open_embedders,
    refuse_several_layers,
)
from oneword.cli.evaluation.sweeps import SweepOptions, sweep_options
from oneword.cli.options import ModelOptions, model_options_without_method
from oneword.errors import InputError
from oneword.evaluation.sentence_pairs import SentencePairs

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.sweeps import Subset


@click.command()
@click.option("--method", default="metaeol", show_default=True, metavar="NAME", help="One of several prompts.")
@sweep_options("")
@evaluation_options
@model_options_without_method
def prompts(
    method: str, sweep_options: SweepOptions, evaluation_options: EvaluationOptions, model_options: ModelOptions
) -> None:
    """Score every subset of a method's prompts, by size (MetaEOL, Figure 3).

    Mean and spread over all subsets of a size; of methods of more than ten prompts, over 60 subsets. Each prompt is
    asked once of a text.

    \b
    oneword eval prompts --data DIR --method metaeol --tasks STSB --plot prompts.png
    """  # noqa: D301 - click reads the backspaces
    from oneword.registry import find_method

    check_scipy()
    refuse_several_layers(model_options)
    whole = find_method(method)
    if len(whole.prompts) < 2:
        raise InputError(f"method '{method}' has one prompt, so there are no subsets; give one of several")
    if whole.weights:
        raise InputError(f"method '{method}' has weights, which subsets of its prompts have not; leave them out")
    if whole.calibration is not None:
        raise InputError(f"method '{method}' is calibrated, which subsets of its prompts are not; leave that out")
    pairs = sweep_options.read_tasks()
    embedder = open_embedders([whole], model_options)[0]
    from oneword.evaluation.sweeps import Point, Sweep, by_size

    with evaluation_options.run() as run:
        sizes = by_size([_score_subsets(embedder, task, run) for task in pairs])
        sweep = Sweep(
            kind="prompts",
            axis="prompts",
            band="± one standard deviation over subsets",
            method=whole.name,
            model=embedder.model,
            fingerprint=embedder.fingerprint,
            tasks=[task.task for task in pairs],
            points=[Point(one.size, one.mean, one.mean - one.deviation, one.mean + one.deviation) for one in sizes],
            command=run.command,
        )
        lines = [
            [
                str(one.size),
                str(len(one.scores)),
                f"{one.mean:.2f}",
                f"{one.deviation:.2f}",
                f"{min(one.scores.values()):.2f}",
                f"{max(one.scores.values()):.2f}",
                ", ".join(whole.prompts[place].name or str(place + 1) for place in one.best),
            ]
            for one in sizes
        ]
        headings = ["prompts", "subsets", "mean", "std", "worst", "best", "the best subset"]
        sweep_options.show(run, [sweep], headings, lines)


def _score_subsets(embedder: Embedder, pairs: SentencePairs, run: Run) -> dict[Subset, float]:
    """The score of each subset on a task; found again where they were kept."""
    from oneword.evaluation.results import digest_of
    from oneword.evaluation.sweeps import draw_subsets, score_subsets

    name, data = f"{pairs.task}-subsets", digest_of(pairs.first, pairs.second, pairs.gold)
    run.store.claim(embedder)
    kept = run.folder.read_fields(embedder.fingerprint, name)
    if kept.get("data") == data:
        return {tuple(map(int, key.split(","))): score for key, score in kept["scores"].items()}
    with run.progress(len({*pairs.first, *pairs.second}), f"{embedder.method.name}, {pairs.task}") as bar:
        answers = run.store.answers(embedder, [*pairs.first, *pairs.second], bar.update)[:, :, 0]
    scores = score_subsets(draw_subsets(len(embedder.method.prompts)), answers, pairs, embedder.method)
    named = {",".join(map(str, subset)): score for subset, score in scores.items()}
    run.folder.write_fields(embedder.fingerprint, name, {"data": data, "command": run.command, "scores": named})
    return scores
