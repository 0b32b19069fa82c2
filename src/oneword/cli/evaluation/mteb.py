"""`oneword eval mteb`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    evaluation_options,
    methods_option,
    open_embedders,
    parse_names,
)
from oneword.cli.options import ModelOptions, json_option, model_options_without_method
from oneword.cli.tables import print_table
from oneword.errors import InputError

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.mteb_tasks import MtebTask
    from oneword.evaluation.results import Result
    from oneword.method import Method


@click.command()
@click.option(
    "--tasks",
    required=True,
    callback=parse_names,
    metavar="A,B",
    help="mteb's names of tasks; NAME:SUBSET for one subset; cp-paper for the nine of the CP paper.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Holds a folder for each task, as in DIR/STSBenchmark/test.parquet.  [default: the Hugging Face Hub]",
)
@methods_option
@click.option(
    "--methods-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML whose table [tasks] gives tasks, types of task, or default a method; it is a row of its own.",
)
@json_option
@evaluation_options
@model_options_without_method
def mteb(
    tasks: list[str],
    data: Path | None,
    methods: tuple[str, ...],
    methods_file: Path | None,
    as_json: bool,
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Tasks of the Massive Text Embedding Benchmark, run by mteb itself.

    The main score of each task x 100, and the average over the tasks; of a task that has a test split, only that is
    scored. mteb's own files of results lie in the folder of results too, under mteb. With --data, the Hub is not asked
    for any: a task's folder is a copy of the Hub's, or has train.parquet and test.parquet (or .jsonl, .csv).

    \b
    oneword eval mteb --tasks Banking77Classification,STSBenchmark --method prompteol --method metaeol
    """  # noqa: D301 - click reads the backspaces
    from oneword.evaluation.mteb_encoder import check_mteb, evaluate_mteb, quiet_mteb
    from oneword.evaluation.mteb_tasks import find_tasks, load_tasks, read_methods

    check_mteb()
    if isinstance(model_options.layer, list) or model_options.layer == "all":
        raise InputError("mteb takes one vector a text; give one --layer")
    if not tasks:
        raise InputError("--tasks names no task; as in --tasks STSBenchmark,Banking77Classification")
    found = find_tasks(tasks)
    methods_of_tasks = read_methods(methods_file) if methods_file else {}
    for method in methods_of_tasks.values():  # what is wrong is told before any model is loaded
        method.changed(model_options.steer, model_options.demonstrations)
    with TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        loaded = load_tasks(found, data, Path(cache))
        with quiet_mteb():
            embedders = open_embedders(methods, model_options)
            rows = [_Row(embedder.method.name, [embedder] * len(loaded)) for embedder in embedders]
            if methods_file:
                mapped = _embedders_of_tasks(embedders[0], loaded, methods_of_tasks, model_options)
                rows = [*(rows if methods else ()), _Row(methods_file.name, mapped)]
            with evaluation_options.run() as run:
                results: list[list[Result]] = [[] for _ in rows]
                for number, task in enumerate(loaded):
                    for row, found_here in zip(rows, results):
                        embedder = row.embedders[number]
                        bar = partial(run.progress, what=f"{embedder.method.name}, {task.name}")
                        found_here.append(evaluate_mteb(embedder, task, run.folder, run.store, run.command, bar))
                    if not evaluation_options.keep_vectors:  # they are many, and no other task asks for them
                        run.store.discard()
    if as_json:
        click.echo(json.dumps({"tasks": list(found), "rows": _as_fields(rows, results)}, ensure_ascii=False))
    else:
        print_table(_cells(rows, results), ["method", "layer", *found, "average"])


@dataclass(frozen=True)
class _Row:
    """A row of the table: what it is called, and the embedder of each task."""

    label: str
    embedders: Sequence[Embedder]


def _embedders_of_tasks(
    embedder: Embedder, tasks: Sequence[MtebTask], methods: Mapping[str, Method], options: ModelOptions
) -> list[Embedder]:
    """On the same weights, the embedder of each task's method; the model's default method where none is given."""
    from oneword.evaluation.mteb_tasks import method_of

    return [
        embedder.with_method(
            method_of(task.task, methods),
            layer=options.layer,
            steering=options.steer,
            demonstrations=options.demonstrations,
        )
        for task in tasks
    ]


def _average(results: Sequence[Result]) -> float:
    return sum(result.score for result in results) / len(results)


def _cells(rows: Sequence[_Row], results: Sequence[Sequence[Result]]) -> list[list[str]]:
    return [
        [
            row.label,
            ",".join(dict.fromkeys(str(result.layer) for result in found)),
            *(f"{result.score:.2f}" for result in found),
            f"{_average(found):.2f}",
        ]
        for row, found in zip(rows, results)
    ]


def _as_fields(rows: Sequence[_Row], results: Sequence[Sequence[Result]]) -> list[dict[str, Any]]:
    return [
        {
            "model": found[0].model,
            "method": row.label,
            "methods": {result.task: result.method for result in found},
            "layers": {result.task: result.layer for result in found},
            "fingerprints": {result.task: result.fingerprint for result in found},
            "metrics": {result.task: result.metric for result in found},
            "scores": {result.task: result.score for result in found},
            "average": _average(found),
            "difference": _average(found) - _average(results[0]),
        }
        for row, found in zip(rows, results)
    ]
