"""A model behind an OpenAI-compatible endpoint as a predictor."""

from __future__ import annotations

from collections.abc import Sequence

from oneword.tasks.predictors.asking_endpoint import AskedEndpoint
from oneword.tasks.predictors.class_answer import ClassReader
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.task_prompt import TaskPrompt


class EndpointPredictor:
    """A model that is asked over the network, once for each text.

    What fails for now (a time-out, 429, 5xx) is tried again, with pauses that double. The key is ``OPENAI_API_KEY`` of
    the environment; it is never printed.

    Args:
        url: the base address, up to and with ``/v1``.
        model: the model's name there; None takes the only one that the endpoint lists.
        prompt: a wording with ``{text}``; for pairs with ``{text}`` and ``{text_pair}``, or ``{premise}`` and
            ``{hypothesis}``. The text alone, unless said otherwise.
        classes: the names of which an answer must be one; None takes answers as free text.
        name: what files and messages call it; None takes the model's name, and the prompt's digest.
        timeout: seconds until an answer is given up.
        retries: how often a text is tried again.
        workers: how many texts are asked at a time.
        temperature: 0 asks for the likeliest answer; None leaves the endpoint its own.
        seed: sent if given.
        max_new_tokens: sent if given.

    Raises:
        MethodError: a prompt without its slots.
        InputError: an address that is none, no openai installed, several models and none named, or classes that cannot
            be told apart.
        ModelError: the endpoint cannot be reached, or refuses.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        prompt: str = "{text}",
        classes: Sequence[str] | None = None,
        *,
        name: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        workers: int = 4,
        temperature: float | None = 0.0,
        seed: int | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        self._prompt = TaskPrompt(prompt)
        self._reader = ClassReader(classes) if classes is not None else None
        self._endpoint = AskedEndpoint(
            url,
            model,
            timeout=timeout,
            retries=retries,
            workers=workers,
            temperature=temperature,
            seed=seed,
            max_new_tokens=max_new_tokens,
        )
        self.piece = self._endpoint.piece
        self.takes_pairs = self._prompt.takes_pairs
        self.classes = tuple(map(str, classes)) if classes is not None else None
        self.fingerprint = make_fingerprint(
            "endpoint",
            self._endpoint.chat.address,
            self._endpoint.chat.model,
            prompt,
            self.classes,
            temperature,
            seed,
            max_new_tokens,
        )
        self.name = name or f"{self._endpoint.chat.model}+{self.fingerprint}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[str]:
        """The model's answers, white space stripped; with classes, the class that each means.

        Raises:
            InputError: pairs for a prompt with one slot, or single texts for one with two.
            ModelError: the endpoint does not answer after all retries or refuses, or an answer is none of the classes;
                what has not been asked yet is not asked any more.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        return self._endpoint.answers(self._answer, texts, text_pairs)

    def _answer(self, text: str, text_pair: str | None) -> str:
        answer = self._endpoint.chat.ask(self._prompt.fill(text, text_pair)).text
        return self._reader.read(answer, text, self.name) if self._reader else answer.strip()
