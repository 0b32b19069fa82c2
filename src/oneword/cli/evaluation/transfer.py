"""`oneword eval transfer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    Run,
    allow_missing_option,
    asked_tasks,
    data_option,
    evaluation_options,
    methods_option,
    open_embedders,
    tasks_option,
)
from oneword.cli.options import ModelOptions, json_option, model_options_without_method
from oneword.cli.tables import print_table
from oneword.errors import InputError
from oneword.evaluation.transfer_data import TASKS, TransferTask, check_folds, find_task, missing_folder, read_task

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.results import Result


@click.command()
@data_option
@tasks_option
@allow_missing_option
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    metavar="K",
    help="Of cross-validation; the papers' figures are of 10, and 5 take a quarter of the time.",
)
@methods_option
@json_option
@evaluation_options
@model_options_without_method
def transfer(
    data: Path | None,
    tasks: list[str],
    allow_missing: bool,
    folds: int,
    methods: tuple[str, ...],
    as_json: bool,
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Transfer tasks: MR, CR, SUBJ, MPQA, SST2, TREC and MRPC.

    Accuracy of a logistic regression on the vectors by SentEval's protocol, and the average over the tasks, with 95%
    intervals by a paired bootstrap over the texts that are scored. The data is SentEval's, in its layout.

    \b
    oneword eval transfer --data SentEval/data/downstream --method prompteol --method metaeol
    """  # noqa: D301 - click reads the backspaces
    from oneword.evaluation.transfer import check_sklearn

    check_sklearn()
    if data is None:
        raise InputError("transfer tasks are read from SentEval's folder; name it with --data")
    names = asked_tasks(tasks, TASKS, find_task, lambda task: missing_folder(data, task), allow_missing, data)
    read = [read_task(data, name) for name in names]
    for task in read:
        check_folds(task, folds)
    embedders = open_embedders(methods, model_options)
    from oneword.evaluation.table import as_fields, cells, headings, make_rows

    with evaluation_options.run() as run:
        rows = make_rows([row for embedder in embedders for row in _score_layers(embedder, read, folds, run)])
    if as_json:
        click.echo(json.dumps({"tasks": names, "folds": folds, "rows": as_fields(rows)}, ensure_ascii=False))
    else:
        print_table(cells(rows), headings(rows))


def _score_layers(embedder: Embedder, tasks: list[TransferTask], folds: int, run: Run) -> list[list[Result]]:
    """An embedder's results on every task, for each of its layers."""
    from oneword.evaluation.transfer import evaluate_transfer

    by_task = []
    for task in tasks:
        with run.progress(len(set(task.texts)), f"{embedder.method.name}, {task.name}") as bar:
            by_task.append(evaluate_transfer(embedder, task, folds, run.folder, run.store, run.command, bar.update))
        stopped = sum(result.sizes["classifiers not converged"] for result in by_task[-1])
        if stopped:
            click.echo(
                f"warning: {stopped} classifiers of {task.name} on {embedder.method.name} stopped before their "
                "optimum, so its accuracy can be a little off",
                err=True,
            )
    return [list(results) for results in zip(*by_task)]
