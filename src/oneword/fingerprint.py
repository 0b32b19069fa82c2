"""What vectors must have in common before their similarity means anything."""

from __future__ import annotations

from collections.abc import Sequence

from oneword.errors import FingerprintError
from oneword.method import Method


def make_fingerprint(
    method: Method, layers: Sequence[int], dtype: str, quantize: str, weights: str, precision: str = "float32"
) -> str:
    """A readable name of weights, method, layer and number format, that of the vectors where it is not float32.

    Example: ``prompteol-9f86d081/layer-30/bfloat16/weights-2a6fce1a8433``.
    """
    layer = "layer-" + ",".join(map(str, layers))
    number_format = dtype if quantize == "none" else f"{dtype}+{quantize}"
    if precision != "float32":
        number_format += f",{precision}-vectors"
    return f"{method.name}-{method.digest}/{layer}/{number_format}/weights-{weights}"


def check_same_fingerprint(first: str, first_name: str, second: str, second_name: str) -> None:
    """Refuse to compare vectors of different fingerprints.

    Raises:
        FingerprintError: they differ; both are named.
    """
    if first != second:
        raise FingerprintError(
            f"{first_name} has fingerprint {first}, but {second_name} has {second}: vectors of different models, "
            "methods, layers or number formats cannot be compared; embed both the same way"
        )
