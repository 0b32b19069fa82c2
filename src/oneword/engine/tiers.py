"""Which architectures the engine runs in which way, by name.  Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# tests/parity holds each of these to a naive forward pass, for every method and layer, packed and padded.
PACKED = frozenset(
    {
        "gemma3",
        "gemma3_text",
        "gpt2",
        "gpt_neox",
        "llama",
        "mistral",
        "olmo2",
        "opt",
        "phi3",
        "qwen2",
        "qwen3",
        "smollm3",
    }
)

# Held to it padded only, and why.
PADDED = {"gemma2": "its attention caps scores, which packed attention does not"}

VERIFIED = PACKED | PADDED.keys()


def can_pack(model_type: str, text_config: Any) -> bool:
    """Whether a model's rows can be packed: of an architecture that is known to allow it, and without capped scores."""
    return model_type in PACKED and not getattr(text_config, "attn_logit_softcapping", None)


@dataclass(frozen=True)
class Tier:
    """How the engine runs an architecture.

    Args:
        architecture: ``model_type`` in config.json, or which are meant.
        rows: ``"packed"``, ``"padded"`` or ``"checked"``.
        why: in a line.
    """

    architecture: str
    rows: str
    why: str


def tiers() -> list[Tier]:
    """All of them, and what becomes of the others."""
    packed = "equal to a naive pass in the tests, packed and padded; rows longer than a sliding window are padded"
    found = [Tier(name, "packed", packed) for name in sorted(PACKED)]
    found += [Tier(name, "padded", f"equal to a naive pass in the tests; {why}") for name, why in PADDED.items()]
    found.append(
        Tier(
            "other decoders",
            "checked",
            "compared with a naive pass when they load: padded, with a shared prefix where that agrees, or refused",
        )
    )
    found.append(Tier("encoders", "checked", "likewise; no prefix is shared where tokens see those after them"))
    return found
