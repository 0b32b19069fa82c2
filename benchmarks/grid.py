"""What a grid of steerings costs beside one plain forward pass, and beside one pass for each steering.

    python benchmarks/grid.py PATH/TO/sts-dev.csv --texts 256

Of the default model and PromptEOL, at all layers; the grid is the one of `oneword tune`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from oneword import Embedder
from oneword.evaluation.tuning import make_grid, paper_blocks


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lines = options.data.read_text(encoding="utf-8").splitlines()
    texts = sorted({line.split("\t")[5] for line in lines}, key=len)[-options.texts * 2 :: 2]
    plain = Embedder(layer="all")
    grid = make_grid(plain.method, paper_blocks(plain.layers[-1]))
    steered = plain.with_method(plain.method, layer="all", steering=grid[0])
    runs = {
        "plain": lambda: plain.encode(texts),
        "one steering": lambda: steered.encode(texts),
        "grid": lambda: plain.compute_grid(texts, grid),
    }
    plain.encode(texts[:8])
    times = {name: min(seconds(run) for _ in range(options.rounds)) for name, run in runs.items()}
    print(*(f"{name}: {time:.1f} s" for name, time in times.items()), sep="; ")
    print(f"grid of {len(grid)} / plain: {times['grid'] / times['plain']:.2f}")
    print(f"one pass a steering / grid: {(times['plain'] + len(grid) * times['one steering']) / times['grid']:.1f}")


if __name__ == "__main__":
    main()
