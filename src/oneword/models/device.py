"""Which device and which number format to compute in."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from oneword.errors import InputError

EVERY_GPU = "all"
DTYPES = ("auto", "float32", "bfloat16", "float16")


def resolve_device(device: str | torch.device) -> torch.device:
    """``"auto"`` means the first of CUDA, Apple's MPS and the CPU that is there; ``"all"`` means CUDA's.

    Raises:
        InputError: a device that torch does not know or this machine does not have.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device("cuda" if device == EVERY_GPU else device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"device '{device}' is not available here; use auto, cpu, or a device torch can see") from None
    return chosen


def keep_few_kernels() -> None:
    """Have oneDNN keep 128 compiled products, not 1,024: batches differ in shape, and those kept would fill 500 MB.

    It reads these variables when it computes first; what the user has set stays.
    """
    for variable in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "128")


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``"auto"`` means bfloat16 where the device computes in it natively, else float32.

    Raises:
        InputError: an unknown name.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype '{dtype}' is not one of: {', '.join(DTYPES)}")
    if dtype == "auto":
        return torch.bfloat16 if _native_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


def dtype_name(dtype: torch.dtype) -> str:
    """``"bfloat16"`` for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def _native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    if platform.machine() in ("aarch64", "arm64"):
        info = Path("/proc/cpuinfo")
        return info.is_file() and " bf16" in info.read_text(errors="replace")
    # torch has no public name for these yet; a torch without them computes in float32
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)
