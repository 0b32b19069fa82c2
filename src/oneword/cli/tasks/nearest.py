"""`oneword tasks nearest`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oneword.cli.options import json_option
from oneword.cli.tables import print_table, shortened
from oneword.errors import InputError


@click.command()
@click.argument("query", type=click.Path(path_type=Path))
@click.argument("candidates", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CANDIDATES ...")
@click.option("-k", "count", type=click.IntRange(min=1), metavar="N", help="The N best only.  [default: all]")
@click.option("--of", "kind", type=click.Choice(["dataset", "model"]), help="Datasets only, or models only.")
@json_option
def nearest(query: Path, candidates: tuple[Path, ...], count: int | None, kind: str | None, as_json: bool) -> None:
    """Rank datasets and models by how near they are to another.

    QUERY is a task embedding; CANDIDATES are files, or folders of them, ranked by cosine. So the models that suit a
    dataset are found with --of model.
    """
    from oneword.tasks.shelf import read_shelf

    if query.is_dir():
        raise InputError(f"{query} is a folder; the query is one file, the candidates can be folders")
    (_, asked), *others = read_shelf([query, *candidates]).items()
    scored = [(asked.similarity(one), path, one) for path, one in others if kind in (None, one.of)]
    if not scored:
        raise InputError(f"no {kind or 'other task embedding'} among the candidates; give more files or folders")
    scored.sort(key=lambda candidate: -candidate[0])
    results = [
        {"rank": rank, "score": score, "of": one.of, "name": one.name, "task": one.task, "file": str(path)}
        for rank, (score, path, one) in enumerate(scored[:count], 1)
    ]
    if as_json:
        answer = {"query": asked.name, "results": results, "space": asked.space}
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    rows = [
        [
            hit["rank"],
            f"{hit['score']:.4f}",
            hit["of"],
            shortened(str(hit["name"]), 48),
            shortened(str(hit["task"]), 80),
        ]
        for hit in results
    ]
    print_table(rows, ["rank", "score", "of", "name", "task"])
