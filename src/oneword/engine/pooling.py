"""Pooling: from the states of a batch's tokens to one vector a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oneword.engine.tokens import Span
from oneword.method import Pooling


class Pool:
    """How each row of one batch is read from the states of all its tokens, one row behind the other.

    Args:
        spans: for each row the tokens that are read, from the first to before the second.
        starts: for each row where its first token stands in the batch.
        pooling: the method's pooling; those that are not a mean read the span's last token.
        device: where the states will be.
    """

    def __init__(self, spans: Sequence[Span], starts: Sequence[int], pooling: Pooling, device: torch.device) -> None:
        self.last = torch.tensor([start + end - 1 for start, (_, end) in zip(starts, spans)], device=device)
        self._read: torch.Tensor | None = None
        if pooling in ("mean", "weighted_mean", "echo"):
            counts = torch.tensor([end - first for first, end in spans])
            firsts = torch.tensor([start + first for start, (first, _) in zip(starts, spans)])
            rows = torch.repeat_interleave(torch.arange(len(spans)), counts)
            within = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
            weights = (within + 1.0) if pooling == "weighted_mean" else torch.ones(len(rows))
            sums = torch.zeros(len(spans)).index_add_(0, rows, weights)
            self._rows, self._weights = rows.to(device), (weights / sums[rows])[:, None].to(device)
            self._read = (firsts[rows] + within).to(device)

    def places(self, count: int) -> torch.Tensor:
        """Where the last tokens stand in a batch of ``count`` tokens: in all of them, or alone."""
        return self.last if count != len(self.last) else torch.arange(count, device=self.last.device)

    def every(self, states: torch.Tensor) -> torch.Tensor:
        """States of the batch's tokens to those of every token of the spans, (tokens, d); of a mean alone."""
        assert self._read is not None, "only the last tokens are known"
        return states.reshape(-1, states.shape[-1])[self._read.to(states.device)]

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """States of the batch's tokens, (..., d) with all tokens before the last axis, to (rows, d)."""
        states = states.reshape(-1, states.shape[-1])
        if self._read is None:
            return states[self.places(len(states)).to(states.device)]
        read, rows = self._read.to(states.device), self._rows.to(states.device)
        sums = torch.zeros(len(self.last), states.shape[-1], device=states.device)
        return sums.index_add_(0, rows, states[read].float() * self._weights.to(states.device))
