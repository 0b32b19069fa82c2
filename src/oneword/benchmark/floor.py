"""The least time in which a machine could compute a method's vectors: its own rates on the model's own shapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from oneword.embedder import Embedder
from oneword.engine.cost import BlockShape, PromptWork
from oneword.engine.weights import LaidOutLinear, lays_out
from oneword.models.backbone import Backbone
from oneword.models.blocks import text_config_of

_TOKENS = (256, 512, 1024, 2048)  # rows of a product; the best of them counts
_REPEATS = 5
_BYTES = 128 << 20  # more than any cache holds


@dataclass(frozen=True)
class Rates:
    """What the machine does when it does nothing else.

    Args:
        operations: floating-point operations a second, in the products of one block.
        bytes: bytes read a second.
    """

    operations: float
    bytes: float


def block_shape(backbone: Backbone) -> BlockShape:
    """The sizes of one of the model's blocks."""
    config = text_config_of(backbone.model.config)
    width, heads = config.hidden_size, config.num_attention_heads
    size = getattr(config, "head_dim", None) or width // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    return BlockShape(width, heads * size, key_heads * size, sum(out * into for out, into in _shapes(backbone)))


@torch.inference_mode()
def measure_rates(backbone: Backbone) -> Rates:
    """The rates of this moment: the best of several runs, numbers of tokens, and ways to lay weights out."""
    shapes, device = _shapes(backbone), backbone.device
    layers = [nn.Linear(into, out, bias=False, device=device, dtype=_dtype(backbone)) for out, into in shapes]
    ways: list[list[nn.Module]] = [[*layers]]
    if lays_out(backbone):
        ways.append([LaidOutLinear(layer) for layer in layers])
    best = max(_product_rate(way, shapes, tokens, backbone) for way in ways for tokens in _TOKENS)
    memory = torch.ones(_BYTES // 4, device=device)
    return Rates(best, _BYTES / _least_seconds(memory.sum, device))


def least_seconds(work: Sequence[PromptWork], shape: BlockShape, weight_bytes: int, rates: Rates) -> float:
    """The floor: the time of the operations or of reading the weights once a batch, whichever is longer.

    Args:
        work: of every prompt.
        shape: of the model's blocks.
        weight_bytes: of one block's linear layers.
        rates: of the machine.
    """
    operations = sum(prompt.least_operations(shape) for prompt in work)
    read = sum(prompt.batches * prompt.blocks * weight_bytes for prompt in work)
    return max(operations / rates.operations, read / rates.bytes)


def floor_of(embedder: Embedder, texts: Sequence[str], rates: Rates) -> float:
    """The least seconds for these texts on a machine of these rates."""
    backbone = embedder._backbone
    shape = block_shape(backbone)
    return least_seconds(embedder.work(texts), shape, shape.weights * _dtype(backbone).itemsize, rates)


def _product_rate(
    layers: Sequence[nn.Module], shapes: Sequence[tuple[int, int]], tokens: int, backbone: Backbone
) -> float:
    """Operations a second of a block's products for so many tokens."""
    seconds = 0.0
    for layer, (_, into) in zip(layers, shapes):
        states = torch.randn(tokens, into, device=backbone.device).to(_dtype(backbone))
        seconds += _least_seconds(partial(layer, states), backbone.device)
    return sum(2 * tokens * out * into for out, into in shapes) / seconds


def _shapes(backbone: Backbone) -> list[tuple[int, int]]:
    """Of the linear layers of one block, each (out, in)."""
    found: list[tuple[int, int]] = []
    for module in backbone.blocks[0].modules():
        if isinstance(module, nn.Linear):
            found.append((module.out_features, module.in_features))
        elif isinstance(module, LaidOutLinear):
            found.append(module.shape)
        elif type(module).__name__ == "Conv1D":  # GPT-2's linear layers
            weight: Any = module.weight
            found.append((weight.shape[1], weight.shape[0]))
    return found


def _dtype(backbone: Backbone) -> torch.dtype:
    found: torch.dtype = next(backbone.model.parameters()).dtype
    return found


def _least_seconds(compute: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for turn in range(_REPEATS + 1):
        started = time.perf_counter()
        compute()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn:  # the first is for warming up
            best = min(best, time.perf_counter() - started)
    return best
