"""What makes a value unusable as a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oneword.errors import InputError


def text_problem(text: object) -> str | None:
    """What is wrong with a text, as in "row 3 is empty"; None for a usable one."""
    if text is None:
        return "is null"
    if not isinstance(text, str):
        return f"is not text but {type(text).__name__}"
    if not text:
        return "is empty"
    if text.isspace():
        return "is only white space"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode: it holds half of a surrogate pair"
    return None


def check_texts(texts: Sequence[object]) -> None:
    """Refuse what cannot be embedded.

    Raises:
        InputError: no texts at all, or one that is not usable; the first is named by its index.
    """
    if not texts:
        raise InputError("no texts to embed; give a list with at least one")
    for index, text in enumerate(texts):
        problem = text_problem(text)
        if problem:
            raise InputError(f"text {index} {problem}; leave it out or replace it")


def listed_texts(texts: str | Sequence[str], taker: str) -> list[str]:
    """One text or many, as a list of usable ones; ``taker`` is what messages call the function that takes them.

    Raises:
        InputError: as :func:`check_texts`, or something that holds no texts.
    """
    if not isinstance(texts, Iterable):
        raise InputError(f"{taker} takes a text or a list of texts, not {type(texts).__name__}")
    wanted = [texts] if isinstance(texts, str) else list(texts)
    check_texts(wanted)
    return wanted
