"""A method is a checked, frozen recipe; its layer is resolved against a model's depth."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from oneword import Method, Prompt
from oneword.errors import MethodError
from oneword.method import resolve_layer

ONE = 'This sentence : "{text}" means in one word:"'
TWO = 'The gist of "{text}" is:"'


def test_prompts_may_be_plain_strings():
    assert Method("mine", [ONE, TWO]).prompts == (Prompt(ONE), Prompt(TWO))


def test_one_prompt_needs_no_list():
    assert Method("mine", ONE).prompts == (Prompt(ONE),)
    assert Method("mine", Prompt(ONE)).prompts == (Prompt(ONE),)


def test_prompts_and_strings_may_stand_beside_each_other():
    named = Prompt(ONE, name="one", source="here")
    assert Method("mine", (named, TWO)).prompts == (named, Prompt(TWO))


def test_a_list_changed_afterwards_does_not_change_the_method():
    wordings = [ONE]
    method = Method("mine", wordings)
    wordings.append(TWO)
    assert len(method.prompts) == 1
    assert hash(method) == hash(Method("mine", ONE))


def test_a_method_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Method("mine", ONE).layer = 3


def test_what_is_not_said_is_the_published_way():
    method = Method("mine", ONE)
    assert (method.layer, method.combine, method.cleaning) == ("last", "mean", "one_word")


@pytest.mark.parametrize("prompts", [[], ()])
def test_a_method_without_prompts_is_refused_by_name(prompts):
    with pytest.raises(MethodError, match="method 'mine' has no prompts"):
        Method("mine", prompts)


@pytest.mark.parametrize(("wording", "slots"), [("no slot", "no"), ("{text} {text}", "2"), ("{text}" * 3, "3")])
def test_a_prompt_without_exactly_one_slot_is_refused(wording, slots):
    with pytest.raises(MethodError, match=f"has {slots} "):
        Method("mine", [ONE, wording])


@pytest.mark.parametrize(
    ("field", "value", "known"), [("combine", "sum", "mean, concat, max"), ("cleaning", "all", "one_word, none")]
)
def test_an_unknown_choice_is_refused_with_the_known_ones(field, value, known):
    with pytest.raises(MethodError, match=f"method 'mine': {field} '{value}' is not one of: {known}"):
        Method("mine", ONE, **{field: value})


@pytest.mark.parametrize("layer", [True, False, 1.0, -3.5, "first", "", "-1", None, [1], float("nan")])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(MethodError, match="is neither a whole number nor one of: last, proportional"):
        Method("mine", ONE, layer=layer)
    with pytest.raises(MethodError, match="is neither a whole number"):
        resolve_layer(layer, 30)


@pytest.mark.parametrize("layer", [0, 7, -1, -300, "last", "proportional"])
def test_any_whole_number_or_named_layer_is_taken_before_a_model_is_known(layer):
    assert Method("mine", ONE, layer=layer).layer == layer


@pytest.mark.parametrize(
    ("layer", "depth", "resolved"),
    [
        (0, 30, 0),
        (1, 30, 1),
        (30, 30, 30),
        (-1, 30, 30),
        (-2, 30, 29),
        (-30, 30, 1),
        (-31, 30, 0),
        ("last", 30, 30),
        ("last", 1, 1),
        # -round(0.1 L), counted from the end: -3 of 30 and 32, -4 of 40, -8 of 80
        ("proportional", 30, 28),
        ("proportional", 32, 30),
        ("proportional", 40, 37),
        ("proportional", 80, 73),
        # never 0 from the end, which would be the token embeddings
        ("proportional", 4, 4),
        ("proportional", 1, 1),
    ],
)
def test_layers_mean_indices_into_hidden_states(layer, depth, resolved):
    assert resolve_layer(layer, depth) == resolved


@pytest.mark.parametrize("depth", [30, 32, 40, 80, 4])
def test_a_negative_layer_is_the_same_as_the_positive_one_it_stands_for(depth):
    assert [resolve_layer(layer - depth - 1, depth) for layer in range(depth + 1)] == list(range(depth + 1))


@pytest.mark.parametrize("layer", [31, -32, 99, -99])
def test_a_layer_out_of_range_is_refused_with_both_ends_of_the_range(layer):
    with pytest.raises(MethodError, match=f"layer {layer} is out of range: the model has layers 0 to 30, or -31 to -1"):
        resolve_layer(layer, 30)


BASE = Method("mine", [ONE, TWO], layer=-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": [ONE + " ", TWO]},
        {"prompts": [TWO, ONE]},
        {"prompts": [ONE]},
        {"prompts": [ONE, TWO, TWO]},
        {"combine": "max"},
        {"combine": "concat"},
        {"cleaning": "none"},
    ],
)
def test_the_digest_changes_with_what_changes_the_vectors(changes):
    assert replace(BASE, **changes).digest != BASE.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"layer": "last"},
        {"summary": "a few words"},
        {"source": "somewhere"},
        {"prompts": [Prompt(ONE, name="one", source="there", meta_task="some"), TWO]},
    ],
)
def test_the_digest_does_not_change_with_what_leaves_the_vectors_alone(changes):
    assert replace(BASE, **changes).digest == BASE.digest


def test_the_digest_is_the_same_in_every_process():
    # Files written by an earlier release state it
    assert Method("prompteol", ONE).digest == "5cf64d26"
    assert len(BASE.digest) == 8
