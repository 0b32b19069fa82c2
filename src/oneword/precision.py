"""Vectors in fewer bytes: int8 and binary codes, with the names and layouts of sentence-transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError
from oneword.method import PRECISIONS

LARGEST_CODE = 127
_BITS = 8
_OFFSET = 128  # of binary: bytes as signed numbers


def check_precision(precision: str, dimension: int) -> None:
    """Refuse what is no precision, or one that vectors of this size cannot have.

    Raises:
        InputError: so.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of: {', '.join(PRECISIONS)}")
    if is_binary(precision) and dimension % _BITS:
        raise InputError(
            f"precision {precision} packs eight dimensions into a byte, but vectors have {dimension}; calibrate to a "
            "multiple of 8, as in principal_components=128, or take int8"
        )


def is_binary(precision: str) -> bool:
    """Whether a vector is bits."""
    return precision in ("binary", "ubinary")


def packed(values: NDArray[np.float32], precision: str) -> NDArray[Any]:
    """Codes: int8 (..., d); eight signs a byte, the first the highest bit, as uint8 or (``binary``) as int8 less 128.

    Args:
        values: what they stand for, without NaN, see :func:`oneword.combination.rounded`.
        precision: which codes.
    """
    if precision == "float32":
        return values
    if precision == "int8":
        return values.astype(np.int8)
    bits = np.packbits(values > 0, axis=-1)
    return bits if precision == "ubinary" else (bits.astype(np.int16) - _OFFSET).astype(np.int8)


def unpacked(codes: NDArray[Any], precision: str) -> NDArray[np.float32]:
    """What codes stand for, as float32 (..., d)."""
    if not is_binary(precision):
        return codes.astype(np.float32)
    if precision == "binary":
        codes = (codes.astype(np.int16) + _OFFSET).astype(np.uint8)
    return np.unpackbits(codes.astype(np.uint8), axis=-1).astype(np.float32) * 2 - 1


def decoded(vectors: Any, precision: str) -> Any:
    """Bytes of binary vectors, in an array or a tensor, as the numbers that they stand for; all else as it is."""
    dtype = str(getattr(vectors, "dtype", "float"))
    if not is_binary(precision) or "float" in dtype:
        return vectors
    if isinstance(vectors, np.ndarray):
        return unpacked(vectors, precision)
    from torch import from_numpy

    return from_numpy(unpacked(vectors.numpy(), precision))


def stored_size(dimension: int, precision: str) -> int:
    """How many numbers hold a vector."""
    return dimension // _BITS if is_binary(precision) else dimension


def stored_type(precision: str) -> np.dtype[Any]:
    """Of those numbers."""
    return np.dtype({"float32": "<f4", "ubinary": "u1"}.get(precision, "i1"))
