"""Code of others: whatever it raises becomes one line that names the predictor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oneword.errors import ModelError, OnewordError

_SHOWN = 200


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Within the block, an error of any kind becomes a :class:`ModelError` with its type and message.

    Errors that oneword raises on purpose go through as they are.
    """
    try:
        yield
    except OnewordError:
        raise
    except Exception as error:
        raise ModelError(f"{name} raised {type(error).__name__}: {error_line(error)}") from error


def error_line(error: BaseException) -> str:
    """An error's message in one short line."""
    line = " ".join(str(error).split()) or "no message"
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
