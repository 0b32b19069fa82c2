"""LLMs as predictors: label words are read off the whole model's logits, and a batch writes what one text gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf

from oneword.errors import InputError, MethodError, ModelError
from oneword.tasks.predictor import read_answers
from oneword.tasks.predictors import GeneratingPredictor, LabelWordPredictor

TEXTS = ["The cat sat on the mat.", "A man is playing a guitar and he sings.", "No", "It's a lovely day, isn't it."]
SECOND = ["A dog runs.", "He is loud.", "They bought 3 tickets for 25 pounds! " * 3, "It is late."]
WORDS = {"good": ["good", "The"], "bad": ["bad"]}

# Label words


class Plain:
    """A whole model, and its logits behind the whole prompt."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        self.model = tf.AutoModelForCausalLM.from_pretrained(folder).eval()

    def probabilities(self, filled: str, before: str = " ") -> np.ndarray:
        """Of each label of WORDS; ``before`` is what its words follow the prompt with."""
        ids = self.tokenizer(filled)["input_ids"]
        ids = ids[:-1] if ids[-1] == self.tokenizer.eos_token_id else ids
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
        scores = [
            max(logits[self.tokenizer(filled + before + word)["input_ids"][len(ids)]] for word in words)
            for words in WORDS.values()
        ]
        return torch.stack(scores).softmax(-1).numpy()


PROMPTS = {
    "Does it follow? {text} Answer:": " ",
    "{text} Did he like it? ": " ",
    "Is it good or bad?\n\n{text}": " ",
    'This sentence : "{text}" means in one word:"': "",
}


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "llama_eos", "bloom"])
def test_label_words_give_the_whole_model_s_probabilities(tiny_model, name):
    folder = tiny_model(name)
    first = LabelWordPredictor(folder, next(iter(PROMPTS)), WORDS, dtype="float32", device="cpu")
    texts = [*TEXTS, "with {braces}\n and white space "]
    plain = Plain(folder)
    for prompt, before in PROMPTS.items():
        predictor = first if prompt == next(iter(PROMPTS)) else first.with_prompt(prompt, WORDS)
        expected = [plain.probabilities(prompt.replace("{text}", text).strip(), before) for text in texts]
        assert predictor.predict(texts) == pytest.approx(np.array(expected), abs=1e-4), prompt
        assert predictor.classes == ("good", "bad")


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "prompt",
    [
        'Given that {premise} Is "{hypothesis}" true?',
        "{hypothesis}: said of {premise}",
        "First {text}, then {text_pair}: good or bad?",
    ],
)
def test_label_words_of_a_pair_s_prompt(tiny_model, name, prompt):
    folder = tiny_model(name)
    predictor = LabelWordPredictor(folder, prompt, WORDS, dtype="float32", device="cpu")
    second = ["{premise} and {text}", *SECOND[1:]]  # what looks like a slot is a text all the same
    slots = ("{premise}", "{hypothesis}") if "premise" in prompt else ("{text}", "{text_pair}")
    pieces = prompt.replace(slots[0], "\0A\0").replace(slots[1], "\0B\0").split("\0")
    filled = [
        "".join({"A": one, "B": other}.get(piece, piece) for piece in pieces) for one, other in zip(TEXTS, second)
    ]
    plain = Plain(folder)
    expected = [plain.probabilities(text.strip()) for text in filled]
    assert predictor.predict(TEXTS, second) == pytest.approx(np.array(expected), abs=1e-4)
    # The fixed part stays a prefix that the engine shares
    assert predictor._embedder.method.prompts[0].prefix == pieces[0]
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        predictor.predict(TEXTS)


def test_a_long_pair_keeps_both_texts_and_the_prompt(tiny_model):
    folder = tiny_model("llama_window")
    predictor = LabelWordPredictor(
        folder, "Take {premise} and ask whether {hypothesis} is true.", WORDS, dtype="float32", device="cpu"
    )
    long = "the cat sat on the mat " * 40
    first, second = predictor.predict([long, long], ["A dog runs.", "It is late."])
    assert np.abs(first - second).max() > 1e-3
    assert predictor._embedder.cut_texts == 0  # the engine would have cut the end, where the short text stands


def test_another_prompt_on_the_same_weights(tiny_model):
    folder = tiny_model("llama")
    first = LabelWordPredictor(folder, "{text} Good?", WORDS, dtype="float32", device="cpu")
    other = first.with_prompt("{text} Is it bad?", {"no": ["good"], "yes": ["bad"]})
    fresh = LabelWordPredictor(
        folder, "{text} Is it bad?", {"no": ["good"], "yes": ["bad"]}, dtype="float32", device="cpu"
    )
    assert other.predict(TEXTS) == pytest.approx(fresh.predict(TEXTS), abs=1e-6)
    assert other.fingerprint == fresh.fingerprint != first.fingerprint
    assert first.classes == ("good", "bad")
    assert first.fingerprint != first.with_prompt("{text} Good?", {"bad": ["good"], "good": ["bad"]}).fingerprint
    with pytest.raises(InputError, match="single texts and was given pairs"):
        other.predict(TEXTS, SECOND)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            {"a": ["the cat"], "b": ["good", "the dog"]},
            r"'the cat' of 'a' and 'the dog' of 'b' begin with the same token",
        ),
        ({"a": ["good"]}, "label_words has 1 label; a task needs two"),
        ({}, "label_words has no labels"),
        ({"a": ["good"], "b": []}, r"the words of 'b' are \[\]"),
        ({"a": ["good"], "b": [" "]}, r"the words of 'b' are \[' '\]"),
    ],
)
def test_label_words_that_cannot_be_told_apart_are_refused(tiny_model, words, problem):
    with pytest.raises(InputError, match=problem):
        LabelWordPredictor(tiny_model("llama"), "{text} Good?", words, dtype="float32", device="cpu")


def test_a_word_that_merges_with_the_prompt_is_refused(tiny_model):
    with pytest.raises(InputError, match=r"'The' merges with the end of the prompt '\{text\} is \"' into one token"):
        LabelWordPredictor(tiny_model("llama"), '{text} is "', {"a": "The", "b": "bad"}, device="cpu")


def test_a_word_that_the_model_does_not_know_is_refused(tiny_model, tmp_path):
    folder = tmp_path / "words"
    shutil.copytree(tiny_model("llama"), folder, ignore=shutil.ignore_patterns("tokenizer*", "special*"))
    tf.AutoTokenizer.from_pretrained(tiny_model("bert")).save_pretrained(folder)
    with pytest.raises(InputError, match="words has no token that '\u2603' begins with"):
        LabelWordPredictor(folder, "{text}", {"a": "\u2603", "b": "bad"}, dtype="float32", device="cpu")


def test_one_word_need_not_be_a_list(tiny_model):
    one = LabelWordPredictor(tiny_model("llama"), "{text}", {"a": "good", "b": "bad"}, dtype="float32", device="cpu")
    assert one.fingerprint == one.with_prompt("{text}", {"a": ["good"], "b": ["bad"]}).fingerprint


@pytest.mark.parametrize(
    "prompt", ["Good?", "{text} {text}", "{premise} alone", "{text} and {hypothesis}", "{text_pair}", ""]
)
def test_a_prompt_needs_its_slots(prompt):
    with pytest.raises(MethodError, match=r"it needs one \{text\}, or for pairs one \{text\} and one \{text_pair\}"):
        LabelWordPredictor("no model", prompt, WORDS)


def test_label_words_need_a_decoder(tiny_model):
    with pytest.raises(ModelError, match=r"bert_masked_lm \(bert\) looks both ways"):
        LabelWordPredictor(tiny_model("bert_masked_lm"), "{text}", WORDS)


# Generation


def written_alone(folder: Path, filled: str, count: int) -> str:
    """What the model writes, token by token, without a cache or a batch."""
    tokenizer, model = tf.AutoTokenizer.from_pretrained(folder), tf.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(filled)["input_ids"]
    ids = ids[:-1] if ids[-1] == tokenizer.eos_token_id else ids
    start = len(ids)
    while len(ids) < start + count and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


@pytest.mark.parametrize("name", ["llama", "llama_eos", "gpt2", "opt"])
def test_a_batch_writes_what_each_text_gets_alone(tiny_model, name):
    folder = tiny_model(name)
    predictor = GeneratingPredictor(
        folder, "Say it again: {text}", max_new_tokens=6, batch_size=3, dtype="float32", device="cpu"
    )
    answers = predictor.predict(TEXTS)
    assert answers == [written_alone(folder, f"Say it again: {text}", 6) for text in TEXTS]
    assert len(set(answers)) > 1
    assert read_answers(answers, 4, predictor.name).kind == "strings"


def test_an_answer_ends_where_the_model_ends_it(tiny_model, tmp_path):
    folder = tmp_path / "ends"
    shutil.copytree(tiny_model("gpt2"), folder)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    whole = GeneratingPredictor(folder, "{text}", max_new_tokens=6, dtype="float32", device="cpu")
    ids = whole._loaded.model.generate(**tokenizer(TEXTS[0], return_tensors="pt"), max_new_tokens=6, do_sample=False)
    written = ids[0, -6:].tolist()
    last = next(place for place in range(1, 6) if written[place] not in written[:place])
    tf.GenerationConfig(eos_token_id=[tokenizer.eos_token_id, written[last]]).save_pretrained(folder)
    ended = GeneratingPredictor(folder, "{text}", max_new_tokens=6, dtype="float32", device="cpu")
    assert whole.predict(TEXTS[:1]) == [tokenizer.decode(written).strip()]
    assert ended.predict(TEXTS)[0] == tokenizer.decode(written[:last]).strip()


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_writes_too(tiny_model, name):
    folder = tiny_model(name)
    predictor = GeneratingPredictor(
        folder, "{text} and {text_pair}", max_new_tokens=5, batch_size=3, dtype="float32", device="cpu"
    )
    together = predictor.predict(TEXTS, SECOND)
    assert together == [predictor.predict([one], [other])[0] for one, other in zip(TEXTS, SECOND)]
    assert any(together)


def test_the_chat_template_is_used_where_there_is_one(tiny_model, tmp_path):
    folder = tmp_path / "chat"
    shutil.copytree(tiny_model("llama"), folder)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}<s>[{{ m['content'] }}]{% endfor %}{{ ' >\\n' }}"
    tokenizer.save_pretrained(folder)
    predictor = GeneratingPredictor(folder, "Say {text}", dtype="float32", device="cpu")
    assert tokenizer.decode(predictor._tokens("it", None)) == tokenizer.decode(
        tokenizer("<s>[Say it] >\n", add_special_tokens=False)["input_ids"]
    )
    assert predictor._tokens("it", None).count(tokenizer.bos_token_id) == 1
    plain = GeneratingPredictor(tiny_model("llama"), "Say {text}", dtype="float32", device="cpu")
    assert plain.fingerprint != predictor.fingerprint


def test_a_long_text_leaves_room_for_the_answer(tiny_model):
    predictor = GeneratingPredictor(
        tiny_model("gpt2_window"), "Say {text} again:", max_new_tokens=8, dtype="float32", device="cpu"
    )
    ids = predictor._tokens("the cat sat on the mat " * 60, None)
    assert 100 < len(ids) <= 120
    assert predictor._loaded.tokenizer.decode(ids).endswith("again:")
    with pytest.raises(MethodError, match="leaves no room for a text"):
        GeneratingPredictor(tiny_model("gpt2_window"), "many words " * 100 + "{text}", device="cpu").predict(["a"])


def test_a_written_class_is_read_and_any_other_answer_refused(tiny_model, monkeypatch):
    predictor = GeneratingPredictor(tiny_model("llama"), "{text}", classes=["Yes", "No"], device="cpu")
    monkeypatch.setattr(predictor, "_written", lambda rows: ["yes."] * len(rows))
    assert predictor.predict(["a"]) == ["Yes"]
    monkeypatch.setattr(predictor, "_written", lambda rows: ["perhaps"] * len(rows))
    with pytest.raises(
        ModelError, match=r"answered 'perhaps' to the text 'a b', which is none of its classes \(Yes, No\)"
    ):
        predictor.predict(["a b"])


def test_a_model_that_cannot_write_is_refused(tiny_model):
    with pytest.raises(ModelError, match="lacks weights of its output head"):
        GeneratingPredictor(tiny_model("bert"), "{text}")


@pytest.mark.slow
def test_the_default_model_knows_good_from_bad():
    words = {"good": ["positive", "Positive"], "bad": ["negative", "Negative"]}
    predictor = LabelWordPredictor(None, "Review: {text}\nThe sentiment of this review is", words)
    found = predictor.predict(["I loved every minute of it.", "A dull and awful waste of time."])
    assert found[0, 0] > found[1, 0]
