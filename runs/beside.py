"""A published table beside ours: `python runs/beside.py metaeol_table1 [results]`.

Ours are whatever the folder of results holds of the table's methods; the average is over the table's tasks that are
there, which the heading names where they are not all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tomlkit

from oneword.evaluation.report import Report, make_report
from oneword.evaluation.results import ResultFolder
from oneword.evaluation.sentence_pairs import TESTS
from oneword.evaluation.transfer_data import TASKS as TRANSFER

TABLES = tomlkit.parse((Path(__file__).parent / "published.toml").read_text(encoding="utf-8")).unwrap()
ALL_TASKS = {"sts": TESTS, "transfer": TRANSFER}


def our_lines(table: dict[str, Any], report: Report, tasks: list[str], columns: list[str]) -> list[list[str]]:
    """Our rows of a table, in its order of methods."""
    lines = []
    for method in dict.fromkeys(row["method"] for row in table["rows"]):
        for row in report.rows:
            result = next(iter(row.values()))
            scores = {task: row[task].score for task in tasks if task in row}
            if result.method != method or len(scores) < len(tasks):
                continue
            scores["average"] = sum(scores.values()) / len(scores)
            cells = [f"{scores[column]:.2f}" if column in scores else "" for column in columns]
            lines.append([method, f"{result.model}, layer {result.layer}", *cells])
    return lines


def main() -> None:
    table = TABLES[sys.argv[1]]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "results")
    methods = {row["method"] for row in table["rows"]}
    ours = [r for r in ResultFolder(folder).all() if r.kind == table["kind"] and r.method in methods]
    report = make_report(ours)
    every = list(ALL_TASKS.get(table["kind"], table["columns"]))
    tasks = [task for task in every if any(task in row for row in report.rows)]
    columns = [c for c in table["columns"] if c != "average" or len(tasks) > 0]
    print(f"{table['title']}\n")
    if len(tasks) < len(every):
        print(f"Ours is of {', '.join(tasks)} alone; the published average is of all {len(every)}.\n")
    lines = [["method", "model", *columns], ["---"] * (2 + len(columns))]
    lines += our_lines(table, report, tasks, columns)
    for row in table["rows"]:
        lines.append([row["method"], f"{row['model']} (published)", *(f"{score:.2f}" for score in row["scores"])])
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
