"""`oneword tune --preset`: what it says a method scores is what that method scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from oneword import Embedder
from oneword.calibration import shelf
from oneword.evaluation import preset_search
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.preset_search import PresetSearch
from oneword.evaluation.sentence_pairs import read_pairs
from oneword.evaluation.tuning import make_grid
from oneword.registry import find_method
from senteval_data import write_sts

TASKS = ("STSB-train", "STSB-dev", "SICKR-train")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sts(tmp_path_factory.mktemp("senteval"), pairs=24)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(shelf, "cache_folder", lambda: tmp_path / "cache")
    chains = ((), ("standardize",), ({"remove_components": 3},))
    monkeypatch.setattr(preset_search, "CHAINS", chains)


def scored(embedder, tasks):
    """By the method alone, one task after the other."""
    found = []
    for task in tasks:
        first, second = (embedder.encode(list(side)).astype(np.float64) for side in (task.first, task.second))
        cosine = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        found.append(100 * spearmanr(cosine, task.gold).statistic)
    return found


@pytest.fixture
def searched(tiny_model, data, tmp_path):
    method = replace(find_method("metaeol"), prompts=find_method("metaeol").prompts[:3])
    embedder = Embedder(tiny_model("llama"), method=method, layer=[3, 5], dtype="float32", device="cpu")
    tasks = [read_pairs(data, task) for task in TASKS]
    return embedder, tasks, PresetSearch(embedder, tasks, AnswerStore(tmp_path / "store"))


def test_scores_are_those_of_the_methods(searched):
    embedder, tasks, search = searched
    found = search.unsteered()
    assert len(found) == 6  # layers and chains
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        method = one.method(embedder.method, "mine")
        np.testing.assert_allclose(scored(embedder.with_method(method), tasks), one.scores, atol=0.2)
    steerings = make_grid(embedder.method, [2, 4], [2.0])
    best = next(one for one in found if one.chain and one.layer == 3)
    steered = search.steered(best, steerings)
    assert {one.steering.layer for one in steered} == {2}  # layer 3 does not see block 4
    for one in steered:
        method = one.method(embedder.method, "mine")
        np.testing.assert_allclose(scored(embedder.with_method(method), tasks), one.scores, atol=0.2)
        np.testing.assert_allclose(search.rescored(one).scores, one.scores, atol=0.2)
    assert search.steered(best, steerings[2:]) == []


def test_prompts_are_added_as_long_as_they_help(searched):
    embedder, tasks, search = searched

    def score(one, prompts):
        method = replace(one, prompts=prompts).method(embedder.method, "mine")
        return np.mean(scored(embedder.with_method(method), tasks))

    for one in search.unsteered():
        chosen, rounding = one.prompts, 0.2  # batches differ
        for count in range(1, len(chosen)):
            assert score(one, chosen[: count + 1]) > score(one, chosen[:count]) + 0.05 - rounding
        for place in {0, 1, 2} - {*chosen}:
            assert score(one, (*chosen, place)) < one.score + 0.05 + rounding
            assert score(one, (place,)) <= score(one, chosen[:1]) + rounding  # the best stands first


def test_the_command_writes_a_method_that_scores_what_it_says(oneword, tiny_model, data, folder):
    options = ["--data", data, "--model", tiny_model("llama"), "--dtype", "float32", "-q"]
    shown = json.loads(oneword("tune", "--preset", *options, "--pairs", 20, "-o", "mine", "--json")[0])
    method = find_method("mine/")
    assert method.name == "oneword_tuned"
    embedder = Embedder(tiny_model("llama"), method="mine/", dtype="float32", device="cpu")
    tasks = []
    for task in (read_pairs(data, name) for name in TASKS):
        rows = [row * len(task) // 20 for row in range(20)]
        tasks.append(
            replace(
                task,
                first=[task.first[row] for row in rows],
                second=[task.second[row] for row in rows],
                gold=[task.gold[row] for row in rows],
            )
        )
    np.testing.assert_allclose(scored(embedder, tasks), list(shown["best"]["scores"].values()), atol=0.2)
    text = oneword("tune", "--preset", *options, "--allow-pickle", "--pairs", 20, "-o", "other")[0]
    for said in ("metaeol, proportional layer", "best uncalibrated", "chosen on this data"):
        assert said in text
    command = f"--model {tiny_model('llama')} --dtype float32 --allow-pickle --method prompteol --method other/"
    assert text.splitlines()[-1].startswith("oneword eval sts")
    assert text.splitlines()[-1].endswith(command)


def test_a_model_that_cannot_be_steered_is_told_before_the_search(oneword, tiny_model, data, folder, monkeypatch):
    monkeypatch.setattr(PresetSearch, "unsteered", lambda self: pytest.fail("searched"))
    options = ["--data", data, "--model", tiny_model("bert"), "--dtype", "float32", "-q", "-o", "mine"]
    assert "steer" in oneword("tune", "--preset", *options, code=2)[1]
    assert not (folder / "mine").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "needs --data, and -o"),
        (["--data", "DATA", "-o", "new", "--layer", "3"], "--layer: not with --preset; leave it out"),
        (["--data", "DATA", "-o", "new", "--method", "ck"], "--method: not with --preset"),
        (["--data", "DATA", "-o", "new", "--blocks", "2", "--on", "STSB-dev"], "--on, --blocks: not with --preset"),
        (["--data", "DATA", "-o", "new", "--precision", "int8"], "--precision: not with --preset"),
        (["--data", "DATA", "-o", "ck"], "ck is the name of a method that comes with oneword"),
        (["--data", "DATA", "-o", "DATA"], "holds more than a method"),
        (["--data", "empty", "-o", "new"], "STSB-train is missing"),
    ],
)
def test_what_is_wrong_is_told(oneword, data, folder, options, said):
    (folder / "empty").mkdir()
    given = [data if option == "DATA" else option for option in options]
    assert said in oneword("tune", "--preset", *given, code=2)[1]
