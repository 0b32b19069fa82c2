"""Lines of research data as they are published: UTF-8 or Latin-1, with quotes that are just characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oneword.errors import InputError

Line = tuple[str, str]  # where it stands, as messages name it, and what it says


def read_lines(path: Path, missing: str = "") -> Iterator[Line]:
    r"""The lines of a file, the last newline and a byte order mark aside.

    A line that is not UTF-8 is read as Latin-1. Only ``\n`` and ``\r\n`` end a line: other characters that Python's
    ``splitlines`` takes for an end stand inside sentences.

    Args:
        path: the file.
        missing: what to do where it is missing, for the message.

    Raises:
        InputError: no such file, or one that cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path} cannot be read: {reason}{'; ' if missing else ''}{missing}") from None
    content = content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n")
    for number, line in enumerate(content.split(b"\n") if content else [], 1):
        line = line.removesuffix(b"\r")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            text = line.decode("latin-1")
        yield f"{path}, line {number}", text


def spaced(sentence: str) -> str:
    """A sentence with single spaces between its words, as SentEval hands it on; ``.`` in the place of none."""
    return " ".join(sentence.split()) or "."
