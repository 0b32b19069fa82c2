"""A first pass over a file of texts: everything that can be wrong is found before any time is spent on the rest."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from oneword.errors import InputError
from oneword.io.texts import TextFile, Types
from oneword.text import text_problem

_ROWS = 4096


@dataclass(frozen=True)
class Scan:
    """What the first pass found.

    Args:
        column: where the texts stand.
        rows: how many rows the file has.
        unusable: how many of them have no usable text.
        types: every column and its type over the whole file.
    """

    column: str
    rows: int
    unusable: int
    types: Types


def scan_texts(file: TextFile, column: str | None, skip_unusable: bool) -> Scan:
    """Read the whole file once.

    Args:
        file: the file.
        column: where the texts stand; None means "text", or the only column.
        skip_unusable: count rows without a usable text instead of refusing the file.

    Raises:
        InputError: no rows, no such column, or rows without a usable text; the first one is named.
    """
    column = _find_column(file, column)
    rows = unusable = 0
    first_problem = ""
    types: Types = {}
    for piece in file.pieces(column, _ROWS):
        for number, text in enumerate(piece.texts, rows + 1):
            problem = text_problem(text)
            if problem:
                unusable += 1
                first_problem = first_problem or f"row {number} {problem}"
        rows += len(piece.texts)
        types = _common_types(types, piece.table.schema)
    if not rows:
        raise InputError(f"{file.name} has no rows; there is nothing to embed")
    if unusable == rows:
        raise InputError(f"{file.name}, column '{column}': no row has a usable text ({first_problem})")
    if unusable and not skip_unusable:
        others = f", and so are {unusable - 1} others" if unusable > 1 else ""
        raise InputError(
            f"{file.name}, column '{column}': {first_problem}{others}; mend them, or give --on-error skip to write "
            "a null vector there"
        )
    return Scan(column, rows, unusable, types)


def _find_column(file: TextFile, column: str | None) -> str:
    names = file.columns
    if not names:
        raise InputError(f"{file.name} has no rows; there is nothing to embed")
    if column is None:
        if "text" in names or len(names) == 1:
            return "text" if "text" in names else names[0]
        raise InputError(f"{file.name} has {len(names)} columns; give --column with one of: {', '.join(names)}")
    if column not in names:
        raise InputError(f"{file.name} has no column '{column}'; its columns are: {', '.join(names)}")
    return column


def _common_types(types: Types, schema: pa.Schema) -> Types:
    """Types that hold the values seen so far and those of one more piece; text where there is no other."""
    common = dict(types)
    for field in schema:
        known = common.get(field.name, field.type)
        try:
            pair = [pa.schema([(field.name, kind)]) for kind in (known, field.type)]
            common[field.name] = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        except pa.ArrowException:
            common[field.name] = pa.string()
    return common
