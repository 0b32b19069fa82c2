"""The entry point: commands are put together here, and errors become one line and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

import click

from oneword import __version__
from oneword.cli.bench import bench
from oneword.cli.calibrate import calibrate
from oneword.cli.embed import embed
from oneword.cli.evaluation import evaluation
from oneword.cli.inspect import inspect
from oneword.cli.methods import methods
from oneword.cli.models import models
from oneword.cli.prompts import prompts
from oneword.cli.search import search
from oneword.cli.select import select
from oneword.cli.similarity import similarity
from oneword.cli.tasks import tasks
from oneword.cli.tune import tune
from oneword.errors import OnewordError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """Embeddings from any decoder LLM, without training.

    The model is asked for one word about a text, and the hidden state behind the answer is the text's vector.
    """


COMMANDS = (
    embed,
    similarity,
    search,
    inspect,
    evaluation,
    tune,
    calibrate,
    tasks,
    select,
    bench,
    methods,
    prompts,
    models,
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 an error that the user can mend, 130 interrupted."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        command = shlex.join(["oneword", *arguments])
        code = cli.main(args=list(arguments), prog_name="oneword", standalone_mode=False, obj=command)
        sys.stdout.flush()
    except OnewordError as error:
        return _complain(str(error))
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR
    except (KeyboardInterrupt, click.Abort) as error:
        state = str(error.__cause__ or error)  # click turns an interrupt into an abort
        click.echo(f"oneword: interrupted{'; ' if state else ''}{state}", err=True)
        return EXIT_INTERRUPTED
    except SystemExit:  # click's answer to a broken pipe: whoever read the output has had enough
        return 0
    except OSError as error:
        return _complain(f"{error.filename or 'output'}: {error.strerror or error}")
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    click.echo(f"oneword: {message}", err=True)
    return EXIT_ERROR
