"""Architectures that the parity sweep does not cover: the gate lets through what is right, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oneword.engine import forward
from oneword.engine.options import EVERYTHING
from oneword.engine.prefix import PrefixCache
from oneword.engine.tiers import VERIFIED
from oneword.engine.verify import check_engine
from oneword.errors import ModelError
from oneword.models.backbone import depth_of, load_backbone, read_config
from oneword.models.source import find_source
from parity.compare import METHODS, TEXTS, assert_same, embedder, layers_of
from tiny_models import BIDIRECTIONAL, ENCODERS, OTHER_DECODERS

# Attention that transformers writes the usual way must not be refused; of the others only the vectors are promised
SHARE_A_PREFIX = ["gemma", "gpt_neo", "gpt_oss", "stablelm", "starcoder2"]
RECURRENT = ["mamba", "qwen3_next"]


def shares_a_prefix(folder, *more_layers):
    """What the gate says of a model read at its last layer, and at more."""
    source = find_source(folder, torch.float32)
    config = read_config(source, False)
    depth = depth_of(config, source)
    backbone = load_backbone(source, config, blocks=depth, dtype=torch.float32, device=torch.device("cpu"))
    return check_engine(backbone, [*more_layers, depth], EVERYTHING).shared_prefix


@pytest.mark.parametrize("name", OTHER_DECODERS)
def test_vectors_are_right_or_refused(name, tiny_model, oracle_of):
    oracle = oracle_of(name)
    for layers in [layers_of(oracle), [-1]]:
        refusal = ""
        try:
            model = embedder(tiny_model(name), "ck", layers)
        except ModelError as error:
            refusal = str(error)
        if refusal:
            assert name not in SHARE_A_PREFIX
            assert name in refusal
            continue
        expected = np.stack([oracle.vectors(METHODS["ck"], TEXTS, layer) for layer in layers], axis=1)
        for batch_size in [None, 1, 3]:
            found = model.encode(TEXTS, batch_size=batch_size)
            for place, layer in enumerate(layers):
                assert_same(found[:, place], expected[:, place], f"layer {layer}, batch size {batch_size}")


@pytest.mark.parametrize("name", OTHER_DECODERS)
def test_the_gate_is_for_what_is_not_verified(name):
    assert OTHER_DECODERS[name].config.model_type not in VERIFIED


@pytest.mark.parametrize("name", SHARE_A_PREFIX)
def test_plain_attention_shares_a_prefix(name, tiny_model):
    assert shares_a_prefix(tiny_model(name), 0, 1, 3) is True


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_blocks_compute_every_row_in_full(name, tiny_model):
    assert shares_a_prefix(tiny_model(name)) is False


@pytest.mark.parametrize("name", [*ENCODERS, *BIDIRECTIONAL])
def test_models_that_look_both_ways_share_no_prefix(name, tiny_model):
    assert shares_a_prefix(tiny_model(name), 0, 1) is False


# The gate itself must be seen to close


def forgetful(keys_and_values):
    """A prefix cache that has lost the values of one block."""
    (keys, values), *others = keys_and_values
    return PrefixCache([(keys, torch.zeros_like(values)), *others])


def test_a_prefix_that_goes_wrong_is_not_shared(tiny_model, monkeypatch):
    monkeypatch.setattr(forward, "PrefixCache", forgetful)
    assert shares_a_prefix(tiny_model("stablelm")) is False


def test_a_row_that_is_read_wrong_is_refused(tiny_model, monkeypatch):
    monkeypatch.setattr(forward.Pool, "__call__", lambda pool, states: states[:, -1])  # padding, in the shorter row
    with pytest.raises(ModelError, match=r"stablelm.*differ from those of a plain forward pass"):
        embedder(tiny_model("stablelm"), "prompteol", -1)


@pytest.mark.parametrize("name", ["bert", "t5", "llama_bidirectional"])
def test_padding_that_is_attended_to_is_refused(name, tiny_model, monkeypatch):
    def without_a_mask(self, rows, past, cache):
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows])
        return self._backbone.model(input_ids=ids)[0]

    monkeypatch.setattr(forward.Forward, "_run", without_a_mask)
    with pytest.raises(ModelError, match=f"{name}.*differ from those of a plain forward pass"):
        embedder(tiny_model(name), "average", -1)
