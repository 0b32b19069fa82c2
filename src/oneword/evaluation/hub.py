"""The same pairs from the Hugging Face Hub, for those who have a network and no copy of SentEval's data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oneword.errors import InputError
from oneword.evaluation.lines import spaced
from oneword.evaluation.sentence_pairs import PUBLISHED_SIZES, SentencePairs


@dataclass(frozen=True)
class HubTask:
    """Where a task lies on the Hub.

    Args:
        repository: the dataset's id.
        revision: commit or branch.
        split: which of its splits.
        columns: of the two sentences and the score.
    """

    repository: str
    revision: str
    split: str = "test"
    columns: tuple[str, str, str] = ("sentence1", "sentence2", "score")


# mteb's own copies, at the commits that mteb scores. SICK there has all splits in one, so its test is taken elsewhere.
_STS_B = ("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831")
_SICK = ("RobZamp/sick", "refs/convert/parquet")
_SICK_COLUMNS = ("sentence_A", "sentence_B", "relatedness_score")
HUB_TASKS: Mapping[str, HubTask] = {
    "STS12": HubTask("mteb/sts12-sts", "a0d554a64d88156834ff5ae9920b964011b16384"),
    "STS13": HubTask("mteb/sts13-sts", "7e90230a92c190f1bf69ae9002b8cea547a64cca"),
    "STS14": HubTask("mteb/sts14-sts", "6031580fec1f6af667f0bd2da0a551cf4f0b2375"),
    "STS15": HubTask("mteb/sts15-sts", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3"),
    "STS16": HubTask("mteb/sts16-sts", "4d8694f8f0e0100860b497b999b3dbed754a0513"),
    "STSB": HubTask(*_STS_B),
    "STSB-dev": HubTask(*_STS_B, split="validation"),
    "SICKR": HubTask(*_SICK, columns=_SICK_COLUMNS),
    "SICKR-dev": HubTask(*_SICK, split="validation", columns=_SICK_COLUMNS),
}


def load_pairs(task: str, where: HubTask | None = None, cache: Path | None = None) -> SentencePairs:
    """A task's pairs from the Hub; they must be as many as the papers have.

    Args:
        task: one of :data:`~oneword.evaluation.sentence_pairs.TASKS`.
        where: another place, which can be a local folder.
        cache: where ``datasets`` keeps what it fetched, None being its own place.

    Raises:
        InputError: it cannot be fetched, or is not the task that the papers score.
    """
    import datasets

    where = where or HUB_TASKS[task]
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every retry
    local = Path(where.repository).is_dir()
    try:
        rows = datasets.load_dataset(
            where.repository,
            revision=None if local else where.revision,
            split=where.split,
            cache_dir=None if cache is None else str(cache),
        )
        first, second = ([spaced(sentence) for sentence in rows[column]] for column in where.columns[:2])
        gold = [float(score) for score in rows[where.columns[2]]]
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{task} cannot be fetched from {where.repository} on the Hub ({reason}); give a folder with SentEval's "
            "data by --data"
        ) from None
    if len(gold) != PUBLISHED_SIZES[task]:
        raise InputError(
            f"{where.repository} has {len(gold):,} pairs of {task}, where the papers have {PUBLISHED_SIZES[task]:,}; "
            "give a folder with SentEval's data by --data"
        )
    return SentencePairs(task, first, second, gold)
