"""A loaded language model with its tokenizer: only what is read of it, and no output head."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from oneword.errors import ModelError
from oneword.models.blocks import find_blocks, keep_blocks, text_config_of
from oneword.models.encoders import is_encoder, loader_of
from oneword.models.loading import load_error, load_options
from oneword.models.quiet import quiet_transformers
from oneword.models.source import Source
from oneword.models.window import find_rope_limit, find_sliding_window, find_window


@dataclass
class Backbone:
    """What the engine needs of a model.

    Args:
        name: what messages and files call the model.
        model: the transformers model without its output head; of an encoder-decoder, the encoder.
        tokenizer: its tokenizer.
        blocks: the transformer blocks that are loaded, in order.
        depth: how many blocks the whole model has (L).
        window: the longest input in tokens, or None where the model has no limit.
        rope_limit: rows of more tokens have all their positions rotated by their own length (longrope, dynamic), so
            that they can share neither a prefix nor a batch; None where no row does.
        sliding_window: in rows of more tokens some blocks do not see all of them; None where every block sees all.
        device: where the weights lie.
        model_type: the architecture, as in config.json.
        causal: whether a token sees only those before it; rows of any other model need an attention mask.
        alone: held during a pass, since its hooks must not see another's.
    """

    name: str
    model: Any
    tokenizer: Any
    blocks: nn.ModuleList
    depth: int
    window: int | None
    rope_limit: int | None
    sliding_window: int | None
    device: torch.device
    model_type: str
    causal: bool
    alone: threading.Lock = field(default_factory=threading.Lock)


def read_config(source: Source, trust_remote_code: bool) -> Any:
    """The model's configuration.

    Raises:
        ModelError: not a configuration that transformers knows, or one that needs code of its own.
    """
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(source.folder), trust_remote_code=trust_remote_code)
    except Exception as error:
        raise load_error(source, error, trust_remote_code) from None


def depth_of(config: Any, source: Source) -> int:
    """How many blocks the model has; of an encoder-decoder, the encoder.

    Raises:
        ModelError: the configuration does not say.
    """
    depth = getattr(text_config_of(config), "num_hidden_layers", None)
    if not isinstance(depth, int):
        raise ModelError(
            f"{source.name} ({config.model_type}) does not say how many blocks it has; it is no language model"
        )
    return depth


def is_causal(config: Any) -> bool:
    """Whether a token sees only those before it: not in encoders, nor in decoders that are told to look both ways."""
    if is_encoder(config):
        return False
    text_config = text_config_of(config)
    both_ways = getattr(text_config, "use_bidirectional_attention", False) in (True, "all")
    return getattr(text_config, "is_causal", True) is not False and not both_ways


def load_backbone(
    source: Source,
    config: Any,
    *,
    blocks: int,
    dtype: torch.dtype,
    device: torch.device,
    quantize: str = "none",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    spread: bool = False,
) -> Backbone:
    """Load a model's first ``blocks`` blocks (all of them when ``blocks`` is its depth), or spread them over all GPUs.

    Raises:
        ModelError: weights that are broken, incomplete or refused, or a model that does not read tokens.
        InputError: an unknown quantization, or one whose library is not installed.
    """
    from transformers import AutoTokenizer

    text_config = text_config_of(config)
    depth = depth_of(config, source)
    if blocks < depth:
        keep_blocks(text_config, depth, blocks)
    options = load_options(dtype, device, quantize, trust_remote_code, allow_pickle, spread)
    auto_class, own_config = loader_of(config)
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(str(source.folder), trust_remote_code=trust_remote_code)
            model, report = auto_class.from_pretrained(
                str(source.folder), config=own_config, output_loading_info=True, **options
            )
    except Exception as error:
        raise load_error(source, error, trust_remote_code) from None
    missing = sorted(report["missing_keys"])
    if any(name.startswith("pooler.") for name in missing):
        # Computed from the last states, so masked LMs are saved without it; made-up weights must not stay, nor run
        model.pooler = nn.Identity()
        missing = [name for name in missing if not name.startswith("pooler.")]
    if missing:
        raise ModelError(
            f"{source.folder} lacks {len(missing)} of the model's weights ('{missing[0]}' first); fetch the model again"
        )
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if model.main_input_name != "input_ids":
        raise ModelError(
            f"{source.name} ({config.model_type}) cannot be used: it reads {model.main_input_name} and not tokens; use "
            "a language model"
        )
    if spread:
        device = model.get_input_embeddings().weight.device  # where tokens go in
    elif quantize == "none":
        model = model.to(device)
    stack = model.get_decoder() if hasattr(model, "get_decoder") else model
    return Backbone(
        name=source.name,
        model=model.eval().requires_grad_(False),
        tokenizer=tokenizer,
        blocks=find_blocks(stack, blocks, source.name),
        depth=depth,
        window=find_window(text_config, tokenizer, None if is_causal(config) else model, source.folder),
        rope_limit=find_rope_limit(text_config),
        sliding_window=find_sliding_window(text_config),
        device=device,
        model_type=config.model_type,
        causal=is_causal(config),
    )
