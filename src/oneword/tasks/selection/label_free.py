"""Scores of prompts that need no labels, from the prompts' answers alone (FUTE's baselines): larger is better.

Entropies are in nats.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import InputError

Floats = NDArray[np.float64]
PseudoLabels = Literal["log", "prob", "vote"]

_LEAST = 1e-12  # the probability of which the logarithm is taken where there is none
_SUM_TOLERANCE = 1e-3


def mutual_information(probabilities: ArrayLike) -> Floats:
    """MI: how much a prompt's answers tell about the texts: H(mean p) - mean H(p) (Sorensen et al., 2022).

    Args:
        probabilities: (prompts, texts, labels).

    Returns:
        (prompts,).

    Raises:
        InputError: no prompts, no texts, fewer than two labels, or numbers that are no probabilities.
    """
    checked = _checked(probabilities)
    information: Floats = _entropy(checked.mean(axis=1)) - _entropy(checked).mean(axis=1)
    return information


def local_entropy(probabilities: ArrayLike) -> Floats:
    """LocalE: mean H(p), how undecided a prompt's single answers are (Lu et al., 2022).

    Larger is better, as published: the method was made against prompts that are always sure of one label. So MI, which
    subtracts the same number, ranks the other way where all prompts use the labels equally often.

    Args:
        probabilities: (prompts, texts, labels).

    Returns:
        (prompts,).

    Raises:
        InputError: as for :func:`mutual_information`.
    """
    entropy: Floats = _entropy(_checked(probabilities)).mean(axis=1)
    return entropy


def global_entropy(probabilities: ArrayLike) -> Floats:
    """GlobalE: the entropy of how often each label is the likeliest (Lu et al., 2022); of equals the first counts.

    Args:
        probabilities: (prompts, texts, labels).

    Returns:
        (prompts,).

    Raises:
        InputError: as for :func:`mutual_information`.
    """
    return _entropy(_votes(_checked(probabilities)).mean(axis=1))


def zero_label(probabilities: ArrayLike, by: PseudoLabels = "log") -> Floats:
    """ZPS: a prompt's accuracy against the labels that the more confident prompts give together (Liao et al., 2022).

    A prompt's confidence is the mean of its greatest probability less the second. Two-means on the confidences, solved
    exactly, parts the prompts; those of the more confident part give the pseudo-labels, all of them where there are
    fewer than three or all are equally confident. Every prompt is scored against these labels and can be chosen, also
    one that gave none of them: so do the public releases of ZPS and of FUTE.

    Args:
        probabilities: (prompts, texts, labels).
        by: pseudo-labels by the greatest sum of log-probabilities (``log``; none is taken as less than 1e-12), sum of
            probabilities (``prob``), or number of votes (``vote``; of equals, the greater sum of probabilities).

    Returns:
        (prompts,), 0 to 1.

    Raises:
        InputError: as for :func:`mutual_information`, or another ``by``.
    """
    checked = _checked(probabilities)
    sorted_by_size = np.sort(checked, axis=-1)
    confidence = (sorted_by_size[..., -1] - sorted_by_size[..., -2]).mean(axis=1)
    kept = checked[_more_confident(confidence)]
    if by == "log":
        pseudo = np.log(np.maximum(kept, _LEAST)).sum(axis=0).argmax(axis=-1)
    elif by == "prob":
        pseudo = kept.sum(axis=0).argmax(axis=-1)
    elif by == "vote":
        votes, sums = _votes(kept).sum(axis=0), kept.sum(axis=0)
        pseudo = np.where(votes == votes.max(axis=-1, keepdims=True), sums, -1.0).argmax(axis=-1)
    else:
        raise InputError(f"pseudo-labels are by log, prob or vote, not '{by}'")
    agreement: Floats = (checked.argmax(axis=-1) == pseudo).mean(axis=1)
    return agreement


def spell(perplexities: ArrayLike) -> Floats:
    """SPELL: minus the mean perplexity of the filled prompts (Gonen et al., 2023).

    Args:
        perplexities: (prompts, texts).

    Returns:
        (prompts,).

    Raises:
        InputError: no prompts, no texts, or a number that is no perplexity.
    """
    array = np.asarray(perplexities, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise InputError(
            f"perplexities need the shape (prompts, texts) with one of each at least; these have {array.shape}"
        )
    if not (np.isfinite(array) & (array > 0)).all():
        prompt, text = np.argwhere(~(np.isfinite(array) & (array > 0)))[0]
        raise InputError(f"prompt {prompt + 1}, text {text + 1}: {array[prompt, text]} is no perplexity")
    scores: Floats = -array.mean(axis=1)
    return scores


def _checked(probabilities: ArrayLike) -> Floats:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 3:
        raise InputError(f"probabilities need the shape (prompts, texts, labels); these have {array.shape}")
    for count, least, what in zip(array.shape, (1, 1, 2), ("prompts", "texts", "labels")):
        if count < least:
            raise InputError(f"{count or 'no'} {what}; choosing a prompt needs at least {least}")
    fine = np.isfinite(array) & (array >= 0)
    wrong = ~fine.all(axis=-1) | (np.abs(np.where(fine, array, 0).sum(axis=-1) - 1) > _SUM_TOLERANCE)
    if wrong.any():
        prompt, text = np.argwhere(wrong)[0]
        found = ", ".join(f"{value:g}" for value in array[prompt, text])
        raise InputError(f"prompt {prompt + 1}, text {text + 1}: {found} are no probabilities; they must sum to 1")
    return array


def _entropy(probabilities: Floats) -> Floats:
    """Over the last axis."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    entropy: Floats = -(probabilities * logs).sum(axis=-1)
    return entropy


def _votes(probabilities: Floats) -> Floats:
    """1 for the likeliest label of each text, else 0."""
    votes: Floats = np.eye(probabilities.shape[-1])[probabilities.argmax(axis=-1)]
    return votes


def _more_confident(confidence: Floats) -> NDArray[np.bool_]:
    """Which prompts are in the upper of two clusters: that cut of the sorted numbers which leaves the least squares."""
    in_order = np.sort(confidence)
    if len(in_order) < 3 or np.isclose(in_order[0], in_order[-1], rtol=0, atol=_LEAST):
        return np.ones(len(confidence), dtype=bool)
    squares = [
        sum(float(((part - part.mean()) ** 2).sum()) for part in (in_order[:cut], in_order[cut:]))
        for cut in range(1, len(in_order))
    ]
    # Of equal cuts the lowest, so that more prompts give labels
    cut = 1 + int(np.isclose(squares, min(squares), rtol=0, atol=_LEAST).argmax())
    upper: NDArray[np.bool_] = confidence >= in_order[cut]
    return upper
