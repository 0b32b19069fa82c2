"""A predictor's prompt: with a slot for the text, or two for the texts of a pair."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from oneword.errors import MethodError
from oneword.prompt import SLOT, Prompt

_SLOT = re.compile(r"\{(text|text_pair|premise|hypothesis)\}")
_SECOND = ("text_pair", "hypothesis")
_ALLOWED = (["text"], ["text", "text_pair"], ["hypothesis", "premise"])


@dataclass(frozen=True)
class TaskPrompt:
    """A wording with the slot ``{text}``, or ``{text}`` and ``{text_pair}``, or ``{premise}`` and ``{hypothesis}``.

    The slots of a pair stand in any order; any other brace is an ordinary character.

    Args:
        wording: what is sent to the model, with the slots in it.

    Raises:
        MethodError: other slots than these, or one of them twice.
    """

    wording: str

    def __post_init__(self) -> None:
        if not isinstance(self.wording, str):
            raise MethodError(f"a prompt must be a string with a {SLOT} slot, not {type(self.wording).__name__}")
        if sorted(_SLOT.findall(self.wording)) not in _ALLOWED:
            found = " ".join(f"{{{name}}}" for name in _SLOT.findall(self.wording)) or "no slots"
            raise MethodError(
                f"the prompt {self.wording!r} has {found}; it needs one {SLOT}, or for pairs one {SLOT} and one "
                "{text_pair} (or {premise} and {hypothesis})"
            )

    @property
    def takes_pairs(self) -> bool:
        """Whether it has two slots."""
        return len(self._pieces) == 5

    @property
    def prompt(self) -> Prompt:
        """The prompt whose one text is :meth:`span`: what stands before the first slot is the same for all texts."""
        return Prompt(f"{self._pieces[0]}{SLOT}{self._pieces[-1]}")

    def span(self, text: str, text_pair: str | None = None) -> str:
        """What stands from the first slot to the last: the text, or both with what the prompt says between them."""
        inside = self._pieces[1:-1]
        return "".join(
            piece if place % 2 else ((text_pair or "") if piece in _SECOND else text)
            for place, piece in enumerate(inside)
        )

    def fill(self, text: str, text_pair: str | None = None) -> str:
        """The prompt as sent to the model, white space stripped at both ends."""
        return self.prompt.render(self.span(text, text_pair))

    def shortened(self, text: str, text_pair: str | None, fits: Callable[[str], bool]) -> tuple[str, str | None]:
        """The texts as they are where the filled prompt fits, else both cut to the greatest length with which it does.

        Only what is longer than that is cut, at its end, so nothing of the prompt is lost, nor a short second text.

        Raises:
            MethodError: it does not fit with a character of each.
        """
        if fits(self.fill(text, text_pair)):
            return text, text_pair
        fitting, too_long = 0, max(len(text), len(text_pair or ""))
        while too_long - fitting > 1:
            middle = (fitting + too_long) // 2
            fit = fits(self.fill(text[:middle], text_pair and text_pair[:middle]))
            fitting, too_long = (middle, too_long) if fit else (fitting, middle)
        if not fitting:
            raise MethodError(
                f"the prompt {self.wording!r} leaves no room for a text in the model's window; use a shorter prompt or "
                "another model"
            )
        return text[:fitting], text_pair and text_pair[:fitting]

    @property
    def _pieces(self) -> list[str]:
        """The wording cut at its slots: what stands before, a slot's name, and so on to what stands after."""
        return _SLOT.split(self.wording)
