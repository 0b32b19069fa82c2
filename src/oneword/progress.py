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
def progress_bar(texts: int, shown: bool | None, what: str = "") -> Iterator[Callable[[int], object]]:
    """A bar with texts/s and the time left; the answer is told how many more texts are done.

    Args:
        texts: how many there are.
        shown: whether the bar is; None: where someone looks on, and it goes when it is done.
        what: stands before it.
    """
    from tqdm import tqdm

    disable = None if shown is None else not shown
    with tqdm(total=texts, desc=what or None, unit=" texts", disable=disable, leave=shown is not None) as bar:
        yield bar.update
