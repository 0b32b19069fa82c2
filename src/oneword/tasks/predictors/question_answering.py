"""A transformers model of extractive question answering as a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.errors import ModelError
from oneword.tasks.dataset import Span
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.predictors.transformer_model import Weights, check_positive, load_with_head


class TransformersQA:
    """A fine-tuned model of ``AutoModelForQuestionAnswering``.

    Args:
        model: a folder or a Hub id.
        name: what files and messages call it; None takes the model's.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise, but float32 unless said otherwise, as such models are trained.
        batch_size: questions at a time.
        max_length: question and context are cut to so many tokens; None takes the model's window.
        max_answer_tokens: the longest answer.
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let the model run code of its own.
        allow_pickle: load weights that are not safetensors, which can run code too.

    Raises:
        ModelError: no such model, one without a trained head, or whose tokenizer does not tell where tokens stand.
    """

    piece = 512  # texts that are worth asking about together
    takes_pairs = True
    classes: tuple[str, ...] | None = None

    def __init__(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        device: str | torch.device = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
        max_answer_tokens: int = 30,
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        check_positive(batch_size=batch_size, max_length=max_length, max_answer_tokens=max_answer_tokens)
        weights = Weights(
            model,
            device,
            dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
        self._loaded = load_with_head("question answering head", weights)
        if not self._loaded.tokenizer.is_fast:
            raise ModelError(f"{self._loaded.name} has no tokenizer.json, so nothing says where its answers stand")
        self._batch_size, self._longest = batch_size, max_answer_tokens
        self._max_length = min((length for length in (max_length, self._loaded.window) if length), default=None)
        self.name = name or self._loaded.name
        self.fingerprint = make_fingerprint(
            "qa", self._loaded.weights, self._max_length, max_answer_tokens, self._loaded.dtype
        )

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[Span]:
        """Where in its context each question's answer stands: the likeliest start and end, in this order.

        A context that is longer than the window is cut at its end, and a question that would fill more than half of the
        window, at its own. A context of which nothing is a token is answered whole.

        Args:
            texts: the questions.
            text_pairs: the contexts.

        Raises:
            InputError: no contexts.
            ModelError: the model fails.
        """
        check_pairs(self.name, True, text_pairs)
        contexts = list(text_pairs or ())
        inputs = self._loaded.tokenizer(
            [self._cut(text) for text in texts],
            contexts,
            truncation="only_second" if self._max_length else False,
            max_length=self._max_length,
            return_offsets_mapping=True,
            verbose=False,
        )
        offsets = inputs.pop("offset_mapping")
        spans = [Span(0, len(context)) for context in contexts]
        for rows, output in self._loaded.outputs(inputs, self._batch_size):
            starts, ends = (self._logits(output, key) for key in ("start_logits", "end_logits"))
            for place, row in enumerate(rows):
                held = self._held(inputs.sequence_ids(row), offsets[row], contexts[row])
                best = best_span(starts[place], ends[place], held, self._longest)
                if best is not None:
                    spans[row] = stripped_span(offsets[row][best[0]][0], offsets[row][best[1]][1], contexts[row])
        return spans

    def _cut(self, question: str) -> str:
        """The question, of at most half as many tokens as the window has."""
        if self._max_length is None:
            return question
        tokens = self._loaded.tokenizer(question, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
            "offset_mapping"
        ]
        half = self._max_length // 2
        return question if len(tokens) <= half else question[: tokens[half - 1][1]]

    def _held(self, sequences: list[int | None], offsets: list[tuple[int, int]], context: str) -> NDArray[np.bool_]:
        """Which tokens stand for something of the context other than white space."""
        return np.array(
            [sequence == 1 and bool(context[start:end].strip()) for sequence, (start, end) in zip(sequences, offsets)]
        )

    def _logits(self, output: Any, key: str) -> NDArray[np.float64]:
        logits = getattr(output, key, None)
        if logits is None:
            raise ModelError(f"{self._loaded.name} answers without {key}; use another model")
        found: NDArray[np.float64] = logits.float().cpu().double().numpy()
        if not np.isfinite(found).all():
            raise ModelError(f"{self._loaded.name} answers with numbers that are not finite; try dtype float32")
        return found


def best_span(
    starts: NDArray[np.float64], ends: NDArray[np.float64], held: NDArray[np.bool_], longest: int
) -> tuple[int, int] | None:
    """The first and the last token of the answer with the greatest sum of both logits.

    Args:
        starts: (tokens,) or more, padding last.
        ends: likewise.
        held: (tokens,): which may begin or end an answer.
        longest: the most tokens of an answer.

    Returns:
        None where no token may.
    """
    starts, ends = (np.where(held, logits[: len(held)], -np.inf) for logits in (starts, ends))
    best, found = -np.inf, None
    for more in range(min(longest, len(held))):
        scores = starts[: len(held) - more] + ends[more:]
        place = int(scores.argmax())
        if scores[place] > best:
            best, found = scores[place], (place, place + more)
    return found


def stripped_span(start: int, end: int, context: str) -> Span:
    """These characters of the context without the white space that some tokens begin or end with."""
    answer = context[start:end]
    return Span(start + len(answer) - len(answer.lstrip()), end - len(answer) + len(answer.rstrip()))
