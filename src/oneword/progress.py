"""How far a computation is, told in texts."""

from __future__ import annotations

from collections.abc import Callable


class Progress:
    """Rows done for one prompt at a time, told as texts done for all of them.

    Args:
        rows: how many there are in all.
        texts: how many texts they are.
        on_texts: told how many more texts are done.
    """

    def __init__(self, rows: int, texts: int, on_texts: Callable[[int], object]) -> None:
        self._rows, self._texts, self._on_texts = rows, texts, on_texts
        self._done = 0

    def add(self, rows: int) -> None:
        """More rows are done."""
        before = self._done * self._texts // self._rows
        self._done += rows
        self._on_texts(self._done * self._texts // self._rows - before)
