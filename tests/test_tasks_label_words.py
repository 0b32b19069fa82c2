"""An LLM with a prompt and label words: probabilities are those of the whole model's logits behind the whole prompt."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf

from oneword.errors import InputError, MethodError, ModelError
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors import LabelWordPredictor

TEXTS = ["The cat sat on the mat.", "A man is playing a guitar and he sings.", "No", "It's a lovely day, isn't it."]
SECOND = ["A dog runs.", "He is loud.", "They bought 3 tickets for 25 pounds! " * 3, "It is late."]
WORDS = {"good": ["good", "The"], "bad": ["bad"]}
CHAT = "{% for m in messages %}<s>[{{ m['role'] }}: {{ m['content'] }}]{% endfor %}{{ '>\\n' }}"


class Plain:
    """A whole model, and its logits behind the whole prompt."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        self.model = tf.AutoModelForCausalLM.from_pretrained(folder).eval()

    def ids(self, filled: str, special: bool = True) -> list[int]:
        ids = self.tokenizer(filled, add_special_tokens=special)["input_ids"]
        return ids[:-1] if special and ids[-1] == self.tokenizer.eos_token_id else ids

    @torch.no_grad()
    def logits(self, ids: list[int]) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([ids])).logits[0].double()

    def probabilities(self, filled: str, before: str = " ", words: dict = WORDS, special: bool = True) -> np.ndarray:
        """Of each label; ``before`` is what its words follow the prompt with."""
        ids = self.ids(filled, special)
        tokens = {
            word: self.ids(filled + before + word, special)[len(ids) :] for each in words.values() for word in each
        }
        return self.of_tokens(ids, tokens, words)

    def of_tokens(self, ids: list[int], tokens: dict[str, list[int]], words: dict) -> np.ndarray:
        """The same, of words that are these tokens."""
        single = all(len(found) == 1 for found in tokens.values())

        def score(word: str) -> float:
            if single:
                return float(self.logits(ids)[-1][tokens[word][0]])
            said = [self.logits([*ids, *tokens[word][:k]])[-1].log_softmax(-1) for k in range(len(tokens[word]))]
            return float(sum(each[token] for each, token in zip(said, tokens[word])))

        scores = [max(score(word) for word in each) for each in words.values()]
        return torch.tensor(scores).softmax(-1).numpy()


def asked(folder, wording, words=WORDS, request=False, reason=False, **options):
    prompt = LabelPrompt(wording, words, request=request, reason=reason)
    return LabelWordPredictor(folder, prompt, dtype="float32", device="cpu", **options)


@pytest.fixture
def chat_folder(tiny_model, tmp_path):
    folder = tmp_path / "chat"
    shutil.copytree(tiny_model("llama"), folder)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


PROMPTS = {
    "Does it follow? {text} Answer:": " ",
    "{text} Did he like it? ": " ",
    "Is it good or bad?\n\n{text}": " ",
    'This sentence : "{text}" means in one word:"': "",
}


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "llama_eos", "bloom"])
def test_probabilities_are_the_whole_model_s(tiny_model, name):
    folder = tiny_model(name)
    first = asked(folder, next(iter(PROMPTS)))
    texts = [*TEXTS, "with {braces}\n and white space "]
    plain = Plain(folder)
    for prompt, before in PROMPTS.items():
        predictor = first.with_prompt(LabelPrompt(prompt, WORDS, request=False))
        expected = [plain.probabilities(prompt.replace("{text}", text).strip(), before) for text in texts]
        assert predictor.predict(texts) == pytest.approx(np.array(expected), abs=1e-4), prompt
        assert predictor.classes == ("good", "bad")


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_words_of_several_tokens_are_scored_whole(tiny_model, name):
    folder, words = tiny_model(name), {"a": ["the cat", "good"], "b": ["the mat", "a man is"]}
    predictor = asked(folder, "{text} It is:", words)
    plain = Plain(folder)
    expected = [plain.probabilities(f"{text} It is:", " ", words) for text in TEXTS]
    assert predictor.predict(TEXTS) == pytest.approx(np.array(expected), abs=1e-4)
    assert predictor.alike == (("the cat", "the mat"),)
    assert asked(folder, "{text} It is:").alike == ()


def test_the_request_stands_behind_the_prompt(tiny_model):
    folder = tiny_model("llama")
    predictor = asked(folder, "{text} Did he like it? ", request=True)
    request = 'Answer only with one of the words "good", "the" or "bad", in lower case, without explanation.'
    plain = Plain(folder)
    expected = [plain.probabilities(f"{text} Did he like it?\n{request}") for text in TEXTS]
    assert predictor.predict(TEXTS) == pytest.approx(np.array(expected), abs=1e-4)


def test_a_chat_model_is_asked_in_its_own_template(chat_folder):
    plain = Plain(chat_folder)
    expected = [plain.probabilities(f"<s>[user: Is {text} good?]>\n", "", special=False) for text in TEXTS]
    predictor = asked(chat_folder, "Is {text} good?")
    assert predictor.predict(TEXTS) == pytest.approx(np.array(expected), abs=1e-4)
    bare = asked(chat_folder, "Is {text} good?", chat=False)
    expected = [plain.probabilities(f"Is {text} good?") for text in TEXTS]
    assert bare.predict(TEXTS) == pytest.approx(np.array(expected), abs=1e-4)
    assert bare.fingerprint != predictor.fingerprint


def test_chat_asked_of_a_model_without_a_template_is_refused(tiny_model):
    with pytest.raises(ModelError, match=r"llama has no chat template; leave chat out \(--no-chat\)"):
        asked(tiny_model("llama"), "{text}", chat=True)


@pytest.mark.parametrize("chat", [True, False])
def test_it_reasons_first_and_is_then_asked_for_the_word(chat_folder, chat):
    predictor = asked(
        chat_folder, "{text} Reason step by step.", request=True, reason=True, chat=chat, max_reasoning_tokens=5
    )
    plain, expected = Plain(chat_folder), []
    for text in TEXTS:
        filled = f"{text} Reason step by step."
        ids = plain.ids(f"<s>[user: {filled}]>\n" if chat else filled, special=not chat)
        for _ in range(5):
            token = int(plain.logits(ids)[-1].argmax())
            if token == plain.tokenizer.eos_token_id:
                break
            ids = [*ids, token]
        request = predictor.prompt.asked_for
        closing = f"]<s>[user: {request}]>\n" if chat else f"\n{request}"
        ids += plain.ids(closing, special=False)
        before = "" if chat else " "
        tokens = {
            word: plain.ids(closing + before + word, special=False)[len(plain.ids(closing, special=False)) :]
            for each in WORDS.values()
            for word in each
        }
        expected.append(plain.of_tokens(ids, tokens, WORDS))
    assert predictor.predict(TEXTS) == pytest.approx(np.array(expected), abs=1e-4)
    assert len(set(predictor.reasoning(TEXTS))) > 1


def test_perplexity_comes_with_the_probabilities(tiny_model):
    folder = tiny_model("gpt2")
    plain = Plain(folder)
    several = {"a": ["the cat"], "b": ["bad"]}
    for words in (WORDS, several):
        predictor = asked(folder, "{text} Is it good?", words)
        probabilities, perplexity = predictor.predict_with_perplexity(TEXTS)
        assert probabilities == pytest.approx(predictor.predict(TEXTS), abs=1e-5)
        for text, found in zip(TEXTS, perplexity):
            ids = plain.ids(f"{text} Is it good?")
            said = plain.logits(ids).log_softmax(-1)
            losses = [-float(said[place][token]) for place, token in enumerate(ids[1:])]
            assert found == pytest.approx(np.exp(np.mean(losses)), rel=1e-3)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "prompt",
    [
        'Given that {premise} Is "{hypothesis}" true?',
        "{hypothesis}: said of {premise}",
        "First {text}, then {text_pair}: good or bad?",
    ],
)
def test_a_pair_s_prompt(tiny_model, name, prompt):
    folder = tiny_model(name)
    predictor = asked(folder, prompt)
    second = ["{premise} and {text}", *SECOND[1:]]  # what looks like a slot is a text all the same
    slots = ("{premise}", "{hypothesis}") if "premise" in prompt else ("{text}", "{text_pair}")
    pieces = prompt.replace(slots[0], "\0A\0").replace(slots[1], "\0B\0").split("\0")
    filled = [
        "".join({"A": one, "B": other}.get(piece, piece) for piece in pieces) for one, other in zip(TEXTS, second)
    ]
    plain = Plain(folder)
    expected = [plain.probabilities(text.strip()) for text in filled]
    assert predictor.predict(TEXTS, second) == pytest.approx(np.array(expected), abs=1e-4)
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        predictor.predict(TEXTS)


@pytest.mark.parametrize("reason", [False, True])
def test_a_long_pair_keeps_both_texts_and_the_prompt(tiny_model, reason):
    folder = tiny_model("llama_window")
    predictor = asked(
        folder,
        "Take {premise} and ask whether {hypothesis} is true.",
        reason=reason,
        request=reason,
        max_reasoning_tokens=4,
    )
    long = "the cat sat on the mat " * 40
    first, second = predictor.predict([long, long], ["A dog runs.", "It is late."])
    assert np.abs(first - second).max() > 1e-4
    assert predictor.cut_texts == 2


def test_reasoning_that_fills_the_window_is_refused(tiny_model):
    with pytest.raises(MethodError, match=r"give fewer max_reasoning_tokens \(--max-reasoning-tokens\)"):
        asked(tiny_model("gpt2_window"), "{text}", request=True, reason=True)


def test_another_prompt_on_the_same_weights(tiny_model):
    folder = tiny_model("llama")
    first = asked(folder, "{text} Good?")
    words = {"no": ["good"], "yes": ["bad"]}
    other = first.with_prompt(LabelPrompt("{text} Is it bad?", words, request=False))
    fresh = asked(folder, "{text} Is it bad?", words)
    assert other.predict(TEXTS) == pytest.approx(fresh.predict(TEXTS), abs=1e-6)
    assert other.fingerprint == fresh.fingerprint != first.fingerprint
    assert first.classes == ("good", "bad")
    swapped = first.with_prompt(LabelPrompt("{text} Good?", {"bad": ["good"], "good": ["bad"]}, request=False))
    assert first.fingerprint != swapped.fingerprint
    # White space at a prompt's ends is not sent, so it makes no other prompt
    assert first.fingerprint == asked(folder, " {text} Good?\n").fingerprint
    with pytest.raises(InputError, match="single texts and was given pairs"):
        other.predict(TEXTS, SECOND)


def test_a_word_that_merges_with_the_prompt_is_refused(tiny_model):
    with pytest.raises(InputError, match=r"'The' merges with the end of the prompt '.* is \"' into one token"):
        asked(tiny_model("llama"), '{text} is "', {"a": ["The"], "b": ["bad"]})


def test_a_word_that_the_model_does_not_know_is_refused(tiny_model, tmp_path):
    folder = tmp_path / "words"
    shutil.copytree(tiny_model("llama"), folder, ignore=shutil.ignore_patterns("tokenizer*", "special*"))
    tf.AutoTokenizer.from_pretrained(tiny_model("bert")).save_pretrained(folder)
    with pytest.raises(InputError, match="words has no tokens for '\u2603'"):
        asked(folder, "{text}", {"a": ["\u2603"], "b": ["bad"]})


def test_label_words_need_a_decoder(tiny_model):
    with pytest.raises(ModelError, match=r"bert_masked_lm \(bert\) looks both ways"):
        asked(tiny_model("bert_masked_lm"), "{text}")


@pytest.mark.slow
def test_the_default_model_knows_good_from_bad():
    words = {"good": ["positive", "Positive"], "bad": ["negative", "Negative"]}
    prompt = LabelPrompt("Review: {text}\nThe sentiment of this review is", words, request=False)
    predictor = LabelWordPredictor(None, prompt, chat=False)
    found = predictor.predict(["I loved every minute of it.", "A dull and awful waste of time."])
    assert found[0, 0] > found[1, 0]
