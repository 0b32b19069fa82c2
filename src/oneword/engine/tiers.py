"""Which architectures the engine runs in which way, by name.  Loads no torch."""

from __future__ import annotations

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
