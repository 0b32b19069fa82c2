"""What fewer dimensions and fewer bytes cost, told without labels: whose nearest neighbours stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.calibration.recipe import REDUCING
from oneword.calibration.statistics import FittedStep, LayerStatistics
from oneword.combination import Combination
from oneword.method import Method
from oneword.precision import stored_size, stored_type

NEIGHBOURS = 10


@dataclass(frozen=True)
class Form:
    """Some texts' vectors in one form.

    Args:
        name: which: ``"uncalibrated"``, ``"calibrated"`` with all dimensions, ``"reduced"`` to fewer, or a precision.
        dimension: how many dimensions.
        size: bytes of a vector.
        mean_cosine: of two different texts.
        kept: which part of each text's nearest neighbours in the form that :func:`reference` names are among its
            nearest in this form, too.
    """

    name: str
    dimension: int
    size: int
    mean_cosine: float
    kept: float


def compare_forms(method: Method, statistics: LayerStatistics, answers: Sequence[torch.Tensor]) -> list[Form]:
    """A method's vectors as they are, calibrated, with fewer dimensions where the calibration says so, and as codes.

    Args:
        method: the calibrated method.
        statistics: of one layer.
        answers: each counting prompt's, (n, 1, d) of at least two texts.
    """
    whole = replace(statistics, combined=tuple(takewhile(_keeps_dimensions, statistics.combined)))
    forms: dict[str, tuple[str, LayerStatistics | None]] = {"uncalibrated": ("float32", None)}
    if whole.prompts or whole.combined:
        forms["calibrated"] = ("float32", whole)
    if len(whole.combined) < len(statistics.combined):
        forms["reduced"] = ("float32", statistics)
    forms["int8"] = ("int8", statistics)
    vectors = {
        name: Combination(method, precision, [used] if used else [])(answers)[:, 0].double().numpy()
        for name, (precision, used) in forms.items()
    }
    if vectors["int8"].shape[1] % 8 == 0:
        forms["binary"] = ("binary", statistics)
        vectors["binary"] = Combination(method, "binary", [statistics])(answers)[:, 0].double().numpy()
    cosines = {name: _cosines(values) for name, values in vectors.items()}
    near = {name: _nearest(values) for name, values in cosines.items()}
    known = near["calibrated" if "calibrated" in near else "uncalibrated"]
    return [
        Form(
            name,
            vectors[name].shape[1],
            stored_size(vectors[name].shape[1], precision) * stored_type(precision).itemsize,
            float(cosines[name][~np.eye(len(answers[0]), dtype=bool)].mean()),
            float(np.mean([len(here & there) / len(here) for here, there in zip(known, near[name])])),
        )
        for name, (precision, _) in forms.items()
    ]


def reference(forms: Sequence[Form]) -> str:
    """The form whose neighbours are to be kept: calibrated vectors of all dimensions, where the steps give such."""
    return "calibrated" if "calibrated" in [form.name for form in forms] else "uncalibrated"


def _keeps_dimensions(step: FittedStep) -> bool:
    return step.kind not in REDUCING or step.components is None or len(step.components) == len(step.mean)


def _cosines(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    found: NDArray[np.float64] = unit @ unit.T
    return found


def _nearest(cosines: NDArray[np.float64]) -> list[set[int]]:
    """The nearest others of each row."""
    others = cosines - 3 * np.eye(len(cosines))
    count = min(NEIGHBOURS, len(cosines) - 1)
    return [set(row) for row in np.argsort(-others, axis=1, kind="stable")[:, :count].tolist()]
