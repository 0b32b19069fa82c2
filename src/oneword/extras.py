"""Optional parts of oneword, each checked once at its door."""

from __future__ import annotations

from importlib.util import find_spec

from oneword.errors import InputError


def check_extra(extra: str, package: str, what: str) -> None:
    """Refuse what needs a package of an extra that is not installed.

    Raises:
        InputError: with the line that installs it.
    """
    if find_spec(package) is None:
        raise InputError(f"{what} need {package}; pip install 'oneword[{extra}]'")
