"""From what an LLM wrote to one of the classes it was to choose from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oneword.errors import InputError, ModelError
from oneword.prompting.answer import without_thoughts

_AROUND = " _\t\r\n.,;:!?\"'`*()[]{}<>\u2019\u201d\u201c\u2018"


class ClassReader:
    """Reads one of some classes off an answer.

    Case, punctuation around the answer, and whether words are joined by spaces, hyphens or underscores make no
    difference. An answer of more words counts where exactly one of the classes stands in it as a whole word.

    Args:
        classes: their names.

    Raises:
        InputError: fewer than two, an empty one, or two that read the same.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes: dict[str, str] = {}
        for name in classes:
            bare = _bare(str(name))
            if not bare or bare in self._classes:
                what = f"reads like '{self._classes[bare]}'" if bare else "has no letters or digits"
                raise InputError(f"the class '{name}' {what}, so no answer can be told to mean it; rename it")
            self._classes[bare] = str(name)
        if len(self._classes) < 2:
            raise InputError(f"classes has {len(self._classes)} name(s); a task needs two")
        # So that of "good" and "good enough" the latter is found where it stands
        longest_first = "|".join(re.escape(name) for name in sorted(self._classes, key=len, reverse=True))
        self._inside = re.compile(rf"(?<![\w-])(?:{longest_first})(?!\w)")

    def read(self, answer: str, text: str, name: str) -> str:
        """The class that an answer means.

        Args:
            answer: what was written; a reasoning model's thoughts are left out.
            text: what was asked about, for messages.
            name: what messages call the predictor.

        Raises:
            ModelError: it means none, or several.
        """
        found = set(self._inside.findall(_bare(without_thoughts(answer))))
        if len(found) == 1:
            return self._classes[found.pop()]
        what = "several" if found else "none"
        raise ModelError(
            f"{name} answered '{_short(answer)}' to the text '{_short(text)}', which is {what} of its classes "
            f"({_short(', '.join(self._classes.values()), 200)}); ask in the prompt for exactly one of them"
        )


def _bare(answer: str) -> str:
    joined = re.sub(r"\s+|(?<=[^\W_])[_-]+(?=[^\W_])", " ", answer.casefold())  # the minus of a number stays
    return joined.strip(_AROUND)


def _short(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length] + "…"
