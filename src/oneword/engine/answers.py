"""A method's answers: every prompt asked of every text, steered where the method says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from oneword.engine.encoder import PromptEncoder
from oneword.engine.forward import Forward, LayerReader, PointReader, Reader
from oneword.engine.steering import Auxiliary, SteeringPoint
from oneword.engine.tokens import PromptTokenizer
from oneword.errors import InputError
from oneword.method import Method
from oneword.models.backbone import Backbone
from oneword.prompt import Cleaning, Prompt


class MethodEncoder:
    """Asks all prompts of one method.

    The auxiliary prompt of a steered method is asked once of each text, for all the others; its pass shares its own
    prefix and ends inside the block that is steered (Contrastive Prompting, section 3).

    Args:
        backbone: the loaded model.
        method: resolved for the model's depth.
        layers: indices into ``hidden_states`` that are read.
        share_prefix: see :class:`~oneword.engine.encoder.PromptEncoder`.

    Raises:
        ModelError: a model that cannot be steered as the method says.
        MethodError: a pooling that the model's tokenizer cannot serve.
    """

    def __init__(self, backbone: Backbone, method: Method, layers: Sequence[int], share_prefix: bool) -> None:
        self._backbone = backbone
        self._forward = Forward(backbone)
        share_prefix = share_prefix and max(layers) > 0  # layer 0 comes before the first keys and values
        asking = partial(prompt_encoder, backbone, self._forward, method.cleaning, share_prefix)
        reader = LayerReader(backbone, layers, method.pooling)
        self._encoders = [asking(prompt, reader) for prompt in method.asked]
        self._point: SteeringPoint | None = None
        if method.steering is not None:
            self._point = SteeringPoint(backbone, method.steering)
            self._auxiliary = asking(method.steering.auxiliary_prompt, PointReader([self._point]))
        self._reader = reader

    def __len__(self) -> int:
        """How many of the method's prompts are asked of every text."""
        return len(self._encoders)

    @property
    def passes(self) -> int:
        """How many prompts are asked of every text, the auxiliary one included."""
        return len(self) + (self._point is not None)

    def width(self) -> int:
        """Size of one prompt's answer (d), seen on one token.

        Raises:
            ModelError: a model whose pass does not come by the place that is steered.
        """
        steering = None
        if self._point is not None:
            value = self._forward.read([[0]], [(0, 1)], PointReader([self._point]))
            steering = partial(Auxiliary(self._point, value[:, 0]).steering, [0])
        return self._forward.read([[0]], [(0, 1)], self._reader, steering=steering).shape[-1]

    def answers(
        self,
        texts: Sequence[str],
        token_budget: int,
        batch_size: int | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        steered: bool = True,
    ) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """Each prompt's answers, one prompt after the other.

        Args:
            texts: any number of texts that are not empty.
            token_budget: the most tokens of one batch.
            batch_size: a fixed number of texts a batch instead.
            on_rows: told after each batch how many rows it held; a row is one text in one prompt.
            steered: False leaves the method's steering out.

        Yields:
            float32 tensor (texts, layers, d), and the indices of the texts cut to the window.

        Raises:
            InputError: not enough memory.
        """
        auxiliary: Auxiliary | None = None
        cut: list[int] = []
        with memory_errors():
            if self._point is not None and steered:
                values, cut = self._auxiliary.encode(texts, token_budget, batch_size, on_rows)
                auxiliary = Auxiliary(self._point, values[:, 0])
            for encoder in self._encoders:
                answer, cut_here = encoder.encode(texts, token_budget, batch_size, on_rows, auxiliary)
                yield answer, sorted({*cut, *cut_here})


def prompt_encoder(
    backbone: Backbone, forward: Forward, cleaning: Cleaning, share_prefix: bool, prompt: Prompt, reader: Reader
) -> PromptEncoder:
    """One prompt asked of a backbone.

    Raises:
        MethodError: a pooling that the model's tokenizer cannot serve.
    """
    tokenizer = PromptTokenizer(backbone.tokenizer, prompt, cleaning, backbone.window, reader.pooling, backbone.causal)
    return PromptEncoder(tokenizer, forward, reader, share_prefix, backbone.rope_limit)


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
