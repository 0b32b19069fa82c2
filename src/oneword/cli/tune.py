"""`oneword tune`."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.evaluation.options import (
    EvaluationOptions,
    check_scipy,
    data_option,
    evaluation_options,
    refuse_several_layers,
)
from oneword.cli.evaluation.sts import read_tasks
from oneword.cli.options import ModelOptions, json_option, model_options
from oneword.cli.tables import print_table
from oneword.errors import InputError

if TYPE_CHECKING:
    from oneword.evaluation.tuning import Setting, Tuned

_SHOWN = 8
_TUNED_FIELDS = {"layer", "scale", "norm"}


def parse_blocks(context: click.Context, option: click.Parameter, value: str | None) -> list[int] | None:
    """Blocks separated by commas."""
    return None if value is None else [_number(part, int) for part in value.split(",")]


def parse_scales(context: click.Context, option: click.Parameter, value: str | None) -> list[float] | None:
    """Scales separated by commas."""
    return None if value is None else [_number(part, float) for part in value.split(",")]


@click.command()
@click.option("--on", "task", default="STSB-dev", show_default=True, metavar="TASK", help="The development set.")
@data_option
@click.option(
    "--grid",
    type=click.Choice(["paper"]),
    default="paper",
    show_default=True,
    help="Blocks 3 to 7 of 32, scaled to the model's depth; scales 0.5, 1, 2, 3, 4, and norm recovering.",
)
@click.option("--blocks", callback=parse_blocks, metavar="N,N", help="Blocks to steer, instead of the grid's.")
@click.option("--scales", callback=parse_scales, metavar="A,A", help="Scales, instead of the grid's.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The method file, .toml.  [default: beside the scores]",
)
@click.option(
    "--preset",
    is_flag=True,
    help="Find prompts, layer and calibration, and then the steering, on STS-B's train and dev and SICK's train part; "
    "-o is then a folder.",
)
@click.option(
    "--pairs",
    type=click.IntRange(min=10),
    default=1500,
    show_default=True,
    metavar="N",
    help="With --preset, at most so many pairs of each part.",
)
@click.option("--name", default="oneword_tuned", show_default=True, help="With --preset, what the method is called.")
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@json_option
@evaluation_options
@model_options
def tune(
    task: str,
    data: Path | None,
    grid: str,
    blocks: list[int] | None,
    scales: list[float] | None,
    output: Path | None,
    preset: bool,
    pairs: int,
    name: str,
    force: bool,
    as_json: bool,
    evaluation_options: EvaluationOptions,
    model_options: ModelOptions,
) -> None:
    """Find the best steering and read-out layer for a method, on a development set.

    Every block and scale of the grid is tried at every layer that sees it. The forward pass is run once: what steering
    changes is the last token alone, which is run again for each setting. The best is written as a method file.

    \b
    oneword tune --on STS-B-dev --data DIR --method prompteol -o tuned.toml
    oneword eval sts --data DIR --tasks STSB --method prompteol --method tuned.toml
    oneword tune --preset --data DIR -o my-preset/
    """  # noqa: D301 - click reads the backspaces
    from oneword.prompting.method_file import check_method_file, write_method_file

    check_scipy()
    _refuse_unused_options(preset)
    if preset:
        from oneword.cli.tune_preset import tune_preset

        if data is None or output is None:
            raise InputError("tune --preset needs --data, and -o for the method's folder")
        tune_preset(data, pairs, output, name, force, as_json, evaluation_options, model_options)
        return
    refuse_several_layers(model_options)
    if model_options.steer is not None and model_options.steer.keys() & _TUNED_FIELDS:
        raise InputError(
            "--steer takes only position and auxiliary_prompt here; layer, scale and norm are what is tuned"
        )
    if output is not None:
        check_method_file(output, force)
    development = read_tasks(data, [task], allow_missing=False)[0]
    whole = replace(model_options, layer=-1, method=None, steer=None, demonstrations=None).embedder()
    own = whole.with_method(
        model_options.method,
        layer=model_options.layer,
        steering=model_options.steer,
        demonstrations=model_options.demonstrations,
    )
    if own.method.calibration is not None:
        raise InputError(f"method '{own.method.name}' is calibrated; tune it without that, and calibrate what is found")
    from oneword.evaluation.results import now, versions
    from oneword.evaluation.tuning import PAPER_SCALES, grid_digest, make_grid, paper_blocks, tune

    depth = whole.layers[0]
    steerings = make_grid(own.method, blocks or paper_blocks(depth), scales or PAPER_SCALES)
    for steering in steerings:  # what cannot be steered is told now
        steering.resolved(depth)
    whole.with_method(own.method, steering=steerings[0])
    plain = whole.with_method(replace(own.method, steering=None), layer=list(range(1, depth + 1)))
    with evaluation_options.run() as run:
        chunks = run.folder.root / "vectors" / f"tune-{grid_digest(plain, development, steerings)}"
        with run.progress(2 * len(development), f"{own.method.name}, {development.task}") as bar:
            tuned = tune(plain, own.layers[0], development, steerings, chunks, bar.update)
        fields = {
            "task": development.task,
            "model": own.model,
            "method": own.method.name,
            **_fields(tuned),
            "settings": [asdict(setting) for setting in tuned.settings],
            "command": run.command,
            "versions": versions(),
            "date": now(),
        }
        kept = run.folder.write_fields(plain.fingerprint_of([own.layers[0]]), f"tune-{development.task}", fields)
        best, written = tuned.applied_to(own.method), output or kept.with_name(f"{kept.stem}.toml")
        write_method_file(written, [best], overwrite=force or output is None)
        if not evaluation_options.keep_vectors:
            shutil.rmtree(chunks, ignore_errors=True)
    if as_json:
        click.echo(json.dumps({**fields, "written": str(written)}, ensure_ascii=False))
        return
    _print(tuned, development.task)
    # What was chosen on this data must be shown on other data
    asked = ["oneword", "eval", "sts", *(["--data", str(data)] if data else []), "--tasks", "STSB,SICKR"]
    asked += [*model_options.model_arguments(), "--method", str(model_options.method or own.method.name)]
    asked += ["--method", str(written)]
    click.echo(
        f"\n{written}: {_steering(tuned.best)}, layer {tuned.best.layer}. It was chosen on this data, so its gain is "
        f"too high; confirm it on a test set:\n{shlex.join(asked)}"
    )


_TUNE_ONLY = ("task", "grid", "blocks", "scales", "method", "layer", "steer", "demonstrations", "precision")
_PRESET_ONLY = ("pairs", "name")


def _refuse_unused_options(preset: bool) -> None:
    """Refuse options that are for the search with --preset alone, or for that without it."""
    context = click.get_current_context()
    options = _TUNE_ONLY if preset else _PRESET_ONLY
    given = [name for name in options if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        shown = ", ".join("--on" if name == "task" else f"--{name}" for name in given)
        raise InputError(f"{shown}: {'not' if preset else 'only'} with --preset; leave it out")


def _number(text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is no number") from None


_COMPARED = {"before": "as it is", "plain": "best layer, no steering", "steered": "best steering"}


def _fields(tuned: Tuned) -> dict[str, Any]:
    """The three that are compared, for programs."""
    compared = {
        name: {**asdict(getattr(tuned, name)), "intervals": asdict(interval)}
        for name, interval in zip(_COMPARED, tuned.intervals)
    }
    return {**compared, "steering_gain": asdict(tuned.steering_gain)}


def _print(tuned: Tuned, task: str) -> None:
    lines: list[list[str]] = []
    for (name, shown), interval in zip(_COMPARED.items(), tuned.intervals):
        setting: Setting = getattr(tuned, name)
        gain = ["", ""]
        if interval.difference is not None:
            gain = [f"{setting.score - tuned.before.score:+.2f}", f"{interval.difference:+}"]
        lines.append(
            [shown, _steering(setting), str(setting.layer), f"{setting.score:.2f}", f"{interval.average}", *gain]
        )
    print_table(lines, ["", "steering", "layer", task, "95% interval", "gain", "95% interval"])
    more = tuned.steered.score - tuned.plain.score
    click.echo(f"steering beyond the best layer: {more:+.2f} (95% interval {tuned.steering_gain:+})")
    click.echo(f"\nthe {_SHOWN} best of {len(tuned.settings):,} settings:")
    best = [[_steering(one), str(one.layer), f"{one.score:.2f}"] for one in tuned.settings[:_SHOWN]]
    print_table(best, ["steering", "layer", task])


def _steering(setting: Setting) -> str:
    steering = setting.steering
    if steering is None:
        return "no steering"
    norm = f"scale {steering.scale:g}" if steering.norm == "scale" else "norm recovered"
    return f"block {steering.layer}, {norm}"
