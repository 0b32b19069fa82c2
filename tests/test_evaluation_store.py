"""Answers that are kept while an evaluation lasts, and embedders that share one loaded model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword import Embedder, Method
from oneword.engine.encoder import PromptEncoder
from oneword.errors import MethodError, ModelError, OutputError
from oneword.evaluation import answer_store
from oneword.evaluation.answer_store import AnswerStore, combine
from oneword.evaluation.results import ResultFolder
from oneword.evaluation.sentence_pairs import SentencePairs
from oneword.evaluation.sts import evaluate_sts

TEXTS = ["It rained all night.", "Is it late?", "Go", "The river took the mill with it", "Is it late?", "Go home"]
ONE, OTHER = 'One: "{text}" in one word:"', 'Other: "{text}" in a word:"'


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def embedder(llama):
    """Of all layers, for other methods to be put to."""
    return Embedder(llama, dtype="float32", device="cpu")


@pytest.fixture
def store(tmp_path):
    return AnswerStore(tmp_path / "vectors")


@pytest.fixture
def asked(monkeypatch):
    """How often each prompt is asked of each text."""
    seen: Counter[tuple[str, str]] = Counter()
    rows = PromptEncoder.rows

    def counted(self, texts):
        seen.update((str(self._tokenizer.prefix), text) for text in texts)
        return rows(self, texts)

    monkeypatch.setattr(PromptEncoder, "rows", counted)
    return seen


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(answer_store, "_PIECE_BYTES", 0)  # then a piece has 32 texts


def sentences(count: int, start: int = 0) -> list[str]:
    return [f"Sentence number {number} is here" for number in range(start, start + count)]


def files(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# What is answered


METHODS = {
    "one prompt": {"method": "prompteol"},
    "the mean": {"method": "ck"},
    "eight prompts": {"method": "metaeol"},
    "concatenated": {"method": Method("both", [ONE, OTHER], combine="concat")},
    "the maximum": {"method": Method("most", [ONE, OTHER], combine="max")},
    "an equal prompt twice": {"method": Method("twice", [ONE, ONE, OTHER])},
    "steered": {"method": "ck_cp"},
    "steered by hand": {"method": "metaeol", "steering": {"layer": 2, "norm": "recover"}},
    "steered and concatenated": {"method": Method("both", [ONE, OTHER], combine="concat"), "steering": {"layer": 2}},
    "several layers": {"method": "ck", "layer": [4, 1, 5]},
    "several layers, steered": {"method": "ck", "layer": [1, 3, 5], "steering": {"layer": 3}},
    "every layer, concatenated": {"method": Method("both", [ONE, OTHER], combine="concat"), "layer": "all"},
    "pooled": {"method": "average"},
    "echo": {"method": "echo"},
    "demonstrated": {"method": "prompteol", "demonstrations": [("A cat sat", "cat")]},
    "not cleaned": {"method": Method("plain", [ONE], cleaning="none")},
}


@pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
def test_vectors_are_those_of_the_embedder_to_the_bit(embedder, store, options):
    other = embedder.with_method(**options)
    expected = other.compute(TEXTS).numpy()
    assert np.abs(expected).max() > 0
    for _ in ("computed", "found again"):
        np.testing.assert_array_equal(store.vectors(other, TEXTS), expected)


def test_vectors_that_another_method_asked_for_are_the_same(embedder, store):
    ck = embedder.with_method("ck")
    for prompt in ("knowledge", "pretended_cot"):  # in another order than ck's
        store.vectors(embedder.with_method(prompt), TEXTS)
    np.testing.assert_allclose(store.vectors(ck, TEXTS), ck.compute(TEXTS), rtol=1e-5, atol=1e-6)


def test_each_prompt_s_own_answers_are_those_of_the_prompt_alone(embedder, store):
    ck = embedder.with_method("ck", layer=[2, 5])
    answers = store.answers(ck, TEXTS)
    assert answers.shape == (2, len(TEXTS), 2, 48)
    for number, prompt in enumerate(ck.method.prompts):
        alone = embedder.with_method(Method("alone", [prompt]), layer=[2, 5])
        np.testing.assert_allclose(answers[number], alone.compute(TEXTS), rtol=1e-5, atol=1e-6)


def test_steered_and_plain_answers_of_one_prompt_are_kept_apart(embedder, store):
    plain, steered = embedder.with_method("ck"), embedder.with_method("ck", steering={"layer": 2})
    found = store.vectors(plain, TEXTS), store.vectors(steered, TEXTS)
    assert np.abs(found[0] - found[1]).max() > 0.01
    np.testing.assert_array_equal(found[1], steered.compute(TEXTS))


def test_other_weights_and_number_formats_are_kept_apart(embedder, store, tiny_model, llama):
    others = [
        Embedder(tiny_model("llama_eos"), dtype="float32", device="cpu"),
        Embedder(llama, dtype="bfloat16", device="cpu"),
    ]
    for other in (embedder, *others):
        np.testing.assert_array_equal(store.vectors(other, TEXTS), other.compute(TEXTS))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-9, 9, width=32), min_size=6, max_size=6), min_size=1, max_size=5))
def test_answers_combine_as_a_method_says(rows):
    answers = np.array(rows, dtype=np.float32).reshape(len(rows), 2, 3)
    before = answers.copy()
    np.testing.assert_allclose(combine(iter(answers), "mean"), answers.mean(axis=0), atol=1e-5)
    np.testing.assert_array_equal(combine(iter(answers), "max"), answers.max(axis=0))
    np.testing.assert_array_equal(combine(iter(answers), "concat"), np.concatenate(answers, axis=-1))
    np.testing.assert_array_equal(answers, before)


def test_progress_is_told_once_for_each_text(embedder, store):
    told: list[int] = []
    store.vectors(embedder, TEXTS[:3], told.append)
    assert sum(told) == 3
    told.clear()
    store.vectors(embedder, TEXTS, told.append)  # of which three are kept
    assert sum(told) == len(set(TEXTS))


def test_texts_that_were_cut_are_counted_once(tiny_model, store):
    windowed = Embedder(tiny_model("llama_window"), method="ck", dtype="float32", device="cpu")
    for _ in range(2):
        store.vectors(windowed, ["word " * 400, "short"])
    assert store.cut_texts == 1


# Nothing is computed twice


def test_methods_that_share_prompts_and_tasks_that_share_texts_ask_once(embedder, store, asked):
    for method in ("pretended_cot", "ck", "knowledge", "ck"):
        for texts in (TEXTS[:4], TEXTS, TEXTS[3:]):
            store.vectors(embedder.with_method(method), texts)
    assert set(asked.values()) == {1}
    assert len(asked) == 2 * len(set(TEXTS))


def test_an_auxiliary_prompt_is_asked_once_for_all_prompts(embedder, store, asked):
    steered = embedder.with_method("metaeol", steering={"layer": 2})
    store.vectors(steered, TEXTS)
    assert set(asked.values()) == {1}
    assert len(asked) == 9 * len(set(TEXTS))


def test_a_prompt_that_stands_twice_in_a_method_is_asked_once(embedder, store, asked):
    store.vectors(embedder.with_method(Method("twice", [ONE, ONE, OTHER])), TEXTS)
    assert set(asked.values()) == {1}


def test_layers_that_are_kept_are_not_computed_again(embedder, store, asked):
    store.vectors(embedder.with_method("prompteol", layer=[1, 2, 5]), TEXTS)
    before = sum(asked.values())
    found = store.vectors(embedder.with_method("prompteol", layer=[5, 1]), TEXTS)
    assert sum(asked.values()) == before
    np.testing.assert_array_equal(found, embedder.with_method("prompteol", layer=[5, 1]).compute(TEXTS))


def test_another_command_finds_what_the_first_one_kept(embedder, tmp_path, asked):
    first = AnswerStore(tmp_path).vectors(embedder, TEXTS)
    before = sum(asked.values())
    np.testing.assert_array_equal(AnswerStore(tmp_path).vectors(embedder, TEXTS), first)
    assert sum(asked.values()) == before


def test_a_stopped_run_goes_on_with_the_next_piece(embedder, tmp_path, small_pieces, monkeypatch):
    texts = sentences(100)
    seen: list[str] = []
    answers = Embedder.answers

    def stopped(self, some, *arguments, **options):
        if len(seen) == 64:
            raise KeyboardInterrupt
        seen.extend(some)
        return answers(self, some, *arguments, **options)

    ck = embedder.with_method("ck")
    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "answers", stopped)
        with pytest.raises(KeyboardInterrupt):
            AnswerStore(tmp_path).vectors(ck, texts)
        finished = set(seen)
        assert len(finished) == 64
        seen.clear()
        found = AnswerStore(tmp_path).vectors(ck, texts)
    assert len(seen) == 36
    assert finished.isdisjoint(seen)
    np.testing.assert_allclose(found, ck.compute(texts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"half", None], ids=["emptied", "nonsense", "cut short"])
def test_a_broken_piece_is_computed_again(embedder, tmp_path, small_pieces, asked, content):
    texts = sentences(64)
    first = AnswerStore(tmp_path).vectors(embedder, texts)
    asked.clear()
    pieces = sorted(tmp_path.rglob("*.safetensors"))
    assert len(pieces) == 2
    pieces[0].write_bytes(pieces[0].read_bytes()[:-8] if content is None else content)
    np.testing.assert_allclose(AnswerStore(tmp_path).vectors(embedder, texts), first, rtol=1e-4, atol=1e-5)
    assert sum(asked.values()) == 32
    asked.clear()
    AnswerStore(tmp_path).vectors(embedder, texts)
    assert not asked


def test_a_piece_that_another_run_removed_is_told_with_a_way_out(embedder, store, tmp_path):
    store.vectors(embedder, TEXTS)
    (piece,) = (tmp_path / "vectors").rglob("*.safetensors")
    piece.unlink()
    with pytest.raises(OutputError, match="another run with the same --results may have removed it"):
        store.vectors(embedder, TEXTS)


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(embedder, tmp_path):
    (tmp_path / "vectors").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be made: .*; name another --results"):
        AnswerStore(tmp_path / "vectors").vectors(embedder, TEXTS)


# What is removed


def test_discarding_removes_what_was_asked_for_and_the_empty_folder(embedder, store, tmp_path):
    store.vectors(embedder.with_method("ck", layer=[2, 5]), TEXTS)
    assert len(files(tmp_path)) == 4
    store.discard()
    assert list(tmp_path.iterdir()) == []
    assert store.vectors(embedder, TEXTS).shape == (len(TEXTS), 1, 48)  # and it can be asked again


def test_discarding_leaves_what_others_keep_there(embedder, tmp_path):
    kept = AnswerStore(tmp_path / "vectors")
    kept.vectors(embedder.with_method("knowledge", layer=[2, 5]), TEXTS)
    before = files(tmp_path)
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "vectors" / "precious.txt").write_text("precious")
    store = AnswerStore(tmp_path / "vectors")
    store.vectors(embedder.with_method("pretended_cot"), TEXTS)
    store.discard()
    assert files(tmp_path) == sorted([*before, "precious.txt", "vectors/precious.txt"])


def test_discarding_what_another_run_has_removed_already_is_no_error(embedder, tmp_path):
    stores = [AnswerStore(tmp_path / "vectors") for _ in range(2)]
    for store in stores:
        store.vectors(embedder, TEXTS)
    for store in stores:
        store.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_a_stopped_run_left_goes_too_when_its_scores_are_found_again(embedder, tmp_path):
    pairs = SentencePairs("STSB", TEXTS[:3], TEXTS[3:], [1, 2, 3])
    results = ResultFolder(tmp_path / "results")
    evaluate_sts(embedder, pairs, results, AnswerStore(tmp_path / "vectors"), "stopped before it discarded")
    store = AnswerStore(tmp_path / "vectors")
    evaluate_sts(embedder, pairs, results, store, "went on")
    store.discard()
    assert not (tmp_path / "vectors").exists()


# Methods on one loaded model


@pytest.mark.parametrize(
    "options",
    [
        {"method": "metaeol"},
        {"method": "ck", "layer": [1, "last"]},
        {"method": "prompteol_cp", "layer": 3},
        {"method": "ck", "steering": {"layer": 2, "norm": "recover"}, "layer": "all"},
        {"method": "prompteol", "demonstrations": [("A cat sat", "cat")]},
        {"method": "echo", "layer": "proportional"},
        {},
    ],
    ids=str,
)
def test_another_method_gives_what_a_model_loaded_with_it_gives(embedder, llama, options):
    other, fresh = embedder.with_method(**options), Embedder(llama, dtype="float32", device="cpu", **options)
    np.testing.assert_array_equal(other.encode(TEXTS), fresh.encode(TEXTS))
    assert other.fingerprint == fresh.fingerprint
    assert (other.method, other.layer, other.layers, other.dimension, other.model) == (
        fresh.method,
        fresh.layer,
        fresh.layers,
        fresh.dimension,
        fresh.model,
    )


def test_the_original_stays_as_it_was(llama):
    original = Embedder(llama, method="ck", layer=[2, 5], dtype="float32", device="cpu")
    before = original.encode(TEXTS), original.fingerprint, original.method, original.layer, original.dimension
    other = original.with_method(Method("both", [ONE, OTHER], combine="concat"), steering={"layer": 2}, layer=3)
    other.encode(TEXTS)
    np.testing.assert_array_equal(original.encode(TEXTS), before[0])
    assert (original.fingerprint, original.method, original.layer, original.dimension) == before[1:]
    assert other.dimension == 2 * original.dimension


def test_texts_cut_by_one_method_are_not_counted_for_another(tiny_model):
    original = Embedder(tiny_model("llama_window"), dtype="float32", device="cpu")
    with pytest.warns(UserWarning, match="1 of 1 texts"):
        original.encode(["word " * 400])
    other = original.with_method("ck")
    assert (original.cut_texts, other.cut_texts) == (1, 0)


def test_a_layer_deeper_than_what_was_loaded_is_refused(llama):
    shallow = Embedder(llama, layer=2, dtype="float32", device="cpu")
    for layer in (3, "last", [1, 5], None):
        with pytest.raises(ModelError, match=r"was loaded with 2 of its 5 blocks; layer \d needs more"):
            shallow.with_method("ck", layer=layer)
    fresh = Embedder(llama, method="ck", layer=1, dtype="float32", device="cpu")
    np.testing.assert_array_equal(shallow.with_method("ck", layer=1).encode(TEXTS), fresh.encode(TEXTS))


def test_steering_that_no_layer_sees_is_refused_there_too(embedder):
    with pytest.raises(MethodError, match="steering changes block 3"):
        embedder.with_method("ck", steering={"layer": 3}, layer=2)


@pytest.mark.parametrize("asked_before", [False, True], ids=["first", "after the original"])
def test_tokens_are_those_of_the_new_method(llama, asked_before):
    original = Embedder(llama, dtype="float32", device="cpu")
    if asked_before:
        original.top_tokens("A cat")
    fresh = Embedder(llama, method="ck", layer=[2, 5], dtype="float32", device="cpu")
    found = original.with_method("ck", layer=[2, 5]).top_tokens("A cat", k=5)
    assert found == fresh.top_tokens("A cat", k=5)


def test_the_fingerprint_of_one_layer_is_that_of_its_embedder(embedder):
    several = embedder.with_method("ck", layer=[2, 5])
    for layer in several.layers:
        assert several.fingerprint_of([layer]) == embedder.with_method("ck", layer=layer).fingerprint
    assert several.fingerprint == several.fingerprint_of(several.layers)
