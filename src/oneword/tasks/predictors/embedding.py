"""An embedding method of oneword with a linear model on top, as a predictor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.embedder import Embedder
from oneword.errors import InputError
from oneword.extras import check_extra
from oneword.method import Layer, Method
from oneword.tasks.dataset import Dataset
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs

if TYPE_CHECKING:
    from oneword.evaluation.answer_store import AnswerStore

# Hidden states have a few huge dimensions, on which lbfgs stops long before the optimum; the matrix of Newton's method
# must not grow too large
_LARGEST_HESSIAN = 4200
_MOST_STEPS = 1000


class EmbeddingPredictor:
    """Vectors of a :class:`~oneword.Embedder`, and a linear model fitted on a dataset when it is first asked.

    Of pairs, the absolute difference and the product of both vectors are what is fitted, as in SentEval. Classes take
    logistic regression, numbers ridge regression.

    Args:
        dataset: what it is fitted on.
        model: as for :class:`~oneword.Embedder`, or an Embedder, which is used as it is.
        method: likewise, if ``model`` is none.
        layer: likewise; one layer.
        name: what files and messages call it; None takes those of model, method and dataset.
        strength: of the L2 regularization (``1 / C`` of logistic regression, ``alpha`` of ridge regression).
        store: where vectors are kept by prompt and text, so that none is computed twice.
        device: as for :class:`~oneword.Embedder`.
        dtype: likewise.
        quantize: likewise.
        revision: likewise.
        trust_remote_code: likewise.
        allow_pickle: likewise.

    Raises:
        InputError: scikit-learn is missing, answers that are spans, several layers, or a strength that is not positive.
        OnewordError: as for :class:`~oneword.Embedder`.
    """

    piece = 512  # texts that are worth asking about together

    def __init__(
        self,
        dataset: Dataset,
        model: str | Path | Embedder | None = None,
        *,
        method: str | Path | Method | None = None,
        layer: Layer | None = None,
        name: str | None = None,
        strength: float = 1.0,
        store: AnswerStore | None = None,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        quantize: str = "none",
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        check_extra("tasks", "sklearn", "predictors made of embeddings")
        if dataset.kind == "span":
            raise InputError(
                f"{dataset.name} asks for spans of a context, which a text's vector does not tell; use qa:"
            )
        if not strength > 0:
            raise InputError(f"strength must be more than 0, not {strength}")
        if isinstance(model, Embedder):
            self._embedder = model
        else:
            self._embedder = Embedder(
                model,
                method=method,
                layer=layer,
                device=device,
                dtype=dtype,
                quantize=quantize,
                revision=revision,
                trust_remote_code=trust_remote_code,
                allow_pickle=allow_pickle,
            )
        if isinstance(self._embedder.layer, list):
            raise InputError("an embedding predictor reads one layer; give one")
        self._dataset, self._strength, self._store = dataset, float(strength), store
        self.takes_pairs = dataset.text_pairs is not None
        self.classes = dataset.classes or None
        self.fingerprint = make_fingerprint("embedding", self._embedder.fingerprint, dataset.digest, self._strength)
        self.name = name or f"{self._embedder.model}+{self._embedder.method.name}+{dataset.name}"

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Probabilities (n, classes), or numbers (n,) where the dataset has those.

        Raises:
            InputError: pairs where the dataset has single texts, or the other way round.
            ModelError: vectors that are not finite numbers.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        model, mean = self._fitted
        features = self._features(texts, text_pairs) - mean
        if self.classes is None:
            return np.asarray(model.predict(features), dtype=np.float64)
        probabilities = np.asarray(model.predict_proba(features), dtype=np.float64)
        columns = {label: column for column, label in enumerate(model.classes_.tolist())}
        return probabilities[:, [columns[label] for label in self.classes]]

    @cached_property
    def _fitted(self) -> tuple[Any, NDArray[np.float64]]:
        """The linear model, and the mean that is taken off its features: the intercept takes up any shift."""
        from sklearn.linear_model import LogisticRegression, Ridge

        features = self._features(self._dataset.texts, self._dataset.text_pairs)
        mean = features.mean(axis=0)
        if self.classes is None:
            model = Ridge(alpha=self._strength)
        else:
            unknowns = features.shape[1] * (len(self.classes) if len(self.classes) > 2 else 1)
            solver = "newton-cholesky" if unknowns <= _LARGEST_HESSIAN else "lbfgs"
            model = LogisticRegression(C=1 / self._strength, solver=solver, max_iter=_MOST_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one that stops early predicts all the same
            model.fit(features - mean, np.array(self._dataset.labels))
        return model, mean

    def _features(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float64]:
        wanted = [*texts, *(text_pairs or ())]
        if self._store is None:
            vectors = np.asarray(self._embedder.compute(wanted)[:, 0].double().numpy())
        else:
            vectors = self._store.vectors(self._embedder, wanted)[:, 0].astype(np.float64)
        if text_pairs is None:
            return vectors
        first, second = vectors[: len(texts)], vectors[len(texts) :]
        return np.hstack([np.abs(first - second), first * second])
