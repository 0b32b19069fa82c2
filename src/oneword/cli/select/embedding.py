"""`oneword select --for embedding`: which prompts of an embedding method for a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.select.options import AskingOptions, WorkOptions
from oneword.cli.startup import prepare_torch
from oneword.cli.tables import print_table, shortened
from oneword.cli.tasks.options import TuningOptions, check_packages, load_model
from oneword.errors import InputError, nearest_names

if TYPE_CHECKING:
    from oneword.tasks.dataset import Dataset
    from oneword.tasks.pool import Pool
    from oneword.tasks.selection.embedding import PromptChoice

WAYS = ("cross-validation", "mte", "agreement", "alignment-uniformity")  # the best known first
NEED_LABELS = ("cross-validation", "mte")


@dataclass(frozen=True)
class EmbeddingChoice:
    """What is to be chosen.

    Args:
        data: file of the dataset.
        columns: of its texts, labels and second texts.
        ways: what ranks the prompts, the first one chooses; none takes all that apply.
        method: whose prompts.
        keep: how many; None leaves that to the way.
        weighted: keep all, weighted.
        examples: the most texts that are taken.
        unlabeled: texts for task embeddings.
    """

    data: Path
    columns: tuple[str, str | None, str | None]
    ways: Sequence[str]
    method: str
    keep: int | None
    weighted: bool
    examples: int
    unlabeled: Path | None


def choose_prompts(
    choice: EmbeddingChoice,
    surrogate: str,
    output: Path | None,
    force: bool,
    as_json: bool,
    asking: AskingOptions,
    work: WorkOptions,
    tuning: TuningOptions,
) -> None:
    """Choose prompts, say which, and write them as a method."""
    for way in choice.ways:
        if way not in WAYS:
            raise InputError(f"unknown way to choose prompts for embeddings '{way}' ({nearest_names(way, WAYS)})")
    if len(asking.models) > 1:
        raise InputError("--for embedding chooses prompts for one model; give one --model")
    check_packages()
    from oneword.prompting.method_file import check_method_file
    from oneword.registry import find_method
    from oneword.tasks.pool import Pool

    if output is not None:
        check_method_file(output, force)
    method = find_method(choice.method)
    texts, labelled = _read(choice, work.seed)
    ways = list(dict.fromkeys(choice.ways)) or [way for way in WAYS if labelled is not None or way not in NEED_LABELS]
    for way in ways:
        if way in NEED_LABELS and labelled is None:
            raise InputError(f"{way} needs a few labels, and {texts.name} has none; name their column with --label")
    pool = Pool.of(choice.unlabeled)
    prepare_torch()
    from oneword.tasks.selection.embedding import PromptChooser

    with work.bars() as bars:
        chooser = PromptChooser(
            asking.models[0],
            method,
            folder=work.work,
            seed=work.seed,
            on_progress=lambda what, done, total: bars.bar(what, "")(done, total),
            **asking.loading,
        )
        # The surrogate is asked about for task embeddings alone
        loaded = load_model(surrogate, asking.device) if "mte" in ways else surrogate
        found = [
            chooser.choose(
                way,
                labelled if way in NEED_LABELS and labelled is not None else texts,
                keep=choice.keep,
                weighted=choice.weighted,
                pool=pool,
                surrogate=loaded,
                tuning=tuning.given,
            )
            for way in ways
        ]
    if output is not None:
        found[0].write(output, force)
    if as_json:
        click.echo(json.dumps(_as_fields(found)))
        return
    _show(found, {prompt.name: prompt.wording for prompt in chooser.method.prompts})
    if output is not None:
        click.echo(f"written: {output}; embed with --method {output}")


def _read(choice: EmbeddingChoice, seed: int) -> tuple[Pool, Dataset | None]:
    """All texts, and those that have labels."""
    from oneword.tasks.pool import Pool
    from oneword.tasks.selection.selection_data import Columns, labelled_rows

    columns = Columns(*choice.columns)
    texts = Pool.from_path(choice.data, text=columns.text, text_pair=columns.text_pair)
    labelled = labelled_rows(choice.data, columns)
    return texts.sample(choice.examples, seed), None if labelled is None else labelled.sample(choice.examples, seed)


def _show(found: Sequence[PromptChoice], wordings: Mapping[str, str]) -> None:
    first = found[0]
    order = sorted(range(len(first.prompts)), key=lambda place: -first.scores[place])
    rows = [
        [
            first.prompts[place],
            *(f"{one.scores[place]:.4g}{' *' if place in one.chosen else ''}" for one in found),
            shortened(wordings[first.prompts[place]], 60),
        ]
        for place in order
    ]
    print_table(rows, ["prompt", *(one.way for one in found), "wording"])
    click.echo("\nscores: larger is better; * is chosen")
    weights = f", weights {', '.join(f'{weight:g}' for weight in first.method.weights)}" if first.method.weights else ""
    click.echo(f"\n{first.way} chooses {', '.join(first.prompts[place] for place in first.chosen)}{weights}")


def _as_fields(found: Sequence[PromptChoice]) -> dict[str, object]:
    return {
        "chosen": {"by": found[0].way, "prompts": [found[0].prompts[place] for place in found[0].chosen]},
        "prompts": list(found[0].prompts),
        "ways": {
            one.way: {
                "scores": list(one.scores),
                "chosen": [one.prompts[place] for place in one.chosen],
                "weights": list(one.method.weights),
            }
            for one in found
        },
    }
