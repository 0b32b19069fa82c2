"""A GGUF file dequantized once into a folder of safetensors, which then loads like any other model."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from oneword.errors import ModelError
from oneword.models.cache import cache_folder
from oneword.models.device import dtype_name
from oneword.models.digest import read_header
from oneword.models.quiet import quiet_transformers


def converted_folder(name: str, weights: str, dtype: torch.dtype) -> Path:
    """Where the conversion of a GGUF file lies: one folder for each file and number format."""
    return cache_folder() / "models" / f"{name}-{weights}-{dtype_name(dtype)}"


def converted_weights(folder: Path) -> str | None:
    """The digest of the GGUF file that a folder is the conversion of; None for any other folder."""
    if folder.resolve().parent != (cache_folder() / "models").resolve():
        return None
    return folder.name.rsplit("-", 2)[1]


def is_converted(folder: Path) -> bool:
    """Whether a conversion is there and whole; what is left of a broken one is removed."""
    files = list(folder.glob("*.safetensors"))
    try:
        for file in files:
            read_header(file)
    except ModelError:
        files = []
    if not files:
        shutil.rmtree(folder, ignore_errors=True)
    return bool(files)


def convert_gguf(gguf: Path, target: Path, dtype: torch.dtype) -> None:
    """Dequantize a GGUF file into ``target``, in the number format it will be computed in.

    Weights go from the file's blocks to float32 and are rounded once, so loading the folder equals dequantizing at
    every start, only faster.

    Raises:
        ModelError: a file that is broken, truncated, or of an architecture that transformers does not read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(target) + ".lock"):
        if target.is_dir():  # another process was first
            return
        print(f"converting {gguf.name} to {dtype_name(dtype)} safetensors, once ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="convert-") as work:
            folder = Path(work) / "model"
            try:
                with quiet_transformers():
                    _save(gguf, folder, dtype)
            except Exception as error:  # the reader answers a broken file with whatever its first bad number meets
                raise _conversion_error(gguf, target, error) from None
            folder.replace(target)


def _save(gguf: Path, folder: Path, dtype: torch.dtype) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    _restore_pre_tokenizer(tokenizer, gguf)
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=dtype
    )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _restore_pre_tokenizer(tokenizer: Any, gguf: Path) -> None:
    """Split digits apart where the file says so; transformers' conversion reads no ``tokenizer.ggml.pre``."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(str(gguf)).get_field("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])


def _conversion_error(gguf: Path, target: Path, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if (isinstance(error, OSError) and error.errno is not None) or "(os error" in reason:  # safetensors' own form
        return ModelError(
            f"{gguf.name} cannot be converted into {target}: {reason}; make room there, or mend its rights"
        )
    return ModelError(
        f"{gguf} cannot be read as a GGUF model ({reason}); it may be broken, truncated or of an architecture that "
        "transformers does not convert: fetch it again, or use its safetensors"
    )
