"""`oneword models`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from oneword.cli.options import json_option
from oneword.cli.tables import print_table


@click.group(invoke_without_command=True)
@json_option
@click.option("--engine", is_flag=True, help="List how the engine runs each architecture, and why, instead.")
@click.pass_context
def models(context: click.Context, as_json: bool, engine: bool) -> None:
    """List the models, or fetch one.

    Listed are the models that are here or can be fetched by name, where each lies, and how big it is.
    """
    if context.invoked_subcommand is not None:
        return
    if engine:
        from oneword.engine.tiers import tiers

        known = tiers()
        if as_json:
            click.echo(json.dumps([asdict(tier) for tier in known]))
        else:
            print_table([[tier.architecture, tier.rows, tier.why] for tier in known], ["architecture", "rows", "why"])
        return
    from oneword.models.inventory import list_models

    found = list_models()
    if as_json:
        click.echo(json.dumps([asdict(model) for model in found]))
        return
    rows = [[model.name, model.state, f"{model.size / 1e6:,.0f} MB", model.where] for model in found]
    print_table(rows, ["model", "state", "size", "where"])


@models.command()
@click.argument("name", required=False)
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a Hub model.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True
)
@click.option("--trust-remote-code", is_flag=True, help="Fetch a Hub model's own code too.")
@click.option("--allow-pickle", is_flag=True, help="Fetch weights that are not safetensors too.")
def pull(name: str | None, revision: str | None, dtype: str, trust_remote_code: bool, allow_pickle: bool) -> None:
    """Fetch a model (the default, another of the list, or a Hub id) so that later commands need no network."""
    from oneword.cli.startup import prepare_torch

    prepare_torch()
    from oneword.models.device import resolve_device, resolve_dtype
    from oneword.models.source import find_source

    chosen = resolve_dtype(dtype, resolve_device("auto"))
    source = find_source(
        name, chosen, revision=revision, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
    )
    click.echo(f"{source.name} lies in {source.folder} (weights {source.weights})")
