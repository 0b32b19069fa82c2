"""What the commands of `oneword tasks` share: the surrogate, the form, and how it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.options import Command, gathered
from oneword.errors import InputError, Interrupted, OutputError

if TYPE_CHECKING:
    from oneword.tasks.forms import Form
    from oneword.tasks.task_embedder import TaskEmbedder
    from oneword.tasks.task_embedding import TaskEmbedding
    from oneword.tasks.trainable import TrainableModel

FORMS = ("tupate", "taskemb", "bitfit", "lora")
_TUNING = ("learning_rate", "batch", "steps", "epochs", "max_length")


@dataclass(frozen=True)
class TuningOptions:
    """How task embeddings are tuned."""

    paper: bool
    steps: int | None
    epochs: float | None
    batch: int | None
    learning_rate: float | None
    max_length: int | None

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are set otherwise than usual."""
        values = {name: getattr(self, name) for name in _TUNING}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class TaskOptions(TuningOptions):
    """Which surrogate and form, and how it is tuned."""

    surrogate: str
    form: str
    parameters: tuple[str, ...]
    log: bool
    positions: int | None
    rank: int | None
    seed: int
    device: str
    revision: str | None
    work: Path
    quiet: bool

    def embedder(self) -> TaskEmbedder:
        """Load the surrogate."""
        from oneword.cli.startup import prepare_torch

        check_packages()
        prepare_torch()
        from oneword.tasks.task_embedder import TaskEmbedder

        return TaskEmbedder(
            load_model(self.surrogate, self.device, self.revision),
            self._form(),
            seed=self.seed,
            tuning=self.given,
            paper=self.paper,
            work=self.work,
        )

    def _form(self) -> Form:
        from oneword.tasks.forms import LoRA, TaskEmb, TuPaTE, find_form

        own = {"taskemb": ("parameters", "log"), "tupate": ("positions",), "lora": ("rank",)}
        for form, names in own.items():
            for name in names:
                if getattr(self, name) and form != self.form:
                    raise InputError(f"--{name} is a choice of the form {form}, not of {self.form}")
        if self.form == "taskemb":
            return TaskEmb(self.parameters or ("*",), self.log)
        if self.form == "tupate" and self.positions:
            return TuPaTE(self.positions)
        if self.form == "lora" and self.rank:
            return LoRA(self.rank)
        return find_form(self.form)

    @contextmanager
    def bars(self) -> Iterator[Bars]:
        """Progress bars, and what is kept when the user stops the work."""
        with keeping_bars(self.quiet, self.work) as bars:
            yield bars


class Bars:
    """One bar after the other, each of a number of things done."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._what = ""

    def bar(self, what: str, unit: str) -> Callable[[int, int], None]:
        """Something to be told how many of how many are done."""

        def tell(done: int, total: int) -> None:
            from tqdm import tqdm

            if self._bar is None or self._what != what or self._bar.total != total:
                self.close()
                disabled = True if self._quiet else None
                self._bar = tqdm(total=total, desc=what, unit=f" {unit}", leave=False, disable=disabled)
                self._what = what
            self._bar.update(done - self._bar.n)

        return tell

    def describe(self, what: str) -> None:
        """Say beside the bar what is done now."""
        if self._bar is not None:
            self._bar.set_postfix_str(what)

    def close(self) -> None:
        """No more of it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def keeping_bars(quiet: bool, folder: Path | None) -> Iterator[Bars]:
    """Progress bars of work that is kept in a folder, which a user who stops it is told."""
    bars = Bars(quiet)
    try:
        yield bars
    except KeyboardInterrupt:
        raise Interrupted(
            f"what is finished is kept in {folder}; run the same command again to go on from there"
        ) from None
    finally:
        bars.close()


def load_model(spec: str, device: str, revision: str | None = None) -> TrainableModel:
    """A model by its name, ``NAME:N`` being its first N blocks."""
    from oneword.tasks.trainable import TrainableModel

    name, colon, blocks = spec.rpartition(":")
    if colon and blocks.isdecimal() and not Path(spec).exists():
        return TrainableModel(name, blocks=int(blocks), device=device, revision=revision)
    return TrainableModel(spec, device=device, revision=revision)


def check_packages() -> None:
    """Refuse to begin without what task embeddings need."""
    from oneword.extras import check_extra

    for package in ("scipy", "sklearn"):
        check_extra("tasks", package, "task embeddings")


def check_output(output: Path, force: bool) -> None:
    """Refuse a file that could not be written, before any work is done."""
    from oneword.tasks.task_embedding import ENDING

    if output.suffix != ENDING:
        raise OutputError(f"{output}: task embeddings are written to files that end in {ENDING}")
    if not output.parent.is_dir():
        raise OutputError(f"{output} cannot be written: there is no folder {output.parent}; make it first")
    if output.exists() and not force:
        raise OutputError(f"{output} is there already; give --force to replace it, or another name")


def tell_written(embedding: TaskEmbedding, output: Path) -> None:
    """Say what was written."""
    facts = embedding.provenance
    click.echo(
        f"{output}: {embedding.name} ({embedding.of}, {embedding.task}), {embedding.vector.size:,} numbers in "
        f"{embedding.space}; {facts['rows']:,} rows, {facts['updates']:,} updates"
    )


output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where to, .safetensors."
)
force_option = click.option("--force", is_flag=True, help="Replace the output if it is there.")

_TUNED = (
    click.option("--paper", is_flag=True, help="The paper's settings, which take much longer."),
    click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Updates at the most.  [default: 100]"),
    click.option("--epochs", type=float, metavar="X", help="Passes over the texts at the most, instead of --steps."),
    click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Texts an update.  [default: 32]"),
    click.option("--learning-rate", type=float, metavar="X", help="Of the first update.  [default: the form's]"),
    click.option(
        "--max-length",
        type=click.IntRange(min=2),
        metavar="N",
        help="Tokens a text is cut to.  [default: 128; spans 384]",
    ),
)

_TASK = (
    click.option(
        "--surrogate",
        default="minilm",
        show_default=True,
        metavar="NAME",
        help="Where all vectors are computed: a model of `oneword models`, a folder, a Hub id; NAME:N: N blocks.",
    ),
    click.option("--form", type=click.Choice(FORMS), default="tupate", show_default=True, help="What is tuned."),
    click.option(
        "--parameters",
        multiple=True,
        metavar="PATTERN",
        help="taskemb: only parameters of such names, as in '*attention*'; can be given several times.",
    ),
    click.option("--log", is_flag=True, help="taskemb: the logarithm of the Fisher information."),
    click.option(
        "--positions", type=click.IntRange(min=1), metavar="N", help="tupate: length of the prefix.  [default: 16]"
    ),
    click.option("--rank", type=click.IntRange(min=1), metavar="N", help="lora: rank.  [default: 8]"),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the tuning."),
    click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps."),
    click.option("--revision", metavar="REV", help="Branch, tag or commit of a Hub surrogate."),
    click.option(
        "--work",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("tasks-work"),
        show_default=True,
        metavar="DIR",
        help="Where unfinished work and models' answers are kept.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="No progress bars."),
)


def tuning_options(command: Command) -> Command:
    """Add the options of tuning to a command, which takes them as ``tuning_options``."""
    return gathered(command, "tuning_options", TuningOptions, _TUNED)


def task_options(command: Command) -> Command:
    """Add the options of one task embedding to a command, which takes them as ``task_options``."""
    return gathered(command, "task_options", TaskOptions, (*_TASK, *_TUNED))


unlabeled_option = click.option(
    "--unlabeled",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="File or folder of texts without labels; see `oneword tasks pool`.  [default: one that comes along]",
)
