"""`oneword select`: prompts ranked for a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oneword.cli.evaluation.options import parse_names
from oneword.cli.options import json_option
from oneword.cli.select.embedding import WAYS, EmbeddingChoice, choose_prompts
from oneword.cli.select.options import AskingOptions, WorkOptions, asking_options, work_options
from oneword.cli.tasks.options import (
    TuningOptions,
    check_packages,
    force_option,
    load_model,
    tuning_options,
    unlabeled_option,
)
from oneword.errors import InputError
from oneword.tasks.selection.methods import METHODS, SelectionMethod, find_methods

if TYPE_CHECKING:
    from oneword.tasks.selection.selection_data import SelectionData

_METHOD_HELP = "; ".join(f"{method.name}: {method.summary}" for method in METHODS.values())


def parse_mapping(context: click.Context, option: click.Parameter, value: str | None) -> dict[str, str]:
    """Labels and what they are called on the other side, as in ``joy=positive,anger=negative``."""
    mapping: dict[str, str] = {}
    for part in value.split(",") if value else ():
        label, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals or not label or not name:
            raise click.BadParameter(f"'{part.strip()}' is not LABEL=LABEL, as in joy=positive")
        if label in mapping:
            raise click.BadParameter(f"the label '{label}' is given twice")
        mapping[label] = name
    return mapping


@click.group(invoke_without_command=True)
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Your texts: csv, tsv, jsonl or parquet.")
@click.option("--prompts", metavar="NAME|FILE", help="sentiment, inference, or a .toml file of prompts of your own.")
@click.option(
    "--select-by",
    callback=parse_names,
    metavar="A,B",
    help=f"What ranks them; the first one chooses.  {_METHOD_HELP}.  --for embedding: {', '.join(WAYS)}.  "
    "[default: all that apply]",
)
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["answers", "embedding"]),
    default="answers",
    show_default=True,
    help="What is chosen: a prompt that an LLM answers, or prompts of an embedding method (--method).",
)
@click.option(
    "--method", metavar="NAME", help="--for embedding: whose prompts, see `oneword methods`.  [default: metaeol]"
)
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="--for embedding: how many prompts.")
@click.option("--weighted", is_flag=True, help="--for embedding: keep all, weighted by their ranks.")
@unlabeled_option
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="The truth: a test part with labels.")
@click.option(
    "--map-labels",
    callback=parse_mapping,
    metavar="A=B,...",
    help="What your labels are called by the prompts, as in joy=positive; or labels of the prompts that are one of "
    "yours, as in neutral=not_entailment.",
)
@click.option("--text", default="text", show_default=True, metavar="NAME", help="Column of the texts.")
@click.option("--label", metavar="NAME", help="Column of the labels; rows can lack one.  [default: label]")
@click.option("--text-pair", metavar="NAME", help="Column of the second texts.  [default: text_pair]")
@click.option(
    "--examples",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    metavar="N",
    help="The most texts that are taken of each file.",
)
@click.option(
    "--surrogate",
    default="minilm",
    show_default=True,
    metavar="NAME",
    help="The model on which task embeddings are computed.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the chosen prompt is written to, with its model: .toml, for `oneword tasks embed-model`; --for "
    "embedding: a method file, for --method of every command.",
)
@force_option
@json_option
@asking_options
@work_options
@tuning_options
@click.pass_context
def select(
    context: click.Context,
    data: Path | None,
    prompts: str | None,
    select_by: list[str],
    purpose: str,
    method: str | None,
    keep: int | None,
    weighted: bool,
    unlabeled: Path | None,
    labels: Path | None,
    map_labels: dict[str, str],
    text: str,
    label: str | None,
    text_pair: str | None,
    examples: int,
    surrogate: str,
    output: Path | None,
    force: bool,
    as_json: bool,
    asking_options: AskingOptions,
    work_options: WorkOptions,
    tuning_options: TuningOptions,
) -> None:
    """Which prompt, and which model, for your data: ranked without trying them all on labels.

    FUTE's methods need a few labels: they compare what your labels teach a small model with what each prompt's answers
    to unlabeled texts teach it. The others need none. Answers are kept: a second run asks nothing twice.

    \b
    oneword select --data reviews.csv --prompts sentiment
    oneword select --data reviews.csv --prompts mine.toml --model smollm2 --select-by fute-tupate,mi --labels test.csv
    oneword select --data reviews.csv --for embedding -o mine.toml
    """  # noqa: D301 - click reads the backspaces
    if context.invoked_subcommand is not None:
        return
    if data is None:
        raise click.UsageError("Missing option '--data'.")
    own = {"--method": method, "--keep": keep, "--weighted": weighted}
    if purpose == "embedding":
        others = {"--prompts": prompts, "--labels": labels, "--map-labels": map_labels, "--paper": tuning_options.paper}
        _refuse(others, "answers")
        choose_prompts(
            EmbeddingChoice(
                data, (text, label, text_pair), select_by, method or "metaeol", keep, weighted, examples, unlabeled
            ),
            surrogate,
            output,
            force,
            as_json,
            asking_options,
            work_options,
            tuning_options,
        )
        return
    _refuse(own, "embedding")
    if prompts is None:
        raise click.UsageError("Missing option '--prompts'.")
    asked_for = find_methods(select_by)
    check_packages()
    from oneword.tasks.pool import Pool
    from oneword.tasks.selection.predictor_file import check_predictor_file
    from oneword.tasks.selection.prompt_set import find_prompt_set
    from oneword.tasks.selection.selection_data import Columns, read_selection_data

    if output is not None:
        check_predictor_file(output, force)
    prompt_set = find_prompt_set(prompts)
    first = prompt_set.prompts[0]
    given = read_selection_data(
        data,
        first.labels,
        first.takes_pairs,
        test=labels,
        columns=Columns(text, label, text_pair),
        mapping=map_labels,
        examples=examples,
        seed=work_options.seed,
    )
    methods = _that_apply(asked_for, given)
    pool = Pool.of(unlabeled)
    from oneword.cli.startup import prepare_torch

    prepare_torch()
    from oneword.cli.select.report import Selected
    from oneword.tasks.asking import Calls
    from oneword.tasks.selection.predictor_file import write_predictor_file
    from oneword.tasks.selection.selector import PromptSelector

    candidates = asking_options.candidates(prompt_set)
    chosen_by = [one for one in methods if asked_for or one.applies_to(candidates)]
    fute = any(one.form for one in chosen_by)
    calls, scores, accuracies = Calls(), {}, None
    with work_options.bars() as bars:
        selector = PromptSelector(
            candidates,
            calls=calls,
            folder=work_options.work,
            pool=pool,
            surrogate=load_model(surrogate, asking_options.device) if fute else surrogate,
            tuning=tuning_options.given,
            paper=tuning_options.paper,
            seed=work_options.seed,
            perplexity=any(one.needs == "perplexity" for one in chosen_by),
            on_progress=lambda what, done, total: bars.bar(what, "")(done, total),
        )
        texts, pairs = given.texts.texts, given.texts.text_pairs
        for one in chosen_by:
            scores[one.name] = selector.scores(one, texts, pairs, labelled=given.labelled, match=given.match)
        if given.test is not None and given.match is not None:
            accuracies = selector.accuracies(given.test, given.match)
    selected = Selected(candidates, scores, accuracies, calls)
    if output is not None:
        chosen = candidates[selected.place]
        assert chosen.prompt is not None
        model = asking_options.models[selected.place // len(prompt_set.prompts)]
        write_predictor_file(output, chosen.prompt, model, {**asking_options.asking, **asking_options.loading})
    if as_json:
        click.echo(json.dumps(selected.as_fields()))
        return
    selected.show()
    if output is not None:
        click.echo(f"written: {output}")


def _refuse(given: Mapping[str, object], purpose: str) -> None:
    """Refuse options that say something about the other purpose."""
    for option, value in given.items():
        if value:
            raise InputError(f"{option} is a choice of --for {purpose}; leave it out")


def _that_apply(methods: Sequence[SelectionMethod], data: SelectionData) -> list[SelectionMethod]:
    """The methods that were asked for, or all that the data allows."""
    if not methods:
        return [one for one in METHODS.values() if data.labelled is not None or not one.needs_labels]
    for one in methods:
        if one.needs_labels and data.labelled is None:
            raise InputError(
                f"{one.name} needs a few labels, and {data.texts.name} has none; name their column with --label, or "
                "choose by mi, global-entropy, zps-log or another that needs none"
            )
    return list(methods)
