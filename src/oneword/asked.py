"""What a model of some depth is asked: a method and the layers that are read, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from oneword.errors import MethodError, ModelError
from oneword.method import Layer, Method, resolve_layer
from oneword.registry import find_method
from oneword.steering import Steering

Layers: TypeAlias = Layer | Literal["all"] | Sequence[Layer]


@dataclass(frozen=True)
class Asked:
    """What a model is asked, in numbers for its depth.

    Args:
        method: its steering resolved.
        layer: the layer that is read, or the list of them.
        layers: the same as a list.
    """

    method: Method
    layer: int | list[int]
    layers: list[int]


def resolve_asked(
    method: Method | None,
    layer: Layers | None,
    steering: Steering | Mapping[str, Any] | None,
    demonstrations: Sequence[tuple[str, str]] | None,
    depth: int,
    causal: bool,
    model: str,
    weights: Sequence[float] | None = None,
) -> Asked:
    """A method put to a model, None being the default one for its kind.

    Raises:
        ModelError: steering of a model that looks both ways.
        MethodError: a layer out of range, steering that no layer sees, or weights that do not fit the method.
    """
    if not causal and (steering is not None or (method is not None and method.steering is not None)):
        raise ModelError(
            f"{model} cannot be steered: its tokens see those after them, and steering is for decoders; use a method "
            "without it, such as average"
        )
    method = method or find_method("prompteol" if causal else "average")
    method = method.resolved(depth).changed(steering, demonstrations, weights).resolved(depth)
    resolved, layers = _resolve_layers(method.layer if layer is None else layer, depth)
    _check_steering_is_read(method, layers)
    return Asked(method, resolved, layers)


def _resolve_layers(layer: Layers, depth: int) -> tuple[int | list[int], list[int]]:
    if isinstance(layer, str) and layer == "all":
        layers = list(range(depth + 1))
    elif isinstance(layer, str) or not isinstance(layer, Iterable):
        resolved = resolve_layer(cast(Layer, layer), depth)
        return resolved, [resolved]
    else:
        layers = [resolve_layer(one, depth) for one in layer]
    if not layers:
        raise MethodError("an empty list of layers; give at least one")
    return layers, layers


def _check_steering_is_read(method: Method, layers: Sequence[int]) -> None:
    if method.steering is not None and max(layers) < int(method.steering.layer):
        raise MethodError(
            f"steering changes block {method.steering.layer}, which layer {max(layers)} does not see; read layer "
            f"{method.steering.layer} or a later one"
        )
