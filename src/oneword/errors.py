"""The errors a user can meet. Each message says what is wrong, where, and the way out, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OnewordError(Exception):
    """Base of every error that oneword raises on purpose; the command line shows it and exits with 2."""


class InputError(OnewordError):
    """A text, a file or an argument that cannot be used as it is."""


class MethodError(OnewordError):
    """A prompt or a method that is not known, or not well formed."""


class ModelError(OnewordError):
    """Model weights that cannot be found, fetched, trusted or run."""


class OutputError(OnewordError):
    """A result that cannot be written."""


class FingerprintError(OnewordError):
    """Vectors of different fingerprints put side by side: their similarity would mean nothing."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a run; the message says what is kept of it."""


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A half sentence for "unknown name" messages: the nearest known names, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if near:
        return f"nearest: {', '.join(near)}"
    return f"known: {', '.join(names)}"
