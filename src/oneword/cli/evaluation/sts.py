"""`oneword eval sts`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
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
    from oneword.evaluation.sts import evaluate_sts
    from oneword.evaluation.table import as_fields, cells, headings, make_rows

    results = []
    with evaluation_options.run() as run:
        for embedder in embedders:
            by_layer = []
            for task in pairs:
                with run.progress(len({*task.first, *task.second}), f"{embedder.method.name}, {task.task}") as bar:
                    by_layer.append(evaluate_sts(embedder, task, run.folder, run.store, run.command, bar.update))
            results += [list(row) for row in zip(*by_layer)]
    rows = make_rows(results)
    if as_json:
        click.echo(json.dumps({"tasks": [task.task for task in pairs], "rows": as_fields(rows)}, ensure_ascii=False))
    else:
        print_table(cells(rows), headings(rows))


def read_tasks(data: Path | None, tasks: list[str], allow_missing: bool) -> list[SentencePairs]:
    """The pairs of the tasks that are asked for, read and checked before any model is loaded."""
    if data is None:
        check_extra("eval", "datasets", "the Hub's datasets")
        from oneword.evaluation.hub import load_pairs

        return [load_pairs(task) for task in dict.fromkeys(map(find_task, tasks)) or TESTS]
    wanted = asked_tasks(tasks, TESTS, find_task, lambda task: missing_folder(data, task), allow_missing, data)
    return [read_pairs(data, task) for task in wanted]
