"""Prompts that count differently: against a mean written out number by number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from oneword import Embedder, Method, Prompt
from oneword.engine.cost import blocks_run
from oneword.engine.encoder import PromptEncoder
from oneword.errors import MethodError
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.sweeps import by_meta_tasks
from oneword.prompting.method_file import format_methods, write_method_file
from oneword.registry import find_method, parse_presets

TEXTS = ["It rained all night.", "Is it late?", "Go", "The river took the mill with it", "Is it late?"]
PROMPTS = [
    Prompt('One: "{text}" in one word:"', name="one"),
    Prompt('Other: "{text}" in a word:"', name="other"),
    Prompt('This "{text}" means:"', name="third"),
]
WEIGHTS = [0.5, 2.0, 0.25]
OPTIONS = {
    "plain": {},
    "steered": {"steering": {"layer": 2, "norm": "recover"}},
    "demonstrated": {"demonstrations": [("A cat sat", "cat")]},
    "several layers": {"layer": [1, 3, 5]},
}


@pytest.fixture(scope="module")
def embedder(tiny_model):
    return Embedder(tiny_model("llama"), dtype="float32", device="cpu")


@pytest.fixture
def asked(monkeypatch):
    """How often each prompt is asked."""
    seen: Counter[str] = Counter()
    rows = PromptEncoder.rows

    def counted(self, texts):
        seen[str(self._tokenizer.prefix)] += 1
        return rows(self, texts)

    monkeypatch.setattr(PromptEncoder, "rows", counted)
    return seen


def mine(weights=(), combine="mean", prompts=PROMPTS):
    return Method("mine", prompts, combine=combine, weights=weights)


def naive(answers: list[np.ndarray], weights: list[float], combine: str) -> np.ndarray:
    """Each number of a mean on its own; of a concatenation each prompt times its weight, of a mean weight of 1."""
    if combine == "concat":
        mean = sum(weights) / len(weights)
        return np.concatenate([weight / mean * one for weight, one in zip(weights, answers)], axis=-1)
    found = np.zeros(answers[0].shape)
    for place in np.ndindex(found.shape):
        found[place] = sum(weight * float(one[place]) for weight, one in zip(weights, answers)) / sum(weights)
    return found


@pytest.mark.parametrize("combine", ["mean", "concat"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_weights_are_those_of_a_mean_written_out(embedder, tmp_path, options, combine):
    alone = [embedder.with_method(mine(prompts=[prompt]), **options).encode(TEXTS) for prompt in PROMPTS]
    weighted = embedder.with_method(mine(WEIGHTS, combine), **options)
    expected = naive(alone, WEIGHTS, combine)
    found = weighted.encode(TEXTS)
    assert found.shape[-1] == weighted.dimension
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found - embedder.with_method(mine((), combine), **options).encode(TEXTS)).max() > 1e-2
    stored = AnswerStore(tmp_path).vectors(weighted, TEXTS)
    np.testing.assert_array_equal(stored, weighted.compute(TEXTS).numpy())


def test_an_encoder_has_weights_too(tiny_model):
    prompts = ["{text}", "He said: {text}"]
    whole = Method("two", prompts, pooling="mean", weights=[1.0, 3.0])
    model = Embedder(tiny_model("bert"), method=whole, dtype="float32", device="cpu")
    alone = [model.with_method(Method("one", [prompt], pooling="mean")).encode(TEXTS) for prompt in prompts]
    assert model.encode(TEXTS) == pytest.approx(naive(alone, [1.0, 3.0], "mean"), abs=1e-5)


def test_many_steerings_at_once_have_the_weights(embedder):
    weighted = embedder.with_method(mine(WEIGHTS), steering={"layer": 2})
    grid = weighted.compute_grid(TEXTS, [weighted.method.steering])
    np.testing.assert_allclose(grid[1, :, 0], weighted.encode(TEXTS), rtol=1e-4, atol=1e-4)


def test_equal_weights_are_none_and_only_ratios_matter(embedder):
    plain = embedder.with_method(mine())
    equal = embedder.with_method(mine([0.3, 0.3, 0.3]))
    assert equal.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(equal.encode(TEXTS), plain.encode(TEXTS))
    assert mine([1, 2, 4]).digest == mine([4, 8, 16]).digest != mine([1, 2, 3]).digest
    assert mine([1e308, 1e308, 5e307]).shares == mine([1, 1, 0.5]).shares
    assert mine([2, 2, 2], "max") == mine((), "max")


@pytest.mark.parametrize("combine", ["mean", "concat"])
def test_a_prompt_of_weight_0_is_not_asked(embedder, asked, combine):
    weighted = embedder.with_method(mine([3, 0, 3], combine))
    found = weighted.encode(TEXTS)
    assert len(asked) == 2
    assert not any("Other" in prefix for prefix in asked)
    without = embedder.with_method(mine((), combine, [PROMPTS[0], PROMPTS[2]]))
    assert weighted.fingerprint == without.fingerprint
    assert weighted.dimension == without.dimension
    np.testing.assert_array_equal(found, without.encode(TEXTS))
    assert blocks_run(weighted.method, 5) == blocks_run(without.method, 5)
    names = [[tokens.prompt for tokens in row] for row in weighted.top_tokens(TEXTS[:1], k=2)]
    assert names == [["one", "third"]]


def test_weights_are_given_to_an_embedder_and_taken_back(embedder, tiny_model):
    own = mine(WEIGHTS)
    expected = embedder.with_method(own)
    given = Embedder(tiny_model("llama"), method=mine(), weights=WEIGHTS, dtype="float32", device="cpu")
    assert given.fingerprint == embedder.with_method(mine(), weights=np.array(WEIGHTS)).fingerprint
    assert given.fingerprint == expected.fingerprint
    assert embedder.with_method(own, weights=()).fingerprint == embedder.with_method(mine()).fingerprint


@pytest.mark.parametrize(
    ("weights", "combine", "message"),
    [
        ([1, 2], "mean", r"3 prompts, but 2 weights"),
        ([1, -2, 1], "mean", r"weight -2 is not a number from 0 up"),
        ([1, float("nan"), 1], "concat", r"weight nan is not"),
        ([1, float("inf"), 1], "mean", r"weight inf is not"),
        ([1, True, 2], "mean", r"weight True is not"),
        (["1", 2, 3], "mean", r"weight '1' is not"),
        ([0, 0, 0], "mean", r"all weights are 0; leave them out for a plain mean"),
        ("1,2,3", "mean", r"must be a list of numbers"),
        (2.0, "mean", r"must be a list of numbers"),
        ([1, 2, 3], "max", r"combine max takes no weights"),
    ],
)
def test_weights_that_are_none_are_refused(embedder, weights, combine, message):
    with pytest.raises(MethodError, match=message) as told:
        mine(weights, combine)
    assert "\n" not in str(told.value)
    with pytest.raises(MethodError, match=message):
        embedder.with_method(mine((), combine), weights=weights)


def test_weights_are_checked_before_a_model_is_looked_for():
    with pytest.raises(MethodError, match=r"8 prompts, but 1 weights"):
        Embedder("no-such-model", method="metaeol", weights=[1.0])


def test_a_method_file_keeps_weights(tmp_path):
    method = mine([0.5, 2, 0])
    write_method_file(tmp_path / "mine.toml", [method])
    assert find_method(tmp_path / "mine.toml") == method
    assert "weights" not in format_methods([mine()])
    broken = format_methods([method]).replace("2.0,", "-2.0,")
    with pytest.raises(MethodError, match=r"mine.toml, \[methods.mine\]: method 'mine': weight -2.0 is not"):
        parse_presets(broken, "mine.toml", {})


def test_the_methods_command_shows_them(folder, oneword):
    write_method_file(folder / "mine.toml", [mine([0.5, 2, 0])])
    shown, _ = oneword("methods", "mine.toml")
    assert "weights:     0.5, 2, 0\n" in shown
    assert all(f"[{name}]" in shown for name in ("one", "other"))
    assert "[third]" not in shown
    assert "weights:" not in oneword("methods", "metaeol")[0]


def test_what_compares_equal_prompts_refuses_weights(folder, oneword):
    write_method_file(folder / "mine.toml", [mine(WEIGHTS)])
    with pytest.raises(MethodError, match=r"has weights"):
        by_meta_tasks(mine(WEIGHTS))
    (folder / "senteval").mkdir()
    _, told = oneword("eval", "prompts", "--data", "senteval", "--method", "mine.toml", code=2)
    assert "has weights" in told


def test_bench_refuses_weights(folder, oneword, tiny_model):
    write_method_file(folder / "mine.toml", [mine(WEIGHTS)])
    _, told = oneword("bench", "--model", tiny_model("llama"), "--method", "mine.toml", code=2)
    assert "plain means" in told
