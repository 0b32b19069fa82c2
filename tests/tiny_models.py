"""Tiny random models of many architectures, built in code and saved as folders that transformers can load.

Their weights are large, so that a wrong mask, position or norm changes the last token's state visibly; their prompts
are longer than their sliding windows. Same name, same bytes: everything is seeded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from oneword.registry import presets

VOCABULARY = 900
WINDOW = 1024
SLIDING = 4  # shorter than the prefix of any published prompt

# Sentences that, inside prompts, teach the tokenizers merges across the seams: `."`, `'s`, ` "The`
_SENTENCES = [
    "The cat sat on the mat.",
    "A man is playing a guitar.",
    "It's a lovely day, isn't it.",
    "He said 'no' and left the room.",
    "They bought 3 tickets for 25 pounds!",
    "the film was not as good as I had hoped",
    "Two dogs run across the field; one of them barks.",
    "She asked: 'where is the station.'",
    "'Why not.' she said to him.",
]


@dataclass(frozen=True)
class TinyModel:
    """One tiny model.

    Args:
        config: the class of its configuration.
        options: what the configuration is given besides the vocabulary.
        head: the class that is saved; None asks AutoModelForCausalLM.
        tokenizer: a key of TOKENIZERS.
        std: spread of the random weights.
    """

    config: Any
    options: dict[str, Any] = field(default_factory=dict)
    head: Any = None
    tokenizer: str = "bytes"
    std: float = 0.25


def _decoder(**options: Any) -> dict[str, Any]:
    """The fields that most configurations of the Llama kind share."""
    return {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": WINDOW,
        **options,
    }


_GPT2 = {"n_embd": 48, "n_layer": 5, "n_head": 4, "n_positions": WINDOW}
_OPT = {
    "hidden_size": 48,
    "ffn_dim": 64,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "max_position_embeddings": WINDOW,
}
_GEMMA3 = _decoder(
    head_dim=16,
    query_pre_attn_scalar=16,
    sliding_window=SLIDING,
    num_hidden_layers=6,
    layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
)

# Of every architecture that oneword.engine.verify.VERIFIED names
VERIFIED_MODELS: dict[str, TinyModel] = {
    "llama": TinyModel(tf.LlamaConfig, _decoder(), tokenizer="pieces"),
    "llama_eos": TinyModel(tf.LlamaConfig, _decoder(num_hidden_layers=4), tokenizer="pieces_eos"),
    "mistral": TinyModel(tf.MistralConfig, _decoder(sliding_window=SLIDING), tokenizer="pieces"),
    "qwen2": TinyModel(tf.Qwen2Config, _decoder(num_hidden_layers=4)),
    "qwen2_sliding": TinyModel(
        tf.Qwen2Config, _decoder(use_sliding_window=True, sliding_window=SLIDING, max_window_layers=2)
    ),
    "qwen3": TinyModel(tf.Qwen3Config, _decoder(head_dim=16)),
    "gemma2": TinyModel(
        tf.Gemma2Config,
        _decoder(
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=SLIDING,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=5.0,
        ),
        tokenizer="pieces",
    ),
    "gemma3_text": TinyModel(tf.Gemma3TextConfig, _GEMMA3, tokenizer="pieces"),
    "gemma3": TinyModel(
        tf.Gemma3Config,
        {
            "text_config": _GEMMA3,
            # As many blocks as the text model has, so that only the right ones give the right states
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 32,
                "num_hidden_layers": 6,
                "num_attention_heads": 2,
                "image_size": 16,
                "patch_size": 8,
            },
            "mm_tokens_per_image": 4,
        },
        head=tf.Gemma3ForConditionalGeneration,
        tokenizer="pieces",
    ),
    "phi3": TinyModel(tf.Phi3Config, _decoder(num_hidden_layers=4, pad_token_id=None), tokenizer="pieces"),
    "phi3_sliding": TinyModel(tf.Phi3Config, _decoder(sliding_window=SLIDING, pad_token_id=None), tokenizer="pieces"),
    "gpt2": TinyModel(tf.GPT2Config, _GPT2),
    "opt": TinyModel(tf.OPTConfig, {**_OPT, "do_layer_norm_before": True}),
    "opt_projected": TinyModel(tf.OPTConfig, {**_OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 32}),
    "gpt_neox": TinyModel(tf.GPTNeoXConfig, _decoder()),
    "olmo2": TinyModel(tf.Olmo2Config, _decoder(num_hidden_layers=4)),
    "smollm3": TinyModel(tf.SmolLM3Config, _decoder(no_rope_layers=[1, 0, 1, 0, 1], pad_token_id=None)),
}

# Not part of the parity sweep: weights small enough for bfloat16, windows so small that texts are cut, and so on
SPECIAL_MODELS: dict[str, TinyModel] = {
    "llama_calm": TinyModel(tf.LlamaConfig, _decoder(), tokenizer="pieces", std=0.12),
    "llama_window": TinyModel(
        tf.LlamaConfig, _decoder(num_hidden_layers=2, max_position_embeddings=128), tokenizer="pieces"
    ),
    "llama_window_eos": TinyModel(
        tf.LlamaConfig, _decoder(num_hidden_layers=2, max_position_embeddings=128), tokenizer="pieces_eos"
    ),
    "gpt2_window": TinyModel(tf.GPT2Config, {**_GPT2, "n_layer": 2, "n_positions": 128}),
    # Rows of more than 64 tokens are rotated in another way
    "phi3_longrope": TinyModel(
        tf.Phi3Config,
        _decoder(
            pad_token_id=None,
            original_max_position_embeddings=64,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 6,
                "long_factor": [4.0] * 6,
                "original_max_position_embeddings": 64,
            },
        ),
        tokenizer="pieces",
    ),
}

# Architectures that the parity sweep does not cover: the gate looks at them when they are loaded
OTHER_DECODERS: dict[str, TinyModel] = {
    "gemma": TinyModel(tf.GemmaConfig, _decoder(head_dim=16), tokenizer="pieces"),
    "starcoder2": TinyModel(tf.Starcoder2Config, _decoder(sliding_window=SLIDING)),
    "stablelm": TinyModel(tf.StableLmConfig, _decoder(partial_rotary_factor=0.5)),
    "gpt_neo": TinyModel(
        tf.GPTNeoConfig,
        {
            "hidden_size": 48,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": SLIDING,
            "max_position_embeddings": WINDOW,
        },
    ),
    "gptj": TinyModel(tf.GPTJConfig, {**_GPT2, "rotary_dim": 8}),
    "bloom": TinyModel(tf.BloomConfig, {"hidden_size": 48, "n_layer": 4, "n_head": 4}),
    "mpt": TinyModel(tf.MptConfig, {"d_model": 48, "n_layers": 4, "n_heads": 4, "max_seq_len": WINDOW}),
    "falcon": TinyModel(
        tf.FalconConfig,
        {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": WINDOW},
    ),
    "falcon_alibi": TinyModel(
        tf.FalconConfig,
        {
            "hidden_size": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "alibi": True,
            "multi_query": False,
            "max_position_embeddings": WINDOW,
        },
    ),
    "mamba": TinyModel(tf.MambaConfig, {"hidden_size": 48, "num_hidden_layers": 4, "state_size": 8}),
    "qwen3_next": TinyModel(
        tf.Qwen3NextConfig,
        _decoder(
            num_hidden_layers=4,
            head_dim=16,
            layer_types=["linear_attention", "full_attention"] * 2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            num_experts=0,
            mlp_only_layers=[0, 1, 2, 3],
        ),
    ),
    "gpt_oss": TinyModel(
        tf.GptOssConfig,
        _decoder(num_hidden_layers=4, head_dim=16, sliding_window=SLIDING, num_local_experts=2, num_experts_per_tok=1),
    ),
}

# Settings of verified architectures that change masks, positions or norms
VARIANTS: dict[str, TinyModel] = {
    "llama_one_block": TinyModel(tf.LlamaConfig, _decoder(num_hidden_layers=1), tokenizer="pieces"),
    "llama_rope_llama3": TinyModel(
        tf.LlamaConfig,
        _decoder(
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        ),
    ),
    "llama_rope_dynamic": TinyModel(
        tf.LlamaConfig, _decoder(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0})
    ),
    "qwen3_rope_yarn": TinyModel(
        tf.Qwen3Config,
        _decoder(
            head_dim=16,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        ),
    ),
    "mistral_full": TinyModel(tf.MistralConfig, _decoder(sliding_window=None), tokenizer="pieces"),
    "qwen3_sliding": TinyModel(
        tf.Qwen3Config, _decoder(head_dim=16, use_sliding_window=True, sliding_window=SLIDING, max_window_layers=2)
    ),
    "smollm3_sliding": TinyModel(
        tf.SmolLM3Config,
        _decoder(no_rope_layers=[1, 0, 1, 0, 1], use_sliding_window=True, sliding_window=SLIDING, pad_token_id=None),
    ),
    "gpt2_scaled": TinyModel(
        tf.GPT2Config, {**_GPT2, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}
    ),
    "gpt_neox_sequential": TinyModel(tf.GPTNeoXConfig, _decoder(use_parallel_residual=False)),
    "opt_post_norm": TinyModel(tf.OPTConfig, {**_OPT, "do_layer_norm_before": False, "enable_bias": False}),
}

# Verified architectures told to look both ways, as some embedding models are
BIDIRECTIONAL: dict[str, TinyModel] = {
    "gemma3_text_bidirectional": TinyModel(
        tf.Gemma3TextConfig, {**_GEMMA3, "use_bidirectional_attention": True}, tokenizer="pieces"
    ),
    "llama_bidirectional": TinyModel(tf.LlamaConfig, _decoder(is_causal=False), tokenizer="pieces"),
}

_BERT = {
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": WINDOW,
}
ENCODERS: dict[str, TinyModel] = {
    "bert": TinyModel(tf.BertConfig, _BERT, head=tf.BertModel),
    "bert_masked_lm": TinyModel(tf.BertConfig, _BERT, head=tf.BertForMaskedLM),
    "roberta": TinyModel(tf.RobertaConfig, _BERT, head=tf.RobertaModel),
    "t5": TinyModel(
        tf.T5Config,
        {"d_model": 48, "d_ff": 64, "d_kv": 12, "num_layers": 4, "num_heads": 4},
        head=tf.T5ForConditionalGeneration,
        tokenizer="pieces",
    ),
}

TINY_MODELS = {**VERIFIED_MODELS, **SPECIAL_MODELS, **VARIANTS, **BIDIRECTIONAL, **OTHER_DECODERS, **ENCODERS}


def build_tiny_model(name: str, folder: Path) -> Path:
    """Save the tiny model of that name, head and tokenizer included, into ``folder``; returns the folder."""
    tiny = TINY_MODELS[name]
    tokenizer = TOKENIZERS[tiny.tokenizer]()
    sizes = {"vocab_size": tokenizer.get_vocab_size()}
    options = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **tiny.options}
    if "text_config" in options:
        options["text_config"] = {**options["text_config"], **sizes, "bos_token_id": 1, "eos_token_id": 2}
    else:
        options |= sizes
    config = tiny.config(**options)
    torch.manual_seed(zlib.crc32(name.encode()))
    model = tiny.head(config) if tiny.head else tf.AutoModelForCausalLM.from_config(config)
    _randomize(model, tiny.std)
    model.save_pretrained(folder)
    tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


def _randomize(model: torch.nn.Module, std: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter) * std
            # Vectors are biases (0) and norms (0 or 1): they are moved from where they are
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)


def byte_level() -> Tokenizer:
    """Like GPT-2's: byte-level BPE, nothing added before or after the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return tokenizer


def pieces(eos: bool = False) -> Tokenizer:
    """Like Llama 2's: SentencePiece's spaces, unknown characters as bytes, a BOS before (and an EOS after) the text."""
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    learned.train_from_iterator(_corpus(), trainers.BpeTrainer(vocab_size=VOCABULARY - 259, show_progress=False))
    model = json.loads(learned.to_str())["model"]
    ranked = sorted(model["vocab"], key=model["vocab"].get)
    vocabulary = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)], *ranked]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(vocabulary)},
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if eos else "<s> $A", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": byte_level,
    "pieces": pieces,
    "pieces_eos": lambda: pieces(eos=True),
}


def _corpus() -> list[str]:
    wordings = [prompt.wording for prompt in presets().prompts.values()]
    return [wording.replace("{text}", sentence) for wording in wordings for sentence in _SENTENCES]
