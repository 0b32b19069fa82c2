"""Options that several commands share, and the embedder they describe."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from oneword.demonstrations import Demonstration, first_demonstrations, read_demonstrations
from oneword.errors import MethodError
from oneword.io.formats import INPUT_FORMATS
from oneword.method import NAMED_LAYERS, PRECISIONS, Layer, Method
from oneword.prompt import SLOT, Prompt
from oneword.steering import Steering

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.io.scan import Scan
    from oneword.io.texts import TextFile

Command = TypeVar("Command", bound=Callable[..., Any])


def parse_layers(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A layer, several separated by commas, or all."""
    if value is None or value == "all":
        return value
    layers = [_parse_layer(part.strip()) for part in value.split(",")]
    return layers if len(layers) > 1 else layers[0]


def parse_steering(context: click.Context, option: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """Fields of a steering, as in ``layer=4,norm=recover``; the auxiliary prompt by its name or its wording."""
    if value is None:
        return None
    known = [field.name for field in fields(Steering)]
    parts = re.split(rf",\s*(?=(?:{'|'.join(known)})\s*=)", value)  # a wording may have commas
    given: dict[str, Any] = {}
    for part in parts:
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals or not text:
            raise click.BadParameter(f"'{part}' is not FIELD=VALUE; fields are {', '.join(known)}")
        if name in given:
            raise MethodError(f"steering: {name} is given twice")
        if name != "auxiliary_prompt" and "," in text:
            text, _, rest = text.partition(",")
            given[rest.partition("=")[0].strip()] = ""  # no field of a steering, or it would begin a part
        given[name] = _steering_value(name, text)
    Steering().with_fields(given)  # what is wrong is told before any model is loaded
    return given


def _steering_value(name: str, text: str) -> Any:
    if name == "auxiliary_prompt":
        from oneword.registry import find_prompt

        return Prompt(text) if SLOT in text else find_prompt(text)
    try:
        return {"layer": int, "scale": float}.get(name, str)(text)
    except ValueError:
        return text


def parse_demonstrations(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[Demonstration, ...] | None:
    """A number of the shipped demonstrations, or a file of them."""
    if value is None:
        return None
    number = value.removeprefix("-").isdecimal()
    return first_demonstrations(int(value)) if number else read_demonstrations(value)


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
    layer: Layer | Literal["all"] | Sequence[Layer] | None
    steer: dict[str, Any] | None
    demonstrations: tuple[Demonstration, ...] | None
    dtype: str
    device: str
    quantize: str
    revision: str | None
    trust_remote_code: bool
    allow_pickle: bool
    precision: str = "float32"
    method: str | Method | None = None

    def model_arguments(self) -> list[str]:
        """The options that name and load this model, for a command that is proposed."""
        valued = {"--model": self.model, "--revision": self.revision}
        valued |= {"--dtype": self.dtype, "--device": self.device, "--quantize": self.quantize}
        flags = {"--trust-remote-code": self.trust_remote_code, "--allow-pickle": self.allow_pickle}
        arguments = [
            part for name, value in valued.items() if value not in (None, "auto", "none") for part in (name, value)
        ]
        return [*arguments, *(name for name, given in flags.items() if given)]

    def uncalibrated(self) -> ModelOptions:
        """The same of the method without its calibration."""
        from oneword.registry import find_method

        if self.method is None:
            return self
        return replace(self, method=replace(find_method(self.method), calibration=None))

    def embedder(self) -> Embedder:
        """Load the model."""
        from oneword.cli.startup import prepare_torch
        from oneword.registry import find_method

        method = find_method(self.method) if self.method else None
        # What is wrong is told before torch is loaded
        (method or find_method("prompteol")).changed(self.steer, self.demonstrations)
        prepare_torch()
        from oneword.embedder import Embedder

        options = {field.name: getattr(self, field.name) for field in fields(self)}
        model, steering = options.pop("model"), options.pop("steer")
        return Embedder(model, **{**options, "method": method, "steering": steering})


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


_METHOD = click.option(
    "--method",
    metavar="NAME",
    help="See `oneword methods`; or a .toml file or a folder.  [default: prompteol; average for encoders]",
)

_MODEL = (
    click.option("--model", metavar="NAME", help="A model of `oneword models`, a folder, a .gguf file, or a Hub id."),
    click.option(
        "--layer",
        callback=parse_layers,
        metavar="LAYER",
        help="Index into hidden_states, last, proportional, several with commas, or all.  [default: the method's]",
    ),
    click.option(
        "--steer",
        callback=parse_steering,
        metavar="FIELD=VALUE,...",
        help="Contrastive Prompting on the method: layer, norm (scale, recover), scale (2 unless the method has one), "
        "position, auxiliary_prompt; as in layer=4,norm=recover.",
    ),
    click.option(
        "--demonstrations",
        callback=parse_demonstrations,
        metavar="N|FILE",
        help="Answered examples before the prompt: N of those shipped, or a .csv, .tsv or .jsonl with sentence, word.",
    ),
    click.option(
        "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True
    ),
    click.option(
        "--device",
        metavar="DEVICE",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda, cuda:1, mps, or all: every GPU.",
    ),
    click.option("--quantize", type=click.Choice(["none", "int8", "int4"]), default="none", show_default=True),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        show_default=True,
        help="Of the vectors: int8, or one bit a dimension (ubinary: bytes; binary: the same less 128).",
    ),
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
    return gathered(command, "model_options", ModelOptions, (*_MODEL, _METHOD))


def model_options_without_method(command: Command) -> Command:
    """The same, for commands that take methods in a way of their own."""
    return gathered(command, "model_options", ModelOptions, _MODEL, leaving=("method",))


def file_options(command: Command) -> Command:
    """Add the options of files of texts to a command, which takes them as one argument ``file_options``."""
    return gathered(command, "file_options", FileOptions, _FILE)


def gathered(
    command: Command, argument: str, kind: Any, options: Sequence[Callable[[Any], Any]], leaving: Sequence[str] = ()
) -> Command:
    """Add options to a command, which takes their values as one argument: a ``kind`` of theirs.

    Args:
        command: the command.
        argument: name of the argument.
        kind: a dataclass with a field for each option.
        options: the options.
        leaving: fields of the kind that stay at their defaults.
    """
    names = [field.name for field in fields(kind) if field.name not in leaving]

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        values = {name: arguments.pop(name) for name in names}
        return command(**{argument: kind(**values)}, **arguments)

    wrapped: Any = run
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
