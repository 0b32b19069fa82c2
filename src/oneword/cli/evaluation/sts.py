"""`oneword eval sts`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    Run,
    allow_missing_option,
    asked_tasks,
    check_scipy,
    data_option,
    evaluation_options,
    methods_option,
    open_embedders,
    tasks_option,
)
from oneword.cli.options import ModelOptions, json_option, model_options_without_method
from oneword.cli.tables import print_table
from oneword.evaluation.sentence_pairs import TESTS, SentencePairs, find_task, missing_folder, read_pairs
from oneword.extras import check_extra

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.results import Result


@click.command()
@data_option
@tasks_option
@allow_missing_option
@methods_option
@json_option
@evaluation_options
@model_options_without_method
def sts(
    data: Path | None,
    tasks: list[str],
    allow_missing: bool,
    methods: tuple[str, ...],
    as_json: bool,
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Semantic textual similarity: STS12 to STS16, STS-B and SICK-R.

    Spearman x 100 between cosines and gold scores, over all pairs of a task together, and the average over the tasks,
    with 95% intervals by a paired bootstrap over pairs; with several layers, a row for each. STSB-dev and SICKR-dev
    are there for choosing. Without --data, the tasks come from the Hugging Face Hub.

    \b
    oneword eval sts --data SentEval/data/downstream --method prompteol --method metaeol --layer proportional
    """  # noqa: D301 - click reads the backspaces
    check_scipy()
    pairs = read_tasks(data, tasks, allow_missing)
    embedders = open_embedders(methods, model_options)
    from oneword.evaluation.table import as_fields, cells, headings, make_rows

    with evaluation_options.run() as run:
        rows = make_rows([row for embedder in embedders for row in score_layers(embedder, pairs, run)])
    if as_json:
        click.echo(json.dumps({"tasks": [task.task for task in pairs], "rows": as_fields(rows)}, ensure_ascii=False))
    else:
        print_table(cells(rows), headings(rows))


def score_layers(embedder: Embedder, pairs: Sequence[SentencePairs], run: Run) -> list[list[Result]]:
    """An embedder's results on every task, for each of its layers."""
    from oneword.evaluation.sts import evaluate_sts

    by_task = []
    for task in pairs:
        with run.progress(len({*task.first, *task.second}), f"{embedder.method.name}, {task.task}") as bar:
            by_task.append(evaluate_sts(embedder, task, run.folder, run.store, run.command, bar.update))
    return [list(results) for results in zip(*by_task)]


def read_tasks(data: Path | None, tasks: list[str], allow_missing: bool) -> list[SentencePairs]:
    """The pairs of the tasks that are asked for, read and checked before any model is loaded."""
    if data is None:
        check_extra("eval", "datasets", "the Hub's datasets")
        from oneword.evaluation.hub import load_pairs

        return [load_pairs(task) for task in dict.fromkeys(map(find_task, tasks)) or TESTS]
    wanted = asked_tasks(tasks, TESTS, find_task, lambda task: missing_folder(data, task), allow_missing, data)
    return [read_pairs(data, task) for task in wanted]
