"""Every architecture that oneword vouches for, every published method: the engine equals the naive computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from oneword import Embedder, Method
from oneword.engine.verify import VERIFIED
from oneword.models.source import find_source
from oneword.registry import presets
from parity.oracle import Oracle
from tiny_models import SLIDING, VERIFIED_MODELS

TEXTS = [
    "Rain",
    "The river came over the road in the night and took the mill, three sheep, a bridge that my father had built, and "
    "most of what we had stored for the winter, so that in the morning nobody knew where the field ended and where "
    "the water began, nor whom to ask",
    "It is late.",
    "Is it late?",
    'He said "go", and then "stop"',
    "They call it 'home'",
    " spaces at both ends ",
    "...and then what?!",
    '"Why not?" she asked',
    "7 of 9 were late",
    "cafe\u0301 \U0001f469\u200d\U0001f680 日本語 שלום",
    "line one\nline two\n\n\tline three",
    "Rain",
]
BACKWARDS = list(range(len(TEXTS)))[::-1]

# Nothing is cleaned, so that quotes and questions reach the model; one prompt begins with the text, one is the text
UNCLEANED = Method(
    "uncleaned",
    ['Asked about "{text}" I say:"', '{text} - in one word: "', "{text}", "  The word for {text} is  "],
    combine="concat",
    cleaning="none",
)
METHODS = {**presets().methods, "uncleaned": UNCLEANED}
# One of each kind: a prompt, two prompts, eight prompts in each combination, no cleaning
KINDS = ["prompteol", "ck", "metaeol", "metaeol_concat", "metaeol_max", "uncleaned"]

# bfloat16 keeps 8 bits, and the states pass through sums of them in every block; against the float32 oracle
BFLOAT16_TINY = 0.995
BFLOAT16_DEFAULT = 0.999


@pytest.fixture(scope="module")
def oracle_of(tiny_model: Callable[[str], Path]) -> Callable[[str], Oracle]:
    oracles: dict[str, Oracle] = {}

    def oracle(name: str) -> Oracle:
        if name not in oracles:
            oracles[name] = Oracle(tiny_model(name))
        return oracles[name]

    return oracle


@pytest.fixture(scope="module")
def default_oracle() -> Callable[[torch.dtype], Oracle]:
    oracles: dict[torch.dtype, Oracle] = {}

    def oracle(dtype: torch.dtype) -> Oracle:
        if dtype not in oracles:
            oracles[dtype] = Oracle(find_source(None, dtype).folder)
        return oracles[dtype]

    return oracle


def layers_of(oracle: Oracle) -> list[int]:
    """First, last and between; the last only where it is as wide as the others, as a list must be (not in OPT-350M)."""
    depth = oracle.depth()
    layers = [0, 1, depth // 2, -2, -1]
    states = oracle.states([1, 2, 3])
    return layers if states[-1].shape == states[0].shape else layers[:-1]


def embedder(folder: Path | None, method: str, layer: int | list[int], dtype: str = "float32") -> Embedder:
    return Embedder(folder, method=METHODS[method], layer=layer, dtype=dtype, device="cpu")


def assert_same(found: np.ndarray, expected: np.ndarray, what: str, relative: float = 1e-4) -> None:
    """Cosine and largest difference, text by text, as float32 allows."""
    assert found.shape == expected.shape, what
    assert found.dtype == np.float32, what
    worst = (np.abs(found - expected).max(axis=-1) / np.linalg.norm(expected, axis=-1)).max()
    assert worst < relative, f"{what}: differs by {worst:.1e} of the norm"
    assert cosines(found, expected).min() >= 0.99999, what


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return (found * expected).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(expected, axis=-1)


def check_layers(
    oracle: Oracle,
    folder: Path | None,
    method: str,
    layers: Sequence[int],
    texts: Sequence[str],
    runs: Sequence[tuple[int | None, Sequence[int]]],
) -> None:
    """All layers in one pass; each run has a batch size and an order of the texts."""
    model = embedder(folder, method, list(layers))
    expected = np.stack([oracle.vectors(METHODS[method], texts, layer) for layer in layers], axis=1)
    for batch_size, order in runs:
        found = model.encode([texts[index] for index in order], batch_size=batch_size)
        for place, layer in enumerate(layers):
            assert_same(found[:, place], expected[order, place], f"{method}, layer {layer}, batch size {batch_size}")


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_every_method_at_many_layers(name, tiny_model, oracle_of):
    oracle = oracle_of(name)
    for method in METHODS:
        runs = [(None, range(len(TEXTS))), (3, BACKWARDS)]
        check_layers(oracle, tiny_model(name), method, layers_of(oracle), TEXTS, runs)


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_each_layer_alone(name, tiny_model, oracle_of):
    # Only as many blocks are loaded as the layer needs, and the pass ends there
    oracle = oracle_of(name)
    for layer in layers_of(oracle):
        for method in KINDS:
            expected = oracle.vectors(METHODS[method], TEXTS, layer)
            model = embedder(tiny_model(name), method, layer)
            assert model.dimension == expected.shape[1]
            assert_same(model.encode(TEXTS), expected, f"{method}, layer {layer}")


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_one_text_a_batch(name, tiny_model, oracle_of):
    for method in ["prompteol", "metaeol", "uncleaned"]:
        oracle = oracle_of(name)
        check_layers(oracle, tiny_model(name), method, layers_of(oracle), TEXTS, [(1, BACKWARDS)])


@pytest.mark.xfail(strict=True, reason="the engine takes every layer to be hidden_size wide")
def test_last_layer_that_is_projected_to_another_width(tiny_model, oracle_of):
    oracle = oracle_of("opt_projected")
    expected = oracle.vectors(METHODS["ck"], TEXTS, -1)
    model = embedder(tiny_model("opt_projected"), "ck", -1)
    assert model.dimension == expected.shape[1] == 32
    assert_same(model.encode(TEXTS), expected, "projected")


@pytest.mark.parametrize("method", ["prompteol", "ck"])
def test_bfloat16(method, tiny_model, oracle_of):
    oracle = oracle_of("llama")
    layers = layers_of(oracle)
    found = embedder(tiny_model("llama"), method, layers, "bfloat16").encode(TEXTS)
    for place, layer in enumerate(layers):
        assert cosines(found[:, place], oracle.vectors(METHODS[method], TEXTS, layer)).min() >= BFLOAT16_TINY


def test_verified_is_what_is_covered_here():
    assert {tiny.config.model_type for tiny in VERIFIED_MODELS.values()} == VERIFIED


# The default model, on its own weights

DEFAULT_TEXTS = [TEXTS[0], "The river came over the road, and by noon we had lost the mill.", *TEXTS[3:5], TEXTS[10]]


def test_default_model(default_oracle):
    oracle = default_oracle(torch.float32)
    runs = [(None, range(len(DEFAULT_TEXTS))), (3, [4, 3, 2, 1, 0])]
    check_layers(oracle, None, "prompteol", layers_of(oracle), DEFAULT_TEXTS, runs)


@pytest.mark.slow
def test_default_model_with_every_method(default_oracle):
    oracle = default_oracle(torch.float32)
    for method in METHODS:
        check_layers(oracle, None, method, layers_of(oracle), DEFAULT_TEXTS, [(None, range(len(DEFAULT_TEXTS)))])


@pytest.mark.slow
def test_each_layer_of_the_default_model_alone(default_oracle):
    oracle = default_oracle(torch.float32)
    for layer in layers_of(oracle):
        for batch_size in [1, 3]:
            found = embedder(None, "ck", layer).encode(DEFAULT_TEXTS[::-1], batch_size=batch_size)
            expected = oracle.vectors(METHODS["ck"], DEFAULT_TEXTS[::-1], layer)
            assert_same(found, expected, f"layer {layer}, batch size {batch_size}")


@pytest.mark.slow
def test_default_model_in_bfloat16(default_oracle):
    oracle = default_oracle(torch.bfloat16)
    layers = layers_of(oracle)
    found = embedder(None, "ck", layers, "bfloat16").encode(DEFAULT_TEXTS)
    for place, layer in enumerate(layers):
        expected = oracle.vectors(METHODS["ck"], DEFAULT_TEXTS, layer)
        assert cosines(found[:, place], expected).min() >= BFLOAT16_DEFAULT


# What the sweep rests on: were the states all alike, or the seams never merged, it would prove little


@pytest.mark.parametrize("name", VERIFIED_MODELS)
def test_states_tell_texts_and_layers_apart(name, oracle_of):
    oracle = oracle_of(name)
    texts = list(dict.fromkeys(TEXTS))
    layers = [layer for layer in layers_of(oracle) if layer != 0]  # every prompt ends in the same token
    states = [oracle.vectors(METHODS["prompteol"], texts, layer) for layer in layers]
    for layer in states:
        assert largest_cosine(layer) < 0.995
    for text in range(len(texts)):
        assert largest_cosine(np.stack([layer[text] for layer in states])) < 0.995


def largest_cosine(vectors: np.ndarray) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return float((unit @ unit.T - 2 * np.eye(len(unit))).max())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_tokens_merge_across_the_seams(name, oracle_of):
    oracle = oracle_of(name)
    wording = METHODS["prompteol"].prompts[0].wording
    prefix, suffix = (oracle.tokenizer.tokenize(part) for part in wording.split("{text}"))
    rows = [oracle.tokenizer.convert_ids_to_tokens(oracle.tokens(wording, text, "one_word")) for text in TEXTS]
    assert any(row[-len(suffix) :] != suffix for row in rows)
    assert any(prefix != [token for token in row if token != "<s>"][: len(prefix)] for row in rows)
    for prompt in presets().prompts.values():
        assert len(oracle.tokenizer.tokenize(prompt.wording.split("{text}")[0])) >= SLIDING
