"""Weights laid out once for a CPU's bfloat16 matrix kernels (oneDNN), with what follows a product done in it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from oneword.models.backbone import Backbone
from oneword.models.device import resolve_dtype

# Rows of a product that the layout is chosen for; others run with it too
_TOKENS = 1024
_CLOSE = 0.02  # of the norm: bfloat16 keeps 8 bits, and a fused product rounds less often

Activation = Literal["none", "swish", "gelu"]


class LaidOutLinear(nn.Module):
    """A linear layer whose weight only oneDNN can read."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.shape = (linear.out_features, linear.in_features)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _TOKENS)
        self._bias = linear.bias.detach() if linear.bias is not None else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (..., in) to (..., out)."""
        return self.activated(states, "none", "")

    def activated(self, states: torch.Tensor, activation: Activation, variant: str) -> torch.Tensor:
        """The activation of what the layer answers."""
        answer: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._weight, self._bias, activation, [], variant
        )
        return answer

    def times(self, states: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """What the layer answers, times a factor of the same shape."""
        answer: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            states, factor, self._weight, self._bias, "mul"
        )
        return answer


class GatedMLP(nn.Module):
    """An MLP with a gate, its activation and its product done in the products of its matrices."""

    def __init__(self, mlp: Any, activation: Activation, variant: str) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = LaidOutLinear(mlp.gate_proj), LaidOutLinear(mlp.up_proj)
        self.down_proj = LaidOutLinear(mlp.down_proj)
        self._activation, self._variant = activation, variant

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (..., d) to (..., d)."""
        gate = self.gate_proj.activated(states, self._activation, self._variant)
        answer: torch.Tensor = self.down_proj(self.up_proj.times(states, gate))
        return answer


def lays_out(backbone: Backbone) -> bool:
    """Whether this model's weights can be laid out: in bfloat16, on a CPU of the x86 family that computes in it."""
    weights = {parameter.dtype for parameter in backbone.model.parameters()}
    return (
        backbone.device.type == "cpu"
        and platform.machine().lower() in ("x86_64", "amd64")
        and weights == {torch.bfloat16}
        and resolve_dtype("auto", backbone.device) == torch.bfloat16
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


@torch.inference_mode()
def lay_out(backbone: Backbone) -> None:
    """Replace the linear layers and gated MLPs of the blocks, in place; the weights take no more room than before.

    An MLP is replaced where it computes what a gated MLP does, which is tried on the spot.
    """
    for block in backbone.blocks:
        _replace(block)
    for parameter in backbone.model.parameters():
        parameter.data = parameter.data.clone()  # else the whole file stays in memory for the few that are left


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        replacement = _gated(child) or (LaidOutLinear(child) if type(child) is nn.Linear else None)
        if replacement is None:
            _replace(child)
        else:
            setattr(module, name, replacement.eval())


def _gated(mlp: Any) -> GatedMLP | None:
    """The same as a gated MLP, where it is one: its activation is known, and it computes what such an MLP does."""
    parts = {name: getattr(mlp, name, None) for name in ("gate_proj", "up_proj", "down_proj")}
    activation = _activation_of(getattr(mlp, "act_fn", None))
    if activation is None or any(type(part) is not nn.Linear for part in parts.values()):
        return None
    found = GatedMLP(mlp, *activation)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(1, 16, mlp.gate_proj.in_features, generator=generator).to(torch.bfloat16)
    states *= 2 / mlp.gate_proj(states).float().std()  # where activations tell themselves apart
    expected = mlp(states).float()
    return found if (found(states).float() - expected).norm() <= _CLOSE * expected.norm() else None


def _activation_of(function: Any) -> tuple[Activation, str] | None:
    """What oneDNN calls an activation, if it has it."""
    if not callable(function):
        return None
    values = torch.linspace(-8, 8, 1001)
    found = function(values)
    for expected, name in _ACTIVATIONS:
        if torch.allclose(found, expected(values), rtol=0, atol=1e-6):
            return name
    return None


_ACTIVATIONS: tuple[tuple[Callable[[torch.Tensor], torch.Tensor], tuple[Activation, str]], ...] = (
    (nn.functional.silu, ("swish", "")),
    (partial(nn.functional.gelu, approximate="tanh"), ("gelu", "tanh")),
    (nn.functional.gelu, ("gelu", "none")),
)
