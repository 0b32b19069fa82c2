"""Attention of packed rows behind a shared prefix: three ways to compute the same.

A token sees the whole prefix, and of its own row the tokens up to itself. Heads may share keys and values (grouped
queries): h query heads, g key heads.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from oneword.engine.packed import PackedRows

Prefix = tuple[torch.Tensor, torch.Tensor]

# Up to this many tokens a row, plain matrix products are faster on a CPU than the flash kernel, which takes the rows
# and heads one by one (docs/performance-log.md)
_SHORT = 96


class Kernel(Protocol):
    """Attention value outputs (tokens, h, size)."""

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        prefix: Prefix | None,
        rows: PackedRows,
        scale: float,
    ) -> torch.Tensor:
        """Query (tokens, h, size), key and value (tokens, g, size), the prefix's each (g, prefix, size)."""


def kernel_for(query: torch.Tensor, longest: int) -> Kernel:
    """The fastest fused kernel for such queries, (tokens, h, size), in rows of up to ``longest`` tokens.

    Plain matrix products where there is none, or where it would be slower.
    """
    if query.device.type == "cuda" and query.dtype in (torch.bfloat16, torch.float16) and query.shape[-1] <= 256:
        return attend_by_varlen if _has_varlen(query.device) else attend_by_matmul
    if query.device.type == "cpu" and longest > _SHORT:
        return attend_by_flash
    return attend_by_matmul


def longest_packed(device: torch.device, dtype: torch.dtype) -> int | None:
    """The longest row that is worth packing: without a fused kernel the scores of long rows would fill the memory.

    None where there is a fused kernel for every length.
    """
    if device.type == "cuda":
        return None if dtype in (torch.bfloat16, torch.float16) and _has_varlen(device) else _SHORT
    return None if device.type == "cpu" else _SHORT


def attend_by_matmul(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: Prefix | None,
    rows: PackedRows,
    scale: float,
    last_only: bool = False,
) -> torch.Tensor:
    """Scores of prefix and row side by side, one softmax over both.

    Args:
        query: as in :class:`Kernel`; of each row's last token alone, (rows, h, size), where ``last_only``.
        key: as in :class:`Kernel`.
        value: likewise.
        prefix: likewise.
        rows: likewise.
        scale: what scores are multiplied by.
        last_only: whether only each row's last token asks.
    """
    key, value = rows.padded(key), rows.padded(value)
    query = query[:, None] if last_only else rows.padded(query)
    count, asking, heads, size = query.shape
    longest, groups = key.shape[1:3]
    shared = heads // groups
    before = prefix[0].shape[1] if prefix is not None else 0
    # Group by group, so that the prefix takes one product a group and no keys are repeated
    query = (query * scale).reshape(count, asking, groups, shared, size).permute(2, 0, 3, 1, 4)
    query = query.reshape(groups, count * shared * asking, size)
    key = key.permute(2, 0, 3, 1).reshape(groups * count, size, longest)
    value = value.permute(2, 0, 1, 3).reshape(groups * count, longest, value.shape[-1])
    if last_only:
        hidden = torch.arange(longest, device=query.device)[None] >= rows.lengths.to(query.device)[:, None]
        mask = torch.zeros(hidden.shape, dtype=query.dtype, device=query.device).masked_fill_(hidden, -torch.inf)
        mask = mask[None, :, None].expand(groups, count, shared, longest).reshape(-1, shared, longest)
    else:
        mask = _causal_mask(longest, shared, query.dtype, query.device)
    scores = query.new_empty(groups * count, shared * asking, before + longest)
    scores[..., before:] = torch.baddbmm(mask, query.reshape(groups * count, shared * asking, size), key)
    if prefix is not None:
        scores[..., :before] = torch.bmm(query, prefix[0].transpose(1, 2)).reshape(*scores.shape[:2], before)
    weights = scores.softmax(-1)
    seen = torch.bmm(weights[..., before:], value)
    if prefix is not None:
        of_prefix = weights[..., :before].reshape(groups, count * shared * asking, before)
        seen = seen + torch.bmm(of_prefix, prefix[1]).view_as(seen)
    seen = seen.reshape(groups, count, shared, asking, -1).permute(1, 3, 0, 2, 4).reshape(count, asking, heads, -1)
    return seen[:, 0] if last_only else rows.unpadded(seen)


def attend_by_flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: Prefix | None,
    rows: PackedRows,
    scale: float,
) -> torch.Tensor:
    """The CPU's flash kernel for prefix and row apart, merged by the log-sum-exp of their scores."""
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    query, key, value = (rows.padded(states).transpose(1, 2) for states in (query, key, value))
    seen, weight = flash(query, key, value, is_causal=True, scale=scale)
    if prefix is not None:
        count, heads, longest, size = query.shape
        keys, values = (states.repeat_interleave(heads // len(states), dim=0)[None] for states in prefix)
        # All tokens see the whole prefix, whatever their row
        flat = query.transpose(0, 1).reshape(1, heads, count * longest, size)
        of_prefix, weight_of_prefix = flash(flat, keys, values, scale=scale)
        of_prefix = of_prefix.view(heads, count, longest, size).transpose(0, 1)
        weight_of_prefix = weight_of_prefix.view(heads, count, longest).transpose(0, 1)
        seen = _merged(seen, weight, of_prefix, weight_of_prefix)
    return rows.unpadded(seen.transpose(1, 2))


def attend_by_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: Prefix | None,
    rows: PackedRows,
    scale: float,
) -> torch.Tensor:
    """CUDA's flash kernel on packed rows, for prefix and row apart, merged by the log-sum-exp of their scores."""
    from torch.nn.attention.varlen import AuxRequest, varlen_attn

    asked = AuxRequest(lse=True)
    tokens, longest = len(query), rows.longest
    grouped = query.shape[1] != key.shape[1]
    bounds = rows.bounds.to(query.device)
    seen, weight = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        bounds,
        bounds,
        longest,
        longest,
        return_aux=asked,
        scale=scale,
        window_size=(-1, 0),
        enable_gqa=grouped,
    )
    if prefix is None:
        return seen
    keys, values = (states.transpose(0, 1).contiguous() for states in prefix)
    of_prefix, weight_of_prefix = varlen_attn(
        query.contiguous(),
        keys,
        values,
        torch.tensor([0, tokens], dtype=torch.int32, device=query.device),
        torch.tensor([0, len(keys)], dtype=torch.int32, device=query.device),
        tokens,
        len(keys),
        return_aux=asked,
        scale=scale,
        enable_gqa=grouped,
    )
    weight, weight_of_prefix = (_by_token(each, tokens, query.shape[1]) for each in (weight, weight_of_prefix))
    return _merged(seen, weight, of_prefix, weight_of_prefix)


@lru_cache
def _has_varlen(device: torch.device) -> bool:
    """Whether this torch and this GPU have flash attention for packed rows (Ampere and newer)."""
    try:
        from torch.nn.attention import varlen
    except ImportError:
        return False
    wanted = {"window_size", "return_aux", "enable_gqa"}
    known = inspect.signature(varlen.varlen_attn).parameters
    return wanted <= set(known) and torch.cuda.get_device_capability(device) >= (8, 0)


def _by_token(weight: torch.Tensor, tokens: int, heads: int) -> torch.Tensor:
    """Log-sum-exps as (tokens, h): torch documents that shape, and its kernels give (h, tokens)."""
    return weight if weight.shape == (tokens, heads) != (heads, tokens) else weight.transpose(0, 1)


def _merged(
    seen: torch.Tensor, weight: torch.Tensor, other: torch.Tensor, weight_of_other: torch.Tensor
) -> torch.Tensor:
    """Two parts of one attention, each with the log-sum-exp of its scores, as one."""
    share = torch.sigmoid(weight_of_other.float() - weight.float())[..., None].to(seen.dtype)
    return torch.lerp(seen, other, share)


@lru_cache(maxsize=128)
def _causal_mask(longest: int, shared: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(1, shared * longest, longest): nothing later than itself is seen, for all heads that share a key."""
    hidden = torch.ones(longest, longest, dtype=torch.bool, device=device).triu(1)
    mask = torch.zeros(longest, longest, dtype=dtype, device=device).masked_fill_(hidden, -torch.inf)
    return mask.repeat(shared, 1)[None]
