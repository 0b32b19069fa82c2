"""A fitted calibration applied to vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.calibration.statistics import FittedStep, LayerStatistics


class Calibrator:
    """Applies the statistics of some layers.

    Args:
        layers: a set for each layer of the vectors, in their order.
    """

    def __init__(self, layers: Sequence[LayerStatistics]) -> None:
        self._prompts = [[_Chain(steps) for steps in layer.prompts] for layer in layers]
        self._combined = [_Chain(layer.combined) for layer in layers]

    def prompts(self, answers: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Each prompt's answers (n, layers, d), before they are combined."""
        for prompt, answer in enumerate(answers):
            chains = [chains[prompt] for chains in self._prompts if chains]
            yield _apply(chains, answer) if chains else answer

    def combined(self, vectors: torch.Tensor) -> torch.Tensor:
        """Combined vectors, (n, layers, d) to (n, layers, d')."""
        return _apply(self._combined, vectors) if any(self._combined) else vectors


class _Chain:
    """One chain of fitted steps, in float32."""

    def __init__(self, steps: Sequence[FittedStep]) -> None:
        self._steps = [
            (step.kind, _tensor(step.mean), _tensor_or_none(step.scale), _tensor_or_none(step.components))
            for step in steps
        ]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        for kind, mean, scale, components in self._steps:
            vectors = vectors - mean
            if scale is not None:
                vectors *= scale
            if components is not None:
                along = vectors @ components.T
                vectors = vectors - along @ components if kind == "remove_components" else along
        return vectors


def _apply(chains: Sequence[_Chain], vectors: torch.Tensor) -> torch.Tensor:
    return torch.stack([chain(vectors[:, layer]) for layer, chain in enumerate(chains)], dim=1)


def _tensor(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _tensor_or_none(values: NDArray[np.floating] | None) -> torch.Tensor | None:
    return None if values is None else _tensor(values)
