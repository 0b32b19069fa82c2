"""`oneword eval report`."""

from __future__ import annotations

from pathlib import Path

import click

from oneword.cli.evaluation.options import check_scipy
from oneword.errors import InputError
from oneword.whole_file import write_whole


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("results"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the table into a .md file."
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the averages into a .png, .svg or .pdf."
)
def report(folder: Path, output: Path | None, plot: Path | None) -> None:
    """Turn a folder of results into one Markdown table, and one picture.

    FOLDER is what --results named.  [default: results]
    """
    from oneword.evaluation.report import make_report
    from oneword.evaluation.results import ResultFolder

    check_scipy()
    if plot is not None:
        from oneword.bars import check_plot

        check_plot(plot)
    made = make_report(ResultFolder(folder).all())
    table = made.markdown()
    if output is None:
        click.echo(table, nl=False)
    else:
        write_whole(output, table.encode())
    if plot is not None:
        from oneword.evaluation.pictures import draw_rows

        panels = made.panels()
        if not panels:
            raise InputError(f"{plot} is not drawn: no method has results of every task, so there are no averages")
        draw_rows(panels, plot)
        click.echo(f"drawn: {plot}", err=True)
