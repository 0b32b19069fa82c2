"""An LLM with a prompt and label words as a predictor: the next token's logits are read, after reasoning or not.

The score of a label is the best among its words, and a softmax over the labels gives their probabilities (FUTE). The
states come from the shared-prefix engine, the logits from the model's own output head, of which only the words' rows
are computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.engine.reasoning import Reasoner
from oneword.engine.word_scores import WordScorer
from oneword.errors import InputError, MethodError, ModelError
from oneword.loaded import find_model
from oneword.models.device import dtype_name
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors.conversation import Conversation
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.predictors.transformer_model import check_positive

Floats = NDArray[np.float64]


class LabelWordPredictor:
    """A decoder LLM that is asked with a prompt, and whose answer is read off the logits of label words.

    A word of one token is scored by its logit. Where a word has several, all are scored by the sum of their tokens'
    log-probabilities.

    Args:
        model: as for :class:`~oneword.Embedder`; None is the default model.
        prompt: the prompt with its label words; one that reasons first lets the model write, and scores the words
            behind what it wrote and the request.
        chat: put the prompt into the model's chat template; None does where it has one.
        max_reasoning_tokens: where a chain of thought is cut at the latest (512 in FUTE).
        name: what files and messages call it; None takes the model's name and the prompt's.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise.
        quantize: likewise.
        revision: likewise.
        trust_remote_code: likewise.
        allow_pickle: likewise.

    Attributes:
        prompt: the prompt.
        alike: pairs of words of different labels that begin with the same token, and so are scored whole.
        cut_texts: how many texts did not fit into the model's window so far, and were cut.

    Raises:
        MethodError: a prompt that fills the model's window.
        InputError: label words that the model cannot tell apart, or has no tokens for.
        ModelError: no such model, one that is no decoder with an output head, or ``chat`` of one that has no template.
    """

    piece = 512  # texts that are worth asking about together

    def __init__(
        self,
        model: str | Path | None,
        prompt: LabelPrompt,
        *,
        chat: bool | None = None,
        max_reasoning_tokens: int = 512,
        name: str | None = None,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        quantize: str = "none",
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        check_positive(max_reasoning_tokens=max_reasoning_tokens)
        found = find_model(
            model,
            dtype=dtype,
            device=device,
            quantize=quantize,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
        if not found.causal:
            raise ModelError(f"{found.name} looks both ways, so no next token of it can be read; use a decoder LLM")
        self._loaded = found.load([found.depth])
        self._chat, self._max_reasoning_tokens = chat, max_reasoning_tokens
        self.model_name = self._loaded.name
        self._ask(prompt, name)

    def with_prompt(self, prompt: LabelPrompt, name: str | None = None) -> LabelWordPredictor:
        """A predictor of another prompt on the same weights, which are not loaded again.

        Raises:
            OnewordError: as for the class.
        """
        other = copy(self)
        other._ask(prompt, name)
        return other

    def _ask(self, prompt: LabelPrompt, name: str | None) -> None:
        loaded = self._loaded
        backbone = loaded.backbone
        self.prompt = prompt
        self.takes_pairs, self.classes = prompt.takes_pairs, prompt.labels
        self.cut_texts = 0
        request = prompt.asked_for if prompt.request and not prompt.reason else None
        self._conversation = Conversation(loaded.name, backbone.tokenizer, self._chat, prompt.task_prompt, request)
        words = [(label, word) for label, words in prompt.label_words.items() for word in words]
        last = prompt.asked_for if prompt.reason else self._conversation.message("A text.", "Another text.")
        tokens = self._conversation.words([word for _, word in words], last)
        self.alike = _alike(words, tokens, loaded.name)
        self._labels = [
            [place for place, (label, _) in enumerate(words) if label == wanted] for wanted in prompt.labels
        ]
        allowed = loaded.allowed([backbone.depth])
        budget = loaded.token_budget(backbone.model.get_input_embeddings().weight.shape[-1], allowed)
        self._scorer = WordScorer(backbone, loaded.head, allowed, tokens, self._conversation.beginning, budget)
        self._reasoner: Reasoner | None = None
        if prompt.reason:
            self._reasoner = Reasoner(
                backbone,
                loaded.head,
                allowed,
                self._scorer,
                beginning=self._conversation.beginning,
                closing=self._conversation.closing(prompt.asked_for),
                ends=loaded.end_tokens,
                max_new_tokens=self._max_reasoning_tokens,
                token_budget=_REASONING_BATCH * budget,
            )
        self._limit = self._longest_row()
        self.fingerprint = make_fingerprint(
            "label_words",
            loaded.weights,
            dtype_name(loaded.dtype),
            loaded.quantize,
            self._conversation.chats and backbone.tokenizer.chat_template,
            prompt.wording.strip(),
            request or (prompt.reason and prompt.asked_for),
            list(prompt.label_words.items()),
            prompt.reason and self._max_reasoning_tokens,
        )
        self.name = name or f"{loaded.name}+{prompt.name or self.fingerprint}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Floats:
        """Probabilities of the labels (n, labels), in the order of the prompt's.

        Texts that do not fit into the model's window, the answer included, are cut, nothing of the prompt is.

        Raises:
            InputError: pairs for a prompt with one slot, or single texts for one with two.
            ModelError: the model's logits are not finite numbers.
        """
        rows = self._rows(texts, text_pairs)
        return self._probabilities(self._scores(rows)) if rows else np.empty((0, len(self.classes)))

    def predict_with_perplexity(
        self, texts: Sequence[str], text_pairs: Sequence[str] | None = None
    ) -> tuple[Floats, Floats]:
        """The same, and the perplexity (n,) of what the model was asked about each text, chat template included.

        One pass gives both, unless the prompt reasons first or one of its words has several tokens.

        Raises:
            OnewordError: as :meth:`predict`.
        """
        rows = self._rows(texts, text_pairs)
        if not rows:
            return np.empty((0, len(self.classes))), np.empty(0)
        if self._reasoner is None:
            scores, perplexity = self._scorer.scores_and_perplexity(rows)
        else:
            scores, perplexity = self._scores(rows), self._scorer.perplexity(rows)
        return self._probabilities(scores), perplexity.double().numpy()

    def reasoning(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[str]:
        """What the model writes before it answers about each text; nothing where the prompt does not ask it to."""
        rows = self._rows(texts, text_pairs)
        if self._reasoner is None or not rows:
            return [""] * len(rows)
        tokenizer = self._loaded.backbone.tokenizer
        return [str(tokenizer.decode(written)) for written in self._reasoner.scores(rows)[1]]

    def _rows(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> list[list[int]]:
        check_pairs(self.name, self.takes_pairs, text_pairs)
        rows, cut = self._conversation.fitting(texts, text_pairs, self._limit)
        self.cut_texts += len(cut)
        return rows

    def _scores(self, rows: list[list[int]]) -> torch.Tensor:
        """Each word's score behind each row, (rows, words)."""
        return self._scorer.scores(rows) if self._reasoner is None else self._reasoner.scores(rows)[0]

    def _probabilities(self, scores: torch.Tensor) -> Floats:
        if not torch.isfinite(scores).all():
            raise ModelError(f"{self.name} gives logits that are not finite numbers; try dtype float32")
        best = torch.stack([scores[:, places].amax(dim=-1) for places in self._labels], dim=-1)
        return np.asarray(best.double().softmax(dim=-1).numpy())

    def _longest_row(self) -> int | None:
        """The most tokens of a row, so that what follows it still fits."""
        backbone = self._loaded.backbone
        follows = self._reasoner.room if self._reasoner is not None else self._scorer.longest - 1
        # Rows that grow must not come to where their positions are rotated otherwise
        windows = [backbone.window, backbone.rope_limit if follows else None]
        window = min((each for each in windows if each is not None), default=None)
        if window is None:
            return None
        if window <= follows:
            raise MethodError(
                f"{self.model_name} reads {window:,} tokens at a time, and {follows:,} are to follow a prompt; give "
                "fewer max_reasoning_tokens (--max-reasoning-tokens)"
            )
        return window - follows


_REASONING_BATCH = 16  # times the tokens of other batches: each step runs one token a row


def _alike(
    words: Sequence[tuple[str, str]], tokens: Sequence[tuple[int, ...]], model: str
) -> tuple[tuple[str, str], ...]:
    """Pairs of words of different labels that begin with the same token.

    Raises:
        InputError: two that are the same tokens.
    """
    same: dict[tuple[int, ...], tuple[str, str]] = {}
    first: Mapping[int, list[tuple[str, str]]] = defaultdict(list)
    for (label, word), ids in zip(words, tokens):
        other, its_word = same.setdefault(ids, (label, word))
        if other != label:
            raise InputError(
                f"label_words: '{its_word}' of '{other}' and '{word}' of '{label}' are the same to {model}; choose "
                "other words"
            )
        first[ids[0]].append((label, word))
    return tuple(
        (one, other)
        for group in first.values()
        for place, (label, one) in enumerate(group)
        for its_label, other in group[place + 1 :]
        if its_label != label
    )
