"""Tiny random models of many architectures, built in code and saved as folders that transformers can load.

Their weights are large, so that a wrong mask, position or norm changes the last token's state visibly; their prompts
are longer than their sliding windows. Same name, same bytes: everything is seeded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

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

# Of every architecture that oneword.engine.tiers.VERIFIED names
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

# The same with windows that hold every row, or only the short ones, and with capped scores: not all can be packed
WIDE_MODELS: dict[str, TinyModel] = {
    "mistral_wide": TinyModel(tf.MistralConfig, _decoder(sliding_window=WINDOW), tokenizer="pieces"),
    "mistral_between": TinyModel(tf.MistralConfig, _decoder(sliding_window=40), tokenizer="pieces"),
    "gemma3_text_wide": TinyModel(tf.Gemma3TextConfig, {**_GEMMA3, "sliding_window": WINDOW}, tokenizer="pieces"),
    "gemma3_capped": TinyModel(
        tf.Gemma3TextConfig,
        {**_GEMMA3, "sliding_window": WINDOW, "attn_logit_softcapping": 2.0},
        tokenizer="pieces",
    ),
    "gemma3_wide": TinyModel(
        tf.Gemma3Config,
        {
            **VERIFIED_MODELS["gemma3"].options,
            "text_config": {**_GEMMA3, "sliding_window": WINDOW},
        },
        head=tf.Gemma3ForConditionalGeneration,
        tokenizer="pieces",
    ),
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
_ROBERTA = {**_BERT, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
_T5 = {"d_model": 48, "d_ff": 64, "d_kv": 12, "num_layers": 4, "num_decoder_layers": 2, "num_heads": 4}
_T5 |= {"eos_token_id": 1, "decoder_start_token_id": 0}
ENCODERS: dict[str, TinyModel] = {
    "bert": TinyModel(tf.BertConfig, _BERT, head=tf.BertModel, tokenizer="words"),
    "bert_masked_lm": TinyModel(tf.BertConfig, _BERT, head=tf.BertForMaskedLM, tokenizer="words"),
    "roberta": TinyModel(tf.RobertaConfig, _ROBERTA, head=tf.RobertaModel, tokenizer="bytes_masked"),
    "roberta_masked_lm": TinyModel(tf.RobertaConfig, _ROBERTA, head=tf.RobertaForMaskedLM, tokenizer="bytes_masked"),
    "mpnet": TinyModel(tf.MPNetConfig, _ROBERTA, head=tf.MPNetForMaskedLM, tokenizer="bytes_masked"),
    "distilbert": TinyModel(
        tf.DistilBertConfig,
        {"dim": 48, "n_layers": 4, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": WINDOW},
        head=tf.DistilBertForMaskedLM,
        tokenizer="words",
    ),
    "modernbert": TinyModel(
        tf.ModernBertConfig,
        {**_BERT, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8, "global_attn_every_n_layers": 2},
        head=tf.ModernBertForMaskedLM,
        tokenizer="words",
    ),
    "t5": TinyModel(tf.T5Config, _T5, head=tf.T5ForConditionalGeneration, tokenizer="pieces_t5"),
    "t5_encoder": TinyModel(tf.T5Config, _T5, head=tf.T5EncoderModel, tokenizer="pieces_t5"),
    "t5gemma": TinyModel(
        tf.T5GemmaConfig,
        {
            "encoder": _decoder(num_hidden_layers=4, head_dim=16, sliding_window=SLIDING),
            "decoder": _decoder(num_hidden_layers=2, head_dim=16, sliding_window=SLIDING),
        },
        head=tf.T5GemmaForConditionalGeneration,
        tokenizer="pieces",
    ),
    "bart": TinyModel(
        tf.BartConfig,
        {
            "d_model": 48,
            "encoder_layers": 4,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": WINDOW,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
        head=tf.BartForConditionalGeneration,
        tokenizer="bytes_masked",
    ),
}

TINY_MODELS = {
    **VERIFIED_MODELS,
    **WIDE_MODELS,
    **SPECIAL_MODELS,
    **VARIANTS,
    **BIDIRECTIONAL,
    **OTHER_DECODERS,
    **ENCODERS,
}


def build_tiny_model(name: str, folder: Path) -> Path:
    """Save the tiny model of that name, head and tokenizer included, into ``folder``; returns the folder."""
    tiny = TINY_MODELS[name]
    tokenizer = TOKENIZERS[tiny.tokenizer]()
    sizes = {"vocab_size": tokenizer.get_vocab_size()}
    options = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **sizes, **tiny.options}
    for part in {"text_config", "encoder", "decoder"}.intersection(options):
        options[part] = {**options[part], **sizes, "bos_token_id": 1, "eos_token_id": 2}
    if "text_config" in options:
        del options["vocab_size"]
    config = tiny.config(**options)
    torch.manual_seed(zlib.crc32(name.encode()))
    model = tiny.head(config) if tiny.head else tf.AutoModelForCausalLM.from_config(config)
    _randomize(model, tiny.std)
    model.save_pretrained(folder)
    specials = SPECIALS.get(tiny.tokenizer, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"})
    tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials).save_pretrained(folder)
    return folder


def _randomize(model: torch.nn.Module, std: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter) * std
            # Vectors are biases (0) and norms (0 or 1): they are moved from where they are
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)


def byte_level(specials: Sequence[str] = ("<unk>", "<s>", "</s>")) -> Tokenizer:
    """Like GPT-2's: byte-level BPE, nothing added before or after the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return tokenizer


def byte_level_masked() -> Tokenizer:
    """Like RoBERTa's: byte-level BPE in <s> and </s>, and a mask that takes the space before it."""
    tokenizer = byte_level(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def word_pieces() -> Tokenizer:
    """Like BERT's: lower case, WordPiece, [CLS] before and [SEP] after the text."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = {word for text in _corpus() for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *[f"##{character}" for character in characters]]
    known += sorted(words.difference(known))  # no trainer: the one for WordPiece numbers tokens by chance
    tokenizer = Tokenizer(models.WordPiece({token: index for index, token in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(known[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def pieces(specials: Sequence[str] = ("<unk>", "<s>", "</s>"), template: str = "<s> $A") -> Tokenizer:
    """Like Llama 2's: SentencePiece's spaces, unknown characters as bytes, a BOS before the text."""
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    learned.train_from_iterator(_corpus(), trainers.BpeTrainer(vocab_size=VOCABULARY - 259, show_progress=False))
    model = json.loads(learned.to_str())["model"]
    ranked = sorted(model["vocab"], key=model["vocab"].get)
    vocabulary = [*specials, *[f"<0x{byte:02X}>" for byte in range(256)], *ranked]
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
    tokenizer.add_special_tokens(list(specials))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, specials.index(token)) for token in specials]
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": byte_level,
    "pieces": pieces,
    "pieces_eos": lambda: pieces(template="<s> $A </s>"),
    "words": word_pieces,
    "bytes_masked": byte_level_masked,
    "pieces_t5": lambda: pieces(["<pad>", "</s>", "<unk>"], "$A </s>"),
}

# What a tokenizer calls its special tokens, where that is not <unk>, <s> and </s>
SPECIALS: dict[str, dict[str, Any]] = {
    "words": {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    },
    "bytes_masked": {
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "mask_token": AddedToken("<mask>", lstrip=True, special=True),
    },
    "pieces_t5": {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
}


def _corpus() -> list[str]:
    wordings = [prompt.wording for prompt in presets().prompts.values()]
    return [wording.replace("{text}", sentence) for wording in wordings for sentence in _SENTENCES]
