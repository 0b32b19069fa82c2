"""Labels of data and of prompts: which are the same, how probabilities follow, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks.selection.label_match import match_labels

SENTIMENT = ("positive", "negative")
INFERENCE = ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize(
    ("prompts", "data", "wanted"),
    [
        (SENTIMENT, ("negative", "positive"), [1, 0]),
        (SENTIMENT, ("NEG", "Pos"), [1, 0]),
        (SENTIMENT, (0, 1), [1, 0]),
        (INFERENCE, ("NEUTRAL", "ENTAILMENT", "CONTRADICTION"), [1, 0, 2]),
        (("Not Entailed", "entails"), ("not_entailed", "Entailment"), [0, 1]),
        (("very good", "so-so", "bad"), ("So_So", "very-good", "BAD"), [1, 0, 2]),
    ],
)
def test_labels_of_one_name_or_meaning_are_the_same(prompts, data, wanted):
    match = match_labels(prompts, data)
    assert match.truth(data).tolist() == wanted
    assert [match.classes[place] for place in wanted] == [str(label) for label in data]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(prompts)), size=(2, 4))
    np.testing.assert_array_equal(match.merge(probabilities), probabilities)


@pytest.mark.parametrize("name", ["not_entailment", "non-entailment", "Not Entailment"])
def test_two_way_data_add_up_three_way_prompts(name):
    match = match_labels(INFERENCE, [name, "entailment"])
    assert match.classes == ("entailment", name)
    assert match.truth(["entailment", name]).tolist() == [0, 1]
    np.testing.assert_allclose(match.merge(np.array([0.4, 0.35, 0.25])), [0.4, 0.6])


def test_three_way_data_become_two_way_for_two_way_prompts():
    match = match_labels(("yes", "not_entailment"), INFERENCE)
    assert match.truth(INFERENCE).tolist() == [0, 1, 1]
    assert match.classes == ("entailment", "not_entailment")


def test_a_mapping_says_what_names_do_not():
    given = {"joy": "positive", "optimism": "Positive", "anger": "negative"}
    match = match_labels(SENTIMENT, ["anger", "joy", "optimism", "NEG"], given)
    assert match.classes == SENTIMENT
    assert match.truth(["joy", "optimism", "anger", "NEG"]).tolist() == [0, 0, 1, 1]
    turned = match_labels(SENTIMENT, SENTIMENT, {"positive": "negative", "negative": "positive"})
    assert turned.truth(SENTIMENT).tolist() == [1, 0]


def test_a_mapping_may_say_which_label_of_the_data_a_prompts_label_is():
    names = {"entailment": "entailment", "neutral": "no", "contradiction": "no"}
    match = match_labels(INFERENCE, ["no", "entailment"], names)
    assert match.classes == ("entailment", "no")
    np.testing.assert_allclose(match.merge(np.array([[0.2, 0.3, 0.5]])), [[0.2, 0.8]])


def test_a_label_of_the_prompts_that_the_data_lack_is_left_out():
    match = match_labels(INFERENCE, ["contradiction", "entailment"])
    merged = match.merge(np.array([[0.2, 0.6, 0.2], [0.0, 0.9, 0.1], [0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(merged, [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("prompts", "data", "given", "message"),
    [
        (SENTIMENT, ["sport", "politics"], None, r"none of the data's labels.*has sport, politics, the prompts "
                                                 r"positive, negative;.*--map-labels sport=positive"),
        (SENTIMENT, ["pos", "neg", "neutral"], None, r"not all labels \(neutral\) are.*--map-labels neutral=positive"),
        (SENTIMENT, ["0", "1", "2"], None, r"none of the data's labels"),
        (INFERENCE, ["0", "1"], None, r"none of the data's labels"),
        ((*SENTIMENT, "neutral"), ["0", "1"], None, r"none of the data's labels"),
        (("no", "yes"), ["0", "1"], None, r"none of the data's labels"),
        (SENTIMENT, ["pos", "neg"], {"joy": "positive"}, r"'joy=positive' matches no labels: 'joy' is none"),
        (SENTIMENT, ["pos", "neg"], {"pos": "good"}, r"'pos=good' matches no labels: 'good' is none"),
        (SENTIMENT, ["joy", "anger"], {"joy": "positive", "anger": "positive"}, r"all one class.*has joy, anger"),
    ],
)  # fmt: skip
def test_labels_that_do_not_match_are_refused(prompts, data, given, message):
    with pytest.raises(InputError, match=message):
        match_labels(prompts, data, given)


def test_a_label_that_was_not_matched_is_refused():
    with pytest.raises(InputError, match=r"the label 'mixed' is none of the data's labels: pos, neg"):
        match_labels(SENTIMENT, ["pos", "neg"]).truth(["pos", "mixed"])
