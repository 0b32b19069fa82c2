"""Spearman correlation (in percent) of methods on STS-B: the table in README.md.

    python benchmarks/sts_b.py PATH/TO/sts-dev.csv --layer -1 --layer -3

The file is STS-B's own: tab-separated, the score in the fifth column, the two sentences in the sixth and seventh.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from oneword import Embedder

METHODS = ["prompteol", "pretended_cot", "knowledge", "ck", "metaeol"]


def read_pairs(path: Path) -> tuple[list[str], list[str], list[float]]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [row[5] for row in rows], [row[6] for row in rows], [float(row[4]) for row in rows]


def score(first: np.ndarray, second: np.ndarray, gold: list[float]) -> float:
    cosine = (first * second).sum(-1) / (np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1))
    return 100 * float(spearmanr(cosine, gold).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--method", action="append")
    parser.add_argument("--layer", type=int, action="append")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    first, second, gold = read_pairs(options.data)
    layers = options.layer or [-1, -3]
    print("method", *(f"layer {layer}" for layer in layers), "seconds", sep="\t")
    for method in options.method or METHODS:
        embedder = Embedder(options.model, method=method, layer=layers, dtype=options.dtype)
        started = time.perf_counter()
        vectors = embedder.encode(first + second)
        seconds = time.perf_counter() - started
        scores = [score(vectors[: len(first), i], vectors[len(first) :, i], gold) for i in range(len(layers))]
        print(method, *(f"{value:.2f}" for value in scores), f"{seconds:.0f}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
