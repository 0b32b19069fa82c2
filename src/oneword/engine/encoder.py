"""One prompt's answers: texts in, what is read of the prompt's tokens out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from oneword.engine.batches import Batch, plan_batches
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
    """

    prefixes: list[int]
    alone: set[int]

    def after_prefix(self, batch: Batch) -> tuple[list[list[int]], list[Span]]:
        """Tokens and spans of a batch's rows, without what the shared prefix holds."""
        ids = [self.ids[row][batch.prefix :] for row in batch.rows]
        return ids, [(self.spans[row][0] - batch.prefix, self.spans[row][1] - batch.prefix) for row in batch.rows]


class PromptEncoder:
    """Asks one prompt of many texts.

    Every row shares with the prompt's own beginning as many tokens as they have in common and as are not read; those
    are computed once and attended to from then on.

    Args:
        tokenizer: the prompt's tokenizer.
        forward: the model's forward pass.
        reader: what is read.
        share_prefix: False computes every row in full, for models whose cache cannot hold a prefix.
        rope_limit: rows of more tokens are computed in full and alone, see :class:`~oneword.models.backbone.Backbone`.
    """

    def __init__(
        self,
        tokenizer: PromptTokenizer,
        forward: Forward,
        reader: Reader,
        share_prefix: bool = True,
        rope_limit: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._forward = forward
        self._reader = reader
        self._share_prefix = share_prefix
        self._rope_limit = rope_limit
        self._cache: PrefixCache | None = None

    def encode(
        self,
        texts: Sequence[str],
        token_budget: int,
        batch_size: int | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        auxiliary: Auxiliary | None = None,
    ) -> tuple[torch.Tensor, list[int]]:
        """The prompt's answer to each text.

        Args:
            texts: any number of texts that are not empty.
            token_budget: the most tokens of one batch.
            batch_size: a fixed number of texts a batch instead.
            on_rows: told after each batch how many texts it held.
            auxiliary: what steers the passes, of these texts; or None.

        Returns:
            float32 tensor (texts, layers, d), and the indices of the texts cut to the window.
        """
        rows = self.rows(texts)
        states: torch.Tensor | None = None
        lengths = [len(row) for row in rows.ids]
        for batch in plan_batches(lengths, rows.prefixes, token_budget, batch_size, rows.alone):
            steering = partial(auxiliary.steering, batch.rows) if auxiliary is not None else None
            answer = self._forward.read(*rows.after_prefix(batch), self._reader, self.prefix(batch.prefix), steering)
            if states is None:
                states = torch.empty(len(rows.ids), *answer.shape[1:])
            states[batch.rows] = answer
            on_rows(len(batch.rows))
        assert states is not None, "no texts"
        return states, rows.cut

    def rows(self, texts: Sequence[str]) -> SharingRows:
        """The tokens of each text in the prompt, and how many of them the shared prefix can stand for."""
        rows = self._tokenizer.encode(texts)
        alone = {row for row, ids in enumerate(rows.ids) if self._rope_limit and len(ids) > self._rope_limit}
        prefixes = [
            0 if row in alone else self._shared(ids, read_from)
            for row, (ids, (read_from, _)) in enumerate(zip(rows.ids, rows.spans))
        ]
        return SharingRows(rows.ids, rows.spans, rows.cut, prefixes, alone)

    def prefix(self, length: int) -> PrefixCache | None:
        """The first ``length`` tokens of the shared prefix, which is computed when it is first asked for."""
        if length == 0:
            return None
        if self._cache is None:
            self._cache = self._forward.prefix_cache(self._tokenizer.prefix, self._reader)
        return self._cache.shortened(length)

    def _shared(self, row: Sequence[int], read_from: int) -> int:
        """How many tokens of a row the shared prefix can stand for; those that are read are always computed."""
        return min(common_prefix(row, self._tokenizer.prefix), read_from) if self._share_prefix else 0
