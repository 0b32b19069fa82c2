"""`oneword tasks transfer`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from oneword.cli.evaluation.options import parse_names
from oneword.cli.options import json_option
from oneword.cli.tables import print_table
from oneword.cli.tasks.options import (
    Bars,
    TuningOptions,
    check_packages,
    keeping_bars,
    load_model,
    tuning_options,
    unlabeled_option,
)
from oneword.errors import InputError, nearest_names
from oneword.tasks.ranking_methods import METHODS, SETTINGS
from oneword.whole_file import write_whole


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of datasets: each a folder with train.jsonl and test.jsonl, or SentEval's layout.",
)
@click.option("--datasets", callback=parse_names, metavar="A,B", help="Only these.  [default: all in the folder]")
@click.option(
    "--models",
    callback=parse_names,
    default="minilm",
    show_default=True,
    metavar="A,B",
    help="What is fine-tuned: of `oneword models`, folders, Hub ids; NAME:N takes N blocks.",
)
@click.option(
    "--methods",
    callback=parse_names,
    default=",".join(METHODS),
    show_default=True,
    metavar="A,B",
    help="What ranks the sources, beside chance.",
)
@click.option(
    "--settings",
    callback=parse_names,
    default="in-class",
    show_default=True,
    metavar="A,B",
    help="Sources of the target's class of tasks (in-class: classification and regression, or question "
    "answering), of all (all-class), of other domains (cross-domain).",
)
@click.option(
    "--examples",
    type=click.IntRange(min=20),
    default=1000,
    show_default=True,
    metavar="N",
    help="Training examples of a source.",
)
@click.option(
    "--target-examples",
    type=click.IntRange(min=20),
    default=1000,
    show_default=True,
    metavar="N",
    help="Training examples of a target.",
)
@click.option(
    "--test-examples",
    type=click.IntRange(min=20),
    default=1000,
    show_default=True,
    metavar="N",
    help="Examples that a target is scored on.",
)
@click.option(
    "--source-epochs", type=float, default=2.0, show_default=True, metavar="X", help="Fine-tuning of a source."
)
@click.option(
    "--target-epochs", type=float, default=1.0, show_default=True, metavar="X", help="Fine-tuning of a target."
)
@click.option(
    "--fine-tuning-rate", type=float, default=1e-4, show_default=True, metavar="X", help="Learning rate of both."
)
@click.option(
    "--fine-tuning-length",
    type=click.IntRange(min=2),
    default=64,
    show_default=True,
    metavar="N",
    help="Tokens of both.",
)
@click.option(
    "--surrogate",
    default="minilm",
    show_default=True,
    metavar="NAME",
    help="The model on which task embeddings are computed.",
)
@unlabeled_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/transfer"),
    show_default=True,
    metavar="DIR",
    help="Where every finished piece is kept, and found again.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@json_option
@tuning_options
def transfer(
    data: Path,
    datasets: list[str],
    models: list[str],
    methods: list[str],
    settings: list[str],
    surrogate: str,
    unlabeled: Path | None,
    device: str,
    results: Path,
    quiet: bool,
    as_json: bool,
    tuning_options: TuningOptions,
    **numbers: Any,
) -> None:
    """Which source model to start from: the paper's first experiment, end to end.

    Every model is fine-tuned on every dataset, and each of these sources once more on every other dataset; what that
    brings over the pretrained model is the truth. Each method ranks the sources without looking at it.

    \b
    oneword tasks transfer --data datasets --models minilm,smollm2:6 --examples 1000
    """  # noqa: D301 - click reads the backspaces
    for given, known, what in ((methods, METHODS, "method"), (settings, SETTINGS, "setting")):
        for name in given:
            if name not in known:
                raise InputError(f"unknown {what} '{name}' ({nearest_names(name, known)})")
    check_packages()
    from oneword.cli.startup import prepare_torch

    prepare_torch()
    from oneword.evaluation.results import now, versions
    from oneword.tasks.collection import read_collection
    from oneword.tasks.pool import Pool
    from oneword.tasks.transfer import TransferExperiment
    from oneword.tasks.transfer_report import as_fields, as_markdown, make_report

    collection = read_collection(data)
    for name in datasets:
        if name not in collection:
            raise InputError(f"{data} holds no dataset '{name}' ({nearest_names(name, collection)})")
    splits = {name: collection[name]() for name in datasets or collection}
    pool = Pool.of(unlabeled)
    plan = _plan(methods, tuning_options, numbers)
    loaded = {spec: load_model(spec, device) for spec in dict.fromkeys([surrogate, *models])}
    if len({model.name for model in loaded.values()}) < len(loaded):
        raise InputError(f"two of {', '.join(loaded)} are called the same; rename a folder, or leave one out")
    done = 0
    total = TransferExperiment.pieces(len(splits), len(set(models)), methods)

    def tell(bars: Bars, piece: str) -> None:
        nonlocal done
        bars.bar("pieces", "pieces")(min(done, total), total)
        bars.describe(piece)
        done += 1

    with keeping_bars(quiet, results) as bars:
        experiment = TransferExperiment(plan, splits, pool, loaded[surrogate], results, partial(tell, bars))
        found = [experiment.run(loaded[spec]) for spec in dict.fromkeys(models)]
    lines = make_report(found, splits, settings)
    fields = {
        "rankings": as_fields(lines),
        "found": [asdict(one) for one in found],
        "plan": asdict(plan),
        "surrogate": loaded[surrogate].space,
        "pool": {"name": pool.name, "texts": len(pool), "digest": pool.digest},
        "datasets": {name: [len(split.train), split.train.digest, split.test.digest] for name, split in splits.items()},
        "command": str(click.get_current_context().obj),
        "versions": versions(),
        "date": now(),
    }
    results.mkdir(parents=True, exist_ok=True)
    write_whole(results / "transfer.json", json.dumps(fields, indent=1).encode())
    write_whole(results / "transfer.md", as_markdown(lines, found).encode())
    if as_json:
        click.echo(json.dumps(fields))
        return
    rows = [
        [x.model, x.setting, x.method, f"{x.rank:.2f}", f"{x.rank_interval}", f"{x.ndcg:.1f}", f"{x.ndcg_interval}"]
        for x in lines
    ]
    print_table(rows, ["model", "setting", "ranked by", "rank of best", "95% interval", "NDCG", "95% interval"])
    click.echo(f"\ngains of every source, as a table: {results / 'transfer.md'}")


def _plan(methods: list[str], tuning: TuningOptions, numbers: dict[str, Any]) -> Any:
    from oneword.tasks.transfer import TransferPlan
    from oneword.tasks.tuning import Tuning

    fine = Tuning(numbers["fine_tuning_rate"], batch=16, max_length=numbers["fine_tuning_length"])
    return TransferPlan(
        examples=numbers["examples"],
        target_examples=numbers["target_examples"],
        test_examples=numbers["test_examples"],
        source_tuning=replace(fine, epochs=numbers["source_epochs"]),
        target_tuning=replace(fine, epochs=numbers["target_epochs"]),
        methods=tuple(methods),
        seed=numbers["seed"],
        tuning=tuning.given,
        paper=tuning.paper,
    )
