"""A method: a frozen recipe that says which prompts are asked, where the answer is read, and how answers combine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from numbers import Real
from typing import Any, Literal, SupportsIndex, TypeAlias, get_args

from oneword.calibration.recipe import Calibration
from oneword.demonstrations import Demonstration, as_demonstrations
from oneword.errors import MethodError
from oneword.prompt import CLEANINGS, MASK, SLOT, Cleaning, Prompt, clean_text
from oneword.steering import Steering, checked_scale

Pooling = Literal["last_token", "mean", "weighted_mean", "mask_token", "echo"]
POOLINGS: tuple[str, ...] = get_args(Pooling)

Combine = Literal["mean", "concat", "max"]
COMBINES: tuple[str, ...] = get_args(Combine)

Precision = Literal["float32", "int8", "binary", "ubinary"]  # of vectors, by sentence-transformers' names
PRECISIONS: tuple[str, ...] = get_args(Precision)

Layer: TypeAlias = int | Literal["last", "proportional"]
NAMED_LAYERS = ("last", "proportional")

METHOD_FILE = "method.toml"  # of a folder that holds a method and its calibration


@dataclass(frozen=True)
class Published:
    """Settings that a paper found best for one model, used for models of its depth.

    Args:
        depth: how many blocks that model has.
        layer: where the answer is read.
        steering_layer: the block that is steered.
        scale: alpha of the steering's norm ``"scale"``.
    """

    depth: int
    layer: int
    steering_layer: int
    scale: float

    def __post_init__(self) -> None:
        for field in ("depth", "layer", "steering_layer"):
            if isinstance(getattr(self, field), bool) or not isinstance(getattr(self, field), int):
                raise MethodError(f"{field} must be a whole number, not {getattr(self, field)!r}")
        object.__setattr__(self, "scale", checked_scale(self.scale, "published settings"))
        if not 1 <= self.steering_layer <= self.depth:
            raise MethodError(f"published settings: steering_layer {self.steering_layer} is no block of {self.depth}")
        resolve_layer(self.layer, self.depth)


@dataclass(frozen=True)
class Method:
    """A recipe for text embeddings: every prompt is asked of every text, and the answers are combined.

    Args:
        name: what the method is called in lists, files and fingerprints.
        prompts: one or more prompts; plain strings with a ``{text}`` slot are taken too.
        layer: where the answer is read: an index into Hugging Face's ``hidden_states`` (0 = token embeddings,
            k = output of the k-th block, -1 = after the final norm), ``"last"`` (-1), or ``"proportional"``
            (``-round(0.1 L)`` of L blocks; MetaEOL, Table 7).
        pooling: whose states are read: ``"last_token"`` of the prompt; ``"mean"`` or ``"weighted_mean"`` of all tokens,
            special ones included (weights 1, 2, 3 ... in SGPT's way, later tokens having seen more); ``"mask_token"``,
            of a masked LM (PromptBERT); ``"echo"``, the mean over the text's second occurrence (Echo embeddings).
        combine: how the prompts' vectors become one: ``"mean"`` (MetaEOL, section 3), ``"concat"`` or ``"max"``
            (MetaEOL, Table 3).
        weights: how much each prompt counts: one number a prompt, not negative and not all 0, whose ratios alone
            matter; empty means equal, and equal ones become empty. A mean is weighted; for ``"concat"`` each prompt's
            vector is multiplied by its weight over the mean weight; ``"max"`` takes none. A prompt of weight 0 is not
            asked, as if it were not there.
        calibration: what is done to the vectors with statistics of unlabeled texts, or None; a list of steps is taken
            too, as in ``["standardize", {"remove_components": 5}]``.
        steering: what is subtracted inside an early block (Contrastive Prompting), or None.
        demonstrations: pairs of sentence and word that stand before each prompt, answered (PromptEOL's in-context
            learning).
        published: settings for models of one depth, or None; ``layer``, and the steering's layer with its scale, are
            used instead once they are given as numbers.
        cleaning: how a text is cleaned before it fills the slot, see :func:`oneword.prompt.clean_text`.
        summary: a few words for lists.
        source: paper and section.

    Raises:
        MethodError: no prompts, a prompt without exactly one slot (two for ``"echo"``), weights that are none, or an
            unknown layer, pooling, combination or cleaning.
    """

    name: str
    prompts: Sequence[Prompt]
    layer: Layer = "last"
    pooling: Pooling = "last_token"
    combine: Combine = "mean"
    steering: Steering | None = None
    demonstrations: Sequence[Demonstration | tuple[str, str]] = ()
    published: Published | None = None
    cleaning: Cleaning = "one_word"
    summary: str = ""
    source: str = ""
    weights: Sequence[float] = ()
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        prompts = [self.prompts] if isinstance(self.prompts, (str, Prompt)) else self.prompts
        if not isinstance(prompts, (list, tuple)):
            raise MethodError(f"method '{self.name}': prompts must be a list, not {type(prompts).__name__}")
        if not prompts:
            raise MethodError(f"method '{self.name}' has no prompts; give at least one")
        prompts = tuple(prompt if isinstance(prompt, Prompt) else Prompt(prompt) for prompt in prompts)
        object.__setattr__(self, "prompts", prompts)
        for field in ("name", "summary", "source"):
            if not isinstance(getattr(self, field), str):
                raise MethodError(f"method '{self.name}': {field} must be text, not {getattr(self, field)!r}")
        if isinstance(self.calibration, (str, list, tuple)):
            object.__setattr__(self, "calibration", Calibration(self.calibration))
        kinds = (("steering", Steering), ("published", Published), ("calibration", Calibration))
        for field, kind in kinds:
            if not isinstance(getattr(self, field), (kind, type(None))):
                raise MethodError(f"method '{self.name}': {field} must be a {kind.__name__}, or None")
        check_layer(self.layer)
        if self.published is not None and self.steering is None:
            raise MethodError(f"method '{self.name}' has published settings of a steering, but no steering")
        _check_choice(self.name, "pooling", self.pooling, POOLINGS)
        _check_choice(self.name, "combine", self.combine, COMBINES)
        _check_choice(self.name, "cleaning", self.cleaning, CLEANINGS)
        self._check_pooling(prompts)
        object.__setattr__(self, "weights", _checked_weights(self.name, self.weights, len(prompts), self.combine))
        object.__setattr__(self, "demonstrations", as_demonstrations(self.demonstrations))
        self._check_demonstrations(prompts)

    @property
    def counting(self) -> tuple[Prompt, ...]:
        """The prompts that count: those of weight 0 are left out."""
        return tuple(prompt for prompt, weight in zip(self.prompts, self.weights or repeat(1.0)) if weight)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights of the prompts that count, which add up to 1; empty where they are equal."""
        weights = [weight for weight in self.weights if weight]
        if len(set(weights)) < 2:
            return ()
        largest = max(weights)  # so that no sum is too large
        total = math.fsum(weight / largest for weight in weights)
        return tuple(weight / largest / total for weight in weights)

    @property
    def asked(self) -> tuple[Prompt, ...]:
        """The prompts that count as they are asked: each behind its demonstrations."""
        return tuple(replace(prompt, wording=self._shown(prompt) + prompt.wording) for prompt in self.counting)

    @property
    def digest(self) -> str:
        """Eight hex digits of all that changes the vectors, the layer apart."""
        recipe: list[Any] = [[prompt.wording for prompt in self.asked], self.combine, self.cleaning]
        # Only where they say something, so that the digests that older files state go on
        if self.pooling != "last_token":
            recipe.append(self.pooling)
        if self.steering is not None:
            recipe.append(self.steering.recipe)
        if self.shares:
            recipe.append(["weights", *self.shares])
        if self.calibration is not None:
            recipe.append(["calibration", *self.calibration.recipe])
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:8]

    def resolved(self, depth: int) -> Method:
        """This method for a model of ``depth`` blocks: its steering in numbers, and published settings where they fit.

        Raises:
            MethodError: the model has too few blocks.
        """
        if self.steering is None:
            return self
        layer, steering = self.layer, self.steering
        if self.published is not None and self.published.depth == depth:
            if steering.layer == "proportional":
                steering = replace(steering, layer=self.published.steering_layer, scale=self.published.scale)
            if isinstance(layer, str):
                layer = self.published.layer
        return replace(self, layer=layer, steering=steering.resolved(depth), published=None)

    def changed(
        self,
        steering: Steering | Mapping[str, Any] | None = None,
        demonstrations: Sequence[Demonstration | tuple[str, str]] | None = None,
        weights: Sequence[float] | None = None,
    ) -> Method:
        """This method with another steering, or some fields of its own changed, and other demonstrations and weights.

        Raises:
            MethodError: a field that there is not, or a value that it cannot have.
        """
        if isinstance(steering, Mapping):
            steering = (self.steering or Steering()).with_fields(steering)
        given = {"steering": steering, "demonstrations": demonstrations, "weights": weights}
        fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(self, **fields) if fields else self

    def _shown(self, prompt: Prompt) -> str:
        return "".join(
            f'{prompt.prefix}{clean_text(sentence, self.cleaning)}{prompt.suffix}{word}".'
            for sentence, word in self.demonstrations
        )

    def _check_pooling(self, prompts: Sequence[Prompt]) -> None:
        for prompt in prompts:
            if (prompt.slots == 2) != (self.pooling == "echo"):
                needed = f"two {SLOT} slots (slots = 2)" if self.pooling == "echo" else f"one {SLOT} slot"
                raise MethodError(f"method '{self.name}': pooling {self.pooling} needs {needed} in {prompt}")
            if self.pooling == "mask_token" and prompt.wording.count(MASK) != 1:
                raise MethodError(f"method '{self.name}': pooling mask_token needs exactly one {MASK} in {prompt}")
        if self.steering is not None and self.pooling != "last_token":
            raise MethodError(
                f"method '{self.name}': steering changes the last token; pooling cannot be {self.pooling}"
            )

    def _check_demonstrations(self, prompts: Sequence[Prompt]) -> None:
        for prompt in prompts if self.demonstrations else ():
            if prompt.slots != 1 or not prompt.suffix.endswith('"'):
                raise MethodError(
                    f"method '{self.name}': demonstrations answer a prompt that ends in an open quotation mark; "
                    f"{prompt} does not"
                )


def check_prompts_can_change(method: Method) -> None:
    """Refuse to make methods of other prompts of one whose calibration was fitted on its own.

    Raises:
        MethodError: so.
    """
    if method.calibration is not None and method.calibration.statistics is not None:
        raise MethodError(
            f"method '{method.name}' is calibrated, with statistics of its own prompts; take it without that, and "
            "calibrate what you keep"
        )


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


def _checked_weights(method: str, weights: object, prompts: int, combine: Combine) -> tuple[float, ...]:
    """The weights as numbers; none where all are equal."""
    if isinstance(weights, (str, Mapping)) or not isinstance(weights, Iterable):
        raise MethodError(f"method '{method}': weights must be a list of numbers, not {weights!r}")
    given = tuple(weights)
    if not given:
        return ()
    if len(given) != prompts:
        raise MethodError(f"method '{method}' has {prompts} prompts, but {len(given)} weights; give one a prompt")
    for weight in given:
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise MethodError(f"method '{method}': weight {weight!r} is not a number from 0 up")
    numbers = tuple(map(float, given))
    if not any(numbers):
        raise MethodError(f"method '{method}': all weights are 0; leave them out for a plain {combine}")
    if len(set(numbers)) == 1:
        return ()
    if combine == "max":
        raise MethodError(
            f"method '{method}': combine max takes no weights; leave them out, or combine by mean or concat"
        )
    return numbers


def _check_choice(method: str, field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MethodError(f"method '{method}': {field} {value!r} is not one of: {', '.join(known)}")
