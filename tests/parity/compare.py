"""The texts and methods of the parity tests, and when two vectors are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oneword import Embedder, Method
from oneword.registry import presets
from parity.oracle import Oracle

TEXTS = [
    "Rain",
    "The river came over the road in the night and took the mill, three sheep, a bridge that my father had built, and "
    "most of what we had stored for the winter, so nobody knew where the field ended",
    "It is late.",
    "Is it late?",
    'He said "go", and then "stop"',
    "They call it 'home'",
    " spaces at both ends ",
    "...and then what?!",
    '"Why not?" she asked',
    "7 of 9 were late",
    "cafe\u0301 \U0001f469\u200d\U0001f680 日本語 שלום",
    "line one\nline two\n\n\tline three",
    "Rain",
]

# Nothing is cleaned, so that quotes and questions reach the model; one prompt begins with the text, one is the text
UNCLEANED = Method(
    "uncleaned",
    ['Asked about "{text}" I say:"', '{text} - in one word: "', "{text}", "  The word for {text} is  "],
    combine="concat",
    cleaning="none",
)
# What calibration makes of these is held to a naive one in test_calibration.py
UNCALIBRATED = {name: method for name, method in presets().methods.items() if method.calibration is None}
METHODS = {**UNCALIBRATED, "uncleaned": UNCLEANED}
# Those that a decoder can serve; masks are for masked LMs
DECODER_METHODS = [name for name, method in METHODS.items() if method.pooling != "mask_token"]
# One prompt, the mean of two, eight side by side, no cleaning
KINDS = ["prompteol", "ck", "metaeol_concat", "uncleaned"]


# A batch size and an order of the texts
Run = tuple[int | None, list[int]]


def runs_of(texts: Sequence[str]) -> list[Run]:
    """All texts in one batch, and in batches of three from the last to the first."""
    forwards = list(range(len(texts)))
    return [(None, forwards), (3, forwards[::-1])]


def embedder(
    folder: Path | None, method: str | Method, layer: int | list[int] | None = None, dtype: str = "float32"
) -> Embedder:
    """On the CPU; the default model where no folder is given."""
    return Embedder(folder, method=_named(method), layer=layer, dtype=dtype, device="cpu")


def check_layers(
    oracle: Oracle,
    folder: Path | None,
    method: str | Method,
    runs: Sequence[Run],
    texts: Sequence[str] = TEXTS,
    layers: list[int] | None = None,
) -> None:
    """Hold all layers, computed in one pass, to the oracle; a run is a batch size and an order of the texts."""
    layers = layers or layers_of(oracle)
    model = embedder(folder, method, layers)
    expected = np.stack([oracle.vectors(_named(method), texts, layer) for layer in layers], axis=1)
    what = method if isinstance(method, str) else f"{method.name}, {method.pooling}, {method.steering}"
    for batch_size, order in runs:
        found = model.encode([texts[index] for index in order], batch_size=batch_size)
        for place, layer in enumerate(layers):
            assert_same(found[:, place], expected[order, place], f"{what}, layer {layer}, batch size {batch_size}")


def layers_of(oracle: Oracle) -> list[int]:
    """First, last and between; the last only where it is as wide as the others, as a list must be (not in OPT-350M)."""
    depth = oracle.depth()
    layers = list(dict.fromkeys([0, 1, depth // 2, -2, -1]))
    states = oracle.states([1, 2, 3])
    return layers if states[-1].shape == states[0].shape else layers[:-1]


def _named(method: str | Method) -> Method:
    return METHODS[method] if isinstance(method, str) else method


def assert_same(found: np.ndarray, expected: np.ndarray, what: str, relative: float = 1e-4) -> None:
    """Cosine and largest difference, text by text, as float32 allows."""
    assert found.shape == expected.shape, what
    assert found.dtype == np.float32, what
    assert np.isfinite(found).all(), what
    nothing = (expected == 0).all(axis=-1)
    assert (found[nothing] == 0).all(), f"{what}: something, where nothing is left"
    found, expected = found[~nothing], expected[~nothing]
    if not len(expected):
        return
    worst = (np.abs(found - expected).max(axis=-1) / np.linalg.norm(expected, axis=-1)).max()
    assert worst < relative, f"{what}: differs by {worst:.1e} of the norm"
    assert cosines(found, expected).min() >= 0.99999, what


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Row by row, in float64."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return (found * expected).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(expected, axis=-1)


def largest_cosine(vectors: np.ndarray) -> float:
    """Of any two different rows."""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return float((unit @ unit.T - 2 * np.eye(len(unit))).max())
