"""`oneword embed`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from oneword.cli.options import FileOptions, ModelOptions, file_options, model_options
from oneword.cli.startup import warn_of_cut_texts
from oneword.errors import InputError
from oneword.io.formats import names_input_file, output_format


@click.command()
@click.argument("texts", nargs=-1, metavar="[TEXT ...] | FILE")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help=".parquet, .npy or .jsonl.")
@file_options
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="Texts a batch.  [default: by token budget]"
)
@click.option("--normalize", is_flag=True, help="Scale every vector to length 1; codes stay codes.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@model_options
def embed(
    texts: tuple[str, ...],
    output: Path | None,
    file_options: FileOptions,
    batch_size: int | None,
    normalize: bool,
    quiet: bool,
    model_options: ModelOptions,
) -> None:
    """Turn texts, or a file of texts, into vectors.

    Texts given as arguments are printed as JSON lines. A FILE (txt, csv, tsv, jsonl or parquet; - for standard input,
    a text a line) is written to -o with all its columns, or printed as JSON lines without -o. A run that is stopped
    keeps its finished rows; the same command goes on from there.

    \b
    oneword embed "a text" "another"
    oneword embed corpus.parquet --column text -o vectors.parquet
    cat lines.txt | oneword embed - -o vectors.npy
    """  # noqa: D301 - click reads the backspaces
    if not texts:
        raise InputError('no texts to embed; give some, as in `oneword embed "a text"`, or a file, or - to read stdin')
    if not file_options.given and not any(map(names_input_file, texts)):
        if output is not None:
            raise InputError("-o is for a file of texts; put the texts into one, or leave -o off to print JSON lines")
        _embed_arguments(list(texts), batch_size, normalize, model_options)
        return
    if len(texts) > 1:
        raise InputError(f"one file at a time; {len(texts)} arguments were given beside each other")
    if output is not None:
        output_format(output)  # a wrong ending is told before the input is read
    _embed_file(texts[0], output, file_options, batch_size, normalize, quiet, model_options)


def _embed_arguments(texts: list[str], batch_size: int | None, normalize: bool, options: ModelOptions) -> None:
    from oneword.text import check_texts

    check_texts(texts)
    embedder = options.embedder()
    from oneword.io.writers import json_lines
    from oneword.precision import unpacked

    vectors = embedder.encode(texts, batch_size=batch_size, normalize_embeddings=normalize)
    values = unpacked(vectors, embedder.precision)
    rows = [{"text": text} for text in texts]
    for line in json_lines(rows, values, embedder.fingerprint, precision=embedder.precision):
        click.echo(line, nl=False)
    warn_of_cut_texts(embedder)


def _embed_file(
    argument: str,
    output: Path | None,
    file_options: FileOptions,
    batch_size: int | None,
    normalize: bool,
    quiet: bool,
    model_options: ModelOptions,
) -> None:
    from tqdm import tqdm

    from oneword.io.texts import open_texts
    from oneword.io.writers import check_output

    with open_texts(argument, file_options.input_format) as file:
        if output is not None:
            check_output(output, file)
        scan = file_options.scan(file)
        embedder = model_options.embedder()
        from oneword.io.run import EmbedRun, embed_to_file, embed_to_lines

        run = EmbedRun(file, scan, embedder, batch_size, normalize)
        started = time.monotonic()
        steady = 0.1 if sys.stderr.isatty() else 10.0  # seconds between two states of the bar; a log needs few
        with tqdm(total=scan.rows, unit=" texts", disable=quiet, mininterval=steady) as bar:
            if output is None:
                for line in embed_to_lines(run, bar.update):
                    click.echo(line, nl=False)
            else:
                embed_to_file(run, output, bar.update)
    warn_of_cut_texts(embedder)
    skipped = f", {scan.unusable:,} of them null for want of a usable text" if scan.unusable else ""
    if not quiet or scan.unusable:
        where = f" to {output}" if output else ""
        click.echo(
            f"wrote {scan.rows:,} rows{where}{skipped}; {embedder.dimension} dimensions, {embedder.fingerprint}, "
            f"{time.monotonic() - started:.1f} s",
            err=True,
        )
