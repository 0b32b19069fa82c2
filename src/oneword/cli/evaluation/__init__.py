"""`oneword eval`: a command for each of the papers' ways to compare methods."""

from __future__ import annotations

import click

from oneword.cli.evaluation.layers import layers
from oneword.cli.evaluation.meta_tasks import tasks
from oneword.cli.evaluation.mteb import mteb
from oneword.cli.evaluation.perturb import perturb
from oneword.cli.evaluation.report import report
from oneword.cli.evaluation.sts import sts
from oneword.cli.evaluation.subsets import prompts
from oneword.cli.evaluation.transfer import transfer


@click.group(name="eval")
def evaluation() -> None:
    """Score methods on the papers' tasks.

    Every score is kept in a folder of results, and a run that was stopped goes on where it was.
    """


for command in (sts, transfer, mteb, layers, prompts, tasks, perturb, report):
    evaluation.add_command(command)
