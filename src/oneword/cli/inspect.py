"""`oneword inspect`."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from oneword.cli.options import ModelOptions, json_option, model_options
from oneword.cli.startup import warn_of_cut_texts
from oneword.cli.tables import print_table, shortened
from oneword.errors import InputError, ModelError

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.inspect import TopTokens


@dataclass(frozen=True)
class Decoded:
    """What one prompt answered to one text: the tokens at each layer, and those before steering where there is any."""

    text: str
    prompt: str
    tokens: Sequence[TopTokens]
    before: Sequence[TopTokens] | None

    @property
    def stages(self) -> dict[str, Sequence[TopTokens]]:
        """What is shown side by side, by its heading."""
        if self.before is None:
            return {"": self.tokens}
        return {"before steering": self.before, "after steering": self.tokens}


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tokens.  [default: 10; 1 with --layers]",
)
@click.option("--layers", "every_layer", is_flag=True, help="Show every layer, from the token embeddings to the last.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw them as bars into a .png, .svg or .pdf too.",
)
@json_option
@model_options
def inspect(
    texts: tuple[str, ...],
    top: int | None,
    every_layer: bool,
    plot: Path | None,
    as_json: bool,
    model_options: ModelOptions,
) -> None:
    """Print the tokens that a text's vector decodes to.

    The state that each prompt's vector is goes through the model's own final norm and output head: these are the words
    that it would have answered, with their probabilities; of a steered method, before and after steering.
    """
    from oneword.text import check_texts

    if not texts:
        raise InputError('inspect needs at least one text, as in `oneword inspect "The cat sat on the mat."`')
    check_texts(texts)
    if every_layer and model_options.layer is not None:
        raise InputError("--layers shows every layer; leave --layer out")
    if plot is not None:
        from oneword.bars import check_plot

        check_plot(plot)
    options = model_options.uncalibrated()  # answers are read before they are calibrated
    embedders = _of_every_layer(options) if every_layer else [options.embedder()]
    answers = _answers(embedders, texts, top or (1 if every_layer else 10))
    if plot is not None:
        _draw(answers, every_layer, plot)
        click.echo(f"drawn: {plot}", err=True)
    if as_json:
        shown = {"model": embedders[0].model, "fingerprint": embedders[0].fingerprint, "answers": _fields(answers)}
        click.echo(json.dumps(shown, ensure_ascii=False))
    elif every_layer:
        _print_layers(answers)
    else:
        _print_tokens(answers)


def _of_every_layer(options: ModelOptions) -> list[Embedder]:
    """Embedders that together read every layer: one, unless the last layer's states have a size of their own."""
    try:
        return [replace(options, layer="all").embedder()]
    except ModelError:
        last = replace(options, layer=-1).embedder()  # if anything else was wrong, it is wrong here too
        return [replace(options, layer=list(range(cast(int, last.layer)))).embedder(), last]


def _answers(embedders: Sequence[Embedder], texts: Sequence[str], k: int) -> list[Decoded]:
    """Text by text, prompt by prompt."""
    after = _top_tokens(embedders, texts, k, True)
    warn_of_cut_texts(embedders[0])  # now: asked again without steering, the texts are cut again
    steered = embedders[0].method.steering is not None
    before = _top_tokens(embedders, texts, k, False) if steered else [None] * len(after)
    prompts = len(embedders[0].method.counting)
    return [
        Decoded(texts[place // prompts], tokens[0].prompt, tokens, unsteered)
        for place, (tokens, unsteered) in enumerate(zip(after, before))
    ]


def _top_tokens(embedders: Sequence[Embedder], texts: Sequence[str], k: int, steered: bool) -> list[list[TopTokens]]:
    """For each text and prompt a list with an entry a layer."""
    found: list[list[TopTokens]] = []
    for embedder in embedders:
        answers = [answer for prompts in embedder.top_tokens(texts, k, steered) for answer in prompts]
        layered = [answer if isinstance(answer, list) else [answer] for answer in answers]
        found = [[*before, *more] for before, more in zip(found, layered)] if found else layered
    return found


def _fields(answers: Sequence[Decoded]) -> list[dict[str, Any]]:
    return [
        {
            "text": answer.text,
            "prompt": answer.prompt,
            "layer": tokens.layer,
            "tokens": _tokens(tokens),
            "before_steering": _tokens(answer.before[place]) if answer.before is not None else None,
        }
        for answer in answers
        for place, tokens in enumerate(answer.tokens)
    ]


def _tokens(top: TopTokens) -> list[dict[str, Any]]:
    return [
        {"token": token, "id": number, "probability": probability}
        for token, number, probability in zip(top.tokens, top.ids, top.probabilities)
    ]


def _print_tokens(answers: Sequence[Decoded]) -> None:
    """A table for each text, prompt and layer."""
    from oneword.inspect import visible

    for answer in answers:
        for place, top in enumerate(answer.tokens):
            headers, columns = [""], [list(map(str, range(1, len(top.tokens) + 1)))]
            for stage, layers in answer.stages.items():
                headers += [stage or "token", "probability"]
                columns.append(list(map(visible, layers[place].tokens)))
                columns.append([f"{probability:.4f}" for probability in layers[place].probabilities])
            click.echo(f"{shortened(answer.text, 0)}\n[{shortened(answer.prompt, 20)}] layer {top.layer}\n")
            print_table(list(zip(*columns)), headers)
            click.echo()


def _print_layers(answers: Sequence[Decoded]) -> None:
    """For each text a table with a row a layer; several where its prompts do not fit side by side."""
    room = shutil.get_terminal_size((120, 24)).columns
    for text, group in groupby(answers, key=lambda answer: answer.text):
        click.echo(f"{shortened(text, 0)}\n")
        columns: list[list[str]] = []
        for answer in group:
            for stage, layers in answer.stages.items():
                header = f"{shortened(answer.prompt, room - 30)}\n{stage}".rstrip()
                columns.append([header, *map(_cell, layers)])
        numbers = [str(top.layer) for top in answer.tokens]
        while columns:
            some = [columns.pop(0)]
            while columns and _width([*some, columns[0]]) <= room:
                some.append(columns.pop(0))
            headers, *rows = zip(["layer", *numbers], *some)
            print_table(rows, headers)
            click.echo()


def _cell(top: TopTokens) -> str:
    from oneword.inspect import visible

    return "  ".join(f"{visible(token)} {chance:.2f}" for token, chance in zip(top.tokens, top.probabilities))


def _width(columns: Sequence[Sequence[str]]) -> int:
    """Of a table with these columns beside that of the layers."""
    lines = [max(len(line) for cell in column for line in cell.splitlines()) for column in columns]
    return len("layer") + sum(2 + line for line in lines)


def _draw(answers: Sequence[Decoded], every_layer: bool, path: Path) -> None:
    """A panel for each answer: bars of its tokens, or with ``every_layer`` of each layer's first."""
    from oneword.bars import Panel, draw_bars
    from oneword.figures import BLUE, ORANGE
    from oneword.inspect import visible

    rows = []
    for answer in answers:
        for place in range(1 if every_layer else len(answer.tokens)):
            row = []
            for stage, layers in answer.stages.items():
                if every_layer:
                    labels = [f"{top.layer}  {visible(top.tokens[0])}" for top in layers]
                    lengths = [top.probabilities[0] for top in layers]
                else:
                    labels = list(map(visible, layers[place].tokens))
                    lengths = list(layers[place].probabilities)
                where = "every layer" if every_layer else f"layer {layers[place].layer}"
                title = f"{_cut(answer.text)}\n{', '.join(filter(None, (_cut(answer.prompt), where, stage)))}"
                color = ORANGE if stage.startswith("before") else BLUE
                row.append(Panel(title, labels, lengths, color))
            rows.append(row)
    if len(rows[0]) == 1:  # two answers side by side
        rows = [[panel for row in rows[place : place + 2] for panel in row] for place in range(0, len(rows), 2)]
    draw_bars(rows, path)


def _cut(text: str) -> str:
    return textwrap.shorten(text, 50, placeholder=" …")
