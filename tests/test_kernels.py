"""Attention of packed rows: each kernel against attention written out token by token, in float64."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

import plain_varlen
from oneword.engine import kernels
from oneword.engine.kernels import attend_by_flash, attend_by_matmul, attend_by_varlen, kernel_for
from oneword.engine.packed import PackedRows

CPU = torch.device("cpu")
SIZE = 16


def written_out(query, key, value, prefix, lengths, scale):
    """One token and one head at a time."""
    heads, shared = query.shape[1], query.shape[1] // key.shape[1]
    answers, start = torch.zeros(query.shape, dtype=torch.float64), 0
    for length in lengths:
        for token in range(length):
            for head in range(heads):
                keys, values = (states[start : start + token + 1, head // shared] for states in (key, value))
                if prefix is not None:
                    keys = torch.cat([prefix[0][head // shared], keys])
                    values = torch.cat([prefix[1][head // shared], values])
                scores = (keys.double() @ query[start + token, head].double()) * scale
                answers[start + token, head] = scores.softmax(0) @ values.double()
        start += length
    return answers


def states(lengths, heads, groups, before, dtype=torch.float32):
    """Query, key, value and prefix of a batch."""
    random = torch.Generator().manual_seed(heads + before)
    tokens = sum(lengths)
    query, key, value = (
        torch.randn(tokens, count, SIZE, generator=random).to(dtype) for count in (heads, groups, groups)
    )
    prefix = tuple(torch.randn(groups, before, SIZE, generator=random).to(dtype) for _ in range(2)) if before else None
    return query, key, value, prefix


@pytest.fixture
def varlen(monkeypatch):
    """Stands in for CUDA's kernel."""
    module = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(module, "varlen_attn", plain_varlen.varlen_attn)
    monkeypatch.setattr(module, "AuxRequest", plain_varlen.AuxRequest)


KERNELS = [attend_by_matmul, attend_by_flash, attend_by_varlen]
BATCHES = [([5], 1, 1), ([7, 7, 7], 4, 4), ([9, 6, 6, 1], 6, 2), ([130, 3], 3, 1)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("before", [0, 1, 11])
@pytest.mark.parametrize(("lengths", "heads", "groups"), BATCHES)
def test_equals_attention_written_out(lengths, heads, groups, before, kernel, varlen):
    query, key, value, prefix = states(lengths, heads, groups, before)
    rows = PackedRows(lengths, before, CPU)
    found = kernel(query, key, value, prefix, rows, 0.3)
    assert found.shape == query.shape
    assert (found - written_out(query, key, value, prefix, lengths, 0.3)).abs().max() < 1e-5


@pytest.mark.parametrize("kernel", KERNELS)
def test_in_bfloat16(kernel, varlen):
    lengths = [9, 6, 6, 1]
    query, key, value, prefix = states(lengths, 6, 2, 11, torch.bfloat16)
    found = kernel(query, key, value, prefix, PackedRows(lengths, 11, CPU), 0.3)
    assert found.dtype == torch.bfloat16
    assert (found - written_out(query, key, value, prefix, lengths, 0.3)).abs().max() < 0.03  # 8 bits of about 2


@pytest.mark.parametrize("before", [0, 11])
@pytest.mark.parametrize(("lengths", "heads", "groups"), BATCHES)
def test_last_tokens_alone(lengths, heads, groups, before):
    query, key, value, prefix = states(lengths, heads, groups, before)
    last = torch.tensor(lengths).cumsum(0) - 1
    rows = PackedRows(lengths, before, CPU)
    found = attend_by_matmul(query[last], key, value, prefix, rows, 0.3, last_only=True)
    assert (found - written_out(query, key, value, prefix, lengths, 0.3)[last]).abs().max() < 1e-5


def test_varlen_takes_log_sum_exps_in_either_shape(varlen, monkeypatch):
    from torch.nn.attention import varlen as module

    lengths = [9, 6, 6, 1]
    query, key, value, prefix = states(lengths, 6, 2, 11)
    rows = PackedRows(lengths, 11, CPU)
    expected = attend_by_varlen(query, key, value, prefix, rows, 0.3)

    def documented(*args, **options):
        seen, weights = plain_varlen.varlen_attn(*args, **options)
        return seen, weights.T

    monkeypatch.setattr(module, "varlen_attn", documented)
    assert (attend_by_varlen(query, key, value, prefix, rows, 0.3) - expected).abs().max() < 1e-6


def test_padding_is_repeated_and_taken_off_again():
    rows = PackedRows([3, 1, 2], 10, CPU)
    tokens = torch.arange(6.0)[:, None, None]
    padded = rows.padded(tokens)
    assert padded[..., 0, 0].tolist() == [[0, 1, 2], [3, 3, 3], [4, 5, 5]]
    assert rows.unpadded(padded).tolist() == tokens.tolist()
    assert rows.positions.tolist() == [[10, 11, 12, 10, 10, 11]]
    assert rows.starts == [0, 3, 4]
    assert rows.bounds.tolist() == [0, 3, 4, 6]


def test_which_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "_has_varlen", lambda device: True)

    class Query(NamedTuple):
        device: torch.device
        dtype: torch.dtype
        shape: tuple[int, ...] = (10, 4, 64)

    gpu = torch.device("cuda")
    assert kernel_for(Query(CPU, torch.bfloat16), 20) is attend_by_matmul
    assert kernel_for(Query(CPU, torch.bfloat16), 2000) is attend_by_flash
    assert kernel_for(Query(gpu, torch.bfloat16), 20) is attend_by_varlen
    assert kernel_for(Query(gpu, torch.float32), 20) is attend_by_matmul
    assert kernel_for(Query(gpu, torch.bfloat16, (10, 4, 512)), 20) is attend_by_matmul
    monkeypatch.setattr(kernels, "_has_varlen", lambda device: False)
    assert kernel_for(Query(gpu, torch.bfloat16), 20) is attend_by_matmul


def test_long_rows_are_padded_where_no_kernel_is_fused(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(kernels, "_has_varlen", lambda device: True)
    assert kernels.longest_packed(gpu, torch.bfloat16) is None
    assert kernels.longest_packed(gpu, torch.float32) == 96
    assert kernels.longest_packed(CPU, torch.float32) is None
    assert kernels.longest_packed(torch.device("mps"), torch.float16) == 96
    monkeypatch.setattr(kernels, "_has_varlen", lambda device: False)
    assert kernels.longest_packed(gpu, torch.bfloat16) == 96
