"""How good each prompt's vectors of some texts are: by label-free scores, or by a linear head's accuracy.

Vectors are (n, prompts, d) throughout. Label-free scores first take off what a prompt's vectors have in common: hidden
states have a few huge dimensions that no text changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import InputError

Floats = NDArray[np.float64]
Subset = tuple[int, ...]

_LEAST_TEXTS = 3  # fewer pairs than three have no correlation
_LARGEST_HESSIAN = 1000  # of Newton's method; lbfgs is quicker beyond
_MOST_STEPS = 1000
_FOLDS = 5


def agreement(vectors: ArrayLike) -> Floats:
    """How far each prompt agrees with the others on which texts are alike.

    Spearman's correlation of the cosines of all pairs of texts under the prompt with their means under the other
    prompts.

    Args:
        vectors: (n, prompts, d), of texts that differ.

    Returns:
        (prompts,), from -1 to 1; 0 of a prompt under which all texts are equally alike.

    Raises:
        InputError: fewer than three texts, or than two prompts.
    """
    from scipy.stats import rankdata

    directions = _directions(vectors)
    upper = np.triu_indices(directions.shape[1], 1)
    cosines = np.stack([(one @ one.T)[upper] for one in directions])
    total = cosines.sum(axis=0)
    scores = np.zeros(len(cosines))
    for place, one in enumerate(cosines):
        ranks = rankdata([one, (total - one) / (len(cosines) - 1)], axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        length = np.sqrt((ranks**2).sum(axis=1).prod())
        scores[place] = ranks[0] @ ranks[1] / length if length else 0.0
    return scores


def alignment(vectors: ArrayLike) -> Floats:
    """How far a text under each prompt is from the same text under the others; smaller is better.

    The mean of ``|x - y|^2`` (Wang and Isola, 2020), x being the text's direction under the prompt, and y the direction
    of the mean of its directions under the other prompts, which stand for paraphrases of the text.

    Args:
        vectors: as for :func:`agreement`.

    Returns:
        (prompts,), from 0 to 4.

    Raises:
        InputError: as for :func:`agreement`.
    """
    directions = _directions(vectors)
    others = _normalized(directions.sum(axis=0) - directions)
    distances: Floats = ((directions - others) ** 2).sum(axis=-1).mean(axis=-1)
    return distances


def uniformity(vectors: ArrayLike) -> Floats:
    """How far each prompt crowds different texts: log mean ``exp(-2 |x - y|^2)`` over all pairs; smaller is better.

    Source: Wang and Isola (2020).

    Args:
        vectors: as for :func:`agreement`.

    Returns:
        (prompts,), from -8 to 0.

    Raises:
        InputError: as for :func:`agreement`.
    """
    directions = _directions(vectors)
    upper = np.triu_indices(directions.shape[1], 1)
    squares = [(2 - 2 * (one @ one.T)[upper]).clip(0) for one in directions]
    return np.array([np.log(np.exp(-2 * square).mean()) for square in squares])


def alignment_uniformity(vectors: ArrayLike) -> Floats:
    """Minus the sum of :func:`alignment` and :func:`uniformity`: alike where the text is the same, apart elsewhere."""
    return -(alignment(vectors) + uniformity(vectors))


class LinearHead:
    """Logistic regression on few rows of many features, exact and quick.

    An L2-penalized fit lies in the span of its rows, so that it is made of their coordinates there: as many unknowns a
    class as there are rows, however many features.

    Args:
        features: (n, d).
        labels: of each row a class; at least two that differ.
        strength: of the L2 regularization (``1 / C``).
    """

    def __init__(self, features: ArrayLike, labels: Sequence[str], strength: float = 1.0) -> None:
        from sklearn.linear_model import LogisticRegression

        rows = np.asarray(features, dtype=np.float64)
        self._mean = rows.mean(axis=0)  # which the intercept takes up
        rows = rows - self._mean
        self._basis: Floats | None = None
        if len(rows) < rows.shape[1]:
            self._basis, triangle = np.linalg.qr(rows.T)
            rows = triangle.T
        count = len(set(labels))
        unknowns = rows.shape[1] * (count if count > 2 else 1)
        solver = "newton-cholesky" if unknowns <= _LARGEST_HESSIAN else "lbfgs"
        self._model = LogisticRegression(C=1 / strength, solver=solver, max_iter=_MOST_STEPS, tol=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one that stops early predicts all the same
            self._model.fit(rows, np.asarray(labels))
        self.classes: tuple[str, ...] = tuple(self._model.classes_.tolist())

    def log_probabilities(self, features: ArrayLike) -> Floats:
        """Of each row those of the classes: (n, classes)."""
        rows: Any = np.asarray(features, dtype=np.float64) - self._mean
        found: Floats = self._model.predict_log_proba(rows if self._basis is None else rows @ self._basis)
        return found

    def correct(self, features: ArrayLike, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Of each row whether its likeliest class is its label: (n,)."""
        likeliest = self.log_probabilities(features).argmax(axis=1).tolist()
        return np.array([self.classes[place] == label for place, label in zip(likeliest, labels, strict=True)])


def cross_validated(
    features: ArrayLike, labels: Sequence[str], seed: int = 0, strength: float = 1.0
) -> tuple[float, float]:
    """A linear head's accuracy (0 to 1) on rows that it was not fitted on, and their mean log-probability.

    Five folds, the rows of each class spread over them evenly.

    Args:
        features: (n, d).
        labels: at least two classes, each of at least two rows.
        seed: of the folds.
        strength: as for :class:`LinearHead`.
    """
    rows, names = np.asarray(features, dtype=np.float64), np.asarray(labels)
    fold_of = _folds(labels, seed)
    right, logs = np.zeros(len(names), dtype=bool), np.zeros(len(names))
    for fold in set(fold_of.tolist()):
        held = fold_of == fold
        head = LinearHead(rows[~held], names[~held].tolist(), strength)
        log = head.log_probabilities(rows[held])
        columns = [head.classes.index(label) for label in names[held].tolist()]
        right[held] = log.argmax(axis=1) == columns
        logs[held] = log[np.arange(len(columns)), columns]
    return float(right.mean()), float(logs.mean())


def forward_selection(count: int, score: Callable[[Subset], tuple[float, float]]) -> list[tuple[Subset, float, float]]:
    """Prompts added one at a time, each the one with which the score is best; of equals the first.

    Args:
        count: how many there are.
        score: of a subset, in the order of the prompts; tuples compare as they do.

    Returns:
        The subset of each size with its score, from one prompt to all of them.
    """
    path: list[tuple[Subset, float, float]] = []
    chosen: Subset = ()
    while len(chosen) < count:
        tried = [tuple(sorted({*chosen, place})) for place in range(count) if place not in chosen]
        scores = [score(subset) for subset in tried]
        best = max(range(len(tried)), key=lambda place: scores[place])
        chosen = tried[best]
        path.append((chosen, *scores[best]))
    return path


def _folds(labels: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The fold of each row: the rows of one class after the other are dealt in turn."""
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    order.sort(key=lambda row: labels[row])
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return folds


def _directions(vectors: ArrayLike) -> Floats:
    """Centred and normalized vectors, (prompts, n, d)."""
    found = np.asarray(vectors, dtype=np.float64)
    if found.ndim != 3 or found.shape[0] < _LEAST_TEXTS or found.shape[1] < 2:
        raise InputError(
            f"vectors of shape {found.shape} do not tell prompts apart; give (texts, prompts, size) of at least "
            f"{_LEAST_TEXTS} texts and 2 prompts"
        )
    return _normalized((found - found.mean(axis=0)).transpose(1, 0, 2))


def _normalized(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
