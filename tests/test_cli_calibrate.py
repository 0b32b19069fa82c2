"""`oneword calibrate`, and methods' folders wherever --method is taken."""

from __future__ import annotations

import json

import pytest

from oneword.registry import find_method
from oneword.shipped_pool import pool_digest, texts_digest
from senteval_data import write_sts


@pytest.fixture
def asked(tiny_model, folder):
    (folder / "corpus.txt").write_text(
        "".join(f"{word} number {row}\n" for row in range(30) for word in ("rain", "mill"))
    )
    return ["--model", tiny_model("llama"), "--dtype", "float32", "--on", "corpus.txt", "-o", "mine"]


def test_writes_a_folder_that_every_command_takes(asked, oneword, folder):
    shown, _ = oneword(
        "calibrate", *asked, "--method", "ck", "--steps", "standardize,remove_components=3", "--layer", "-2"
    )
    for form in ("uncalibrated", "calibrated", "int8", "binary", "nearest 10 as calibrated", "fitted on 60 texts"):
        assert form in shown
    assert sorted(one.name for one in (folder / "mine").iterdir()) == ["calibration.safetensors", "method.toml"]
    method = find_method("mine/")
    assert (method.name, method.layer) == ("mine", 4)  # -2 of five blocks
    assert str(method.calibration) == "standardize, remove_components=3"
    model = asked[:4]
    line = json.loads(oneword("embed", "some rain", *model, "--method", "mine/")[0])
    assert line["fingerprint"].startswith("mine-")
    assert "1.0000" in oneword("similarity", "rain", "rain", *model, "--method", "mine/")[0]
    told = "standardize, remove_components=3; fitted on each prompt's vectors of given texts"
    assert told in oneword("methods", "mine/")[0]
    assert json.loads(oneword("methods", "mine/", "--json")[0])["calibration"].startswith("standardize")


def test_dim_reduces_and_shows_the_loss(asked, oneword, folder):
    shown = json.loads(oneword("calibrate", *asked, "--dim", "16", "--json", "-q")[0])
    forms = {form["name"]: form for form in shown["forms"]}
    assert {name: (form["dimension"], form["size"]) for name, form in forms.items()} == {
        "uncalibrated": (48, 192),
        "calibrated": (48, 192),
        "reduced": (16, 64),
        "int8": (16, 16),
        "binary": (16, 2),
    }
    assert forms["calibrated"]["kept"] == 1
    assert forms["binary"]["kept"] < forms["int8"]["kept"] <= forms["reduced"]["kept"] + 0.05
    assert forms["calibrated"]["mean_cosine"] < forms["uncalibrated"]["mean_cosine"]
    assert shown["texts"] == 60
    line = json.loads(oneword("embed", "some rain", *asked[:4], "--method", "mine/")[0])
    assert line["fingerprint"] == shown["fingerprint"]


def test_takes_the_shipped_pool_and_rows_from_a_whole_file(asked, oneword, folder):
    on = asked.index("--on")
    oneword("calibrate", *asked[:on], "--steps", "center", "-o", "pool", "-q")
    assert find_method("pool").calibration.texts == pool_digest()
    assert "of the shipped pool" in oneword("methods", "pool/")[0]
    oneword("calibrate", *asked, "--steps", "center", "--limit", "6", "-q")
    lines = (folder / "corpus.txt").read_text().splitlines()
    assert find_method("mine").calibration.texts == texts_digest(lines[::10])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--steps", "standardise"], "unknown step 'standardise'"),
        (["--steps", "whiten=0"], "whole number from 1 up"),
        (["--steps", "whiten=48"], "needs at least 49 different texts, but there are 12"),
        (["--layer", "1,2"], "one --layer at a time"),
        (["--precision", "int8"], "--precision is for commands that give vectors"),
        (["-o", "missing/mine"], "there is no folder missing"),
        (["-o", "texts.txt"], "holds more than a method"),
        (["--on", "missing.txt"], "no file missing.txt"),
        (["--steps", "principal_components=49"], "give at most 48"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_left(asked, oneword, folder, options, said):
    (folder / "texts.txt").write_text("".join(f"text {row}\n" for row in range(12)))
    asked[asked.index("--on") + 1] = "texts.txt"
    _, shown = oneword("calibrate", *asked, *options, "-q", code=2)
    assert said in shown
    assert len(shown.splitlines()) == 1 or "Usage" in shown
    assert sorted(one.name for one in folder.iterdir()) == ["corpus.txt", "texts.txt"]


def test_does_not_replace_unasked(asked, oneword):
    oneword("calibrate", *asked, "--steps", "center", "-q")
    assert "--force" in oneword("calibrate", *asked, "-q", code=2)[1]
    oneword("calibrate", *asked, "--steps", "standardize", "-q", "--force")
    assert str(find_method("mine").calibration) == "standardize"


def test_commands_that_need_uncalibrated_methods_say_so(asked, oneword, folder):
    oneword("calibrate", *asked, "--method", "ck", "--steps", "center", "-q")
    write_sts(folder / "data")
    model = [*asked[:4], "--data", folder / "data", "--method", "mine/"]
    assert "is calibrated; tune it without that" in oneword("tune", *model, code=2)[1]
    assert "is calibrated, which subsets" in oneword("eval", "prompts", *model, "--tasks", "STSB", code=2)[1]
    assert "of its own prompts" in oneword("eval", "tasks", *model, "--tasks", "STSB", code=2)[1]
    assert "of its own prompts" in oneword("prompts", "perturb", "mine/", code=2)[1]
    scores = oneword("eval", "sts", *model, "--tasks", "STSB", "--method", "ck", "--precision", "int8", "-q")[0]
    assert "mine" in scores


def test_what_a_refusal_says_can_be_done(asked, oneword, folder, tiny_model):
    """A calibrated method at another layer, of a broken file, or on another model is calibrated again."""
    oneword("calibrate", *asked, "--method", "ck", "--steps", "center", "--layer", "3", "-q")
    model = asked[:4]
    assert (
        "oneword calibrate --layer" in oneword("embed", "rain", *model, "--method", "mine/", "--layer", "4", code=2)[1]
    )
    again = [*asked[:-1], "again", "--method", "mine/", "--layer", "4", "-q"]
    oneword("calibrate", *again)
    assert json.loads(oneword("embed", "rain", *model, "--method", "again/")[0])["fingerprint"].startswith("again-")
    (folder / "again" / "calibration.safetensors").unlink()
    oneword("calibrate", *again, "--force")
    oneword("embed", "rain", *model, "--method", "again/")
    other = ["--model", tiny_model("gpt2"), *model[2:], "--method", "mine/"]
    assert "calibrate this method on this model" in oneword("embed", "rain", *other, code=2)[1]
    oneword("calibrate", *other, "--on", "corpus.txt", "-o", "moved", "-q")
    oneword("embed", "rain", *other[:4], "--method", "moved/")
    assert "layer 2" in oneword("inspect", "rain", *model, "--method", "mine/", "--layer", "2")[0]  # before calibration


def test_the_loss_of_steps_that_begin_by_reducing(asked, oneword):
    shown = json.loads(oneword("calibrate", *asked, "--steps", "whiten=16", "--json", "-q")[0])
    assert [form["name"] for form in shown["forms"]] == ["uncalibrated", "reduced", "int8", "binary"]
    assert shown["forms"][0]["kept"] == 1 > shown["forms"][1]["kept"]
    table = oneword("calibrate", *asked, "--steps", "whiten=16", "--force")[0]
    assert "nearest 10 as uncalibrated" in table
