"""Scores as pictures for a paper: lines with bands, and rows with intervals; needs the extra ``viz``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneword.evaluation.sweeps import Sweep
from oneword.evaluation.table import Row
from oneword.whole_file import write_whole

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart, in an order of good contrast
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dv<>"
_SIZE = (5.0, 3.4)  # inches: one column of a paper
_ROW = 0.28
_UNORDERED = ("perturb",)  # no line joins what has no order


def draw_sweeps(sweeps: Sequence[Sweep], path: Path) -> None:
    """Draw sweeps of one kind as lines in one picture; the file appears when it is whole.

    Args:
        sweeps: one line each.
        path: checked by :func:`oneword.bars.check_plot`.
    """
    figure, axes = _figure(*_SIZE)
    for place, sweep in enumerate(sweeps):
        color, marker = _COLORS[place % len(_COLORS)], _MARKERS[place % len(_MARKERS)]
        x = [point.x for point in sweep.points]
        score, low, high = ([getattr(point, name) for point in sweep.points] for name in ("score", "low", "high"))
        style = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.5, "label": sweep.method}
        if sweep.kind in _UNORDERED:
            # A resampled interval need not hold the score itself
            lengths = [
                [max(0, y - end) for y, end in zip(score, low)],
                [max(0, end - y) for y, end in zip(score, high)],
            ]
            axes.errorbar(x, score, lengths, linestyle="none", capsize=3, elinewidth=1.2, **style)
        else:
            axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(x, score, **style)
    labels = [point.label for point in sweeps[0].points]
    if any(labels):
        axes.set_xticks([point.x for point in sweeps[0].points], labels, rotation=20, ha="right", parse_math=False)
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(sweeps[0].axis)
    axes.set_ylabel(f"Spearman \u00d7 100 ({_listed(sweeps[0].tasks)})")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    legend = axes.legend(frameon=False, fontsize=8, title=f"{sweeps[0].model}; {sweeps[0].band}", title_fontsize=8)
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)
    _save(figure, path)


def draw_rows(groups: Sequence[tuple[str, Sequence[tuple[str, Row]]]], path: Path) -> None:
    """Draw the averages of tables as dots with intervals, one below the other; the file appears when it is whole.

    Args:
        groups: for each panel what is averaged, and its rows by label.
        path: checked by :func:`oneword.bars.check_plot`.
    """
    heights = [0.9 + _ROW * len(rows) for _, rows in groups]
    figure, panels = _figure(6.5, sum(heights), len(groups), heights)
    for axes, (title, rows) in zip(panels if len(groups) > 1 else [panels], groups):
        for place, (_, row) in enumerate(rows):
            if row.intervals is not None:
                interval = row.intervals.average
                axes.plot([interval.low, interval.high], [place, place], color=_COLORS[0], linewidth=1.5)
            axes.plot(row.average, place, "o", color=_COLORS[0], markersize=5)
            axes.annotate(
                f"{row.average:.2f}", (row.average, place), (0, 4), textcoords="offset points", fontsize=7, ha="center"
            )
        axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=8, parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.8)
        axes.set_xlabel(title, fontsize=9)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    _save(figure, path)


def _figure(width: float, height: float, panels: int = 1, heights: Sequence[float] | None = None) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
    axes = figure.subplots(panels, 1, height_ratios=heights)
    for one in figure.axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    write_whole(path, picture.getvalue())


def _listed(tasks: Sequence[str]) -> str:
    return tasks[0] if len(tasks) == 1 else f"average of {len(tasks)}"
