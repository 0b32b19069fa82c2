"""How far a computation is, told in texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


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


@contextmanager
def progress_bar(texts: int, shown: bool) -> Iterator[Callable[[int], object]]:
    """A bar with texts/s and the time left, where it is to be shown; the answer is told how many more texts are done."""
    from tqdm import tqdm

    with tqdm(total=texts, unit=" texts", disable=not shown) as bar:
        yield bar.update
