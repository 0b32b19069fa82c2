"""Chain of thought: a model writes its reasoning behind each row, and words are scored behind that and a request.

What was written stays as the model's own tokens with their keys and values; nothing is tokenized or run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from transformers.cache_utils import Cache, DynamicCache

from oneword.engine.answers import memory_errors
from oneword.engine.batches import plan_equal_batches
from oneword.engine.encoder import RowEncoder
from oneword.engine.forward import Forward, TokenReader
from oneword.engine.options import EngineOptions
from oneword.engine.prefix import PrefixCache
from oneword.engine.tokens import TokenRows
from oneword.engine.word_scores import WordScorer
from oneword.models.backbone import Backbone
from oneword.models.head import Head

_PART = 4  # rows run together whose lengths differ by at most this part of what is written: that many steps are wasted


class Reasoner:
    """Lets a model reason before it answers, always taking the likeliest token.

    Args:
        backbone: the loaded model, a decoder with all its blocks.
        head: its output head.
        options: which of the engine's ideas are in use.
        scorer: scores the words.
        beginning: token ids that rows may begin with, which are computed once.
        closing: what stands between the reasoning and the answer, the same for all rows; at least one token.
        ends: tokens that end the reasoning; they are not kept.
        max_new_tokens: where it is cut at the latest.
        token_budget: the most tokens of one batch, reasoning included.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        options: EngineOptions,
        scorer: WordScorer,
        *,
        beginning: Sequence[int],
        closing: Sequence[int],
        ends: Collection[int],
        max_new_tokens: int,
        token_budget: int,
    ) -> None:
        self._head, self._scorer = head, scorer
        self._closing, self._ends = list(closing), frozenset(ends)
        self._max_new_tokens, self._token_budget = max_new_tokens, token_budget
        self._forward = Forward(backbone, options)
        self._rows = RowEncoder(beginning, self._forward, TokenReader(backbone))

    @property
    def room(self) -> int:
        """How many tokens may follow a row."""
        return self._max_new_tokens + len(self._closing) + self._scorer.longest

    def scores(
        self, rows: Sequence[list[int]], on_rows: Callable[[int], None] = lambda rows: None
    ) -> tuple[torch.Tensor, list[list[int]]]:
        """Each word's score behind each row, its reasoning and the closing tokens.

        Args:
            rows: token ids.
            on_rows: told how many more rows are done.

        Returns:
            float32 (rows, words), on the CPU; and of each row the tokens of its reasoning.

        Raises:
            InputError: not enough memory.
        """
        shared = self._rows.sharing(TokenRows(list(rows), [(len(row) - 1, len(row)) for row in rows], []))
        lengths = [len(row) + self.room for row in rows]
        scores: torch.Tensor | None = None
        written: list[list[int]] = [[] for _ in rows]
        with memory_errors():
            within = self._max_new_tokens // _PART
            for batch in plan_equal_batches(lengths, shared.prefixes, self._token_budget, within):
                ids, _ = shared.after_prefix(batch)
                prefix = self._rows.prefix(batch.prefix)
                room = max(map(len, ids)) + self._max_new_tokens + within
                cache = prefix.growing(len(ids), room) if prefix is not None else DynamicCache()
                reasoning = self._reason(ids, cache)
                ends = [len(rows[row]) + len(tokens) for row, tokens in zip(batch.rows, reasoning)]
                for end in set(ends):
                    members = [place for place, other in enumerate(ends) if other == end]
                    found = self._scorer.scores_behind(self._closing, _kept(cache, members, end))
                    scores = found.new_empty(len(rows), found.shape[1]) if scores is None else scores
                    scores[[batch.rows[member] for member in members]] = found
                for row, tokens in zip(batch.rows, reasoning):
                    written[row] = tokens
                on_rows(len(batch.rows))
        assert scores is not None, "no rows"
        return scores, written

    def _reason(self, ids: Sequence[list[int]], cache: Cache) -> list[list[int]]:
        """What is written behind each row; the cache then holds rows and reasoning.

        All rows run as far as the shortest; where a row goes on, its own next token is taken instead of the likeliest.
        So they are always of one length, and need no padding. Rows that have ended go on with the others, for nothing;
        what they write then is cut off again.
        """
        found: list[list[int]] = [[] for _ in ids]
        going = set(range(len(ids)))
        length = min(map(len, ids))
        new = [row[:length] for row in ids]
        while going:
            tokens = self._head.likeliest(self._forward.append(new, cache)[:, -1]).tolist()
            for place, row in enumerate(ids):
                if length < len(row):
                    tokens[place] = row[length]
                elif place in going and tokens[place] in self._ends:
                    going.remove(place)
                elif place in going:
                    found[place].append(tokens[place])
                    if len(found[place]) == self._max_new_tokens:
                        going.remove(place)
            new = [[token] for token in tokens]
            length += 1
        self._forward.append(new, cache)  # the last token of those that were cut
        return found


def _kept(cache: Cache, rows: Sequence[int], length: int) -> PrefixCache:
    """The first tokens of some rows of a cache."""
    kept = list(rows)
    return PrefixCache([(layer.keys[kept, :, :length], layer.values[kept, :, :length]) for layer in cache.layers])
