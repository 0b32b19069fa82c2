"""Every architecture that oneword vouches for, every published method: the engine equals the naive computation."""

from __future__ import annotations

import numpy as np
import pytest

from oneword.engine.tiers import VERIFIED
from oneword.errors import ModelError
from oneword.registry import presets
from parity.compare import (
    DECODER_METHODS,
    KINDS,
    METHODS,
    TEXTS,
    assert_same,
    check_layers,
    cosines,
    embedder,
    largest_cosine,
    layers_of,
    runs_of,
)
from tiny_models import SLIDING, VARIANTS, VERIFIED_MODELS, build_tiny_model

UNSTEERED = [name for name in DECODER_METHODS if METHODS[name].steering is None]  # the others: test_steered_states.py
FORWARDS, BACKWARDS = runs_of(TEXTS)
ONE_BY_ONE = (1, BACKWARDS[1])


def methods_of(name):
    """Those that every architecture is tried with, and its share of the others, of which most differ in wording."""
    turn, others = list(VERIFIED_MODELS).index(name), [method for method in UNSTEERED if method not in KINDS]
    return KINDS + [method for rank, method in enumerate(others) if (rank + turn) % 4 == 0]


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_every_method_at_many_layers(name, tiny_model, oracle_of):
    for method in methods_of(name):
        runs = [FORWARDS, BACKWARDS] if method in KINDS else [BACKWARDS]
        check_layers(oracle_of(name), tiny_model(name), method, runs)


@pytest.mark.parametrize("method", UNSTEERED)
def test_every_method_is_tried_with_three_architectures(method):
    tried = {tiny.config.model_type for name, tiny in VERIFIED_MODELS.items() if method in methods_of(name)}
    assert len(tried) >= 3


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_each_layer_alone(name, tiny_model, oracle_of):
    # Only as many blocks are loaded as the layer needs, and the pass ends there
    oracle = oracle_of(name)
    for layer in layers_of(oracle):
        for method in ["prompteol", "uncleaned"]:
            expected = oracle.vectors(METHODS[method], TEXTS, layer)
            model = embedder(tiny_model(name), method, layer)
            assert model.dimension == expected.shape[1]
            assert_same(model.encode(TEXTS), expected, f"{method}, layer {layer}")


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_one_text_a_batch(name, tiny_model, oracle_of):
    for method in ["prompteol", "uncleaned"]:
        check_layers(oracle_of(name), tiny_model(name), method, [ONE_BY_ONE])


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_change_masks_and_positions(name, tiny_model, oracle_of):
    for method in ["prompteol", "metaeol_concat"]:
        check_layers(oracle_of(name), tiny_model(name), method, [FORWARDS, BACKWARDS])


@pytest.mark.parametrize("batch_size", [None, 1])
def test_rotation_that_depends_on_the_length_of_the_row(batch_size, tiny_model, oracle_of):
    oracle, folder = oracle_of("phi3_longrope"), tiny_model("phi3_longrope")
    for method in ["prompteol", "metaeol_concat"]:  # rows on both sides of the limit; prefixes beyond it
        check_layers(oracle, folder, method, [(batch_size, FORWARDS[1])])


def test_last_layer_that_is_projected_to_another_width(tiny_model, oracle_of):
    expected = oracle_of("opt_projected").vectors(METHODS["ck"], TEXTS, -1)
    model = embedder(tiny_model("opt_projected"), "ck", -1)
    assert model.dimension == expected.shape[1] == 32
    assert_same(model.encode(TEXTS), expected, "projected")
    with pytest.raises(ModelError, match="different sizes"):
        embedder(tiny_model("opt_projected"), "ck", [0, -1])


@pytest.mark.parametrize("method", ["prompteol", "ck"])
def test_bfloat16(method, tiny_model, oracle_of):
    oracle = oracle_of("llama_calm")
    layers = layers_of(oracle)
    found = embedder(tiny_model("llama_calm"), method, layers, "bfloat16").encode(TEXTS)
    for place, layer in enumerate(layers):
        expected = oracle.vectors(METHODS[method], TEXTS, layer)
        assert cosines(found[:, place], expected).min() >= 0.995  # of every sum 8 bits are kept; against float32


def test_verified_is_what_is_covered_here():
    assert {tiny.config.model_type for tiny in VERIFIED_MODELS.values()} == VERIFIED


# What the sweep rests on: were the states all alike, or the seams never merged, it would prove little


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_states_tell_texts_and_layers_apart(name, oracle_of):
    oracle = oracle_of(name)
    texts = list(dict.fromkeys(TEXTS))
    states = [oracle.vectors(METHODS["prompteol"], texts, layer) for layer in layers_of(oracle)]
    # Only the last: all prompts end in the same tokens, and a narrow window lets the first blocks see no others
    assert largest_cosine(states[-1]) < 0.9995
    for text in range(len(texts)):
        assert largest_cosine(np.stack([layer[text] for layer in states])) < 0.9995


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_tokens_merge_across_the_seams(name, oracle_of):
    oracle = oracle_of(name)
    (prompt,) = METHODS["prompteol"].prompts
    prefix, suffix = (oracle.tokenizer.tokenize(part) for part in prompt.wording.split("{text}"))
    rows = [oracle.tokenizer.convert_ids_to_tokens(oracle.tokens(prompt.wording, text, "one_word")) for text in TEXTS]
    rows = [[token for token in row if token != "<s>"] for row in rows]
    assert any(row[: len(prefix)] != prefix for row in rows)
    assert any(row[-len(suffix) :] != suffix for row in rows)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_tiny_models_are_the_same_every_time(name, tiny_model, tmp_path):
    again = build_tiny_model(name, tmp_path / name)
    for file in ["model.safetensors", "tokenizer.json", "config.json"]:
        assert (again / file).read_bytes() == (tiny_model(name) / file).read_bytes()


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_windows_are_shorter_than_prefixes(name, oracle_of):
    prompts = [prompt for prompt in presets().prompts.values() if prompt.prefix]
    assert len(prompts) == len(presets().prompts) - 1  # the bare text has none
    for prompt in prompts:
        assert len(oracle_of(name).tokenizer.tokenize(prompt.prefix)) >= SLIDING
