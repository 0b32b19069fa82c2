"""Options that several commands share, and the embedder they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from oneword.io.formats import INPUT_FORMATS
from oneword.method import NAMED_LAYERS, Layer

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.io.scan import Scan
    from oneword.io.texts import TextFile

Command = TypeVar("Command", bound=Callable[..., Any])


def parse_layers(context: click.Context, option: click.Parameter, value: str | None) -> Layer | list[Layer] | None:
    """A layer, or several separated by commas."""
    if value is None:
        return None
    layers = [_parse_layer(part.strip()) for part in value.split(",")]
    return layers if len(layers) > 1 else layers[0]


def _parse_layer(part: str) -> Layer:
    if part in NAMED_LAYERS:
        return cast(Layer, part)
    try:
        return int(part)
    except ValueError:
        known = ", ".join(NAMED_LAYERS)
        raise click.BadParameter(f"'{part}' is neither a whole number nor one of: {known}") from None


@dataclass(frozen=True)
class ModelOptions:
    """Which model, how it is asked and how it computes."""

    model: str | None
    method: str
    layer: Layer | Sequence[Layer] | None
    dtype: str
    device: str
    quantize: str
    revision: str | None
    trust_remote_code: bool
    allow_pickle: bool

    def embedder(self) -> Embedder:
        """Load the model."""
        from oneword.cli.startup import prepare_torch
        from oneword.registry import find_method

        method = find_method(self.method)  # a misspelt name is told before torch is loaded
        prepare_torch()
        from oneword.embedder import Embedder

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return Embedder(options.pop("model"), **{**options, "method": method})


@dataclass(frozen=True)
class FileOptions:
    """How a file of texts is read."""

    column: str | None
    input_format: str | None
    on_error: str

    @property
    def given(self) -> bool:
        """Whether any was given, so that a file must be meant."""
        return self.column is not None or self.input_format is not None or self.on_error != "fail"

    def scan(self, file: TextFile) -> Scan:
        """The first pass over the file, which finds what is wrong."""
        from oneword.io.scan import scan_texts

        return scan_texts(file, self.column, skip_unusable=self.on_error == "skip")


_MODEL = (
    click.option("--model", metavar="NAME", help="A model of `oneword models`, a folder, a .gguf file, or a Hub id."),
    click.option(
        "--method",
        metavar="NAME",
        default="prompteol",
        show_default=True,
        help="See `oneword methods`; or a .toml file.",
    ),
    click.option(
        "--layer",
        callback=parse_layers,
        metavar="LAYER",
        help="Index into hidden_states, last, proportional, or several with commas.  [default: the method's]",
    ),
    click.option(
        "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True
    ),
    click.option("--device", metavar="DEVICE", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
    click.option("--quantize", type=click.Choice(["none", "int8", "int4"]), default="none", show_default=True),
    click.option("--revision", metavar="REV", help="Branch, tag or commit of a Hub model."),
    click.option("--trust-remote-code", is_flag=True, help="Let a model run code of its own."),
    click.option("--allow-pickle", is_flag=True, help="Load weights that are not safetensors; they can run code too."),
)

_FILE = (
    click.option("--column", metavar="NAME", help="Where the texts stand.  [default: text, or the only column]"),
    click.option("--input-format", type=click.Choice(INPUT_FORMATS), help="Instead of the file's ending."),
    click.option(
        "--on-error",
        type=click.Choice(["fail", "skip"]),
        default="fail",
        show_default=True,
        help="What rows without a usable text do: stop the command, or get a null vector.",
    ),
)


def model_options(command: Command) -> Command:
    """Add the model options to a command, which takes them as one argument ``model_options``."""
    return _gathered(command, "model_options", ModelOptions, _MODEL)


def file_options(command: Command) -> Command:
    """Add the options of files of texts to a command, which takes them as one argument ``file_options``."""
    return _gathered(command, "file_options", FileOptions, _FILE)


def _gathered(command: Command, argument: str, kind: Any, options: Sequence[Callable[[Any], Any]]) -> Command:
    @functools.wraps(command)
    def gathered(**arguments: Any) -> Any:
        values = {field.name: arguments.pop(field.name) for field in fields(kind)}
        return command(**{argument: kind(**values)}, **arguments)

    wrapped: Any = gathered
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
