"""An embedder's calibration: fitted on texts, or found where it was fitted before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oneword import __version__
from oneword.calibration.fitting import check_enough, fit, rounds
from oneword.calibration.recipe import Calibration
from oneword.calibration.shelf import find_statistics
from oneword.calibration.statistics import Source, Statistics
from oneword.errors import MethodError
from oneword.progress import progress_bar
from oneword.shipped_pool import pool_texts

if TYPE_CHECKING:
    from oneword.embedder import Embedder


def find_calibration(embedder: Embedder) -> Statistics:
    """The statistics of an embedder's calibrated method at the layers that it reads.

    Those that the method brings; else those of the shipped pool, which came along, were made before, or are made now.

    Raises:
        FingerprintError: the method brings those of another method, model, layer, or calibration.
        MethodError: it brings a file that does not hold any, or none of the texts that it names.
        OnewordError: they cannot be made.
    """
    calibration, plain = embedder.method.calibration, replace(embedder.method, calibration=None)
    assert calibration is not None, "a calibrated method"
    given, loaded = calibration.statistics, embedder.loaded
    if given is None:
        if not calibration.on_pool:
            raise MethodError(
                f"method '{embedder.method.name}': its calibration is of texts {calibration.texts}, but their "
                "statistics are missing; name their file as statistics, or leave texts out to take the shipped pool's"
            )
        key = (calibration.digest, plain.digest, loaded.weights, loaded.quantize)
        return find_statistics(key, embedder.layers, partial(_fit_to_pool, embedder, calibration))
    statistics = Statistics.read(given) if isinstance(given, Path) else given
    shown = embedder.fingerprint_of(embedder.layers, plain)
    statistics.check(calibration, plain.digest, loaded.quantize, loaded.weights, shown)
    statistics.of_layers(embedder.layers)
    return statistics


def fit_calibration(
    embedder: Embedder,
    calibration: Calibration,
    texts: Sequence[str],
    on_texts: Callable[[int], object] = lambda texts: None,
) -> Statistics:
    """A calibration fitted on what an embedder's method answers, uncalibrated, at all layers that it reads.

    Args:
        embedder: of any method; its own calibration does not matter.
        calibration: the steps.
        texts: different texts, none of them empty.
        on_texts: told how many more texts are done, in each of :func:`~oneword.calibration.fitting.rounds`.

    Raises:
        InputError: too few texts.
        ModelError: answers that are not finite numbers.
    """
    method = replace(embedder.method, calibration=None)
    prompts = len(method.counting)
    size = embedder.width // prompts if method.combine == "concat" else embedder.width
    check_enough(calibration, len(texts), size, embedder.width, prompts)
    ordered = sorted(texts, key=len, reverse=True)
    cut_before = embedder.cut_texts
    layers = fit(calibration, method, embedder.layers, partial(embedder.answers, ordered, on_texts))
    embedder.cut_texts = cut_before + (embedder.cut_texts - cut_before) // rounds(calibration, method)
    loaded = embedder.loaded
    source = Source(
        recipe=calibration.recipe,
        method=method.digest,
        quantize=loaded.quantize,
        weights=loaded.weights,
        fingerprint=embedder.fingerprint_of(embedder.layers, method),
        model=embedder.model,
        texts=len(texts),
        version=__version__,
    )
    return Statistics(source, dict(zip(embedder.layers, layers)))


def _fit_to_pool(embedder: Embedder, calibration: Calibration) -> Statistics:
    what = f"{embedder.method.name}: fitting its calibration, once for this model"
    texts, cut_before = pool_texts(), embedder.cut_texts
    with progress_bar(len(texts) * rounds(calibration, embedder.method), None, what) as on_texts:
        statistics = fit_calibration(embedder, calibration, texts, on_texts)
    embedder.cut_texts = cut_before  # of the caller's texts
    return statistics
