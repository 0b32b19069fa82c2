"""An endpoint that is asked about many texts: several at a time, in order, and no more once one has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from oneword.errors import InputError, ModelError
from oneword.prompting.endpoint import BusyError, ChatEndpoint

Result = TypeVar("Result")


class AskedEndpoint:
    """What the predictors behind an endpoint share.

    Args:
        url: the base address, up to and with ``/v1``.
        model: the model's name there; None takes the only one that the endpoint lists.
        timeout: seconds until an answer is given up.
        retries: how often a text is tried again.
        workers: how many texts are asked at a time.
        temperature: sent if given; None leaves the endpoint its own.
        seed: sent if given.
        max_new_tokens: sent if given.

    Attributes:
        chat: the endpoint itself.
        piece: how many texts are worth asking about together.

    Raises:
        InputError: numbers that make no sense; an address that is none, no openai installed, or several models and none
            named.
        ModelError: the endpoint cannot be reached, or refuses.
    """

    def __init__(
        self,
        url: str,
        model: str | None,
        *,
        timeout: float,
        retries: int,
        workers: int,
        temperature: float | None,
        seed: int | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        if timeout <= 0 or retries < 0 or workers < 1:
            raise InputError(
                f"timeout must be more than 0, retries at least 0 and workers at least 1, not {timeout}, {retries} and "
                f"{workers}"
            )
        self.chat = ChatEndpoint(
            url,
            model,
            temperature=temperature,
            seed=seed,
            max_new_tokens=max_new_tokens,
            timeout=timeout,
            retries=retries,
            role="endpoint",
            model_option="model =",
        )
        self._retries, self._workers = retries, workers
        self.piece = 2 * workers  # answers are paid for: few of them may be lost when it gives up

    def answers(
        self, answer: Callable[[str, str | None], Result], texts: Sequence[str], text_pairs: Sequence[str] | None
    ) -> list[Result]:
        """One answer to each text, in order.

        Args:
            answer: asks the endpoint about a text and its second text.
            texts: the texts.
            text_pairs: the second texts, where there are some.

        Raises:
            ModelError: the endpoint does not answer after all retries, or refuses; what has not been asked yet is not
                asked any more.
        """
        pairs: Sequence[str | None] = text_pairs if text_pairs is not None else [None] * len(texts)
        failed = threading.Event()

        def careful(text: str, text_pair: str | None) -> Result | None:
            if failed.is_set():  # nobody sees it: texts are begun in order, so the one that failed stands before it
                return None
            try:
                return self._patient(answer, text, text_pair)
            except BaseException:
                failed.set()
                raise

        pool = ThreadPoolExecutor(self._workers)
        try:
            return list(pool.map(careful, texts, pairs))  # type: ignore[arg-type]  # no None, or it has raised
        finally:
            pool.shutdown(cancel_futures=True)

    def _patient(self, answer: Callable[[str, str | None], Result], text: str, text_pair: str | None) -> Result:
        try:
            return answer(text, text_pair)
        except BusyError as error:
            if not self._retries:
                raise
            raise ModelError(
                f"{error} (asked {self._retries + 1} times, with growing pauses; a greater timeout, more retries or "
                "fewer workers may help)"
            ) from None
