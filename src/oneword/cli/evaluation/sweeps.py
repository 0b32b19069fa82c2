"""What the commands share that vary something: they score STS tasks, keep a sweep as JSON and draw it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.evaluation.options import Run, allow_missing_option, data_option, parse_names
from oneword.cli.evaluation.sts import read_tasks
from oneword.cli.options import Command, gathered, json_option
from oneword.cli.tables import print_table
from oneword.evaluation.sentence_pairs import SentencePairs

if TYPE_CHECKING:
    from oneword.evaluation.sweeps import Sweep
    from oneword.evaluation.table import Row


@dataclass(frozen=True)
class SweepOptions:
    """Which tasks a sweep is scored on, and how it is shown."""

    data: Path | None
    tasks: list[str]
    allow_missing: bool
    plot: Path | None
    as_json: bool

    def read_tasks(self) -> list[SentencePairs]:
        """The tasks' pairs, and a look at whether the picture can be drawn."""
        if self.plot is not None:
            from oneword.bars import check_plot

            check_plot(self.plot)
        return read_tasks(self.data, self.tasks, self.allow_missing)

    def show(self, run: Run, sweeps: Sequence[Sweep], headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        """Keep the sweeps, draw them, and print them."""
        for sweep in sweeps:
            run.folder.write_fields(sweep.fingerprint, f"{sweep.kind}-{'-'.join(sweep.tasks)}", sweep.fields())
        if self.plot is not None:
            from oneword.evaluation.pictures import draw_sweeps

            draw_sweeps(sweeps, self.plot)
            click.echo(f"drawn: {self.plot}", err=True)
        if self.as_json:
            click.echo(json.dumps([sweep.fields() for sweep in sweeps], ensure_ascii=False))
        else:
            print_table(cells, headings)


def sweep_of(kind: str, axis: str, method: str, rows: Sequence[Row], run: Run, labels: Sequence[str] = ()) -> Sweep:
    """A table's rows as a sweep of a method."""
    from oneword.evaluation.sweeps import Sweep, points_of

    return Sweep(
        kind=kind,
        axis=axis,
        band="95% interval",
        method=method,
        model=rows[0].results[0].model,
        fingerprint=rows[0].results[0].fingerprint,
        tasks=[result.task for result in rows[0].results],
        points=points_of(rows, labels),
        command=run.command,
    )


def sweep_options(default_tasks: str) -> Callable[[Command], Command]:
    """Add the options of a sweep to a command, which takes them as ``sweep_options``."""

    def decorate(command: Command) -> Command:
        options = (
            data_option,
            click.option(
                "--tasks",
                callback=parse_names,
                default=default_tasks,
                show_default=bool(default_tasks),
                metavar="A,B",
                help="What is scored, as for `oneword eval sts`." + ("" if default_tasks else "  [default: all seven]"),
            ),
            allow_missing_option,
            click.option(
                "--plot",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Draw it into a .png, .svg or .pdf too.",
            ),
            json_option,
        )
        return gathered(command, "sweep_options", SweepOptions, options)

    return decorate
