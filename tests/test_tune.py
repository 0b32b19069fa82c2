"""Tuning: every setting's score is that of the method so steered, and what is best can be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from oneword import Embedder, Steering
from oneword.errors import ModelError
from oneword.evaluation.sentence_pairs import SentencePairs, read_pairs
from oneword.evaluation.tuning import Tuned, make_grid, paper_blocks, tune
from oneword.registry import find_method
from senteval_data import write_sts

LAYERS = [1, 2, 3, 4, 5]
Command = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sts(tmp_path_factory.mktemp("senteval"), pairs=14)


@pytest.fixture
def pairs(data: Path) -> SentencePairs:
    return read_pairs(data, "STSB-dev")


@pytest.fixture
def command(oneword: Command, tiny_model: Callable[[str], Path], data: Path, folder: Path) -> Command:
    options = ["--data", data, "--model", tiny_model("llama"), "--dtype", "float32", "--device", "cpu", "-q"]
    return lambda *arguments, code=0: oneword(*arguments, *options, code=code)


def plain(model: Path, method: str = "ck") -> Embedder:
    return Embedder(model, method=method, layer=LAYERS, dtype="float32", device="cpu")


def spearman(vectors: np.ndarray, gold: Sequence[float]) -> float:
    first, second = np.split(vectors, 2)
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return 100 * float(spearmanr(np.round(cosines, 6), gold).statistic)


def tuned_on(embedder: Embedder, pairs: SentencePairs, grid: Sequence[Steering], chunks: Path) -> Tuned:
    return tune(embedder, 5, pairs, grid, chunks)


def test_the_paper_s_blocks_are_scaled_to_the_depth():
    assert paper_blocks(32) == [3, 4, 5, 6, 7]
    assert paper_blocks(80) == [8, 10, 12, 15, 18]
    assert paper_blocks(4) == [1]


def test_a_grid_is_every_block_with_every_scale_and_norm_recovering():
    grid = make_grid(find_method("prompteol"), [3, 4], [0.5, 2.0])
    assert [(one.layer, one.norm, one.scale) for one in grid if one.norm == "scale"] == [
        (3, "scale", 0.5),
        (3, "scale", 2.0),
        (4, "scale", 0.5),
        (4, "scale", 2.0),
    ]
    assert [one.layer for one in grid if one.norm == "recover"] == [3, 4]


def test_a_grid_has_the_auxiliary_prompt_of_the_method_s_own_steering():
    method = find_method("prompteol").changed({"auxiliary_prompt": "Noise : {text}"})
    assert {one.auxiliary_prompt.wording for one in make_grid(method, [3], [1.0])} == {"Noise : {text}"}


def test_many_steerings_at_once_are_those_one_by_one(tiny_model):
    embedder = plain(tiny_model("llama"))
    texts = ["a cat sits", "the old man plays the guitar in the street", "a dog runs"]
    grid = make_grid(embedder.method, [2], [0.5, 3.0])
    vectors = embedder.compute_grid(texts, grid).numpy()
    assert vectors[0] == pytest.approx(embedder.encode(texts), abs=1e-4)
    for steering, found in zip(grid, vectors[1:]):
        one = embedder.with_method("ck", layer=LAYERS, steering=steering)
        assert found == pytest.approx(one.encode(texts), abs=1e-4)


def test_every_setting_is_scored_as_the_method_so_steered(tiny_model, pairs, tmp_path):
    embedder = plain(tiny_model("llama"))
    grid = make_grid(embedder.method, [1, 3], [2.0])
    tuned = tuned_on(embedder, pairs, grid, tmp_path / "chunks")
    assert len(tuned.settings) == 5 + 2 * 5 + 2 * 3  # layers below the steered block are left out
    texts = [*pairs.first, *pairs.second]
    for setting in tuned.settings[::4]:
        one = embedder.with_method("ck", layer=setting.layer, steering=setting.steering)
        assert setting.score == pytest.approx(spearman(one.encode(texts), pairs.gold), abs=1.0)
    scores = [setting.score for setting in tuned.settings]
    assert scores == sorted(scores, reverse=True)
    assert tuned.best is tuned.settings[0]
    assert (tuned.before.steering, tuned.before.layer) == (None, 5)
    assert tuned.plain.score == max(one.score for one in tuned.settings if one.steering is None)
    assert tuned.steered.score == max(one.score for one in tuned.settings if one.steering is not None)


def test_a_run_that_was_stopped_goes_on_from_its_finished_chunks(tiny_model, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("oneword.evaluation.tuning._CHUNK_BYTES", 1)  # four pairs a chunk
    embedder = plain(tiny_model("llama"), "prompteol")
    grid = make_grid(embedder.method, [2], [1.0])
    whole = tuned_on(embedder, pairs, grid, tmp_path / "whole")
    compute, asked = Embedder.compute_grid, []

    def stopped(self: Embedder, texts: Sequence[str], steerings: Sequence[Steering]) -> object:
        asked.append(list(texts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return compute(self, texts, steerings)

    monkeypatch.setattr(Embedder, "compute_grid", stopped)
    with pytest.raises(KeyboardInterrupt):
        tuned_on(embedder, pairs, grid, tmp_path / "chunks")
    again = tuned_on(embedder, pairs, grid, tmp_path / "chunks")
    assert len(asked) == 3 + 2  # four chunks: two finished, the third twice
    assert [one.score for one in again.settings] == [one.score for one in whole.settings]


def test_the_best_setting_is_a_method_that_other_commands_take(command, folder):
    shown, _ = command("tune", "--method", "prompteol", "--blocks", "1,2", "--scales", "1,4", "-o", "tuned.toml")
    assert "confirm it on a test set" in shown
    kept = json.loads(next((folder / "results").rglob("tune-STSB-dev.json")).read_text())
    best = kept["settings"][0]
    scored = json.loads(command("eval", "sts", "--tasks", "STSB-dev", "--method", "tuned.toml", "--json")[0])["rows"][0]
    assert scored["method"] == "prompteol_tuned"
    assert scored["layer"] == best["layer"]
    assert scored["average"] == pytest.approx(best["score"], abs=1.0)
    again, _ = command("tune", "--method", "tuned.toml", "--blocks", "1", "--scales", "1", "-o", "again.toml")
    assert again.rstrip().endswith("--method tuned.toml --method again.toml")
    assert not (folder / "results/vectors").exists() or not any((folder / "results/vectors").iterdir())


def test_without_an_output_the_method_file_lies_beside_the_scores(command, folder):
    fields = json.loads(command("tune", "--blocks", "2", "--scales", "1", "--json")[0])
    assert Path(fields["written"]).is_file()
    assert Path(fields["written"]).with_suffix(".json").is_file()
    assert fields["plain"]["intervals"]["difference"] is not None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--pairs", "20", "--name", "mine"], "--pairs, --name: only with --preset"),
        (["--steer", "layer=3"], "--steer takes only position and auxiliary_prompt"),
        (["--layer", "all"], "one --layer at a time"),
        (["--blocks", "9"], "out of range"),
        (["--scales", "x"], "'x' is no number"),
        (["--on", "STS99"], "unknown STS task 'STS99'"),
        (["-o", "tuned.txt"], "must end in .toml"),
        (["--method", "average"], "average"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_written(command, folder, arguments, reason):
    _, error = command("tune", *arguments, code=2)
    assert reason in error
    assert not any(folder.iterdir())


def test_an_encoder_cannot_be_tuned(oneword, tiny_model, data, folder):
    arguments = ["--model", tiny_model("bert"), "--data", data, "--method", "average"]
    assert "cannot be steered" in oneword("tune", *arguments, code=2)[1]


def test_a_model_that_answers_the_same_to_every_text_cannot_be_tuned(tiny_model, pairs, tmp_path, monkeypatch):
    embedder = plain(tiny_model("llama"), "prompteol")
    grid = make_grid(embedder.method, [2], [1.0])
    compute = Embedder.compute_grid
    monkeypatch.setattr(Embedder, "compute_grid", lambda *arguments: 0 * compute(*arguments) + 1)
    with pytest.raises(ModelError, match="nothing can be tuned"):
        tuned_on(embedder, pairs, grid, tmp_path)
