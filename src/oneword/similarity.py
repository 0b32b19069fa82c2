"""Cosine similarity of vectors, whatever holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from oneword.errors import InputError


def cosine_similarity(a: Any, b: Any) -> Any:
    """Of every vector of ``a`` with every vector of ``b``; see :meth:`oneword.Embedder.similarity`.

    Raises:
        InputError: sizes that differ, or vectors of several layers at once.
    """
    tensors = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
    left, right = _matrix(a), _matrix(b)
    if left.shape[1] != right.shape[1]:
        raise InputError(f"vectors of {left.shape[1]} and of {right.shape[1]} dimensions cannot be compared")
    answer = torch.nn.functional.normalize(left, dim=1) @ torch.nn.functional.normalize(right, dim=1).T
    return answer if tensors else answer.numpy()


def _matrix(vectors: Any) -> torch.Tensor:
    if isinstance(vectors, torch.Tensor):
        matrix = vectors.float().cpu()
    else:
        matrix = torch.from_numpy(np.asarray(getattr(vectors, "values", vectors), dtype=np.float32))
    if matrix.ndim == 1:
        matrix = matrix[None]
    if matrix.ndim != 2:
        raise InputError(f"similarity needs vectors of one layer, (n, d), not an array of shape {tuple(matrix.shape)}")
    return matrix
