"""Keys and values of what rows begin with, computed once and attended to by all that follows."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


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


class GrowingLayer(DynamicLayer):
    """One block's keys and values in memory taken beforehand: a new token is written behind the others, not copied.

    Args:
        keys: (rows, heads, tokens, head size) to begin with.
        values: likewise.
        room: how many tokens may follow; more are taken too, and then all are copied.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, room: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._whole = [held.new_empty(*held.shape[:2], held.shape[2] + room, held.shape[3]) for held in (keys, values)]
        self.keys, self.values = (
            _written(whole, 0, held) for whole, held in zip(self._whole, (keys, values), strict=True)
        )

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values, (rows, heads, tokens, head size)."""
        held, room = self.keys.shape[2], self._whole[0].shape[2]
        if held + key_states.shape[2] > room:
            self.keys, self.values = super().update(key_states, value_states, *args, **kwargs)
            return self.keys, self.values
        self.keys, self.values = (
            _written(whole, held, new) for whole, new in zip(self._whole, (key_states, value_states), strict=True)
        )
        return self.keys, self.values


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

    def growing(self, rows: int, room: int) -> Cache:
        """A cache for ``rows`` rows behind this prefix, which will hold all their tokens, about ``room`` a row."""
        return Cache(
            layers=[
                GrowingLayer(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), room)
                for layer in self.layers
            ]
        )


def _written(whole: torch.Tensor, start: int, new: torch.Tensor) -> torch.Tensor:
    """The tokens so far, with the new ones written behind the first ``start``."""
    end = start + new.shape[2]
    whole[:, :, start:end] = new
    return whole[:, :, :end]


def _joined(held: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Each new row behind what is held for it, the held rows as often over as they fit."""
    held = held.expand(len(new) // len(held), *held.shape)
    return torch.cat([held, new.view(*held.shape[:2], *new.shape[1:])], dim=-2).flatten(0, 1)
