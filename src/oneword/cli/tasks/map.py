"""`oneword tasks map`."""

from __future__ import annotations

from pathlib import Path

import click

from oneword.errors import OutputError

_PAGE = ".html"


@click.command("map")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATHS ...")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A picture (.png, .svg, .pdf) or a page (.html); can be given several times.",
)
@click.option("--labels", is_flag=True, help="Write the names beside the points.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the layout.")
def map_(paths: tuple[Path, ...], outputs: tuple[Path, ...], labels: bool, seed: int) -> None:
    """Draw datasets and models on a plane, similar ones near to each other.

    PATHS are task embeddings, or folders of them. Colour is the kind of task, the marker the model; stars are datasets.
    The page tells of a point under the pointer what it is and what it is most similar to.
    """
    for output in outputs:
        _check(output)
    from oneword.tasks.map import make_map
    from oneword.tasks.shelf import read_embeddings

    made = make_map(read_embeddings(paths), seed)
    for output in outputs:
        if output.suffix.lower() == _PAGE:
            from oneword.tasks.map_page import write_map_page

            write_map_page(made, output, labels)
        else:
            from oneword.tasks.map_picture import draw_map

            draw_map(made, output, labels)
        click.echo(f"drawn: {output}", err=True)


def _check(output: Path) -> None:
    """Refuse what could not be written before any work is done."""
    from oneword.bars import PLOT_ENDINGS, check_plot

    if output.suffix.lower() in PLOT_ENDINGS:
        check_plot(output)
    elif output.suffix.lower() != _PAGE:
        known = ", ".join((*PLOT_ENDINGS, _PAGE))
        raise OutputError(f"{output}: the ending '{output.suffix}' is none that maps are drawn to ({known})")
    elif not output.parent.is_dir():
        raise OutputError(f"{output} cannot be written: there is no folder {output.parent}; make it first")
