"""Rows of tokens grouped into batches that waste little on padding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """Rows computed together.

    Args:
        rows: indices into the planned rows.
        prefix: how many tokens at their beginning are taken from the shared prefix.
    """

    rows: list[int]
    prefix: int


def plan_batches(
    lengths: Sequence[int],
    prefixes: Sequence[int],
    token_budget: int,
    batch_size: int | None = None,
    alone: Collection[int] = (),
) -> list[Batch]:
    """Group rows of equal prefix and like length, the longest of each first: a batch that is too big fails early.

    Args:
        lengths: tokens of each row, prefix included.
        prefixes: tokens of each row that the shared prefix holds.
        token_budget: the most tokens of one batch, padding and attended prefix included; a longer row goes alone.
        batch_size: a fixed number of rows instead of the budget.
        alone: rows that get a batch of their own.
    """
    batches = [Batch([row], prefixes[row]) for row in alone]
    together = [row for row in range(len(lengths)) if row not in alone]
    order = sorted(together, key=lambda row: (prefixes[row], lengths[row]), reverse=True)
    for row in order:
        current = batches[-1] if len(batches) > len(alone) else None
        if current is not None and current.prefix == prefixes[row]:
            limit = batch_size or max(1, token_budget // lengths[current.rows[0]])
            if len(current.rows) < limit:
                current.rows.append(row)
                continue
        batches.append(Batch([row], prefixes[row]))
    return batches
