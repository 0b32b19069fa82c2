"""What identifies a predictor: under this its answers are kept, so whatever changes them must change it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def make_fingerprint(kind: str, *parts: Any) -> str:
    """A short name of all that decides a predictor's answers, safe in a file name.

    Args:
        kind: of the predictor.
        parts: what JSON can hold; paths and the like as they read.

    Example: ``label_words-9f86d081884c``.
    """
    return f"{kind}-{hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]}"
