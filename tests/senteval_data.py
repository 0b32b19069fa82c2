"""A small copy of SentEval's layout, written for the tests: all seven STS tasks and the development sets."""

from __future__ import annotations

import random
from pathlib import Path

from oneword.evaluation.sentence_pairs import YEARS

_WORDS = ["a", "cat", "dog", "man", "woman", "child", "sits", "runs", "sleeps", "plays", "on", "in", "the", "red"]
_WORDS += ["small", "old", "house", "garden", "street", "ball", "guitar"]


def write_sts(data: Path, pairs: int = 8, seed: int = 1) -> Path:
    """Write tasks of ``pairs`` pairs a dataset; sentences that share words have high scores."""
    generator = random.Random(seed)

    def pair() -> tuple[str, str, str]:
        first = generator.choices(_WORDS, k=generator.randint(3, 9))
        second = [word if generator.random() < 0.6 else generator.choice(_WORDS) for word in first]
        score = 5 * sum(one == other for one, other in zip(first, second)) / len(first)
        return " ".join(first), " ".join(second), f"{score:.3f}"

    for year, datasets in YEARS.items():
        folder = data / "STS" / f"{year}-en-test"
        folder.mkdir(parents=True)
        for dataset in datasets:
            rows = [pair() for _ in range(pairs)]
            (folder / f"STS.input.{dataset}.txt").write_text("".join(f"{a}\t{b}\n" for a, b, _ in rows))
            (folder / f"STS.gs.{dataset}.txt").write_text("".join(f"{score}\n" for *_, score in rows))
    benchmark = data / "STS" / "STSBenchmark"
    benchmark.mkdir()
    for split in ("train", "dev", "test"):
        rows = [pair() for _ in range(pairs)]
        lines = [f"main\tnews\t2012\t{number}\t{score}\t{a}\t{b}\n" for number, (a, b, score) in enumerate(rows)]
        (benchmark / f"sts-{split}.csv").write_text("".join(lines))
    (data / "SICK").mkdir()
    for split in ("train", "test_annotated", "trial"):
        rows = [pair() for _ in range(pairs)]
        lines = [f"{number}\t{a}\t{b}\t{score}\tNEUTRAL\n" for number, (a, b, score) in enumerate(rows)]
        heading = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
        (data / "SICK" / f"SICK_{split}.txt").write_text(heading + "".join(lines))
    return data
