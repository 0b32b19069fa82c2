"""What commands do before torch is loaded, and after texts are embedded."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oneword.embedder import Embedder


def prepare_torch() -> None:
    """Keep the libraries' own notices off the terminal; oneword says what a user needs to know."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    warnings.filterwarnings("ignore")


def warn_of_cut_texts(embedder: Embedder) -> None:
    """Say how many texts were cut to the model's window, if any were."""
    if embedder.cut_texts:
        click.echo(
            f"warning: {embedder.cut_texts:,} texts were longer than the model's window and were cut at their end",
            err=True,
        )
