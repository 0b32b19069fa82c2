"""OpenAI-compatible endpoints as writers and predictors: https://api.openai.com/v1, vLLM, llama.cpp, Ollama, others."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from oneword.errors import InputError, ModelError
from oneword.prompting.writer import Answer

TIMEOUT = 600.0  # seconds; a reasoning model thinks for minutes
RETRIES = 2  # of a connection that broke, or of a server that is busy
LISTED_TOKENS = 20  # the most that OpenAI lists with their log-probabilities

_KEY = "OPENAI_API_KEY"

Result = TypeVar("Result")
Message = dict[str, str]  # of a conversation: its role and its content


class BusyError(ModelError):
    """An endpoint that did not answer however often it was asked: too slow, over its limits, or broken for now."""


class ChatEndpoint:
    """A model behind an endpoint that speaks OpenAI's chat completions.

    A time-out, a connection that broke, 429 and 5xx are tried again, with pauses that double (or are as long as the
    endpoint says). The key is ``OPENAI_API_KEY`` of the environment, or ``none`` where there is no such variable; it is
    never printed.

    Args:
        url: the base address, up to and with ``/v1``.
        model: the model's name there; None takes the only one that the endpoint lists.
        temperature: sent if given; None leaves the endpoint its own.
        seed: sent if given.
        max_new_tokens: sent if given.
        timeout: seconds until an answer is given up.
        retries: how often it is tried again.
        role: what messages call what it is used as.
        model_option: what messages call the place where its user names the model.

    Raises:
        InputError: an address that is none, no openai installed, or several models and none named.
        ModelError: the endpoint cannot be reached, or refuses.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        temperature: float | None = None,
        seed: int | None = None,
        max_new_tokens: int | None = None,
        timeout: float,
        retries: int,
        role: str,
        model_option: str,
    ) -> None:
        self._timeout, self._role, self._model_option = timeout, role, model_option
        self._is_it_the_address = f"check the address (it usually ends in /v1) and {model_option.removesuffix(' =')}"
        self.address = _address(url, role)
        if importlib.util.find_spec("openai") is None:
            raise InputError(f"the endpoint {self.address} needs the openai client; pip install 'oneword[openai]'")
        import openai

        self._key = os.environ.get(_KEY) or "none"
        self._client = openai.OpenAI(base_url=url, api_key=self._key, timeout=timeout, max_retries=retries)
        self.model = model or self._only_model()
        self.name = f"{self.model} at {self.address}"
        options: dict[str, Any] = {"temperature": temperature, "seed": seed, "max_completion_tokens": max_new_tokens}
        self._options: dict[str, Any] = {key: value for key, value in options.items() if value is not None}

    def ask(self, request: str) -> Answer:
        """The model's answer.

        Raises:
            ModelError: the endpoint cannot be reached, refuses, or answers without a text.
        """
        return self.reply([{"role": "user", "content": request}])

    def reply(self, messages: Sequence[Message], max_new_tokens: int | None = None) -> Answer:
        """What the model says next in a conversation.

        Args:
            messages: each with its ``role`` and ``content``.
            max_new_tokens: sent if given, instead of the endpoint's own.

        Raises:
            ModelError: as :meth:`ask`.
        """
        limit = {} if max_new_tokens is None else {"max_completion_tokens": max_new_tokens}
        choice = self._choice(messages, limit)
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None)
        if not isinstance(text, str):
            reason = getattr(message, "refusal", None) or getattr(choice, "finish_reason", None)
            why = f" ({self._line(str(reason))})" if reason else ""
            raise ModelError(f"{self.name} answered without a text{why}; try again, or use another {self._role}")
        return Answer(text, cut=getattr(choice, "finish_reason", None) == "length")

    def next_token(self, messages: Sequence[Message]) -> list[tuple[str, float]] | None:
        """The likeliest tokens (20) that the model's next message begins with, each with its log-probability.

        Returns:
            None where the endpoint gives none; an empty list where the message has no token.

        Raises:
            ModelError: the endpoint cannot be reached, or refuses.
        """
        choice = self._choice(messages, {"max_completion_tokens": 1, "logprobs": True, "top_logprobs": LISTED_TOKENS})
        tokens = getattr(getattr(choice, "logprobs", None), "content", None)
        if not isinstance(tokens, list):
            return None
        if not tokens:
            return []
        listed = getattr(tokens[0], "top_logprobs", None) or []
        found = [(getattr(one, "token", None), getattr(one, "logprob", None)) for one in listed]
        return [(text, float(score)) for text, score in found if isinstance(text, str) and score is not None] or None

    def _choice(self, messages: Sequence[Message], options: dict[str, Any]) -> Any:
        """The first choice of the answer; None where it has none."""
        reply = self._called(
            lambda: self._client.chat.completions.create(
                model=self.model, messages=cast("Any", list(messages)), **{**self._options, **options}
            )
        )
        choices = getattr(reply, "choices", None)
        if not isinstance(choices, list):
            raise ModelError(f"{self.address} did not answer with a chat completion; {self._is_it_the_address}")
        return choices[0] if choices else None

    def _only_model(self) -> str:
        listed = self._called(lambda: self._client.models.list().data)
        names = [model.id for model in listed if isinstance(getattr(model, "id", None), str)] if listed else []
        if len(names) == 1:
            return str(names[0])
        if not names:
            raise InputError(f"{self.address} lists no models; name one with {self._model_option} NAME")
        shown = ", ".join(sorted(names)[:12]) + (", …" if len(names) > 12 else "")
        raise InputError(
            f"{self.address} has {len(names)} models; choose one with {self._model_option} NAME ({self._line(shown)})"
        )

    def _called(self, call: Callable[[], Result]) -> Result:
        """What the call returns; every way in which it can fail becomes one line."""
        import openai

        kind = ModelError
        try:
            return call()
        except openai.APITimeoutError:
            problem = f"did not answer within {self._timeout:g} seconds; try again, or use a faster {self._role}"
            kind = BusyError
        except openai.APIConnectionError as error:
            problem = f"cannot be reached ({self._line(str(error.__cause__ or error))}); is the server running there?"
            kind = BusyError
        except openai.AuthenticationError:
            problem = f"refuses the key (401); put a valid one into {_KEY}"
        except openai.NotFoundError as error:
            problem = f"knows no such address or model (404: {self._said(error)}); {self._is_it_the_address}"
        except openai.RateLimitError as error:
            problem = f"is busy, or the account's quota is used up (429: {self._said(error)}); try again later"
            kind = BusyError
        except openai.APIStatusError as error:
            problem = f"refuses the request ({error.status_code}: {self._said(error)})"
            kind = BusyError if error.status_code >= 500 else ModelError
        except (
            openai.OpenAIError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # what is no answer of the protocol
            problem = f"did not answer as the protocol says ({self._line(str(error))}); {self._is_it_the_address}"
        raise kind(f"{self.address} {problem}")

    def _said(self, error: Any) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        return self._line(str(body.get("message") or error.message or "no reason given"))

    def _line(self, text: str) -> str:
        """A text of others in one short line, without the key."""
        line = " ".join(text.split())
        if self._key != "none":
            line = line.replace(self._key, "…")
        return line if len(line) <= 200 else line[:200] + "…"


class EndpointWriter(ChatEndpoint):
    """A model behind an endpoint, as the writer of prompts.

    Args:
        url: as for :class:`ChatEndpoint`.
        model: likewise.
        temperature: likewise.
        seed: likewise.
        max_new_tokens: likewise.

    Raises:
        OnewordError: likewise.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        temperature: float | None = None,
        seed: int | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        super().__init__(
            url,
            model,
            temperature=temperature,
            seed=seed,
            max_new_tokens=max_new_tokens,
            timeout=TIMEOUT,
            retries=RETRIES,
            role="writer",
            model_option="--writer-model",
        )


def is_endpoint(writer: str) -> bool:
    """Whether a writer is an address rather than a model."""
    return writer.lower().startswith(("http://", "https://"))


def _address(url: str, role: str) -> str:
    """The address as it may be shown and written down: without user, password and query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        host, port = None, ""
    if not host:
        raise InputError(f"the {role}'s address is not one; it should look like https://api.openai.com/v1")
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
