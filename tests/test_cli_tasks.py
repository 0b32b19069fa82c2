"""`oneword tasks`: from files to vectors and back, and what is said when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chat_server import next_token, serving
from oneword.cli.tasks import tasks
from oneword.tasks import TaskEmbedding

PREDICTOR = """
def mood(texts, text_pairs=None):
    return [[0.9, 0.1] if "rain" in text else [0.2, 0.8] for text in texts]

def broken(texts, text_pairs=None):
    raise ValueError("no such word")
"""


@pytest.fixture
def data(folder: Path) -> Path:
    rows = [
        f"{'lovely' if row % 2 else 'awful'} weather number {row},{'good' if row % 2 else 'bad'}" for row in range(30)
    ]
    (folder / "reviews.csv").write_text("review,stars\n" + "\n".join(rows) + "\n")
    pool = [{"text": f"{'rain' if row % 2 else 'sun'} in place {row}"} for row in range(30)]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool))
    (folder / "mine.py").write_text(PREDICTOR)
    return folder


def dataset_command(model: Path, output: str, *more: object) -> list[object]:
    read = ["tasks", "embed-dataset", "reviews.csv", "--text", "review", "--label", "stars", "-q"]
    return [*read, "--surrogate", model, "--steps", 5, "-o", output, *more]


def model_command(model: Path, spec: str, output: str, *more: object) -> list[object]:
    asked = ["tasks", "embed-model", spec, "--unlabeled", "pool.jsonl", "-q"]
    return [*asked, "--surrogate", model, "--steps", 5, "-o", output, *more]


def test_from_files_to_a_similarity(oneword, data, tiny_model):
    model = tiny_model("bert")
    said, _ = oneword(*dataset_command(model, "d.safetensors"))
    assert "reviews (dataset, classification)" in said
    oneword(*model_command(model, "python:mine.py:mood", "m.safetensors", "--name", "mood"))
    dataset, answered = (TaskEmbedding.load(data / f"{name}.safetensors") for name in "dm")
    assert (dataset.name, dataset.of, answered.name, answered.of) == ("reviews", "dataset", "mood", "model")
    assert answered.provenance["pool"] == "pool"
    out, _ = oneword("tasks", "similarity", "d.safetensors", "m.safetensors", "--json")
    assert json.loads(out)["similarity"][0][1] == pytest.approx(dataset.similarity(answered))
    out, _ = oneword("tasks", "nearest", "d.safetensors", ".", "--of", "model")
    assert "mood" in out
    oneword(*dataset_command(model, "again.safetensors", "--seed", 0))
    assert np.array_equal(TaskEmbedding.load(data / "again.safetensors").vector, dataset.vector)


def test_choices_of_forms_reach_the_vector(oneword, data, tiny_model):
    model = tiny_model("bert")
    spaces = set()
    for number, form in enumerate(
        (
            ["tupate", "--positions", 4],
            ["taskemb", "--parameters", "*attention*", "--log"],
            ["lora", "--rank", 2],
            ["bitfit"],
        )
    ):
        oneword(*dataset_command(model, f"{number}.safetensors", "--form", *form))
        spaces.add(TaskEmbedding.load(data / f"{number}.safetensors").space.partition("/")[2])
    assert spaces == {"tupate-4", "taskemb(*attention*)-log", "lora-2", "bitfit"}
    _, error = oneword("tasks", "similarity", "0.safetensors", "3.safetensors", code=2)
    assert "tupate-4" in error
    assert "bitfit" in error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--positions", 4, "--form", "bitfit"], "--positions is a choice of the form tupate"),
        (["--surrogate", "nowhere/model.gguf"], "no model at nowhere/model.gguf"),
        (["-o", "d.txt"], "files that end in .safetensors"),
        (["-o", "gone/d.safetensors"], "there is no folder gone"),
        (["--label", "rating"], "no column 'rating'"),
        (["--learning-rate", "-1"], "learning_rate must be a number above 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(oneword, data, tiny_model, more, message):
    _, error = oneword(*dataset_command(tiny_model("bert"), "d.safetensors", *more), code=2)
    assert message in error
    assert error.count("\n") == 1
    assert not (data / "d.safetensors").exists()


@pytest.mark.parametrize(
    ("spec", "more", "message"),
    [
        ("python:mine.py:broken", [], "no such word"),
        ("python:mine.py:absent", [], "absent"),
        ("magic:wand", [], "names no predictor"),
        ("python:mine.py:mood", ["--apart-from", "pool.jsonl"], "label"),
    ],
)
def test_a_model_that_cannot_answer_is_named(oneword, data, tiny_model, spec, more, message):
    _, error = oneword(*model_command(tiny_model("bert"), spec, "m.safetensors", *more), code=2)
    assert message in error
    assert error.count("\n") == 1
    assert not (data / "m.safetensors").exists()


def test_a_vector_that_is_there_is_not_replaced_by_accident(oneword, data, tiny_model):
    command = dataset_command(tiny_model("bert"), "d.safetensors")
    oneword(*command)
    before = (data / "d.safetensors").read_bytes()
    _, error = oneword(*command, "--seed", 1, code=2)
    assert "--force" in error
    assert (data / "d.safetensors").read_bytes() == before
    oneword(*command, "--seed", 1, "--force")
    assert (data / "d.safetensors").read_bytes() != before


def test_the_command_offers_every_form_that_there_is():
    from oneword.cli.tasks.options import FORMS as OFFERED
    from oneword.tasks.forms import FORMS

    assert set(OFFERED) == set(FORMS)


def test_help_loads_no_torch():
    code = (
        "import sys; from oneword.cli.main import run\n"
        "[run(['tasks', name, '--help']) for name in sys.argv[1:]]\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, *tasks.commands], capture_output=True).returncode == 0


def test_texts_that_an_endpoint_answers_without_a_label_word_are_told(oneword, data, tiny_model, monkeypatch):
    def answer(body):
        number = int(body["messages"][0]["content"].split()[3].rstrip("."))
        return next_token(maybe=-0.1) if number < 3 else next_token(yes=-0.1 * number, no=-1)

    with serving(monkeypatch, answer) as server:
        (data / "words.toml").write_text(
            f'kind = "endpoint_words"\nurl = "{server.url}"\nprompt = "{{text}}. Sun?"\n'
            '[label_words]\nsun = ["yes"]\nrain = ["no"]\n'
        )
        _, said = oneword(*model_command(tiny_model("bert"), "words.toml", "m.safetensors"))
        assert "warning: to 3 texts no label word was among the 20 likeliest answers" in said
        assert len(server.requests) == 30
