"""oneword against a plain transformers loop, interleaved in one run: the ratios in docs/engine.md.

    python benchmarks/speed.py --method metaeol --texts 300

The plain loop is the papers' way, kindly done: every prompt in full, left padding, batches of 32 sorted by length,
the whole model with `output_hidden_states=True`, the last token read. It runs in the same number format as oneword,
and once more in float32, as the papers' scripts ship it. Ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from oneword import Embedder
from oneword.models.device import resolve_dtype
from oneword.models.source import find_source
from oneword.prompt import clean_text
from oneword.registry import find_method

CORPUS = Path(__file__).parent.parent / "examples" / "corpus.csv"


class PlainLoop:
    def __init__(self, method: str, layer: int, dtype: torch.dtype) -> None:
        folder = str(find_source(None, dtype).folder)
        self.method, self.layer = find_method(method), layer
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> torch.Tensor:
        vectors = 0
        for prompt in self.method.prompts:
            rendered = [prompt.render(clean_text(text, self.method.cleaning)) for text in texts]
            order = sorted(range(len(rendered)), key=lambda i: len(rendered[i]))
            answers = [torch.empty(0)] * len(rendered)
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                batch = self.tokenizer([rendered[i] for i in rows], padding=True, return_tensors="pt")
                hidden = self.model(**batch, output_hidden_states=True).hidden_states[self.layer][:, -1].float()
                for row, answer in zip(rows, hidden):
                    answers[row] = answer
            vectors = vectors + torch.stack(answers)
        return vectors / len(self.method.prompts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="metaeol")
    parser.add_argument("--layer", type=int, default=-3)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-float32", action="store_true", help="leave out the slowest of the three")
    options = parser.parse_args()
    with CORPUS.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][: options.texts]
    dtype = resolve_dtype("auto", torch.device("cpu"))
    runners = {
        "oneword": Embedder(method=options.method, layer=options.layer, device="cpu"),
        "plain, same dtype": PlainLoop(options.method, options.layer, dtype),
    }
    if not options.no_float32:
        runners["plain, float32"] = PlainLoop(options.method, options.layer, torch.float32)
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    vectors = {}
    for round_number in range(options.rounds + 1):
        for name, runner in runners.items():
            started = time.perf_counter()
            vectors[name] = torch.as_tensor(runner.encode(texts))
            if round_number:  # the first is for warming up
                seconds[name].append(time.perf_counter() - started)
    print(f"{options.method}, layer {options.layer}, {dtype}, {len(texts)} texts, {options.rounds} rounds")
    for name, runs in seconds.items():
        ratios = [plain / ours for plain, ours in zip(runs, seconds["oneword"])]
        cosine = torch.cosine_similarity(vectors[name], vectors[list(runners)[-1]]).min().item()
        print(
            f"{name:<18} {statistics.median(runs):7.2f} s  ({min(runs):.2f} to {max(runs):.2f})  "
            f"{len(texts) / statistics.median(runs):6.1f} texts/s  time ÷ oneword's: {statistics.median(ratios):5.2f}  "
            f"least cosine to the last row: {cosine:.5f}"
        )


if __name__ == "__main__":
    main()
