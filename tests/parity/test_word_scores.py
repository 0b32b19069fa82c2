"""Words behind rows of tokens: the engine's scores equal those of the whole model, run on each whole row alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from oneword import Embedder, Method
from oneword.engine.reasoning import Reasoner
from oneword.engine.word_scores import WordScorer
from tiny_models import VERIFIED_MODELS

# Rows that begin alike, but for two; of several lengths, some twice
BEGINNING = [11, 12, 13, 14, 15, 16, 17, 18]
ROWS = [
    [*BEGINNING, 21, 22, 23],
    [*BEGINNING, 31],
    [*BEGINNING, 41, 42, 43],
    [*BEGINNING[:5], 51, 52, 53, 54, 55, 56, 57, 58, 59, 60],
    [61, 62, 63],
]
SINGLE = [[101], [102], [103]]
SEVERAL = [[101], [102, 103], [102, 104, 105], [106, 107]]
CHECKED = ["bloom", "falcon", "starcoder2", "gemma", "gptj"]  # run padded, as the gate allows
CLOSING = [71, 72, 73]


class Plain:
    """A whole model, asked one row at a time without a cache."""

    def __init__(self, folder):
        attention = {} if "falcon" in str(folder) else {"attn_implementation": "eager"}
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **attention).eval()

    @torch.no_grad()
    def logits(self, row):
        return self.model(input_ids=torch.tensor([row])).logits[0].double()

    def logit_scores(self, row, words):
        last = self.logits(row)[-1]
        return [float(last[word[0]]) for word in words]

    def summed(self, row, words):
        found = []
        for word in words:
            total = 0.0
            for place, token in enumerate(word):
                last = self.logits([*row, *word[:place]])[-1]
                total += float(last[token] - torch.logsumexp(last, dim=0))
            found.append(total)
        return found

    def perplexity(self, row):
        logits = self.logits(row)
        losses = [float(torch.logsumexp(logits[i], 0) - logits[i][row[i + 1]]) for i in range(len(row) - 1)]
        return float(np.exp(np.mean(losses)))

    def reasoning(self, row, ends, most):
        written = []
        while len(written) < most:
            token = int(self.logits([*row, *written])[-1].argmax())
            if token in ends:
                break
            written.append(token)
        return written


@pytest.fixture(scope="module")
def plain_of(tiny_model):
    return cache(lambda name: Plain(tiny_model(name)))


@pytest.fixture(scope="module")
def loaded_of(tiny_model):
    method = Method("whole", ["{text}"], layer=-1, cleaning="none")
    return cache(lambda name: Embedder(tiny_model(name), method=method, dtype="float32", device="cpu").loaded)


def scorer(loaded, words, token_budget=64):
    backbone = loaded.backbone
    return WordScorer(backbone, loaded.head, loaded.allowed([backbone.depth]), words, BEGINNING, token_budget)


def same(found, expected):
    expected = np.array(expected)
    assert np.abs(np.asarray(found) - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", [*VERIFIED_MODELS, *CHECKED])
def test_scores_of_words(name, plain_of, loaded_of):
    plain, loaded = plain_of(name), loaded_of(name)
    same(scorer(loaded, SINGLE).scores(ROWS), [plain.logit_scores(row, SINGLE) for row in ROWS])
    for words in (SEVERAL, [[102, 103], [102, 104]], [[101, 102, 103], [101, 102]]):
        same(scorer(loaded, words).scores(ROWS), [plain.summed(row, words) for row in ROWS])
    scores, perplexity = scorer(loaded, SINGLE).scores_and_perplexity(ROWS)
    same(scores, [plain.logit_scores(row, SINGLE) for row in ROWS])
    expected = [plain.perplexity(row) for row in ROWS]
    assert perplexity.numpy() == pytest.approx(np.array(expected), rel=2e-4)
    assert scorer(loaded, SEVERAL).scores_and_perplexity(ROWS)[1].numpy() == pytest.approx(np.array(expected), rel=2e-4)


@pytest.mark.parametrize("name", [*VERIFIED_MODELS, *CHECKED])
def test_words_behind_a_chain_of_thought(name, plain_of, loaded_of):
    plain, loaded = plain_of(name), loaded_of(name)
    first = [plain.reasoning(row, (), 8) for row in ROWS]
    ends = {first[0][2], first[4][0]}  # one ends early, one before it has begun, others at the bound
    for words in (SINGLE, SEVERAL):
        backbone = loaded.backbone
        reasoner = Reasoner(
            backbone,
            loaded.head,
            loaded.allowed([backbone.depth]),
            scorer(loaded, words),
            beginning=BEGINNING,
            closing=CLOSING,
            ends=ends,
            max_new_tokens=8,  # so that rows of 9 and 11 tokens run together
            token_budget=128,
        )
        scores, written = reasoner.scores(ROWS)
        assert written == [plain.reasoning(row, ends, 8) for row in ROWS]
        if name in ("llama", "gpt2"):  # of others every row may write the same
            assert len({len(one) for one in written}) > 1
        rows = [[*row, *one, *CLOSING] for row, one in zip(ROWS, written)]
        naive = plain.logit_scores if words is SINGLE else plain.summed
        same(scores, [naive(row, words) for row in rows])
