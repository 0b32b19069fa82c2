"""An LLM that writes its answers, as a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from oneword.errors import ModelError
from oneword.models.quiet import quiet_transformers
from oneword.tasks.predictors.class_answer import ClassReader
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.predictors.transformer_model import Weights, check_positive, load_with_head, named_model_errors
from oneword.tasks.task_prompt import TaskPrompt


class GeneratingPredictor:
    """A decoder LLM, or an encoder-decoder such as FLAN-T5, that is asked with a prompt and answers in its own words.

    It always takes the likeliest token. The prompt is put into the model's chat template where it has one.

    Args:
        model: a catalog name (None: the default model), a folder, a ``.gguf`` file, or a Hub id.
        prompt: a wording with ``{text}``; for pairs with ``{text}`` and ``{text_pair}``, or ``{premise}`` and
            ``{hypothesis}``.
        classes: the names of which an answer must be one; None takes answers as free text.
        name: what files and messages call it; None takes the model's name and the prompt's digest.
        max_new_tokens: where an answer is cut at the latest.
        batch_size: texts at a time.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise.
        quantize: likewise.
        revision: likewise.
        trust_remote_code: likewise.
        allow_pickle: likewise.

    Raises:
        MethodError: a prompt without its slots.
        ModelError: no such model, or one without an output head.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        prompt: str = "",
        *,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        max_new_tokens: int = 32,
        batch_size: int = 8,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        quantize: str = "none",
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        check_positive(max_new_tokens=max_new_tokens, batch_size=batch_size)
        self._prompt = TaskPrompt(prompt)
        self._reader = ClassReader(classes) if classes is not None else None
        weights = Weights(model, device, dtype, quantize, revision, trust_remote_code, allow_pickle)
        _, config, _, _ = weights.found()
        self._separate = bool(config.is_encoder_decoder)  # what is written does not stand behind what was read
        self._loaded = load_with_head("output head behind an encoder" if self._separate else "output head", weights)
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
        self._ends = self._end_tokens()
        self.takes_pairs = self._prompt.takes_pairs
        self.classes = tuple(map(str, classes)) if classes is not None else None
        self.fingerprint = make_fingerprint(
            "generator",
            self._loaded.weights,
            self._loaded.dtype,
            quantize,
            self._loaded.tokenizer.chat_template,
            self._prompt.wording,
            self.classes,
            max_new_tokens,
        )
        self.name = name or f"{self._loaded.name}+{self.fingerprint}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[str]:
        """The model's answers, white space stripped; with classes, the class that each means.

        Texts that do not fit into the model's window, the answer included, are cut, nothing of the prompt is.

        Raises:
            InputError: pairs for a prompt with one slot, or single texts for one with two.
            ModelError: the model fails, or an answer is none of the classes.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        pairs: Sequence[str | None] = text_pairs if text_pairs is not None else [None] * len(texts)
        rows = [self._tokens(text, text_pair) for text, text_pair in zip(texts, pairs)]
        answers = [""] * len(rows)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            for row, answer in zip(batch, self._written([rows[row] for row in batch])):
                answers[row] = answer
        if self._reader is None:
            return answers
        return [self._reader.read(answer, text, self.name) for answer, text in zip(answers, texts)]

    def _tokens(self, text: str, text_pair: str | None) -> list[int]:
        """The prompt's token ids, in the chat template, with room for the answer."""
        window = self._loaded.window
        if window is not None and not self._separate:
            window = max(1, window - self._max_new_tokens)
        if window is not None:
            limit = window
            text, text_pair = self._prompt.shortened(text, text_pair, lambda filled: len(self._ids(filled)) <= limit)
        return self._ids(self._prompt.fill(text, text_pair))

    def _ids(self, filled: str) -> list[int]:
        tokenizer = self._loaded.tokenizer
        ids: list[int]
        if tokenizer.chat_template is not None:
            asked = [{"role": "user", "content": filled}]
            filled = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
            ids = tokenizer(filled, add_special_tokens=False, verbose=False)["input_ids"]
            return ids
        ids = tokenizer(filled, verbose=False)["input_ids"]
        while ids and ids[-1] in self._ends and not self._separate:  # behind it nothing would be written
            ids.pop()
        return ids

    def _written(self, rows: list[list[int]]) -> list[str]:
        """What the model writes behind some rows, padded before them so that all end together."""
        longest, pad = max(map(len, rows)), self._loaded.tokenizer.pad_token_id or 0
        padding = [[0] * (longest - len(row)) for row in rows]
        ids = [[*(pad for _ in before), *row] for before, row in zip(padding, rows)]
        mask = [[*before, *(1 for _ in row)] for before, row in zip(padding, rows)]
        device = self._loaded.device
        with named_model_errors(self._loaded.name), quiet_transformers(), torch.inference_mode():
            written = self._loaded.model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=pad,
            )
        start = 0 if self._separate else longest
        return [self._read(row[start:]) for row in written.tolist()]

    def _read(self, ids: list[int]) -> str:
        """A row of new tokens up to the first that ends an answer."""
        begin = 1 if self._separate else 0  # the token that a decoder begins with may be one that ends
        end = next((place for place, token in enumerate(ids) if place >= begin and token in self._ends), len(ids))
        answer: str = self._loaded.tokenizer.decode(ids[:end], skip_special_tokens=True)
        return answer.strip()

    def _end_tokens(self) -> set[Any]:
        found: set[Any] = set()
        for token in (self._loaded.model.generation_config.eos_token_id, self._loaded.tokenizer.eos_token_id):
            found |= set(token) if isinstance(token, list) else {token} - {None}
        if not found and self._loaded.tokenizer.pad_token_id is None and self._batch_size > 1:
            raise ModelError(f"{self._loaded.name} has neither a padding nor an end token; use batch_size 1")
        return found
