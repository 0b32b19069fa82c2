"""`oneword methods` and `oneword prompts`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from oneword.cli.options import json_option
from oneword.cli.tables import print_table
from oneword.errors import MethodError
from oneword.method import Method
from oneword.prompt import Cleaning, Prompt, clean_text


@click.command()
@click.argument("name", required=False)
@click.option("--text", metavar="TEXT", help="Show the prompts with this text in their slot, as sent to the model.")
@json_option
def methods(name: str | None, text: str | None, as_json: bool) -> None:
    """List the methods, or show one in full.

    NAME is one of the list, or a .toml file of your own.
    """
    from oneword.registry import find_method, presets

    _refuse_text_without_name(text, name)
    if name is not None:
        _show_method(find_method(name), text, as_json)
    elif as_json:
        click.echo(json.dumps([_method_fields(method) for method in presets().methods.values()], ensure_ascii=False))
    else:
        rows = [
            [method.name, len(method.prompts), method.combine, method.layer, method.summary]
            for method in presets().methods.values()
        ]
        print_table(rows, ["method", "prompts", "combine", "layer", "what it asks"])


@click.command()
@click.argument("name", required=False)
@click.option("--text", metavar="TEXT", help="Show the prompt with this text in its slot, as sent to the model.")
@json_option
def prompts(name: str | None, text: str | None, as_json: bool) -> None:
    """List the prompts, or print one in full.

    It is printed exactly as it is sent to the model, its slot written {text}.
    """
    from oneword.registry import find_prompt, presets

    _refuse_text_without_name(text, name)
    if name is not None:
        prompt = find_prompt(name)
        sent = _sent(prompt, "one_word", text)
        click.echo(json.dumps({**asdict(prompt), "sent": sent}, ensure_ascii=False) if as_json else sent)
    elif as_json:
        click.echo(json.dumps([asdict(prompt) for prompt in presets().prompts.values()], ensure_ascii=False))
    else:
        rows = [[prompt.name, prompt.meta_task, prompt.source] for prompt in presets().prompts.values()]
        print_table(rows, ["prompt", "meta-task", "source"])


def _show_method(method: Method, text: str | None, as_json: bool) -> None:
    if as_json:
        sent = [_sent(prompt, method.cleaning, text) for prompt in method.prompts]
        click.echo(json.dumps({**_method_fields(method), "sent": sent}, ensure_ascii=False))
        return
    facts = {
        "method": method.name,
        "summary": method.summary,
        "source": method.source,
        "layer": method.layer,
        "combine": method.combine,
        "cleaning": method.cleaning,
    }
    for key, value in facts.items():
        if value != "":
            click.echo(f"{key + ':':<10}{value}")
    for prompt in method.prompts:
        click.echo(f"\n[{prompt.name}]\n{_sent(prompt, method.cleaning, text)}")


def _sent(prompt: Prompt, cleaning: Cleaning, text: str | None) -> str:
    return prompt.wording if text is None else prompt.render(clean_text(text, cleaning))


def _refuse_text_without_name(text: str | None, name: str | None) -> None:
    if text is not None and name is None:
        raise MethodError("--text shows one prompt or method with that text in it; name which")


def _method_fields(method: Method) -> dict[str, Any]:
    return {**asdict(method), "prompts": [asdict(prompt) for prompt in method.prompts], "digest": method.digest}
