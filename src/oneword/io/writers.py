"""Files of vectors: whether one can be written, and finished pieces (each a parquet file) put together as one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oneword.errors import InputError, OutputError
from oneword.io.formats import output_format
from oneword.io.texts import TextFile
from oneword.io.vectors import METADATA_KEY, VECTOR, Array, VectorMetadata, dense

_PARQUET_OPTIONS = {"compression": "snappy", "use_dictionary": False}


def check_output(output: Path, file: TextFile) -> None:
    """Refuse an output that could not be written, before any work is done.

    Raises:
        OutputError: an ending without a format, no such folder, or the input itself.
    """
    reserved = {VECTOR, "fingerprint"} if output_format(output) == "jsonl" else {VECTOR}
    taken = reserved & set(file.columns())
    if taken:
        raise InputError(f"{file.name} already has a column '{min(taken)}', which the output needs; rename it")
    if not output.parent.is_dir():
        raise OutputError(f"{output} cannot be written: there is no folder {output.parent}; make it first")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise OutputError(f"{output} cannot be written: {'it is a folder' if output.is_dir() else 'permission denied'}")
    if output.exists() and output.samefile(file.path):
        raise OutputError(f"{output} is the input itself; give the output another name")


def vector_column(vectors: Array, usable: Sequence[bool]) -> pa.Array:
    """Vectors (m, d) or (m, layers, d) of the usable rows as a column of fixed-size lists; null elsewhere."""
    present = np.asarray(usable, dtype=bool)
    rows = np.zeros((len(present), *vectors.shape[1:]), dtype=np.float32)
    rows[present] = vectors
    column: pa.Array = pa.array(rows.reshape(-1))
    for size in reversed(vectors.shape[2:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return pa.FixedSizeListArray.from_arrays(column, vectors.shape[1], mask=pa.array(~present))


def write_piece(table: pa.Table, path: Path) -> None:
    """Write one piece; it appears under its name only when it is whole."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, **_PARQUET_OPTIONS)
    unfinished.replace(path)


def write_parquet(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """All pieces as one parquet file, with the metadata in its schema."""
    schema = pq.read_schema(pieces[0]).with_metadata({METADATA_KEY: metadata.to_json()})
    with pq.ParquetWriter(target, schema, **_PARQUET_OPTIONS) as writer:
        for piece in pieces:
            writer.write_table(pq.read_table(piece).replace_schema_metadata(schema.metadata))


def write_npy(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """The vectors of all pieces as one array (rows, *shape); rows without a usable text are NaN."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (metadata.rows, *metadata.shape)}
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            column = pq.read_table(piece, columns=[VECTOR]).column(0).combine_chunks()
            file.write(dense(column, metadata.shape).astype("<f4", copy=False).tobytes())


def write_jsonl(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """All pieces as one line of JSON a row."""
    with target.open("w", encoding="utf-8") as file:
        for piece in pieces:
            file.writelines(table_lines(pq.read_table(piece), metadata.shape, metadata.fingerprint))


def table_lines(table: pa.Table, shape: tuple[int, ...], fingerprint: str) -> Iterator[str]:
    """A table with its vectors as lines of JSON."""
    vectors = dense(table.column(VECTOR).combine_chunks(), shape)
    return json_lines(table.drop_columns([VECTOR]).to_pylist(), vectors, fingerprint)


def json_lines(rows: Sequence[dict[str, Any]], vectors: Array, fingerprint: str) -> Iterator[str]:
    """Lines of JSON: each row's columns, its vector (null where it is NaN) and the fingerprint.

    Numbers have as many digits as tell one float32 from the next, so that reading them gives the same bits.
    """
    shape = vectors.shape[1:]
    size = int(np.prod(shape))
    for row, vector in zip(rows, vectors.reshape(len(vectors), size)):
        numbers = "null" if np.isnan(vector).any() else _nested(pa.array(vector).cast(pa.string()).to_pylist(), shape)
        fields = [
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in row.items()
        ]
        fields += [f'"{VECTOR}": {numbers}', f'"fingerprint": {json.dumps(fingerprint)}']
        yield f"{{{', '.join(fields)}}}\n"


def _nested(numbers: Sequence[str], shape: tuple[int, ...]) -> str:
    if len(shape) > 1:
        step = len(numbers) // shape[0]
        numbers = [_nested(numbers[start : start + step], shape[1:]) for start in range(0, len(numbers), step)]
    return f"[{', '.join(numbers)}]"
