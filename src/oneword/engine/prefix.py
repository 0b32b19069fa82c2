"""Keys and values of what rows begin with, computed once and attended to by all that follows."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class PrefixLayer(DynamicLayer):
    """One block's prefix: answers prefix and new together, and keeps nothing of the new.

    Args:
        keys: (1, heads, prefix, head size) of a prefix that all rows share; or (rows, heads, prefix, head size), each
            row its own, for batches that hold those rows one or more times over.
        values: likewise.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefix and new keys and values, (rows, heads, prefix + new, head size)."""
        return _joined(self.keys, key_states), _joined(self.values, value_states)


class PrefixCache(Cache):
    """A transformers cache that holds a prefix and never grows, so that batch after batch can use it.

    Of every row its own prefix, or one for all, see :class:`PrefixLayer`. It knows of no sliding windows: it always
    holds the whole prefix, and the model's own mask cuts the window.
    """

    def __init__(self, keys_and_values: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__(layers=[PrefixLayer(keys, values) for keys, values in keys_and_values])

    def shortened(self, length: int) -> PrefixCache:
        """The first ``length`` tokens of it: attention is causal, so a prefix of the prefix needs no new pass."""
        if length == self.get_seq_length():
            return self
        return PrefixCache([(layer.keys[:, :, :length], layer.values[:, :, :length]) for layer in self.layers])

    def growing(self, rows: int) -> DynamicCache:
        """A cache for one pass of ``rows`` rows behind this prefix, which will hold all their tokens."""
        cache = DynamicCache()
        for block, layer in enumerate(self.layers):
            cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), block)
        return cache


def _joined(held: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Each new row behind what is held for it, the held rows as often over as they fit."""
    held = held.expand(len(new) // len(held), *held.shape)
    return torch.cat([held, new.view(*held.shape[:2], *new.shape[1:])], dim=-2).flatten(0, 1)
