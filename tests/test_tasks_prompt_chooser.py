"""Prompts of an embedding method chosen for a dataset: scores against what is written out, and the method file."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from oneword import Embedder, Method, Prompt
from oneword.errors import InputError
from oneword.registry import find_method
from oneword.tasks import Dataset, Pool
from oneword.tasks.selection import prompt_vectors
from oneword.tasks.selection.embedding import NEEDS_LABELS, VECTORS, WAYS, PromptChooser
from oneword.tasks.selection.prompt_vectors import (
    LinearHead,
    agreement,
    alignment,
    alignment_uniformity,
    cross_validated,
    forward_selection,
    uniformity,
)

METHOD = Method(
    "mine",
    [
        Prompt('One: "{text}" in one word:"', name="one"),
        Prompt('Other: "{text}" in a word:"', name="other"),
        Prompt('This "{text}" means:"'),
    ],
)
TEXTS = [f"{subject} {verb} {where}" for subject in ("A cat", "It") for verb in ("sat", "ran", "is") for where in "ABC"]
REVIEWS = Dataset("reviews, all", TEXTS, ["good" if "cat" in text else "bad" for text in TEXTS])


@pytest.fixture(scope="module")
def embedder(tiny_model):
    return Embedder(tiny_model("llama"), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def chooser(embedder):
    return PromptChooser(embedder, METHOD)


@pytest.fixture(scope="module")
def vectors():
    """Of 12 texts under 4 prompts: the first two see the same, the third sees it blurred, the last sees noise."""
    generator = np.random.default_rng(0)
    seen, noise = generator.normal(size=(2, 12, 5))
    return np.stack([seen, 3 * seen, seen + 0.5 * noise, generator.normal(size=(12, 5))], axis=1) + 100


def unit(vector):
    return vector / math.sqrt(sum(number * number for number in vector))


def directions_of(vectors):
    """Centred unit vectors, prompt by prompt and text by text."""
    texts, prompts, _ = vectors.shape
    means = [sum(vectors[:, prompt]) / texts for prompt in range(prompts)]
    return [[unit(vectors[text, prompt] - means[prompt]) for text in range(texts)] for prompt in range(prompts)]


def test_agreement_is_that_of_cosines_written_out(vectors):
    cosines = [[float(x @ y) for x, y in combinations(one, 2)] for one in directions_of(vectors)]
    expected = [
        spearmanr(one, np.mean([other for other in cosines if other is not one], axis=0)).statistic for one in cosines
    ]
    np.testing.assert_allclose(agreement(vectors), expected, atol=1e-9)
    assert np.argsort(-agreement(vectors)).tolist()[-1] == 3  # noise agrees least


def test_alignment_and_uniformity_are_those_written_out(vectors):
    directions = directions_of(vectors)
    for prompt, one in enumerate(directions):
        others = [other for place, other in enumerate(directions) if place != prompt]
        means = [unit(sum(other[text] for other in others)) for text in range(len(one))]
        expected = np.mean([sum((x - y) ** 2) for x, y in zip(one, means)])
        assert alignment(vectors)[prompt] == pytest.approx(expected)
        crowded = [math.exp(-2 * sum((x - y) ** 2)) for x, y in combinations(one, 2)]
        assert uniformity(vectors)[prompt] == pytest.approx(math.log(sum(crowded) / len(crowded)))
    np.testing.assert_allclose(alignment_uniformity(vectors), -alignment(vectors) - uniformity(vectors))


def test_a_prompt_under_which_all_texts_are_alike_is_told():
    generator = np.random.default_rng(1)
    same = generator.normal(size=(6, 3, 4))
    same[:, 1] = same[0, 1]
    scores = agreement(same)
    assert np.isfinite(scores).all()
    assert scores[1] == 0
    assert uniformity(same)[1] == 0
    for score in (agreement, alignment, uniformity):
        with pytest.raises(InputError, match=r"3 texts and 2 prompts"):
            score(same[:2])
        with pytest.raises(InputError, match=r"3 texts and 2 prompts"):
            score(same[:, :1])


@pytest.mark.parametrize("labels", [list("abab" * 5), list("abcab" * 4)], ids=["two classes", "three classes"])
@pytest.mark.parametrize(("size", "largest"), [(60, 1000), (60, 0), (8, 1000)], ids=["span", "span, lbfgs", "all"])
def test_a_head_in_the_span_is_the_head_on_all_features(labels, size, largest, monkeypatch):
    monkeypatch.setattr(prompt_vectors, "_LARGEST_HESSIAN", largest)
    generator = np.random.default_rng(2)
    features, new = generator.normal(size=(20, size)), generator.normal(size=(7, size))
    features[:, 0] += 50  # as hidden states have it
    whole = LogisticRegression(C=1 / 0.3, solver="newton-cholesky", tol=1e-8)
    whole.fit(features - features.mean(axis=0), labels)
    head = LinearHead(features, labels, strength=0.3)
    expected = whole.predict_log_proba(new - features.mean(axis=0))
    np.testing.assert_allclose(head.log_probabilities(new), expected, atol=2e-3)
    said = [head.classes[place] for place in expected.argmax(axis=1)]
    assert head.correct(new, said).all()
    assert not head.correct(new, ["unseen"] * 7).any()


def test_folds_hold_out_every_row_once_with_its_class(monkeypatch):
    labels = [*"aaaaaaaabbbbbbbb", "c", "c"]
    features = np.arange(len(labels) * 2.0).reshape(-1, 2)
    fitted = []

    class Head:
        classes = ("a", "b", "c")

        def __init__(self, rows, names, strength):
            fitted.append({tuple(row) for row in rows.tolist()})
            assert set(names) == {"a", "b", "c"}

        def log_probabilities(self, rows):
            assert not {tuple(row) for row in rows.tolist()} & fitted[-1]
            return np.log(np.tile([0.5, 0.3, 0.2], (len(rows), 1)))

    monkeypatch.setattr(prompt_vectors, "LinearHead", Head)
    accuracy, log = cross_validated(features, labels)
    assert len(fitted) == 5
    assert accuracy == pytest.approx(8 / 18)
    assert log == pytest.approx((8 * math.log(0.5) + 8 * math.log(0.3) + 2 * math.log(0.2)) / 18)


def test_forward_selection_adds_the_best_each_time():
    worth = {(1,): 3, (0, 1): 4, (1, 2): 5, (0, 2): 9, (0, 1, 2): 4}
    path = forward_selection(3, lambda subset: (worth.get(subset, 0), 0.0))
    assert path == [((1,), 3, 0.0), ((1, 2), 5, 0.0), ((0, 1, 2), 4, 0.0)]  # (0, 2) is never met


def test_vectors_are_those_of_each_prompt_alone_and_computed_once(embedder, tmp_path, monkeypatch):
    told = []
    chooser = PromptChooser(embedder, METHOD, on_progress=lambda *one: told.append(one))
    expected = [embedder.with_method(Method("alone", [prompt])).encode(TEXTS) for prompt in METHOD.prompts]
    np.testing.assert_allclose(chooser.vectors(TEXTS), np.stack(expected, axis=1), atol=1e-5)
    assert told[-1] == (VECTORS, len(TEXTS), len(TEXTS))
    kept = PromptChooser(embedder, METHOD, folder=tmp_path).vectors(TEXTS[:3])
    np.testing.assert_allclose(kept, chooser.vectors(TEXTS[:3]), atol=1e-5)

    def never(*args, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(Embedder, "compute", never)
    chooser.vectors(TEXTS[::-1])
    np.testing.assert_array_equal(PromptChooser(embedder, METHOD, folder=tmp_path).vectors(TEXTS[:3]), kept)


@pytest.mark.parametrize("way", ["agreement", "alignment-uniformity", "cross-validation"])
def test_the_method_file_asks_the_chosen_prompts(chooser, embedder, tmp_path, way):
    data = REVIEWS if way in NEEDS_LABELS else Pool(REVIEWS.name, REVIEWS.texts)
    choice = chooser.choose(way, data, keep=2)
    assert choice.prompts == ("one", "other", "mine_3")
    if way != "cross-validation":
        assert set(choice.chosen) == set(np.argsort(-np.array(choice.scores))[:2].tolist())
        assert len(chooser.choose(way, data).chosen) == 2  # of three, the better half
    choice.write(tmp_path / "reviews.toml")
    header = (tmp_path / "reviews.toml").read_text().split("\n\n")[0]
    assert all(line.startswith("# ") for line in header.splitlines())
    assert f"chosen by {way} for reviews, all: 18 {'labelled ' if way in NEEDS_LABELS else ''}texts" in header
    assert header.count("(left out)") == 1
    found = embedder.with_method(find_method(tmp_path / "reviews.toml"))
    np.testing.assert_allclose(
        found.encode(TEXTS), chooser.features(Pool("texts", tuple(TEXTS)), choice.chosen), atol=1e-5
    )


def test_weights_follow_the_ranks(chooser):
    choice = chooser.choose("agreement", REVIEWS, weighted=True)
    best = np.argsort(-np.array(choice.scores)).tolist()
    assert [choice.method.weights[place] for place in best] == [3, 2, 1]
    assert len(choice.method.prompts) == 3


def test_cross_validation_takes_the_best_subset_of_its_path(chooser, monkeypatch):
    alone = [cross_validated(chooser.features(REVIEWS, [place]), REVIEWS.labels)[0] for place in range(3)]
    choice = chooser.choose("cross-validation", REVIEWS)
    assert list(choice.scores) == alone
    worth = {(0,): 0.5, (1,): 0.7, (2,): 0.4, (0, 1): 0.9, (1, 2): 0.6, (0, 1, 2): 0.8}
    monkeypatch.setattr(chooser, "features", lambda data, subset: subset)
    monkeypatch.setattr("oneword.tasks.selection.embedding.cross_validated", lambda subset, *rest: (worth[subset], 0.0))
    assert chooser.choose("cross-validation", REVIEWS).chosen == (0, 1)
    assert chooser.choose("cross-validation", REVIEWS, keep=3).chosen == (0, 1, 2)
    assert chooser.choose("cross-validation", REVIEWS).scores == (0.5, 0.7, 0.4)


def test_pairs_are_compared(chooser):
    pairs = Dataset("pairs", TEXTS[:12], ["same", "other"] * 6, TEXTS[6:])
    features = chooser.features(pairs, [0, 2])
    first, second = (chooser.vectors(texts)[:, [0, 2]].mean(axis=1) for texts in (pairs.texts, pairs.text_pairs))
    np.testing.assert_allclose(features, np.hstack([abs(first - second), first * second]), atol=1e-4)
    for way in WAYS:
        if way != "mte":
            assert len(chooser.choose(way, pairs, keep=1).chosen) == 1


def test_mte_ranks_prompts_by_their_cosine_with_the_dataset(embedder, tiny_model, tmp_path):
    options = {"surrogate": str(tiny_model("bert")), "tuning": {"steps": 3, "batch": 4}}
    pool = Pool("pool", tuple(f"{text} and {number}" for number, text in enumerate(TEXTS)))
    chooser = PromptChooser(embedder, METHOD, folder=tmp_path)
    choice = chooser.choose("mte", REVIEWS, keep=1, pool=pool, **options)
    assert len(set(choice.scores)) == 3
    assert all(-1 <= score <= 1 for score in choice.scores)
    assert choice.chosen == (int(np.argmax(choice.scores)),)
    assert chooser.calls.made == 3 * len(pool)
    again = PromptChooser(embedder, METHOD, folder=tmp_path)
    assert again.choose("mte", REVIEWS, keep=1, pool=pool, **options).scores == choice.scores
    assert again.calls.made == 0


@pytest.mark.parametrize(
    ("way", "data", "options", "message"),
    [
        ("agrement", REVIEWS, {}, r"unknown way to choose prompts 'agrement' \(nearest: agreement"),
        ("mte", Pool("texts", tuple(TEXTS)), {}, r"mte needs texts with classes, which texts has not"),
        ("cross-validation", Pool("texts", tuple(TEXTS)), {}, r"cross-validation needs texts with classes"),
        ("cross-validation", Dataset("n", TEXTS, range(18), kind="regression"), {}, r"needs texts with classes"),
        ("cross-validation", Dataset("n", TEXTS, ["a"] * 17 + ["b"]), {}, r"row 18: the label 'b' appears once"),
        ("agreement", Pool("two", ("a", "b", "a")), {}, r"at least 3 texts"),
        ("agreement", REVIEWS, {"keep": 4}, r"has 3 prompts; keep 1 to that many, not 4"),
        ("agreement", REVIEWS, {"keep": 2, "weighted": True}, r"leave out keep"),
    ],
)
def test_bad_input_is_one_line(chooser, way, data, options, message):
    with pytest.raises(InputError, match=message) as told:
        chooser.choose(way, data, **options)
    assert "\n" not in str(told.value)


def test_a_method_of_one_prompt_is_refused(embedder):
    with pytest.raises(InputError, match=r"'prompteol' has one prompt"):
        PromptChooser(embedder, "prompteol")
