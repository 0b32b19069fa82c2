"""Calibration of the default model: what ships, and that statistics of one number format serve another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oneword import Embedder, calibrated
from oneword.calibrated import fit_calibration
from oneword.combination import Combination
from oneword.registry import presets
from oneword.shipped_pool import pool_texts

pytestmark = pytest.mark.slow
TEXTS = ["The parcel never came.", "Where is my order?", "Share prices fell.", "It rained all night.", "A joy to use!"]
CALIBRATED = [name for name, method in presets().methods.items() if method.calibration is not None]


@pytest.fixture(scope="module")
def model():
    return Embedder(layer="last")


@pytest.mark.parametrize("layer", [None, "last", "proportional"])
@pytest.mark.parametrize("name", CALIBRATED)
def test_the_presets_statistics_come_along(model, name, layer, monkeypatch, tmp_path):
    monkeypatch.setenv("ONEWORD_CACHE", str(tmp_path))
    monkeypatch.setattr(calibrated, "fit_calibration", lambda *given: pytest.fail("fitted anew"))
    embedder = model.with_method(name, layer=layer)
    vectors = embedder.encode(TEXTS)
    assert np.isfinite(vectors).all()
    plain = replace(embedder.method, calibration=None)
    uncalibrated = model.with_method(plain, layer=layer).encode(TEXTS)
    assert np.abs(cosines(vectors)).mean() < np.abs(cosines(uncalibrated)).mean() / 2


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


def test_statistics_of_bfloat16_and_of_float32_are_interchangeable(model):
    """docs/calibration.md states the tolerance."""
    embedders = [
        Embedder(method="prompteol_calibrated", layer=["last", "proportional"], dtype=dtype)
        for dtype in ("float32", "bfloat16")
    ]
    assert embedders[0].statistics.source.weights == embedders[1].statistics.source.weights
    made = [fit_calibration(embedder, embedder.method.calibration, pool_texts()) for embedder in embedders]
    (section,) = embedders[0].answers(list(pool_texts()[:100]))
    answers = list(section)
    method = embedders[0].method
    first, second = (
        Combination(method, statistics=statistics.of_layers(embedders[0].layers))(answers).numpy()
        for statistics in made
    )
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    assert ((first * second).sum(axis=-1) / lengths).min() > 0.999


def test_what_ships_is_what_is_fitted(model):
    embedder = model.with_method("ck_calibrated")
    shipped = embedder.combination(embedder.layers)
    made = fit_calibration(embedder, embedder.method.calibration, pool_texts())
    (section,) = embedder.answers(TEXTS)
    answers = list(section)
    fitted = Combination(embedder.method, statistics=made.of_layers(embedder.layers))
    np.testing.assert_allclose(shipped(answers), fitted(answers), atol=0.05)
