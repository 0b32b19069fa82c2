"""Calibration: its numbers against numpy's, what it is bound to, and where it is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import IncrementalPCA
from sklearn.preprocessing import StandardScaler

from oneword import Embedder, Method, Prompt
from oneword.calibrated import fit_calibration
from oneword.calibration import shelf
from oneword.calibration.applying import Calibrator
from oneword.calibration.fitting import check_enough, fit_steps
from oneword.calibration.moments import Moments
from oneword.calibration.recipe import Calibration, Step
from oneword.calibration.statistics import LayerStatistics, Statistics
from oneword.engine.encoder import PromptEncoder
from oneword.errors import FingerprintError, InputError, MethodError, ModelError, OutputError
from oneword.evaluation.answer_store import AnswerStore
from oneword.registry import find_method
from oneword.shipped_pool import pool_digest, pool_texts, texts_digest

TEXTS = list(pool_texts()[:90])
PROMPTS = [Prompt('One: "{text}" in one word:"', name="one"), Prompt('Other: "{text}" in a word:"', name="other")]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 24)) @ RNG.normal(size=(24, 24)) + 5 * RNG.normal(size=24)
CHAINS = [
    ["center"],
    ["standardize"],
    [{"remove_components": 3}],
    ["standardize", {"remove_components": 2}],
    [{"remove_components": 2}, "standardize"],
    [{"principal_components": 8}],
    [{"whiten": 8}],
    ["whiten"],
    ["standardize", {"remove_components": 2}, {"whiten": 6}],
    [{"principal_components": 10}, "center", {"remove_components": 1}],
]


@pytest.fixture(scope="module")
def embedder(tiny_model):
    return Embedder(tiny_model("llama"), method=Method("mine", PROMPTS), dtype="float32", device="cpu")


@pytest.fixture
def asked(monkeypatch):
    """How many texts each prompt was asked about."""
    seen = []
    rows = PromptEncoder.rows

    def counted(self, texts):
        seen.append(len(texts))
        return rows(self, texts)

    monkeypatch.setattr(PromptEncoder, "rows", counted)
    return seen


def moments_of(vectors, sizes=(300,), whole=True):
    moments = Moments(vectors.shape[1], whole)
    for part in np.split(vectors, np.cumsum(sizes)[:-1]):
        moments.add(part)
    return moments


def applied(steps, vectors):
    """Through the code that embeds."""
    calibrator = Calibrator([LayerStatistics(combined=tuple(steps))])
    return calibrator.combined(torch.from_numpy(vectors.astype(np.float32))[:, None])[:, 0].numpy()


def naive(chain, fitted_on, vectors):
    """Each step from the definitions: statistics of what the steps before made of all the vectors, by an SVD."""
    for step in map(Step.of, chain):
        mean = fitted_on.mean(axis=0)
        known, new = fitted_on - mean, vectors - mean
        if step.kind == "standardize":
            spread = known.std(axis=0)
            known, new = known / spread, new / spread
        elif step.kind != "center":
            _, values, directions = np.linalg.svd(known, full_matrices=False)
            count = step.size or len(directions)
            directions = directions[:count]
            if step.kind == "remove_components":
                known, new = (some - some @ directions.T @ directions for some in (known, new))
            else:
                signs = np.sign(directions[np.arange(count), np.abs(directions).argmax(axis=1)])
                scale = 1 / (values[:count] / np.sqrt(len(known))) if step.kind == "whiten" else np.ones(count)
                known, new = (some @ directions.T * signs * scale for some in (known, new))
        fitted_on, vectors = known, new
    return vectors


def test_moments_in_pieces_are_those_of_all_vectors_in_float64():
    shifted = VECTORS + 1e4  # where sums of squares lose all they have
    for sizes in [(300,), (1, 299), (7, 100, 93, 100), (1,) * 300]:
        moments = moments_of(shifted, sizes)
        np.testing.assert_allclose(moments.mean, shifted.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(moments.covariance, np.cov(VECTORS.T, bias=True), rtol=1e-9, atol=1e-9)
        alone = moments_of(shifted, sizes, whole=False)
        np.testing.assert_allclose(alone.covariance, VECTORS.var(axis=0), rtol=1e-9)


def test_steps_are_those_of_scikit_learn():
    moments = moments_of(VECTORS, (200, 100))
    scaler = StandardScaler()
    pca = IncrementalPCA(n_components=24)  # all, so that it forgets nothing
    for part in (VECTORS[:200], VECTORS[200:]):
        scaler.partial_fit(part)
        pca.partial_fit(part)
    (standardize,) = fit_steps([Step("standardize")], moments)
    np.testing.assert_allclose((VECTORS - standardize.mean) * standardize.scale, scaler.transform(VECTORS), atol=1e-10)
    (reduce,) = fit_steps([Step("principal_components", 7)], moments)
    found, expected = (VECTORS - reduce.mean) @ reduce.components.T, pca.transform(VECTORS)[:, :7]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_a_chain_is_what_its_definitions_say(chain):
    steps = fit_steps(Calibration(chain).chain, moments_of(VECTORS, (123, 177)))
    expected = naive(chain, VECTORS, VECTORS)
    double = VECTORS
    for step in steps:  # in float64, before what is kept of it is float32
        double = (double - step.mean) * (1 if step.scale is None else step.scale)
        if step.components is not None:
            along = double @ step.components.T
            double = double - along @ step.components if step.kind == "remove_components" else along
    np.testing.assert_allclose(double, expected, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(applied(steps, VECTORS), expected, atol=2e-5 * np.abs(expected).max())


def test_a_constant_dimension_stays_finite():
    vectors = np.array(VECTORS)
    vectors[:, 3] = 0.1
    vectors[:, 4] = 0
    for chain in CHAINS[:5]:
        found = applied(fit_steps(Calibration(chain).chain, moments_of(vectors, (100, 200))), vectors)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[:, 3:5], 0, atol=1e-5)
    with pytest.raises(InputError, match=r"whiten=23, but the texts' vectors span only 22 directions"):
        fit_steps([Step("whiten", 23)], moments_of(vectors))


@pytest.mark.parametrize(
    ("chain", "texts", "said"),
    [
        (["standardize"], 1, "needs at least 2 different texts, but there are 1"),
        (["standardize", {"remove_components": 5}], 6, "needs at least 7 different texts, but there are 6"),
        ([{"whiten": 16}], 16, "needs at least 17 "),
        (["whiten"], 24, "needs at least 25 "),
        ([{"remove_components": 4}, {"whiten": 16}], 20, "needs at least 21 "),
        ([{"remove_components": 4}, {"principal_components": 21}], 99, "vectors of 20 dimensions; give at most 20"),
        ([{"remove_components": 24}], 99, "vectors of 24 dimensions; give at most 23"),
    ],
)
def test_too_few_texts_are_told_with_how_many_are_needed(chain, texts, said):
    with pytest.raises(InputError, match=said):
        check_enough(Calibration(chain), texts, 24, 24)
    check_enough(Calibration(chain), 100, 48, 48)


def test_all_dimensions_are_not_whitened_where_some_were_removed():
    with pytest.raises(InputError, match="whiten of vectors of which 20 of 24 dimensions are left; say whiten=20"):
        check_enough(Calibration([{"remove_components": 4}, "whiten"]), 99, 24, 24)


def test_prompts_have_directions_of_their_own_to_lose():
    calibration = Calibration([{"remove_components": 4}, {"principal_components": 24}])
    check_enough(calibration, 99, 24, 24, prompts=2)
    with pytest.raises(InputError, match="give at most 20"):
        check_enough(calibration, 99, 24, 24)
    behind_each_other = Calibration([{"remove_components": 4}, {"principal_components": 41}])
    with pytest.raises(InputError, match="give at most 40"):
        check_enough(behind_each_other, 99, 24, 48, prompts=2)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "at least one"),
        (["centre"], "unknown step 'centre'.*center"),
        ([{"remove_components": 0}], "whole number from 1 up, not 0"),
        ([{"remove_components": 1.5}], "not 1.5"),
        (["remove_components"], "needs how many components"),
        ([{"center": 2}], "takes no number"),
        ([{"whiten": 2, "center": 3}], "is no step"),
        ([3], "is no step"),
        (["whiten=x"], "is no step"),
    ],
)
def test_what_is_no_calibration_is_refused(steps, said):
    with pytest.raises(MethodError, match=said):
        Method("mine", PROMPTS, calibration=steps)


@pytest.mark.parametrize("fitted", ["prompts", "combined"])
@pytest.mark.parametrize("combine", ["mean", "concat", "max"])
@pytest.mark.parametrize("chain", [CHAINS[1], CHAINS[3], CHAINS[8]], ids=str)
def test_vectors_are_those_of_a_naive_calibration(embedder, combine, chain, fitted):
    """Fitted on some texts, applied to others: prompt by prompt before the combination, or after it."""
    plain = embedder.with_method(Method("mine", PROMPTS, combine=combine))
    calibrated = plain.calibrate(TEXTS[:60], chain, fitted)
    alone = [embedder.with_method(Method("one", [prompt])).encode(TEXTS).astype(np.float64) for prompt in PROMPTS]
    known = [answer[:60] for answer in alone]
    before = [step for step in chain if fitted == "prompts" and not Step.of(step).reduces]
    after = chain[len(before) :]
    both = [
        {"mean": np.mean, "max": np.max}[combine](answers, axis=0) if combine != "concat" else np.hstack(answers)
        for answers in (
            [naive(before, one, one) for one in known],
            [naive(before, one, all_) for one, all_ in zip(known, alone)],
        )
    ]
    expected = naive(after, *both)
    found = calibrated.encode(TEXTS)
    assert found.shape == (90, calibrated.dimension) == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_weights_steering_and_layers_are_calibrated_too(embedder):
    options = {"weights": [3, 1], "steering": {"layer": 2, "norm": "recover"}, "layer": [3, 5]}
    plain = embedder.with_method(Method("mine", PROMPTS), **options)
    calibrated = plain.calibrate(TEXTS, ["standardize"])
    found, raw = calibrated.encode(TEXTS), plain.encode(TEXTS)
    assert found.shape == raw.shape == (90, 2, 48)
    alone = [
        embedder.with_method(Method("one", [prompt]), steering=options["steering"], layer=[3, 5]).encode(TEXTS)
        for prompt in PROMPTS
    ]
    expected = sum(share * (one - one.mean(0)) / one.std(0) for share, one in zip((0.75, 0.25), alone))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_duplicates_have_equal_vectors(embedder):
    calibrated = embedder.calibrate(TEXTS, CHAINS[3])
    found = calibrated.encode([*TEXTS, *reversed(TEXTS)])
    assert np.array_equal(found[:90], found[:89:-1])
    twice = np.repeat(VECTORS, 2, axis=0)  # where nothing before has made one of two
    for chain in CHAINS:
        steps = fit_steps(Calibration(chain).chain, moments_of(VECTORS))
        found = applied(steps, twice)
        np.testing.assert_allclose(found[::2], found[1::2], atol=1e-5)


def test_what_removing_leaves_of_few_texts_is_not_blown_up():
    few = VECTORS[:6, :16]
    assert few.std(axis=0).min() > 0.1
    steps = fit_steps(Calibration([{"remove_components": 5}, "standardize"]).chain, moments_of(few, (6,)))
    assert np.abs(applied(steps, few)).max() < 1e-3  # five directions were all there was
    steps = fit_steps(Calibration([{"remove_components": 4}, "standardize"]).chain, moments_of(few, (6,)))
    np.testing.assert_allclose(applied(steps, few).std(axis=0), 1, atol=1e-3)


def test_one_prompt_is_asked_once_whatever_the_steps(embedder, asked):
    chain = ["standardize", {"remove_components": 2}, {"principal_components": 8}]
    for method, times in ((Method("one", PROMPTS[:1]), 1), (Method("two", PROMPTS), 4)):
        told = []
        plain = embedder.with_method(method)
        asked.clear()
        fit_calibration(plain, Calibration(chain), TEXTS, told.append)
        assert asked == [90] * times
        assert sum(told) == 90 * max(1, times // 2)


def test_states_that_are_not_finite_are_not_fitted_on(embedder, monkeypatch):
    plain = embedder.with_method(embedder.method)
    answers = plain._answering.sections

    def broken(*args, **options):
        for texts, given in answers(*args, **options):
            yield texts, ((answer * torch.nan, cut) for answer, cut in given)

    monkeypatch.setattr(plain._answering, "sections", broken)
    for use in (lambda: plain.calibrate(TEXTS, ["center"]), lambda: plain.encode(TEXTS)):
        with pytest.raises(ModelError, match=r"not finite numbers .*; try dtype float32"):
            use()
    plain.precision = "binary"
    with pytest.raises(ModelError, match=r"not finite"):
        plain.encode(TEXTS)


def test_texts_without_their_statistics_are_refused(embedder):
    calibration = embedder.calibrate(TEXTS, ["center"]).method.calibration
    lost = Method("lost", PROMPTS, calibration=replace(calibration, statistics=None))
    with pytest.raises(MethodError, match=r"'lost': its calibration is of texts [0-9a-f]+, but their statistics"):
        embedder.with_method(lost)


def test_methods_of_other_prompts_are_not_made_of_a_calibrated_one(embedder):
    from oneword.evaluation.sweeps import by_meta_tasks
    from oneword.prompting.perturbation import perturb_method

    own = embedder.calibrate(TEXTS, ["center"]).method
    for make in (by_meta_tasks, lambda method: perturb_method(method, dict)):
        with pytest.raises(MethodError, match=r"is calibrated, with statistics of its own prompts"):
            make(own)


def test_precision_that_does_not_fit_is_told_before_anything_is_asked(embedder, asked):
    binary = embedder.with_method(embedder.method, precision="binary")
    with pytest.raises(InputError, match=r"but vectors have 12"):
        binary.calibrate(TEXTS, [{"principal_components": 12}])
    assert asked == []


def test_equal_texts_count_once(embedder):
    found = embedder.calibrate(TEXTS + TEXTS[:40], ["standardize"])
    assert found.statistics.source.texts == 90
    assert found.fingerprint == embedder.calibrate(TEXTS, ["standardize"]).fingerprint


def test_fingerprints_tell_calibrations_apart(embedder):
    prints = [
        embedder.fingerprint,
        embedder.calibrate(TEXTS, ["standardize"]).fingerprint,
        embedder.calibrate(TEXTS, ["center"]).fingerprint,
        embedder.calibrate(TEXTS, ["standardize"], "combined").fingerprint,
        embedder.calibrate(TEXTS[1:], ["standardize"]).fingerprint,
        embedder.with_method(Method("mine", PROMPTS, calibration=["standardize"])).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_a_second_calibration_replaces_the_first(embedder):
    twice = embedder.calibrate(TEXTS[:50], ["center"]).calibrate(TEXTS, ["standardize"])
    once = embedder.calibrate(TEXTS, ["standardize"])
    assert twice.fingerprint == once.fingerprint
    np.testing.assert_array_equal(twice.encode(TEXTS), once.encode(TEXTS))


def test_the_store_of_answers_gives_the_same_vectors(embedder, tmp_path):
    for given in (embedder, embedder.with_method(embedder.method, precision="int8")):
        calibrated = given.calibrate(TEXTS, CHAINS[8])
        found = AnswerStore(tmp_path).vectors(calibrated, TEXTS)
        np.testing.assert_allclose(found, calibrated.compute(TEXTS).numpy(), atol=1e-4 if given is embedder else 1)


class TestFolder:
    @pytest.mark.parametrize("chain", [CHAINS[3], CHAINS[8]], ids=str)
    def test_gives_the_same_vectors_when_read_back(self, embedder, folder, chain):
        calibrated = embedder.calibrate(TEXTS, chain)
        calibrated.save_method("kept", "mine_calibrated")
        method = find_method("kept/")
        assert method.name == "mine_calibrated"
        assert method.calibration == calibrated.method.calibration
        for again in (embedder.with_method("kept"), embedder.with_method(folder / "kept" / "method.toml")):
            np.testing.assert_array_equal(again.encode(TEXTS), calibrated.encode(TEXTS))
            assert again.fingerprint == calibrated.fingerprint.replace("mine-", "mine_calibrated-")

    def test_statistics_of_the_pool_outlive_it(self, embedder, folder, monkeypatch):
        calibrated = embedder.with_method(replace(embedder.method, calibration=Calibration(["center"])))
        calibrated.save_method("kept")
        monkeypatch.setattr("oneword.shipped_pool.pool_digest", lambda: "another")  # of a later version
        again = embedder.with_method("kept")
        np.testing.assert_array_equal(again.encode(TEXTS[:2]), calibrated.encode(TEXTS[:2]))

    def test_a_name_that_finds_another_method_is_refused(self, embedder, folder):
        with pytest.raises(OutputError, match="ck is the name of a method that comes with oneword"):
            embedder.calibrate(TEXTS, ["center"]).save_method("ck")
        assert not (folder / "ck").exists()

    def test_another_number_format_of_the_weights_is_taken(self, embedder, tiny_model, folder):
        embedder.calibrate(TEXTS, ["standardize"]).save_method("kept")
        halves = Embedder(tiny_model("llama"), method="kept", dtype="bfloat16", device="cpu")
        assert np.isfinite(halves.encode(TEXTS[:2])).all()

    def test_another_layer_method_model_or_recipe_is_refused(self, embedder, tiny_model, folder):
        embedder.with_method(embedder.method, layer=3).calibrate(TEXTS, ["standardize"]).save_method("kept")
        with pytest.raises(FingerprintError, match=r"at layer 3, not at layer 4"):
            embedder.with_method("kept", layer=4)
        with pytest.raises(FingerprintError, match=r"fitted on vectors of mine-.*, but these are of mine-"):
            embedder.with_method("kept", layer=3, weights=[1, 2])
        with pytest.raises(FingerprintError, match=r"fitted on vectors of"):
            Embedder(tiny_model("gpt2"), method="kept", layer=3)
        method = find_method("kept")
        other = replace(method.calibration, steps=["center"])
        with pytest.raises(FingerprintError, match=r"statistics are of"):
            embedder.with_method(replace(method, calibration=other), layer=3)

    def test_broken_or_missing_statistics_are_told(self, embedder, folder):
        embedder.calibrate(TEXTS, ["standardize"]).save_method("kept")
        statistics = folder / "kept" / "calibration.safetensors"
        content = statistics.read_bytes()
        for broken in (b"", content[:100], content.replace(b'"recipe', b'"recepi', 1)):
            statistics.write_bytes(broken)
            with pytest.raises(MethodError, match=r"holds no calibration's statistics"):
                embedder.with_method("kept")
        statistics.unlink()
        with pytest.raises(MethodError, match=r"no file .*calibration.safetensors"):
            embedder.with_method("kept")

    def test_is_replaced_only_when_that_is_asked_for_and_it_holds_a_method(self, embedder, folder):
        calibrated = embedder.calibrate(TEXTS, ["standardize"])
        calibrated.save_method("kept")
        with pytest.raises(OutputError, match=r"--force"):
            calibrated.save_method("kept")
        embedder.calibrate(TEXTS, ["center"]).save_method("kept", overwrite=True)
        assert str(find_method("kept").calibration) == "center"
        (folder / "kept" / "thesis.doc").write_text("mine")
        with pytest.raises(OutputError, match=r"holds more than a method"):
            calibrated.save_method("kept", overwrite=True)
        assert sorted(one.name for one in folder.iterdir()) == ["kept"]

    def test_a_link_to_one_is_replaced_and_what_it_shows_stays(self, embedder, folder):
        calibrated = embedder.calibrate(TEXTS, ["standardize"])
        calibrated.save_method("kept")
        (folder / "link").symlink_to("kept")
        for _ in range(2):
            embedder.calibrate(TEXTS, ["center"]).save_method("link", overwrite=True)
        assert str(find_method("link").calibration) == "center"
        assert str(find_method("kept").calibration) == "standardize"
        assert sorted(one.name for one in folder.iterdir()) == ["kept", "link"]

    def test_is_written_for_a_layer_that_the_method_itself_could_not_have(self, embedder, folder):
        deep = replace(embedder.method, layer=25)
        embedder.with_method(deep, layer=3).calibrate(TEXTS, ["center"]).save_method("kept")
        assert find_method("kept").layer == 3

    def test_that_holds_no_method_is_told(self, folder):
        (folder / "empty").mkdir()
        with pytest.raises(MethodError, match=r"the folder empty holds no method"):
            find_method("empty")


class TestPool:
    """A calibration without statistics is one on the shipped pool."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shelf, "cache_folder", lambda: tmp_path / "cache")
        return tmp_path / "cache"

    def test_is_fitted_once_and_found_again(self, embedder, tmp_path, asked):
        method = Method("mine", PROMPTS, calibration=["standardize"])
        first = embedder.with_method(method)
        assert asked == []  # not before it is needed
        vectors = first.encode(TEXTS)
        assert max(asked) == len(pool_texts())
        asked.clear()
        again = embedder.with_method(method)
        np.testing.assert_array_equal(again.encode(TEXTS), vectors)
        assert asked == [90, 90]
        expected = embedder.calibrate(pool_texts(), ["standardize"])
        np.testing.assert_array_equal(expected.encode(TEXTS), vectors)
        assert expected.fingerprint == first.fingerprint

    def test_is_made_again_where_what_was_kept_is_broken(self, embedder, cache):
        method = Method("mine", PROMPTS, calibration=["standardize"])
        vectors = embedder.with_method(method).encode(TEXTS)
        (kept,) = (cache / "calibrations").iterdir()
        kept.write_bytes(b"broken")
        np.testing.assert_array_equal(embedder.with_method(method).encode(TEXTS), vectors)
        assert Statistics.read(kept).source.texts == len(pool_texts())

    def test_is_used_where_it_cannot_be_kept(self, embedder, cache):
        cache.write_text("no folder")
        with pytest.warns(UserWarning, match=r"cannot be made: .*: the calibration is fitted anew each time"):
            found = embedder.with_method(Method("mine", PROMPTS, calibration=["center"])).encode(TEXTS)
        assert np.isfinite(found).all()

    def test_a_method_file_can_ask_for_it(self, embedder, folder):
        (folder / "mine.toml").write_text(
            "[prompts.one]\nwording = '''One: \"{text}\" in one word:\"'''\n"
            '[methods.mine]\nprompts = ["one"]\ncalibration = ["standardize", {remove_components = 3}]\n'
        )
        method = find_method("mine.toml")
        assert method.calibration == Calibration(["standardize", {"remove_components": 3}])
        assert np.isfinite(embedder.with_method(method).encode(TEXTS)).all()


def test_a_grid_of_steerings_is_refused(embedder):
    from oneword import Steering

    calibrated = embedder.calibrate(TEXTS, ["center"])
    with pytest.raises(MethodError, match=r"is calibrated, with statistics of its own steering"):
        calibrated.compute_grid(TEXTS, [Steering(layer=2)])


def test_the_pool_is_the_one_of_task_embeddings():
    from oneword.tasks import Pool

    assert Pool.default().texts == pool_texts()
    assert pool_digest() == texts_digest(list(pool_texts()))
