"""`oneword tasks embed-model`."""

from __future__ import annotations

from pathlib import Path

import click

from oneword.cli.tasks.options import (
    TaskOptions,
    check_output,
    force_option,
    output_option,
    task_options,
    tell_written,
    unlabeled_option,
)


@click.command("embed-model")
@click.argument("spec")
@output_option
@unlabeled_option
@click.option("--pair-texts", is_flag=True, help="Put the texts in pairs, for a model that takes two.")
@click.option(
    "--apart-from",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A dataset whose texts must not be among the unlabeled ones; can be given several times.",
)
@click.option("--name", metavar="NAME", help="What the model is called.  [default: its own]")
@click.option(
    "--trust", is_flag=True, help="Load a joblib or pickle file, or unknown types of a skops file; they can run code."
)
@click.option("--trust-remote-code", is_flag=True, help="Let a transformers model run code of its own.")
@click.option("--allow-pickle", is_flag=True, help="Load weights that are not safetensors; they can run code too.")
@force_option
@task_options
def embed_model(
    spec: str,
    output: Path,
    unlabeled: Path | None,
    pair_texts: bool,
    apart_from: tuple[Path, ...],
    name: str | None,
    trust: bool,
    trust_remote_code: bool,
    allow_pickle: bool,
    force: bool,
    task_options: TaskOptions,
) -> None:
    """A model's vector (MTE): what the surrogate learns from the model's answers to unlabeled texts.

    \b
    SPEC says what answers:
      classifier:PATH_OR_ID     a transformers classifier
      qa:PATH_OR_ID             a transformers model for extractive question answering
      sklearn:FILE              a fitted scikit-learn estimator: .skops, or .joblib with --trust
      python:MODULE:FUNCTION    a function of texts (and second texts); MODULE can be a .py file
      endpoint:URL              an OpenAI-compatible endpoint
      FILE.toml                 any of these with its choices; an LLM with a prompt and label words; an LLM that
                                writes answers; an embedding method with a classifier on top

    \b
    oneword tasks embed-model sklearn:spam.skops -o spam.safetensors
    """  # noqa: D301 - click reads the backspaces
    from dataclasses import replace

    from oneword.cli.startup import prepare_torch
    from oneword.tasks.dataset import Dataset
    from oneword.tasks.pool import Pool
    from oneword.tasks.predictors.spec import find_predictor

    check_output(output, force)
    datasets = [Dataset.from_file(path) for path in apart_from]
    texts = Pool.of(unlabeled)
    if pair_texts:
        texts = texts.paired(task_options.seed)
    prepare_torch()
    predictor = find_predictor(
        spec,
        trust=trust,
        device=task_options.device,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    embedder = task_options.embedder()
    with task_options.bars() as bars:
        embedding = embedder.embed_model(
            predictor,
            texts,
            apart_from=datasets,
            on_text=bars.bar("answers", "texts"),
            on_update=bars.bar("tuning", "updates"),
            on_row=bars.bar("Fisher", "rows"),
        )
    if unread := getattr(predictor, "unread", 0):
        click.echo(
            f"warning: to {unread:,} texts no label word was among the 20 likeliest answers; their labels are equally "
            "probable",
            err=True,
        )
    if name:
        embedding = replace(embedding, name=name, provenance={**embedding.provenance, "model": name})
    embedding.save(output)
    tell_written(embedding, output)
