"""What a calibration was fitted to, and the safetensors file that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from oneword.calibration.recipe import Calibration, Step
from oneword.errors import FingerprintError, MethodError

_KEY = "oneword"  # of the file's metadata
_COMBINED = "combined"
_PARTS = ("mean", "scale", "components")


@dataclass(frozen=True, eq=False)
class FittedStep:
    """One step with its numbers: ``(x - mean) * scale``, and then what is said of ``components``.

    Args:
        kind: as in :class:`~oneword.calibration.recipe.Step`.
        mean: (d,).
        scale: (d,), or None.
        components: (k, d), or None: taken away, or, of a step that reduces dimensions, what is kept.
    """

    kind: str
    mean: NDArray[np.floating]
    scale: NDArray[np.floating] | None = None
    components: NDArray[np.floating] | None = None


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """The fitted steps of one layer.

    Args:
        prompts: those before the combination, for each prompt; empty where there are none.
        combined: those after it.
    """

    prompts: Sequence[tuple[FittedStep, ...]] = ()
    combined: tuple[FittedStep, ...] = ()


@dataclass(frozen=True)
class Source:
    """What statistics are of.

    Args:
        recipe: :attr:`Calibration.recipe`.
        method: digest of the uncalibrated method.
        quantize: of the model's weights.
        weights: digest of the model's weights.
        fingerprint: of the uncalibrated vectors, to be shown; the number format it names is the one thing in which
            vectors may differ from those that the statistics were made of.
        model: what it was called.
        texts: how many.
        version: of oneword.
    """

    recipe: list[Any]
    method: str
    quantize: str
    weights: str
    fingerprint: str
    model: str
    texts: int
    version: str


@dataclass(frozen=True, eq=False)
class Statistics:
    """A calibration's statistics for one method on one model.

    Args:
        source: what they are of.
        layers: by index from 0.
    """

    source: Source
    layers: Mapping[int, LayerStatistics]

    def check(self, calibration: Calibration, method: str, quantize: str, weights: str, fingerprint: str) -> None:
        """Refuse vectors of something else.

        Args:
            calibration: what the method says it is calibrated with.
            method: digest of the uncalibrated method.
            quantize: of the model's weights.
            weights: digest of the model's weights.
            fingerprint: of the uncalibrated vectors.

        Raises:
            FingerprintError: both are named.
        """
        source = self.source
        if (source.method, source.quantize, source.weights) != (method, quantize, weights):
            raise FingerprintError(
                f"the calibration was fitted on vectors of {source.fingerprint}, but these are of {fingerprint}; "
                "calibrate this method on this model: oneword calibrate"
            )
        if source.recipe != calibration.recipe:
            raise FingerprintError(
                f"the calibration's statistics are of {source.recipe}, but the method says {calibration.recipe}; "
                "calibrate it again: oneword calibrate"
            )

    def of_layers(self, layers: Sequence[int]) -> list[LayerStatistics]:
        """The statistics of these layers.

        Raises:
            FingerprintError: there are none of one of them.
        """
        for layer in layers:
            if layer not in self.layers:
                known = ", ".join(map(str, self.layers))
                raise FingerprintError(
                    f"the calibration was fitted at layer {known}, not at layer {layer}; read that layer, or calibrate "
                    "the method there: oneword calibrate --layer"
                )
        return [self.layers[layer] for layer in layers]

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {
            f"{layer}/{where}/{place}/{part}": np.ascontiguousarray(getattr(step, part), dtype=np.float32)
            for layer, statistics in self.layers.items()
            for where, steps in [*enumerate(statistics.prompts), (_COMBINED, statistics.combined)]
            for place, step in enumerate(steps)
            for part in _PARTS
            if getattr(step, part) is not None
        }
        return save(tensors, metadata={_KEY: json.dumps(asdict(self.source))})

    @classmethod
    def read(cls, path: Path) -> Statistics:
        """Back from :meth:`to_bytes`.

        Raises:
            MethodError: no such file, or one that holds something else.
        """
        try:
            with safe_open(path, "numpy") as file:
                source = Source(**json.loads((file.metadata() or {})[_KEY]))
                keys = file.keys()
                tensors = {key: file.get_tensor(key) for key in keys}
            return cls(source, _layers(source, tensors))
        except FileNotFoundError:
            raise MethodError(f"no file {path}, which holds the method's calibration; calibrate it again") from None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise MethodError(f"{path} holds no calibration's statistics ({reason}); calibrate again") from None


def _layers(source: Source, tensors: Mapping[str, NDArray[np.float32]]) -> dict[int, LayerStatistics]:
    steps, fitted, texts = source.recipe
    calibration = Calibration([Step.of(step) for step in steps], fitted, texts)
    layers = {}
    for layer in sorted({int(key.split("/")[0]) for key in tensors}):
        prompts = {key.split("/")[1] for key in tensors if key.startswith(f"{layer}/")} - {_COMBINED}
        layers[layer] = LayerStatistics(
            tuple(_steps(calibration.before, f"{layer}/{prompt}", tensors) for prompt in sorted(map(int, prompts))),
            _steps(calibration.after, f"{layer}/{_COMBINED}", tensors),
        )
    return layers


def _steps(steps: Sequence[Step], where: str, tensors: Mapping[str, NDArray[np.float32]]) -> tuple[FittedStep, ...]:
    found = []
    for place, step in enumerate(steps):
        mean, scale, components = (f"{where}/{place}/{part}" for part in _PARTS)
        found.append(FittedStep(step.kind, tensors[mean], tensors.get(scale), tensors.get(components)))
    return tuple(found)
