"""A prompt that asks for a label, with the words that each label is read from.  Loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from oneword.errors import InputError
from oneword.tasks.task_prompt import TaskPrompt

_EXAMPLE = 'as in {"positive": ["yes"], "negative": ["no"]}'


@dataclass(frozen=True)
class LabelPrompt:
    """What an LLM is asked about a text, and the words that stand for its labels (FUTE, Tables A1 and A2).

    Args:
        wording: with the slot ``{text}``; for pairs with ``{text}`` and ``{text_pair}``, or ``{premise}`` and
            ``{hypothesis}``.
        label_words: of each label the words that it is read from, as in ``{"positive": ["yes", "Yes"]}``; the order of
            the labels is that of the probabilities.
        reason: the model reasons first and is then asked for the word (chain of thought).
        request: the prompt is followed by a sentence that asks for one of the words, :attr:`asked_for`.
        name: what it is called in tables, as in ``"7"``.
        source: paper and table it comes from; free.

    Raises:
        MethodError: a wording without its slots.
        InputError: fewer than two labels, a label without words, one word for two labels, or a prompt that reasons and
            has no request to end it.
    """

    wording: str
    label_words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reason: bool = False
    request: bool = True
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        _ = self.task_prompt
        object.__setattr__(self, "label_words", _checked(self.label_words))
        if self.reason and not self.request:
            raise InputError(f"{self} reasons first, so something must ask for the answer; leave request = false out")

    def __str__(self) -> str:
        return f"prompt '{self.name}'" if self.name else f"the prompt {self.wording!r}"

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def task_prompt(self) -> TaskPrompt:
        """The wording with its slots."""
        return TaskPrompt(self.wording)

    @property
    def takes_pairs(self) -> bool:
        """Whether it has two slots."""
        return self.task_prompt.takes_pairs

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return tuple(self.label_words)

    @property
    def words(self) -> tuple[str, ...]:
        """All words, each once."""
        return tuple(dict.fromkeys(word for words in self.label_words.values() for word in words))

    @property
    def asked_for(self) -> str:
        """The sentence that asks for one of the words."""
        *words, last = (f'"{word}"' for word in dict.fromkeys(word.lower() for word in self.words))
        either = f"{', '.join(words)} or {last}" if words else last
        return f"Answer only with one of the words {either}, in lower case, without explanation."

    @property
    def digest(self) -> str:
        """Twelve hex digits of all that changes the answers."""
        recipe = [self.wording.strip(), list(self.label_words.items()), self.reason, self.request]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def _checked(label_words: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if not isinstance(label_words, Mapping):
        raise InputError(f"label_words must be a table of lists of words, {_EXAMPLE}, not {label_words!r}")
    if len(label_words) < 2:
        raise InputError(
            f"label_words has {len(label_words) or 'no'} label{'s' * (len(label_words) != 1)}; a task needs two, "
            f"{_EXAMPLE}"
        )
    found: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for label, words in label_words.items():
        words = (words,) if isinstance(words, str) else tuple(words)
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise InputError(f"label_words: the words of '{label}' are {list(words)}; give it at least one, none empty")
        found[str(label)] = tuple(dict.fromkeys(word.strip() for word in words))
        for word in found[str(label)]:
            if taken.setdefault(word, str(label)) != str(label):
                raise InputError(
                    f"label_words: '{word}' is a word of '{taken[word]}' and of '{label}'; give it to one of them"
                )
    return found
