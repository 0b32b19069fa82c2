"""Scores of words behind rows of tokens: what a model would answer next, of words that are given.

Where every word is one token, its score is that token's logit, and only those rows of the output head are computed. As
soon as one word has several tokens, every word's score is the sum of its tokens' log-probabilities, which is comparable
for words of different lengths; it differs from the logits by a constant a row where all are single.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from oneword.engine.answers import memory_errors
from oneword.engine.batches import Batch, plan_equal_batches
from oneword.engine.encoder import RowEncoder, SharingRows
from oneword.engine.forward import Forward, LayerReader, TokenReader
from oneword.engine.options import EngineOptions
from oneword.engine.prefix import PrefixCache
from oneword.engine.tokens import TokenRows
from oneword.models.backbone import Backbone
from oneword.models.head import Head

Words = Sequence[Sequence[int]]


def _untold(rows: int) -> None:
    """Where nobody wants to know."""


class WordScorer:
    """Scores some words behind each row.

    Args:
        backbone: the loaded model, a decoder with all its blocks.
        head: its output head.
        options: which of the engine's ideas are in use.
        words: the token ids of each word, as they follow a row.
        beginning: token ids that rows may begin with, which are computed once.
        token_budget: the most tokens of one batch.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        options: EngineOptions,
        words: Words,
        beginning: Sequence[int],
        token_budget: int,
    ) -> None:
        self._head = head
        self._words = [tuple(word) for word in words]
        self._single = all(len(word) == 1 for word in self._words)
        self._tokens = sorted({token for word in self._words for token in word})
        self._places = {token: place for place, token in enumerate(self._tokens)}
        self._stems = _stems(self._words)
        self._token_budget = token_budget
        self._forward = Forward(backbone, options)
        self._beginning, self._tokens_read = beginning, TokenReader(backbone)
        limits = backbone.rope_limit, backbone.sliding_window
        self._last = RowEncoder(beginning, self._forward, LayerReader(backbone, [backbone.depth]), *limits)
        self._every = RowEncoder(beginning, self._forward, self._tokens_read, *limits)

    @property
    def longest(self) -> int:
        """How many tokens the longest word has."""
        return max(map(len, self._words))

    def scores(self, rows: Sequence[list[int]], on_rows: Callable[[int], None] = _untold) -> torch.Tensor:
        """Each word's score behind each row.

        Args:
            rows: token ids.
            on_rows: told how many more rows are done.

        Returns:
            float32 (rows, words), on the CPU.

        Raises:
            InputError: not enough memory.
        """
        shared = self._last.sharing(_read_at_the_end(rows))
        with memory_errors():
            if self._single:
                states = self._last.encode(shared, self._token_budget, on_rows=on_rows)[:, 0]
                return self._logits(states)
            found = torch.empty(len(rows), len(self._words))
            lengths = [len(row) for row in rows]
            for batch in plan_equal_batches(lengths, shared.prefixes, self._token_budget):
                found[batch.rows] = self._scores_of_batch(shared, batch)
                on_rows(len(batch.rows))
            return found

    def scores_and_perplexity(
        self, rows: Sequence[list[int]], on_rows: Callable[[int], None] = _untold
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, and the perplexity of each row: exp of the mean loss of its tokens but the first.

        Where every word is one token both come from one pass, in which every token's state is read.

        Returns:
            float32 (rows, words) and (rows,), on the CPU.

        Raises:
            InputError: not enough memory.
        """
        if not self._single:
            return self.scores(rows, on_rows), self.perplexity(rows)
        return self._read_every(rows, on_rows)

    def perplexity(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """The perplexity alone, float32 (rows,), on the CPU."""
        return self._read_every(rows)[1]

    def scores_behind(self, closing: Sequence[int], cache: PrefixCache) -> torch.Tensor:
        """Each word's score behind each of a cache's rows and some more tokens, the same for all.

        Args:
            closing: at least one token.
            cache: of each row its own prefix.

        Returns:
            float32 (rows, words), on the CPU.
        """
        rows = len(cache.layers[0].keys)
        return self._behind([list(closing)] * rows, cache)

    def _read_every(
        self, rows: Sequence[list[int]], on_rows: Callable[[int], None] = _untold
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores, of words of one token, and perplexities."""
        shared = self._every.sharing(_read_at_the_end(rows))
        scores, perplexities = torch.empty(len(rows), len(self._words)), torch.empty(len(rows))
        with memory_errors():
            for batch in shared.batches(self._token_budget, None):
                ids, _ = shared.after_prefix(batch)
                prefix, spans = self._every.prefix(batch.prefix), [(0, len(row)) for row in ids]
                states = self._forward.read(ids, spans, self._tokens_read, prefix, packed=batch.packed)[:, 0]
                each = torch.split(states, list(map(len, ids)))
                losses, before = self._losses(ids, each, batch.prefix), self._losses_before(batch.prefix)
                for row, own in zip(batch.rows, losses):
                    perplexities[row] = torch.cat([before, own]).mean().exp()
                if self._single:
                    scores[batch.rows] = self._logits(torch.stack([own[-1] for own in each]))
                on_rows(len(batch.rows))
        return scores, perplexities

    def _losses(self, ids: Sequence[list[int]], each: Sequence[torch.Tensor], prefix: int) -> tuple[torch.Tensor, ...]:
        """The losses of each row's own tokens, float64; the first is said behind the prefix, where there is one."""
        behind = self._states_of_beginning[prefix - 1 : prefix] if prefix else each[0][:0]
        told = ids if prefix else [row[1:] for row in ids]
        following = torch.tensor([token for row in told for token in row])
        losses = self._head.losses(torch.cat([part for own in each for part in (behind, own[:-1])]), following)
        return torch.split(losses.double(), list(map(len, told)))

    def _losses_before(self, prefix: int) -> torch.Tensor:
        """The losses of the tokens of a prefix but the first, float64."""
        return self._losses_of_beginning[: prefix - 1] if prefix > 1 else torch.empty(0, dtype=torch.double)

    @cached_property
    def _states_of_beginning(self) -> torch.Tensor:
        """The last states of the tokens that rows may begin with, (tokens, d)."""
        beginning = list(self._beginning)
        return self._forward.read([beginning], [(0, len(beginning))], self._tokens_read)[:, 0]

    @cached_property
    def _losses_of_beginning(self) -> torch.Tensor:
        following = torch.tensor(list(self._beginning[1:]))
        return self._head.losses(self._states_of_beginning[:-1], following).double()

    def _scores_of_batch(self, shared: SharingRows, batch: Batch) -> torch.Tensor:
        ids, spans = shared.after_prefix(batch)
        if len(self._stems) == 1:  # all words follow one path: one row each
            return self._behind(ids, self._last.prefix(batch.prefix))
        _, cache = self._forward.read_and_keep(ids, spans, self._tokens_read, self._last.prefix(batch.prefix))
        return self._behind([row[-1:] for row in ids], cache)

    def _behind(self, rows: Sequence[list[int]], cache: PrefixCache | None) -> torch.Tensor:
        """The words' scores behind rows of one length: each path of tokens is run behind every row."""
        paths = [path for path in self._stems for _ in rows]
        asked = [[*row, *path] for path, row in zip(paths, [*rows] * len(self._stems))]
        last = len(rows[0]) - 1
        spans = [(last, len(row)) for row in asked]
        states = self._forward.read(asked, spans, self._tokens_read, cache)[:, 0]
        if self._single:
            return self._logits(states)
        found = torch.full((len(rows), len(self._words)), -torch.inf)
        groups = torch.split(states, [len(rows) * (len(path) + 1) for path in self._stems])
        for (path, words), group in zip(self._stems.items(), groups):
            said = self._head.log_probabilities(group, self._tokens).view(len(rows), len(path) + 1, -1)
            for word in words:
                places = [self._places[token] for token in self._words[word]]
                found[:, word] = said[:, range(len(places)), places].double().sum(dim=-1).float()
        return found

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        logits = self._head.logits(states, True, self._tokens)
        return logits[:, [self._places[word[0]] for word in self._words]]


def _read_at_the_end(rows: Sequence[list[int]]) -> TokenRows:
    return TokenRows(list(rows), [(len(row) - 1, len(row)) for row in rows], [])


def _stems(words: Words) -> dict[tuple[int, ...], list[int]]:
    """The paths of tokens that must run, each with the words whose tokens are read along it.

    A word of k tokens is read behind its first k - 1; where those begin another word's path, they are read there.
    """
    paths = sorted({tuple(word[:-1]) for word in words}, key=len, reverse=True)
    kept: dict[tuple[int, ...], list[int]] = {}
    for path in paths:
        if not any(longer[: len(path)] == path for longer in kept):
            kept[path] = []
    for place, word in enumerate(words):
        stem = tuple(word[:-1])
        next(found for path, found in kept.items() if path[: len(stem)] == stem).append(place)
    return kept
