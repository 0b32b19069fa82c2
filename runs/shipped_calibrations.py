"""Fits the calibrations of the presets to the shipped pool, for the default model, and writes what ships.

python runs/shipped_calibrations.py [-o FOLDER]   # src/oneword/calibration/shipped

To be run again when the pool, a preset's prompts or its calibration change; older files are removed at the end.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from oneword import Embedder
from oneword.calibrated import fit_calibration
from oneword.calibration.shelf import statistics_name, write_statistics
from oneword.registry import presets
from oneword.shipped_pool import pool_texts

SHIPPED = Path(__file__).parent.parent / "src" / "oneword" / "calibration" / "shipped"
LAYERS = ["last", "proportional"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    options = parser.parse_args()
    older = set(options.output.glob("*-*-*-layer-*.safetensors"))
    model = Embedder(layer="last")
    for method in presets().methods.values():
        if method.calibration is None:
            continue
        layers = list(dict.fromkeys([*LAYERS, method.layer]))
        embedder = model.with_method(method, layer=layers)
        statistics = fit_calibration(embedder, method.calibration, pool_texts())
        plain = replace(embedder.method, calibration=None)
        key = (method.calibration.digest, plain.digest, embedder.loaded.weights, embedder.loaded.quantize)
        write_statistics(options.output, key, statistics)
        older -= {options.output / statistics_name(key, layer) for layer in statistics.layers}
        print(f"{method.name}: layers {', '.join(map(str, statistics.layers))}", flush=True)
    for file in older:
        file.unlink()


if __name__ == "__main__":
    main()
