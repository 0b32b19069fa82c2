"""What a loaded model answers to each prompt of a method, section by section of many texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from oneword.engine.answers import MethodEncoder
from oneword.engine.cost import PromptWork
from oneword.engine.grid import GridEncoder
from oneword.errors import ModelError
from oneword.loaded import LoadedModel
from oneword.method import Method
from oneword.models.device import dtype_name
from oneword.steering import Steering

# Texts computed at a time, so that token ids and states of millions of texts never lie in memory together
_SECTION_TEXTS = 2048
_SECTION_BYTES = 256 << 20

# Of one section: each prompt's answers, float32 (texts, layers, d), and the indices of the texts that were cut
Answers = Iterator[tuple[torch.Tensor, list[int]]]


class Answering:
    """A method put to a loaded model.

    Args:
        loaded: the model.
        method: resolved for its depth.
        layers: that are read, as indices from 0.

    Attributes:
        width: size of what all prompts answer together, before anything is made of it: of one answer, or for
            ``"concat"`` of all.
        passes: how many prompts are asked of every text, the auxiliary one included.

    Raises:
        ModelError: the model does not run so.
        MethodError: a pooling that the model's tokenizer cannot serve.
    """

    def __init__(self, loaded: LoadedModel, method: Method, layers: Sequence[int]) -> None:
        backbone = loaded.backbone
        self._backbone, self._method, self._layers = backbone, method, layers
        self._allowed = loaded.allowed(layers)
        self._encoder = MethodEncoder(backbone, method, layers, self._allowed)
        try:
            width = self._encoder.width()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ModelError(
                f"{backbone.name} does not run on {backbone.device} in {dtype_name(loaded.dtype)}, quantize "
                f"{loaded.quantize} ({type(error).__name__}: {error}); try another of these".replace("\n", " ")
            ) from None
        self.width = width * (len(self._encoder) if method.combine == "concat" else 1)
        self.passes = self._encoder.passes
        self._token_budget = loaded.token_budget(width, self._allowed)

    def sections(
        self,
        texts: Sequence[str],
        batch_size: int | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        steered: bool = True,
    ) -> Iterator[tuple[Sequence[str], Answers]]:
        """Some of the texts with their answers, and then some more; each must be gone through before the next.

        Args:
            texts: texts that are not empty.
            batch_size: texts a batch; None: by a token budget.
            on_rows: told after each batch how many rows it held; a row is one text in one prompt.
            steered: False leaves the method's steering out.
        """
        size = max(64, min(_SECTION_TEXTS, _SECTION_BYTES // (4 * len(self._layers) * self.width)))
        sections = [texts[start : start + size] for start in range(0, len(texts), size)]
        yield from zip(sections, self._encoder.answers(sections, self._token_budget, batch_size, on_rows, steered))

    def grid(self, texts: Sequence[str], steerings: Sequence[Steering]) -> Answers:
        """Each prompt's answers without steering and under many, float32 (1 + steerings, texts, layers, d)."""
        grid = GridEncoder(self._backbone, self._method, steerings, self._layers, self._allowed)
        return grid.answers(texts, self._token_budget)

    def work(self, texts: Sequence[str], batch_size: int | None = None) -> list[PromptWork]:
        """What asking these texts takes, prompt by prompt; they are tokenized, and nothing is computed."""
        return self._encoder.work(texts, self._token_budget, batch_size)
