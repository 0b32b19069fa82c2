"""A whole file of texts to a file of vectors: in pieces, in constant memory, and so that a broken run can go on.

Finished pieces lie in a folder beside the output, ``OUTPUT.partial``; the output itself appears under its name only
when it is whole. A run that was stopped leaves the folder, and the same command goes on from there.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oneword import __version__
from oneword.embedder import Embedder
from oneword.errors import Interrupted, OutputError
from oneword.io.formats import output_format
from oneword.io.scan import Scan
from oneword.io.texts import Piece, TextFile
from oneword.io.vectors import Array, VectorMetadata, sidecar
from oneword.io.writers import (
    check_columns,
    table_lines,
    with_vectors,
    write_jsonl,
    write_npy,
    write_parquet,
    write_piece,
)
from oneword.text import text_problem

_PIECE_BYTES = 64 << 20
_PIECE_ROWS = 512  # what a stopped run can lose
_FASTER = 16  # so many more on a GPU, which does them in as little time

_NOTE = "run.txt"  # beside the finished pieces: what they are of
_WRITERS = {"parquet": write_parquet, "npy": write_npy, "jsonl": write_jsonl}


@dataclass(frozen=True)
class EmbedRun:
    """One file of texts to be embedded.

    Args:
        file: the texts.
        scan: what the first pass over them found.
        embedder: what they are embedded with.
        batch_size: texts a batch; None: chosen by the embedder.
        normalize: scale every vector to length 1, codes aside.
    """

    file: TextFile
    scan: Scan
    embedder: Embedder
    batch_size: int | None = None
    normalize: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one vector: (d,), or (layers, d)."""
        layer = self.embedder.layer
        return (len(layer), self.embedder.dimension) if isinstance(layer, list) else (self.embedder.dimension,)

    @property
    def piece_rows(self) -> int:
        """Rows of a piece: few enough that a piece's vectors take little memory."""
        most = _PIECE_ROWS * (1 if self.embedder.device.type == "cpu" else _FASTER)
        return max(16, min(most, _PIECE_BYTES // (4 * int(np.prod(self.shape)))))

    def pieces(self) -> Iterator[Piece]:
        """The texts, piece by piece."""
        return self.file.pieces(self.scan.column, self.piece_rows, self.scan.types)

    @property
    def metadata(self) -> VectorMetadata:
        """What the output says of its vectors."""
        return VectorMetadata(
            fingerprint=self.embedder.fingerprint,
            model=self.embedder.model,
            method=self.embedder.method.name,
            text_column=self.scan.column,
            shape=self.shape,
            rows=self.scan.rows,
            version=__version__,
            precision=self.embedder.precision,
        )

    def vectors(self, piece: Piece, on_texts: Callable[[int], object] = lambda texts: None) -> Array:
        """A piece's vectors, (rows, *shape), of codes what they stand for; NaN where there is no usable text."""
        usable = [text_problem(text) is None for text in piece.texts]
        texts = [text for text, good in zip(piece.texts, usable) if good]
        vectors = np.full((len(usable), *self.shape), np.nan, dtype=np.float32)
        if texts:
            vectors[usable] = self.embedder.compute(texts, self.batch_size, on_texts).numpy().reshape(-1, *self.shape)
        if self.normalize and self.embedder.precision == "float32":
            vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        on_texts(len(piece.texts) - len(texts))
        return vectors


def embed_to_file(run: EmbedRun, output: Path, on_texts: Callable[[int], object]) -> None:
    """Embed a file of texts into a file of vectors.

    Args:
        run: what to embed, and with what.
        output: ``.parquet`` (all columns and ``vector``), ``.jsonl`` (the same, and on each line
            ``fingerprint`` and ``text_column``) or ``.npy`` (vectors alone, metadata in ``OUTPUT.npy.json``).
        on_texts: told how many more rows are done, those of an earlier run included.

    Raises:
        OutputError: the output cannot be written; finished pieces are kept.
        Interrupted: the user stopped the run; finished pieces are kept.
    """
    partial = output.with_name(output.name + ".partial")
    metadata = run.metadata
    if run.scan.unusable and output_format(output) == "npy" and metadata.precision != "float32":
        raise OutputError(
            f"{output} cannot hold rows without a vector in {metadata.precision}: codes have no NaN; write .parquet"
        )
    _refuse_stranger(partial)
    with _kept_when_stopped(partial, output, run.scan.rows):
        _prepare(partial, f"{metadata.to_json()} {run.normalize} {run.piece_rows} {run.file.digest}")
        finished = []
        for number, piece in enumerate(run.pieces()):
            path = partial / f"{number:06}.parquet"
            if _rows(path) == len(piece.texts):
                on_texts(len(piece.texts))
            else:
                write_piece(with_vectors(piece.table, run.vectors(piece, on_texts), metadata.precision), path)
            finished.append(path)
        whole = partial / "whole"
        _WRITERS[output_format(output)](finished, whole, metadata)
        if output_format(output) == "npy":
            sidecar(whole).write_text(metadata.to_json() + "\n", encoding="utf-8")
            sidecar(whole).replace(sidecar(output))
        whole.replace(output)
    shutil.rmtree(partial)


def embed_to_lines(run: EmbedRun, on_texts: Callable[[int], object]) -> Iterator[str]:
    """Embed a file of texts into lines of JSON, piece by piece."""
    check_columns(run.file, "jsonl")
    for piece in run.pieces():
        table = with_vectors(piece.table, run.vectors(piece, on_texts), run.metadata.precision)
        yield from table_lines(table, run.metadata)


def _refuse_stranger(partial: Path) -> None:
    """Refuse to use, and later to remove, what no run of oneword made."""
    ours = (partial / _NOTE).is_file() or (partial.is_dir() and not any(partial.iterdir()))
    if partial.exists() and not ours:
        raise OutputError(f"{partial} is in the way, and no run of oneword made it; move it, or name another output")


def _prepare(partial: Path, task: str) -> None:
    """Make the folder for finished pieces, or find it as an earlier run of the same task left it.

    Raises:
        OutputError: it holds finished pieces of another task; they are never thrown away unasked.
    """
    note = partial / _NOTE
    if note.is_file() and note.read_text(encoding="utf-8", errors="replace") == task:
        return
    kept = _kept_rows(partial)
    if kept:
        raise OutputError(
            f"{partial} keeps {kept:,} rows of another run: its input, model, method or options differ; repeat that "
            "command to finish it, or delete the folder"
        )
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    note.write_text(task, encoding="utf-8")


@contextmanager
def _kept_when_stopped(partial: Path, output: Path, rows: int) -> Iterator[None]:
    """Say what is kept when the run ends before its time; leave no empty folder behind."""
    try:
        yield
    except BaseException as error:
        kept = _kept_rows(partial)
        if not kept:
            shutil.rmtree(partial, ignore_errors=True)
        state = f"{kept:,} of {rows:,} rows are kept in {partial}; run the same command again to go on from there"
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(state if kept else "nothing was finished yet, and nothing is left behind") from None
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else error.strerror or str(error)
            way_out = "make room first" if full else "see to it, or name another output"
            raise OutputError(f"{output} cannot be written: {reason}; {state if kept else way_out}") from None
        raise


def _kept_rows(partial: Path) -> int:
    return sum(_rows(piece) for piece in partial.glob("*.parquet"))


def _rows(piece: Path) -> int:
    """How many rows a finished piece has: none where it is missing, or a crash of the machine broke it."""
    try:
        return int(pq.read_metadata(piece).num_rows)
    except (OSError, pa.ArrowException):
        return 0
