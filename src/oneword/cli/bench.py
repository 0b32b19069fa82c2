"""`oneword bench`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.options import ModelOptions, model_options_without_method
from oneword.cli.tables import print_table
from oneword.errors import InputError, OutputError

if TYPE_CHECKING:
    from oneword.benchmark.contenders import Race
    from oneword.benchmark.race import Measured

_METHODS = ("metaeol", "prompteol", "ck_cp")
_TEXTS = 2000


@click.command()
@model_options_without_method
@click.option(
    "--method",
    "methods",
    metavar="NAME",
    multiple=True,
    help=f"As often as you like.  [default: {', '.join(_METHODS)}]",
)
@click.option(
    "--texts", metavar="FILE", type=click.Path(path_type=Path), help="Texts, a line each.  [default: sentences of ours]"
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help=f"No more texts than these.  [default: {_TEXTS}]")
@click.option(
    "--peers",
    metavar="NAME,...",
    default="reference",
    show_default=True,
    help="Also llemb, sentence-transformers, "
    "llama.cpp; `python benchmarks/peers/install.py` installs them.  none for none.",
)
@click.option("--ablate", is_flag=True, help="Switch each of the engine's ideas off in turn.")
@click.option("--rounds", metavar="N", type=click.IntRange(1), help="How many times each runs.  [default: 3]")
@click.option(
    "--seconds",
    metavar="S",
    type=click.FloatRange(1),
    help="About how long one run may take; what is slower gets some of the texts.  [default: 30]",
)
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Of everyone.  [default: as many as torch takes]")
@click.option("--quick", is_flag=True, help="Few texts, short runs, one method: under a minute.")
@click.option("--json", "json_file", metavar="FILE", type=click.Path(path_type=Path), help="Write all figures.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw texts a second (.png, .svg, .pdf).")
def bench(
    model_options: ModelOptions,
    methods: tuple[str, ...],
    texts: Path | None,
    limit: int | None,
    peers: str,
    ablate: bool,
    rounds: int | None,
    seconds: float | None,
    threads: int | None,
    quick: bool,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """Race oneword against its peers on this machine.

    All take turns at the same texts, several rounds, each in a process of its own. Shown are medians, each process's
    memory at its peak, the cosines to a plain loop in float32, how many times faster oneword is, and how near it comes
    to the floor: the time of the least work at the rate that this machine multiplies matrices with.
    """
    from oneword.benchmark.contenders import check_peers

    _check_files(json_file, plot)
    wanted = [name.strip() for name in peers.split(",") if name.strip() not in ("", "none")]
    check_peers(wanted)
    chosen = methods or (_METHODS[:1] if quick else _METHODS)
    rounds, seconds, oracle_texts = (rounds or 2, seconds or 2.0, 2) if quick else (rounds or 3, seconds or 30.0, 32)
    sentences = _sentences(texts)[: limit or (96 if quick else _TEXTS)]
    from oneword.cli.startup import prepare_torch

    prepare_torch()
    from oneword.benchmark.race import run_race
    from oneword.benchmark.report import HEADERS, data_of, draw_races, machine, notes_of, table_of
    from oneword.whole_file import write_whole

    prepared = [_race(model_options, method, sentences, threads) for method in chosen]
    lists = [[race.oneword(), *(race.ablated() if ablate else []), *race.peers(wanted)] for race in prepared]
    found: list[tuple[str, list[Measured]]] = []
    for method, race, contenders in zip(chosen, prepared, lists):
        measured = run_race(race, contenders, rounds, seconds, oracle_texts, _say)
        _say("")
        found.append((method, measured))
        click.echo(f"{method}: {len(sentences):,} texts, {race.dtype}, {race.threads} threads, {rounds} rounds")
        print_table(table_of(measured), HEADERS)
        click.echo("".join(f"{note}\n" for note in notes_of(measured)))
        if not any(one.runs for one in measured):
            raise InputError(f"{method}: nobody could run; {measured[0].left_out}")
        if json_file is not None:
            figures = {"machine": machine(), "races": [data_of(measured, method) for method, measured in found]}
            write_whole(json_file, json.dumps(figures, indent=1).encode())
    if plot is not None:
        draw_races(found, plot)


def _race(options: ModelOptions, name: str, texts: list[str], threads: int | None) -> Race:
    """What all contenders are told of a method; the model is fetched, and not loaded."""
    import torch

    from oneword.asked import resolve_asked
    from oneword.benchmark.contenders import Race
    from oneword.models.backbone import depth_of, is_causal, read_config
    from oneword.models.device import dtype_name, resolve_device, resolve_dtype
    from oneword.models.source import find_gguf, find_source
    from oneword.registry import find_method

    device = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, device)
    fetch: dict[str, Any] = {name: getattr(options, name) for name in ("revision", "trust_remote_code", "allow_pickle")}
    sources = {each: find_source(options.model, each, **fetch) for each in (dtype, torch.float32)}
    source = sources[dtype]
    config = read_config(source, options.trust_remote_code)
    depth = depth_of(config, source)
    asked = resolve_asked(
        find_method(name), options.layer, options.steer, options.demonstrations, depth, is_causal(config), source.name
    )
    if isinstance(asked.layer, list):
        raise InputError("bench reads one layer; give one --layer")
    method = asked.method
    if method.pooling != "last_token" or method.combine != "mean" or method.weights:
        raise InputError(f"bench compares plain means over prompts of last tokens; {name} is none")
    if method.calibration is not None:
        click.echo(f"{name}: raced without its calibration, which the others have not", err=True)
    return Race(
        replace(method, layer=asked.layer, calibration=None),
        {dtype_name(each): found.folder for each, found in sources.items()},
        find_gguf(options.model),
        depth,
        texts,
        dtype_name(dtype),
        str(device),
        threads or torch.get_num_threads(),
        {"model": options.model, "quantize": options.quantize, **fetch},
    )


def _sentences(path: Path | None) -> list[str]:
    """The lines of a file that hold anything, or those of the corpus that comes with oneword."""
    if path is None:
        from oneword.benchmark.shipped import corpus

        return corpus()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from None
    found = [line for line in lines if line.strip()]
    if not found:
        raise InputError(f"{path} holds no texts; one a line is needed")
    return found


def _check_files(json_file: Path | None, plot: Path | None) -> None:
    """Refuse what could not be written, before anything is measured."""
    if json_file is not None and not json_file.parent.is_dir():
        raise OutputError(f"{json_file} cannot be written: there is no folder {json_file.parent}; make it first")
    if plot is not None:
        from oneword.bars import check_plot

        check_plot(plot)


def _say(what: str) -> None:
    """Whose turn it is, on one line of a terminal that is written over."""
    import sys

    if sys.stderr.isatty():
        click.echo(f"\r\033[K{what}", err=True, nl=False)
