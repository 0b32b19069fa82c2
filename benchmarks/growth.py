"""How oneword's time grows with texts, prompts, text length and layers: the second table of docs/performance.md.

    python benchmarks/growth.py --plot growth.png

All settings take turns, round by round; what is shown are medians. Every setting is a fraction of the machine's floor
too, so that runs of other days can be told apart from other settings.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from oneword import Embedder
from oneword.benchmark.floor import floor_of, measure_rates
from oneword.benchmark.shipped import corpus
from oneword.figures import BLUE, new_figure, save_figure
from oneword.registry import find_method

TEXTS = [8, 30, 100, 300]
PROMPTS = [1, 2, 4, 8]
TOKENS = [10, 30, 100, 300, 1000, 4000]
LAYERS = [1, 5, 10, 20, 30]
Setting = tuple[Embedder, list[str]]


def settings(texts: list[str]) -> dict[str, dict[int, Setting]]:
    """What is measured, by what grows and how large it is."""
    whole = Embedder(method="metaeol", layer=30)
    prompteol = whole.with_method("prompteol", layer=28)
    prompts = find_method("metaeol").prompts
    words = " ".join(texts).split()
    few = texts[:64]
    return {
        "texts (PromptEOL)": {count: (prompteol, texts[:count]) for count in TEXTS},
        "prompts of MetaEOL (64 texts)": {
            count: (whole.with_method(method_of(prompts[:count]), layer=28), few) for count in PROMPTS
        },
        "tokens a text (PromptEOL, 4,000 in all)": {
            tokens: (prompteol, cut_to(prompteol, words, tokens, 4000 // tokens)) for tokens in TOKENS
        },
        "layer (PromptEOL, 64 texts)": {layer: (whole.with_method("prompteol", layer=layer), few) for layer in LAYERS},
    }


def method_of(prompts):
    from oneword import Method

    return Method("some", list(prompts), cleaning=find_method("metaeol").cleaning)


def cut_to(embedder: Embedder, words: list[str], tokens: int, count: int) -> list[str]:
    """Texts of about so many tokens, each of its own words."""
    found = []
    for number in range(count):
        ids = embedder._backbone.tokenizer(" ".join(np.roll(words, -37 * number)))["input_ids"][:tokens]
        found.append(embedder._backbone.tokenizer.decode(ids).strip() or f"text {number}")
    return [f"{text} {number}" if found.count(text) > 1 else text for number, text in enumerate(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found = settings(corpus())
    seconds: dict[tuple[str, int], list[float]] = {}
    floors: dict[tuple[str, int], list[float]] = {}
    for turn in range(options.rounds + 1):
        for what, sizes in found.items():
            for size, (embedder, texts) in sizes.items():
                rates = measure_rates(embedder._backbone)
                started = time.perf_counter()
                embedder.encode(texts)
                if turn:  # the first is for warming up
                    seconds.setdefault((what, size), []).append(time.perf_counter() - started)
                    floors.setdefault((what, size), []).append(floor_of(embedder, texts, rates))
    for what, sizes in found.items():
        print(f"\n| {what} | seconds | least to most | ms a text | of the floor |\n| --- | --- | --- | --- | --- |")
        for size, (_, texts) in sizes.items():
            runs = seconds[what, size]
            ratio = statistics.median(floor / run for floor, run in zip(floors[what, size], runs))
            middle = statistics.median(runs)
            print(
                f"| {size:,} | {middle:.3f} | {min(runs):.3f} to {max(runs):.3f} | {1000 * middle / len(texts):.1f} | "
                f"{ratio:.2f} |"
            )
    if options.plot is not None:
        figure, panels = new_figure(6.0, 9.0, len(found))
        for axes, (what, sizes) in zip(panels, found.items()):
            times = [statistics.median(seconds[what, size]) for size in sizes]
            axes.plot(list(sizes), times, "o-", color=BLUE, markersize=4)
            axes.set_xlabel(what, fontsize=9)
            axes.set_ylabel("seconds", fontsize=9)
            axes.set_ylim(bottom=0)
            if max(sizes) > 100:
                axes.set_xscale("log")
        save_figure(figure, options.plot)


if __name__ == "__main__":
    main()
