"""The datasets of the selection experiment (FUTE, section 5.2): sentiment analysis and inference, with given labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from oneword.errors import InputError, nearest_names
from oneword.tasks.collection import Split, read_collection
from oneword.tasks.dataset import Dataset

SENTIMENT, INFERENCE = "sentiment", "inference"
_POSITIVE, _NEGATIVE = "positive", "negative"
_ENTAILMENT, _NEUTRAL, _CONTRADICTION = "entailment", "neutral", "contradiction"
_MOST_TAKEN = 0.5  # of the train part, for a test part that is too small
_LAYOUT = (
    "senteval/ with SST/binary, CR, MR or SICK in SentEval's layout, and tasks/ with tweet_emotion or rte, each with "
    "train.jsonl and test.jsonl"
)


@dataclass(frozen=True)
class _Source:
    """How one task is read.

    Args:
        dataset: what :func:`~oneword.tasks.collection.read_collection` calls it.
        kind: :data:`SENTIMENT` or :data:`INFERENCE`, whose prompt set is asked.
        labels: the label that each label of the files becomes.
    """

    dataset: str
    kind: str
    labels: Mapping[str, str]


_ZERO_ONE = {"1": _POSITIVE, "0": _NEGATIVE}
_SOURCES = {
    "SST2": _Source("SST2", SENTIMENT, _ZERO_ONE),
    "CR": _Source("CR", SENTIMENT, _ZERO_ONE),
    "MR": _Source("MR", SENTIMENT, _ZERO_ONE),
    "tweet_emotion": _Source(
        "tweet_emotion",
        SENTIMENT,
        {"joy": _POSITIVE, "optimism": _POSITIVE, "anger": _NEGATIVE, "sadness": _NEGATIVE},
    ),
    "SICK": _Source("SICKE", INFERENCE, {label.upper(): label for label in (_ENTAILMENT, _NEUTRAL, _CONTRADICTION)}),
    "RTE": _Source("rte", INFERENCE, {label: label for label in (_ENTAILMENT, "not_entailment")}),
}
TASKS = tuple(_SOURCES)


@dataclass(frozen=True)
class SelectionTask:
    """A task that prompts are chosen for.

    Args:
        name: one of :data:`TASKS`.
        kind: :data:`SENTIMENT` or :data:`INFERENCE`: the prompt set that is asked.
        train: what the few labels are from, and what classifiers are fitted on.
        test: what the prompts answer, with the truth.
    """

    name: str
    kind: str
    train: Dataset
    test: Dataset


def find_task(name: str) -> str:
    """The task of that name, in any case.

    Raises:
        InputError: no such task.
    """
    for known in TASKS:
        if known.lower() == name.strip().lower():
            return known
    raise InputError(f"unknown task '{name}' ({nearest_names(name, TASKS)})")


def read_tasks(
    data: Path, examples: int, seed: int = 0, only: Collection[str] = ()
) -> tuple[list[SelectionTask], list[str]]:
    """The tasks whose files a folder holds, and the names of those that it does not.

    A test part of more than ``examples`` is sampled. One of fewer is filled up from the train part, which loses those
    examples, and never more than half of itself.

    Args:
        data: the folder, with SentEval's layout and ``tasks/NAME/{train,test}.jsonl`` anywhere in it.
        examples: of each test part.
        seed: of the samples.
        only: names of tasks; all of :data:`TASKS` where there are none.

    Raises:
        InputError: none of the tasks is there, or files that cannot be read, with the place.
    """
    names = list(dict.fromkeys(map(find_task, only))) or list(TASKS)
    collection = read_collection(data)
    here = [name for name in names if _SOURCES[name].dataset in collection]
    if not here:
        raise InputError(f"{data} holds none of the tasks {', '.join(names)}; it needs {_LAYOUT}")
    tasks = []
    for name in here:
        source = _SOURCES[name]
        split = collection[source.dataset]()
        train, test = _parts(split, examples, seed)
        train, test = (replace(part, name=name).relabelled(source.labels) for part in (train, test))
        tasks.append(SelectionTask(name, source.kind, train, test))
    return tasks, [name for name in names if name not in here]


def _parts(split: Split, examples: int, seed: int) -> tuple[Dataset, Dataset]:
    """The train part, and a test part of so many examples as there are."""
    lacking = min(examples - len(split.test), int(_MOST_TAKEN * len(split.train)))
    if lacking <= 0:
        return split.train, split.test.sample(examples, seed, every_class=False)
    order = np.random.default_rng(seed).permutation(len(split.train)).tolist()
    return split.train.rows(sorted(order[lacking:])), _joined(split.test, split.train.rows(sorted(order[:lacking])))


def _joined(first: Dataset, second: Dataset) -> Dataset:
    pairs = None if first.text_pairs is None else (*first.text_pairs, *(second.text_pairs or ()))
    return replace(first, texts=first.texts + second.texts, labels=first.labels + second.labels, text_pairs=pairs)
