"""Files of vectors: whether one can be written, and finished pieces (each a parquet file) put together as one."""

from __future__ import annotations

import json
import math
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
from oneword.io.vectors import LINE_FIELDS, METADATA_KEY, PRECISION, VECTOR, Array, VectorMetadata, dense
from oneword.precision import packed, stored_type

_PARQUET_OPTIONS = {"compression": "snappy", "use_dictionary": False}


def check_columns(file: TextFile, output: str) -> None:
    """Refuse a file with columns of names that the output needs for itself.

    Raises:
        InputError: it has one.
    """
    taken = set(file.columns) & ({VECTOR, PRECISION, *LINE_FIELDS} if output == "jsonl" else {VECTOR})
    if taken:
        raise InputError(f"{file.name} already has a column '{min(taken)}', which the output needs; rename it")


def check_output(output: Path, file: TextFile) -> None:
    """Refuse an output that could not be written, before any work is done.

    Raises:
        OutputError: an ending without a format, no such folder, or the input itself.
        InputError: the input has a column that the output needs.
    """
    check_columns(file, output_format(output))
    if not output.parent.is_dir():
        raise OutputError(f"{output} cannot be written: there is no folder {output.parent}; make it first")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise OutputError(f"{output} cannot be written: {'it is a folder' if output.is_dir() else 'permission denied'}")
    if output.exists() and output.samefile(file.path):
        raise OutputError(f"{output} is the input itself; give the output another name")


def with_vectors(table: pa.Table, vectors: Array, precision: str = "float32") -> pa.Table:
    """A table with its vectors, (rows, d) or (rows, layers, d), as a last column of lists of codes; NaN rows are null.

    The lists are not of Arrow's fixed-size type: not every reader of parquet knows that one with nulls in it.
    """
    skipped = np.isnan(vectors.reshape(len(vectors), -1)).any(axis=1)
    codes = packed(vectors[~skipped], precision)
    column: pa.Array = pa.array(codes.reshape(-1))
    for size in reversed(codes.shape[2:]):
        column = pa.ListArray.from_arrays(np.arange(0, len(column) + 1, size, dtype=np.int32), column)
    ends = np.cumsum(np.where(skipped, 0, codes.shape[1]), dtype=np.int32)
    column = pa.ListArray.from_arrays(np.concatenate([[np.int32(0)], ends]), column, mask=pa.array(skipped))
    return table.append_column(VECTOR, column)


def write_piece(table: pa.Table, path: Path) -> None:
    """Write one piece; it appears under its name only when it is whole."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, **_PARQUET_OPTIONS)
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())  # before it gets its name: a crash of the machine must not leave an empty piece
    unfinished.replace(path)


def write_parquet(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """All pieces as one parquet file, with the metadata in its schema."""
    schema = pq.read_schema(pieces[0]).with_metadata({METADATA_KEY: metadata.to_json()})
    with pq.ParquetWriter(target, schema, **_PARQUET_OPTIONS) as writer:
        for piece in pieces:
            writer.write_table(pq.read_table(piece).replace_schema_metadata(schema.metadata))


def write_npy(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """The codes of all pieces' vectors as one array (rows, *shape); rows without a usable text are NaN."""
    kind = stored_type(metadata.precision)
    header = {"descr": kind.str, "fortran_order": False, "shape": (metadata.rows, *metadata.stored_shape)}
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            column = pq.read_table(piece, columns=[VECTOR]).column(0).combine_chunks()
            values = dense(column, metadata.stored_shape, metadata.precision)
            file.write(packed(values, metadata.precision).astype(kind, copy=False).tobytes())


def write_jsonl(pieces: Sequence[Path], target: Path, metadata: VectorMetadata) -> None:
    """All pieces as one line of JSON a row."""
    with target.open("w", encoding="utf-8") as file:
        for piece in pieces:
            file.writelines(table_lines(pq.read_table(piece), metadata))


def table_lines(table: pa.Table, metadata: VectorMetadata) -> Iterator[str]:
    """A table with its vectors as lines of JSON."""
    vectors = dense(table.column(VECTOR).combine_chunks(), metadata.stored_shape, metadata.precision)
    others = table.drop_columns([VECTOR])
    others = others.cast(pa.schema([(field.name, _without_times(field.type)) for field in others.schema]))
    return json_lines(others.to_pylist(), vectors, metadata.fingerprint, metadata.text_column, metadata.precision)


def _without_times(kind: pa.DataType) -> pa.DataType:
    """The type with strings for times: JSON has none, and Python's have no nanoseconds."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _without_times(field.type)) for field in kind])
    return kind


def json_lines(
    rows: Sequence[dict[str, Any]],
    vectors: Array,
    fingerprint: str,
    text_column: str = "text",
    precision: str = "float32",
) -> Iterator[str]:
    """Lines of JSON: each row's columns, its vector (null where it is NaN), the fingerprint and the text's column.

    Numbers have as many digits as tell one float32 from the next, so that reading them gives the same bits. Codes are
    written as such, and the precision beside them.
    """
    ending = _fields(
        dict(zip(LINE_FIELDS, (fingerprint, text_column))) | ({} if precision == "float32" else {PRECISION: precision})
    )
    for row, vector in zip(rows, vectors):
        numbers = "null"
        if not np.isnan(vector).any():
            codes = packed(vector, precision)
            numbers = _nested(pa.array(codes.reshape(-1)).cast(pa.string()).to_pylist(), codes.shape)
        yield f"{{{', '.join([*_fields(row), f'{json.dumps(VECTOR)}: {numbers}', *ending])}}}\n"


def _fields(row: dict[str, Any]) -> list[str]:
    return [f"{json.dumps(key)}: {_json(value)}" for key, value in row.items()]


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    """The value with null for NaN and the infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _nested(numbers: Sequence[str], shape: tuple[int, ...]) -> str:
    if len(shape) > 1:
        step = len(numbers) // shape[0]
        numbers = [_nested(numbers[start : start + step], shape[1:]) for start in range(0, len(numbers), step)]
    return f"[{', '.join(numbers)}]"
