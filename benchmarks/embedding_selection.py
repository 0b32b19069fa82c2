"""Do prompts that are chosen for a dataset embed it better than the plain mean of them all?

python benchmarks/embedding_selection.py --data DIR [--datasets A,B] [--ways agreement,...] [--examples 100] -o FOLDER

For each dataset so many labelled examples are drawn. Prompts are chosen with them (label-free ways see only their
texts), and a logistic regression is fitted on them; its accuracy is of up to --test texts. In brackets is the 95 %
paired bootstrap interval, over the test texts, of the difference to the plain mean. Vectors, task embeddings
and results are kept in FOLDER: the same command goes on, and other ways or datasets are added.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from oneword.embedder import Embedder
from oneword.evaluation.intervals import bootstrap_rows
from oneword.evaluation.results import digest_of
from oneword.tasks.collection import Split, read_collection
from oneword.tasks.dataset import Dataset
from oneword.tasks.selection.embedding import WAYS, PromptChooser
from oneword.tasks.selection.prompt_vectors import LinearHead
from oneword.tasks.trainable import TrainableModel
from oneword.whole_file import write_whole

DATASETS = "SST2,CR,TREC,tweet_emotion,tweet_irony,tweet_offensive,amazon_counterfactual"
PLAIN, ORACLE = "plain mean", "best single prompt by the test (oracle)"


def main() -> None:
    options = _options()
    collection = read_collection(options.data)
    names = options.datasets.split(",")
    if unknown := set(names) - set(collection):
        sys.exit(f"{options.data} holds no dataset {', '.join(sorted(unknown))}; it has {', '.join(collection)}")
    ways = options.ways.split(",")
    if unknown := set(ways) - set(WAYS):
        sys.exit(f"unknown way {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    surrogate = TrainableModel(options.surrogate) if "mte" in ways else options.surrogate
    embedder: Any = Embedder(options.model, method=options.method)
    found = {}
    for name in names:
        split = collection[name]()
        found[name] = [_measured(name, split, seed, ways, embedder, surrogate, options) for seed in options.seeds]
    _print_table(found, ways)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--datasets", default=DATASETS)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--model")
    parser.add_argument("--method", default="metaeol")
    parser.add_argument("--examples", type=int, default=100, help="labelled texts to choose with and to fit on")
    parser.add_argument("--test", type=int, default=1000, help="the most texts that accuracies are of")
    parser.add_argument("--keep", type=int, help="prompts that are kept; else each way's own rule")
    parser.add_argument(
        "--seeds", type=lambda value: list(map(int, value.split(","))), default=[0], help="0,1,2: draws"
    )
    parser.add_argument("--surrogate", default="minilm", help="that task embeddings are made on")
    parser.add_argument("--steps", type=int, default=100, help="updates of a task embedding")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def _measured(
    name: str, split: Split, seed: int, ways: list[str], embedder: Embedder, surrogate: Any, options: argparse.Namespace
) -> dict[str, Any]:
    """Which test texts each way gets right with one draw of examples: kept, or computed."""
    train = split.train.sample(options.examples, seed)
    test = split.test.sample(options.test, 0, every_class=False)
    key = digest_of(embedder.fingerprint, train.digest, test.digest, options.keep)
    path = options.output / "results" / f"{name}-{seed}-{key}.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    chooser = PromptChooser(embedder, options.method, folder=options.output, seed=seed, on_progress=_shown)
    if not kept:
        whole = range(len(chooser.names))
        kept = {"train": len(train), "test": len(test), "classes": len(train.classes), "prompts": list(chooser.names)}
        kept["fingerprint"] = embedder.fingerprint
        kept["single"] = [_correct(chooser, train, test, [place]) for place in whole]
        kept["correct"] = {PLAIN: _correct(chooser, train, test, list(whole))}
        kept["chosen"], kept["scores"], kept["seconds"] = {}, {}, {}
    for way in ways:
        settings = {"surrogate": options.surrogate, "steps": options.steps} if way == "mte" else {}
        if way in kept["correct"] and kept["chosen"][way].get("settings") == settings:
            continue
        started = time.perf_counter()
        more = {"surrogate": surrogate, "tuning": {"steps": options.steps}} if way == "mte" else {}
        choice = chooser.choose(way, train, keep=options.keep, **more)
        kept["seconds"][way] = round(time.perf_counter() - started, 2)
        kept["chosen"][way] = {"prompts": list(choice.chosen), "settings": settings}
        kept["scores"][way] = list(choice.scores)
        kept["correct"][way] = _correct(chooser, train, test, choice.chosen)
        _keep(path, kept)
        right = 100 * np.mean(kept["correct"][way])
        print(f"{name}, draw {seed}, {way}: {right:.1f} with {list(choice.chosen)}", file=sys.stderr)
    _keep(path, kept)
    return kept


def _keep(path: Path, kept: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(kept).encode())


def _correct(chooser: PromptChooser, train: Dataset, test: Dataset, prompts: Any) -> list[int]:
    chooser.vectors([*train.texts, *(train.text_pairs or ()), *test.texts, *(test.text_pairs or ())])  # in one go
    head = LinearHead(chooser.features(train, prompts), train.labels)
    correct: list[int] = head.correct(chooser.features(test, prompts), test.labels).astype(int).tolist()
    return correct


def _print_table(found: dict[str, list[dict[str, Any]]], ways: list[str]) -> None:
    """Accuracy of each row and dataset, and its difference to the plain mean."""
    columns = [
        [_averaged([draw["correct"][row] for draw in draws]) for row in (PLAIN, *ways)] for draws in found.values()
    ]
    for column, draws in zip(columns, found.values()):
        singles = [_averaged([draw["single"][place] for draw in draws]) for place in range(len(draws[0]["prompts"]))]
        column.append(max(singles, key=np.mean))
    tables = [bootstrap_rows([[{"correct": row}] for row in column]) for column in columns]
    tables.append(bootstrap_rows([[{"correct": column[row]} for column in columns] for row in range(len(ways) + 2)]))
    columns.append([np.array([np.mean([np.mean(one[row]) for one in columns])]) for row in range(len(ways) + 2)])
    print("| prompts | " + " | ".join([*found, "average"]) + " |\n|" + " --- |" * (len(columns) + 1))
    for row, name in enumerate([PLAIN, *ways, ORACLE]):
        cells = []
        for column, intervals in zip(columns, tables):
            difference = intervals[row].difference
            cells.append(f"{100 * np.mean(column[row]):.1f}" + (f" ({difference:+})" if difference else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| chosen | " + " | ".join(found) + " |\n|" + " --- |" * (len(found) + 1))
    for way in ways:
        chosen = ["; ".join(_places(draw["chosen"][way]["prompts"]) for draw in draws) for draws in found.values()]
        print(f"| {way} | " + " | ".join(chosen) + " |")


def _averaged(draws: list[list[int]]) -> Any:
    """Of each test text, how often it was right."""
    return np.mean(draws, axis=0)


def _places(prompts: list[int]) -> str:
    return " ".join(str(place + 1) for place in prompts)


def _shown(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done:,}/{total:,}   ", end="" if done < total else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
