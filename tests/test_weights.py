"""Weights laid out for a CPU's matrix kernels give what plain layers give, and only what is understood is replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from oneword import Embedder
from oneword.engine.options import EVERYTHING
from oneword.engine.weights import GatedMLP, LaidOutLinear, lay_out, lays_out
from parity.compare import TEXTS, cosines, embedder

pytestmark = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this processor has no bfloat16 kernels of oneDNN",
)


class MLP(nn.Module):
    """Gated, if ``combined`` is."""

    def __init__(self, activation, combined=lambda gate, up: gate * up, bias=False):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(32, 48, bias=bias, dtype=torch.bfloat16) for _ in range(2))
        self.down_proj = nn.Linear(48, 32, bias=bias, dtype=torch.bfloat16)
        self.act_fn, self.combined = activation, combined

    def forward(self, states):
        return self.down_proj(self.combined(self.act_fn(self.gate_proj(states)), self.up_proj(states)))


class Model:
    """As much of a backbone as is laid out."""

    def __init__(self, *blocks):
        self.blocks = nn.ModuleList(nn.ModuleDict({"mlp": block}) for block in blocks)
        self.model, self.device = self.blocks, torch.device("cpu")


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 7, 1500])
def test_a_linear_layer(tokens, bias):
    linear = nn.Linear(32, 48, bias=bias, dtype=torch.bfloat16)
    states = torch.randn(1, tokens, 32)
    with torch.inference_mode():
        found = LaidOutLinear(linear)(states.bfloat16())
        expected = nn.functional.linear(
            states.bfloat16().float(), linear.weight.float(), linear.bias.float() if bias else None
        )
    assert found.shape == expected.shape
    assert found.dtype == torch.bfloat16
    assert relative(found.float(), expected) < 0.004  # of every answer 8 bits are kept


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU(), nn.GELU(approximate="tanh")], ids=str)
def test_gated_mlps_are_recognized_by_what_they_compute(activation, bias):
    mlp = MLP(activation, bias=bias)
    states, model = torch.randn(2, 9, 32).bfloat16(), Model(mlp)
    with torch.inference_mode():
        expected = mlp(states).float()
        lay_out(model)
        replaced = model.blocks[0]["mlp"]
        assert isinstance(replaced, GatedMLP)
        assert relative(replaced(states).float(), expected) < 0.02


def test_activations_are_told_apart_however_small_the_weights_are():
    for activation, name in [
        (nn.SiLU(), ("swish", "")),
        (nn.GELU(), ("gelu", "none")),
        (nn.GELU(approximate="tanh"), ("gelu", "tanh")),
    ]:
        mlp = MLP(activation)
        for parameter in mlp.parameters():
            parameter.data *= 0.01
        model = Model(mlp)
        lay_out(model)
        replaced = model.blocks[0]["mlp"]
        assert (replaced._activation, replaced._variant) == name


@pytest.mark.parametrize(
    "mlp",
    [MLP(nn.ReLU()), MLP(nn.Tanh()), MLP(nn.SiLU(), lambda gate, up: gate * (up + 1)), MLP(nn.SiLU(), torch.add)],
    ids=["relu", "tanh", "shifted", "added"],
)
def test_others_keep_their_own_computation(mlp):
    states, model = torch.randn(2, 9, 32).bfloat16(), Model(mlp)
    with torch.inference_mode():
        expected = mlp(states).float()
        lay_out(model)
        assert model.blocks[0]["mlp"] is mlp
        assert isinstance(mlp.down_proj, LaidOutLinear)
        assert relative(mlp(states).float(), expected) < 0.02


@pytest.mark.parametrize("name", ["llama_calm", "qwen2", "gpt2", "gpt_neox", "gemma3_text_wide", "phi3"])
def test_vectors_stay_as_near_to_float32(name, tiny_model):
    exact = embedder(tiny_model(name), "ck", 1).encode(TEXTS)
    options = {"method": "ck", "layer": 1, "dtype": "bfloat16", "device": "cpu"}
    plain = Embedder(tiny_model(name), engine=without_layout(), **options)
    before = cosines(plain.encode(TEXTS), exact).min()
    lay_out(plain._backbone)
    assert cosines(plain.encode(TEXTS), exact).min() >= min(0.9995, before - 0.001)


def without_layout():
    return replace(EVERYTHING, laid_out_weights=False)


def test_only_bfloat16_on_a_cpu_is_laid_out(tiny_model):
    assert not lays_out(embedder(tiny_model("llama"), "prompteol")._backbone)
    model = embedder(tiny_model("llama"), "prompteol", dtype="bfloat16")
    laid_out = any(isinstance(module, LaidOutLinear) for module in model._backbone.model.modules())
    plain = Embedder(tiny_model("llama"), dtype="bfloat16", device="cpu", engine=without_layout())
    assert laid_out == lays_out(plain._backbone)
    assert not any(isinstance(module, LaidOutLinear) for module in plain._backbone.model.modules())
