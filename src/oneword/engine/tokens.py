"""From prompts and texts to token ids: whole prompts are tokenized, and a long text is cut, never the suffix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oneword.errors import MethodError
from oneword.prompt import Cleaning, Prompt, clean_text


@dataclass(frozen=True)
class TokenRows:
    """The token ids of some texts in one prompt.

    Args:
        ids: one list a text; prefix, text and suffix.
        cut: indices of the texts that were longer than the window and were cut.
    """

    ids: list[list[int]]
    cut: list[int]


class PromptTokenizer:
    """Tokenizes one prompt around texts.

    The whole string is tokenized at once: tokenizing prefix, text and suffix apart gives other tokens, since
    characters merge across the seams.

    Args:
        tokenizer: a transformers tokenizer.
        prompt: the prompt.
        cleaning: how each text is cleaned before it fills the slot.
        window: the longest row in tokens, or None.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, cleaning: Cleaning, window: int | None) -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._cleaning = cleaning
        self._window = window
        self._trailing = self._count_trailing_specials()
        # What rows of this prompt begin with, as far as two texts without a common beginning agree
        self.prefix = self._tokenize(["A"])[0]
        self.prefix = self.prefix[: common_prefix(self.prefix, self._tokenize(["the"])[0])]

    def encode(self, texts: Sequence[str]) -> TokenRows:
        """Token ids of each text in the prompt.

        Raises:
            MethodError: the prompt alone fills the window.
        """
        rows = self._tokenize(texts)
        if self._window is None:
            return TokenRows(rows, [])
        long = [index for index, row in enumerate(rows) if len(row) > self._window]
        for index in long:
            rows[index] = self._cut_to_window(texts[index])
        return TokenRows(rows, long)

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        rendered = [self._prompt.render(clean_text(text, self._cleaning)) for text in texts]
        rows: list[list[int]] = self._tokenizer(rendered, return_attention_mask=False, verbose=False)["input_ids"]
        return [row[: len(row) - self._trailing] for row in rows] if self._trailing else rows

    def _cut_to_window(self, text: str) -> list[int]:
        """The row of the longest beginning of the text with which the whole prompt still fits the window."""
        assert self._window is not None
        fits, row = 0, self._tokenize([""])[0]
        if len(row) > self._window:
            raise MethodError(
                f"prompt '{self._prompt.name}' takes {len(row)} tokens without a text, more than the model's window "
                f"of {self._window}; use a shorter prompt or another model"
            )
        tried = min(self._window, len(text))  # grows until it no longer fits, then halves the gap
        too_long = len(text)
        while too_long - fits > 1:
            candidate = self._tokenize([text[:tried]])[0]
            if len(candidate) <= self._window:
                fits, row = tried, candidate
                tried = min(2 * tried, (fits + too_long) // 2) if too_long == len(text) else (fits + too_long) // 2
            else:
                too_long = tried
                tried = (fits + too_long) // 2
            tried = max(tried, fits + 1)
        return row

    def _count_trailing_specials(self) -> int:
        """Special tokens that the tokenizer puts after a text; the answer is read before them, at the prompt's end."""
        bare = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self._tokenizer("a")["input_ids"]
        for trailing in range(len(whole) - len(bare), 0, -1):
            if whole[len(whole) - len(bare) - trailing : len(whole) - trailing] == bare:
                return trailing
        return 0


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two rows have in common at their beginning."""
    count = 0
    for one, other in zip(first, second):
        if one != other:
            break
        count += 1
    return count
