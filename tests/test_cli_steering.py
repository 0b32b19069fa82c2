"""The command line's --steer, --demonstrations and --layer all, and what `oneword methods` tells of a method's cost."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from oneword import Embedder, Prompt, Steering
from oneword.cli.main import run
from oneword.demonstrations import first_demonstrations
from oneword.registry import find_method, find_prompt

EMBEDDING = [["embed", "a cat", "a kitten"], ["similarity", "a cat", "a kitten"], ["search", "a", "--corpus", "a.txt"]]


pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def model(llama):
    return ["--model", str(llama), "--dtype", "float32", "--device", "cpu"]


@pytest.fixture
def folder(folder):
    """The current folder, with a corpus in it."""
    (folder / "a.txt").write_text("a cat\na kitten\n")
    return folder


@pytest.fixture
def refused(oneword):
    """The one line of a command that must be refused, or the last of click's."""

    def command(*arguments: object, usage: bool = False) -> str:
        out, err = oneword(*arguments, code=2)
        assert out == ""
        lines = err.splitlines()
        assert lines[0].startswith("Usage: oneword") if usage else len(lines) == 1, err
        assert lines[-1].startswith("Error: " if usage else "oneword: ")
        return lines[-1]

    return command


def fingerprint(oneword, *arguments: object) -> str:
    return json.loads(oneword("embed", "a cat", *arguments)[0])["fingerprint"]


def make(llama, **options) -> Embedder:
    return Embedder(llama, **{"dtype": "float32", "device": "cpu", **options})


# --steer


@pytest.mark.parametrize(
    ("steer", "steering"),
    [
        ("layer=2", Steering(layer=2)),
        ("layer=4,norm=recover", Steering(layer=4, norm="recover")),  # the example of the help
        (" norm = recover , layer = 2 ", Steering(layer=2, norm="recover")),
        ("scale=-0.5,position=mlp_output", Steering(position="mlp_output", scale=-0.5)),
        ("layer=proportional,scale=3", Steering(scale=3.0)),
        ("auxiliary_prompt=background", Steering(find_prompt("background"))),
        ("auxiliary_prompt=background,layer=2", Steering(find_prompt("background"), layer=2)),
        ("auxiliary_prompt=In short, leave out: {text}", Steering("In short, leave out: {text}")),
        (
            'layer=2,auxiliary_prompt="{text}", less, of=course,scale=1',
            Steering('"{text}", less, of=course', 2, scale=1.0),
        ),
    ],
)
def test_fields_of_the_steering_are_taken_and_wordings_keep_their_commas(oneword, model, llama, steer, steering):
    assert fingerprint(oneword, "--steer", steer, *model) == make(llama, steering=steering).fingerprint


@pytest.mark.parametrize(
    ("steer", "changes"),
    [
        ("norm=recover", {"norm": "recover"}),
        ("layer=2", {"layer": 2}),
        ("auxiliary_prompt=background", {"auxiliary_prompt": find_prompt("background")}),
    ],
)
def test_only_the_given_fields_of_a_steered_method_are_changed(oneword, model, folder, llama, steer, changes):
    (folder / "mine.toml").write_text(
        '[methods.mine]\nprompts = ["pretended_cot", "knowledge"]\n[methods.mine.steering]\n'
        'auxiliary_prompt = "redundant"\nlayer = 3\nposition = "mlp_output"\nscale = 0.5\n'
    )
    own = find_method("mine.toml")
    expected = make(llama, method=replace(own, steering=replace(own.steering, **changes))).fingerprint
    assert fingerprint(oneword, "--method", "mine.toml", "--steer", steer, *model) == expected


def test_a_published_steering_keeps_its_other_fields(oneword, model, llama):
    expected = make(llama, method="ck_cp", steering={"scale": 0.5})
    assert expected.method.steering == Steering(layer=1, scale=0.5)
    found = fingerprint(oneword, "--method", "ck_cp", "--steer", "scale=0.5", *model)
    assert found == expected.fingerprint
    assert found != fingerprint(oneword, "--method", "ck_cp", *model)


def test_embed_and_similarity_are_steered(oneword, model, llama):
    steered = make(llama, steering={"layer": 2, "norm": "recover"})
    vectors = steered.encode(["a cat", "a kitten"])
    steer = ["--steer", "layer=2,norm=recover", *model]
    rows = [json.loads(line) for line in oneword("embed", "a cat", "a kitten", *steer)[0].splitlines()]
    np.testing.assert_array_equal(np.array([row["vector"] for row in rows], np.float32), vectors)
    answer = json.loads(oneword("similarity", "a cat", "a kitten", "--json", *steer)[0])
    np.testing.assert_allclose(answer["similarity"], steered.similarity(vectors, vectors), rtol=1e-6)


def test_vectors_are_searched_with_the_steering_they_were_made_with_and_no_other(oneword, refused, model):
    steer = ["--steer", "layer=2", "-q"]
    oneword("embed", "a.txt", "-o", "v.npy", *steer, *model)
    found = json.loads(oneword("search", "a cat", "--corpus", "v.npy", "--json", *steer[:2], *model)[0])
    assert found["results"][0]["row"] == 1
    texts = json.loads(oneword("search", "a cat", "--corpus", "a.txt", "--json", *steer[:2], *model)[0])
    assert texts["fingerprint"] == found["fingerprint"]
    for other in ([], ["--steer", "layer=3"]):
        assert "cannot be compared" in refused("search", "a cat", "--corpus", "v.npy", *other, *model)


WRONG = [
    (["--steer", "layer=0"], "steering: layer 0 is neither a block counted from 1 nor 'proportional'"),
    (["--steer", "layer=4.5"], "steering: layer '4.5' is neither a block counted from 1"),
    (["--steer", "layers=4"], "steering has no 'layers' (nearest: layer)"),
    (["--steer", "norm=length"], "steering: norm 'length' is not one of: scale, recover"),
    (["--steer", "position=o_proj"], "steering: position 'o_proj' is not one of: attention_value_output, "),
    (["--steer", "scale=nan"], "steering: scale nan is not a finite number"),
    (["--steer", "scale=inf"], "steering: scale inf is not a finite number"),
    (["--steer", "scale=much"], "steering: scale 'much' is not a finite number"),
    (["--steer", "auxiliary_prompt=irelevant"], "unknown prompt 'irelevant' (nearest: irrelevant"),
    (["--steer", "auxiliary_prompt={text} {text}"], "the prompt '{text} {text}' has 2 {text} slots"),
    (["--steer", "auxiliary_prompt=echo"], "prompt 'echo' has two slots; an auxiliary prompt has one"),
    (["--demonstrations", "17"], "17 demonstrations: the shipped set has 0 to 16; give a file with more"),
    (["--demonstrations", "absent.csv"], "the demonstrations absent.csv cannot be read: No such file"),
    (["--demonstrations", "a.txt"], "a.txt: demonstrations are read from .csv, .tsv and .jsonl files"),
    (["--demonstrations", "wrong.csv"], "wrong.csv: demonstrations have the columns sentence and word"),
    (["--demonstrations", "2", "--method", "average"], "method 'average': demonstrations answer a prompt that ends"),
    (
        ["--demonstrations", "slot.csv"],
        "slot.csv, line 2: the sentence of demonstration ('the {text}', 'b') has",
    ),
]


def test_what_is_wrong_is_told_in_one_line_before_torch_is_loaded(folder):
    (folder / "wrong.csv").write_text("text,word\na,b\n")
    (folder / "slot.csv").write_text("sentence,word\nthe {text},b\n")
    commands = [[*command, *options] for command in EMBEDDING for options, _ in WRONG]
    script = (
        "import json, sys\n"
        "from oneword.cli.main import run\n"
        "for command in json.loads(sys.argv[1]): print(run(command), flush=True)\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)], text=True, capture_output=True, check=True
    )
    assert answer.stdout.splitlines() == ["2"] * len(commands) + ["False False"]
    lines = answer.stderr.splitlines()
    assert len(lines) == len(commands), answer.stderr
    for line, problem in zip(lines, [problem for _, problem in WRONG] * len(EMBEDDING)):
        assert line.startswith("oneword: ")
        assert problem in line


@pytest.mark.parametrize("steer", ["", "layer", "=4", "layer=", "recover", "layer=4,norm="])
def test_what_is_no_field_with_a_value_is_refused(oneword, steer):
    _, err = oneword("embed", "a", "--steer", steer, code=2)
    assert "'--steer'" in err or err.startswith("oneword: steering has no ''")
    assert "auxiliary_prompt" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("steer", "problem"), [("layer=4,nrom=recover", "nearest: norm"), ("layer=1,layer=2", "twice")]
)
def test_a_misspelt_or_repeated_field_is_refused_by_its_name(refused, model, steer, problem):
    assert problem in refused("embed", "a", "--steer", steer, *model)


def test_more_blocks_than_the_model_has_are_refused_with_those_it_has(refused, model):
    line = refused("embed", "a", "--steer", "layer=6", *model)
    assert line == "oneword: steering: layer 6 is out of range: the model has blocks 1 to 5"


def test_steering_that_no_layer_sees_is_refused(refused, model):
    assert "read layer 3 or a later one" in refused("embed", "a", "--steer", "layer=3", "--layer", "0,2", *model)


@pytest.mark.parametrize("method", ["average", "echo"])
def test_steering_on_another_pooling_is_refused(refused, model, method):
    assert f"method '{method}': steering changes the last token" in refused(
        "embed", "a", "--steer", "layer=2", "--method", method, *model
    )


# --demonstrations


def test_a_number_of_the_shipped_ones_or_a_file_of_one_s_own_is_shown(oneword, model, folder, llama):
    (folder / "mine.csv").write_text('sentence,word\n"A dog, a cat.",Pets\n')
    prompteol = find_method("prompteol")
    for given, shown in [("2", first_demonstrations(2)), ("mine.csv", [("A dog, a cat.", "Pets")]), ("0", ())]:
        expected = make(llama, method=replace(prompteol, demonstrations=shown))
        assert fingerprint(oneword, "--demonstrations", given, *model) == expected.fingerprint
    assert make(llama).fingerprint == expected.fingerprint


def test_demonstrations_are_put_on_any_method_for_one_word_in_place_of_its_own(oneword, model, llama):
    found = {}
    for method in ("prompteol_icl", "ck", "ck_cp"):
        shown = replace(find_method(method), demonstrations=first_demonstrations(2))
        found[method] = fingerprint(oneword, "--demonstrations", "2", "--method", method, *model)
        assert found[method] == make(llama, method=shown).fingerprint
    plain = fingerprint(oneword, "--demonstrations", "2", *model)
    assert found["prompteol_icl"].split("-")[1:] == plain.split("-")[1:]


def test_every_command_that_embeds_takes_them_together_with_steering(oneword, model, llama):
    method = replace(find_method("prompteol"), demonstrations=first_demonstrations(1))
    expected = make(llama, method=method, steering={"layer": 2}).fingerprint
    for command in EMBEDDING:
        out, _ = oneword(
            *command, *(["--json"] * (command[0] != "embed")), "--demonstrations", "1", "--steer", "layer=2", *model
        )
        assert {json.loads(line)["fingerprint"] for line in out.splitlines()} == {expected}


# --layer all


def test_all_layers_of_a_file_are_written(oneword, model, llama):
    oneword("embed", "a.txt", "-o", "v.npy", "-q", "--layer", "all", "--steer", "layer=2", *model)
    expected = make(llama, layer="all", steering={"layer": 2}).encode(["a cat", "a kitten"])
    np.testing.assert_array_equal(np.load("v.npy"), expected)


# `oneword methods`


@pytest.mark.parametrize(
    ("arguments", "blocks"),
    [
        (["prompteol"], "32 a text, read at layer 32 of 32"),
        (["prompteol", "--depth", "30"], "30 a text, read at layer 30 of 30"),
        (["prompteol_icl"], "32 a text, read at layer 32 of 32"),
        (
            ["prompteol_cp"],
            "27 -> 31 a text, read at layer 27 of 32, steered: block 5, attention_value_output, norm scale 2",
        ),
        (
            ["knowledge_cp"],
            "31 -> 37 a text, read at layer 31 of 32, steered: block 7, attention_value_output, norm scale 3",
        ),
        (["ck_cp"], "54 -> 60 a text, read at layer 27 of 32, steered: block 7, attention_value_output, norm scale 3"),
        (
            ["ck_cp", "--depth", "30"],
            "56 -> 59 a text, read at layer 28 of 30, steered: block 4, attention_value_output, norm scale 1",
        ),
    ],
    ids=" ".join,
)
def test_a_method_is_shown_with_what_it_costs_a_model_of_that_depth(oneword, arguments, blocks):
    lines = oneword("methods", *arguments)[0].splitlines()
    assert [line for line in lines if line.startswith("blocks:")] == [f"blocks:      {blocks}"]


def test_a_steered_method_is_shown_with_its_steering_and_auxiliary_prompt(oneword):
    out, _ = oneword("methods", "ck_cp", "--text", 'Is it "late"?')
    assert "\nsteering:    block proportional, attention_value_output, norm scale 1\n" in out
    wording = 'The irrelevant information of this sentence : "Is it \'late\'." means in one word:"'
    assert out.endswith(f"\n[irrelevant] (auxiliary)\n{wording}\n")
    assert out.count("Is it 'late'.") == 3
    for plain in ("ck", "echo"):
        out, _ = oneword("methods", plain)
        assert "steering" not in out
        assert "auxiliary" not in out


def test_the_pooling_and_the_demonstrations_are_shown(oneword):
    assert "\npooling:     echo\n" in oneword("methods", "echo")[0]
    out, _ = oneword("methods", "prompteol_icl")
    assert out.endswith(f"\n[prompteol]\n{find_method('prompteol_icl').asked[0].wording}\n")


def test_the_norm_recover_is_shown_without_a_scale_that_has_no_say(oneword, folder):
    (folder / "mine.toml").write_text(
        "[methods.mine]\nprompts = ['prompteol']\n"
        "steering = { layer = 4, norm = 'recover', position = 'block_output' }\n"
    )
    out, _ = oneword("methods", "mine.toml", "--depth", "12")
    assert "\nsteering:    block 4, block_output, norm recover\n" in out
    assert (
        "\nblocks:      12 -> 16 a text, read at layer 12 of 12, steered: block 4, block_output, norm recover\n" in out
    )


@pytest.mark.parametrize("depth", [30, 32])
def test_as_json_a_steered_method_holds_all_of_it_for_that_depth(oneword, depth):
    shown = json.loads(oneword("methods", "ck_cp", "--depth", depth, "--json", "--text", "Go")[0])
    method = find_method("ck_cp")
    assert shown["depth"] == depth
    assert shown["digest"] == method.resolved(depth).digest
    assert shown["blocks"] == (
        {"prompts": 54, "auxiliary": 6, "total": 60} if depth == 32 else {"prompts": 56, "auxiliary": 3, "total": 59}
    )
    auxiliary = shown["steering"].pop("auxiliary_prompt")
    assert Prompt(**auxiliary) == find_prompt("irrelevant")
    assert shown["steering"] == {
        "layer": "proportional",
        "position": "attention_value_output",
        "norm": "scale",
        "scale": 1.0,
    }
    assert shown["published"] == {"depth": 32, "layer": 27, "steering_layer": 7, "scale": 3.0}
    assert shown["sent"] == [prompt.render("Go.") for prompt in method.prompts]


def test_the_digest_that_is_shown_is_that_of_the_fingerprint(oneword, model):
    for method in ("prompteol", "ck_cp", "prompteol_icl", "echo"):
        shown = json.loads(oneword("methods", method, "--json", "--depth", "5")[0])
        assert fingerprint(oneword, "--method", method, *model).startswith(f"{method}-{shown['digest']}/")


def test_as_json_the_list_is_stated_for_that_depth(oneword):
    listed = {method["name"]: method for method in json.loads(oneword("methods", "--json", "--depth", "30")[0])}
    assert (listed["ck_cp"]["depth"], listed["ck_cp"]["blocks"]["total"]) == (30, 59)


FILE = """
[methods.mine]
prompts = ["prompteol"]
layer = {layer}
steering = {{ layer = {block} }}
published = {{ depth = 12, layer = {published}, steering_layer = 2, scale = 1.0 }}
"""


@pytest.mark.parametrize(
    ("layer", "block", "published", "depth", "problem"),
    [
        (9, 3, 5, 8, "layer 9 is out of range: the model has layers 0 to 8, or -9 to -1"),
        (3, 9, 5, 8, "steering: layer 9 is out of range: the model has blocks 1 to 8"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["shown", "json"])
def test_a_depth_too_small_for_the_method_is_refused(refused, folder, layer, block, published, depth, problem, options):
    (folder / "mine.toml").write_text(FILE.format(layer=layer, block=block, published=published))
    told = refused("methods", "mine.toml", "--depth", depth, *options)
    assert told == f"oneword: {problem}; --depth shows the method for a deeper one"


def test_a_method_for_a_deeper_model_is_shown_or_refused_with_the_option_that_helps(oneword, folder, capsys):
    (folder / "mine.toml").write_text('[methods.mine]\nprompts = ["prompteol"]\nlayer = 40\n')
    run(["methods", "mine.toml"])
    shown = capsys.readouterr()
    assert "layer:    40" in shown.out or "--depth" in shown.err


@pytest.mark.parametrize("depth", ["0", "-1", "deep"])
def test_what_is_no_depth_is_refused_with_the_usage(refused, depth):
    assert "'--depth'" in refused("methods", "ck", "--depth", depth, usage=True)


# Help


def test_the_help_says_how_to_steer_to_show_and_to_count(oneword):
    for command in ("embed", "similarity", "search"):
        text = " ".join(oneword(command, "--help")[0].split())
        assert "--steer FIELD=VALUE,... Contrastive Prompting on the method" in text
        assert [field for field in vars(Steering()) if field not in text] == []
        assert "as in layer=4,norm=recover" in text
        assert "--demonstrations N|FILE Answered examples before the prompt" in text
        assert ".csv, .tsv or .jsonl with sentence, word" in text
        assert "or all. [default: the method's]" in text
    assert "--depth L" in (text := oneword("methods", "--help")[0])
    assert "[default: 32;" in text
    assert "what it costs" in text
