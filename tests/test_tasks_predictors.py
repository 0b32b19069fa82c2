"""Functions, estimators and embeddings as predictors: what they answer, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from oneword import Embedder
from oneword.errors import InputError, ModelError
from oneword.tasks import Dataset, Predictor
from oneword.tasks.predictor import read_answers
from oneword.tasks.predictors import CallablePredictor, EmbeddingPredictor, SklearnPredictor

GOOD = ["a good film", "good food here", "what a good day", "really good music"]
BAD = ["a bad film", "bad food here", "what a bad day", "really bad music"]
TEXTS, LABELS = [*BAD, *GOOD], ["neg"] * 4 + ["pos"] * 4


def test_nothing_heavy_is_loaded_before_it_is_named():
    code = (
        "import sys, oneword.tasks.predictors as p; from oneword.tasks.predictors import CallablePredictor;"
        "import oneword.tasks.predictors.spec;"
        "print([name for name in ('torch', 'transformers', 'sklearn', 'skops', 'openai') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Functions


def test_a_function_answers_as_it_is():
    predictor = CallablePredictor(lambda texts: [float(len(text)) for text in texts], "lengths")
    assert predictor.predict(["a", "bcd"]) == [1.0, 3.0]
    assert isinstance(predictor, Predictor)
    assert predictor.fingerprint is None  # its answers are not kept: nobody knows what they depend on


def test_a_function_of_pairs_is_given_both_columns():
    def same(premises: Sequence[str], hypotheses: Sequence[str]) -> list[str]:
        return ["yes" if one == other else "no" for one, other in zip(premises, hypotheses)]

    predictor = CallablePredictor(same, classes=["yes", "no"], fingerprint="same-1")
    assert predictor.takes_pairs is True
    assert read_answers(
        predictor.predict(["a", "b"], ["a", "c"]), 2, predictor.name, predictor.classes
    ).values.tolist() == [
        [1, 0],
        [0, 1],
    ]
    with pytest.raises(
        InputError, match=r"^same answers for pairs of texts and was given single ones; name a pool with"
    ):
        predictor.predict(["a"])


def test_a_function_of_single_texts_is_not_given_pairs():
    predictor = CallablePredictor(lambda texts: ["x"] * len(texts), "single")
    assert predictor.takes_pairs is False
    with pytest.raises(InputError, match=r"^single answers for single texts and was given pairs; name a pool without"):
        predictor.predict(["a"], ["b"])
    assert CallablePredictor(lambda texts, text_pairs=None: texts).takes_pairs is None
    assert CallablePredictor(lambda *columns: columns[0], takes_pairs=False).takes_pairs is False


def test_what_a_function_raises_is_one_line_with_its_name():
    def broken(texts: Sequence[str]) -> None:
        raise RuntimeError("no such\n  key")

    with pytest.raises(ModelError, match=r"^broken raised RuntimeError: no such key$") as caught:
        CallablePredictor(broken).predict(["a"])
    assert isinstance(caught.value.__cause__, RuntimeError)

    def silent(texts: Sequence[str]) -> None:
        raise ValueError

    with pytest.raises(ModelError, match="silent raised ValueError: no message"):
        CallablePredictor(silent).predict(["a"])

    def refuses(texts: Sequence[str]) -> None:
        raise InputError("it says why")

    with pytest.raises(InputError, match=r"^it says why$"):
        CallablePredictor(refuses).predict(["a"])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (["a"], "given 2 texts and answered 1 rows"),
        ([[0.5, 0.5], [float("nan"), 1.0]], "its answer is not a finite number"),
        (["a", "c"], r"'c' is none of its classes \(a, b\)"),
    ],
)
def test_answers_that_cannot_be_used_are_told_by_who_reads_them(answer: Any, problem: str):
    predictor = CallablePredictor(lambda texts: answer, "odd", classes=["a", "b"])
    with pytest.raises(InputError, match=f"^odd.*{problem}"):
        read_answers(predictor.predict(["x", "y"]), 2, predictor.name, predictor.classes)


# scikit-learn


def fitted(labels: Sequence[Any] = LABELS, last: Any = None) -> Any:
    return make_pipeline(TfidfVectorizer(), last or LogisticRegression()).fit(TEXTS, list(labels))


def test_an_estimator_gives_its_probabilities_and_classes():
    pipeline = fitted()
    predictor = SklearnPredictor(pipeline, name="mine")
    assert predictor.predict(TEXTS) == pytest.approx(pipeline.predict_proba(TEXTS))
    assert predictor.classes == ("neg", "pos")
    assert predictor.fingerprint == SklearnPredictor(fitted()).fingerprint
    assert predictor.fingerprint != SklearnPredictor(fitted(LABELS[::-1])).fingerprint


def test_an_estimator_without_probabilities_answers_classes_as_texts():
    predictor = SklearnPredictor(fitted([0] * 4 + [1] * 4, LinearSVC()))
    assert predictor.classes == ("0", "1")
    assert predictor.predict(TEXTS) == ["0"] * 4 + ["1"] * 4
    assert read_answers(predictor.predict(TEXTS), 8, "it", predictor.classes).kind == "probabilities"


def test_a_regressor_answers_numbers():
    predictor = SklearnPredictor(fitted([0.5] * 4 + [2.0] * 4, Ridge()))
    assert predictor.classes is None
    assert read_answers(predictor.predict(TEXTS), 8, "it", predictor.classes).kind == "numbers"


def test_an_estimator_of_pairs_is_given_tuples():
    pipeline = make_pipeline(
        FunctionTransformer(lambda rows: [[one == other] for one, other in rows]), LogisticRegression()
    )
    pipeline.fit([("a", "a"), ("a", "b"), ("b", "b")], ["same", "other", "same"])
    predictor = SklearnPredictor(pipeline, takes_pairs=True)
    found = predictor.predict(["x", "x"], ["x", "y"])
    assert found[0, 1] > found[1, 1]
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        predictor.predict(["x"])
    with pytest.raises(ModelError, match=r"^Pipeline raised AttributeError: 'tuple' object has no attribute 'lower'"):
        SklearnPredictor(fitted()).predict(["x"], ["y"])


def test_a_skops_file_of_known_types_needs_no_trust(tmp_path):
    skops.io.dump(fitted(), tmp_path / "reviews.skops")
    predictor = SklearnPredictor(tmp_path / "reviews.skops")
    assert predictor.predict(TEXTS) == pytest.approx(fitted().predict_proba(TEXTS))
    assert predictor.name == "reviews"
    assert predictor.fingerprint.startswith("sklearn-")


def shout(texts: Sequence[str]) -> list[str]:
    return [text.upper() for text in texts]


def test_a_skops_file_of_unknown_types_names_them_and_needs_trust(tmp_path):
    pipeline = make_pipeline(FunctionTransformer(shout), TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    path = tmp_path / "shout.skops"
    skops.io.dump(pipeline, path)
    with pytest.raises(InputError, match=r"shout.skops holds objects .*: .*test_tasks_predictors\.shout; .*--trust"):
        SklearnPredictor(path)
    assert SklearnPredictor(path, trust=True).predict(TEXTS) == pytest.approx(pipeline.predict_proba(TEXTS))


class Runs:
    """What runs code when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize("ending", [".joblib", ".pkl", ".PICKLE"])
def test_a_pickle_is_not_even_opened_without_trust(tmp_path, ending):
    joblib.dump(Runs(str(tmp_path / "ran")), tmp_path / f"evil{ending}")
    with pytest.raises(
        InputError, match=r"can run code when it is loaded; .*--trust \(trust=True\), or have it saved as"
    ):
        SklearnPredictor(tmp_path / f"evil{ending}")
    assert not (tmp_path / "ran").exists()
    joblib.dump(fitted(), tmp_path / f"good{ending}")
    assert SklearnPredictor(tmp_path / f"good{ending}", trust=True).classes == ("neg", "pos")


def test_files_that_hold_no_estimator_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file .*nothing.skops"):
        SklearnPredictor(tmp_path / "nothing.skops")
    for name, trust in [("broken.skops", False), ("broken.joblib", True)]:
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(InputError, match=rf"{name} cannot be loaded: \w+: ") as caught:
            SklearnPredictor(tmp_path / name, trust)
        assert "\n" not in str(caught.value)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match=r"ends in none of: .skops, .joblib, .pkl, .pickle"):
        SklearnPredictor(tmp_path / "model.onnx")
    joblib.dump({"a": 1}, tmp_path / "dict.joblib")
    with pytest.raises(InputError, match="dict is dict, which has no predict"):
        SklearnPredictor(tmp_path / "dict.joblib", trust=True)


def test_an_estimator_of_several_questions_is_refused():
    with pytest.raises(InputError, match="DecisionTreeClassifier answers several questions of a text at once"):
        SklearnPredictor(DecisionTreeClassifier().fit([[0], [1]], [[0, 1], [1, 0]]))


def test_an_estimator_that_was_not_fitted_says_so():
    with pytest.raises(ModelError, match=r"Pipeline raised NotFittedError"):
        SklearnPredictor(make_pipeline(TfidfVectorizer(), LogisticRegression())).predict(["x"])


# Embeddings


@pytest.fixture(scope="module")
def embedder(tiny_model):
    return Embedder(tiny_model("llama"), layer=-2, dtype="float32", device="cpu")


def test_an_embedding_predictor_is_logistic_regression_on_vectors(embedder):
    data = Dataset("reviews", [*GOOD, *BAD], ["pos"] * 4 + ["neg"] * 4)
    predictor = EmbeddingPredictor(data, embedder, strength=0.5)
    plain = LogisticRegression(C=2.0, solver="newton-cholesky", max_iter=1000)
    plain.fit(embedder.encode([*GOOD, *BAD]).astype(np.float64), ["pos"] * 4 + ["neg"] * 4)
    new = ["a good cat", "the bad old dog"]
    expected = plain.predict_proba(embedder.encode(new).astype(np.float64))
    assert predictor.classes == ("pos", "neg")  # in the dataset's order, not the alphabet's
    assert predictor.predict(new) == pytest.approx(expected[:, ::-1], abs=1e-4)
    assert predictor.predict(GOOD)[:, 0].min() > 0.5 > predictor.predict(BAD)[:, 0].max()
    with pytest.raises(InputError, match="single texts and was given pairs"):
        predictor.predict(["a"], ["b"])


def test_pairs_are_the_difference_and_the_product_of_vectors(embedder):
    second = GOOD[1:] + GOOD[:1] + BAD
    data = Dataset("same", [*GOOD, *BAD], ["other"] * 4 + ["same"] * 4, second)
    predictor = EmbeddingPredictor(data, embedder)
    one, other = embedder.encode([*GOOD, *BAD]), embedder.encode(second)
    features = np.hstack([abs(one - other), one * other]).astype(np.float64)
    plain = LogisticRegression(solver="newton-cholesky", max_iter=1000).fit(features, data.labels)
    assert predictor.predict([*GOOD, *BAD], second) == pytest.approx(plain.predict_proba(features), abs=1e-4)
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        predictor.predict(["a"])


def test_many_classes_and_numbers(embedder):
    labels = [str(place % 4) for place in range(8)]
    many = EmbeddingPredictor(Dataset("many", TEXTS, labels), embedder).predict(TEXTS)
    assert many.shape == (8, 4)
    assert many.sum(axis=1) == pytest.approx(1)
    numbers = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    predictor = EmbeddingPredictor(Dataset("numbers", TEXTS, numbers, kind="regression"), embedder)
    assert predictor.classes is None
    assert np.corrcoef(predictor.predict(TEXTS), numbers)[0, 1] > 0.9


def test_what_cannot_be_fitted_on_vectors_is_refused(embedder):
    spans = Dataset("squad", ["Who?"], [(0, 1)], ["A man"], kind="span")
    with pytest.raises(InputError, match="squad asks for spans"):
        EmbeddingPredictor(spans, embedder)
    data = Dataset("reviews", TEXTS, LABELS)
    with pytest.raises(InputError, match="strength must be more than 0"):
        EmbeddingPredictor(data, embedder, strength=0)
    with pytest.raises(InputError, match="one layer"):
        EmbeddingPredictor(data, embedder.with_method(layer=[1, 2]))


def test_what_it_was_fitted_on_is_in_an_embedding_predictor_s_fingerprint(embedder):
    data = Dataset("reviews", TEXTS, LABELS)
    first = EmbeddingPredictor(data, embedder).fingerprint
    assert first == EmbeddingPredictor(data, embedder, name="x").fingerprint
    assert first != EmbeddingPredictor(Dataset("reviews", TEXTS, LABELS[::-1]), embedder).fingerprint
    assert first != EmbeddingPredictor(data, embedder, strength=2).fingerprint
    assert first != EmbeddingPredictor(data, embedder.with_method(layer=1)).fingerprint
    assert json.dumps(first).count("/") == 0
