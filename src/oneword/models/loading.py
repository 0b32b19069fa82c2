"""What transformers is told when weights are loaded, and what its errors mean."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from oneword.errors import InputError, ModelError
from oneword.models.source import Source

QUANTIZATIONS = ("none", "int8", "int4")


def load_options(
    dtype: torch.dtype,
    device: torch.device,
    quantize: str,
    trust_remote_code: bool,
    allow_pickle: bool,
    spread: bool = False,
) -> dict[str, Any]:
    """Options for ``from_pretrained``; what is quantized, or spread over all GPUs, is placed by them.

    Raises:
        InputError: an unknown quantization, or one whose library is not installed.
    """
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": trust_remote_code}
    if not allow_pickle:
        options["use_safetensors"] = True
    options |= _quantized(quantize, dtype, device)
    return options | {"device_map": "auto"} if spread else options


def load_error(source: Source, error: Exception, trust_remote_code: bool) -> ModelError:
    """An error of transformers, in a line that says the way out."""
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


def _quantized(quantize: str, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
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
