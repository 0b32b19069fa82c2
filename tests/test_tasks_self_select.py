"""Self-Select: what an LLM is shown, and how its answer is read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from oneword.errors import InputError, ModelError
from oneword.tasks.asking import Calls
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors import LabelWordPredictor
from oneword.tasks.selection.self_select import letter_scores, self_select, self_select_request, written_scores

WORDS = {"positive": ["yes"], "negative": ["no"]}
PROMPTS = [LabelPrompt("Is it good?\n\n{text}", WORDS), "{text} Good or bad?", LabelPrompt("{text} Enjoyed?", WORDS)]


def test_the_request_shows_prompts_and_texts_and_asks_for_a_letter():
    found = self_select_request(PROMPTS, ["A fine film.", "Dull."])
    assert found.text.splitlines() == [
        "These prompts ask a language model for the label of a text:",
        "A. Is it good? {text}",
        "B. {text} Good or bad?",
        "C. {text} Enjoyed?",
        "",
        "These are some texts of my dataset:",
        "1. A fine film.",
        "2. Dull.",
    ]
    assert found.prompt.labels == found.prompt.words == ("A", "B", "C")
    assert not found.prompt.request
    filled = found.prompt.task_prompt.fill(found.text)
    assert filled.startswith(found.text)  # the slots of the prompts that are shown stay empty
    assert filled.endswith("without an explanation: A, B, C.")


def test_five_texts_spread_over_the_dataset_are_shown_each_cut():
    texts = [f"{row} " + "long " * 100 for row in range(101)]
    lines = self_select_request(PROMPTS, texts).text.splitlines()[6:]
    assert [line.split()[1] for line in lines] == ["0", "25", "50", "75", "100"]
    assert all(190 < len(line) < 210 and line.endswith("…") for line in lines)


def test_pairs_are_shown_together():
    found = self_select_request(["{premise} so {hypothesis}?"] * 2, ["It rains.", "Sun."], ["It is wet.", "Night."])
    assert found.text.splitlines()[-2:] == ["1. It rains. / It is wet.", "2. Sun. / Night."]
    assert not found.prompt.takes_pairs


@pytest.mark.parametrize(
    ("prompts", "texts", "pairs", "message"),
    [
        (27, ["a"], None, r"2 to 26 prompts, not 27: each needs a letter; leave some"),
        (1, ["a"], None, r"not 1: there is nothing to choose"),
        (3, [], None, r"there are none; give it at least one"),
        (3, ["a", "b"], ["a"], r"2 texts and 1 second texts"),
    ],
)
def test_what_cannot_be_asked_is_refused(prompts, texts, pairs, message):
    with pytest.raises(InputError, match=message):
        self_select_request(["{text}?"] * prompts, texts, pairs)


def test_as_many_prompts_as_letters():
    assert self_select_request(["{text}?"] * 26, ["a"]).prompt.labels[-1] == "Z"


def test_probabilities_of_the_letters_are_scores():
    assert letter_scores([[0.2, 0.5, 0.3]], 3).tolist() == [0.2, 0.5, 0.3]
    for wrong in ([[0.5, 0.5]], [0.2, 0.5, 0.3], [[0.2, float("nan"), 0.3]]):
        with pytest.raises(ModelError, match=r"each of 3 letters"):
            letter_scores(wrong, 3)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        ("**C**", "C"),
        ("C. It is short.", "C"),
        ("The best prompt is (M), not A.", "M"),
        ("I would choose B.", "B"),
        ("I'd say D", "D"),
        ("A good prompt is E, for it is short.", "E"),
        ("A is the best, B is not.", "A"),
        ("Prompt A because it is short; B is long.", "A"),
        ("The answer is I because it is short, unlike B.", "I"),
        ("For texts of the U.S. and Z, X: F", "F"),  # Z and X are no options
        ("<think>B or C?</think> C", "C"),
        ("A", "A"),
        ("a film like this: G", "G"),
    ],
)
def test_a_letter_is_read_from_what_was_written(answer, letter):
    scores = written_scores(answer, 13)
    assert scores.sum() == 1
    assert "ABCDEFGHIJKLM"[int(np.argmax(scores))] == letter


@pytest.mark.parametrize("answer", ["", "the second", "N", "Best: a", "<think>B</think> none"])
def test_an_answer_without_a_letter_is_shown(answer):
    with pytest.raises(ModelError, match=rf"from A to M, and the model wrote '{re.escape(answer)}'"):
        written_scores(answer, 13)


class Asked:
    """Stands for an LLM: it takes another prompt, and answers what it was built with."""

    def __init__(self, answers, prompt=None):
        self.answers, self.prompt = answers, prompt
        self.classes = prompt.labels if prompt is not None and not isinstance(answers[0], str) else None
        self.fingerprint, self.takes_pairs = f"asked {prompt}", False

    def with_prompt(self, prompt, name=None):
        return Asked(self.answers, prompt)

    def predict(self, texts, text_pairs=None):
        assert [text.count("{text}") for text in texts] == [3]
        return self.answers


@pytest.mark.parametrize(
    ("answers", "scores"), [(np.array([[0.1, 0.3, 0.6]]), [0.1, 0.3, 0.6]), (["It is B."], [0, 1, 0])]
)
def test_an_llm_is_asked_once_and_its_answer_kept(answers, scores):
    calls, kept = Calls(), KeptAnswers(None)
    for _ in range(2):
        assert self_select(Asked(answers), PROMPTS, ["Fine."], kept=kept, calls=calls).tolist() == scores
    assert (calls.made, calls.saved) == (1, 1)


def test_letters_are_read_from_the_next_token_of_a_local_model(tiny_model):
    predictor = LabelWordPredictor(tiny_model("llama"), PROMPTS[0], chat=False, dtype="float32", device="cpu")
    scores = self_select(predictor, PROMPTS, ["A fine film."])
    assert scores.shape == (3,)
    assert scores.sum() == pytest.approx(1)
    assert len(set(scores.tolist())) == 3
