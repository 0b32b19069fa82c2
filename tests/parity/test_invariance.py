"""What holds for any texts: order, batches and repetitions change nothing, all of Unicode passes, long texts fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import oneword.answering
from oneword import Embedder, Method, Prompt
from oneword.errors import MethodError
from oneword.registry import find_method
from parity.compare import TEXTS, assert_same

# The same examples in every run, and as much time as a busy machine needs
STABLE = settings(derandomize=True, deadline=None, database=None)

BOTH_TOKENIZERS = pytest.mark.parametrize("name", ["gpt2", "mistral"])
WINDOW_OF_128 = pytest.mark.parametrize("name", ["gpt2_window", "llama_window", "llama_window_eos"])

# Any text at all, and texts of what meets the prompt's seams and the cleaning rule
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SEAMS = st.lists(st.sampled_from([*"\"'.?! \n", "The", " rain", "It's", '."', "é", "雨"]), min_size=1, max_size=8)
USABLE = (ANY_TEXT | SEAMS.map("".join)).filter(lambda text: not text.isspace())


@pytest.fixture(scope="module")
def embedder_of(tiny_model):
    """Embedders by model and method; one serves all examples, as it would serve a user."""
    embedders = {}

    def embedder(name, method="ck"):
        if (name, method) not in embedders:
            embedders[name, method] = Embedder(tiny_model(name), method=method, dtype="float32", device="cpu")
        return embedders[name, method]

    return embedder


@BOTH_TOKENIZERS
@settings(STABLE, max_examples=60)
@given(text=USABLE)
@example(text="<s> and </s>")  # spelt like special tokens
@example(text="<0x41> Ġ ▁ \\n")
@example(text="nul \x00, byte order mark \ufeff, zero width \u200b, right to left \u202e")
@example(text="e\u0301\u0301\u0301")
def test_any_text_equals_the_oracle(name, text, embedder_of, oracle_of):
    found = embedder_of(name).encode([text])
    assert np.isfinite(found).all()
    assert_same(found, oracle_of(name).vectors(find_method("ck"), [text], -1), repr(text))


@BOTH_TOKENIZERS
@settings(STABLE, max_examples=25)
@given(data=st.data(), texts=st.lists(USABLE, min_size=1, max_size=8, unique=True), batch_size=st.integers(1, 9))
def test_order_and_batches_change_nothing(name, data, texts, batch_size, embedder_of):
    embedder = embedder_of(name)
    order = data.draw(st.permutations(range(len(texts))))
    expected = np.stack([embedder.encode(text) for text in texts])
    assert_same(embedder.encode(texts), expected, "all together")
    found = embedder.encode([texts[place] for place in order], batch_size=batch_size)
    assert_same(found, expected[order], "in another order")


@BOTH_TOKENIZERS
@settings(STABLE, max_examples=25)
@given(data=st.data(), texts=st.lists(USABLE, min_size=1, max_size=5, unique=True))
def test_equal_texts_have_equal_vectors_to_the_bit(name, data, texts, embedder_of):
    places = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=2, max_size=12))
    found = embedder_of(name).encode([texts[place] for place in places], batch_size=2)
    for one, vector in zip(places, found):
        assert (vector == found[places.index(one)]).all()


@BOTH_TOKENIZERS
def test_earlier_calls_leave_no_trace(name, embedder_of):
    embedder = embedder_of(name)
    before = embedder.encode(TEXTS)
    embedder.encode(["Something else altogether, and longer than the rest. " * 5, "x"], batch_size=1)
    assert (embedder.encode(TEXTS) == before).all()


@BOTH_TOKENIZERS
def test_sections_of_many_texts_change_nothing(name, embedder_of, monkeypatch):
    texts = [f"{number} drops of rain" for number in range(150)]
    expected = embedder_of(name).encode(texts)
    monkeypatch.setattr(oneword.answering, "_SECTION_BYTES", 1)  # the smallest sections, of 64 texts
    assert_same(embedder_of(name).encode(texts), expected, "in sections")


# Long texts, in a window of 128 tokens

WINDOW = 128
SPARE = 8  # one more character can be this many tokens, and the full stop that cleaning adds

LONG = st.builds(lambda text, times: (text + " ") * times, USABLE, st.integers(150, 300))


@WINDOW_OF_128
@settings(STABLE, max_examples=20)
@given(text=LONG)
@example(text="It rained for a week, and then the river came over the road to the mill. " * 20)
@example(text="雨" * 500)
@example(text="a" * 2000)
@example(text="\n" * 400 + "end")
def test_a_long_text_is_cut_at_its_end_and_the_prompt_is_whole(name, text, embedder_of, oracle_of):
    embedder, oracle, method = embedder_of(name, "prompteol"), oracle_of(name), find_method("prompteol")
    with pytest.warns(UserWarning, match=f"^1 of 1 texts were longer than the model's window of {WINDOW} tokens"):
        found = embedder.encode(text)
    # The prompt is whole and last in all of these rows; the vector must be that of one that nearly fills the window
    filling = []
    for end in range(1, len(text)):
        length = len(oracle.tokens(method.prompts[0].wording, text[:end], "one_word"))
        if WINDOW - SPARE <= length <= WINDOW:
            filling.append(text[:end])
        if length > WINDOW + SPARE:
            break
    expected = oracle.vectors(method, filling, -1)
    nearest = int(np.abs(expected - found).max(axis=1).argmin())
    assert_same(found[None], expected[nearest : nearest + 1], f"cut near {len(filling[nearest])} characters")


@WINDOW_OF_128
def test_texts_up_to_the_window_are_not_cut(name, embedder_of, oracle_of):
    embedder, oracle, method = embedder_of(name, "prompteol"), oracle_of(name), find_method("prompteol")
    beginnings = [" on and" * times for times in range(1, WINDOW)]
    lengths = [len(oracle.tokens(method.prompts[0].wording, text, "one_word")) for text in beginnings]
    assert WINDOW in lengths
    fits = [text for text, length in zip(beginnings, lengths) if length <= WINDOW]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(embedder.encode(fits), oracle.vectors(method, fits, -1), "fits")
    with pytest.warns(UserWarning, match="^1 of 1 texts"):
        embedder.encode([beginnings[len(fits)]])


@WINDOW_OF_128
def test_the_warning_counts_texts_once_for_all_prompts(name, embedder_of):
    embedder = embedder_of(name)
    texts = ["short", "It rained for a week. " * 40, "It snowed for a week. " * 40]
    before = embedder.cut_texts
    with pytest.warns(UserWarning, match="^2 of 3 texts"):
        embedder.encode(texts)
    assert embedder.cut_texts == before + 2


def test_the_warning_counts_equal_texts_too(embedder_of):
    with pytest.warns(UserWarning, match="^2 of 2 texts"):
        embedder_of("llama_window").encode(["It rained for a week. " * 40] * 2)


def test_a_prompt_that_fills_the_window_is_an_error(tiny_model):
    method = Method("long", [Prompt("Think, and then think again. " * 30 + '"{text}" in one word:"', name="thinker")])
    embedder = Embedder(tiny_model("gpt2_window"), method=method, dtype="float32", device="cpu")
    with pytest.raises(MethodError, match=f"'thinker' takes .* more than the model's window of {WINDOW}"):
        embedder.encode(["Rain"])
