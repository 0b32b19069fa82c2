"""The pool that comes with oneword: English texts in many styles, written for it, related to no task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files


@cache
def pool_texts() -> tuple[str, ...]:
    """Its texts."""
    lines = (files("oneword") / "pool.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)


@cache
def pool_digest() -> str:
    """:func:`texts_digest` of its texts."""
    return texts_digest(pool_texts())


def texts_digest(texts: Sequence[str]) -> str:
    """Twelve hex digits of texts and their order."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:12]
