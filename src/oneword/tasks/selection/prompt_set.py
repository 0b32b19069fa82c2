"""Prompt sets: the prompts that are chosen among, published ones by name, or a user's own in TOML. Loads no torch."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from oneword.errors import MethodError, OnewordError, nearest_names
from oneword.tasks.label_prompt import LabelPrompt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PRESETS = ("sentiment", "inference")
_SET_KEYS = ("summary", "source", "label_words", "prompts")
_PROMPT_KEYS: dict[str, type] = {
    "wording": str,
    "label_words": dict,
    "reason": bool,
    "request": bool,
    "name": str,
    "source": str,
}
_TYPES = {str: "a text in quotation marks", bool: "true or false"}
_EXAMPLE = 'label_words = { positive = ["yes", "Yes"], negative = ["no", "No"] }'


@dataclass(frozen=True)
class PromptSet:
    """Prompts for one kind of task: they answer with the same labels about the same kind of text.

    Args:
        name: the preset's, or the file's without its ending.
        prompts: at least one, each with a name of its own; where one has the labels in another order than the first,
            the first one's order is taken.
        summary: one line for lists; free.
        source: paper and table; free.

    Raises:
        MethodError: no prompts, two of one name, or some that differ in their labels or in taking pairs.
    """

    name: str
    prompts: tuple[LabelPrompt, ...]
    summary: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise MethodError(f"{self.name} has no prompts; give each as a [[prompts]] table with wording, label_words")
        for name, count in Counter(prompt.name for prompt in self.prompts).items():
            if count > 1:
                raise MethodError(
                    f"{self.name} has {count} prompts with the name '{name}'; give each a name of its own"
                )
        first = self.prompts[0]
        for prompt in self.prompts[1:]:
            _check_alike(self.name, first, prompt)
        object.__setattr__(self, "prompts", tuple(_ordered(prompt, first.labels) for prompt in self.prompts))

    @property
    def labels(self) -> tuple[str, ...]:
        """What all its prompts answer with."""
        return self.prompts[0].labels

    @property
    def takes_pairs(self) -> bool:
        """Whether its prompts are about pairs of texts."""
        return self.prompts[0].takes_pairs


def prompt_set_names() -> tuple[str, ...]:
    """The published prompt sets."""
    return _PRESETS


def find_prompt_set(name: str | Path) -> PromptSet:
    """The published prompt set of that name, or the one in that TOML file.

    A file holds the prompts, and once for all of them or with each the words that its labels are read from::

        label_words = { positive = ["yes", "Yes"], negative = ["no", "No"] }

        [[prompts]]
        wording = "{text} Did the guest enjoy the stay?"

        [[prompts]]
        wording = "{text} Would you stay there, too?"
        reason = true

    Further keys of a prompt are those of :class:`~oneword.tasks.label_prompt.LabelPrompt`. A prompt without a name is
    called by its number.

    Raises:
        MethodError: no such prompt set or file, or a file that is not well formed; the message names file and key.
        InputError: label words that cannot be used.
    """
    if str(name).endswith(".toml"):
        path = Path(name)
        try:
            toml = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise MethodError(f"the prompt file {path} cannot be read: {reason}") from None
        return parse_prompt_set(toml, str(path), path.stem)
    if name not in _PRESETS:
        raise MethodError(
            f"unknown prompt set '{name}' ({nearest_names(str(name), _PRESETS)}; a file.toml of your own is taken too)"
        )
    return _preset(str(name))


@cache
def _preset(name: str) -> PromptSet:
    toml = (files("oneword") / "tasks" / "selection" / "prompts" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_prompt_set(toml, f"prompts/{name}.toml", name)


def parse_prompt_set(toml: str, file: str, name: str) -> PromptSet:
    """Read the TOML of one file.

    Args:
        toml: the text.
        file: what messages call it.
        name: the prompt set's.

    Raises:
        OnewordError: as :func:`find_prompt_set`.
    """
    try:
        data = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise MethodError(f"{file} is not valid TOML: {error}") from None
    _check_keys(data, _SET_KEYS, file)
    for key in ("summary", "source"):
        _check_type(data.get(key, ""), str, f"{file}: {key}")
    if "label_words" in data:
        _check_type(data["label_words"], dict, f"{file}: label_words")
    tables = data.get("prompts", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise MethodError(f"{file}: prompts must be a list of tables, each under a line [[prompts]]")
    common: dict[str, Any] = {key: data[key] for key in ("label_words", "source") if key in data}
    prompts = [_prompt(table, common, number, f"{file}, prompt {number}") for number, table in enumerate(tables, 1)]
    try:
        found = PromptSet(name, tuple(prompts), data.get("summary", ""), data.get("source", ""))
    except MethodError as error:
        raise MethodError(f"{file}: {error}") from None
    return found


def _prompt(table: dict[str, Any], common: Mapping[str, Any], number: int, where: str) -> LabelPrompt:
    _check_keys(table, tuple(_PROMPT_KEYS), where)
    for key, value in table.items():
        _check_type(value, _PROMPT_KEYS[key], f"{where}: {key}")
    fields = {"name": str(number), **common, **table}
    if "wording" not in fields:
        raise MethodError(f"{where}: the key 'wording' is missing")
    if "label_words" not in fields:
        raise MethodError(
            f"{where}: the key 'label_words' is missing, here and at the top of the file, as in {_EXAMPLE}"
        )
    if not fields["name"].strip():
        raise MethodError(f"{where}: name is empty; leave it out to call the prompt by its number")
    try:
        return LabelPrompt(**fields)
    except OnewordError as error:
        raise type(error)(f"{where}: {error}") from None


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise MethodError(f"{where}: unknown key '{key}' ({nearest_names(key, known)})")


def _check_type(value: Any, wanted: type, where: str) -> None:
    if wanted is not dict:
        if not isinstance(value, wanted):
            raise MethodError(f"{where} must be {_TYPES[wanted]}, not {value!r}")
        return
    if not isinstance(value, dict):
        raise MethodError(f"{where} must be a table of lists of words, as in {_EXAMPLE}, not {value!r}")
    for label, words in value.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise MethodError(f"{where}.{label} must be a list of words, as in {_EXAMPLE}, not {words!r}")


def _check_alike(name: str, first: LabelPrompt, prompt: LabelPrompt) -> None:
    if prompt.takes_pairs != first.takes_pairs:
        pairs, single = (prompt, first) if prompt.takes_pairs else (first, prompt)
        raise MethodError(
            f"{name}: {pairs} is about pairs of texts and {single} about single ones; put them into two prompt sets"
        )
    if set(prompt.labels) != set(first.labels):
        raise MethodError(
            f"{name}: {first} has label_words for {', '.join(first.labels)}, but {prompt} for "
            f"{', '.join(prompt.labels)}; call the labels the same, or put the prompts into two prompt sets"
        )


def _ordered(prompt: LabelPrompt, labels: tuple[str, ...]) -> LabelPrompt:
    if prompt.labels == labels:
        return prompt
    return replace(prompt, label_words={label: prompt.label_words[label] for label in labels})
