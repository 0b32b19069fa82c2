"""Semantic textual similarity: Spearman between cosines and gold scores, all pairs of a task together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import ModelError
from oneword.evaluation.answer_store import AnswerStore, Array
from oneword.evaluation.intervals import spearman
from oneword.evaluation.results import Result, ResultFolder, digest_of
from oneword.evaluation.sentence_pairs import SentencePairs

if TYPE_CHECKING:
    from oneword.embedder import Embedder


def evaluate_sts(
    embedder: Embedder,
    pairs: SentencePairs,
    folder: ResultFolder,
    store: AnswerStore,
    command: str,
    on_texts: Callable[[int], object] = lambda texts: None,
) -> list[Result]:
    """A task's result for each layer of an embedder; those that the folder holds are not computed again.

    Raises:
        ModelError: vectors of which no correlation can be computed.
    """
    data = digest_of(pairs.first, pairs.second, pairs.gold)
    kept = {layer: folder.find(embedder.fingerprint_of([layer]), pairs.task, data) for layer in embedder.layers}
    missing = [layer for layer, result in kept.items() if result is None]
    steering = embedder.method.steering
    if missing and steering is not None and max(missing) < int(steering.layer):
        missing = list(kept)  # layers that the steering does not reach cannot be asked for alone
    store.claim(embedder)
    texts = [*pairs.first, *pairs.second]
    if not missing:
        on_texts(len(set(texts)))
    found: dict[int, Result] = {layer: result for layer, result in kept.items() if result is not None}
    if missing:
        started = time.monotonic()
        asked = embedder if missing == list(embedder.layers) else embedder.with_method(embedder.method, layer=missing)
        vectors = store.vectors(asked, texts, on_texts)
        seconds = (time.monotonic() - started) / len(missing)
        for place, layer in enumerate(missing):
            found[layer] = _result(embedder, pairs, layer, vectors[:, place], data, seconds, command)
            folder.write(found[layer])
    return [found[layer] for layer in embedder.layers]


def cosines(vectors: Array) -> NDArray[np.float64]:
    """Of the first half of some vectors (2n, d) with the second half: (n,)."""
    first, second = np.split(vectors.astype(np.float64), 2)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Beyond nine digits there is only noise, which would rank pairs of equal sentences
        found: NDArray[np.float64] = np.round((first * second).sum(axis=1) / lengths, 9)
    return found


def score_pairs(vectors: Array, gold: ArrayLike, whose: str) -> tuple[float, NDArray[np.float64]]:
    """Spearman in percent, and the cosines it is of.

    Args:
        vectors: (2n, d), of the first sentences and then of the second.
        gold: n scores.
        whose: what the message names.

    Raises:
        ModelError: a vector is zero or not finite, or all cosines or all gold scores are the same.
    """
    found = cosines(vectors)
    if not np.isfinite(found).all():
        raise ModelError(f"{whose}: a vector is zero or not finite, so its cosine is none; try another layer or dtype")
    score = spearman(found, gold)
    if not np.isfinite(score):
        raise ModelError(f"{whose}: all cosines or all gold scores are the same, so there is no correlation")
    return score, found


def _result(
    embedder: Embedder, pairs: SentencePairs, layer: int, vectors: Array, data: str, seconds: float, command: str
) -> Result:
    name = embedder.method.name
    score, found = score_pairs(vectors, pairs.gold, f"{pairs.task}, {name} at layer {layer}")
    scores = {"spearman": score, "pearson": 100 * float(np.corrcoef(found, pairs.gold)[0, 1])}
    sources = np.asarray(pairs.datasets)
    for dataset in dict.fromkeys(pairs.datasets):
        here = sources == dataset
        scores[f"spearman of {dataset}"] = spearman(found[here], np.asarray(pairs.gold)[here])
    return Result(
        task=pairs.task,
        kind="sts",
        metric="spearman",
        score=score,
        scores=scores,
        sizes={"pairs": len(pairs), "texts": len({*pairs.first, *pairs.second})},
        data=data,
        model=embedder.model,
        method=name,
        layer=layer,
        fingerprint=embedder.fingerprint_of([layer]),
        seconds=round(seconds, 3),
        command=command,
        items={"cosine": found.tolist(), "gold": list(pairs.gold)},
    )
