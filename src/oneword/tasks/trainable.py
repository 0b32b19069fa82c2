"""A model that can be tuned: the surrogate, and the models of the transfer experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from oneword.errors import InputError, ModelError
from oneword.models.backbone import depth_of, load_backbone, read_config
from oneword.models.device import resolve_device
from oneword.models.loading import load_error, load_options
from oneword.models.quiet import quiet_transformers
from oneword.models.source import find_source
from oneword.tasks.prefixed_attention import IMPLEMENTATION, PrefixShape, attending_to, noting


@dataclass(frozen=True)
class TokenRow:
    """One text, or pair of texts, in tokens.

    Args:
        ids: of the tokens, special ones included.
        places: of every token of the second text its characters there, None for any other; only where asked for.
    """

    ids: tuple[int, ...]
    places: tuple[tuple[int, int] | None, ...] = ()


class TrainableModel:
    """A language model of transformers in float32, all of whose blocks are run, with gradients where they are wanted.

    Args:
        model: a model of ``oneword models``, a folder, or a Hub id: an encoder, a decoder, or an encoder-decoder.
        blocks: how many of its blocks are used; None takes all.
        device: where it computes.
        revision: branch, tag or commit of a Hub model.

    Attributes:
        name: what messages and vectors call it.
        space: names the weights and the blocks: what vectors must share.
        dimension: of one token's state.
        causal: whether a token sees only those before it.
        prefix_shape: what one block's prefix must be like; None where its attention takes none.

    Raises:
        ModelError: a model that cannot be found, loaded or tuned.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        blocks: int | None = None,
        device: str | torch.device = "auto",
        revision: str | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self._source = find_source(model, torch.float32, revision=revision)
        config = read_config(self._source, trust_remote_code=False)
        depth = depth_of(config, self._source)
        if blocks is not None and not 1 <= blocks <= depth:
            raise InputError(f"{self._source.name} has {depth} blocks; {blocks} of them cannot be used")
        self.depth = blocks or depth
        backbone = load_backbone(self._source, config, blocks=self.depth, dtype=torch.float32, device=self.device)
        self.name = backbone.name if blocks in (None, depth) else f"{backbone.name}:{blocks}"
        self.space = f"{self.name}-{self._source.weights}"
        self.model, self.tokenizer, self.blocks = backbone.model, backbone.tokenizer, backbone.blocks
        self.causal, self.window = backbone.causal, backbone.window
        self.seq2seq = bool(config.is_encoder_decoder)
        self._attentions, self.prefix_shape = self._find_attentions()
        self.dimension = self._probe().shape[-1]

    def block_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The parameters of its blocks by name; embeddings of words, which hardly move, stay as they are."""
        return {f"blocks.{name}": parameter for name, parameter in self.blocks.named_parameters()}

    def tokenize(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        max_length: int = 128,
        places: bool = False,
    ) -> list[TokenRow]:
        """Texts, or pairs of them, in tokens; too long ones are cut, of pairs the longer part first.

        Args:
            texts: the texts.
            text_pairs: the second texts.
            max_length: the most tokens of a row.
            places: tell which characters of the second text each token is; cuts only the second text.

        Raises:
            InputError: places of a tokenizer that cannot tell them.
        """
        if self.window is not None:
            max_length = min(max_length, self.window)
        first = list(texts)
        if text_pairs is None:
            found = self.tokenizer(first, truncation=True, max_length=max_length)
            return [TokenRow(tuple(ids)) for ids in found["input_ids"]]
        if self.causal:  # decoders have no token between two texts
            first = [f"{text}\n" for text in first]
        if places and not self.tokenizer.is_fast:
            raise InputError(f"{self.name} has a tokenizer without places, which spans need; use another surrogate")
        if places:  # questions that leave no room for their contexts
            first = [self._beginning(text, max_length // 2) for text in first]
        found = self.tokenizer(
            first,
            list(text_pairs),
            truncation="only_second" if places else "longest_first",
            max_length=max_length,
            return_offsets_mapping=places,
        )
        if not places:
            return [TokenRow(tuple(ids)) for ids in found["input_ids"]]
        return [
            TokenRow(
                tuple(ids),
                tuple(
                    (int(offset[0]), int(offset[1])) if part == 1 else None
                    for offset, part in zip(found["offset_mapping"][row], found.sequence_ids(row))
                ),
            )
            for row, ids in enumerate(found["input_ids"])
        ]

    def _beginning(self, text: str, tokens: int) -> str:
        """As much of a text as so many tokens hold."""
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (rows, longest), padded on the right, and a mask of 1 where there are tokens."""
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids.to(self.device), mask.to(self.device)

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The last states (rows, n, d) of tokens (rows, n) that have the mask 1."""
        options: dict[str, Any] = {"use_cache": False} if self.causal else {}
        states: torch.Tensor = self.model(input_ids=ids, attention_mask=mask, **options).last_hidden_state
        return states

    def pooled(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """One state a row (rows, d), of mean square 1: the tokens' mean, or of decoders the last token's."""
        if mask is None:
            chosen = states[:, -1] if self.causal else states.mean(1)
        elif self.causal:
            chosen = states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        else:
            weights = mask.to(states.dtype)[..., None]
            chosen = (states * weights).sum(1) / weights.sum(1)
        return of_mean_square_1(chosen)

    def with_prefix(self, prefix: torch.Tensor) -> AbstractContextManager[None]:
        """Within the block, every token sees the prefix (blocks, 2, heads, positions, size) in every block."""
        return attending_to(prefix, self._attentions)

    @cached_property
    def language_model(self) -> Any:
        """An encoder-decoder whole, frozen, to say what its decoder makes of the encoder's states.

        Raises:
            ModelError: it cannot be loaded.
        """
        from transformers import AutoModelForSeq2SeqLM

        options = load_options(torch.float32, self.device, "none", False, False)
        options["attn_implementation"] = "eager"  # whose gradients torch.func has
        try:
            with quiet_transformers():
                whole = AutoModelForSeq2SeqLM.from_pretrained(str(self._source.folder), **options)
        except Exception as error:
            raise load_error(self._source, error, False) from None
        return whole.to(self.device).eval().requires_grad_(False)

    def _find_attentions(self) -> tuple[dict[int, int], PrefixShape | None]:
        """Which attention module each block has, and what its prefix must be like; none where it takes no function."""
        found: list[tuple[torch.nn.Module, PrefixShape]] = []
        with quiet_transformers():
            try:
                self.model.set_attn_implementation(IMPLEMENTATION)
                with noting(found):
                    self._probe()
            except (ValueError, ModelError):
                found = []
            shapes = {shape for _, shape in found}
            if len(found) != self.depth or len(shapes) != 1:
                self.model.set_attn_implementation("eager")
                return {}, None
        return {id(module): block for block, (module, _) in enumerate(found)}, shapes.pop()

    @torch.no_grad()
    def _probe(self) -> torch.Tensor:
        ids = torch.arange(4, 8, device=self.device)[None]
        try:
            return self.states(ids, torch.ones_like(ids))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ModelError(f"{self.name} cannot be tuned: {type(error).__name__}: {error}".split("\n")[0]) from None


def of_mean_square_1(states: torch.Tensor) -> torch.Tensor:
    """States (..., d) of one size: models differ in it, but what a head learns, and how fast, should not."""
    return states * states.square().mean(-1, keepdim=True).clamp_min(1e-12).rsqrt()


@contextmanager
def restored(parameters: dict[str, torch.nn.Parameter]) -> Iterator[None]:
    """Within the block the parameters can be trained; after it they are, to the bit, what they were."""
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(before[name])
                parameter.requires_grad_(False)
                parameter.grad = None
