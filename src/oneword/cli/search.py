"""`oneword search`."""

from __future__ import annotations

import contextlib
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
    from oneword.io.scan import Scan
    from oneword.io.texts import TextFile
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
    from oneword.io.search import nearest
    from oneword.io.texts import open_texts
    from oneword.io.vectors import holds_vectors, iterate_vectors
    from oneword.text import check_texts

    check_texts(queries)
    if isinstance(model_options.layer, list) or model_options.layer == "all":
        raise InputError("search compares vectors of one layer; give one --layer")
    with contextlib.ExitStack() as stack:
        holds = file_options.input_format is None and holds_vectors(Path(corpus))
        file = None if holds else stack.enter_context(open_texts(corpus, file_options.input_format))
        scan = file and file_options.scan(file)  # what is wrong with it is told before the model is loaded
        embedder = model_options.embedder()
        from torch.nn.functional import normalize

        query_vectors = normalize(embedder.compute(list(queries))[:, 0], dim=-1).numpy()
        pieces = _embedded(file, scan, embedder) if file and scan else iterate_vectors(corpus)
        found = nearest(query_vectors, _comparable(pieces, corpus, embedder), count)
    for query, hits in zip(queries, found):
        if as_json:
            results = [{"rank": rank, **hit.as_dict()} for rank, hit in enumerate(hits, 1)]
            answer = {"query": query, "results": results, "fingerprint": embedder.fingerprint}
            click.echo(json.dumps(answer, ensure_ascii=False))
            continue
        click.echo(f"\n{query}")
        rows = [[rank, f"{hit.score:.4f}", hit.row, shortened(hit.text or "", 24)] for rank, hit in enumerate(hits, 1)]
        print_table(rows, ["rank", "score", "row", "text"])
    warn_of_cut_texts(embedder)
    if scan and scan.unusable:
        click.echo(f"skipped {scan.unusable:,} of {scan.rows:,} rows for want of a usable text", err=True)


def _comparable(pieces: Iterator[Vectors], corpus: str, embedder: Embedder) -> Iterator[Vectors]:
    from oneword.fingerprint import check_same_fingerprint

    for piece in pieces:
        check_same_fingerprint(piece.fingerprint, corpus, embedder.fingerprint, "the query")
        yield piece


def _embedded(file: TextFile, scan: Scan, embedder: Embedder) -> Iterator[Vectors]:
    """The texts of a corpus, embedded as they are asked for."""
    from oneword.io.run import EmbedRun
    from oneword.io.vectors import Vectors

    run = EmbedRun(file, scan, embedder)
    for piece in run.pieces():
        yield Vectors(run.vectors(piece), embedder.fingerprint, piece.texts, file.name)
