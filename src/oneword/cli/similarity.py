"""`oneword similarity`."""

from __future__ import annotations

import json

import click

from oneword.cli.options import ModelOptions, json_option, model_options
from oneword.cli.startup import warn_of_cut_texts
from oneword.cli.tables import print_table, shortened
from oneword.errors import InputError


@click.command()
@click.argument("texts", nargs=-1, metavar="A B [C ...]")
@json_option
@model_options
def similarity(texts: tuple[str, ...], as_json: bool, model_options: ModelOptions) -> None:
    """Print how similar texts are to each other.

    Every text is compared with every other, by the cosine of their vectors.
    """
    from oneword.text import check_texts

    if len(texts) < 2:
        raise InputError('similarity needs at least two texts, as in `oneword similarity "a cat" "a kitten"`')
    check_texts(texts)
    embedder = model_options.embedder()
    vectors = embedder.encode(list(texts))
    matrix = embedder.similarity(vectors, vectors)
    warn_of_cut_texts(embedder)
    if as_json:
        answer = {"texts": list(texts), "similarity": matrix.tolist(), "fingerprint": embedder.fingerprint}
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    rows = [
        [number, shortened(text, 6 + 8 * len(texts)), *(f"{value:.4f}" for value in row)]
        for number, (text, row) in enumerate(zip(texts, matrix), 1)
    ]
    print_table(rows, ["", "text", *map(str, range(1, len(texts) + 1))])
