"""Attention to a tuned prefix: keys and values that stand before those of the text, in every block.

transformers' models look their attention up by name; ours puts the prefix before the keys and values it is given. The
text keeps its positions, and architectures need no cache for it, so that encoders (BERT, T5) have prefixes too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from oneword.errors import ModelError

IMPLEMENTATION = "oneword_prefixed"

# What an attention function may be told that this one does not do
_FOREIGN = ("softcap", "s_aux", "sinks", "alibi", "head_mask")

_current = threading.local()


class PrefixShape(NamedTuple):
    """What one block's prefix must be like."""

    heads: int
    size: int


@contextmanager
def attending_to(prefix: torch.Tensor, blocks: dict[int, int]) -> Iterator[None]:
    """Within the block, the texts of models that attend by :data:`IMPLEMENTATION` see the prefix.

    Args:
        prefix: (blocks, 2, heads, positions, size): each block's keys and values.
        blocks: which block an attention module is in, by the module's ``id``; any other is left as it is.
    """
    _current.prefix, _current.blocks = prefix, blocks
    try:
        yield
    finally:
        del _current.prefix, _current.blocks


@contextmanager
def noting(found: list[tuple[nn.Module, PrefixShape]]) -> Iterator[None]:
    """Within the block, attention modules and the shape of their keys are noted in the order in which they run."""
    _current.found = found
    try:
        yield
    finally:
        del _current.found


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function: query (rows, heads, n, size), keys and values (rows, key heads, n, size)."""
    foreign = [name for name in _FOREIGN if options.get(name) is not None]
    if foreign:
        raise ModelError(
            f"{type(module).__name__} asks for {', '.join(foreign)}, which tuning does not do; use another surrogate"
        )
    found = getattr(_current, "found", None)
    if found is not None:
        found.append((module, PrefixShape(key.shape[1], key.shape[3])))
    bias = attention_mask
    if position_bias is not None:  # T5's
        bias = position_bias if bias is None else position_bias + bias
    block = getattr(_current, "blocks", {}).get(id(module))
    if block is not None:
        keys, values = (part.to(key.dtype).expand(len(key), -1, -1, -1) for part in _current.prefix[block])
        key, value = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        if bias is not None:
            bias = functional.pad(bias, (keys.shape[2], 0))  # the prefix is seen by all, at no distance
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    # Plain products: rows are short, and per-example gradients (torch.func) need nothing else
    scores = query @ key.transpose(2, 3) * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(dim=-1) @ value).transpose(1, 2), None


AttentionInterface.register(IMPLEMENTATION, _attend)
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
