"""Near duplicates: texts that are the same but for a few characters.

Two texts are near duplicates where the sets of their five-character pieces have a Jaccard similarity of 0.8 or more,
white space, punctuation and case aside. That is exact, not estimated as by MinHash: two sets so similar share one of
the rarest few of their pieces (prefix filtering; Chaudhuri, Ganti and Kaushik, ICDE 2006), so an index of those finds
every candidate. Ninety thousand sentences take about half a minute on one core, and 0.2 GB.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.8

_PARTS, _OF = 4, 5  # the threshold in whole numbers, in which a tie is a tie
_LENGTH = 5  # of a piece, in characters
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_BUCKET_BITS = 20  # pieces are counted in so many buckets; a shared one costs time, never a match
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing
_POWERS = np.array([pow(int(_MIX), power, 1 << 64) for power in range(_LENGTH)], dtype=np.uint64)

Pieces: TypeAlias = NDArray[np.uint64]
OnText: TypeAlias = Callable[[int], object]


def normalized(text: str) -> str:
    """What is compared: words in lower case with single spaces between them; marks, where a text has no words."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _BETWEEN_WORDS.sub(" ", text).strip() or " ".join(text.split())


def repeated(texts: Sequence[str], on_text: OnText = lambda done: None) -> dict[int, int]:
    """The texts to leave out so that no two near duplicates are left.

    Args:
        texts: the texts, of which the first of several near duplicates is kept.
        on_text: told how many more texts are done.

    Returns:
        The index of each text to leave out, with that of an earlier text, which is kept, that it repeats.
    """
    pieces = [_pieces(text) for text in texts]
    index = _Index(pieces)
    found: dict[int, int] = {}
    for row, one in enumerate(pieces):
        earlier = index.find(one)
        if earlier is None:
            index.add(row, one)
        else:
            found[row] = earlier
        on_text(1)
    return found


def among(texts: Sequence[str], others: Sequence[str], on_text: OnText = lambda done: None) -> dict[int, int]:
    """The texts that are near duplicates of others.

    Args:
        texts: the texts.
        others: what they are compared with.
        on_text: told how many more texts are done.

    Returns:
        The index of each such text, with that of the first of the others that it is like.
    """
    pieces, compared = [_pieces(text) for text in texts], [_pieces(text) for text in others]
    index = _Index([*pieces, *compared])
    for row, one in enumerate(compared):
        index.add(row, one)
    found: dict[int, int] = {}
    for row, one in enumerate(pieces):
        other = index.find(one)
        if other is not None:
            found[row] = other
        on_text(1)
    return found


class _Index:
    """Texts to be found again by their rarest pieces.

    Args:
        every: the pieces of all texts that will be added or looked for, by which pieces are rare.
    """

    def __init__(self, every: Sequence[Pieces]) -> None:
        self._counts = np.zeros(1 << _BUCKET_BITS, dtype=np.int64)
        for pieces in every:
            self._counts[_buckets(pieces)] += 1
        self._added: dict[int, Pieces] = {}
        self._rows: dict[int, list[int]] = {}  # by piece

    def add(self, row: int, pieces: Pieces) -> None:
        """Let a text be found."""
        self._added[row] = pieces
        for piece in self._rarest(pieces):
            self._rows.setdefault(piece, []).append(row)

    def find(self, pieces: Pieces) -> int | None:
        """The first of the added texts that this is a near duplicate of."""
        rows = sorted({row for piece in self._rarest(pieces) for row in self._rows.get(piece, ())})
        sizes = np.array([len(self._added[row]) for row in rows])
        near = _OF * np.minimum(sizes, len(pieces)) >= _PARTS * np.maximum(sizes, len(pieces))
        rows, sizes = [row for row, is_near in zip(rows, near) if is_near], sizes[near]
        if not rows:
            return None
        # How many pieces each candidate shares: all of them looked up at once
        theirs = np.concatenate([self._added[row] for row in rows])
        places = np.searchsorted(pieces, theirs).clip(max=len(pieces) - 1)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        shared = np.add.reduceat((pieces[places] == theirs).astype(np.int64), starts)
        alike = _OF * shared >= _PARTS * (len(pieces) + sizes - shared)
        return rows[int(alike.argmax())] if alike.any() else None

    def _rarest(self, pieces: Pieces) -> list[int]:
        """So many of the rarest that a near duplicate must share one: it lacks fewer than those."""
        rarest = pieces[np.argsort(self._counts[_buckets(pieces)], kind="stable")]
        chosen: list[int] = rarest[: len(pieces) - -(-_PARTS * len(pieces) // _OF) + 1].tolist()
        return chosen


def _pieces(text: str) -> Pieces:
    """The different pieces of a text, each as a hash of 64 bits, in order; at least one."""
    codes = np.frombuffer(f" {normalized(text)} ".encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    codes = np.pad(codes, (0, max(0, _LENGTH - len(codes))))
    hashes = (np.lib.stride_tricks.sliding_window_view(codes, _LENGTH) * _POWERS).sum(axis=1, dtype=np.uint64)
    hashes ^= hashes >> np.uint64(32)  # spread the high bits, which choose the bucket
    return np.unique(hashes * _MIX)


def _buckets(pieces: Pieces) -> NDArray[np.int64]:
    return (pieces >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)
