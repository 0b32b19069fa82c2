"""A transformers classifier (or a model with one number for a text) as a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.errors import ModelError
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs
from oneword.tasks.predictors.transformer_model import Weights, check_positive, load_with_head


class TransformersClassifier:
    """A fine-tuned model of ``AutoModelForSequenceClassification``.

    Args:
        model: a folder or a Hub id.
        name: what files and messages call it; None takes the model's.
        takes_pairs: True where it was trained on pairs, False where on single texts; None takes either, since the model
            does not say.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise, but float32 unless said otherwise, as such models are trained.
        batch_size: texts at a time.
        max_length: texts are cut to so many tokens; None takes the model's window.
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let the model run code of its own.
        allow_pickle: load weights that are not safetensors, which can run code too.

    Raises:
        ModelError: no such model, one without a trained classification head, or one with several labels a text.
    """

    piece = 512  # texts that are worth asking about together

    def __init__(
        self,
        model: str | Path,
        *,
        name: str | None = None,
        takes_pairs: bool | None = None,
        device: str | torch.device = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        check_positive(batch_size=batch_size, max_length=max_length)
        weights = Weights(
            model,
            device,
            dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
        self._loaded = load_with_head("classification head", weights)
        config = self._loaded.model.config
        if config.problem_type == "multi_label_classification":
            raise ModelError(
                f"{self._loaded.name} gives a text several labels at once; task embeddings are for one class a text"
            )
        self._batch_size = batch_size
        self._max_length = min((length for length in (max_length, self._loaded.window) if length), default=None)
        self.name = name or self._loaded.name
        self.takes_pairs = takes_pairs
        count = int(config.num_labels)
        self.classes = tuple(str(config.id2label[place]) for place in range(count)) if count > 1 else None
        self.fingerprint = make_fingerprint(
            "classifier", self._loaded.weights, self.classes, self._max_length, self._loaded.dtype
        )

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Probabilities (n, classes), or for a model with one output its numbers (n,).

        Raises:
            InputError: pairs for a model of single texts, or the other way round.
            ModelError: the model fails.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        inputs = self._loaded.tokenizer(
            list(texts),
            None if text_pairs is None else list(text_pairs),
            truncation=self._max_length is not None,
            max_length=self._max_length,
            verbose=False,
        )
        answers = np.empty((len(texts), len(self.classes or " ")))
        for rows, output in self._loaded.outputs(inputs, self._batch_size):
            logits = output.logits.float().cpu().double()
            answers[rows] = (logits.softmax(dim=-1) if self.classes else logits).numpy()
        return answers if self.classes else answers[:, 0]
