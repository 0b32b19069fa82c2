"""What the commands of `oneword select` share: which models are asked and how, and where work is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.options import Command, gathered
from oneword.cli.tasks.options import Bars, keeping_bars

if TYPE_CHECKING:
    from oneword.tasks.selection.candidates import Candidate
    from oneword.tasks.selection.prompt_set import PromptSet


@dataclass(frozen=True)
class AskingOptions:
    """Which models are asked, how, and where they compute."""

    model: tuple[str, ...]
    chat: bool | None
    max_reasoning_tokens: int
    dtype: str
    device: str
    quantize: str
    revision: str | None
    trust_remote_code: bool
    allow_pickle: bool

    def candidates(self, prompt_set: PromptSet) -> list[Candidate]:
        """Load the models; every one with every prompt."""
        from oneword.tasks.selection.candidates import prompt_candidates

        return prompt_candidates(self.models, prompt_set, **self.asking, **self.loading)

    @property
    def models(self) -> tuple[str | None, ...]:
        """The models, each once; None is the default one."""
        return tuple(dict.fromkeys(self.model)) or (None,)

    @property
    def asking(self) -> dict[str, Any]:
        """How models are asked, as arguments."""
        return {"chat": self.chat, "max_reasoning_tokens": self.max_reasoning_tokens}

    @property
    def loading(self) -> dict[str, Any]:
        """How weights are loaded, as arguments."""
        return {name: value for name, value in asdict(self).items() if name not in ("model", *self.asking)}


@dataclass(frozen=True)
class WorkOptions:
    """Where answers and task embeddings are kept, and how much is said."""

    work: Path
    seed: int
    quiet: bool

    @contextmanager
    def bars(self) -> Iterator[Bars]:
        """Progress bars, and what is kept when the user stops the work."""
        with keeping_bars(self.quiet, self.work) as bars:
            yield bars


_ASKING = (
    click.option(
        "--model",
        multiple=True,
        metavar="NAME",
        help="Of `oneword models`, a folder, a Hub id, or endpoint:URL#MODEL; can be given several times.  "
        "[default: smollm2]",
    ),
    click.option(
        "--chat/--no-chat",
        default=None,
        help="Ask through the model's chat template, or without.  [default: where it has one]",
    ),
    click.option(
        "--max-reasoning-tokens",
        type=click.IntRange(min=1),
        default=512,
        show_default=True,
        metavar="N",
        help="The most that is written before the answer, for prompts that ask to reason.",
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

_WORK = (
    click.option(
        "--work",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("select-work"),
        show_default=True,
        metavar="DIR",
        help="Where answers and task embeddings are kept, and found again.",
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of samples and tuning."),
    click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
)


def asking_options(command: Command) -> Command:
    """Add the options of models that are asked to a command, which takes them as ``asking_options``."""
    return gathered(command, "asking_options", AskingOptions, _ASKING)


def work_options(command: Command) -> Command:
    """Add the options of where work is kept to a command, which takes them as ``work_options``."""
    return gathered(command, "work_options", WorkOptions, _WORK)
