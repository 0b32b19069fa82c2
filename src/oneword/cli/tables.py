"""Tables on the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

import click


def print_table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> None:
    """Print rows under headers; numbers stay as they are written."""
    from tabulate import tabulate

    click.echo(tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True))


def shortened(text: str, taken: int) -> str:
    """A text on one line, cut to what the terminal has left beside ``taken`` characters; JSON has it whole."""
    room = max(20, shutil.get_terminal_size((120, 24)).columns - taken)
    return textwrap.shorten(text, room, placeholder=" …")
