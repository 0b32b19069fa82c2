"""Results side by side: methods by tasks, with averages and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oneword.evaluation.intervals import Interval, RowIntervals, bootstrap_rows
from oneword.evaluation.results import Result


@dataclass(frozen=True)
class Row:
    """One method at one layer on all tasks of a table.

    Args:
        results: one a task.
        intervals: of the average, and of its difference to the first row's; None where they were not resampled.
    """

    results: Sequence[Result]
    intervals: RowIntervals | None = None

    @property
    def average(self) -> float:
        """Mean of the tasks' scores, each counting alike."""
        return sum(result.score for result in self.results) / len(self.results)


def make_rows(results: Sequence[Sequence[Result]]) -> list[Row]:
    """Rows of a table, their intervals resampled together.

    Args:
        results: for each row its results, of the same tasks and data in every row.
    """
    intervals = bootstrap_rows([[result.items for result in row] for row in results])
    return [Row(row, interval) for row, interval in zip(results, intervals)]


def headings(rows: Sequence[Row]) -> list[str]:
    """Of the table's columns."""
    tasks = [result.task for result in rows[0].results]
    return ["method", "layer", *tasks, "average", "95% interval", "to the first", "95% interval"]


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """The table's cells, line by line."""
    return [
        [
            row.results[0].method,
            str(row.results[0].layer),
            *(f"{result.score:.2f}" for result in row.results),
            f"{row.average:.2f}",
            *_interval_cells(row, rows[0]),
        ]
        for row in rows
    ]


def as_fields(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table for programs."""
    return [
        {
            "model": row.results[0].model,
            "method": row.results[0].method,
            "layer": row.results[0].layer,
            "fingerprint": row.results[0].fingerprint,
            "scores": {result.task: result.score for result in row.results},
            "average": row.average,
            "interval": _pair(row.intervals.average if row.intervals else None),
            "difference": row.average - rows[0].average,
            "difference_interval": _pair(row.intervals.difference if row.intervals else None),
        }
        for row in rows
    ]


def _interval_cells(row: Row, first: Row) -> list[str]:
    if row.intervals is None:
        return ["", "", ""]
    if row.intervals.difference is None:
        return [f"{row.intervals.average}", "", ""]
    return [f"{row.intervals.average}", f"{row.average - first.average:+.2f}", f"{row.intervals.difference:+}"]


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
