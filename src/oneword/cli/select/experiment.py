"""`oneword select experiment`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from oneword.cli.evaluation.options import parse_names
from oneword.cli.options import json_option
from oneword.cli.tables import print_table
from oneword.cli.tasks.options import (
    TuningOptions,
    check_packages,
    keeping_bars,
    load_model,
    tuning_options,
    unlabeled_option,
)
from oneword.tasks.selection.methods import METHODS, find_methods


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with SentEval's layout (SST, CR, MR, SICK) and tasks/NAME/{train,test}.jsonl (tweet_emotion, rte).",
)
@click.option("--tasks", callback=parse_names, metavar="A,B", help="Only these.  [default: all that are there]")
@click.option(
    "--models",
    callback=parse_names,
    default="smollm2",
    show_default=True,
    metavar="A,B",
    help="LLMs that are asked with each prompt; embedding:MODEL takes MetaEOL's prompts and classifiers of the other "
    "tasks instead.",
)
@click.option(
    "--select-by",
    callback=parse_names,
    default=",".join(METHODS),
    show_default=True,
    metavar="A,B",
    help="What chooses, beside chance.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    metavar="N",
    help="Texts of each task that every candidate answers.",
)
@click.option(
    "--dte-labels",
    type=click.IntRange(min=4),
    default=100,
    show_default=True,
    metavar="N",
    help="Labels of other texts, which FUTE's methods are given.",
)
@click.option(
    "--source-examples",
    type=click.IntRange(min=4),
    default=1000,
    show_default=True,
    metavar="N",
    help="embedding:MODEL: examples that a classifier is fitted on.",
)
@click.option(
    "--max-reasoning-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    metavar="N",
    help="The most tokens of a chain of thought.",
)
@unlabeled_option
@click.option("--pool-texts", type=click.IntRange(min=2), metavar="N", help="A sample of so many of --unlabeled.")
@click.option(
    "--surrogate",
    default="minilm",
    show_default=True,
    metavar="NAME",
    help="The model on which task embeddings are computed.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Of the models.",
)
@click.option(
    "--quantize",
    type=click.Choice(["none", "int8", "int4"]),
    default="none",
    show_default=True,
    help="Of the models' weights.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/selection"),
    show_default=True,
    metavar="DIR",
    help="Where every finished piece is kept, and found again.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@json_option
@tuning_options
def experiment(
    data: Path,
    tasks: list[str],
    models: list[str],
    select_by: list[str],
    surrogate: str,
    unlabeled: Path | None,
    pool_texts: int | None,
    device: str,
    dtype: str,
    quantize: str,
    results: Path,
    quiet: bool,
    as_json: bool,
    tuning_options: TuningOptions,
    **numbers: int,
) -> None:
    """Which prompt to take: the paper's second experiment, end to end.

    Every model answers sentiment analysis and inference with 13 prompts each; how often a prompt is right is the truth.
    Each method chooses a prompt without looking at it.

    \b
    oneword select experiment --data data --models smollm2,embedding:smollm2 --examples 1000
    """  # noqa: D301 - click reads the backspaces
    methods = tuple(method.name for method in find_methods(select_by))
    check_packages()
    from oneword.cli.startup import prepare_torch

    prepare_torch()
    from oneword.tasks.pool import Pool
    from oneword.tasks.selection.experiment import SelectionExperiment, SelectionPlan
    from oneword.tasks.selection.experiment_report import make_report, write_report
    from oneword.tasks.selection.experiment_tasks import read_tasks
    from oneword.tasks.selection.families import make_families

    seed = numbers["seed"]
    read, missing = read_tasks(data, numbers["examples"], seed, tasks)
    if missing:
        click.echo(f"left out, since their files are not in {data}: {', '.join(missing)}", err=True)
    pool = Pool.of(unlabeled)
    if pool_texts is not None:
        pool = pool.sample(pool_texts, seed)
    plan = SelectionPlan(methods, numbers["dte_labels"], seed, tuning_options.given, tuning_options.paper)
    families = make_families(
        models,
        read,
        max_reasoning_tokens=numbers["max_reasoning_tokens"],
        source_examples=numbers["source_examples"],
        seed=seed,
        folder=results / "texts",
        device=device,
        dtype=dtype,
        quantize=quantize,
    )
    loaded, found = load_model(surrogate, device), []
    with keeping_bars(quiet, results) as bars:
        made = SelectionExperiment(
            plan, read, pool, loaded, results, lambda what, done, of: bars.bar(what, "")(done, of)
        )
        for model, family in families.items():
            found += made.run(model, family)
    facts: dict[str, Any] = {
        "plan": asdict(plan),
        "options": {"models": models, "surrogate": surrogate, "pool": pool.name, "pool_texts": len(pool), **numbers},
        "left_out": missing,
        "calls": {"made": made.calls.made, "saved": made.calls.saved},
        "command": str(click.get_current_context().obj),
    }
    report = make_report(found, seed)
    written = write_report(report, found, results, facts, list(made.embeddings.values()))
    if as_json:
        click.echo(written[0].read_text(encoding="utf-8"))
    else:
        for model in report.models:
            click.echo(f"{model}, in percent")
            headings, rows = report.rows(model)
            print_table(rows, headings)
            click.echo()
    click.echo(f"model calls: {made.calls.made:,} made, {made.calls.saved:,} saved", err=True)
    click.echo(f"written: {', '.join(map(str, written))}", err=True)
