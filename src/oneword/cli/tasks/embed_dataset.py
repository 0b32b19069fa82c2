"""`oneword tasks embed-dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.tasks.options import (
    TaskOptions,
    check_output,
    force_option,
    output_option,
    task_options,
    tell_written,
)

if TYPE_CHECKING:
    from oneword.tasks.dataset import Kind


def dataset_options(command: click.decorators.FC) -> click.decorators.FC:
    """How a file of labelled texts is read."""
    for option in reversed(
        (
            click.option(
                "--text", default="text", show_default=True, metavar="COLUMN", help="The texts; the questions."
            ),
            click.option("--label", default="label", show_default=True, metavar="COLUMN", help="The labels."),
            click.option(
                "--text-pair", metavar="COLUMN", help="The second texts; the contexts.  [default: text_pair, if there]"
            ),
            click.option(
                "--kind",
                type=click.Choice(["classification", "regression", "span"]),
                help="What the labels are.  [default: regression for numbers with fractions, else classification]",
            ),
        )
    ):
        command = option(command)
    return command


@click.command("embed-dataset")
@click.argument("file", type=click.Path(path_type=Path))
@output_option
@dataset_options
@click.option("--name", metavar="NAME", help="What the dataset is called.  [default: from the file]")
@click.option(
    "--examples", type=click.IntRange(min=2), metavar="N", help="At most so many of its rows, drawn by the seed."
)
@force_option
@task_options
def embed_dataset(
    file: Path,
    output: Path,
    text: str,
    label: str,
    text_pair: str | None,
    kind: Kind | None,
    name: str | None,
    examples: int | None,
    force: bool,
    task_options: TaskOptions,
) -> None:
    """A dataset's vector (DTE): what the surrogate learns from its texts and labels.

    \b
    oneword tasks embed-dataset reviews.csv --text text --label label -o reviews.safetensors
    """  # noqa: D301 - click reads the backspaces
    from oneword.tasks.dataset import Dataset

    check_output(output, force)
    dataset = Dataset.from_file(file, text=text, label=label, text_pair=text_pair, kind=kind, name=name)
    dataset.check_learnable()
    if examples is not None:
        dataset = dataset.sample(examples, task_options.seed)
    embedder = task_options.embedder()
    with task_options.bars() as bars:
        embedding = embedder.embed_dataset(
            dataset, on_update=bars.bar(f"{dataset.name}: tuning", "updates"), on_row=bars.bar("Fisher", "rows")
        )
    embedding.save(output)
    tell_written(embedding, output)
