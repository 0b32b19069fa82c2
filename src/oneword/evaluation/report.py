"""A folder of results as one Markdown table, and the rows of one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oneword.errors import InputError
from oneword.evaluation.intervals import bootstrap_rows
from oneword.evaluation.results import Result
from oneword.evaluation.sentence_pairs import DEVELOPMENT, TASKS
from oneword.evaluation.table import Row

# In the papers' order; other tasks follow by name
_KINDS = {"sts": "STS", "transfer": "transfer", "mteb": "MTEB"}
_ORDER = (*TASKS, "MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")


@dataclass(frozen=True)
class Report:
    """Results by method and task.

    Args:
        rows: for each method at a layer its results by task.
        tasks: of the columns, by kind.
    """

    rows: Sequence[dict[str, Result]]
    tasks: dict[str, list[str]]

    def averages(self, kind: str) -> list[Row | None]:
        """Each row's average over the tasks of a kind that are not for development; None where it lacks one of them.

        Intervals are there for kinds that can be resampled.
        """
        tasks = [task for task in self.tasks[kind] if task not in DEVELOPMENT] or self.tasks[kind]
        found: list[Row | None] = []
        for row in self.rows:
            results = [row[task] for task in tasks if task in row]
            if len(results) < len(tasks):
                found.append(None)
            elif all(result.items for result in results):
                found.append(Row(results, bootstrap_rows([[result.items for result in results]])[0]))
            else:
                found.append(Row(results))
        return found

    def markdown(self) -> str:
        """The table; the best score of each task is bold."""
        headings = ["model", "method", "layer", "numbers"]
        columns: list[list[str]] = []
        for kind, tasks in self.tasks.items():
            for task in tasks:
                headings.append(task)
                columns.append(_bold([_score(row.get(task)) for row in self.rows]))
            if len(tasks) > 1:
                headings.append(f"{_KINDS.get(kind, kind)} average (95% interval)")
                columns.append([_average(row) for row in self.averages(kind)])
        names = [_names(row) for row in self.rows]
        lines = [[*names[place], *(column[place] for column in columns)] for place in range(len(self.rows))]
        ruled = [headings, ["---"] * len(headings), *lines]
        table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in ruled)
        if not self._differing:
            return table
        return f"{table}\nNot of the same data in every row, so not to be compared: {', '.join(self._differing)}.\n"

    @property
    def _differing(self) -> list[str]:
        """Tasks whose results are of different data, or of different settings of the protocol."""
        every = [task for tasks in self.tasks.values() for task in tasks]
        return [task for task in every if len({row[task].data for row in self.rows if task in row}) > 1]

    def panels(self) -> list[tuple[str, list[tuple[str, Row]]]]:
        """For each kind what is averaged, and the rows that have it all, the best first."""
        panels = []
        for kind in self.tasks:
            rows = [
                (f"{names[1]}, layer {names[2]} ({names[0]})", row)
                for names, row in zip(map(_names, self.rows), self.averages(kind))
                if row is not None
            ]
            if rows:
                tasks = [result.task for result in rows[0][1].results]
                metric = rows[0][1].results[0].metric
                title = f"{_KINDS.get(kind, kind)}: {metric}, {', '.join(tasks)}"
                panels.append((title, sorted(rows, key=lambda row: -row[1].average)))
        return panels


def make_report(results: Iterable[Result]) -> Report:
    """Results put in order: a row for each fingerprint, the papers' tasks first.

    Raises:
        InputError: there are none.
    """
    rows: dict[str, dict[str, Result]] = {}
    tasks: dict[str, set[str]] = {}
    for result in results:
        rows.setdefault(f"{result.model} {result.fingerprint}", {})[result.task] = result
        tasks.setdefault(result.kind, set()).add(result.task)
    if not rows:
        raise InputError("no results; `oneword eval sts` and the other commands of `oneword eval` make some")
    ordered = {kind: sorted(tasks[kind], key=_place) for kind in sorted(tasks, key=[*_KINDS].index)}
    in_order = sorted(rows.values(), key=lambda row: _sort_key(next(iter(row.values()))))
    return Report(in_order, ordered)


def _names(row: dict[str, Result]) -> list[str]:
    result = next(iter(row.values()))
    return [result.model, result.method, str(result.layer), result.fingerprint.split("/")[-2]]


def _sort_key(result: Result) -> tuple[str, str, int]:
    return result.model, result.method, -result.layer


def _place(task: str) -> tuple[int, str]:
    return (_ORDER.index(task) if task in _ORDER else len(_ORDER)), task


def _score(result: Result | None) -> str:
    return "" if result is None else f"{result.score:.2f}"


def _average(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{row.average:.2f}" + (f" ({row.intervals.average})" if row.intervals else "")


def _bold(cells: list[str]) -> list[str]:
    best = max((float(cell) for cell in cells if cell), default=0.0)
    several = sum(1 for cell in cells if cell) > 1
    return [f"**{cell}**" if several and cell and float(cell) == best else cell for cell in cells]
