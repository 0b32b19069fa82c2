"""Packed rows: every architecture that has them, each of the engine's ideas on and off, and what is computed."""

from __future__ import annotations

import gc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import pytest
import torch

import plain_varlen
from oneword import Embedder
from oneword.engine import forward, packed
from oneword.engine.forward import Forward
from oneword.engine.kernels import attend_by_varlen
from oneword.engine.options import EVERYTHING, EngineOptions
from oneword.engine.tiers import PACKED, PADDED
from oneword.errors import ModelError
from parity.compare import METHODS, TEXTS, assert_same, check_layers, cosines, embedder, layers_of, runs_of
from tiny_models import TINY_MODELS, VERIFIED_MODELS, WIDE_MODELS

FORWARDS, BACKWARDS = runs_of(TEXTS)
NOT_PACKED = ["mistral", "gemma3", "gemma3_text", "gemma2", "qwen2_sliding", "phi3_sliding"]
NOT_PACKED += ["mistral_between", "gemma3_capped"]
PACKED_MODELS = [name for name in [*VERIFIED_MODELS, *WIDE_MODELS] if name not in NOT_PACKED]
# Longer than the rows that plain matrix products serve
LONG = ["Nobody knew where the field ended, or why the mill had stood so near the river. " * 6, *TEXTS[:4]]
IDEAS = [field.name for field in fields(EngineOptions)]


@pytest.fixture
def never_padded(monkeypatch):
    """Any pass of padded rows fails, but for the prefixes."""

    def read_padded(*args):
        raise AssertionError("padded")

    monkeypatch.setattr(Forward, "_read_padded", read_padded)


def test_every_packed_architecture_is_tried():
    assert {TINY_MODELS[name].config.model_type for name in PACKED_MODELS} == PACKED
    assert not PACKED & PADDED.keys()


@pytest.mark.parametrize("name", PACKED_MODELS)
def test_all_rows_are_packed_and_equal_the_oracle(name, tiny_model, oracle_of, never_padded):
    check_layers(oracle_of(name), tiny_model(name), "uncleaned", [FORWARDS, BACKWARDS])
    check_layers(oracle_of(name), tiny_model(name), "ck", [(None, range(len(LONG)))], LONG)


@pytest.mark.parametrize("name", PACKED_MODELS)
def test_the_same_rows_padded_equal_the_oracle(name, tiny_model, oracle_of, monkeypatch):
    monkeypatch.setattr(Forward, "_read_packed", lambda *args: 1 / 0)
    oracle, layers = oracle_of(name), layers_of(oracle_of(name))
    options = {"layer": layers, "dtype": "float32", "device": "cpu", "engine": replace(EVERYTHING, packing=False)}
    for method in [METHODS["uncleaned"], METHODS["ck_cp"]]:
        if method.steering is not None and layers[-1] != -1:
            continue  # not all layers are of one size
        layers = [layer for layer in layers if layer in (2, -2, -1)] if method.steering else layers
        found = Embedder(tiny_model(name), method=method, **{**options, "layer": layers}).encode(TEXTS)
        for place, layer in enumerate(layers):
            assert_same(found[:, place], oracle.vectors(method, TEXTS, layer), f"{method.name}, layer {layer}")


def test_long_rows_without_a_fused_kernel(tiny_model, oracle_of, monkeypatch):
    monkeypatch.setattr(forward, "longest_packed", lambda device, dtype: 20)
    check_layers(oracle_of("llama"), tiny_model("llama"), "ck", [(None, range(len(LONG)))], LONG)


@pytest.mark.parametrize("name", WIDE_MODELS)
def test_what_only_some_rows_or_configurations_allow(name, tiny_model, oracle_of):
    check_layers(oracle_of(name), tiny_model(name), "ck", [(None, range(len(LONG)))], LONG)


@pytest.mark.parametrize("name", ["gemma2", "gemma3_capped", "mistral", "mistral_between"])
def test_what_cannot_be_packed_is_not(name, tiny_model, never_padded):
    with pytest.raises((AssertionError, ModelError), match="padded"):
        embedder(tiny_model(name), "ck").encode(TEXTS)


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "phi3"])
def test_the_path_of_a_gpu_with_its_kernel_written_plainly(name, tiny_model, oracle_of, never_padded, monkeypatch):
    module = pytest.importorskip("torch.nn.attention.varlen")
    for part in ["varlen_attn", "AuxRequest"]:
        monkeypatch.setattr(module, part, getattr(plain_varlen, part))
    monkeypatch.setattr(packed, "kernel_for", lambda query, longest: attend_by_varlen)
    check_layers(oracle_of(name), tiny_model(name), "uncleaned", [FORWARDS, BACKWARDS])
    check_layers(oracle_of(name), tiny_model(name), METHODS["ck_cp"], [(None, range(len(LONG)))], LONG, [2, -1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("packing", [True, False])
def test_number_formats(packing, dtype, tiny_model, oracle_of):
    oracle, engine = oracle_of("llama_calm"), replace(EVERYTHING, packing=packing)
    layers = layers_of(oracle)
    model = Embedder(tiny_model("llama_calm"), method="ck", layer=layers, dtype=dtype, device="cpu", engine=engine)
    found = model.encode(LONG)
    for place, layer in enumerate(layers):
        expected = oracle.vectors(METHODS["ck"], LONG, layer)
        assert cosines(found[:, place], expected).min() >= (0.995 if dtype == "bfloat16" else 0.9999)


# Each idea changes what is computed, and not the vectors


def computed(folder, engine, method="ck_cp", layer=3):
    """The vectors of a model in which tokens are counted, block by block, where their MLP has them."""
    steering = {"layer": 2} if METHODS[method].steering else None
    model = Embedder(
        folder, method=method, layer=layer, steering=steering, dtype="float32", device="cpu", engine=engine
    )
    tokens = Counter()
    for number, block in enumerate(model._backbone.blocks, 1):

        def count(module, args, number=number):
            tokens[number] += args[0].shape[:-1].numel()

        block.mlp.register_forward_pre_hook(count)
    work = model.work(LONG)
    return model.encode(LONG), tokens, work


@pytest.mark.parametrize("idea", IDEAS)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_without_an_idea_the_vectors_are_the_same(name, idea, tiny_model):
    expected, tokens, _ = computed(tiny_model(name), EVERYTHING)
    found, more_tokens, _ = computed(tiny_model(name), replace(EVERYTHING, **{idea: False}))
    assert_same(found, expected, f"without {idea}")
    same = {"fused_attention", "laid_out_weights"}  # other kernels, and bfloat16 alone
    assert (more_tokens == tokens) == (idea in same)
    assert more_tokens.total() >= tokens.total()


@pytest.mark.parametrize("method", ["prompteol", "metaeol", "ck_cp", "echo"])
@pytest.mark.parametrize("idea", ["", "last_rows_only", "shared_prefix"])
def test_blocks_and_tokens_are_those_of_the_cost_model(idea, method, tiny_model):
    engine = replace(EVERYTHING, **{idea: False}) if idea else EVERYTHING
    _, tokens, work = computed(tiny_model("llama"), engine, method)
    assert tokens.total() == sum(prompt.block_tokens for prompt in work)


def test_the_last_block_goes_on_with_the_last_tokens_alone(tiny_model):
    _, tokens, (work,) = computed(tiny_model("llama"), EVERYTHING, "prompteol")
    assert tokens[1] == tokens[2] == work.tokens
    assert tokens[3] == len(LONG) + work.prefix


def test_memory_does_not_grow_from_batch_to_batch(tiny_model):
    model = embedder(tiny_model("llama"), "prompteol", [2, 3])
    texts = [f"{word} {number}" for number in range(12) for word in ("rain", "snow", "hail", "sleet", "fog")]
    model.compute(texts, batch_size=1)  # the prefix and the masks are kept from then on
    alive = {}

    def count(done):
        alive["batches"] = alive.get("batches", 0) + done
        if alive["batches"] in (10, 60):
            gc.collect()
            alive[alive["batches"]] = sum(type(thing) is torch.Tensor for thing in gc.get_objects())

    model.compute(texts, batch_size=1, on_texts=count)
    assert alive[60] <= alive[10]  # of a batch nothing stays


def test_two_methods_of_one_model_at_once(tiny_model):
    first = embedder(tiny_model("llama"), "ck", 3)
    second = first.with_method(METHODS["ck_cp"], layer=2)
    expected = first.encode(LONG), second.encode(LONG)
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(model.encode, LONG) for _ in range(6) for model in (first, second)]
        for place, answer in enumerate(answers):
            assert_same(answer.result(), expected[place % 2], "at once")


def test_a_failed_pass_leaves_the_model_as_it_was(tiny_model, monkeypatch):
    model = embedder(tiny_model("llama"), "prompteol", 3)
    before, expected = model._backbone.model.config._attn_implementation, model.encode(TEXTS)
    mlp = model._backbone.blocks[1].mlp
    monkeypatch.setattr(mlp, "forward", lambda states: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.encode(TEXTS)
    monkeypatch.undo()
    assert model._backbone.model.config._attn_implementation == before
    assert_same(model.encode(TEXTS), expected, "after a failure")
