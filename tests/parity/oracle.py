"""The naive computation that the engine must equal: one whole prompt at a time, no cache, no padding, every layer kept.

Written from the definitions alone; it shares no code with the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class Oracle:
    """A model folder, loaded plainly in float32; remembers the states of every prompt it has seen.

    Args:
        folder: config, tokenizer and weights.
        attention: eager is the definition written out, with no kernels of its own and no masks left out.
    """

    def __init__(self, folder: Path, attention: str = "eager") -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
        self.model.eval()
        self._states: dict[tuple[int, ...], list[np.ndarray]] = {}

    def tokens(self, wording: str, text: str, cleaning: str) -> list[int]:
        """The prompt with the text in it, as one string, tokenized whole."""
        filled = wording.replace("{text}", cleaned(text) if cleaning == "one_word" else text).strip()
        ids = self.tokenizer(filled)["input_ids"]
        bare = self.tokenizer(filled, add_special_tokens=False)["input_ids"]
        # What the tokenizer puts before the prompt stays, what it puts after goes: the answer is read at the end
        start = next(start for start in range(len(ids)) if ids[start : start + len(bare)] == bare)
        return ids[: start + len(bare)]

    def states(self, ids: Sequence[int]) -> list[np.ndarray]:
        """``hidden_states`` of these tokens at the last of them: embeddings, each block, the last after the norm."""
        key = tuple(ids)
        if key not in self._states:
            with torch.no_grad():
                output = self.model(input_ids=torch.tensor([key]), output_hidden_states=True, use_cache=False)
            self._states[key] = [layer[0, -1].numpy().copy() for layer in output.hidden_states]
        return self._states[key]

    def depth(self) -> int:
        """How many blocks the model has."""
        return len(self.states(self.tokenizer("a")["input_ids"])) - 1

    def vectors(self, method: Any, texts: Sequence[str], layer: int) -> np.ndarray:
        """What a method says of each text, read at one layer: (texts, d)."""
        answers = [
            np.stack([self.states(self.tokens(prompt.wording, text, method.cleaning))[layer] for text in texts])
            for prompt in method.prompts
        ]
        combine = {
            "mean": lambda: np.mean(answers, axis=0),
            "max": lambda: np.max(answers, axis=0),
            "concat": lambda: np.concatenate(answers, axis=-1),
        }
        return combine[method.combine]()


def cleaned(text: str) -> str:
    """The papers' cleaning: a full stop where nothing ends the text, no double quotes, no question."""
    if text and text[-1] not in [".", "?", '"', "'"]:
        text = text + "."
    text = text.replace('"', "'")
    if text and text[-1] == "?":
        text = text[:-1] + "."
    return text
