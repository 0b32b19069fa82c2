"""What a race showed: a table, data for programs, a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from oneword.benchmark.race import Measured
from oneword.evaluation.results import now, versions
from oneword.figures import BLUE, ORANGE, new_figure, save_figure

HEADERS = (
    "",
    "layer",
    "texts",
    "seconds (least to most)",
    "texts/s",
    "tokens/s",
    "peak memory",
    "cosine least / mean",
    "oneword is faster",
)


def table_of(measured: Sequence[Measured]) -> list[list[str]]:
    """Rows under :data:`HEADERS`, of those that took part."""
    own = next((each for each in measured if each.contender.is_oneword and each.runs), None)
    return [_row(each, own) for each in measured if each.runs]


def _row(one: Measured, own: Measured | None) -> list[str]:
    seconds, tokens, memory = one.seconds, one.token_rate, one.memory
    return [
        one.contender.name,
        str(one.layer),
        f"{one.count:,}",
        f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
        f"{median(one.rates):,.1f}",
        f"{tokens:,.0f}" if tokens is not None else "-",
        f"{memory / 1e6:,.0f} MB" if memory is not None else "-",
        f"{one.least_cosine:.5f} / {one.mean_cosine:.5f}" if one.least_cosine is not None else "-",
        f"{own.speed_up_over(one):.2f} \u00d7" if own is not None and one is not own else "",
    ]


def notes_of(measured: Sequence[Measured]) -> list[str]:
    """What a table cannot say: the floor, and who was left out."""
    notes = []
    for one in measured:
        if one.floor_ratio is not None:
            notes.append(
                f"{one.contender.name}: {one.floor_ratio:.2f} of the floor, which is {median(one.floor_seconds):.2f} s"
            )
        if one.left_out:
            notes.append(f"{one.contender.name} was left out: {one.left_out}")
        if one.not_compared:
            notes.append(f"{one.contender.name} was not compared: {one.not_compared}")
    return notes


def data_of(measured: Sequence[Measured], method: str) -> dict[str, Any]:
    """All that was measured of one method, for programs."""
    own = next((each for each in measured if each.contender.is_oneword and each.runs), None)
    return {
        "method": method,
        "contenders": [
            {
                "name": one.contender.name,
                "dtype": one.contender.job["dtype"],
                "engine": one.contender.job.get("options", {}).get("engine"),
                "layer": one.layer,
                "texts": one.count,
                "seconds": one.seconds,
                "texts_per_second": median(one.rates) if one.runs else None,
                "tokens_per_second": one.token_rate if one.runs else None,
                "peak_bytes": one.memory,
                "least_cosine": one.least_cosine,
                "mean_cosine": one.mean_cosine,
                "oneword_is_faster": own.speed_up_over(one) if own is not None and one.runs else None,
                "floor_seconds": one.floor_seconds,
                "floor_ratio": one.floor_ratio,
                "versions": one.versions,
                "left_out": one.left_out,
                "not_compared": one.not_compared,
            }
            for one in measured
        ],
    }


def machine() -> dict[str, Any]:
    """Where and when it was measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "date": now(),
        "versions": versions(),
    }


def draw_races(races: Sequence[tuple[str, Sequence[Measured]]], path: Path) -> None:
    """Draw texts a second as bars, a panel a method; the file appears when it is whole.

    Args:
        races: each method's name and what was measured.
        path: checked by :func:`oneword.bars.check_plot`.
    """
    shown = [(method, [one for one in measured if one.runs]) for method, measured in races]
    heights = [0.9 + 0.3 * len(measured) for _, measured in shown]
    figure, panels = new_figure(6.5, sum(heights), len(shown), heights)
    for axes, (method, measured) in zip(panels, shown):
        for place, one in enumerate(measured):
            rate, color = median(one.rates), BLUE if one.contender.is_oneword else ORANGE
            axes.barh(place, rate, color=color, height=0.7)
            axes.plot([min(one.rates), max(one.rates)], [place, place], color="black", linewidth=1)
            axes.annotate(
                f"{rate:,.1f}", (max(one.rates), place), (4, 0), textcoords="offset points", fontsize=7, va="center"
            )
        axes.set_yticks(range(len(measured)), [one.contender.name for one in measured], fontsize=8, parse_math=False)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel(f"{method}: texts a second", fontsize=9, parse_math=False)
    save_figure(figure, path)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
