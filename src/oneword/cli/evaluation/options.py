"""What the commands of `oneword eval` share: where data and results are, and which methods are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oneword.cli.options import Command, ModelOptions, gathered
from oneword.errors import InputError, Interrupted
from oneword.extras import check_extra

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.answer_store import AnswerStore
    from oneword.evaluation.results import ResultFolder
    from oneword.method import Method


@dataclass(frozen=True)
class EvaluationOptions:
    """Where results are kept, and how much is said."""

    results: Path
    keep_vectors: bool
    quiet: bool

    @property
    def command(self) -> str:
        """The command that runs."""
        return str(click.get_current_context().obj)

    @contextmanager
    def run(self) -> Iterator[Run]:
        """A run whose vectors are removed when it is done, and kept when it is stopped."""
        from oneword.evaluation.answer_store import AnswerStore
        from oneword.evaluation.results import ResultFolder

        run = Run(ResultFolder(self.results), AnswerStore(self.results / "vectors"), self.command, self.quiet)
        try:
            yield run
        except KeyboardInterrupt:
            raise Interrupted(
                f"what is finished is kept in {self.results}; run the same command again to go on from there"
            ) from None
        if run.store.cut_texts:
            click.echo(
                f"warning: {run.store.cut_texts:,} texts were longer than the model's window and were cut at their end",
                err=True,
            )
        if not self.keep_vectors:
            run.store.discard()


@dataclass(frozen=True)
class Run:
    """One evaluation: what it writes to, and what wrote it."""

    folder: ResultFolder
    store: AnswerStore
    command: str
    quiet: bool

    def progress(self, texts: int, what: str) -> Any:
        """A bar with texts/s and the time left, where someone looks on."""
        from tqdm import tqdm

        return tqdm(total=texts, desc=what, unit=" texts", leave=False, disable=True if self.quiet else None)


def open_embedders(methods: Sequence[str | Method], options: ModelOptions) -> list[Embedder]:
    """An embedder for each method, on one loaded model; the default method where none is named.

    All layers are those above the token embeddings: of these a prompt's last token is the same for every text.
    """
    from oneword.registry import find_method

    found = [find_method(method) for method in methods]
    for method in found:  # what is wrong is told before any model is loaded
        method.changed(options.steer, options.demonstrations)
    # Loaded whole, since each method can have a layer of its own
    model = replace(options, layer=-1, steer=None, demonstrations=None).embedder()
    layers = list(range(1, model.layers[0] + 1)) if options.layer == "all" else options.layer
    return [
        model.with_method(method, layer=layers, steering=options.steer, demonstrations=options.demonstrations)
        for method in found or (None,)
    ]


def refuse_several_layers(options: ModelOptions) -> None:
    """Refuse what compares something else than layers at several of them."""
    if options.layer == "all" or isinstance(options.layer, list):
        raise InputError("one --layer at a time here; `oneword eval layers` compares layers")


def parse_names(context: click.Context, option: click.Parameter, value: str | None) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()] if value else []


def asked_tasks(
    asked: Sequence[str],
    every: Sequence[str],
    find: Callable[[str], str],
    where: Callable[[str], Path | None],
    allow_missing: bool,
    data: Path,
) -> list[str]:
    """The tasks to score: those that are asked for, or all; missing ones are named, and left out if that is allowed.

    Args:
        asked: names as the user wrote them.
        every: what is scored where none is named.
        find: a name to the task's own.
        where: the folder that a task lacks, or None where it is there.
        allow_missing: leave the missing ones out.
        data: the folder that holds them all.

    Raises:
        InputError: tasks are missing.
    """
    tasks = list(dict.fromkeys(find(name) for name in asked)) or list(every)
    missing = {task: folder for task in tasks if (folder := where(task)) is not None}
    found = [task for task in tasks if task not in missing]
    if missing and (not allow_missing or not found):
        folders = ", ".join(str(folder) for folder in missing.values())
        raise InputError(
            f"{', '.join(missing)} missing from {data} (no {folders}); add what SentEval's scripts download, name "
            "others with --tasks, or leave them out of the average with --allow-missing"
        )
    if missing:
        click.echo(f"left out of the average, since they are missing: {', '.join(missing)}", err=True)
    return found


def check_scipy() -> None:
    """Refuse to begin without what every score needs."""
    check_extra("eval", "scipy", "evaluations")


methods_option = click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="See `oneword methods`; or a .toml file. Several are compared with the first.  [default: prompteol; average "
    "for encoders]",
)
data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with SentEval's data.",
)
tasks_option = click.option("--tasks", callback=parse_names, metavar="A,B", help="Only these.  [default: all]")
allow_missing_option = click.option(
    "--allow-missing", is_flag=True, help="Leave tasks whose data is missing out of the average."
)

_EVALUATION = (
    click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("results"),
        show_default=True,
        metavar="DIR",
        help="Where scores are kept, and found again.",
    ),
    click.option("--keep-vectors", is_flag=True, help="Keep the vectors in the results too, for further commands."),
    click.option("-q", "--quiet", is_flag=True, help="No progress bars."),
)


def evaluation_options(command: Command) -> Command:
    """Add the options of every evaluation to a command, which takes them as ``evaluation_options``."""
    return gathered(command, "evaluation_options", EvaluationOptions, _EVALUATION)
