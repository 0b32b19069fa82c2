"""A transformers model with the head of its task, its tokenizer, and batches for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oneword.errors import InputError, ModelError
from oneword.models.backbone import is_causal, read_config
from oneword.models.blocks import text_config_of
from oneword.models.device import resolve_device, resolve_dtype
from oneword.models.loading import load_error, load_options
from oneword.models.quiet import quiet_transformers
from oneword.models.source import Source, find_source
from oneword.models.window import find_window
from oneword.tasks.predictors.foreign import error_line

# The class of transformers for each head, and its table of the architectures that have one
HEADS = {
    "classification head": ("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"),
    "question answering head": ("AutoModelForQuestionAnswering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES"),
    "output head": ("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    "output head behind an encoder": ("AutoModelForSeq2SeqLM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
}


@dataclass(frozen=True)
class Weights:
    """Which weights are loaded, and how.

    Args:
        model: a catalog name (None: the default model), a folder, a ``.gguf`` file, or a Hub id.
        device: ``"auto"``, or a torch device.
        dtype: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        quantize: ``"none"``, ``"int8"`` or ``"int4"``.
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let the model run code of its own.
        allow_pickle: load weights that are not safetensors, which can run code too.
    """

    model: str | Path | None
    device: str | torch.device = "auto"
    dtype: str = "auto"
    quantize: str = "none"
    revision: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False

    def found(self) -> tuple[Source, Any, torch.device, torch.dtype]:
        """Their files, configuration, device and number format.

        Raises:
            ModelError: no such model.
            InputError: no such device or number format.
        """
        device = resolve_device(self.device)
        dtype = resolve_dtype(self.dtype, device)
        source = find_source(
            self.model,
            dtype,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            allow_pickle=self.allow_pickle,
        )
        return source, read_config(source, self.trust_remote_code), device, dtype


@dataclass(frozen=True)
class TransformerModel:
    """A loaded model.

    Args:
        name: what messages call it.
        weights: digest of its weights.
        tokenizer: its tokenizer, padding on the right.
        model: the transformers model, its head included.
        device: where it lies.
        dtype: its number format.
        window: the longest input in tokens, or None.
    """

    name: str
    weights: str
    tokenizer: Any
    model: Any
    device: torch.device
    dtype: torch.dtype
    window: int | None

    @torch.inference_mode()
    def outputs(self, inputs: Mapping[str, Sequence[Any]], batch_size: int) -> Iterator[tuple[list[int], Any]]:
        """The model's outputs, rows of like length together.

        Args:
            inputs: what the tokenizer made of the texts, not padded.
            batch_size: rows at a time; a model without a padding token is given one at a time.

        Yields:
            The rows of a batch, and the output for them.
        """
        lengths = [len(row) for row in inputs["input_ids"]]
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        size = batch_size if self.tokenizer.pad_token_id is not None else 1
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = {key: [values[row] for row in rows] for key, values in inputs.items()}
            with named_model_errors(self.name), quiet_transformers():
                if self.tokenizer.pad_token_id is not None:
                    batch = self.tokenizer.pad(batch)
                tensors = {key: torch.tensor(value, device=self.device) for key, value in batch.items()}
                output = self.model(**tensors)
            yield rows, output


def load_with_head(head: str, weights: Weights) -> TransformerModel:
    """Load a model with one of :data:`HEADS`.

    Raises:
        ModelError: no such model, or one that has no such head, or lacks its weights.
        InputError: a device, number format or quantization that there is not.
    """
    from transformers import AutoTokenizer

    source, config, device, dtype = weights.found()
    loader = _loader(head, source, config, weights.trust_remote_code)
    options = load_options(dtype, device, weights.quantize, weights.trust_remote_code, weights.allow_pickle)
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                str(source.folder), trust_remote_code=weights.trust_remote_code, padding_side="right"
            )
            model, report = loader.from_pretrained(
                str(source.folder), config=config, output_loading_info=True, **options
            )
    except Exception as error:
        raise load_error(source, error, weights.trust_remote_code) from None
    if report["missing_keys"]:
        raise ModelError(
            f"{source.name} lacks weights of its {head} ('{min(report['missing_keys'])}'), so its answers would be "
            "chance; use a model that was trained for the task and saved with its head"
        )
    _agree_on_padding(tokenizer, model.config)
    if weights.quantize == "none":
        model = model.to(device)
    model.eval().requires_grad_(False)
    window = find_window(text_config_of(config), tokenizer, None if is_causal(config) else model, source.folder)
    return TransformerModel(source.name, source.weights, tokenizer, model, device, dtype, window)


def _agree_on_padding(tokenizer: Any, config: Any) -> None:
    """Decoders find a row's last token by the configuration's padding token, so batches must be padded with it."""
    padding = getattr(config, "pad_token_id", None)
    token = tokenizer.convert_ids_to_tokens(padding) if padding is not None and padding >= 0 else None
    if token is not None:
        tokenizer.pad_token = token
    else:
        config.pad_token_id = tokenizer.pad_token_id


def check_positive(**numbers: int | None) -> None:
    """Refuse counts below 1; None is none given.

    Raises:
        InputError: with the name of the first.
    """
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")


@contextmanager
def named_model_errors(name: str) -> Iterator[None]:
    """Within the block, what torch and transformers raise becomes one line.

    Raises:
        ModelError: with the way out.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise ModelError(f"{name} does not fit into memory; use a smaller batch_size, or another device") from None
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ModelError(f"{name} cannot answer: {type(error).__name__}: {error_line(error)}") from error


def _loader(head: str, source: Source, config: Any, trust_remote_code: bool) -> Any:
    import transformers
    from transformers.models.auto import modeling_auto

    loader, table = HEADS[head]
    known = config.model_type in getattr(modeling_auto, table)
    if not known and not (trust_remote_code and hasattr(config, "auto_map")):
        raise ModelError(
            f"{source.name} ({config.model_type}) has no {head} that transformers knows; use another model"
        )
    return getattr(transformers, loader)
