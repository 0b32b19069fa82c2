"""Probabilities of tokens drawn as bars, in a file; needs the extra ``viz``."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneword.errors import InputError, OutputError
from oneword.figures import BLUE
from oneword.whole_file import write_whole

PLOT_ENDINGS = (".png", ".svg", ".pdf")

_FONT = "DejaVu Sans"  # comes with matplotlib
_WIDTH = 5.0  # of a panel, in inches
_BAR = 0.22
_TALLEST = 200.0


@dataclass(frozen=True)
class Panel:
    """One group of bars.

    Args:
        title: what stands above it, in any number of lines.
        labels: of its bars, from the top.
        probabilities: their lengths.
        color: of the bars.
    """

    title: str
    labels: Sequence[str]
    probabilities: Sequence[float]
    color: str = BLUE


def check_plot(path: Path) -> None:
    """Refuse a file that could not be drawn, before any work is done.

    Raises:
        OutputError: an ending that is none of a picture, no such folder, or one that cannot be written to.
        InputError: matplotlib is not installed.
    """
    if path.suffix.lower() not in PLOT_ENDINGS:
        raise OutputError(
            f"{path}: the ending '{path.suffix}' is none that plots are drawn to ({', '.join(PLOT_ENDINGS)})"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("plots need matplotlib; pip install 'oneword[viz]'")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'permission denied'}")


def draw_bars(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw panels in rows; the panels of a row share their scale. The file appears when it is whole.

    Args:
        rows: the panels from the top, those of one row from the left.
        path: checked by :func:`check_plot`; its ending says the format.

    Raises:
        InputError: so many panels that no picture could hold them.
    """
    from matplotlib.figure import Figure

    heights = [0.8 + _BAR * max(len(panel.labels) for panel in row) for row in rows]
    if sum(heights) > _TALLEST:
        raise InputError(
            f"the plot would be {sum(heights):.0f} inches tall, more than {_TALLEST:.0f}; draw fewer texts or tokens"
        )
    columns = max(map(len, rows))
    figure = Figure(figsize=(_WIDTH * columns, sum(heights)), dpi=150, layout="constrained")
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    writing = Writing(text for row in rows for panel in row for text in (panel.title, *panel.labels))
    for place, row in enumerate(rows):
        longest = max(max(panel.probabilities) for panel in row)
        for column, panel in enumerate(row):
            _draw(panel, figure.add_subplot(grid[place, column]), longest, writing)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    write_whole(path, picture.getvalue())


def _draw(panel: Panel, axes: Any, longest: float, writing: Writing) -> None:
    places = range(len(panel.labels))
    bars = axes.barh(places, panel.probabilities, color=panel.color, height=0.75)
    axes.bar_label(bars, [f"{value:.3f}" for value in panel.probabilities], padding=3, fontsize=8)
    axes.set_xlim(0, 1.15 * longest)
    axes.set_ylim(len(panel.labels) - 0.4, -0.6)
    labels = [writing.drawable(label) for label in panel.labels]
    axes.set_yticks(places, labels, parse_math=False, family=writing.families, fontsize=9)
    axes.set_title(writing.drawable(panel.title), parse_math=False, family=writing.families, fontsize=9, loc="left")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


class Writing:
    """Which fonts write some texts; characters that no font of this machine has are written by their number."""

    def __init__(self, texts: Iterable[str]) -> None:
        from matplotlib import font_manager

        self.families = [_FONT]
        self._known = _characters(font_manager.findfont(_FONT))
        missing = {ord(character) for text in texts for character in text} - self._known - {ord("\n")}
        for font in sorted(font_manager.fontManager.ttflist, key=lambda font: font.name):
            if not missing:
                break
            # The font of last resort draws boxes for whatever it is given
            if font.style == "normal" and font.name not in self.families and not font.name.startswith("Last Resort"):
                found = missing & _characters(font.fname)
                if found:
                    self.families.append(font.name)
                    self._known |= found
                    missing -= found

    def drawable(self, text: str) -> str:
        """The text with those characters as their numbers."""
        return "".join(
            character
            if character == "\n" or ord(character) in self._known
            else character.encode("unicode_escape").decode()
            for character in text
        )


def _characters(path: str) -> set[int]:
    """What a font can write; nothing for one of fixed sizes, as of coloured emoji, and one that cannot be read."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return set()
    return set(font.get_charmap()) if font.scalable else set()
