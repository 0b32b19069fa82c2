"""One prompt's answers: texts in, what is read of the prompt's tokens out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from oneword.engine.batches import Batch, plan_batches
from oneword.engine.cost import PromptWork
from oneword.engine.forward import Forward, Reader
from oneword.engine.prefix import PrefixCache
from oneword.engine.steering import Auxiliary
from oneword.engine.tokens import PromptTokenizer, Span, TokenRows, common_prefix


@dataclass(frozen=True)
class SharingRows(TokenRows):
    """The rows of some texts in one prompt, and what they share.

    Args:
        prefixes: tokens of each row that the shared prefix holds.
        alone: rows that share nothing, a batch neither.
        packed: rows that are packed.
    """

    prefixes: list[int]
    alone: set[int]
    packed: set[int]

    def batches(self, token_budget: int, batch_size: int | None) -> list[Batch]:
        """The rows in batches, see :func:`~oneword.engine.batches.plan_batches`."""
        lengths = [len(row) for row in self.ids]
        return plan_batches(lengths, self.prefixes, token_budget, batch_size, self.alone, self.packed)

    def after_prefix(self, batch: Batch) -> tuple[list[list[int]], list[Span]]:
        """Tokens and spans of a batch's rows, without what the shared prefix holds."""
        ids = [self.ids[row][batch.prefix :] for row in batch.rows]
        return ids, [(self.spans[row][0] - batch.prefix, self.spans[row][1] - batch.prefix) for row in batch.rows]


class RowEncoder:
    """Reads rows of tokens of which many begin alike.

    Every row shares with that beginning as many tokens as they have in common and as are not read; those are computed
    once and attended to from then on.

    Args:
        beginning: token ids that rows may begin with.
        forward: the model's forward pass; its options say whether prefixes are shared and rows packed.
        reader: what is read.
        rope_limit: rows of more tokens are computed in full and alone, see :class:`~oneword.models.backbone.Backbone`.
        sliding_window: rows of more tokens are not packed, likewise.
    """

    def __init__(
        self,
        beginning: Sequence[int],
        forward: Forward,
        reader: Reader,
        rope_limit: int | None = None,
        sliding_window: int | None = None,
    ) -> None:
        self._beginning = beginning
        self._forward = forward
        self._reader = reader
        self._rope_limit = rope_limit
        self._sliding_window = sliding_window
        self._cache: PrefixCache | None = None

    def encode(
        self,
        rows: SharingRows,
        token_budget: int,
        batch_size: int | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        auxiliary: Auxiliary | None = None,
    ) -> torch.Tensor:
        """What is read of each row.

        Args:
            rows: what :meth:`sharing` made of them, of which there must be one.
            token_budget: the most tokens of one batch.
            batch_size: a fixed number of texts a batch instead.
            on_rows: told after each batch how many texts it held.
            auxiliary: what steers the passes, of these texts; or None.

        Returns:
            float32 tensor (texts, layers, d) on the CPU.
        """
        states: torch.Tensor | None = None
        for batch in rows.batches(token_budget, batch_size):
            steering = partial(auxiliary.steering, batch.rows) if auxiliary is not None else None
            ids, spans = rows.after_prefix(batch)
            prefix = self.prefix(batch.prefix)
            answer = self._forward.read(ids, spans, self._reader, prefix, steering, batch.packed)
            if states is None:
                states = answer.new_empty(len(rows.ids), *answer.shape[1:])
            states[batch.rows] = answer
            on_rows(len(batch.rows))
        assert states is not None, "no texts"
        return states.cpu()  # brought from a GPU together, so that it never waits between two batches

    def sharing(self, rows: TokenRows) -> SharingRows:
        """The rows, and how many tokens of each the shared prefix can stand for."""
        lengths = list(map(len, rows.ids))
        alone = {row for row, length in enumerate(lengths) if self._rope_limit and length > self._rope_limit}
        prefixes = [
            0 if row in alone else self._shared(ids, read_from)
            for row, (ids, (read_from, _)) in enumerate(zip(rows.ids, rows.spans))
        ]
        packed = self._packed(lengths, prefixes) - alone
        return SharingRows(rows.ids, rows.spans, rows.cut, prefixes, alone, packed)

    def work(self, rows: SharingRows, token_budget: int, batch_size: int | None = None) -> PromptWork:
        """What encoding these rows takes."""
        shared = max(rows.prefixes, default=0)
        return PromptWork(
            rows=[(len(ids) - prefix, prefix) for ids, prefix in zip(rows.ids, rows.prefixes)],
            prefix=len(self._beginning) if shared and self._cache is None else 0,
            batches=len(rows.batches(token_budget, batch_size)),
            blocks=self._reader.last_block,
            inside=self._reader.inside,
            narrowed=self._forward.narrows(self._reader) and len(rows.packed) == len(rows.ids),
        )

    def prefix(self, length: int) -> PrefixCache | None:
        """The first ``length`` tokens of the shared prefix, which is computed when it is first asked for."""
        if length == 0:
            return None
        if self._cache is None:
            self._cache = self._forward.prefix_cache(self._beginning, self._reader)
        return self._cache.shortened(length)

    def _packed(self, lengths: Sequence[int], prefixes: Sequence[int]) -> set[int]:
        """The rows that can be packed, and are better packed than padded."""
        if not self._forward.options.packing:
            return set()
        longest = max(lengths)
        whole, own = self._sliding_window or longest, self._forward.longest_packed or longest
        return {
            row
            for row, (length, prefix) in enumerate(zip(lengths, prefixes))
            if length <= whole and length - prefix <= own
        }

    def _shared(self, row: Sequence[int], read_from: int) -> int:
        """How many tokens of a row the shared prefix can stand for; those that are read are always computed."""
        if not self._forward.options.shared_prefix:
            return 0
        return min(common_prefix(row, self._beginning), read_from)


class PromptEncoder(RowEncoder):
    """Asks one prompt of many texts.

    Args:
        tokenizer: the prompt's tokenizer.
        forward: as for :class:`RowEncoder`.
        reader: likewise.
        rope_limit: likewise.
        sliding_window: likewise.
    """

    def __init__(
        self,
        tokenizer: PromptTokenizer,
        forward: Forward,
        reader: Reader,
        rope_limit: int | None = None,
        sliding_window: int | None = None,
    ) -> None:
        super().__init__(tokenizer.prefix, forward, reader, rope_limit, sliding_window)
        self._tokenizer = tokenizer

    def rows(self, texts: Sequence[str]) -> SharingRows:
        """The tokens of each text in the prompt, and how many of them the shared prefix can stand for."""
        return self.sharing(self._tokenizer.encode(texts))
