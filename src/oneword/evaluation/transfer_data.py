"""Transfer tasks: texts with labels, read from SentEval's layout into SentEval's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from oneword.errors import InputError, nearest_names
from oneword.evaluation.lines import Line, read_lines, spaced

TASKS = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
# Texts (of MRPC, pairs) that are scored, as the papers have them
PUBLISHED_SIZES = {"MR": 10662, "CR": 3775, "SUBJ": 10000, "MPQA": 10606, "SST2": 1821, "TREC": 500, "MRPC": 1725}
WHOLE, TRAIN, DEV, TEST = "whole", "train", "dev", "test"

_ALIASES = {"SST": "SST2", "SSTBINARY": "SST2", "TREC6": "TREC"}
_FOLDERS = {"SST2": Path("SST", "binary")}
# Files of one label each, by label
_LABELLED_FILES = {
    "MR": {"1": "rt-polarity.pos", "0": "rt-polarity.neg"},
    "CR": {"1": "custrev.pos", "0": "custrev.neg"},
    "SUBJ": {"1": "subj.objective", "0": "subj.subjective"},
    "MPQA": {"1": "mpqa.pos", "0": "mpqa.neg"},
}
_SPLIT_FILES = {
    "SST2": {TRAIN: "sentiment-train", DEV: "sentiment-dev", TEST: "sentiment-test"},
    "TREC": {TRAIN: "train_5500.label", TEST: "TREC_10.label"},
    "MRPC": {TRAIN: "msr_paraphrase_train.txt", TEST: "msr_paraphrase_test.txt"},
}


@dataclass(frozen=True)
class LabelledTexts:
    """One split of a task, in SentEval's order: by number of words, then by label.

    Args:
        texts: the texts; of pairs, the first ones.
        labels: what they are.
        places: file and line of each, as messages name them.
        second: the second texts of pairs; empty for tasks of single texts.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    places: Sequence[str]
    second: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TransferTask:
    """Texts to train a classifier on, and to score it on.

    Args:
        name: one of :data:`TASKS`.
        splits: ``train`` and ``test``, sometimes ``dev``; or ``whole``, which is split by folds.
    """

    name: str
    splits: Mapping[str, LabelledTexts]

    @property
    def texts(self) -> list[str]:
        """All texts of all splits, of pairs the second ones too."""
        return [text for part in self.splits.values() for text in (*part.texts, *part.second)]

    @property
    def scored(self) -> LabelledTexts:
        """The texts that are scored."""
        return self.splits[WHOLE if WHOLE in self.splits else TEST]


def find_task(name: str) -> str:
    """The task of that name, in any spelling: ``sst-2``, ``SST`` and ``SST2`` are one.

    Raises:
        InputError: no such task.
    """
    key = name.strip().upper().replace("-", "").replace("_", "").replace(" ", "")
    key = _ALIASES.get(key, key)
    if key not in TASKS:
        raise InputError(f"unknown transfer task '{name}' ({nearest_names(name, TASKS)})")
    return key


def missing_folder(data: Path, task: str) -> Path | None:
    """The folder of a task's files, where it is missing; when it is there, they must all be."""
    folder = _folder(data, task)
    return None if folder.is_dir() else folder


def read_task(data: Path, task: str) -> TransferTask:
    """A task's texts and labels from SentEval's layout.

    Args:
        data: the folder that holds ``MR``, ``CR`` ...
        task: one of :data:`TASKS`.

    Raises:
        InputError: a file that is missing or empty, a line with too few columns or with a label that is none, a label
            to score that is not among those to train on: file and line.
    """
    folder = _folder(data, task)
    if not folder.is_dir():
        raise InputError(
            f"{task} is missing: there is no folder {folder}; "
            "SentEval's data/downstream/get_transfer_data.bash makes one"
        )
    missing = f"{task} needs all of SentEval's files"
    if task in _LABELLED_FILES:
        examples = [
            _Example(place, label, (text,))
            for label, file in _LABELLED_FILES[task].items()
            for place, text in _filled(folder / file, list(read_lines(folder / file, missing)))
        ]
        return TransferTask(task, {WHOLE: _in_order(examples)})
    splits = {}
    for split, file in _SPLIT_FILES[task].items():
        lines = list(read_lines(folder / file, missing))
        if task == "MRPC":
            lines = _without_headings(lines)
        splits[split] = _in_order([_PARSERS[task](line) for line in _filled(folder / file, lines)])
    known = {*splits[TRAIN].labels}
    for part in splits.values():
        for place, label in zip(part.places, part.labels):
            if label not in known:
                raise InputError(
                    f"{place}: no text to train on has the label '{label}'; known: {', '.join(sorted(known))}"
                )
    return TransferTask(task, splits)


def check_folds(task: TransferTask, folds: int) -> None:
    """Refuse a number of folds that leaves a fold without one of the labels.

    Raises:
        InputError: too many folds, or too few; with file and line of a text that has the rarest label.
    """
    if folds < 2:
        raise InputError(f"{folds} folds are too few; 2 is the least")
    texts = task.splits[WHOLE if WHOLE in task.splits else TRAIN]
    counts = Counter(texts.labels)
    if len(counts) < 2:
        raise InputError(f"{texts.places[0]}: all of {task.name} has the label '{texts.labels[0]}'; two are needed")
    if DEV in task.splits:
        return
    label, count = min(counts.items(), key=lambda item: item[1])
    fewest = count - -(-count // folds) if WHOLE in task.splits else count  # less the largest outer fold
    if fewest < folds:
        raise InputError(
            f"{texts.places[list(texts.labels).index(label)]}: only {count} texts of {task.name} have the label "
            f"'{label}', too few for {folds} folds; use fewer folds"
        )


class _Example(NamedTuple):
    place: str
    label: str
    texts: tuple[str, ...]  # as they stand in the file

    def order(self) -> tuple[list[int], str]:
        """What SentEval sorts by; folds depend on it."""
        return [len(text.split()) for text in self.texts], self.label


def _folder(data: Path, task: str) -> Path:
    return data / _FOLDERS.get(task, task)


def _filled(path: Path, lines: list[Line]) -> list[Line]:
    if not lines:
        raise InputError(f"{path} holds no texts")
    return lines


def _in_order(examples: Sequence[_Example]) -> LabelledTexts:
    examples = sorted(examples, key=_Example.order)
    columns = [tuple(map(spaced, column)) for column in zip(*(example.texts for example in examples))]
    return LabelledTexts(
        texts=columns[0],
        labels=tuple(example.label for example in examples),
        places=tuple(example.place for example in examples),
        second=columns[1] if len(columns) > 1 else (),
    )


def _sentiment(line: Line) -> _Example:
    """SST2: a sentence and 0 or 1."""
    sentence, label = _columns(line, 2)[:2]
    return _Example(line[0], _zero_or_one(line[0], label), (sentence,))


def _question(line: Line) -> _Example:
    """TREC: ``COARSE:fine`` and the question."""
    place, text = line
    kind, _, question = text.strip().partition(" ")
    coarse, colon, _ = kind.partition(":")
    if not (coarse and colon):
        raise InputError(f"{place}: '{kind}' is no label; one such as 'LOC:city' is needed before the question")
    if not question.strip():
        raise InputError(f"{place}: there is no question after the label '{kind}'")
    return _Example(place, coarse, (question,))


def _paraphrase(line: Line) -> _Example:
    """MRPC: 0 or 1, two numbers, two sentences."""
    quality, _, _, first, second = _columns(line, 5)[:5]
    return _Example(line[0], _zero_or_one(line[0], quality), (first, second))


_PARSERS: Mapping[str, Callable[[Line], _Example]] = {"SST2": _sentiment, "TREC": _question, "MRPC": _paraphrase}


def _without_headings(lines: list[Line]) -> list[Line]:
    if lines and lines[0][1].partition("\t")[0].strip() in ("0", "1"):
        raise InputError(f"{lines[0][0]}: the headings 'Quality, #1 ID ...' are missing; SentEval's file has them")
    return lines[1:]


def _columns(line: Line, needed: int) -> list[str]:
    place, text = line
    columns = text.split("\t")
    if len(columns) < needed:
        raise InputError(f"{place}: {len(columns)} columns between tabs, where {needed} are needed")
    return columns


def _zero_or_one(place: str, label: str) -> str:
    label = label.strip()
    if label not in ("0", "1"):
        raise InputError(f"{place}: the label '{label}' is neither 0 nor 1")
    return label
