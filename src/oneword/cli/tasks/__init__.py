"""`oneword tasks`: datasets and models in one space."""

from __future__ import annotations

import click

from oneword.cli.tasks.embed_dataset import embed_dataset
from oneword.cli.tasks.embed_model import embed_model
from oneword.cli.tasks.map import map_
from oneword.cli.tasks.nearest import nearest
from oneword.cli.tasks.pool import pool
from oneword.cli.tasks.similarity import similarity
from oneword.cli.tasks.transfer import transfer


@click.group(name="tasks")
def tasks() -> None:
    """Task embeddings: which model is best for which dataset, without trying them all.

    A dataset gets a vector from its labels, a model one from its answers to unlabeled texts; the nearest fit best.
    """


for command in (embed_dataset, embed_model, similarity, nearest, map_, transfer, pool):
    tasks.add_command(command)
