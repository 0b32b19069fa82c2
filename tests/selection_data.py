"""A small copy of the data of the selection experiment in its real layouts, written for the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_LIKED, _LOATHED = ("a joy to watch", "warm and funny", "well made"), ("a dull mess", "far too long", "badly made")
_WORDS = ("film", "phone", "camera", "song", "story", "book", "chair")
_HEADINGS = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
TASKS = ("SST2", "CR", "tweet_emotion", "SICK", "RTE")


def write_selection_data(data: Path, examples: int = 24, tasks: Sequence[str] = TASKS) -> Path:
    """Write tasks of so many examples a part; of reviews that are liked, half."""
    for task in tasks:
        _WRITERS[task](data, examples)
    return data


def _review(row: int, task: str) -> str:
    praise = (_LIKED if row % 2 else _LOATHED)[row // 2 % 3]
    return f"{task}: the {_WORDS[row % 7]} number {row} is {praise}"


def _pair(row: int, task: str) -> tuple[str, str]:
    word = _WORDS[row % 7]
    said = ("is red", "may be red", "is not red")[row % 3]
    return f"{task}: the {word} number {row} is red", f"{task}: the {word} number {row} {said}"


def _sst2(data: Path, examples: int) -> None:
    folder = data / "senteval" / "SST" / "binary"
    folder.mkdir(parents=True)
    for part, start in (("train", 0), ("dev", 1000), ("test", 2000)):
        rows = range(start, start + examples)
        text = "".join(f"{_review(row, 'SST2')}\t{row % 2}\n" for row in rows)
        (folder / f"sentiment-{part}").write_text(text)


def _cr(data: Path, examples: int) -> None:
    folder = data / "senteval" / "CR"
    folder.mkdir(parents=True)
    for label, name in enumerate(("neg", "pos")):
        rows = range(label, 2 * examples, 2)
        (folder / f"custrev.{name}").write_text("".join(f"{_review(row, 'CR')}\n" for row in rows))


def _tweets(data: Path, examples: int) -> None:
    labels = ("anger", "joy", "sadness", "optimism")  # by turns bad and good
    _jsonl(data, "tweet_emotion", examples, lambda row: {"text": _review(row, "tweet"), "label": labels[row % 4]})


def _rte(data: Path, examples: int) -> None:
    def example(row: int) -> dict[str, str]:
        text, pair = _pair(row, "RTE")
        return {"text": text, "text_pair": pair, "label": "not_entailment" if row % 3 else "entailment"}

    _jsonl(data, "rte", examples, example)


def _sick(data: Path, examples: int) -> None:
    folder = data / "senteval" / "SICK"
    folder.mkdir(parents=True)
    labels = ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")
    for part, start in (("train", 0), ("test_annotated", 3000)):
        rows = range(start, start + examples)
        lines = ["\t".join([str(row), *_pair(row, "SICK"), "3.0", labels[row % 3]]) + "\n" for row in rows]
        (folder / f"SICK_{part}.txt").write_text(_HEADINGS + "".join(lines))


def _jsonl(data: Path, name: str, examples: int, example) -> None:
    folder = data / "tasks" / name
    folder.mkdir(parents=True)
    for part, start in (("train", 0), ("test", 3000)):
        lines = [json.dumps(example(row)) + "\n" for row in range(start, start + examples)]
        (folder / f"{part}.jsonl").write_text("".join(lines))


_WRITERS = {"SST2": _sst2, "CR": _cr, "tweet_emotion": _tweets, "SICK": _sick, "RTE": _rte}
