"""Work done one step ahead, in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def done_ahead(tasks: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """The results of the tasks in their order; while one is used, the next is computed in a thread."""
    with ThreadPoolExecutor(1) as thread:
        ready: Future[Result] | None = None
        for task in tasks:
            following = thread.submit(task)
            if ready is not None:
                yield ready.result()
            ready = following
        if ready is not None:
            yield ready.result()
