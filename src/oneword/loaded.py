"""A language model found, and then loaded: what texts are embedded with, and labels read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from oneword.engine.options import EVERYTHING, EngineOptions
from oneword.engine.tiers import VERIFIED, can_pack
from oneword.engine.verify import check_engine
from oneword.engine.weights import lay_out, lays_out
from oneword.models.backbone import Backbone, depth_of, is_causal, load_backbone, read_config
from oneword.models.blocks import text_config_of
from oneword.models.budget import token_budget
from oneword.models.device import EVERY_GPU, keep_few_kernels, resolve_device, resolve_dtype
from oneword.models.head import Head, load_head
from oneword.models.source import Source, find_source


@dataclass(frozen=True)
class FoundModel:
    """A model's files and configuration; its weights are not loaded yet.

    Args:
        source: its files.
        config: its configuration, which then says as many blocks as were loaded.
        depth: how many blocks it has.
        spread: whether its blocks are spread over all GPUs.
        options: how its weights are loaded, and where they lie.
        engine: which of the engine's ideas are wanted.
    """

    source: Source
    config: Any
    depth: int
    spread: bool
    options: dict[str, Any]
    engine: EngineOptions

    @property
    def name(self) -> str:
        """What messages call it, its architecture included."""
        return f"{self.source.name} ({self.config.model_type})"

    @property
    def causal(self) -> bool:
        """Whether its tokens see only those before them."""
        return is_causal(self.config)

    @property
    def verified(self) -> bool:
        """Whether its architecture is one that the engine is known to compute exactly."""
        return self.config.model_type in VERIFIED and self.causal

    def load(self, layers: Sequence[int]) -> LoadedModel:
        """Load it as deep as these layers need.

        Raises:
            ModelError: weights that are broken, incomplete or refused.
        """
        engine = self.engine
        if self.verified:
            packs = can_pack(self.config.model_type, text_config_of(self.config))
            engine = replace(engine, packing=engine.packing and packs)
        blocks = max(1, *layers) if self.verified and engine.early_stop else self.depth
        backbone = load_backbone(self.source, self.config, blocks=blocks, spread=self.spread, **self.options)
        if self.verified and engine.laid_out_weights and lays_out(backbone):
            lay_out(backbone)
        return LoadedModel(self, backbone, engine)


@dataclass(frozen=True)
class LoadedModel:
    """A model whose weights are loaded, at least as deep as it was asked for.

    Args:
        found: its files and configuration.
        backbone: what the engine needs of it.
        engine: which of the engine's ideas are in use, before the gate for architectures that are not known.
    """

    found: FoundModel
    backbone: Backbone
    engine: EngineOptions

    @property
    def name(self) -> str:
        """What files and messages call it."""
        return self.backbone.name

    @property
    def weights(self) -> str:
        """Digest of its weights."""
        return self.found.source.weights

    @property
    def dtype(self) -> torch.dtype:
        """Number format of its weights."""
        dtype: torch.dtype = self.found.options["dtype"]
        return dtype

    @property
    def quantize(self) -> str:
        """Its quantization, or ``"none"``."""
        return str(self.found.options["quantize"])

    @cached_property
    def head(self) -> Head:
        """Its final norm and output head, loaded when they are first asked for.

        Raises:
            ModelError: it has none.
        """
        return load_head(self.found.source, one_block=self.found.verified, **self.found.options)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which it ends an answer."""
        ends: list[Any] = [self.head.end_token, self.backbone.tokenizer.eos_token_id]
        tokens = [token for end in ends for token in (end if isinstance(end, list) else [end])]
        return frozenset(token for token in tokens if token is not None)

    def allowed(self, layers: Sequence[int]) -> EngineOptions:
        """Which of the engine's ideas may be used for these layers; asks the model, where it is not known.

        Raises:
            ModelError: none gives the model's own states.
        """
        return self.engine if self.found.verified else check_engine(self.backbone, layers, self.engine)

    def token_budget(self, width: int, options: EngineOptions) -> int:
        """The most tokens of one batch, of states of this size."""
        return token_budget(width, self.dtype, self.backbone.device, options.packing)


def find_model(
    model: str | Path | None = None,
    *,
    dtype: str = "auto",
    device: str | torch.device = "auto",
    quantize: str = "none",
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    engine: EngineOptions = EVERYTHING,
) -> FoundModel:
    """Find, and if need be fetch, a model.  The arguments are those of :class:`~oneword.Embedder`.

    Raises:
        ModelError: no such model, or no configuration that transformers knows.
        InputError: no such device or number format.
    """
    keep_few_kernels()
    chosen_device = resolve_device(device)
    chosen_dtype = resolve_dtype(dtype, chosen_device)
    source = find_source(
        model, chosen_dtype, revision=revision, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
    )
    options = {
        "dtype": chosen_dtype,
        "device": chosen_device,
        "quantize": quantize,
        "trust_remote_code": trust_remote_code,
        "allow_pickle": allow_pickle,
    }
    config = read_config(source, trust_remote_code)
    return FoundModel(source, config, depth_of(config, source), device == EVERY_GPU, options, engine)
