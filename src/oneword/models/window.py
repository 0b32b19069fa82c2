"""How long a model's input may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def find_window(text_config: Any, tokenizer: Any, encoder: Any, folder: Path) -> int | None:
    """The longest input in tokens, or None where there is no limit.

    Args:
        text_config: the configuration of the blocks that are used.
        tokenizer: the model's tokenizer.
        encoder: the loaded model if it is not causal, else None. What an encoder was trained to read may be shorter
            than its table of positions, so the tokenizer's limit and sentence-transformers' count too.
        folder: where the model lies.
    """
    names = ("max_position_embeddings", "max_seq_len")  # architectures do not agree on one
    positions = next(
        (getattr(text_config, name) for name in names if (getattr(text_config, name, None) or 0) > 0), None
    )
    tokens = tokenizer.model_max_length if tokenizer.model_max_length < 1e9 else None  # without a limit they say 1e30
    if encoder is None:
        window = positions or tokens
        return int(window) if window else None
    limits = [positions and positions - _padding_rows(encoder), tokens, _sentence_limit(folder)]
    return min((int(limit) for limit in limits if limit), default=None)


def find_rope_limit(text_config: Any) -> int | None:
    """The longest row whose positions are not rotated by its own length; None where no row's are."""
    rope = getattr(text_config, "rope_parameters", None) or {}
    kinds = [kind for kind in rope.values() if isinstance(kind, dict)] or [rope]  # one for all blocks, or one a kind
    limits = [
        kind.get("original_max_position_embeddings")
        or getattr(text_config, "original_max_position_embeddings", None)
        or text_config.max_position_embeddings
        for kind in kinds
        if kind.get("rope_type") in ("longrope", "dynamic")
    ]
    return min(limits, default=None)


def find_sliding_window(text_config: Any) -> int | None:
    """How many tokens a token sees at most in the blocks that do not see all; None where all do."""
    window = getattr(text_config, "sliding_window", None)
    return window if isinstance(window, int) and window > 0 else None


def _padding_rows(encoder: Any) -> int:
    """Rows of the table of positions that no token uses: RoBERTa's first token has position padding_idx + 1."""
    for name, module in encoder.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return int(padding) + 1
    return 0


def _sentence_limit(folder: Path) -> int | None:
    """The length at which sentence-transformers cuts, where the model was saved with it."""
    path = folder / "sentence_bert_config.json"
    try:
        limit = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length")
    except (OSError, ValueError, AttributeError):
        return None
    return limit if isinstance(limit, int) else None
