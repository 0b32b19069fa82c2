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
from oneword.models.backbone import Backbone
from oneword.models.blocks import text_config_of

_TOKENS = (256, 512, 1024, 2048)  # rows of a product; the best of them counts
_REPEATS = 5
_BYTES = 256 << 20


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
    return BlockShape(width, heads * size, key_heads * size, sum(weight.numel() for weight in _weights(backbone)))


@torch.inference_mode()
def measure_rates(backbone: Backbone) -> Rates:
    """The rates of this moment: the best of several runs, and of several numbers of tokens."""
    weights = _weights(backbone)
    device, dtype = backbone.device, weights[0].dtype
    best = max(_product_rate(weights, tokens, device, dtype) for tokens in _TOKENS)
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
    weight_bytes = sum(weight.numel() * weight.element_size() for weight in _weights(backbone))
    return least_seconds(embedder.work(texts), block_shape(backbone), weight_bytes, rates)


def _product_rate(weights: Sequence[torch.Tensor], tokens: int, device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a block's products for so many tokens."""
    seconds = 0.0
    for weight in weights:
        states = torch.randn(tokens, weight.shape[1], device=device).to(dtype)
        seconds += _least_seconds(partial(nn.functional.linear, states, weight), device)
    return sum(2 * tokens * weight.numel() for weight in weights) / seconds


def _weights(backbone: Backbone) -> list[torch.Tensor]:
    """Of the linear layers of one block, each (out, in)."""
    found: list[Any] = []
    for module in backbone.blocks[0].modules():
        if isinstance(module, nn.Linear):
            found.append(module.weight)
        elif type(module).__name__ == "Conv1D":  # GPT-2's linear layers, (in, out)
            found.append(module.weight.T)
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
