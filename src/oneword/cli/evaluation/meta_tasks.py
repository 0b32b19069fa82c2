"""`oneword eval tasks`."""

from __future__ import annotations

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    check_scipy,
    evaluation_options,
    open_embedders,
    refuse_several_layers,
)
from oneword.cli.evaluation.sts import score_layers
from oneword.cli.evaluation.sweeps import SweepOptions, sweep_of, sweep_options
from oneword.cli.options import ModelOptions, model_options_without_method


@click.command()
@click.option("--method", default="metaeol", show_default=True, metavar="NAME", help="One with several meta-tasks.")
@sweep_options("")
@evaluation_options
@model_options_without_method
def tasks(
    method: str, sweep_options: SweepOptions, evaluation_options: EvaluationOptions, model_options: ModelOptions
) -> None:
    """Add a method's meta-tasks one at a time (MetaEOL, Table 4).

    Each row has the prompts of one more meta-task, in the method's order; no prompt is asked twice of a text.

    \b
    oneword eval tasks --data DIR --layer proportional --plot tasks.png
    """  # noqa: D301 - click reads the backspaces
    from oneword.evaluation.sweeps import by_meta_tasks
    from oneword.registry import find_method

    check_scipy()
    refuse_several_layers(model_options)
    whole = find_method(method)
    steps = by_meta_tasks(whole)
    pairs = sweep_options.read_tasks()
    embedders = open_embedders(steps, model_options)
    from oneword.evaluation.table import cells, headings, make_rows

    with evaluation_options.run() as run:
        rows = make_rows([row for embedder in embedders for row in score_layers(embedder, pairs, run)])
        labels = [step.name.removeprefix(f"{whole.name}: ") for step in steps]
        sweep = sweep_of("tasks", "meta-tasks", whole.name, rows, run, labels)
        sweep_options.show(run, [sweep], headings(rows), cells(rows))
