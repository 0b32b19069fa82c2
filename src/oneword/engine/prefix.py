"""The keys and values of a prompt's shared prefix, computed once and attended to by every text."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class PrefixLayer(DynamicLayer):
    """One block's prefix: answers prefix and new together, and keeps nothing of the new.

    Args:
        keys: (1, heads, prefix, head size).
        values: (1, heads, prefix, head size).
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
        rows = key_states.shape[0]
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2)
        values = torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2)
        return keys, values


class PrefixCache(Cache):
    """A transformers cache that holds a prefix and never grows, so that batch after batch can use it.

    It knows of no sliding windows: it always holds the whole prefix, and the model's own mask cuts the window.
    """

    def __init__(self, keys_and_values: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__(layers=[PrefixLayer(keys, values) for keys, values in keys_and_values])

    def shortened(self, length: int) -> PrefixCache:
        """The first ``length`` tokens of it: attention is causal, so a prefix of the prefix needs no new pass."""
        if length == self.get_seq_length():
            return self
        return PrefixCache([(layer.keys[:, :, :length], layer.values[:, :, :length]) for layer in self.layers])
