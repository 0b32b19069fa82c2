"""How a filled prompt is put to a decoder: as it is, or as a user's message in the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from oneword.engine.tokens import common_prefix, count_trailing_specials
from oneword.errors import InputError, ModelError
from oneword.tasks.task_prompt import TaskPrompt

_OPENING = "([{\u201c\u2018\u00ab"
_ANSWERED = "So it is."  # stands for what a model has written, to see what its template puts behind it


class Conversation:
    """Rows of tokens that end where the model's answer begins.

    Args:
        name: what messages call the model.
        tokenizer: its tokenizer.
        chat: whether prompts go through its chat template; None where it has one.
        prompt: the prompt.
        request: what is asked behind the filled prompt, if anything.

    Raises:
        ModelError: ``chat`` of a model without a chat template, or with one that takes no single message.
    """

    def __init__(
        self, name: str, tokenizer: Any, chat: bool | None, prompt: TaskPrompt, request: str | None = None
    ) -> None:
        if chat and tokenizer.chat_template is None:
            raise ModelError(f"{name} has no chat template; leave chat out (--no-chat) to send prompts as they are")
        self._name, self._tokenizer = name, tokenizer
        self.chats = tokenizer.chat_template is not None if chat is None else chat
        self._prompt, self._request = prompt, request

    def message(self, text: str, text_pair: str | None = None) -> str:
        """What the model is asked about a text: the prompt with its slots filled, and the request behind it."""
        return self._asked(self._prompt.fill(text, text_pair))

    def rows(self, messages: Sequence[str]) -> list[list[int]]:
        """The token ids of each message, up to where the answer begins."""
        return self._ids([self._rendered([_user(message)]) if self.chats else message for message in messages])

    def closing(self, request: str) -> list[int]:
        """What stands between a model's reasoning and its answer: a request, in the chat the user's next message."""
        if not self.chats:
            return self._bare_ids(f"\n{request}")
        turns = [_user("Think."), {"role": "assistant", "content": _ANSWERED}, _user(request)]
        _, found, after = self._rendered(turns).rpartition(_ANSWERED)
        if not found or not after:
            raise ModelError(
                f"the chat template of {self._name} leaves out what the model has written, so it cannot reason first; "
                "use chat = false (--no-chat), or prompts without reason"
            )
        return self._bare_ids(after)

    def words(self, words: Sequence[str], message: str) -> list[tuple[int, ...]]:
        """The token ids of each word as it follows a message.

        It stands behind a space, or directly where the chat template, an opened quotation mark or a bracket is before
        it.

        Args:
            words: the words, white space at their ends taken off.
            message: what is asked last.

        Raises:
            InputError: a word that merges with what stands before it, or that the model has no tokens for.
        """
        before = self._rendered([_user(message)]) if self.chats else message
        separator = "" if self.chats else _separator(before)
        return [self._word(before, separator, word.strip()) for word in words]

    @cached_property
    def beginning(self) -> list[int]:
        """What rows begin with, as far as two texts without a common beginning agree."""
        first, second = self.rows([self.message("A", "A"), self.message("the", "the")])
        return first[: common_prefix(first, second)]

    def fitting(
        self, texts: Sequence[str], text_pairs: Sequence[str] | None, limit: int | None
    ) -> tuple[list[list[int]], list[int]]:
        """The rows of texts, those that are too long cut to the limit, at the texts' ends.

        Args:
            texts: the texts.
            text_pairs: the second ones, for a prompt with two slots.
            limit: the most tokens of a row, or None.

        Returns:
            The rows, and the indices of the texts that were cut.

        Raises:
            MethodError: the prompt leaves no room for a text.
        """
        pairs: Sequence[str | None] = text_pairs if text_pairs is not None else [None] * len(texts)
        rows = self.rows([self.message(*pair) for pair in zip(texts, pairs)]) if len(texts) else []
        long = [index for index, row in enumerate(rows) if limit is not None and len(row) > limit]

        def fits(filled: str) -> bool:
            return limit is None or len(self.rows([self._asked(filled)])[0]) <= limit

        for index in long:
            shorter = self._prompt.shortened(texts[index], pairs[index], fits)
            rows[index] = self.rows([self.message(*shorter)])[0]
        return rows, long

    def _asked(self, filled: str) -> str:
        return filled if self._request is None else f"{filled}\n{self._request}"

    def _rendered(self, turns: Sequence[dict[str, str]]) -> str:
        try:
            rendered: str = self._tokenizer.apply_chat_template(list(turns), add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template may raise whatever it likes
            raise ModelError(
                f"the chat template of {self._name} does not take a user's message ({error}); send prompts as they are "
                "with chat = false (--no-chat)".replace("\n", " ")
            ) from None
        return rendered

    def _ids(self, rendered: Sequence[str]) -> list[list[int]]:
        if self.chats:
            return self._many(rendered, add_special_tokens=False)
        return [self._without_trailing(row) for row in self._many(rendered, add_special_tokens=True)]

    def _many(self, texts: Sequence[str], add_special_tokens: bool) -> list[list[int]]:
        found: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=add_special_tokens, return_attention_mask=False, verbose=False
        )["input_ids"]
        return found

    def _bare_ids(self, text: str) -> list[int]:
        return self._many([text], add_special_tokens=False)[0]

    def _without_trailing(self, row: list[int]) -> list[int]:
        """A row without the special tokens that the tokenizer puts behind a text."""
        return row[: len(row) - self._trailing]

    @cached_property
    def _trailing(self) -> int:
        return count_trailing_specials(self._tokenizer)

    def _word(self, before: str, separator: str, word: str) -> tuple[int, ...]:
        """The token ids of one word behind what is rendered."""
        alone, followed = self._ids([before, before + separator + word])
        if followed[: len(alone)] != alone:
            raise InputError(
                f"label_words: '{word}' merges with the end of the prompt {before[-40:]!r} into one token of "
                f"{self._name}; end the prompt with a full stop or a colon"
            )
        tokens = tuple(followed[len(alone) :])
        unknown = getattr(self._tokenizer, "unk_token_id", None)
        if not tokens or unknown in tokens:
            raise InputError(f"label_words: {self._name} has no tokens for '{word}'; choose another word")
        return tokens


def _user(message: str) -> dict[str, str]:
    return {"role": "user", "content": message}


def _separator(before: str) -> str:
    """What stands between a prompt and its answer."""
    end = before.rstrip()
    opens = end.endswith(tuple(_OPENING)) or (end.endswith('"') and end.count('"') % 2 == 1)
    return "" if opens else " "
