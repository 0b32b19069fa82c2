"""What CUDA's kernel for packed rows computes, written plainly behind the interface that torch documents."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch


class AuxRequest(NamedTuple):
    lse: bool = False


def varlen_attn(
    query, key, value, bounds, key_bounds, longest, longest_key, *, return_aux, scale, window_size=(-1, -1), enable_gqa
):
    assert return_aux.lse
    assert bounds.dtype == key_bounds.dtype == torch.int32
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert longest == bounds.diff().max()
    assert longest_key == key_bounds.diff().max()
    key, value = (states.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for states in (key, value))
    seen, weights = torch.empty_like(query), torch.empty(query.shape[:2])
    for (start, end), (first, last) in zip(pairwise(bounds), pairwise(key_bounds)):
        scores = torch.einsum("qhd,khd->hqk", query[start:end].float(), key[first:last].float()) * scale
        if window_size == (-1, 0):
            scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), -torch.inf)
        weights[start:end] = scores.logsumexp(-1).T
        seen[start:end] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[first:last].float()).to(seen.dtype)
    return seen, weights.T  # as the kernels give it
