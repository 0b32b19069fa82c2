"""A loaded language model with its tokenizer: only the blocks that are needed, and no output head."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from oneword.errors import InputError, ModelError
from oneword.models.quiet import quiet_transformers
from oneword.models.source import Source

QUANTIZATIONS = ("none", "int8", "int4")


@dataclass
class Backbone:
    """What the engine needs of a model.

    Args:
        name: what messages and files call the model.
        model: the transformers model without its output head.
        tokenizer: its tokenizer.
        blocks: the transformer blocks that are loaded, in order.
        depth: how many blocks the whole model has (L).
        window: the longest input in tokens, or None where the model has no limit.
        rope_limit: rows of more tokens have all their positions rotated by their own length (longrope, dynamic), so
            that they can share neither a prefix nor a batch; None where no row does.
        device: where the weights lie.
        model_type: the architecture, as in config.json.
    """

    name: str
    model: Any
    tokenizer: Any
    blocks: nn.ModuleList
    depth: int
    window: int | None
    rope_limit: int | None
    device: torch.device
    model_type: str


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
        raise _load_error(source, error, trust_remote_code) from None


def depth_of(config: Any, source: Source) -> int:
    """How many blocks the model has.

    Raises:
        ModelError: the configuration does not say.
    """
    depth = getattr(config.get_text_config(decoder=True), "num_hidden_layers", None)
    if not isinstance(depth, int):
        raise ModelError(
            f"{source.name} ({config.model_type}) does not say how many blocks it has; it is no decoder LLM"
        )
    return depth


def is_causal(config: Any) -> bool:
    """Whether the configuration leaves attention causal; some decoders can be told to look both ways."""
    text_config = config.get_text_config(decoder=True)
    both_ways = getattr(text_config, "use_bidirectional_attention", False)
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
) -> Backbone:
    """Load a model's first ``blocks`` blocks (all of them when ``blocks`` is its depth).

    Raises:
        ModelError: weights that are broken, incomplete or refused.
        InputError: an unknown quantization, or one whose library is not installed.
    """
    from transformers import AutoModel, AutoTokenizer

    text_config = config.get_text_config(decoder=True)
    depth = depth_of(config, source)
    _keep_blocks(text_config, depth, blocks)
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": trust_remote_code}
    options |= _quantization(quantize, dtype, device)
    if not allow_pickle:
        options["use_safetensors"] = True
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(str(source.folder), trust_remote_code=trust_remote_code)
            model, report = AutoModel.from_pretrained(
                str(source.folder), config=config, output_loading_info=True, **options
            )
    except Exception as error:
        raise _load_error(source, error, trust_remote_code) from None
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(
            f"{source.folder} lacks {len(missing)} of the model's weights ('{missing[0]}' first); fetch the model again"
        )
    if quantize == "none":
        model = model.to(device)
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    return Backbone(
        name=source.name,
        model=model.eval().requires_grad_(False),
        tokenizer=tokenizer,
        blocks=_find_blocks(decoder, blocks, source.name),
        depth=depth,
        window=_window(text_config, tokenizer),
        rope_limit=_rope_limit(text_config),
        device=device,
        model_type=config.model_type,
    )


def _keep_blocks(text_config: Any, depth: int, blocks: int) -> None:
    """Make the configuration that of a model of the first ``blocks`` blocks; lists with an entry a block too."""
    for key, value in list(vars(text_config).items()):
        if isinstance(value, list) and len(value) == depth:
            setattr(text_config, key, value[:blocks])
    text_config.num_hidden_layers = blocks


def _quantization(quantize: str, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    if quantize not in QUANTIZATIONS:
        raise InputError(f"quantize '{quantize}' is not one of: {', '.join(QUANTIZATIONS)}")
    if quantize == "none":
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(f"quantize {quantize} needs bitsandbytes; pip install 'oneword[quantize]'")
    from transformers import BitsAndBytesConfig

    chosen = (
        BitsAndBytesConfig(load_in_8bit=True)
        if quantize == "int8"
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    )
    return {"quantization_config": chosen, "device_map": {"": device}}


def _find_blocks(decoder: nn.Module, count: int, name: str) -> nn.ModuleList:
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{name}: no list of {count} blocks in {type(decoder).__name__}; oneword cannot read its layers")


def _window(text_config: Any, tokenizer: Any) -> int | None:
    names = ("max_position_embeddings", "max_seq_len")  # architectures do not agree on one
    window = next((getattr(text_config, name) for name in names if getattr(text_config, name, None)), None)
    if window is None and tokenizer.model_max_length < 1e9:  # without a limit, tokenizers say 1e30
        window = tokenizer.model_max_length
    return int(window) if window else None


def _rope_limit(text_config: Any) -> int | None:
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


def _load_error(source: Source, error: Exception, trust_remote_code: bool) -> ModelError:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if not trust_remote_code and "trust_remote_code" in str(error):
        return ModelError(
            f"{source.name} runs code of its own; read {source.folder}, and if you trust it add --trust-remote-code "
            "(trust_remote_code=True)"
        )
    if isinstance(error, torch.OutOfMemoryError):
        return ModelError(f"{source.name} does not fit into memory; try --quantize int8, or another --device")
    return ModelError(f"{source.name} cannot be loaded from {source.folder}: {reason}; fetch it again if it is broken")
