"""Where in a block the last token's state is read and changed (Contrastive Prompting, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from oneword.engine.pooling import Pool
from oneword.errors import ModelError
from oneword.models.backbone import Backbone
from oneword.steering import Steering

# Where transformers' decoders keep the output projection of attention, and what they call the MLP
_PROJECTIONS = (
    "self_attn.o_proj",
    "self_attn.out_proj",
    "self_attn.dense",
    "self_attention.dense",
    "attention.dense",
    "attn.c_proj",
    "attn.out_proj",
    "attn.attention.out_proj",
)
# The MLPs of BLOOM and MPT add the residual themselves, so their last projections stand first
_MLPS = ("mlp.dense_4h_to_h", "ffn.down_proj", "mlp", "ffn", "feed_forward", "fc2")

Value = torch.Tensor
_TINY = torch.finfo(torch.float32).tiny


class SteeringPoint:
    """One place in a backbone's block l: what stands there can be read, or changed.

    Args:
        backbone: a decoder.
        steering: its layer a number of a block that is loaded.

    Raises:
        ModelError: its block has no such place.
    """

    def __init__(self, backbone: Backbone, steering: Steering) -> None:
        self._name = f"{backbone.name} ({backbone.model_type})"
        self._steering = steering
        block = backbone.blocks[int(steering.layer) - 1]
        self._at_input = steering.position == "attention_value_output"
        if steering.position == "block_output":
            self._module: nn.Module = block
        elif steering.position == "mlp_output":
            self._module = self._find(block, _MLPS, "MLP")
        else:
            self._module = self._find(block, _PROJECTIONS, "attention output projection")

    @property
    def place(self) -> tuple[int, str]:
        """Block and position; what is read there is the same for all scales and norms."""
        return int(self._steering.layer), self._steering.position

    @contextmanager
    def hooked(self, change: Callable[[Value], Value]) -> Iterator[None]:
        """Within the block, ``change`` sees the values of all tokens of a batch, (tokens, size), and answers.

        Raises:
            ModelError: the pass never came by, so nothing was changed.
        """
        passed = False

        def changed(value: torch.Tensor) -> torch.Tensor:
            nonlocal passed
            passed = True
            return change(value.reshape(-1, value.shape[-1])).view_as(value)

        def at_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (changed(args[0]), *args[1:])

        def at_output(module: nn.Module, args: Any, output: Any) -> Any:
            return (changed(output[0]), *output[1:]) if isinstance(output, tuple) else changed(output)

        handle: RemovableHandle = (
            self._module.register_forward_pre_hook(at_input)
            if self._at_input
            else self._module.register_forward_hook(at_output)
        )
        try:
            yield
        finally:
            handle.remove()
        if not passed:
            raise ModelError(f"{self._name} cannot be steered: its blocks go past their {type(self._module).__name__}")

    def steered(self, main: Value, auxiliary: Value) -> Value:
        """What v_main becomes; zero where it equals v_aux, since nothing is left then."""
        difference = main - auxiliary
        if self._steering.norm == "scale":
            return self._steering.scale * difference
        direction = torch.nn.functional.normalize(difference, dim=-1, eps=_TINY)
        recovered: Value = direction * main.norm(dim=-1, keepdim=True)
        return recovered

    def _find(self, block: nn.Module, paths: tuple[str, ...], what: str) -> nn.Module:
        for path in paths:
            module: Any = block
            for name in path.split("."):
                module = getattr(module, name, None)
            if isinstance(module, nn.Module):
                return module
        raise ModelError(
            f"{self._name} cannot be steered at {self._steering.position}: its block {self._steering.layer} "
            f"({type(block).__name__}) has no {what} that oneword knows; use a method without steering"
        )


@dataclass(frozen=True)
class Auxiliary:
    """What the auxiliary prompt saw of some texts, ready to steer the passes of other prompts.

    Args:
        point: where it was read, and is subtracted.
        values: float32 (texts, size).
    """

    point: SteeringPoint
    values: torch.Tensor

    def steering(self, texts: Sequence[int], pool: Pool, first: int = 0) -> AbstractContextManager[None]:
        """The hooks that steer a batch's rows of these texts, which begin at row ``first``."""

        def change(value: Value) -> Value:
            last = pool.places(len(value))[first : first + len(texts)].to(value.device)
            steered = self.point.steered(value[last].float(), self.values[texts].to(value.device))
            changed = value.clone()
            changed[last] = steered.to(value.dtype)
            return changed

        return self.point.hooked(change)
