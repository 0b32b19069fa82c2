"""`oneword tasks pool`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.options import json_option

if TYPE_CHECKING:
    from oneword.tasks.pool_sampling import SampledPool
    from oneword.tasks.pool_sources import Source


@click.command()
@click.option(
    "--data",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR|FILE",
    help="Datasets that lie here; may be repeated.  [default: the shipped pool]",
)
@click.option("--crossfit", is_flag=True, help="CrossFit's tasks, from the Hugging Face Hub.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUT.jsonl",
    help="The pool; what went in is written to OUT.json beside it.",
)
@click.option(
    "--per-dataset",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Texts of each dataset at most.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="NAME|FILE",
    help="Leave out a dataset, or near duplicates of a file's texts; may be repeated.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars and no summary.")
@json_option
@click.pass_obj
def pool(
    command: str | None,
    data: tuple[Path, ...],
    crossfit: bool,
    output: Path,
    per_dataset: int,
    without: tuple[str, ...],
    seed: int,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Sample a pool of unlabeled texts from datasets.

    Evaluation sets are left out by name, or with all near duplicates of a file's texts (--without). Of near duplicates,
    wherever they come from, one is kept. Under --data, a folder with train.jsonl (txt, csv, tsv, parquet) is a dataset,
    with the columns text and maybe text_pair; so is any other such file, and each of SentEval's folders.

    \b
    oneword tasks pool --data DIR --without rte --without test.jsonl -o pool.jsonl
    oneword tasks pool --crossfit --without glue-rte --without superglue-rte -o pool.jsonl
    """  # noqa: D301 - click reads the backspaces
    from tqdm import tqdm

    from oneword.evaluation.results import now, versions
    from oneword.tasks.pool_sampling import check_pool_file, draw_sample, find_without, leave_out, write_pool

    check_pool_file(output, force)
    sources = _sources(data, crossfit)
    left_out = find_without(without, sources)
    hidden = True if quiet else None
    with tqdm(total=len(sources), unit=" datasets", leave=False, disable=hidden) as bar:
        sample = draw_sample(sources, per_dataset, seed, left_out, lambda name: bar.update(1))
    with tqdm(unit=" texts", desc="near duplicates", leave=False, disable=hidden) as bar:
        sampled = leave_out(sample, output.stem, bar.update)
    facts = {"per_dataset": per_dataset, "seed": seed, "command": command, "versions": versions(), "date": now()}
    write_pool(output, sampled, facts, overwrite=force)
    if as_json:
        records = [asdict(record) for record in sampled.records]
        shown = {"written": str(output), "texts": len(sampled.pool), "digest": sampled.pool.digest, "datasets": records}
        click.echo(json.dumps(shown, ensure_ascii=False))
    elif not quiet:
        _tell(output, sampled)


def _sources(data: tuple[Path, ...], crossfit: bool) -> list[Source]:
    """The datasets that are asked for, each name once."""
    from oneword.errors import InputError
    from oneword.tasks.pool_sources import crossfit_sources, local_sources, shipped_sources

    found = [source for path in data for source in local_sources(path)]
    if crossfit:
        found += crossfit_sources()
    if not found:
        found = shipped_sources()
    names: set[str] = set()
    for source in found:
        if source.name in names:
            raise InputError(f"two datasets are called '{source.name}'; sample them apart, or rename one")
        names.add(source.name)
    return found


def _tell(output: Path, sampled: SampledPool) -> None:
    def total(what: str) -> Any:
        return sum(getattr(record, what) for record in sampled.records)

    for record in sampled.records:
        if record.failed:
            click.echo(f"warning: {record.name} is left out: {record.left_out}", err=True)
    used = sum(record.taken > 0 for record in sampled.records)
    counts = {
        "near duplicates": total("near_duplicates"),
        "texts of evaluation sets": total("evaluation_texts"),
        "unusable rows": total("unusable"),
    }
    dropped = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    click.echo(
        f"{output}: {len(sampled.pool):,} texts of {used:,} datasets{f'; left out: {dropped}' if dropped else ''}",
        err=True,
    )
