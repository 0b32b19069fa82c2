"""A model behind an OpenAI-compatible endpoint whose next token is read as a label; nothing else of it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError, ModelError
from oneword.prompting.endpoint import Message
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors.asking_endpoint import AskedEndpoint
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs

_LEAST = -9999.0  # what endpoints write for impossible; minus infinity is no number to reckon with


class EndpointWordPredictor:
    """An LLM that is asked over the network for one token, whose log-probabilities are read as labels.

    The filled prompt is the user's message, and on a line behind it the sentence that asks for one of the words. Of the
    next token the 20 likeliest are listed. A label's score is the greatest log-probability of a listed token that
    stands for one of its words: it is the word, or the word begins with it and none of another label does. A label of
    which nothing is listed scores as the least likely listed token. A softmax over the labels gives probabilities.

    A prompt that reasons is asked without that sentence; what the model writes is handed back to it, and the sentence
    is the user's next message. Temperature is 0 throughout.

    Endpoints tell nothing of how likely a prompt is, so there is no perplexity.

    Args:
        url: the base address, up to and with ``/v1``.
        model: the model's name there; None takes the only one that the endpoint lists.
        prompt: the prompt with its label words.
        name: what files and messages call it; None takes the model's name, and the prompt's name or digest.
        timeout: seconds until an answer is given up.
        retries: how often a text is tried again, with pauses that double.
        workers: how many texts are asked at a time.
        max_reasoning_tokens: how long a model may reason.

    Attributes:
        unread: how many texts were answered with a token that stands for no label; all labels are then equally
            probable.

    Raises:
        InputError: an address that is none, no openai installed, several models and none named, or numbers that make no
            sense.
        ModelError: the endpoint cannot be reached, or refuses.
    """

    def __init__(
        self,
        url: str,
        model: str | None,
        prompt: LabelPrompt,
        *,
        name: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        workers: int = 4,
        max_reasoning_tokens: int = 512,
    ) -> None:
        if max_reasoning_tokens < 1:
            raise InputError(f"max_reasoning_tokens must be at least 1, not {max_reasoning_tokens}")
        self._endpoint = AskedEndpoint(url, model, timeout=timeout, retries=retries, workers=workers, temperature=0.0)
        self._max_reasoning_tokens = max_reasoning_tokens
        self.model_name = self._endpoint.chat.model
        self.piece = self._endpoint.piece
        self._take(prompt, name)

    def with_prompt(self, prompt: LabelPrompt, name: str | None = None) -> EndpointWordPredictor:
        """The same model, asked with another prompt."""
        other = copy(self)
        other._take(prompt, name)
        return other

    def _take(self, prompt: LabelPrompt, name: str | None) -> None:
        self.prompt = prompt
        self.takes_pairs, self.classes = prompt.takes_pairs, prompt.labels
        self.unread = 0
        self.fingerprint = make_fingerprint(
            "endpoint_words",
            self._endpoint.chat.address,
            self.model_name,
            prompt.digest,
            prompt.reason and self._max_reasoning_tokens,
        )
        self.name = name or f"{self.model_name}+{prompt.name or self.fingerprint}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Probabilities of the labels (n, labels), in the order of the prompt's.

        Raises:
            InputError: pairs for a prompt with one slot, or single texts for one with two.
            ModelError: the endpoint does not answer after all retries, refuses, or gives no log-probabilities; what has
                not been asked yet is not asked any more.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        listed = self._endpoint.answers(self._next_token, texts, text_pairs)
        scores = [label_scores(tokens, self.prompt.label_words) for tokens in listed]
        self.unread += sum(one is None for one in scores)
        equal = np.zeros(len(self.classes))
        table = np.array([equal if one is None else one for one in scores]).reshape(len(scores), len(self.classes))
        chances = np.exp(table - table.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float64)

    def _next_token(self, text: str, text_pair: str | None) -> list[tuple[str, float]]:
        prompt, chat = self.prompt, self._endpoint.chat
        filled = prompt.task_prompt.fill(text, text_pair)
        if prompt.reason:
            turns: list[Message] = [{"role": "user", "content": filled}]
            reasoning = chat.reply(turns, self._max_reasoning_tokens).text
            turns += [{"role": "assistant", "content": reasoning}, {"role": "user", "content": prompt.asked_for}]
        else:
            request = f"\n{prompt.asked_for}" if prompt.request else ""
            turns = [{"role": "user", "content": f"{filled}{request}"}]
        listed = chat.next_token(turns)
        if listed is None:
            raise ModelError(
                f"{chat.name} gives no log-probabilities of its next token; name a model or a server that does (vLLM, "
                'llama.cpp and OpenAI have them), or have it write the class: kind = "endpoint" with classes'
            )
        return listed


def label_scores(
    tokens: Sequence[tuple[str, float]], label_words: Mapping[str, Sequence[str]]
) -> NDArray[np.float64] | None:
    """The labels' scores (labels,) from the listed next tokens.

    Args:
        tokens: each with its log-probability.
        label_words: of each label the words that it is read from.

    Returns:
        float64, or None where no token stands for any label.
    """
    found: dict[str, float] = {}
    for token, score in tokens:
        label = _label_of(token.strip(), label_words)
        if label is not None:
            found[label] = max(score, found.get(label, _LEAST))
    if not found:
        return None
    least = max(min(score for _, score in tokens), _LEAST)
    return np.array([found.get(label, least) for label in label_words], np.float64)


def _label_of(token: str, label_words: Mapping[str, Sequence[str]]) -> str | None:
    """The label that a token stands for: that of the word it is, else the only one with words that begin with it."""
    for label, words in label_words.items():
        if token in words:
            return label
    begun = [label for label, words in label_words.items() if token and any(word.startswith(token) for word in words)]
    return begun[0] if len(begun) == 1 else None
