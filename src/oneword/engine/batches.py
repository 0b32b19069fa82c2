"""Rows of tokens grouped into batches that waste little on padding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """Rows computed together.

    Args:
        rows: indices into the planned rows.
        prefix: how many tokens at their beginning are taken from the shared prefix.
        packed: whether they are laid end to end; else they are padded to the longest.
    """

    rows: list[int]
    prefix: int
    packed: bool = False


def plan_batches(
    lengths: Sequence[int],
    prefixes: Sequence[int],
    token_budget: int,
    batch_size: int | None = None,
    alone: Collection[int] = (),
    packed: Collection[int] = (),
) -> list[Batch]:
    """Group rows of equal prefix and like length, the longest of each first: a batch that is too big fails early.

    Args:
        lengths: tokens of each row, prefix included.
        prefixes: tokens of each row that the shared prefix holds.
        token_budget: the most tokens of one batch; a longer row goes alone. Of padded rows padding and attended prefix
            count, of packed ones neither.
        batch_size: a fixed number of rows instead of the budget.
        alone: rows that get a batch of their own.
        packed: rows that can be packed.
    """
    batches = [Batch([row], prefixes[row]) for row in alone]
    together = [row for row in range(len(lengths)) if row not in alone]
    order = sorted(together, key=lambda row: (row in packed, prefixes[row], lengths[row]), reverse=True)
    current, left = Batch([], -1), 0
    for row in order:
        is_packed, prefix = row in packed, prefixes[row]
        # A padded row takes as much room as the first of its batch, which is the longest
        room = lengths[row] - prefix if is_packed else lengths[(current.rows or [row])[0]]
        full = len(current.rows) >= batch_size if batch_size else room > left
        if full or (current.prefix, current.packed) != (prefix, is_packed):
            current, left = Batch([], prefix, is_packed), token_budget
            room = lengths[row] - prefix if is_packed else lengths[row]
            batches.append(current)
        current.rows.append(row)
        left -= room
    return batches


def plan_equal_batches(
    lengths: Sequence[int], prefixes: Sequence[int], token_budget: int, within: int = 0
) -> Iterator[Batch]:
    """Group rows of equal prefix and of equal length, the longest first: a batch that is too big fails early.

    Tokens can then be added to all of a batch's rows alike, and those that are rotated by their own length can be
    together, too.

    Args:
        lengths: tokens of each row, prefix included.
        prefixes: tokens of each row that the shared prefix holds.
        token_budget: the most tokens of one batch, prefixes included; a longer row goes alone.
        within: how many tokens the longest row of a batch may have more than its shortest.
    """
    batch, longest = Batch([], -1), 0
    for row in sorted(range(len(lengths)), key=lambda row: (prefixes[row], lengths[row]), reverse=True):
        full = (len(batch.rows) + 1) * longest > token_budget
        if full or prefixes[row] != batch.prefix or longest - lengths[row] > within:
            if batch.rows:
                yield batch
            batch, longest = Batch([], prefixes[row]), lengths[row]
        batch.rows.append(row)
    if batch.rows:
        yield batch
