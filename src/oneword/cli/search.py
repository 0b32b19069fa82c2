"""`oneword search`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.options import FileOptions, ModelOptions, file_options, json_option, model_options
from oneword.cli.startup import warn_of_cut_texts
from oneword.cli.tables import print_table, shortened

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.io.vectors import Vectors


@click.command()
@click.argument("queries", nargs=-1, required=True, metavar="QUERY ...")
@click.option("--corpus", required=True, metavar="FILE", help="Texts, or vectors that `oneword embed -o` wrote.")
@click.option("-k", "count", type=click.IntRange(min=1), default=5, show_default=True, help="Results a query.")
@file_options
@json_option
@model_options
def search(
    queries: tuple[str, ...],
    corpus: str,
    count: int,
    file_options: FileOptions,
    as_json: bool,
    model_options: ModelOptions,
) -> None:
    """Find the texts of a corpus nearest to a query.

    Vectors must have been made with the same model, method and layer as are asked for here.
    """
    from oneword.errors import InputError
    from oneword.fingerprint import check_same_fingerprint
    from oneword.io.search import nearest
    from oneword.io.vectors import holds_vectors, iterate_vectors
    from oneword.text import check_texts

    check_texts(queries)
    if isinstance(model_options.layer, list):
        raise InputError("search compares vectors of one layer; give one --layer")
    embedder = model_options.embedder()
    query_vectors = embedder.encode(list(queries), normalize_embeddings=True)
    if file_options.input_format is None and holds_vectors(Path(corpus)):
        pieces = iterate_vectors(corpus)
    else:
        pieces = _embedded(corpus, file_options, embedder)

    def checked() -> Iterator[Vectors]:
        for piece in pieces:
            check_same_fingerprint(piece.fingerprint, corpus, embedder.fingerprint, "the query")
            yield piece

    for query, hits in zip(queries, nearest(query_vectors, checked(), count)):
        if as_json:
            results = [{"rank": rank, **hit.as_dict()} for rank, hit in enumerate(hits, 1)]
            answer = {"query": query, "results": results, "fingerprint": embedder.fingerprint}
            click.echo(json.dumps(answer, ensure_ascii=False))
            continue
        click.echo(f"\n{query}")
        rows = [[rank, f"{hit.score:.4f}", hit.row, shortened(hit.text or "", 24)] for rank, hit in enumerate(hits, 1)]
        print_table(rows, ["rank", "score", "row", "text"])
    warn_of_cut_texts(embedder)


def _embedded(corpus: str, options: FileOptions, embedder: Embedder) -> Iterator[Vectors]:
    """The texts of a corpus, embedded as they are asked for."""
    from oneword.io.run import EmbedRun
    from oneword.io.texts import open_texts
    from oneword.io.vectors import Vectors

    with open_texts(corpus, options.input_format) as file:
        scan = options.scan(file)
        run = EmbedRun(file, scan, embedder)
        for piece in run.pieces():
            yield Vectors(run.vectors(piece), embedder.fingerprint, piece.texts, corpus)
