"""Steering as a user states it, in code, in a file and on an embedder."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from oneword import Embedder, Method, Prompt, Steering
from oneword.errors import InputError, MethodError, ModelError
from oneword.method import Published
from oneword.registry import find_method, find_prompt
from oneword.steering import NORMS, POSITIONS

ONE = 'This sentence : "{text}" means in one word:"'
TEXTS = ["It rained all night.", "Is it late?", "The river came over the road and took the mill with it", "Go"]
LONG = "The river came over the road in the night. " * 40

# Checked when it is made


def test_what_is_not_said_is_the_paper_s_way():
    steering = Steering()
    assert steering.auxiliary_prompt.wording == (
        'The irrelevant information of this sentence : "{text}" means in one word:"'
    )
    assert (steering.layer, steering.position) == ("proportional", "attention_value_output")
    assert (steering.norm, steering.scale) == ("scale", 2.0)


def test_an_auxiliary_prompt_may_be_a_plain_string():
    assert Steering("Not {text}").auxiliary_prompt == Prompt("Not {text}")
    assert hash(Steering("Not {text}")) == hash(Steering(Prompt("Not {text}")))


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("irrelevant", r"'irrelevant' has no \{text\} slot"),
        (None, "must be a string with one .* not NoneType"),
        (Prompt("{text} {text}", slots=2, name="both"), "prompt 'both' has two slots; an auxiliary prompt has one"),
    ],
)
def test_an_auxiliary_prompt_without_exactly_one_slot_is_refused(prompt, problem):
    with pytest.raises(MethodError, match=problem):
        Steering(prompt)


@pytest.mark.parametrize("layer", [0, -1, True, False, 2.0, "4", "last", "", None, [4], float("nan")])
def test_what_is_no_block_is_refused(layer):
    with pytest.raises(MethodError) as caught:
        Steering(layer=layer)
    assert str(caught.value) == f"steering: layer {layer!r} is neither a block counted from 1 nor 'proportional'"


@pytest.mark.parametrize(("field", "known"), [("position", POSITIONS), ("norm", NORMS)])
@pytest.mark.parametrize("value", ["o_proj", "", None, 1, []])
def test_an_unknown_choice_is_refused_with_the_known_ones(field, known, value):
    with pytest.raises(MethodError) as caught:
        Steering(**{field: value})
    assert str(caught.value) == f"steering: {field} {value!r} is not one of: {', '.join(known)}"


def test_positions_and_norms_are_those_of_the_paper():
    assert POSITIONS == ("attention_value_output", "mlp_output", "block_output")
    assert NORMS == ("scale", "recover")


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -float("inf"), True, "2", None, 1j, [2.0]])
@pytest.mark.parametrize("norm", NORMS)
def test_a_scale_that_is_no_finite_number_is_refused(scale, norm):
    with pytest.raises(MethodError) as caught:
        Steering(scale=scale, norm=norm)
    assert str(caught.value) == f"steering: scale {scale!r} is not a finite number"


@pytest.mark.parametrize("scale", [0, 0.0, -1.5, 4, 1e300])
def test_any_finite_scale_is_taken(scale):
    assert Steering(scale=scale).scale == scale


def test_some_fields_are_changed_and_the_others_stay():
    steering = Steering("Not {text}", layer=3, position="mlp_output", scale=0.5)
    changed = steering.with_fields({"norm": "recover", "layer": 4})
    assert changed == Steering("Not {text}", layer=4, position="mlp_output", norm="recover", scale=0.5)
    assert steering.layer == 3
    assert steering.with_fields({}) == steering


@pytest.mark.parametrize(
    ("field", "near"), [("layers", "layer"), ("auxiliary", "auxiliary_prompt"), ("Scale", "scale")]
)
def test_an_unknown_field_gives_the_nearest(field, near):
    with pytest.raises(MethodError, match=rf"steering has no '{field}' \(nearest: [^)]*\b{near}\b"):
        Steering().with_fields({field: 3})


def test_a_field_that_is_changed_is_checked_too():
    with pytest.raises(MethodError, match="norm 'length' is not one of: scale, recover"):
        Steering().with_fields({"norm": "length"})


@pytest.mark.parametrize(
    ("depth", "block"),
    [(1, 1), (3, 1), (5, 1), (12, 2), (24, 3), (28, 4), (30, 4), (32, 5), (36, 5), (40, 6), (80, 11)],
)
def test_the_proportional_block_is_a_seventh_of_the_depth(depth, block):
    assert Steering().resolved(depth).layer == block


@pytest.mark.parametrize("layer", [6, 10**30])
def test_a_block_that_the_model_does_not_have_is_refused_with_those_it_has(layer):
    assert Steering(layer=5).resolved(5) == Steering(layer=5)
    with pytest.raises(MethodError, match=f"steering: layer {layer} is out of range: the model has blocks 1 to 5"):
        Steering(layer=layer).resolved(5)


# On an embedder


def make(folder, **options):
    return Embedder(folder, **{"dtype": "float32", "device": "cpu", **options})


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def plain(llama):
    return make(llama)


@pytest.fixture(scope="module")
def steered(llama):
    return make(llama, steering=Steering(layer=2))


PUBLISHED = Method(
    "cp",
    [ONE, 'The gist of "{text}" is:"'],
    layer="last",
    steering=Steering(find_prompt("background"), position="mlp_output"),
    published=Published(depth=5, layer=4, steering_layer=3, scale=0.5),
)


def test_steering_changes_the_vectors_and_the_fingerprint(plain, steered):
    assert steered.method == replace(plain.method, steering=Steering(layer=2))
    assert np.abs(steered.encode(TEXTS) - plain.encode(TEXTS)).max(axis=1).min() > 0.1
    assert steered.fingerprint != plain.fingerprint
    assert steered.fingerprint.split("/")[0] == f"prompteol-{steered.method.digest}"
    assert steered.fingerprint.split("/")[1:] == plain.fingerprint.split("/")[1:]


@pytest.mark.parametrize(
    "fields",
    [
        {"layer": 3},
        {"scale": 0.5},
        {"norm": "recover"},
        {"position": "mlp_output"},
        {"auxiliary_prompt": find_prompt("background")},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_every_field_changes_the_vectors_and_the_fingerprint(llama, steered, fields):
    other = make(llama, steering=Steering(layer=2).with_fields(fields))
    assert np.abs(other.encode(TEXTS) - steered.encode(TEXTS)).max() > 0.01
    assert other.fingerprint != steered.fingerprint


def test_some_fields_put_on_a_method_without_steering_leave_the_paper_s_others(llama):
    made = make(llama, method="knowledge", steering={"layer": 3, "norm": "recover"})
    assert made.method.steering == Steering(layer=3, norm="recover")
    assert make(llama, steering={}).method.steering == Steering(layer=1)
    own = make(llama, method=replace(find_method("knowledge"), steering=Steering(layer=3, norm="recover")))
    assert made.fingerprint == own.fingerprint
    np.testing.assert_array_equal(made.encode(TEXTS), own.encode(TEXTS))


def test_some_fields_put_on_a_steered_method_leave_its_others(llama):
    method = replace(PUBLISHED, published=None)
    made = make(llama, method=method, steering={"layer": 2})
    assert made.method.steering == replace(method.steering, layer=2)


def test_a_whole_steering_replaces_that_of_the_method(llama):
    made = make(llama, method=PUBLISHED, steering=Steering(layer=2, norm="recover"))
    assert made.method.steering == Steering(layer=2, norm="recover")
    assert make(llama, method=PUBLISHED, steering=Steering()).method.steering == Steering(layer=1)


def test_published_settings_are_used_for_a_model_of_their_depth(llama):
    made = make(llama, method=PUBLISHED)
    assert (made.layer, made.method.layer) == (4, 4)
    assert made.method.steering == replace(PUBLISHED.steering, layer=3, scale=0.5)
    explicit = replace(PUBLISHED, layer=4, published=None, steering=made.method.steering)
    assert made.fingerprint == make(llama, method=explicit).fingerprint
    assert "/layer-4/" in made.fingerprint
    np.testing.assert_array_equal(made.encode(TEXTS), make(llama, method=explicit).encode(TEXTS))


def test_a_model_of_another_depth_goes_by_the_method_itself(tiny_model):
    made = make(tiny_model("llama_eos"), method=PUBLISHED)  # 4 blocks
    assert made.layer == 4  # the last
    assert made.method.steering == replace(PUBLISHED.steering, layer=1)


def test_what_is_asked_for_goes_before_published_settings(llama):
    made = make(llama, method=PUBLISHED, layer=5, steering={"scale": 4.0})
    assert made.layer == 5
    assert made.method.steering == replace(PUBLISHED.steering, layer=3, scale=4.0)


def test_an_embedder_s_method_makes_the_same_embedder_again(llama):
    made = make(llama, method=PUBLISHED, steering={"layer": 2})
    assert make(llama, method=made.method).fingerprint == made.fingerprint


def test_numbers_of_numpy_are_numbers(llama, steered):
    made = make(llama, steering={"layer": np.int64(2), "scale": np.float64(2.0)})
    assert made.fingerprint == steered.fingerprint


def test_steering_that_no_layer_sees_is_refused_with_the_layers_that_do(llama):
    for layer in (0, 2, [0, 1, 2]):
        with pytest.raises(MethodError, match=r"block 3, which layer [02] does not see; read layer 3 or a later one"):
            make(llama, steering={"layer": 3}, layer=layer)
    assert make(llama, steering={"layer": 3}, layer=3).layer == 3


def test_layers_before_the_steered_block_are_those_of_the_plain_method(llama):
    every, untouched = make(llama, steering={"layer": 3}, layer="all"), make(llama, layer="all")
    changed, unchanged = every.encode(TEXTS), untouched.encode(TEXTS)
    assert changed.shape == (len(TEXTS), 6, 48)
    same(changed[:, :3], unchanged[:, :3])
    assert np.abs(changed[:, 3:] - unchanged[:, 3:]).max(axis=(0, 2)).min() > 0.1
    for layer in (3, 5):
        same(changed[:, layer], make(llama, steering={"layer": 3}, layer=layer).encode(TEXTS))


def test_more_blocks_than_the_model_has_are_refused(llama):
    for steering in (Steering(layer=6), {"layer": 6}):
        with pytest.raises(MethodError, match="steering: layer 6 is out of range: the model has blocks 1 to 5"):
            make(llama, steering=steering)


def test_an_unknown_field_is_refused_with_the_nearest(llama):
    with pytest.raises(MethodError, match=r"steering has no 'layers' \(nearest: layer\)"):
        make(llama, steering={"layers": 3})


@pytest.mark.parametrize("method", ["average", "weighted_mean", "echo"])
def test_steering_on_a_method_of_another_pooling_is_refused(llama, method):
    with pytest.raises(MethodError, match=f"method '{method}': steering changes the last token; pooling cannot be"):
        make(llama, method=method, steering={"layer": 2})


@pytest.mark.parametrize("options", [{"method": "average", "steering": {"layer": 2}}, {"steering": {"lair": 2}}])
def test_steering_that_cannot_be_is_refused_before_any_model_is_looked_for(options):
    with pytest.raises(MethodError):
        Embedder("/no/such/model", **options)


# Long texts, progress, threads, errors


def test_a_text_that_the_auxiliary_prompt_cuts_too_is_counted_once(tiny_model):
    model = make(tiny_model("llama_window"), method="ck", steering={"layer": 1})
    with pytest.warns(UserWarning, match="^2 of 3 texts were longer"):
        model.encode([LONG, "short", LONG])
    assert model.cut_texts == 2


def test_a_text_that_only_the_auxiliary_prompt_cuts_is_counted(tiny_model):
    folder = tiny_model("llama_window")
    model = make(folder, method=Method("short", "{text}:"), steering={"layer": 1})
    fits = make(folder, method=Method("short", "{text}:"))
    text = "The river came over the road in the night. " * 6
    fits.compute([text])
    assert fits.cut_texts == 0
    model.compute([text])
    assert model.cut_texts == 1


@pytest.mark.parametrize("method", ["prompteol", "ck"])
def test_progress_counts_texts_and_not_what_the_auxiliary_prompt_is_asked(llama, method):
    told = []
    model = make(llama, method=method, steering={"layer": 2})
    model.compute([*TEXTS, *TEXTS, "another"], 2, told.append)
    assert sum(told) == 2 * len(TEXTS) + 1
    assert len(told) > 1
    assert min(told) >= 0


def test_equal_texts_are_steered_alike_to_the_bit_in_any_order(steered):
    vectors = steered.encode([*TEXTS, *TEXTS[::-1]], batch_size=3)
    np.testing.assert_array_equal(vectors, vectors[::-1])
    same(vectors[: len(TEXTS)], np.stack([steered.encode(text) for text in TEXTS]))


def test_threads_that_share_a_steered_embedder_do_not_steer_by_each_other_s_texts(llama):
    embedder = make(llama, method="ck", steering={"layer": 2})
    batches = [[f"{'word ' * (number % 7)}number {number}" for number in range(start, 24, 4)] for start in range(4)]
    expected = [embedder.encode(batch) for batch in batches]
    fresh = make(llama, method="ck", steering={"layer": 2})  # its shared prefixes are made by the threads
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fresh.encode, batches * 3))
    for one, other in zip(found, expected * 3):
        same(one, other)


def hooks(embedder):
    modules = list(embedder._backbone.model.modules())
    return [
        hook for module in modules for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]


@pytest.mark.parametrize(
    ("error", "told", "problem"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), InputError, "out of memory; give a smaller"),
        (MemoryError(), InputError, "out of memory; give a smaller batch_size"),
        (RuntimeError("something else"), RuntimeError, "something else"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("position", POSITIONS)
def test_an_error_inside_a_pass_leaves_no_hooks_and_the_embedder_usable(
    llama, monkeypatch, error, told, problem, position
):
    embedder, forward, calls = make(llama, steering={"layer": 2, "position": position}), LlamaDecoderLayer.forward, []
    expected = embedder.encode(TEXTS)
    before = Counter(map(id, hooks(embedder)))

    def counted(self, *arguments, **options):
        calls.append(self.self_attn.layer_idx)
        if len(calls) == fails_at:
            raise error
        return forward(self, *arguments, **options)

    monkeypatch.setattr(LlamaDecoderLayer, "forward", counted)
    fails_at = -1
    embedder.encode(TEXTS)
    assert set(calls) == set(range(5))
    for fails_at in range(1, len(calls) + 1):  # in either prompt's pass, before, in and after the steered block
        calls.clear()
        with pytest.raises(told, match=problem):
            embedder.encode(TEXTS)
        assert len(calls) == fails_at
        assert Counter(map(id, hooks(embedder))) == before
    monkeypatch.undo()
    np.testing.assert_array_equal(embedder.encode(TEXTS), expected)


# Models that look both ways


@pytest.mark.parametrize("options", [{"steering": {"layer": 2}}, {"method": "prompteol_cp"}])
def test_an_encoder_is_not_steered_and_says_so_by_its_name(tiny_model, options):
    with pytest.raises(ModelError, match=r"^bert \(bert\) cannot be steered: its tokens see those after them"):
        make(tiny_model("bert"), **options)
