"""Packed rows: a batch without padding, and how its tokens see each other and the shared prefix."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface

from oneword.engine.kernels import attend_by_matmul, kernel_for
from oneword.engine.prefix import PrefixCache
from oneword.errors import ModelError

IMPLEMENTATION = "oneword_packed"

# What an attention function may be told that packed attention does not do
_FOREIGN = ("softcap", "s_aux", "sinks", "position_bias", "alibi", "head_mask")


class _KeysTaken(Exception):  # noqa: N818 - a signal, not an error
    """Ends a block once the keys and values of all its tokens are known."""


class PackedRows:
    """Where the rows of one batch lie, end to end.

    Args:
        lengths: tokens of each row, without the prefix.
        prefix: tokens of the prefix, which all rows begin with.
        device: where the states will be.
    """

    def __init__(self, lengths: Sequence[int], prefix: int, device: torch.device) -> None:
        self.count, self.longest = len(lengths), max(lengths)
        counts = torch.tensor(lengths)
        ends = counts.cumsum(0)
        starts = ends - counts
        self.starts: list[int] = starts.tolist()
        self.bounds = torch.cat([starts[:1], ends]).to(device=device, dtype=torch.int32)
        within = torch.arange(self.longest)[None]
        held = within < counts[:, None]
        self.positions = (within.expand(self.count, -1)[held] + prefix)[None].to(device)
        self.lengths = counts.to(device)
        self._even = bool(held.all())
        # Padding repeats a row's own last token
        self._token_of_place = torch.minimum(starts[:, None] + within, ends[:, None] - 1).flatten().to(device)
        self._place_of_token = held.flatten().nonzero()[:, 0].to(device)

    def padded(self, tokens: torch.Tensor) -> torch.Tensor:
        """(tokens, heads, size) to (rows, longest, heads, size)."""
        if not self._even:
            tokens = tokens.index_select(0, self._token_of_place.to(tokens.device))
        return tokens.reshape(self.count, self.longest, *tokens.shape[1:])

    def unpadded(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, longest, heads, size) to (tokens, heads, size)."""
        tokens = rows.flatten(0, 1)
        return tokens if self._even else tokens.index_select(0, self._place_of_token.to(tokens.device))


class PackedPass:
    """One pass of packed rows behind a shared prefix: what stands in for attention meanwhile.

    Args:
        rows: the batch.
        prefix: keys and values of what all rows begin with, or None.
        fused: whether fused kernels may be used.
    """

    def __init__(self, rows: PackedRows, prefix: PrefixCache | None, fused: bool = True) -> None:
        self._rows, self._prefix, self._fused = rows, prefix, fused
        self._taking = False
        self._taken: tuple[torch.Tensor, torch.Tensor] | None = None

    def attend(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention value outputs: (1, heads, tokens, size) to (1, tokens, heads, size)."""
        if self._taking:
            self._taken = key, value
            raise _KeysTaken
        prefix = None
        if self._prefix is not None:
            layer = self._prefix.layers[block]
            prefix = layer.keys[0], layer.values[0]
        query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
        if self._taken is None:
            kernel = kernel_for(query, self._rows.longest) if self._fused else attend_by_matmul
            return kernel(query, key, value, prefix, self._rows, scale)[None]
        key, value = (states[0].transpose(0, 1) for states in self._taken)
        return attend_by_matmul(query, key, value, prefix, self._rows, scale, last_only=True)[None]

    @contextmanager
    def last_tokens_only(self, block: nn.Module, last: torch.Tensor) -> Iterator[None]:
        """Within this block, tokens other than the ``last`` of each row leave their keys and values and end.

        The block runs twice: up to its attention with all tokens, and whole with the last of each row. What it answers
        has all tokens again, those that ended as zeros.
        """
        tokens = self._rows.positions.shape[1]

        def narrow(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._taking = True
            try:
                module.forward(*args, **kwargs)
            except _KeysTaken:
                pass
            finally:
                self._taking = False
            if self._taken is None:
                raise ModelError(
                    f"{type(module).__name__} has no attention that oneword can stand in for; switch packing off with "
                    "Embedder(engine=EngineOptions(packing=False)), and please report the model"
                )
            return _picked(args, last, tokens), _picked(kwargs, last, tokens)

        def widen(module: nn.Module, args: Any, output: Any) -> Any:
            self._taken = None
            states = output[0] if isinstance(output, tuple) else output
            all_tokens = states.new_zeros(1, tokens, states.shape[-1]).index_copy_(1, last.to(states.device), states)
            return (all_tokens, *output[1:]) if isinstance(output, tuple) else all_tokens

        handles: list[RemovableHandle] = [
            block.register_forward_pre_hook(narrow, with_kwargs=True),
            block.register_forward_hook(widen),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class NextToken:
    """Attention of one new token a row, which sees all that its row holds: no mask, and no key or value twice."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Query (rows, h, 1, size), key and value (rows, g, tokens, size), to (rows, 1, h, size).

        The queries that share a head of keys stand as tokens of it.
        """
        rows, heads, _, size = query.shape
        shared = key.shape[1]
        grouped = query.reshape(rows, shared, heads // shared, size)
        answer = nn.functional.scaled_dot_product_attention(grouped, key, value, scale=scale)
        return answer.reshape(rows, 1, heads, value.shape[-1])


def _picked(given: Any, last: torch.Tensor, tokens: int) -> Any:
    """The same arguments of a block, with every tensor (1, tokens, ...) cut to the last tokens."""
    if isinstance(given, dict):
        return {name: _picked(value, last, tokens) for name, value in given.items()}
    if isinstance(given, tuple):
        return tuple(_picked(value, last, tokens) for value in given)
    if isinstance(given, torch.Tensor) and given.ndim >= 2 and given.shape[:2] == (1, tokens):
        return given.index_select(1, last.to(given.device))
    return given


_current = threading.local()


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that transformers' models call during a packed pass."""
    foreign = [name for name in _FOREIGN if options.get(name) is not None]
    if foreign or attention_mask is not None:
        raise ModelError(
            f"packed attention has no {', '.join(foreign) or 'mask'}, which {type(module).__name__} asks for; switch "
            "it off with Embedder(engine=EngineOptions(packing=False)), and please report the model"
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    return _current.packed.attend(module.layer_idx, query, key, value, scale), None


AttentionInterface.register(IMPLEMENTATION, _attend)


def attention_configs(model: nn.Module) -> list[Any]:
    """The configurations in which a model's blocks look their attention up."""
    return list({id(each.config): each.config for each in model.modules() if hasattr(each, "config")}.values())


@contextmanager
def attending(configs: Sequence[Any], packed: PackedPass | NextToken) -> Iterator[None]:
    """A model's attention is that of such a pass meanwhile; there is no mask for it, so none is made."""
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation_internal = IMPLEMENTATION
    _current.packed = packed
    try:
        yield
    finally:
        del _current.packed
        for config, implementation in zip(configs, before):
            config._attn_implementation_internal = implementation
