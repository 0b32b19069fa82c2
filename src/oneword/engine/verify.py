"""The gate for architectures that the parity suite does not cover: checked at load against a plain forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from oneword.engine.encoder import PromptEncoder
from oneword.engine.forward import Forward, LayerReader
from oneword.engine.options import EngineOptions
from oneword.engine.tokens import PromptTokenizer, Span
from oneword.errors import ModelError
from oneword.method import Pooling
from oneword.models.backbone import Backbone
from oneword.prompt import Prompt

_TEXTS = ["A", "It rained for a week, and then the river came over the road to the mill."]
_PROMPT = Prompt('This sentence : "{text}" means in one word:"', name="prompteol")


def check_engine(backbone: Backbone, layers: Sequence[int], options: EngineOptions) -> EngineOptions:
    """Which of the engine's ideas this model allows: no packing, and perhaps a shared prefix; needs all its blocks.

    Two texts of different length go through the engine in one batch, with and without the shared prefix, and each alone
    through the plain model with all its hidden states. Of models that look both ways all states are compared, by their
    mean, and there is no prefix to share.

    Returns:
        The options, without those that do not agree.

    Raises:
        ModelError: neither agrees, so oneword would give wrong vectors.
    """
    pooling: Pooling = "last_token" if backbone.causal else "mean"
    tokenizer = PromptTokenizer(backbone.tokenizer, _PROMPT, "none", backbone.window, pooling, backbone.causal)
    rows = tokenizer.encode(_TEXTS)
    try:
        expected = torch.stack([_plain_states(backbone, row, span, layers) for row, span in zip(rows.ids, rows.spans)])
    except Exception as error:  # a model may want anything besides tokens
        raise ModelError(
            f"{backbone.name} ({backbone.model_type}) cannot be used: it does not run on tokens alone "
            f"({type(error).__name__}: {error}); use a language model".replace("\n", " ")
        ) from None
    reader = LayerReader(backbone, layers, pooling)
    reasons = []
    for share_prefix in (True, False) if options.shared_prefix and backbone.causal and max(layers) > 0 else (False,):
        tried = replace(options, packing=False, shared_prefix=share_prefix)
        encoder = PromptEncoder(tokenizer, Forward(backbone, tried), reader)
        try:
            found = encoder.encode(encoder.rows(_TEXTS), token_budget=4096)
        except Exception as error:  # a model may refuse a foreign cache in any way it likes
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
            continue
        cosine = torch.cosine_similarity(found, expected, dim=-1).min().item()
        if cosine >= (0.9999 if _is_float32(backbone) else 0.995):
            return tried
        reasons.append(f"cosine {cosine:.4f}")
    raise ModelError(
        f"{backbone.name} ({backbone.model_type}) cannot be used: its states in a batch differ from those of a plain "
        f"forward pass ({'; '.join(reasons)}); use a decoder LLM, or an encoder such as BERT"
    )


@torch.inference_mode()
def _plain_states(backbone: Backbone, row: Sequence[int], span: Span, layers: Sequence[int]) -> torch.Tensor:
    ids = torch.tensor([row], device=backbone.device)
    hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
    return torch.stack([hidden[layer][0, slice(*span)].float().mean(dim=0).cpu() for layer in layers])


def _is_float32(backbone: Backbone) -> bool:
    return all(parameter.dtype == torch.float32 for parameter in backbone.model.parameters())
