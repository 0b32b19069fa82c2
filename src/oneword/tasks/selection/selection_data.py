"""What a prompt is chosen for: a dataset's texts, those of them that have labels, and a test part with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oneword.errors import InputError
from oneword.io.texts import open_texts
from oneword.tasks.dataset import Dataset
from oneword.tasks.pool import Pool
from oneword.tasks.selection.label_match import LabelMatch, match_labels

_LABEL = "label"


@dataclass(frozen=True)
class Columns:
    """Where texts and labels stand in a file.

    Args:
        text: column of the texts.
        label: of the labels; None takes ``label`` where it is there.
        text_pair: of the second texts; None takes ``text_pair`` where it is there.
    """

    text: str = "text"
    label: str | None = None
    text_pair: str | None = None


@dataclass(frozen=True)
class SelectionData:
    """A dataset that a prompt is chosen for.

    Args:
        texts: its texts, all without their labels.
        labelled: those that have labels, with the classes of ``match``; None where none has.
        test: what accuracies are of; None where the truth is not known.
        match: what the dataset's labels are among the prompts'; None where it has none.
    """

    texts: Pool
    labelled: Dataset | None = None
    test: Dataset | None = None
    match: LabelMatch | None = None


def read_selection_data(
    path: Path,
    prompt_labels: Sequence[str],
    takes_pairs: bool,
    *,
    test: Path | None = None,
    columns: Columns | None = None,
    mapping: Mapping[str, str] | None = None,
    examples: int = 1000,
    seed: int = 0,
) -> SelectionData:
    """Read a dataset whose rows have labels, some of them, or none.

    Args:
        path: a csv, tsv, jsonl or parquet file.
        prompt_labels: what the prompts answer.
        takes_pairs: whether they are about pairs of texts.
        test: a file with the truth, of the same columns.
        columns: where texts and labels stand.
        mapping: labels that are the same, as for :func:`~oneword.tasks.selection.label_match.match_labels`.
        examples: the most texts, and the most of the test part.
        seed: of the samples.

    Raises:
        InputError: a file or column that is not there, texts that cannot be used, single texts for prompts of pairs,
            or labels that match none of the prompts'.
    """
    columns = columns or Columns()
    texts = Pool.from_path(path, text=columns.text, text_pair=columns.text_pair)
    _check_pairs(str(path), takes_pairs, texts.text_pairs is not None)
    labelled = labelled_rows(path, columns)
    truth = None
    if test is not None:
        truth = _dataset(test, columns).sample(examples, seed, every_class=False)
        _check_pairs(str(test), takes_pairs, truth.text_pairs is not None)
    known = [label for one in (labelled, truth) if one is not None for label in one.classes]
    if not known:
        if mapping:
            raise InputError(f"{path} has no labels, so there are none to call otherwise")
        return SelectionData(texts.sample(examples, seed))
    match = match_labels(prompt_labels, known, mapping)
    if labelled is not None:
        # The task is to tell apart what the prompts do
        classes = {label: match.classes[match.class_of[label]] for label in labelled.classes}
        labelled = labelled.relabelled(classes).sample(examples, seed)
    return SelectionData(texts.sample(examples, seed), labelled, truth, match)


def labelled_rows(path: Path, columns: Columns) -> Dataset | None:
    """The rows of a file that have labels; None where there is no column of them.

    Raises:
        InputError: a column that was named and is not there, one without any label, or texts that cannot be used.
    """
    with open_texts(str(path)) as file:
        there = (columns.label or _LABEL) in file.columns
    return _dataset(path, columns) if there or columns.label is not None else None


def _dataset(path: Path, columns: Columns) -> Dataset:
    return Dataset.from_file(
        path,
        text=columns.text,
        label=columns.label or _LABEL,
        text_pair=columns.text_pair,
        kind="classification",
        skip_unlabelled=True,
    )


def _check_pairs(name: str, wanted: bool, found: bool) -> None:
    if wanted and not found:
        raise InputError(
            f"{name} has single texts, but the prompts are about pairs; name the column of the second ones with "
            "--text-pair, or choose prompts of single texts"
        )
    if found and not wanted:
        raise InputError(f"{name} has pairs of texts, but the prompts are about single ones; choose prompts of pairs")
