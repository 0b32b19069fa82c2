"""Figures for papers and pages: plain panels, one below the other; needs the extra ``viz``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneword.whole_file import write_whole

# Of Okabe and Ito's palette, which people with any kind of colour vision can tell apart
BLUE = "#0072B2"
ORANGE = "#E69F00"


def new_figure(
    width: float, height: float, panels: int = 1, heights: Sequence[float] | None = None
) -> tuple[Any, list[Any]]:
    """A figure of so many inches, and its panels from the top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
    figure.subplots(panels, 1, height_ratios=heights)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure, list(figure.axes)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure in the format of the path's ending; the file appears when it is whole."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    write_whole(path, picture.getvalue())
