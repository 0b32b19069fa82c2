"""`oneword eval perturb`."""

from __future__ import annotations

from statistics import fmean, pstdev

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
from oneword.method import Method


@click.command()
@click.option("--method", default="metaeol", show_default=True, metavar="NAME", help="The method as it is.")
@click.option(
    "--perturbed",
    multiple=True,
    metavar="NAME",
    help="A method that is perturbed already, one or more; else they are made, as by `oneword prompts perturb`.",
)
@click.option("--rate", type=float, default=0.1, show_default=True, metavar="SHARE", help="Of the words replaced.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Of the choice of words.")
@click.option("--count", type=click.IntRange(min=1), default=4, show_default=True, metavar="N", help="How many.")
@sweep_options("")
@evaluation_options
@model_options_without_method
def perturb(
    method: str,
    perturbed: tuple[str, ...],
    rate: float,
    seed: int,
    count: int,
    sweep_options: SweepOptions,
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Score a method beside itself with some words replaced by synonyms (MetaEOL, Table 5).

    \b
    oneword eval perturb --data DIR --method metaeol --count 2
    oneword eval perturb --data DIR --method sentiment_1 --perturbed sentiment_perturbed_1 \\
        --perturbed sentiment_perturbed_2 --perturbed sentiment_perturbed_3 --perturbed sentiment_perturbed_4
    """  # noqa: D301 - click reads the backspaces
    from oneword.registry import find_method

    check_scipy()
    refuse_several_layers(model_options)
    whole = find_method(method)
    others = [find_method(name) for name in perturbed] or _perturbations(whole, rate, seed, count)
    pairs = sweep_options.read_tasks()
    embedders = open_embedders([whole, *others], model_options)
    from oneword.evaluation.table import cells, headings, make_rows

    with evaluation_options.run() as run:
        rows = make_rows([row for embedder in embedders for row in score_layers(embedder, pairs, run)])
        labels = [row.results[0].method for row in rows]
        sweep_options.show(
            run, [sweep_of("perturb", "wording", whole.name, rows, run, labels)], headings(rows), cells(rows)
        )
    scores = [row.average for row in rows[1:]]
    if not sweep_options.as_json:
        click.echo(f"\nperturbed: mean {fmean(scores):.2f}, standard deviation {pstdev(scores):.2f}")


def _perturbations(method: Method, rate: float, seed: int, count: int) -> list[Method]:
    from oneword.prompting.perturbation import perturb_method
    from oneword.prompting.wordnet import find_synonyms

    return [one.method for one in perturb_method(method, find_synonyms, rate=rate, seed=seed, count=count)]
