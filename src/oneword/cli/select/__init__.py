"""`oneword select`: which prompt and which model for a dataset."""

from __future__ import annotations

from oneword.cli.select.command import select
from oneword.cli.select.experiment import experiment

select.add_command(experiment)

__all__ = ["select"]
