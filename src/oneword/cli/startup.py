"""What is done once before torch and transformers are loaded by a command."""

from __future__ import annotations

import os
import warnings


def prepare_torch() -> None:
    """Keep the libraries' own notices off the terminal; oneword says what a user needs to know."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    warnings.filterwarnings("ignore")
