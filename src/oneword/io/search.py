"""The most similar rows of many vectors, in one pass and constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from oneword.errors import InputError
from oneword.io.vectors import Array, Vectors


@dataclass(frozen=True)
class Hit:
    """A row that is similar to a query.

    Args:
        score: cosine similarity.
        row: the row's number in the corpus, from 1.
        text: its text, where the corpus holds texts.
    """

    score: float
    row: int
    text: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def nearest(queries: Array, corpus: Iterable[Vectors], count: int) -> list[list[Hit]]:
    """The ``count`` rows of a corpus most similar to each query, best first; rows that were skipped are no candidates.

    Args:
        queries: (q, d), each of length 1.
        corpus: vectors in pieces, each (n, d).
        count: hits a query.

    Raises:
        InputError: vectors of several layers.
    """
    best: list[list[Hit]] = [[] for _ in queries]
    start = 1
    for piece in corpus:
        if piece.values.ndim != 2:
            raise InputError(f"{piece} holds vectors of several layers; search needs one: embed it with one --layer")
        values = piece.values
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        scores = queries @ (values / np.where(lengths > 0, lengths, 1)).T
        scores[:, np.isnan(lengths[:, 0])] = -np.inf
        for hits, row_scores in zip(best, scores):
            top = np.argsort(-row_scores, kind="stable")[:count]
            hits += [
                Hit(float(row_scores[row]), start + int(row), piece.texts[row] if piece.texts else None)
                for row in top
                if np.isfinite(row_scores[row])
            ]
            hits.sort(key=lambda hit: -hit.score)
            del hits[count:]
        start += len(values)
    return best
