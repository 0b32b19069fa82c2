"""`oneword methods`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from oneword.calibration.recipe import Calibration
from oneword.cli.options import json_option
from oneword.cli.prompts import refuse_text_without_name, sent_prompt
from oneword.cli.tables import print_table
from oneword.engine.cost import blocks_run
from oneword.errors import MethodError
from oneword.method import Method, resolve_layer
from oneword.steering import Steering


@click.command()
@click.argument("name", required=False)
@click.option("--text", metavar="TEXT", help="Show the prompts with this text in their slot, as sent to the model.")
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="L",
    help="Blocks of the model that layers and cost are stated for: 32 is the papers' LLaMA2-7B, 30 the default model.",
)
@json_option
def methods(name: str | None, text: str | None, depth: int, as_json: bool) -> None:
    """List the methods, or show one in full, with what it costs.

    NAME is one of the list, or a .toml file of your own. The cost is the number of blocks that one text runs through.
    """
    from oneword.registry import find_method, presets

    refuse_text_without_name(text, name)
    if name is not None:
        method = find_method(name)
        try:
            blocks_run(method, depth)
        except MethodError as error:
            raise MethodError(f"{error}; --depth shows the method for a deeper one") from None
        _show_method(method, text, depth, as_json)
    elif as_json:
        fields = [_method_fields(method, depth) for method in presets().methods.values()]
        click.echo(json.dumps(fields, ensure_ascii=False))
    else:
        rows = [
            [method.name, len(method.prompts), method.pooling, method.combine, method.layer, method.summary]
            for method in presets().methods.values()
        ]
        print_table(rows, ["method", "prompts", "pooling", "combine", "layer", "what it asks"])


def _show_method(method: Method, text: str | None, depth: int, as_json: bool) -> None:
    if as_json:
        sent = [sent_prompt(prompt, method.cleaning, text) for prompt in method.asked]
        click.echo(json.dumps({**_method_fields(method, depth), "sent": sent}, ensure_ascii=False))
        return
    facts = {
        "method": method.name,
        "summary": method.summary,
        "source": method.source,
        "layer": method.layer,
        "pooling": method.pooling,
        "combine": method.combine,
        "weights": ", ".join(f"{weight:g}" for weight in method.weights),
        "steering": _steering_line(method.steering),
        "calibration": _calibration_line(method.calibration),
        "cleaning": method.cleaning,
        "blocks": _cost_line(method, depth),
    }
    for key, value in facts.items():
        if value != "":
            click.echo(f"{key + ':':<13}{value}")
    for prompt in method.asked:
        click.echo(f"\n[{prompt.name}]\n{sent_prompt(prompt, method.cleaning, text)}")
    if method.steering is not None:
        auxiliary = method.steering.auxiliary_prompt
        click.echo(f"\n[{auxiliary.name}] (auxiliary)\n{sent_prompt(auxiliary, method.cleaning, text)}")


def _steering_line(steering: Steering | None) -> str:
    if steering is None:
        return ""
    norm = f"scale {steering.scale:g}" if steering.norm == "scale" else steering.norm
    return f"block {steering.layer}, {steering.position}, norm {norm}"


def _calibration_line(calibration: Calibration | None) -> str:
    if calibration is None:
        return ""
    where = "each prompt's vectors" if calibration.before else "the combined vectors"
    return f"{calibration}; fitted on {where} of {'the shipped pool' if calibration.on_pool else 'given texts'}"


def _cost_line(method: Method, depth: int) -> str:
    """As in the paper's Table 3: the method without and with its steering."""
    cost, resolved = blocks_run(method, depth), method.resolved(depth)
    read = f"layer {resolve_layer(resolved.layer, depth)} of {depth}"
    if resolved.steering is None:
        return f"{cost.total} a text, read at {read}"
    return f"{cost.prompts} -> {cost.total} a text, read at {read}, steered: {_steering_line(resolved.steering)}"


def _method_fields(method: Method, depth: int) -> dict[str, Any]:
    cost = blocks_run(method, depth)
    return {
        **asdict(method),
        "prompts": [asdict(prompt) for prompt in method.prompts],
        "calibration": _calibration_line(method.calibration) or None,
        "digest": method.resolved(depth).digest,
        "depth": depth,
        "blocks": {**asdict(cost), "total": cost.total},
    }
