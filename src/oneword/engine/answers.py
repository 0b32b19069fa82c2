"""A method's answers: every prompt asked of every text, steered where the method says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch

from oneword.engine.ahead import done_ahead
from oneword.engine.cost import PromptWork
from oneword.engine.encoder import PromptEncoder, SharingRows
from oneword.engine.forward import Forward, LayerReader, PointReader, Reader
from oneword.engine.options import EngineOptions
from oneword.engine.steering import Auxiliary, SteeringPoint
from oneword.engine.tokens import PromptTokenizer
from oneword.errors import InputError
from oneword.method import Method
from oneword.models.backbone import Backbone
from oneword.prompt import Cleaning, Prompt

# Token budget, batch size, and who is told of rows
Batches = tuple[int, "int | None", Callable[[int], None]]


class MethodEncoder:
    """Asks all prompts of one method.

    The auxiliary prompt of a steered method is asked once of each text, for all the others; its pass shares its own
    prefix and ends inside the block that is steered (Contrastive Prompting, section 3).

    Args:
        backbone: the loaded model.
        method: resolved for the model's depth.
        layers: indices into ``hidden_states`` that are read.
        options: which of the engine's ideas are in use.

    Raises:
        ModelError: a model that cannot be steered as the method says.
        MethodError: a pooling that the model's tokenizer cannot serve.
    """

    def __init__(self, backbone: Backbone, method: Method, layers: Sequence[int], options: EngineOptions) -> None:
        self._forward = Forward(backbone, for_layers(options, layers))
        asking = partial(prompt_encoder, backbone, self._forward, method.cleaning)
        self._reader = LayerReader(backbone, layers, method.pooling, options.early_stop)
        self._encoders = [asking(prompt, self._reader) for prompt in method.asked]
        self._point: SteeringPoint | None = None
        if method.steering is not None:
            self._point = SteeringPoint(backbone, method.steering)
            self._auxiliary = asking(method.steering.auxiliary_prompt, PointReader([self._point]))

    def __len__(self) -> int:
        """How many of the method's prompts are asked of every text."""
        return len(self._encoders)

    @property
    def passes(self) -> int:
        """How many prompts are asked of every text, the auxiliary one included."""
        return len(self._asked(steered=True))

    def width(self) -> int:
        """Size of one prompt's answer (d), seen on one token.

        Raises:
            ModelError: a model whose pass does not come by the place that is steered.
        """
        read = partial(self._forward.read, [[0]], [(0, 1)], packed=self._forward.options.packing)
        steering = None
        if self._point is not None:
            value = read(PointReader([self._point]))
            steering = partial(Auxiliary(self._point, value[:, 0]).steering, [0])
        return read(self._reader, steering=steering).shape[-1]

    def answers(
        self,
        sections: Sequence[Sequence[str]],
        token_budget: int,
        batch_size: int | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        steered: bool = True,
    ) -> Iterator[Iterator[tuple[torch.Tensor, list[int]]]]:
        """Each prompt's answers, one prompt after the other, for one section of texts after the other.

        While a prompt is asked, the next is tokenized in the background.

        Args:
            sections: each any number of texts that are not empty; a section's answers lie in memory together.
            token_budget: the most tokens of one batch.
            batch_size: a fixed number of texts a batch instead.
            on_rows: told after each batch how many rows it held; a row is one text in one prompt.
            steered: False leaves the method's steering out.

        Yields:
            For each section, which must be gone through before the next is taken: float32 tensor (texts, layers, d),
            and the indices of the texts cut to the window.

        Raises:
            InputError: not enough memory.
        """
        asked = self._asked(steered)
        rows = done_ahead(partial(encoder.rows, section) for section in sections for encoder in asked)
        for _ in sections:
            yield self._section(rows, steered, (token_budget, batch_size, on_rows))

    def work(self, texts: Sequence[str], token_budget: int, batch_size: int | None = None) -> list[PromptWork]:
        """What asking each prompt of these texts takes, the auxiliary one included; tokenizes, and computes nothing."""
        return [encoder.work(encoder.rows(texts), token_budget, batch_size) for encoder in self._asked(steered=True)]

    def _asked(self, steered: bool) -> list[PromptEncoder]:
        """The encoders in the order in which a section goes through them."""
        if self._point is None or not steered:
            return self._encoders
        if self._forward.options.shared_auxiliary:
            return [self._auxiliary, *self._encoders]
        return [each for encoder in self._encoders for each in (self._auxiliary, encoder)]

    def _section(
        self, tokenized: Iterator[SharingRows], steered: bool, batches: Batches
    ) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """One section's answers."""
        auxiliary: Auxiliary | None = None
        cut: list[int] = []
        with memory_errors():
            for encoder in self._asked(steered):
                rows = next(tokenized)
                if self._point is not None and encoder is self._auxiliary:
                    auxiliary = Auxiliary(self._point, encoder.encode(rows, *batches)[:, 0])
                    cut = rows.cut
                    continue
                yield encoder.encode(rows, *batches, auxiliary), sorted({*cut, *rows.cut})


def for_layers(options: EngineOptions, layers: Sequence[int]) -> EngineOptions:
    """The options that make sense for these layers: layer 0 comes before the first keys and values."""
    return options if max(layers) > 0 else replace(options, shared_prefix=False)


def prompt_encoder(
    backbone: Backbone, forward: Forward, cleaning: Cleaning, prompt: Prompt, reader: Reader
) -> PromptEncoder:
    """One prompt asked of a backbone.

    Raises:
        MethodError: a pooling that the model's tokenizer cannot serve.
    """
    tokenizer = PromptTokenizer(backbone.tokenizer, prompt, cleaning, backbone.window, reader.pooling, backbone.causal)
    return PromptEncoder(tokenizer, forward, reader, backbone.rope_limit, backbone.sliding_window)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Tells the user where memory does not suffice.

    Raises:
        InputError: not enough memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "allocate memory" not in str(error):
            raise
        raise InputError(
            "out of memory; give a smaller batch_size, shorter texts, or another device or quantization"
        ) from None
