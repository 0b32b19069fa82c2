"""`oneword eval layers`."""

from __future__ import annotations

from dataclasses import replace

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    check_scipy,
    evaluation_options,
    methods_option,
    open_embedders,
)
from oneword.cli.evaluation.sts import score_layers
from oneword.cli.evaluation.sweeps import SweepOptions, sweep_of, sweep_options
from oneword.cli.options import ModelOptions, model_options_without_method


@click.command()
@sweep_options("STSB-dev")
@methods_option
@evaluation_options
@model_options_without_method
def layers(
    sweep_options: SweepOptions,
    methods: tuple[str, ...],
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Score every layer, all of them from one forward pass.

    The deepest layer stands first, and the others are compared with it; layer 0, the token embeddings, is left out: a
    prompt's last token is the same for every text. The best is marked: it was chosen on these tasks, so confirm it on
    others with `oneword eval sts`. With --layer, only those layers.

    \b
    oneword eval layers --data DIR --method prompteol --method metaeol --plot layers.png
    """  # noqa: D301 - click reads the backspaces
    check_scipy()
    pairs = sweep_options.read_tasks()
    embedders = open_embedders(
        methods, replace(model_options, layer="all" if model_options.layer is None else model_options.layer)
    )
    from oneword.evaluation.table import cells, headings, make_rows

    sweeps, lines = [], []
    with evaluation_options.run() as run:
        for embedder in embedders:
            rows = make_rows(score_layers(embedder, pairs, run)[::-1])
            best = max(rows, key=lambda row: row.average)
            lines += [[*line, "best" if row is best else ""] for row, line in zip(rows, cells(rows))]
            sweeps.append(sweep_of("layers", "layer", embedder.method.name, rows, run))
        sweep_options.show(run, sweeps, [*headings(rows), ""], lines)
