"""How the engine runs each architecture, as users are told; and models that are spread over several devices."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from oneword.engine.tiers import PACKED, PADDED
from oneword.errors import InputError
from oneword.models.backbone import depth_of, load_backbone, read_config
from oneword.models.device import resolve_device
from oneword.models.source import find_source
from parity.compare import TEXTS, assert_same, embedder


def test_every_architecture_is_listed_with_a_reason(oneword):
    shown, _ = oneword("models", "--engine")
    listed = json.loads(oneword("models", "--engine", "--json")[0])
    rows = {tier["architecture"]: tier["rows"] for tier in listed}
    assert {name for name, kind in rows.items() if kind == "packed"} == PACKED
    assert {name for name, kind in rows.items() if kind == "padded"} == set(PADDED)
    assert rows["other decoders"] == rows["encoders"] == "checked"
    for tier in listed:
        assert tier["why"]
        assert tier["architecture"] in shown


def test_what_is_spread_gives_the_same_vectors(tiny_model):
    folder = tiny_model("llama")
    whole = embedder(folder, "ck_cp", 3)
    source = find_source(folder, torch.float32)
    config = read_config(source, False)
    options = {"blocks": depth_of(config, source), "dtype": torch.float32, "device": torch.device("cpu")}
    expected = whole.encode(TEXTS)
    whole.loaded = replace(whole.loaded, backbone=load_backbone(source, config, spread=True, **options))
    assert_same(whole.with_method("ck_cp", layer=3).encode(TEXTS), expected, "spread")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_all_gpus_need_one():
    with pytest.raises(InputError, match="device 'all' is not available here"):
        resolve_device("all")
