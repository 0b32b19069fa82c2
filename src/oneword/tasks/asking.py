"""Asking a predictor about unlabeled texts, piece by piece, so that finished answers outlive whatever happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from oneword.errors import InputError
from oneword.tasks.pool import Pool
from oneword.tasks.predictor import Answers, Predictor, joined, read_answers, settle
from oneword.whole_file import write_whole

_PIECE = 64  # texts; what a stopped run can lose


def ask(
    predictor: Predictor,
    pool: Pool,
    kept: Path | None = None,
    on_texts: Callable[[int], object] = lambda texts: None,
) -> Answers:
    """A predictor's answers to every text of a pool.

    Args:
        predictor: what is asked; where it has a ``fingerprint``, its answers are kept.
        pool: the texts.
        kept: a folder for answers; a text is not asked about again whose piece is there.
        on_texts: told how many more texts are answered.

    Raises:
        InputError: answers that are none, as in :func:`~oneword.tasks.predictor.read_answers`; a predictor of pairs and
            a pool of single texts.
        OnewordError: what the predictor raises; finished pieces stay.
    """
    name = name_of(predictor)
    if getattr(predictor, "takes_pairs", None) and pool.text_pairs is None:
        raise InputError(
            f"{name} takes pairs of texts, but the pool {pool.name} has single ones; name a pool with a column "
            "text_pair, or pair its texts with --pair-texts (Pool.paired)"
        )
    pairs = None if getattr(predictor, "takes_pairs", None) is False else pool.text_pairs
    fingerprint = getattr(predictor, "fingerprint", None)
    folder = None
    if kept is not None and fingerprint:
        key = hashlib.sha256(f"{fingerprint} {pool.digest} {pairs is None}".encode()).hexdigest()[:16]
        folder = kept / key
    size = getattr(predictor, "piece", _PIECE)
    parts = []
    for start in range(0, len(pool), size):
        stop = min(start + size, len(pool))
        path = None if folder is None else folder / f"{start:07}-{stop - start}.json"
        part = None if path is None else _read(path, stop - start)
        if part is None:
            given = None if pairs is None else pairs[start:stop]
            raw = predictor.predict(list(pool.texts[start:stop]), None if given is None else list(given))
            part = read_answers(raw, stop - start, name, getattr(predictor, "classes", None), start + 1)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, _as_json(part))
        parts.append(part)
        on_texts(stop - start)
    return settle(joined(parts, name), name)


def name_of(predictor: Predictor) -> str:
    """What messages and vectors call a predictor."""
    return str(getattr(predictor, "name", None) or type(predictor).__name__)


def _as_json(part: Answers) -> bytes:
    values = part.values if part.kind == "strings" else np.asarray(part.values).tolist()
    return json.dumps({"kind": part.kind, "values": values, "classes": part.classes}).encode()


def _read(path: Path, count: int) -> Answers | None:
    """A kept piece, or None where there is none that can be read."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        values = tuple(fields["values"]) if fields["kind"] == "strings" else np.array(fields["values"], np.float64)
        return Answers(fields["kind"], values, tuple(fields["classes"])) if len(values) == count else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
