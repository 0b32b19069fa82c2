"""`oneword tasks similarity`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oneword.cli.options import json_option
from oneword.cli.tables import print_table, shortened
from oneword.errors import InputError

_HEADING = 12  # characters


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A B [C ...]")
@json_option
def similarity(paths: tuple[Path, ...], as_json: bool) -> None:
    """Print how similar datasets and models are to each other.

    Every task embedding is compared with every other, by cosine. A, B, ... are files, or folders of them.
    """
    from oneword.tasks.shelf import cosine_matrix, read_shelf

    shelf = read_shelf(paths)
    if len(shelf) < 2:
        raise InputError("similarity needs at least two task embeddings, as in `oneword tasks similarity A B`")
    embeddings = list(shelf.values())
    matrix = cosine_matrix(embeddings)
    if as_json:
        answer = {
            "files": list(map(str, shelf)),
            "names": [one.name for one in embeddings],
            "of": [one.of for one in embeddings],
            "similarity": matrix.tolist(),
            "space": embeddings[0].space,
        }
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    taken = 16 + (_HEADING + 2) * len(embeddings)
    rows = [
        [number, one.of, shortened(one.name, taken), *(f"{value:.4f}" for value in row)]
        for number, (one, row) in enumerate(zip(embeddings, matrix), 1)
    ]
    headings = [f"{number}\n{_heading(one.name)}" for number, one in enumerate(embeddings, 1)]
    print_table(rows, ["", "\nof", "\nname", *headings])


def _heading(name: str) -> str:
    """A name cut in its middle, since names of models often differ at their ends."""
    if len(name) <= _HEADING:
        return name
    return f"{name[: _HEADING // 2 - 1]}…{name[-_HEADING // 2 :]}"
