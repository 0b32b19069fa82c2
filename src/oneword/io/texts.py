"""Files of texts, read in pieces of some rows, all columns kept."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.digest import file_sha256
from oneword.errors import InputError
from oneword.io.formats import input_format

Row: TypeAlias = dict[str, Any]
Types: TypeAlias = dict[str, pa.DataType]


@dataclass(frozen=True)
class Piece:
    """Some rows of a file.

    Args:
        texts: what stands in the text column, as it is: null and other types included.
        table: all columns; in the text column, anything that is not text as JSON.
    """

    texts: list[Any]
    table: pa.Table


@dataclass(frozen=True)
class TextFile:
    """A file of texts.

    Args:
        path: where it lies.
        format: txt, csv, tsv, jsonl or parquet.
        name: what messages call it.
    """

    path: Path
    format: str
    name: str

    @functools.cached_property
    def digest(self) -> str:
        """Of its content, so that a run that goes on knows its input."""
        return file_sha256(self.path)

    @functools.cached_property
    def columns(self) -> list[str]:
        """The names of its columns: of all rows, where every row can have its own.

        Raises:
            InputError: two columns of one name.
        """
        if self.format == "parquet":
            with self._parquet() as file:
                return self._different(file.schema_arrow.names)
        rows = self._rows() if self.format == "jsonl" else itertools.islice(self._rows(), 1)
        return list(dict.fromkeys(name for row in rows for name in row))

    def pieces(self, column: str, rows: int, types: Types | None = None) -> Iterator[Piece]:
        """The file in order, in pieces of up to ``rows`` rows.

        Args:
            column: where the texts stand.
            rows: the most rows of a piece.
            types: the columns and their types; None takes what the values of each piece have in common.

        Raises:
            InputError: a file that is not what its format says; the message names the line.
        """
        if self.format == "parquet":
            with self._parquet() as file:
                for batch in file.iter_batches(batch_size=rows):
                    yield Piece(batch.column(column).to_pylist(), pa.Table.from_batches([batch]))
            return
        for values in _chunks(self._rows(), rows):
            names = types or dict.fromkeys(name for row in values for name in row)
            columns = {name: [row.get(name) for row in values] for name in names}
            arrays = {name: _array(cells, types and types[name]) for name, cells in columns.items()}
            arrays[column] = _as_text(columns[column])
            yield Piece(columns[column], pa.table(arrays))

    def _rows(self) -> Iterator[Row]:
        reader = {"txt": self._txt_rows, "jsonl": self._jsonl_rows}.get(self.format, self._csv_rows)
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield from reader(file)
        except UnicodeDecodeError:
            raise InputError(
                f"{self.name} is not UTF-8 text; convert it first, as with `iconv -f latin1 -t utf-8`"
            ) from None
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}") from None

    def _txt_rows(self, file: io.TextIOBase) -> Iterator[Row]:
        for line in file:
            yield {"text": line.rstrip("\r\n")}

    def _csv_rows(self, file: io.TextIOBase) -> Iterator[Row]:
        csv.field_size_limit(sys.maxsize)
        reader = csv.reader(file, strict=True) if self.format == "csv" else _tsv_reader(file)
        try:
            header = self._different(next(reader, []))
            for fields in reader:
                if not fields:  # a blank line: an empty text where texts are all there is
                    if len(header) > 1:
                        continue
                    fields = [""]
                if len(fields) != len(header):
                    raise InputError(
                        f"{self.name}, line {reader.line_num}: {len(fields)} fields where the header has "
                        f"{len(header)}; quote fields that hold the delimiter"
                    )
                yield dict(zip(header, fields))
        except csv.Error as error:
            raise InputError(f"{self.name}, line {reader.line_num}: {error}; mend the quotes there") from None

    def _jsonl_rows(self, file: io.TextIOBase) -> Iterator[Row]:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self.name}, line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f'{self.name}, line {number} is no JSON object; write each row as {{"text": "..."}}')
            yield {_valid(name): value for name, value in row.items()}

    def _different(self, names: list[str]) -> list[str]:
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{self.name} has {names.count(name)} columns called '{name}'; rename them")
        return names

    @contextmanager
    def _parquet(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.name} cannot be read as parquet: {reason}; write it again") from None


@contextmanager
def open_texts(argument: str, chosen_format: str | None = None) -> Iterator[TextFile]:
    """A file of texts; ``-`` is standard input. What can be read only once is kept in a temporary file meanwhile.

    Raises:
        InputError: no such file, or an ending that names no format.
    """
    path = Path(argument)
    if argument != "-" and path.is_file():
        yield TextFile(path, chosen_format or input_format(path), argument)
        return
    if argument != "-" and (not path.exists() or path.is_dir()):
        raise InputError(f"no file {argument}" + (": it is a folder" if path.is_dir() else "; give the path of one"))
    if argument == "-" and sys.stdin is None:
        raise InputError("standard input is closed; give a file, or pipe texts in")
    with tempfile.TemporaryDirectory(prefix="oneword-") as folder:
        spool = Path(folder) / "texts"
        with spool.open("wb") as copy, sys.stdin.buffer if argument == "-" else path.open("rb") as source:
            shutil.copyfileobj(source, copy)
        yield TextFile(spool, chosen_format or "txt", "standard input" if argument == "-" else argument)


def _tsv_reader(file: Iterable[str]) -> Any:
    """A tsv file has no quoting: its quotes are characters of the text."""
    return csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    """An Arrow column of that type, or of the type that the values have in common; text where there is none."""
    try:
        array = pa.array(values if kind is None else [_coerced(value, kind) for value in values], kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return _as_text(values)
    return array if _storable(array.type) else _as_text(values)


def _coerced(value: Any, kind: pa.DataType) -> Any:
    """The value with fractions where the type has them: Arrow takes no whole number that no fraction equals."""
    if pa.types.is_floating(kind) and isinstance(value, int):
        return float(value)
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return {field.name: _coerced(value.get(field.name), field.type) for field in kind}
    if pa.types.is_list(kind) and isinstance(value, list):
        return [_coerced(inner, kind.value_type) for inner in value]
    return value


def _storable(kind: pa.DataType) -> bool:
    """Whether parquet can hold the type: it has no structs without fields."""
    if pa.types.is_struct(kind) and not kind.num_fields:
        return False
    return all(_storable(kind.field(index).type) for index in range(kind.num_fields))


def _as_text(values: list[Any]) -> pa.Array:
    """Strings as they are, null as null, anything else as JSON."""
    texts = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([text and _valid(text) for text in texts], pa.string())


def _valid(text: str) -> str:
    """The text with question marks for halves of surrogate pairs, which no file can hold."""
    return text.encode(errors="replace").decode()
