"""Mean and covariance of vectors that come in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Moments:
    """Mean and scatter of all vectors so far, in float64, in one pass.

    Welford's way, for pieces as Chan, Golub and LeVeque have it (Updating Formulae, 1979).

    Args:
        size: how many dimensions.
        whole: keep how dimensions vary together, (d, d), not only how each does, (d,).
    """

    def __init__(self, size: int, whole: bool = True) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self._whole = whole
        self._scatter = np.zeros((size, size) if whole else size)

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Take in some more vectors, (n, d)."""
        more = vectors.astype(np.float64)
        count = self.count + len(more)
        mean = more.mean(axis=0)
        more -= mean
        apart = mean - self.mean
        weight = self.count * len(more) / count
        if self._whole:
            self._scatter += more.T @ more + weight * np.outer(apart, apart)
        else:
            self._scatter += (more**2).sum(axis=0) + weight * apart**2
        self.mean += apart * (len(more) / count)
        self.count = count

    @property
    def covariance(self) -> Array:
        """Over the vectors, not of a sample: (d, d), or each dimension's variance alone, (d,)."""
        return self._scatter / self.count
