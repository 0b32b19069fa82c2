"""What rankings by task embeddings are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.tasks.dataset import Dataset
from oneword.tasks.objectives import pooled_states
from oneword.tasks.trainable import TrainableModel

_POINTS = (0.1, 0.2, 0.3, 0.5, 0.7)  # of the training, where its loss curve is looked at
_SMOOTHED = 0.1  # of the training, over which losses are averaged


def curve_gradient(losses: Sequence[float]) -> float:
    """How steeply a source's loss still falls, the median over points of its training (CurveGrad).

    Each slope is per whole training and divided by the first loss, so that sources of different losses compare. The
    median is small where the loss fell at once and then stayed; Bingel and Søgaard (EACL 2017) looked at the gradients
    at these points, and found that tasks whose loss does not stay help more.
    """
    if len(losses) < 2:
        return 0.0
    curve = np.asarray(losses, dtype=np.float64)
    width = max(1, round(_SMOOTHED * len(curve)))
    start = curve[:width].mean()
    slopes = []
    for point in _POINTS:
        place = round(point * len(curve))
        before, after = curve[max(0, place - width) : max(1, place)], curve[place : place + width]
        slopes.append((before.mean() - after.mean()) / start / _SMOOTHED)
    return float(np.median(slopes))


def text_embedding(model: TrainableModel, dataset: Dataset, max_length: int) -> NDArray[np.float64]:
    """The mean of the pooled last states of a dataset's texts, of pairs of both together: float64 (d,) (TextEmb)."""
    rows = model.tokenize(dataset.texts, dataset.text_pairs, max_length)
    mean: NDArray[np.float64] = pooled_states(model, rows).to(torch.float64).mean(0).numpy()
    return mean
