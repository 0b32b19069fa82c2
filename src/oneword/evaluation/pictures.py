"""Scores as pictures for a paper: lines with bands, and rows with intervals; needs the extra ``viz``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oneword.evaluation.sweeps import Sweep
from oneword.evaluation.table import Row
from oneword.figures import new_figure, save_figure

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
    figure, (axes,) = new_figure(*_SIZE)
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
    save_figure(figure, path)


def draw_rows(groups: Sequence[tuple[str, Sequence[tuple[str, Row]]]], path: Path) -> None:
    """Draw the averages of tables as dots with intervals, one below the other; the file appears when it is whole.

    Args:
        groups: for each panel what is averaged, and its rows by label.
        path: checked by :func:`oneword.bars.check_plot`.
    """
    heights = [0.9 + _ROW * len(rows) for _, rows in groups]
    figure, panels = new_figure(6.5, sum(heights), len(groups), heights)
    for axes, (title, rows) in zip(panels, groups):
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
    save_figure(figure, path)


def _listed(tasks: Sequence[str]) -> str:
    return tasks[0] if len(tasks) == 1 else f"average of {len(tasks)}"
