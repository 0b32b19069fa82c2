"""From prompts and texts to token ids: whole prompts are tokenized, and a long text is cut, never the suffix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from oneword.errors import MethodError
from oneword.method import Pooling
from oneword.prompt import MASK, SLOT, Cleaning, Prompt, clean_text

Span = tuple[int, int]


@dataclass(frozen=True)
class TokenRows:
    """The token ids of some texts in one prompt.

    Args:
        ids: one list a text, as it is sent to the model.
        spans: for each row the tokens that are read, from the first to before the second.
        cut: indices of the texts that were longer than the window and were cut.
    """

    ids: list[list[int]]
    spans: list[Span]
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
        pooling: which tokens are read.
        causal: whether no token sees a later one, so that rows can end at the last token that is read.

    Raises:
        MethodError: a pooling that this tokenizer cannot serve.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt: Prompt,
        cleaning: Cleaning,
        window: int | None,
        pooling: Pooling = "last_token",
        causal: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._cleaning = cleaning
        self._window = window
        self._pooling = pooling
        self._causal = causal
        if pooling == "mask_token":
            if causal or tokenizer.mask_token is None:
                raise MethodError("pooling mask_token needs a masked LM, such as BERT; this model has no mask token")
            self._prompt = replace(prompt, wording=prompt.wording.replace(MASK, tokenizer.mask_token))
        if self._by_characters and not tokenizer.is_fast:
            raise MethodError(f"pooling {pooling} needs a tokenizer.json: this model's tokenizer gives no offsets")
        self._trailing = count_trailing_specials(tokenizer)
        # What rows of this prompt begin with, as far as two texts without a common beginning agree
        self.prefix = self._row("A")[0]
        self.prefix = self.prefix[: common_prefix(self.prefix, self._row("the")[0])]

    def encode(self, texts: Sequence[str]) -> TokenRows:
        """Token ids of each text in the prompt.

        Raises:
            MethodError: the prompt alone fills the window.
        """
        rows, spans = self._tokenize(texts)
        if self._window is None:
            return TokenRows(rows, spans, [])
        long = [index for index, row in enumerate(rows) if len(row) > self._window]
        for index in long:
            rows[index], spans[index] = self._cut_to_window(texts[index])
        return TokenRows(rows, spans, long)

    @property
    def _by_characters(self) -> bool:
        return self._pooling in ("echo", "mask_token")

    def _row(self, text: str) -> tuple[list[int], Span]:
        rows, spans = self._tokenize([text])
        return rows[0], spans[0]

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[Span]]:
        cleaned = [clean_text(text, self._cleaning) for text in texts]
        rendered = [self._prompt.render(text) for text in cleaned]
        tokens = self._tokenizer(
            rendered, return_attention_mask=False, return_offsets_mapping=self._by_characters, verbose=False
        )
        rows: list[list[int]] = tokens["input_ids"]
        if self._by_characters:
            spans = [
                _span_of(offsets, self._characters_read(text))
                for offsets, text in zip(tokens["offset_mapping"], cleaned)
            ]
        elif self._pooling == "last_token":
            spans = [(len(row) - self._trailing - 1, len(row) - self._trailing) for row in rows]
        else:
            spans = [(0, len(row)) for row in rows]
        if self._causal:
            rows = [row[:end] for row, (_, end) in zip(rows, spans)]
        return rows, spans

    def _characters_read(self, text: str) -> Span:
        """Where in the rendered prompt the text's last occurrence stands, or the mask token."""
        prompt = self._prompt
        if self._pooling == "mask_token":
            mask = self._tokenizer.mask_token
            before_suffix = len(prompt.prefix) + len(text)
            start = prompt.prefix.find(mask)
            start = before_suffix + prompt.suffix.index(mask) if start < 0 else start
            end = start + len(mask)
        else:
            end = len(text.join(prompt.wording.split(SLOT))) - len(prompt.suffix)
            start = end - len(text)
        stripped = len(prompt.prefix + text) - len((prompt.prefix + text).lstrip())
        return start - stripped, end - stripped

    def _cut_to_window(self, text: str) -> tuple[list[int], Span]:
        """The row of the longest beginning of the text with which the whole prompt still fits the window."""
        assert self._window is not None
        fits, row = 0, self._row("")
        if len(row[0]) > self._window:
            raise MethodError(
                f"{self._prompt} takes {len(row[0])} tokens without a text, more than the model's window "
                f"of {self._window}; use a shorter prompt or another model"
            )
        tried = min(self._window, len(text))  # grows until it no longer fits, then halves the gap
        too_long = len(text)
        while too_long - fits > 1:
            candidate = self._row(text[:tried])
            if len(candidate[0]) <= self._window:
                fits, row = tried, candidate
                tried = min(2 * tried, (fits + too_long) // 2) if too_long == len(text) else (fits + too_long) // 2
            else:
                too_long = tried
                tried = (fits + too_long) // 2
            tried = max(tried, fits + 1)
        first, end = row[1]
        if first == end:
            raise MethodError(
                f"{self._prompt} leaves no room for a text in the model's window of {self._window} tokens; use a "
                "shorter prompt or another model"
            )
        return row


def count_trailing_specials(tokenizer: Any) -> int:
    """Special tokens that a tokenizer puts after a text; the answer is read before them, at the prompt's end."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for trailing in range(len(whole) - len(bare), 0, -1):
        if whole[len(whole) - len(bare) - trailing : len(whole) - trailing] == bare:
            return trailing
    return 0


def _span_of(offsets: Sequence[Span], characters: Span) -> Span:
    """The tokens that hold any of these characters: one that has merged with a neighbour counts.

    Special tokens have no characters, and are never among them.
    """
    start, end = characters
    held = [index for index, (first, last) in enumerate(offsets) if first < end and last > start and last > first]
    if held:
        return held[0], held[-1] + 1
    # No characters: the text of nothing that a long text is cut down to; its place is before what follows it
    place = next((index for index, (_, last) in enumerate(offsets) if last > start), len(offsets))
    return place, place


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two rows have in common at their beginning."""
    count = 0
    for one, other in zip(first, second):
        if one != other:
            break
        count += 1
    return count
