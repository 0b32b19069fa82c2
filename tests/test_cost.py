"""What a method costs is counted in blocks, as the paper counts them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from oneword import Method, Steering
from oneword.engine.cost import BlocksRun, blocks_run
from oneword.errors import MethodError
from oneword.method import Published
from oneword.registry import find_method, presets

ONE = 'This sentence : "{text}" means in one word:"'


def test_the_published_settings_are_those_of_the_paper_and_of_our_preset():
    settings = {name: method.published for name, method in presets().methods.items() if method.published is not None}
    assert settings == {
        "prompteol_cp": Published(depth=32, layer=27, steering_layer=5, scale=2.0),
        "pretended_cot_cp": Published(depth=32, layer=27, steering_layer=7, scale=3.0),
        "knowledge_cp": Published(depth=32, layer=-2, steering_layer=7, scale=3.0),
        "ck_cp": Published(depth=32, layer=27, steering_layer=7, scale=3.0),
        "oneword": Published(depth=30, layer=28, steering_layer=5, scale=1.0),
    }


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [("prompteol_cp", 27, 31), ("pretended_cot_cp", 27, 33), ("knowledge_cp", 31, 37), ("ck_cp", 54, 60)],
)
def test_steering_of_32_blocks_costs_what_the_paper_states(method, before, after):
    assert blocks_run(find_method(method), 32) == BlocksRun(prompts=before, auxiliary=after - before)
    assert blocks_run(find_method(method), 32).total == after


@pytest.mark.parametrize("name", ["prompteol_cp", "pretended_cot_cp", "knowledge_cp", "ck_cp", "metaeol_cp"])
@pytest.mark.parametrize(("depth", "block", "layer"), [(30, 4, 28), (40, 6, 37), (80, 11, 73), (12, 2, 12), (1, 1, 1)])
def test_other_depths_are_steered_at_a_seventh_and_read_at_the_proportional_layer(name, depth, block, layer):
    method = find_method(name)
    assert method.resolved(depth).steering == Steering(layer=block, scale=1.0)
    assert blocks_run(method, depth) == BlocksRun(layer * len(method.prompts), block - 1)


def test_metaeol_has_no_published_settings_and_goes_by_the_rule_at_32_blocks_too():
    method = find_method("metaeol_cp")
    assert method.published is None
    assert method.resolved(32).steering == Steering(layer=5, scale=1.0)
    assert blocks_run(method, 32) == BlocksRun(prompts=8 * 30, auxiliary=4)


@pytest.mark.parametrize(
    ("position", "auxiliary"), [("attention_value_output", 3), ("mlp_output", 4), ("block_output", 4)]
)
def test_the_auxiliary_prompt_runs_to_where_it_is_read(position, auxiliary):
    method = Method("mine", ONE, layer=20, steering=Steering(layer=4, position=position))
    assert blocks_run(method, 30) == BlocksRun(20, auxiliary)


def test_steering_of_the_first_block_at_the_attention_costs_no_whole_block():
    assert blocks_run(Method("mine", ONE, steering=Steering(layer=1)), 30) == BlocksRun(30, 0)


@pytest.mark.parametrize(
    ("method", "depth", "prompts"),
    [("prompteol", 30, 30), ("ck", 30, 60), ("metaeol", 32, 256), ("average", 12, 12), ("prompteol_icl", 30, 30)],
)
def test_without_steering_every_prompt_runs_to_the_layer_that_is_read(method, depth, prompts):
    assert blocks_run(find_method(method), depth) == BlocksRun(prompts, 0)
    assert blocks_run(replace(find_method(method), layer=-3), depth).total == prompts * (depth - 2) // depth
    assert blocks_run(replace(find_method(method), layer=0), depth).total == 0


def test_one_auxiliary_pass_serves_all_prompts():
    assert blocks_run(find_method("metaeol_cp"), 30).auxiliary == blocks_run(find_method("prompteol_cp"), 30).auxiliary


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (Method("mine", ONE, layer=20), "layer 20 is out of range: the model has layers 0 to 12"),
        (Method("mine", ONE, steering=Steering(layer=13)), "layer 13 is out of range: the model has blocks 1 to 12"),
    ],
)
def test_a_model_of_too_few_blocks_is_refused(method, problem):
    with pytest.raises(MethodError, match=problem):
        blocks_run(method, 12)


def test_counting_loads_no_torch():
    script = "import sys, oneword.engine.cost; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
