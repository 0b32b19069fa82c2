"""A prompt with one slot for the text, and the rules by which a text is cleaned before it fills the slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from oneword.errors import MethodError

SLOT = "{text}"

Cleaning = Literal["one_word", "none"]
CLEANINGS: tuple[str, ...] = get_args(Cleaning)


@dataclass(frozen=True)
class Prompt:
    """A wording with exactly one ``{text}`` slot; any other brace is an ordinary character.

    Args:
        wording: what is sent to the model, with the slot in it.
        name: what the prompt is called in lists; free.
        source: paper and section it comes from; free.
        meta_task: the meta-task it stands for (MetaEOL, section 3); free.

    Raises:
        MethodError: the wording has no slot, or more than one.
    """

    wording: str
    name: str = ""
    source: str = ""
    meta_task: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.wording, str):
            raise MethodError(f"a prompt must be a string with one {SLOT} slot, not {type(self.wording).__name__}")
        slots = self.wording.count(SLOT)
        if slots != 1:
            called = f"prompt '{self.name}'" if self.name else f"the prompt {self.wording!r}"
            raise MethodError(f"{called} has {slots or 'no'} {SLOT} slot{'s' * (slots > 1)}; it needs exactly one")

    @property
    def prefix(self) -> str:
        """What stands before the text."""
        return self.wording.partition(SLOT)[0]

    @property
    def suffix(self) -> str:
        """What stands after the text."""
        return self.wording.partition(SLOT)[2]

    def render(self, text: str) -> str:
        """The prompt as sent to the model: the text in its slot, white space stripped at both ends."""
        return (self.prefix + text + self.suffix).strip()


def clean_text(text: str, cleaning: Cleaning) -> str:
    """Clean a text before it fills a one-word prompt's slot, as the papers' evaluations do.

    ``one_word``, in this order: a text whose last character is none of ``. ? " '`` gets a full stop; every double
    quote becomes a single one, so that the text cannot close the prompt's quotation; a final question mark becomes
    a full stop, so that the model does not answer the question. ``none`` leaves the text as it is.
    """
    if cleaning == "none":
        return text
    if text and text[-1] not in ".?\"'":
        text += "."
    text = text.replace('"', "'")
    if text.endswith("?"):
        text = text[:-1] + "."
    return text
