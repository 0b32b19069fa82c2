"""An LLM with a prompt and label words as a predictor: nothing is generated, the next token's logits are read.

The score of a label is the greatest next-token logit among its words, and a softmax over the labels gives their
probabilities (FUTE). The states come from the shared-prefix engine, the logits from the model's own output head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.embedder import Embedder
from oneword.engine.tiers import VERIFIED
from oneword.errors import InputError, ModelError
from oneword.method import Method
from oneword.models.backbone import is_causal
from oneword.models.head import load_head
from oneword.models.quiet import quiet_transformers
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.predictors.task_prompt import TaskPrompt
from oneword.tasks.predictors.transformer_model import Weights

_ROWS = 64  # whose logits lie in memory together
_OPENING = "([{\u201c\u2018\u00ab"


class LabelWordPredictor:
    """A decoder LLM that is asked with a prompt, and whose next token is read as a label.

    A word stands for its first token behind the prompt, as the tokenizer writes it there: after a space, or directly
    where the prompt ends in a quotation mark or a bracket that it opens.

    Args:
        model: as for :class:`~oneword.Embedder`; None is the default model.
        prompt: a wording with ``{text}``; for pairs with ``{text}`` and ``{text_pair}``, or ``{premise}`` and
            ``{hypothesis}``. It is sent as it is, without a chat template; white space at its ends is stripped.
        label_words: of each label the words that it is read from, as in ``{"positive": ["yes", "Yes"]}``.
        name: what files and messages call it; None takes the model's name and the prompt's digest.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise.
        quantize: likewise.
        revision: likewise.
        trust_remote_code: likewise.
        allow_pickle: likewise.

    Raises:
        MethodError: a prompt without its slots, or one that fills the model's window.
        InputError: fewer than two labels, a label without words, or two labels whose words begin with the same token.
        ModelError: no such model, or one that is no decoder with an output head.
    """

    piece = 512  # texts that are worth asking about together

    def __init__(
        self,
        model: str | Path | None = None,
        prompt: str = "",
        label_words: Mapping[str, Sequence[str]] | None = None,
        *,
        name: str | None = None,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        quantize: str = "none",
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        asked, words = TaskPrompt(prompt), _checked(label_words or {})  # told before any model is fetched
        weights = Weights(model, device, dtype, quantize, revision, trust_remote_code, allow_pickle)
        source, config, chosen_device, chosen_dtype = weights.found()
        if not is_causal(config):
            raise ModelError(
                f"{source.name} ({config.model_type}) looks both ways, so no next token of it can be read; use a "
                "decoder LLM"
            )
        self._embedder = Embedder(
            model,
            method=_method(asked),
            device=device,
            dtype=dtype,
            quantize=quantize,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
        self._head = load_head(
            source,
            one_block=config.model_type in VERIFIED,
            dtype=chosen_dtype,
            device=chosen_device,
            quantize=quantize,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
        self._tokenizer = _tokenizer(source.folder, trust_remote_code)
        self._ask(asked, words, name)

    def with_prompt(
        self, prompt: str, label_words: Mapping[str, Sequence[str]], name: str | None = None
    ) -> LabelWordPredictor:
        """A predictor of another prompt and other label words on the same weights, which are not loaded again.

        Raises:
            OnewordError: as for the class.
        """
        asked, words = TaskPrompt(prompt), _checked(label_words)
        other = copy(self)
        other._embedder = self._embedder.with_method(_method(asked))
        other._ask(asked, words, name)
        return other

    def _ask(self, prompt: TaskPrompt, label_words: dict[str, tuple[str, ...]], name: str | None) -> None:
        self._prompt = prompt
        self._tokens = _label_tokens(self._tokenizer, prompt, label_words, self._embedder.model)
        self.takes_pairs = prompt.takes_pairs
        self.classes = tuple(label_words)
        # The embedder's names the prompt as the engine asks it; that of a pair has more in its slot
        self.fingerprint = make_fingerprint(
            "label_words", self._embedder.fingerprint, prompt.wording, list(label_words.items())
        )
        self.name = name or f"{self._embedder.model}+{self.fingerprint}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Probabilities of the labels (n, labels), in the order in which they were given.

        Texts that do not fit into the model's window are cut, nothing of the prompt is.

        Raises:
            InputError: pairs for a prompt with one slot, or single texts for one with two.
            ModelError: the model's states are not finite numbers.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        spans = list(texts) if text_pairs is None else [self._span(*pair) for pair in zip(texts, text_pairs)]
        states = self._embedder.compute(spans)[:, 0]
        scores = torch.cat([self._scores(some) for some in torch.split(states, _ROWS)])
        return scores.double().softmax(dim=-1).numpy()

    def _scores(self, states: torch.Tensor) -> torch.Tensor:
        """The labels' logits (n, labels) that follow from the last states (n, d)."""
        logits = self._head.logits(states, normed=True)
        return torch.stack([logits[:, tokens].amax(dim=-1) for tokens in self._tokens], dim=-1)

    def _span(self, text: str, text_pair: str) -> str:
        """What fills the engine's slot; it would cut a pair that is too long at the second text's end alone."""
        window = self._embedder.window
        if window is not None and len(self._prompt.fill(text, text_pair).encode()) >= window:
            return self._prompt.span(*self._prompt.shortened(text, text_pair, self._fits))
        return self._prompt.span(text, text_pair)

    def _fits(self, filled: str) -> bool:
        assert self._embedder.window is not None
        return len(_ids(self._tokenizer, filled)) <= self._embedder.window


def _checked(label_words: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if len(label_words) < 2:
        raise InputError(
            f"label_words has {len(label_words) or 'no'} label{'s' * (len(label_words) != 1)}; a task needs two, as in "
            '{"positive": ["yes"], "negative": ["no"]}'
        )
    found = {label: (words,) if isinstance(words, str) else tuple(words) for label, words in label_words.items()}
    for label, words in found.items():
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise InputError(f"label_words: the words of '{label}' are {list(words)}; give it at least one, none empty")
    return found


def _method(prompt: TaskPrompt) -> Method:
    return Method("label_words", [prompt.prompt], layer=-1, cleaning="none")


def _tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    with quiet_transformers():
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, return_attention_mask=False, verbose=False)["input_ids"]
    return ids


def _label_tokens(
    tokenizer: Any, prompt: TaskPrompt, label_words: Mapping[str, Sequence[str]], model: str
) -> list[list[int]]:
    """Of each label the tokens that its words begin with."""
    taken: dict[int, tuple[str, str]] = {}
    found: list[list[int]] = []
    for label, words in label_words.items():
        tokens = {word: _first_token(tokenizer, prompt, word.strip(), model) for word in words}
        for word, token in tokens.items():
            other, its_word = taken.setdefault(token, (label, word))
            if other != label:
                raise InputError(
                    f"label_words: '{its_word}' of '{other}' and '{word}' of '{label}' begin with the same token of "
                    f"{model} ({tokenizer.decode([token])!r}), so nothing tells them apart; choose other words"
                )
        found.append(sorted(set(tokens.values())))
    return found


def _first_token(tokenizer: Any, prompt: TaskPrompt, word: str, model: str) -> int:
    """The token that a word begins with behind the prompt."""
    filled = prompt.fill("A text.", "Another text.")
    before = filled + _separator(prompt.wording)
    alone, followed = _ids(tokenizer, filled), _ids(tokenizer, before + word)
    same = 0
    while same < min(len(alone), len(followed)) and alone[same] == followed[same]:
        same += 1
    # Special tokens behind a text stand behind the word in the other; anything else there has merged with the word
    if any(token not in tokenizer.all_special_ids for token in alone[same:]) or same == len(followed):
        raise InputError(
            f"label_words: '{word}' merges with the end of the prompt {prompt.wording!r} into one token of {model}; "
            "end the prompt with a full stop or a colon"
        )
    token = followed[same]
    if token in tokenizer.all_special_ids:
        raise InputError(f"label_words: {model} has no token that '{word}' begins with; choose another word")
    return token


def _separator(wording: str) -> str:
    """What stands between the prompt and its answer."""
    end = wording.rstrip()
    opens = end.endswith(tuple(_OPENING)) or (end.endswith('"') and end.count('"') % 2 == 1)
    return "" if opens else " "
