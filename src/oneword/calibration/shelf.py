"""Statistics of calibrations on the shipped pool: those that come with oneword, and those that were made here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from oneword.calibration.statistics import Statistics
from oneword.errors import MethodError, OutputError
from oneword.models.cache import cache_folder
from oneword.whole_file import write_whole


def find_statistics(key: Sequence[str], layers: Sequence[int], make: Callable[[], Statistics]) -> Statistics:
    """The statistics of some layers: those shipped, else those made before, else made now and kept for next time.

    Args:
        key: what they are of: digests of calibration, method and weights, and how these are quantized.
        layers: indices from 0.
        make: fits those of these layers.

    Raises:
        OnewordError: they cannot be made.

    Warns:
        UserWarning: they cannot be kept.
    """
    found = [one for layer in layers if (one := _kept(statistics_name(key, layer))) is not None]
    if len(found) == len(layers):
        return Statistics(found[0].source, {layer: one.layers[layer] for layer, one in zip(layers, found)})
    made = make()
    try:
        write_statistics(_cache(), key, made)
    except OutputError as error:
        warnings.warn(f"{error}: the calibration is fitted anew each time; set ONEWORD_CACHE", stacklevel=2)
    return made


def write_statistics(folder: Path, key: Sequence[str], statistics: Statistics) -> None:
    """Keep statistics under their key, a file for each layer.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from None
    for layer, one in statistics.layers.items():
        write_whole(folder / statistics_name(key, layer), Statistics(statistics.source, {layer: one}).to_bytes())


def statistics_name(key: Sequence[str], layer: int) -> str:
    """What the file of one layer's statistics is called."""
    return "-".join([*key, f"layer-{layer}.safetensors"])


def _kept(name: str) -> Statistics | None:
    shipped = files("oneword") / "calibration" / "shipped" / name
    if shipped.is_file():
        with as_file(shipped) as path:
            return Statistics.read(path)
    try:
        return Statistics.read(_cache() / name)
    except MethodError:  # none yet, or a broken one, which is made again
        return None


def _cache() -> Path:
    return cache_folder() / "calibrations"
