"""`oneword calibrate`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.calibration.recipe import DEFAULT_STEPS, FITTED, Calibration, Step
from oneword.cli.evaluation.options import refuse_several_layers
from oneword.cli.options import FileOptions, ModelOptions, file_options, json_option, model_options
from oneword.cli.startup import warn_of_cut_texts
from oneword.cli.tables import print_table
from oneword.errors import InputError

if TYPE_CHECKING:
    from oneword.calibration.forms import Form
    from oneword.embedder import Embedder

POOL = "pool"  # instead of a file: the texts that come with oneword
_COMPARED = 1000  # texts that the forms of vectors are compared on
_ROWS = 4096  # read at a time


def parse_steps(context: click.Context, option: click.Parameter, value: str | None) -> tuple[Step, ...] | None:
    """Steps separated by commas."""
    return None if value is None else tuple(Step.of(step.strip()) for step in value.split(","))


@click.command()
@click.option("--on", default=POOL, show_default=True, metavar="FILE", help="Unlabeled texts; pool: those shipped.")
@click.option(
    "--steps",
    callback=parse_steps,
    metavar="STEP,...",
    help="center, standardize, remove_components=N, principal_components=N, whiten=N.  "
    f"[default: {','.join(map(str, map(Step.of, DEFAULT_STEPS)))}]",
)
@click.option("--dim", type=click.IntRange(min=1), metavar="N", help="Fewer dimensions: principal_components=N, last.")
@click.option(
    "--fitted",
    type=click.Choice(FITTED),
    default="prompts",
    show_default=True,
    help="Steps on each prompt's vectors before they are combined, or on the combined ones.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    default=5000,
    show_default=True,
    metavar="N",
    help="At most so many rows, evenly from the whole file.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The method's folder."
)
@click.option("--name", metavar="NAME", help="What the method is called.  [default: as the folder]")
@click.option("--force", is_flag=True, help="Replace a method's folder that is there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no table.")
@json_option
@file_options
@model_options
def calibrate(
    on: str,
    steps: tuple[Step, ...] | None,
    dim: int | None,
    fitted: Any,
    limit: int,
    output: Path,
    name: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    file_options: FileOptions,
    model_options: ModelOptions,
) -> None:
    """Fit a method's calibration on unlabeled texts: a mean, a scale, directions to leave out.

    Nothing is trained, and it costs nothing when texts are embedded. Some hundred texts of the kind that you embed are
    enough. The folder that is written is a method for this model, wherever --method is taken.

    \b
    oneword calibrate --on corpus.txt --method metaeol --layer -3 -o my-method/
    oneword embed corpus.txt --method my-method/ -o vectors.parquet
    """  # noqa: D301 - click reads the backspaces
    from oneword.prompting.method_folder import check_method_folder

    chain = [*(DEFAULT_STEPS if steps is None else steps), *([Step("principal_components", dim)] if dim else [])]
    Calibration(chain, fitted)  # what is wrong is told before anything is read
    check_method_folder(output, force)
    if model_options.precision != "float32":
        raise InputError("--precision is for commands that give vectors; a method is written without one")
    refuse_several_layers(model_options)
    texts = _texts(on, limit, file_options)
    embedder = model_options.uncalibrated().embedder()
    calibrated = embedder.calibrate(texts, chain, fitted, show_progress_bar=not quiet)
    name = name or output.resolve().name
    calibrated.save_method(output, name, overwrite=force)
    warn_of_cut_texts(embedder)
    if quiet and not as_json:
        return
    forms = _forms(embedder, calibrated, list(dict.fromkeys(texts)))
    if as_json:
        fingerprint = calibrated.fingerprint_of(calibrated.layers, replace(calibrated.method, name=name))
        fields = {"method": name, "fingerprint": fingerprint, "texts": len(set(texts))}
        click.echo(json.dumps({**fields, "written": str(output), "forms": [asdict(form) for form in forms]}))
        return
    from oneword.calibration.forms import NEIGHBOURS, reference

    rows = [
        [form.name, form.dimension, form.size, f"{form.mean_cosine:.3f}", f"{100 * form.kept:.1f}%"] for form in forms
    ]
    headings = ["vectors", "dimensions", "bytes", "mean cosine", f"nearest {NEIGHBOURS} as {reference(forms)}"]
    print_table(rows, headings)
    click.echo(f"\n{output}: {name}, {calibrated.method.calibration}, fitted on {len(set(texts)):,} texts")


def _texts(on: str, limit: int, options: FileOptions) -> list[str]:
    """The texts of a file, or of the shipped pool; of many, some from the whole file."""
    from oneword.shipped_pool import pool_texts

    if on == POOL and not options.given:
        texts = list(pool_texts())
        return [texts[row * len(texts) // limit] for row in range(limit)] if limit < len(texts) else texts
    from oneword.io.texts import open_texts
    from oneword.text import text_problem

    with open_texts(on, options.input_format) as file:
        scan = options.scan(file)
        taken = {row * scan.rows // limit for row in range(limit)} if limit < scan.rows else range(scan.rows)
        rows = enumerate(text for piece in file.pieces(scan.column, _ROWS, scan.types) for text in piece.texts)
        return [text for row, text in rows if row in taken and text_problem(text) is None]


def _forms(embedder: Embedder, calibrated: Embedder, texts: list[str]) -> list[Form]:
    """The forms that vectors can have, compared on some of the texts."""
    import torch

    from oneword.calibration.forms import compare_forms

    some = texts[:: -(-len(texts) // _COMPARED)]
    answers = [torch.cat(parts) for parts in zip(*map(list, embedder.answers(some)))]
    return compare_forms(calibrated.method, calibrated.statistics.of_layers(calibrated.layers)[0], answers)
