"""A folder of datasets: each with what to train on and what to test on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from oneword.errors import InputError
from oneword.evaluation import sentence_pairs, transfer_data
from oneword.evaluation.lines import read_lines, spaced
from oneword.io.formats import INPUT_ENDINGS
from oneword.tasks.dataset import Dataset, Kind

_TEST_SHARE = 0.2  # of datasets that have no test part
_TEST_NAMES = ("test", "validation", "dev")
# What the texts of the papers' datasets are about, so that near domains can be left out
_DOMAINS = {
    "MR": "movies",
    "SST2": "movies",
    "SUBJ": "movies",
    "CR": "products",
    "amazon_counterfactual": "products",
    "tweet_emotion": "tweets",
    "tweet_irony": "tweets",
    "tweet_offensive": "tweets",
    "MRPC": "news",
    "rte": "news",
    "MPQA": "news",
    "STSB": "captions and news",
    "SICKR": "captions and news",
    "SICKE": "captions and news",
    "banking77": "banking",
    "TREC": "questions",
    "cola": "linguistics",
}


@dataclass(frozen=True)
class Split:
    """One dataset, in two parts.

    Args:
        train: what models are trained on.
        test: what they are tested on.
        domain: what its texts are about; its name where nobody said.
    """

    train: Dataset
    test: Dataset
    domain: str

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.train.name


def read_collection(data: Path) -> Mapping[str, Callable[[], Split]]:
    """The datasets in a folder and its sub-folders, by name; each is read when it is called for.

    A dataset is a folder with ``train`` (and maybe ``test``, ``validation`` or ``dev``) as csv, tsv, jsonl or parquet
    with the columns ``text``, ``label`` and maybe ``text_pair``; or one of SentEval's folders: CR, MR, SUBJ, MPQA, SST,
    TREC, MRPC, SICK (relatedness and entailment) and STS (STS-B). Without a test part a fifth is split off.

    Raises:
        InputError: no such folder, none in it, or two of one name.
    """
    if not data.is_dir():
        raise InputError(f"no folder {data}; name one that holds datasets, each a folder with train.jsonl or the like")
    found: dict[str, Callable[[], Split]] = {}
    folders = [data, *sorted(path for path in data.rglob("*") if path.is_dir())]
    for folder in folders:
        for name, read in {**_own(folder), **_senteval(folder)}.items():
            if name in found:
                raise InputError(f"{data} holds two datasets called {name}; name a folder with one of them")
            found[name] = read
    if not found:
        raise InputError(
            f"{data} holds no dataset: none of its folders has a train.jsonl (csv, tsv, parquet) nor SentEval's layout"
        )
    return dict(sorted(found.items()))


def _own(folder: Path) -> dict[str, Callable[[], Split]]:
    """A folder of train and test files."""
    files = {
        stem: path
        for stem in ("train", *_TEST_NAMES)
        for ending in INPUT_ENDINGS
        if (path := folder / f"{stem}{ending}").is_file() and ending != ".txt"
    }
    if "train" not in files:
        return {}
    test = next((files[stem] for stem in _TEST_NAMES if stem in files), None)
    return {folder.name: partial(_read_files, folder.name, files["train"], test)}


def _read_files(name: str, train: Path, test: Path | None) -> Split:
    whole = Dataset.from_file(train, name=name)
    if test is None:
        return _split_off(whole)
    tested = Dataset.from_file(test, name=name, kind=whole.kind)
    if unknown := set(tested.classes) - set(whole.classes):
        raise InputError(f"{test}: no text to train on has the label '{min(unknown)}'")
    return Split(whole, tested, _DOMAINS.get(name, name))


def _senteval(folder: Path) -> dict[str, Callable[[], Split]]:
    """Datasets in SentEval's layout, the folder being the one that has their folders."""
    found: dict[str, Callable[[], Split]] = {
        task: partial(_read_transfer, folder, task)
        for task in transfer_data.TASKS
        if transfer_data.missing_folder(folder, task) is None and not _own(folder / task)
    }
    if (folder / "STS" / "STSBenchmark" / "sts-train.csv").is_file():
        found["STSB"] = partial(_read_scored, folder, "STSB")
    if (folder / "SICK" / "SICK_train.txt").is_file():
        found["SICKR"] = partial(_read_scored, folder, "SICKR")
        found["SICKE"] = partial(_read_entailment, folder / "SICK")
    return found


def _read_transfer(data: Path, task: str) -> Split:
    splits = transfer_data.read_task(data, task).splits
    parts = {split: _of_texts(task, texts) for split, texts in splits.items()}
    if transfer_data.WHOLE in parts:
        return _split_off(parts[transfer_data.WHOLE])
    return Split(parts[transfer_data.TRAIN], parts[transfer_data.TEST], _DOMAINS[task])


def _of_texts(name: str, texts: transfer_data.LabelledTexts) -> Dataset:
    return Dataset(name, tuple(texts.texts), tuple(texts.labels), tuple(texts.second) or None)


def _read_scored(data: Path, task: str) -> Split:
    pairs = [sentence_pairs.read_pairs(data, name) for name in (f"{task}-train", task)]
    train, test = (
        Dataset(task, tuple(part.first), tuple(part.gold), tuple(part.second), kind="regression") for part in pairs
    )
    return Split(train, test, _DOMAINS[task])


def _read_entailment(folder: Path) -> Split:
    """SICK's entailment labels: number, two sentences, relatedness, judgement; a line of headings first."""
    parts = []
    for file in ("SICK_train.txt", "SICK_test_annotated.txt"):
        rows = [(place, text.split("\t")) for place, text in read_lines(folder / file)][1:]
        for place, columns in rows:
            if len(columns) < 5:
                raise InputError(f"{place}: {len(columns)} columns between tabs, where 5 are needed")
        first, second, labels = zip(*((spaced(row[1]), spaced(row[2]), row[4].strip()) for _, row in rows))
        parts.append(Dataset("SICKE", first, labels, second))
    train, test = parts
    return Split(train, test, _DOMAINS["SICKE"])


def _split_off(whole: Dataset) -> Split:
    """A test part split off, the same always: a fifth of every class."""
    generator = np.random.default_rng(0)
    held: list[int] = []
    groups = [[row for row, one in enumerate(whole.labels) if one == label] for label in whole.classes] or [
        list(range(len(whole)))
    ]
    for group in groups:
        order = generator.permutation(group).tolist()
        held += order[: round(_TEST_SHARE * len(group))]
    kept = sorted(set(range(len(whole))) - set(held))
    kind: Kind = whole.kind
    test = replace(whole.rows(sorted(held)), kind=kind)
    return Split(whole.rows(kept), test, _DOMAINS.get(whole.name, whole.name))
