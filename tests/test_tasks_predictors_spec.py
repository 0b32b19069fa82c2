"""Predictors as users name them: each form, each kind of file, and errors that name file and key."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from chat_server import serving
from oneword.errors import InputError, MethodError, ModelError
from oneword.tasks.predictors import find_predictor

TEXTS, LABELS = ["a good film", "a bad film", "good", "bad"], ["pos", "neg", "pos", "neg"]

CODE = """
WORDS = ("good", "bad")

def count(texts):
    return [float(text.count(WORDS[0])) for text in texts]

class Judge:
    classes = ["pos", "neg"]
    name = "the judge"
    def predict(self, texts, text_pairs=None):
        return ["pos" if "good" in text else "neg" for text in texts]

judge = Judge()
number = 3
"""


def toml(folder: Path, content: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


# What stands behind a colon


def test_a_function_of_a_file(folder):
    Path("mine.py").write_text(CODE)
    predictor = find_predictor("python:mine.py:count")
    assert predictor.predict(["good, good", "bad"]) == [2.0, 0.0]
    assert (predictor.name, predictor.takes_pairs) == ("count", False)
    first = predictor.fingerprint
    assert first == find_predictor("python:mine.py:count").fingerprint
    Path("mine.py").write_text(CODE.replace("good", "fine"))
    assert find_predictor("python:mine.py:count").fingerprint != first


def test_an_object_with_a_predict_brings_its_name_and_classes(folder):
    Path("mine.py").write_text(CODE)
    predictor = find_predictor("python:mine.py:judge")
    assert (predictor.name, predictor.classes) == ("the judge", ("pos", "neg"))
    assert predictor.predict(["good", "no"]) == ["pos", "neg"]


def test_a_function_of_a_module(folder, monkeypatch):
    Path("a_module_of_mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder))
    assert find_predictor("python:a_module_of_mine:count").predict(["good"]) == [1.0]
    del sys.modules["a_module_of_mine"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("python:mine.py:nothing", "mine.py has no 'nothing'"),
        ("python:mine.py:number", "is int, neither a function nor an object with a predict"),
        ("python:mine.py:Judge", "is type, neither a function nor an object with a predict"),
        ("python:none.py:count", r"none.py cannot be loaded: FileNotFoundError: "),
        (
            "python:no_module_of_mine:count",
            r"cannot be loaded: ModuleNotFoundError: .* a file is named as path/to/file.py",
        ),
        ("python:broken.py:count", "broken.py cannot be loaded: ZeroDivisionError: division by zero"),
        ("python:count", "'count' names no function"),
        ("reviews.csv", "'reviews.csv' names no predictor; it can be one of: classifier:FOLDER_OR_ID, "),
        ("classifier:", "'classifier:' names no predictor"),
        (
            "label_words:smollm2",
            r"names no predictor; .*; one that needs a prompt or a dataset is described in a .toml",
        ),
        ("sklearn:none.skops", "no file none.skops"),
        ("none.toml", "the predictor file none.toml cannot be read: No such file"),
    ],
)
def test_what_names_no_predictor_is_one_line(folder, spec, problem):
    Path("mine.py").write_text(CODE)
    Path("broken.py").write_text("1 / 0")
    with pytest.raises(InputError, match=problem) as caught:
        find_predictor(spec)
    assert "\n" not in str(caught.value)


def test_a_pickled_estimator_needs_the_user_s_trust(folder):
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    joblib.dump(pipeline, "model.joblib")
    with pytest.raises(InputError, match="--trust"):
        find_predictor("sklearn:model.joblib")
    assert find_predictor("sklearn:model.joblib", trust=True).predict(TEXTS).shape == (4, 2)
    Path("down").mkdir()
    spec = toml(Path("down"), 'kind = "sklearn"\nfile = "../model.joblib"\ntakes_pairs = false\nname = "tfidf"')
    with pytest.raises(InputError, match=r"^down/mine.toml: .*--trust"):
        find_predictor(spec)
    assert find_predictor(spec, trust=True).name == "tfidf"


def test_models_by_their_folder(tiny_model):
    with pytest.raises(ModelError, match="lacks weights of its classification head"):
        find_predictor(f"classifier:{tiny_model('bert')}")
    with pytest.raises(ModelError, match="lacks weights of its question answering head"):
        find_predictor(f"qa:{tiny_model('bert')}")
    with pytest.raises(ModelError, match="revision v1 applies to models of the Hub"):
        find_predictor(f"qa:{tiny_model('bert')}", revision="v1")
    with pytest.raises(
        InputError, match="a revision applies to models of the Hub; a predictor of the kind endpoint is none"
    ):
        find_predictor("endpoint:http://127.0.0.1:1/v1", revision="v1")
    with pytest.raises(InputError, match="device 'tpu' is not available"):
        find_predictor(f"qa:{tiny_model('bert')}", device="tpu")


def test_an_endpoint_is_asked_the_text_itself(monkeypatch):
    with serving(monkeypatch, lambda body: body["messages"][0]["content"].upper()) as server:
        assert find_predictor(f"endpoint:{server.url}").predict(["hello"]) == ["HELLO"]


# Files


def test_a_file_of_label_words(folder, tiny_model):
    (folder / "model").symlink_to(tiny_model("llama"))
    spec = toml(
        folder,
        'kind = "label_words"\nmodel = "model"\ndtype = "float32"\nprompt = "{text} Did he like it?"\n'
        '[label_words]\npos = ["good", "The"]\nneg = ["bad"]',
    )
    predictor = find_predictor(spec, device="cpu")
    assert (predictor.name, predictor.classes) == ("mine", ("pos", "neg"))
    assert predictor.predict(TEXTS).shape == (4, 2)


def test_what_is_no_folder_beside_the_file_is_a_name(folder):
    with pytest.raises(ModelError, match=r"mine.toml: no model at no such model: no such file or folder"):
        find_predictor(toml(folder, 'kind = "qa"\nmodel = "no such model"'))


def test_a_file_of_a_generator_and_one_of_an_endpoint(folder, tiny_model, monkeypatch):
    spec = toml(
        folder,
        f'kind = "generator"\nmodel = "{tiny_model("gpt2")}"\nprompt = "{{text}}"\nmax_new_tokens = 3\nbatch_size = 2',
    )
    assert len(find_predictor(spec, device="cpu").predict(TEXTS)) == 4
    with serving(monkeypatch, "Pos") as server:
        spec = toml(
            folder,
            f'kind = "endpoint"\nurl = "{server.url}"\nmodel = "m"\nprompt = "{{text}}?"\nclasses = ["pos", "neg"]\n'
            "timeout = 3\nretries = 0\nworkers = 2\ntemperature = 1\nseed = 1\nmax_new_tokens = 9",
        )
        assert find_predictor(spec).predict(TEXTS) == ["pos"] * 4
        assert server.requests[0]["temperature"] == 1


def test_a_file_of_an_embedding_has_its_data_and_method_beside_it(folder, tiny_model):
    home = folder / "down"
    home.mkdir()
    (home / "train.csv").write_text(
        "review,stars\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS))
    )
    (home / "own.toml").write_text('[prompts.own]\nwording = "So {text}:"\n[methods.own]\nprompts = ["own"]')
    spec = toml(
        home,
        f'kind = "embedding"\ntrain = "train.csv"\ntext = "review"\nlabel = "stars"\nmodel = "{tiny_model("llama")}"\n'
        'method = "own.toml"\nlayer = -2\nstrength = 2\ndtype = "float32"',
    )
    predictor = find_predictor(spec, device="cpu")
    assert predictor.classes == ("pos", "neg")
    assert predictor.predict(TEXTS).shape == (4, 2)
    assert predictor._embedder.method.name == "own"


def test_a_file_of_python_code_has_it_beside_it(folder):
    home = folder / "down"
    home.mkdir()
    (home / "mine.py").write_text(CODE)
    predictor = find_predictor(
        toml(
            home, 'kind = "python"\nfunction = "mine.py:judge"\nclasses = ["a"]\ntakes_pairs = true\nfingerprint = "f"'
        )
    )
    assert (predictor.name, predictor.classes, predictor.takes_pairs, predictor.fingerprint) == (
        "mine",
        ("a",),
        True,
        "f",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("kind = ", "is not valid TOML"),
        ('model = "x"', "the key 'kind' is missing; it is one of: classifier, qa, label_words"),
        ('kind = "oracle"', "kind 'oracle' is not one of: classifier"),
        ('kind = ["qa"]', r"kind \['qa'\] is not one of: classifier"),
        ('kind = "qa"', "the key 'model' is missing, which the kind qa needs"),
        ('kind = "qa"\nmodels = "x"', r"unknown key 'models' of the kind qa \(nearest: model\)"),
        ('kind = "sklearn"\nfile = "x.pkl"\ntrust = true', "unknown key 'trust' of the kind sklearn"),
        ('kind = "classifier"\nmodel = "x"\ntrust_remote_code = true', "unknown key 'trust_remote_code'"),
        ('kind = "classifier"\nmodel = 3', "model must be a text, not 3"),
        ('kind = "classifier"\nmodel = "x"\nbatch_size = true', "batch_size must be a whole number, not True"),
        ('kind = "classifier"\nmodel = "x"\ntakes_pairs = "yes"', "takes_pairs must be true or false, not 'yes'"),
        ('kind = "endpoint"\nurl = "x"\ntimeout = "long"', "timeout must be a number, not 'long'"),
        ('kind = "endpoint"\nurl = "x"\nclasses = "a"', "classes must be a list of texts, not 'a'"),
        ('kind = "embedding"\ntrain = "x"\nlayer = 1.5', "layer must be a layer, not 1.5"),
        ('kind = "label_words"\nprompt = "{text}"\nlabel_words = ["a"]', "label_words must be a table of lists"),
        (
            'kind = "label_words"\nprompt = "{text}"\n[label_words]\na = "yes"',
            "label_words.a must be a list of texts, not 'yes'",
        ),
        ('kind = "embedding"\ntrain = "none.csv"', "none.csv"),
    ],
)
def test_a_malformed_file_is_named_with_its_key(folder, content, problem):
    with pytest.raises(InputError, match=rf"mine.toml.*{problem}") as caught:
        find_predictor(toml(folder, content))
    assert "\n" not in str(caught.value)


def test_what_the_class_refuses_is_told_with_the_file(folder):
    with pytest.raises(MethodError, match=r"mine.toml: the prompt 'Good\?' has no slots"):
        find_predictor(toml(folder, 'kind = "label_words"\nprompt = "Good?"\n[label_words]\na = ["x"]\nb = ["y"]'))
