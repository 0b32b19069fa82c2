"""What calibration gives: which, for which method and layer, from how many sentences of what kind, and at what price.

python benchmarks/calibration.py SECTION[,SECTION] --data DIR [--datasets DIR] [--model M] -o FOLDER

Sections: methods, place, sentences, steering, layers, dimensions: on the STS sets that DIR holds. transfer: SentEval's
CR and TREC. retrieval: MRPC's paraphrases, each sought among all of its sentences. clusters: banking77 and
tweet_emotion in --datasets, by k-means and by the nearest text.

Scores are Spearman x 100 averaged over the sets, or percent; in brackets is the 95 % paired bootstrap interval of the
difference to the first row. Prompts' answers are kept in FOLDER, so that nothing is computed twice; each table is
written there as Markdown, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneword import Embedder, Method
from oneword.calibration.fitting import fit
from oneword.calibration.recipe import DEFAULT_STEPS, Calibration, Fitted, StepLike
from oneword.combination import Combination
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.intervals import bootstrap_rows, spearman
from oneword.evaluation.sentence_pairs import missing_folder, read_pairs
from oneword.evaluation.sts import cosines
from oneword.registry import find_method
from oneword.shipped_pool import pool_texts

Floats = NDArray[np.floating]
Layer = int | str

LAYERS: tuple[Layer, ...] = ("last", -3)
AVERAGED: tuple[tuple[Layer, ...], ...] = (
    ("last",),
    (-3,),
    (-3, "last"),
    (-5, -3, "last"),
    (-7, -5, -3),
    (-9, -6, -3),
)
_CHUNK = 2000  # texts that are asked together
STANDARDIZE: Sequence[StepLike] = ["standardize"]
CHAINS: dict[str, Sequence[StepLike]] = {
    "plain": (),
    "center": ["center"],
    "standardize": STANDARDIZE,
    "remove 1": [{"remove_components": 1}],
    "remove 5": [{"remove_components": 5}],
    "standardize, remove 1": ["standardize", {"remove_components": 1}],
    "standardize, remove 5": ["standardize", {"remove_components": 5}],
    "standardize, remove 10": ["standardize", {"remove_components": 10}],
    "whiten to 128": [{"whiten": 128}],
}
FEW = ("plain", "standardize", "remove 5", "standardize, remove 5")


@dataclass(frozen=True)
class Row:
    """A row of a table: a method, and what is done to its vectors.

    Args:
        method: uncalibrated.
        layers: that are read; of several, the calibrated vectors' mean.
        chain: the calibration's steps.
        on: the texts that it is fitted on; None: those that are evaluated.
        fitted: before or after the prompts are combined.
        precision: of the vectors.
    """

    method: Method
    layers: tuple[Layer, ...]
    chain: Sequence[StepLike] = ()
    on: Sequence[str] | None = pool_texts()
    fitted: Fitted = "prompts"
    precision: str = "float32"


class Bench:
    """Vectors of methods under calibrations, from prompts' answers that are kept."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._model = Embedder(options.model, layer="last")
        self.width = self._model.width
        self._store = AnswerStore(options.output / "answers")
        self.pairs = [
            read_pairs(options.data, task).evenly(options.pairs)
            for task in options.tasks
            if missing_folder(options.data, task) is None
        ]

    def vectors(self, row: Row, texts: Sequence[str]) -> Floats:
        """Of the texts, (n, d)."""
        return np.asarray(np.mean([self._of_layer(row, layer, texts) for layer in row.layers], axis=0))

    def _of_layer(self, row: Row, layer: Layer, texts: Sequence[str]) -> Floats:
        statistics: Any = []
        if row.chain:
            known = self._answers(row.method, layer, list(dict.fromkeys(texts if row.on is None else row.on)))
            statistics = fit(Calibration(row.chain, row.fitted), row.method, [0], lambda: [known])
        combination = Combination(row.method, row.precision, statistics)
        return combination(self._answers(row.method, layer, texts))[:, 0].numpy()

    def read_ahead(self, methods: Sequence[str], layers: Sequence[Any], texts: Sequence[str]) -> None:
        """Ask the prompts of several methods in one pass, which is kept."""
        prompts = tuple(dict.fromkeys(prompt for name in methods for prompt in find_method(name).prompts))
        every = replace(find_method("metaeol"), name="all", prompts=prompts)
        embedder = self._model.with_method(every, layer=layers)
        texts = list(dict.fromkeys([*pool_texts(), *texts]))
        for start in range(0, len(texts), _CHUNK):
            self._store.answers(embedder, texts[start : start + _CHUNK])

    def read_sts(self, methods: Sequence[str]) -> None:
        """The same, of the STS sets at every layer that a section reads."""
        layers = list({layer: None for chosen in AVERAGED for layer in chosen})
        self.read_ahead(methods, layers, [text for task in self.pairs for text in (*task.first, *task.second)])

    def _answers(self, method: Method, layer: Any, texts: Sequence[str]) -> list[torch.Tensor]:
        """Each prompt's, (n, 1, d)."""
        one = self._model.with_method(method, layer=[layer])
        return [torch.from_numpy(answer) for answer in self._store.answers(one, texts)]

    def sts(self, name: str, rows: Mapping[str, Row]) -> None:
        """A table of what each row scores on each set, on average, and more than the first."""
        items: list[list[Any]] = []
        for row in rows.values():
            items.append([])
            for task in self.pairs:
                vectors = self.vectors(row, [*task.first, *task.second])
                items[-1].append({"cosine": cosines(vectors).tolist(), "gold": task.gold})
        scores = [[spearman(one["cosine"], one["gold"]) for one in row] for row in items]
        self.table(name, [task.task for task in self.pairs], rows, scores, items)

    def table(
        self, name: str, tasks: Sequence[str], rows: Mapping[str, Row], scores: Any, items: Any, last: Any = None
    ) -> None:
        """Print a table, and keep it."""
        headings = ["", *tasks, "mean", "more than the first", *(last or {})]
        lines = [headings, ["---"] * len(headings)]
        for place, (shown, interval) in enumerate(zip(rows, bootstrap_rows(items))):
            gain = "" if interval.difference is None else f"[{interval.difference:+}]"
            numbers = [f"{score:.2f}" for score in (*scores[place], np.mean(scores[place]))]
            lines.append([shown, *numbers, gain, *(column[place] for column in (last or {}).values())])
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        print(f"\n{name}\n\n{text}", flush=True)
        (self.options.output / f"{name.replace(' ', '_')}.md").write_text(text, encoding="utf-8")


def methods(bench: Bench) -> None:
    """Which calibration, for which method and layer."""
    names = ("prompteol", "pretended_cot", "knowledge", "ck", "metaeol")
    bench.read_sts(names)
    for name in names:
        for layer in LAYERS:
            plain = Row(find_method(name), (layer,))
            bench.sts(f"methods {name} {layer}", {shown: replace(plain, chain=CHAINS[shown]) for shown in CHAINS})


def place(bench: Bench) -> None:
    """Before the prompts are combined, or after."""
    for name in ("ck", "metaeol"):
        for layer in LAYERS:
            plain = Row(find_method(name), (layer,))
            rows = {"plain": plain}
            for shown in ("standardize", "remove 5", "standardize, remove 5"):
                rows[f"{shown}, before"] = replace(plain, chain=CHAINS[shown])
                rows[f"{shown}, after"] = replace(plain, chain=CHAINS[shown], fitted="combined")
            bench.sts(f"place {name} {layer}", rows)


def sentences(bench: Bench) -> None:
    """How many sentences, and of what kind."""
    train = read_pairs(bench.options.data, "STSB-train")
    kinds = {
        "pool": list(pool_texts()),
        "mixed sentences": _mixed(bench.options),
        "STS-B train": list(dict.fromkeys([*train.first, *train.second])),
    }
    for name, layer, most in (("ck", "last", 5000), ("metaeol", -3, 1000)):  # eight prompts take their time
        plain = Row(find_method(name), (layer,))
        rows = {"plain": plain}
        for kind, texts in kinds.items():
            order = np.random.default_rng(0).permutation(len(texts))
            for count in (50, 100, 200, len(pool_texts()), 1000, 2000, 5000):
                if count <= min(len(texts), most):
                    some = [texts[at] for at in order[:count]]
                    rows[f"{kind}, {count:,}"] = replace(plain, chain=DEFAULT_STEPS, on=some)
        rows["the evaluated texts themselves"] = replace(plain, chain=DEFAULT_STEPS, on=None)
        bench.sts(f"sentences {name} {layer}", rows)
        alike = {
            shown: row
            for shown, row in rows.items()
            if row.chain and (row.on is None or len(row.on) == len(pool_texts()))
        }
        bench.sts(f"kinds {name} {layer}", alike)


def steering(bench: Bench) -> None:
    """With steering, or instead of it."""
    for name in ("prompteol", "ck"):
        for layer in LAYERS:
            rows: dict[str, Row] = {}
            plain, steered = find_method(name), find_method(f"{name}_cp").steering
            recovered = plain.changed(steering={"layer": "proportional", "norm": "recover"})
            for how, method in (
                ("", plain),
                ("steered, ", replace(plain, steering=steered)),
                ("norm recovered, ", recovered),
            ):
                rows |= {f"{how}{shown}": Row(method, (layer,), CHAINS[shown]) for shown in FEW}
            bench.sts(f"steering {name} {layer}", rows)


def layers(bench: Bench) -> None:
    """Several layers averaged after each is calibrated."""
    bench.read_sts(("ck", "metaeol"))
    for name in ("ck", "metaeol"):
        rows = {", ".join(map(str, chosen)): Row(find_method(name), chosen, DEFAULT_STEPS) for chosen in AVERAGED}
        bench.sts(f"layers {name}", rows)


def dimensions(bench: Bench) -> None:
    """What fewer dimensions and fewer bytes cost."""
    for name, layer in (("ck", "last"), ("metaeol", -3)):
        whole = Row(find_method(name), (layer,), DEFAULT_STEPS)
        rows = {str(bench.width): whole}
        for size in (384, 256, 128, 64):
            rows[f"{size}, principal components"] = replace(
                whole, chain=[*DEFAULT_STEPS, {"principal_components": size}]
            )
            rows[f"{size}, whitened"] = replace(whole, chain=[*DEFAULT_STEPS, {"whiten": size}])
        for shown, row in {str(bench.width): whole, "128": rows["128, principal components"]}.items():
            rows |= {f"{shown}, {precision}": replace(row, precision=precision) for precision in ("int8", "binary")}
        rows[f"{bench.width}, uncalibrated"] = replace(whole, chain=())
        for precision in ("int8", "binary"):
            rows[f"{bench.width}, uncalibrated, {precision}"] = replace(whole, chain=(), precision=precision)
        bench.sts(f"dimensions {name} {layer}", rows)


def transfer(bench: Bench) -> None:
    """SentEval's classifiers on the vectors."""
    from oneword.evaluation.transfer import score_task
    from oneword.evaluation.transfer_data import read_task

    tasks = [read_task(bench.options.data, name) for name in ("CR", "TREC")]
    bench.read_ahead(("prompteol", "ck"), LAYERS, [text for task in tasks for text in task.texts])
    for name, layer in (("prompteol", "last"), ("ck", "last"), ("ck", -3)):
        rows = {shown: Row(find_method(name), (layer,), CHAINS[shown]) for shown in FEW}
        found = [[score_task(task, partial(bench.vectors, row)) for task in tasks] for row in rows.values()]
        items = [[{"correct": score.correct.astype(float).tolist()} for score in row] for row in found]
        scores = [[score.accuracy for score in row] for row in found]
        bench.table(f"transfer {name} {layer}", [task.name for task in tasks], rows, scores, items)


def retrieval(bench: Bench) -> None:
    """How often the nearest of all other sentences of MRPC's test part is the sentence's paraphrase."""
    from oneword.evaluation.transfer_data import TEST, read_task

    test = read_task(bench.options.data, "MRPC").splits[TEST]
    texts = list(dict.fromkeys([*test.texts, *test.second]))
    places = {text: place for place, text in enumerate(texts)}
    pairs = [(a, b) for a, b, same in zip(test.texts, test.second, test.labels) if same == "1" and a != b]
    sought = np.asarray([(places[a], places[b]) for a, b in pairs])
    for name, layer in (("prompteol", "last"), ("ck", "last"), ("ck", -3)):
        rows = {shown: Row(find_method(name), (layer,), CHAINS[shown]) for shown in FEW}
        found = [_ranks(bench.vectors(row, texts), sought) for row in rows.values()]
        items = [[{"correct": (ranks == 1).astype(float).tolist()}] for ranks in found]
        ranked = {"MRR": [f"{100 * np.mean(1 / ranks):.2f}" for ranks in found]}
        scores = [[100 * np.mean(ranks == 1)] for ranks in found]
        bench.table(f"retrieval {name} {layer}", ["MRPC, nearest"], rows, scores, items, ranked)


def _ranks(vectors: Floats, sought: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each pair the second one's place among all others, by cosine to the first; 1 is the nearest."""
    cosine = _cosines(vectors)[sought[:, 0]]
    own = np.take_along_axis(cosine, sought[:, 1:], axis=1)
    ranks: NDArray[np.intp] = 1 + (cosine > own).sum(axis=1)
    return ranks


def _cosines(vectors: Floats) -> NDArray[np.float64]:
    """Of all with all others; of each with itself -2."""
    vectors = vectors.astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine: NDArray[np.float64] = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    return cosine


def clusters(bench: Bench) -> None:
    """Whether the nearest other text is of the same class, and k-means against the classes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import v_measure_score

    from oneword.tasks.collection import read_collection

    collection = read_collection(bench.options.datasets)
    tests = [collection[name]().test.sample(bench.options.texts, 0, every_class=False) for name in CLUSTERED]
    for name, layer in (("ck", "last"), ("ck", -3)):
        rows = {shown: Row(find_method(name), (layer,), CHAINS[shown]) for shown in FEW}
        items: list[list[Any]] = []
        spreads: dict[str, list[str]] = {f"V-measure, {dataset}": [] for dataset in CLUSTERED}
        for row in rows.values():
            items.append([])
            for spread, test in zip(spreads.values(), tests):
                vectors = bench.vectors(row, list(test.texts)).astype(np.float64)
                unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                labels = np.asarray([str(label) for label in test.labels])
                near = _cosines(unit).argmax(axis=1)
                items[-1].append({"correct": (labels[near] == labels).astype(float).tolist()})
                means = [KMeans(len(set(labels)), n_init=4, random_state=seed).fit_predict(unit) for seed in range(5)]
                measures = [100 * v_measure_score(labels, clustered) for clustered in means]
                spread.append(f"{np.mean(measures):.2f} ({min(measures):.2f} to {max(measures):.2f})")
        scores = [[100 * np.mean(one["correct"]) for one in row] for row in items]
        bench.table(f"clusters {name} {layer}", [f"nearest, {one}" for one in CLUSTERED], rows, scores, items, spreads)


CLUSTERED = ("banking77", "tweet_emotion")
SECTIONS = {
    section.__name__: section
    for section in (methods, place, sentences, steering, layers, dimensions, transfer, retrieval, clusters)
}


def _mixed(options: argparse.Namespace) -> list[str]:
    """Sentences that have nothing to do with STS: training texts of other data sets, by turns."""
    from oneword.tasks.collection import read_collection

    if options.datasets is None:
        return []
    names = ("banking77", "tweet_emotion", "tweet_irony", "amazon_counterfactual", "cola")
    collection = read_collection(options.datasets)
    texts = [list(collection[name]().train.texts[:1200]) for name in names if name in collection]
    return list(dict.fromkeys(text for some in zip(*texts) for text in some))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sections", type=lambda value: value.split(","), help=",".join(SECTIONS))
    parser.add_argument("--data", type=Path, required=True, help="SentEval's layout")
    parser.add_argument("--datasets", type=Path, help="folders of train.jsonl and test.jsonl")
    parser.add_argument("--model")
    parser.add_argument("--tasks", type=lambda value: value.split(","), default="STS12,STSB,SICKR")
    parser.add_argument("--pairs", type=int, default=10**6, help="the most pairs of a task, evenly from the whole")
    parser.add_argument("--texts", type=int, default=2000, help="the most texts that are clustered")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        sys.exit(f"unknown section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    options.output.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    for section in options.sections:
        SECTIONS[section](bench)


if __name__ == "__main__":
    main()
