"""Files of vectors: what stands in them, and how they are read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oneword.errors import InputError
from oneword.fingerprint import check_same_fingerprint
from oneword.method import PRECISIONS
from oneword.precision import stored_size, unpacked

Array = NDArray[np.float32]

METADATA_KEY = b"oneword"
VECTOR = "vector"  # the column that holds the vectors
LINE_FIELDS = ("fingerprint", "text_column")  # what each line of a .jsonl says beside it
PRECISION = "precision"  # which a line of a .jsonl says beside them, where it is not float32


@dataclass(frozen=True)
class VectorMetadata:
    """What a file says of its vectors.

    Args:
        fingerprint: see :func:`oneword.fingerprint.make_fingerprint`.
        model: what the model was called.
        method: the method's name.
        text_column: where the texts stand.
        shape: of one vector: (d,), or (layers, d).
        rows: how many rows.
        version: of oneword.
        precision: what the vectors are made of, see :class:`oneword.Embedder`; ``shape`` is that of what they stand
            for, so that binary ones take an eighth of it in bytes.
    """

    fingerprint: str
    model: str
    method: str
    text_column: str
    shape: tuple[int, ...]
    rows: int
    version: str
    precision: str = "float32"

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one vector's codes."""
        return (*self.shape[:-1], stored_size(self.shape[-1], self.precision))

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> VectorMetadata:
        """Back from :meth:`to_json`."""
        stated = {"precision": "float32", **json.loads(line)}  # which files of older versions do not state
        known = {field.name: stated[field.name] for field in fields(cls)}
        if known["precision"] not in PRECISIONS:
            raise ValueError(f"unknown precision {known['precision']!r}")
        return cls(**{**known, "shape": tuple(known["shape"])})


@dataclass(frozen=True)
class Vectors:
    """Vectors and what they are of.

    Args:
        values: float32 (n, d), or (n, layers, d), of codes what they stand for; rows that were skipped are NaN.
        fingerprint: what they must share with others to be compared.
        texts: the texts, where the file holds them.
        name: what messages call them.
    """

    values: Array
    fingerprint: str
    texts: list[str] | None = None
    name: str = "vectors"

    def __str__(self) -> str:
        return self.name


def read_vectors(path: str | Path) -> Vectors:
    """Read a whole file of vectors that ``oneword embed`` wrote.

    Raises:
        InputError: not such a file.
    """
    pieces = list(iterate_vectors(path))
    if not pieces:
        raise InputError(f"{path} holds no vectors; embed its texts again")
    texts = [piece.texts for piece in pieces]
    joined = None if None in texts else [text for some in texts for text in some or []]
    return Vectors(np.concatenate([piece.values for piece in pieces]), pieces[0].fingerprint, joined, str(path))


def iterate_vectors(path: str | Path, rows: int = 8192) -> Iterator[Vectors]:
    """Read a file of vectors in pieces, in constant memory.

    Raises:
        InputError: not a file that ``oneword embed`` wrote.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}; give the path of one that `oneword embed -o` wrote")
    readers = {".parquet": _parquet_pieces, ".npy": _npy_pieces, ".jsonl": _jsonl_pieces, ".ndjson": _jsonl_pieces}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no file of vectors: its ending is none of {', '.join(readers)}")
    yield from readers[path.suffix.lower()](path, rows)


def holds_vectors(path: Path) -> bool:
    """Whether a file is one that ``oneword embed`` wrote."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".npy":
        return True
    try:
        if path.suffix.lower() == ".parquet":
            return METADATA_KEY in (pq.read_schema(path).metadata or {})
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            with path.open(encoding="utf-8-sig") as file:
                return {VECTOR, "fingerprint"} <= set(json.loads(file.readline()))
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return False
    return False


def sidecar(path: Path) -> Path:
    """The file beside a ``.npy`` that holds its metadata: an array file has no place for it."""
    return path.with_name(path.name + ".json")


def _parquet_pieces(path: Path, rows: int) -> Iterator[Vectors]:
    try:
        with pq.ParquetFile(path) as file:
            stated = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
            if stated is None:
                raise InputError(f"{path} was not written by oneword: it states no fingerprint; embed its texts again")
            metadata = VectorMetadata.from_json(stated)
            columns = [name for name in (metadata.text_column, VECTOR) if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                texts = batch.column(metadata.text_column).to_pylist() if metadata.text_column in columns else None
                values = dense(batch.column(VECTOR), metadata.stored_shape, metadata.precision)
                yield Vectors(values, metadata.fingerprint, texts, str(path))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a file of vectors: {reason}; write it again") from None


def _npy_pieces(path: Path, rows: int) -> Iterator[Vectors]:
    beside = sidecar(path)
    if not beside.is_file():
        raise InputError(f"{path} states no fingerprint: {beside.name} is not beside it; embed its texts again")
    try:
        metadata = VectorMetadata.from_json(beside.read_bytes())
        values = np.load(path, mmap_mode="r")
    except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise InputError(f"{path} or {beside.name} is broken: {str(error).splitlines()[0]}; write it again") from None
    stated = (metadata.rows, *metadata.stored_shape)
    if values.shape != stated:
        raise InputError(
            f"{path} holds an array of shape {values.shape}, but {beside.name} states {stated}: they are not of "
            "one run; embed the texts again"
        )
    for start in range(0, len(values), rows):
        piece = unpacked(np.array(values[start : start + rows]), metadata.precision)
        yield Vectors(piece, metadata.fingerprint, None, str(path))


def _jsonl_pieces(path: Path, rows: int) -> Iterator[Vectors]:
    shape = next((row.vector.shape for row in _json_rows(path) if row.vector is not None), ())
    found = _json_rows(path)
    while piece := list(itertools.islice(found, rows)):
        values = np.full((len(piece), *shape), np.nan, dtype=np.float32)
        for place, row in enumerate(piece):
            if row.vector is not None:
                values[place] = row.vector
        yield Vectors(values, piece[0].fingerprint, [row.text for row in piece], str(path))


@dataclass(frozen=True)
class _JsonRow:
    text: str
    vector: Array | None
    fingerprint: str


def _json_rows(path: Path) -> Iterator[_JsonRow]:
    """Every line of the file; all have the fingerprint of the first, and vectors of one shape."""
    first = ""
    shape: tuple[int, ...] = ()
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                stated = json.loads(line, parse_int=float)  # -0 is a number of its own
                vector = None if stated[VECTOR] is None else np.array(stated[VECTOR], dtype=np.float32)
                if vector is not None and PRECISION in stated:
                    vector = unpacked(vector, stated[PRECISION])
                row = _JsonRow(stated[stated["text_column"]], vector, stated["fingerprint"])
            except (ValueError, KeyError, TypeError, RecursionError):
                row = None
            if row is not None and row.vector is not None:
                shape = shape or row.vector.shape
            if row is None or (row.vector is not None and (row.vector.shape != shape or not shape)):
                raise InputError(f"{path}, line {number} is no vector that oneword wrote; embed its text again")
            first = first or row.fingerprint
            check_same_fingerprint(first, f"{path}, line 1", row.fingerprint, f"line {number}")
            yield row


def dense(column: Any, shape: tuple[int, ...], precision: str = "float32") -> Array:
    """A column of lists of codes, (rows, *shape), as what they stand for; null rows as NaN."""
    valid = np.asarray(column.is_valid())
    flat = column.drop_null().flatten()
    if len(shape) > 1:
        flat = flat.flatten()
    found = unpacked(flat.to_numpy(zero_copy_only=False).reshape(-1, *shape), precision)
    values = np.full((len(column), *found.shape[1:]), np.nan, dtype=np.float32)
    values[valid] = found
    return values
