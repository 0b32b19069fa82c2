"""Semantic textual similarity: pairs of sentences with gold scores, read from SentEval's layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneword.errors import InputError, nearest_names
from oneword.evaluation.lines import Line, read_lines, spaced

# The datasets of each year; SentEval's STS13 is without SMT, which is not free
YEARS: dict[str, tuple[str, ...]] = {
    "STS12": ("MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"),
    "STS13": ("FNWN", "headlines", "OnWN"),
    "STS14": ("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
    "STS15": ("answers-forums", "answers-students", "belief", "headlines", "images"),
    "STS16": ("answer-answer", "headlines", "plagiarism", "postediting", "question-question"),
}
TESTS = (*YEARS, "STSB", "SICKR")
DEVELOPMENT = ("STSB-dev", "SICKR-dev")
TRAINING = ("STSB-train", "SICKR-train")  # to tune on, and not among the tasks
TASKS = (*TESTS, *DEVELOPMENT)
# Pairs with a gold score, as the papers have them
PUBLISHED_SIZES = {
    "STS12": 3108,
    "STS13": 1500,
    "STS14": 3750,
    "STS15": 3000,
    "STS16": 1186,
    "STSB": 1379,
    "SICKR": 4927,
    "STSB-dev": 1500,
    "SICKR-dev": 500,
}
_ALIASES = {"STSBENCHMARK": "STSB", "SICK": "SICKR", "SICKRELATEDNESS": "SICKR"}


@dataclass(frozen=True)
class SentencePairs:
    """One task: pairs of sentences, and how similar people found them.

    Args:
        task: its name, one of :data:`TASKS`.
        first: the first sentences.
        second: the second sentences.
        gold: their scores.
        datasets: for each pair the dataset of the year that it is from; empty for tasks of one dataset.
    """

    task: str
    first: Sequence[str]
    second: Sequence[str]
    gold: Sequence[float]
    datasets: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.gold)

    def evenly(self, count: int) -> SentencePairs:
        """At most ``count`` pairs, evenly from the whole."""
        if count >= len(self):
            return self
        rows = [row * len(self) // count for row in range(count)]
        first, second, datasets = (
            [side[row] for row in rows if side] for side in (self.first, self.second, self.datasets)
        )
        return SentencePairs(self.task, first, second, [self.gold[row] for row in rows], datasets)


def find_task(name: str) -> str:
    """The task of that name, in any spelling: ``sts-b``, ``STSBenchmark`` and ``STSB`` are one.

    Raises:
        InputError: no such task.
    """
    letters = name.upper().replace("-", "").replace("_", "").replace(" ", "")
    base = letters.removesuffix("DEV")
    key = _ALIASES.get(base, base) + ("-dev" if base != letters else "")
    if key not in TASKS:
        raise InputError(f"unknown STS task '{name}' ({nearest_names(name, TASKS)})")
    return key


def missing_folder(data: Path, task: str) -> Path | None:
    """The folder of a task's files, where it is missing; when it is there, they must all be."""
    folder = _folder(data, task)
    return None if folder.is_dir() else folder


def read_pairs(data: Path, task: str) -> SentencePairs:
    """A task's pairs from SentEval's layout; those without a gold score are left out.

    Args:
        data: the folder that holds ``STS`` and ``SICK``.
        task: one of :data:`TASKS` or :data:`TRAINING`.

    Raises:
        InputError: a file that is missing, a line with too few columns, a score that is no number: file and line.
    """
    folder = _folder(data, task)
    if not folder.is_dir():
        raise InputError(f"{task} is missing: there is no folder {folder}")
    if task in YEARS:
        rows = [(*pair, dataset) for dataset in YEARS[task] for pair in _read_dataset(folder, dataset)]
    elif task.startswith("STSB"):
        rows = [(*pair, "") for pair in _read_benchmark(folder / f"sts-{_split(task)}.csv")]
    else:
        rows = [(*pair, "") for pair in _read_sick(folder, _SICK_FILES[_split(task)])]
    if not rows:
        raise InputError(f"{task}: no pair in {folder} has a gold score")
    first, second, gold, datasets = zip(*rows)
    return SentencePairs(task, first, second, gold, datasets if task in YEARS else ())


Pair = tuple[str, str, float]

_SICK_FILES = {"train": "train", "dev": "trial", "test": "test_annotated"}


def _split(task: str) -> str:
    return task.partition("-")[2] or "test"


def _folder(data: Path, task: str) -> Path:
    if task.startswith("SICKR"):
        return data / "SICK"
    return data / "STS" / ("STSBenchmark" if task.startswith("STSB") else f"{task}-en-test")


def _read_dataset(folder: Path, dataset: str) -> Iterator[Pair]:
    """One dataset of a year: sentences in one file, scores in another, an empty one where there is none."""
    inputs, scores = folder / f"STS.input.{dataset}.txt", folder / f"STS.gs.{dataset}.txt"
    sentences, golds = list(read_lines(inputs)), list(read_lines(scores))
    if len(golds) == len(sentences) - 1:  # an empty last score looks like a last newline
        golds.append((f"{scores}, line {len(sentences)}", ""))
    if len(sentences) != len(golds):
        raise InputError(f"{scores} has {len(golds)} lines, but {inputs} has {len(sentences)}; they belong together")
    for line, (place, gold) in zip(sentences, golds):
        first, second = _columns(line, 2)[:2]
        if gold.strip():
            yield spaced(first), spaced(second), _score(place, gold)


def _read_benchmark(path: Path) -> Iterator[Pair]:
    """STS-B: genre, file, year, number, score, two sentences, and sometimes their sources."""
    for line in read_lines(path):
        columns = _columns(line, 7)
        if columns[4].strip():
            yield spaced(columns[5]), spaced(columns[6]), _score(line[0], columns[4])


def _read_sick(folder: Path, split: str) -> Iterator[Pair]:
    """SICK: number, two sentences, relatedness, entailment; a line of headings first."""
    for number, line in enumerate(read_lines(folder / f"SICK_{split}.txt")):
        columns = _columns(line, 4)
        if number and columns[3].strip():
            yield spaced(columns[1]), spaced(columns[2]), _score(line[0], columns[3])


def _columns(line: Line, needed: int) -> list[str]:
    place, text = line
    columns = text.split("\t")
    if len(columns) < needed:
        raise InputError(f"{place}: {len(columns)} columns between tabs, where {needed} are needed")
    return columns


def _score(place: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{place}: the score '{text.strip()}' is no number")
    return score
