"""`oneword eval prompts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

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
    from oneword.evaluation.sweeps import SubsetSize


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
    pairs = sweep_options.read_tasks()
    embedder = open_embedders([whole], model_options)[0]
    from oneword.evaluation.sweeps import Point, Sweep

    with evaluation_options.run() as run:
        sizes = _score_sizes(embedder, pairs, run)
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


def _score_sizes(embedder: Embedder, pairs: Sequence[SentencePairs], run: Run) -> list[SubsetSize]:
    """Each size's subsets by their average over the tasks."""
    from oneword.evaluation.sweeps import SubsetSize, draw_subsets, score_subsets

    method = embedder.method
    subsets = draw_subsets(len(method.prompts))
    by_task = []
    for task in pairs:
        with run.progress(len({*task.first, *task.second}), f"{method.name}, {task.task}") as bar:
            answers = run.store.answers(embedder, [*task.first, *task.second], bar.update)[:, :, 0]
        by_task.append(score_subsets(subsets, answers, task, method))
    return [
        SubsetSize(size, {subset: float(np.mean([task[size - 1][subset] for task in by_task])) for subset in of_size})
        for size, of_size in enumerate(subsets, 1)
    ]
