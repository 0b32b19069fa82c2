"""A method: a frozen recipe that says which prompts are asked, where the answer is read, and how answers combine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, SupportsIndex, TypeAlias, get_args

from oneword.errors import MethodError
from oneword.prompt import CLEANINGS, Cleaning, Prompt

Combine = Literal["mean", "concat", "max"]
COMBINES: tuple[str, ...] = get_args(Combine)

Layer: TypeAlias = int | Literal["last", "proportional"]
NAMED_LAYERS = ("last", "proportional")


@dataclass(frozen=True)
class Method:
    """A recipe for text embeddings: every prompt is asked of every text, and the answers are combined.

    Args:
        name: what the method is called in lists, files and fingerprints.
        prompts: one or more prompts; plain strings with a ``{text}`` slot are taken too.
        layer: where the answer is read: an index into Hugging Face's ``hidden_states`` (0 = token embeddings,
            k = output of the k-th block, -1 = after the final norm), ``"last"`` (-1), or ``"proportional"``
            (``-round(0.1 L)`` of L blocks; MetaEOL, Table 7).
        combine: how the prompts' vectors become one: ``"mean"`` (MetaEOL, section 3), ``"concat"`` or ``"max"``
            (MetaEOL, Table 3).
        cleaning: how a text is cleaned before it fills the slot, see :func:`oneword.prompt.clean_text`.
        summary: a few words for lists.
        source: paper and section.

    Raises:
        MethodError: no prompts, a prompt without exactly one slot, or an unknown layer, combination or cleaning.
    """

    name: str
    prompts: Sequence[Prompt]
    layer: Layer = "last"
    combine: Combine = "mean"
    cleaning: Cleaning = "one_word"
    summary: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        prompts = [self.prompts] if isinstance(self.prompts, (str, Prompt)) else self.prompts
        if not isinstance(prompts, (list, tuple)):
            raise MethodError(f"method '{self.name}': prompts must be a list, not {type(prompts).__name__}")
        if not prompts:
            raise MethodError(f"method '{self.name}' has no prompts; give at least one")
        prompts = tuple(prompt if isinstance(prompt, Prompt) else Prompt(prompt) for prompt in prompts)
        object.__setattr__(self, "prompts", prompts)
        check_layer(self.layer)
        _check_choice(self.name, "combine", self.combine, COMBINES)
        _check_choice(self.name, "cleaning", self.cleaning, CLEANINGS)

    @property
    def digest(self) -> str:
        """Eight hex digits of what changes the vectors: wordings, combination and cleaning (the layer apart)."""
        recipe = json.dumps([[prompt.wording for prompt in self.prompts], self.combine, self.cleaning])
        return hashlib.sha256(recipe.encode()).hexdigest()[:8]


def check_layer(layer: object) -> None:
    """Refuse what is neither a whole number nor a named layer, before any model is loaded."""
    whole = isinstance(layer, SupportsIndex) and not isinstance(layer, bool)  # numpy's integers too
    if not (whole or (isinstance(layer, str) and layer in NAMED_LAYERS)):
        raise MethodError(f"layer {layer!r} is neither a whole number nor one of: {', '.join(NAMED_LAYERS)}")


def resolve_layer(layer: Layer, depth: int) -> int:
    """The index into ``hidden_states`` (0 to depth) that a layer means for a model of ``depth`` blocks.

    Raises:
        MethodError: the layer is out of the model's range.
    """
    check_layer(layer)
    index: int
    if layer == "last":
        index = -1
    elif layer == "proportional":
        index = -max(1, round(0.1 * depth))  # -1 for models of fewer than ten blocks, never 0
    else:
        index = int(layer)
    resolved = index + depth + 1 if index < 0 else index
    if not 0 <= resolved <= depth:
        raise MethodError(f"layer {layer} is out of range: the model has layers 0 to {depth}, or {-depth - 1} to -1")
    return resolved


def _check_choice(method: str, field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MethodError(f"method '{method}': {field} {value!r} is not one of: {', '.join(known)}")
