"""The published methods are complete and word for word; a user's own are read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oneword import Method, Prompt, Steering
from oneword.errors import MethodError
from oneword.method import Published
from oneword.registry import find_method, find_prompt, presets

SHARED = Path(__file__).parents[2] / "shared"

PUBLISHED = {  # name: how many prompts
    "prompteol": 1,
    "pretended_cot": 1,
    "knowledge": 1,
    "ck": 2,
    "metaeol": 8,
    "prompteol_calibrated": 1,
    "pretended_cot_calibrated": 1,
    "knowledge_calibrated": 1,
    "ck_calibrated": 2,
    "metaeol_calibrated": 8,
    "oneword": 3,
    "metaeol_concat": 8,
    "metaeol_max": 8,
    "metaeol_tc": 2,
    "metaeol_sa": 2,
    "metaeol_pi": 2,
    "metaeol_ie": 2,
    "prompteol_cp": 1,
    "pretended_cot_cp": 1,
    "knowledge_cp": 1,
    "ck_cp": 2,
    "metaeol_cp": 8,
    "average": 1,
    "weighted_mean": 1,
    "last_token": 1,
    "bert_prompt": 1,
    "echo": 1,
    "prompteol_icl": 1,
    "prompteol_paraphrases": 8,
    "sentiment_5": 5,
    "sentiment_1": 1,
    "sentiment_perturbed_1": 1,
    "sentiment_perturbed_2": 1,
    "sentiment_perturbed_3": 1,
    "sentiment_perturbed_4": 1,
    "task_mr": 1,
    "task_cr": 1,
    "task_subj": 1,
    "task_mpqa": 1,
    "task_trec": 1,
    "task_mrpc": 1,
}
AUXILIARY = {  # Contrastive Prompting, Table 4
    "irrelevant": 'The irrelevant information of this sentence : "{text}" means in one word:"',
    "redundant": 'The redundant information of this sentence : "{text}" means in one word:"',
    "background": 'The background of this sentence : "{text}" means in one word:"',
    "descriptive_term": 'The descriptive term of this sentence : "{text}" means in one word:"',
    "sentiment": 'The sentence : "{text}" reflects the sentiment in one word:"',
    "primary_entity": 'The sentence : "{text}" highlights the primary entity or relation in one word:"',
}
BASELINES = {  # prompts that ask for no word in quotes
    "text": "{text}",
    "bert_prompt": 'This sentence : "{text}" means [MASK].',
    "echo": "Rewrite the following paragraph: {text}. The rewritten paragraph: {text}",
}
UNCLEANED = {"average", "weighted_mean", "last_token", "echo"}  # they ask for no word


def wordings(method: str) -> list[str]:
    return [prompt.wording for prompt in find_method(method).prompts]


def test_every_published_method_is_there_with_its_number_of_prompts():
    assert {name: len(method.prompts) for name, method in presets().methods.items()} == PUBLISHED


def test_the_default_method_is_listed_first():
    assert next(iter(presets().methods)) == "prompteol"


def test_every_published_prompt_is_asked_by_some_method_or_is_auxiliary_and_no_wording_stands_twice():
    published = presets().prompts
    asked = {prompt.name for method in presets().methods.values() for prompt in method.prompts}
    assert asked & set(AUXILIARY) == set()
    assert asked | set(AUXILIARY) == set(published)
    assert len({prompt.wording for prompt in published.values()}) == len(published)


def test_names_are_the_keys_they_are_found_by():
    assert all(name == method.name for name, method in presets().methods.items())
    assert all(name == prompt.name for name, prompt in presets().prompts.items())


def test_every_method_and_prompt_says_where_it_is_from():
    assert all(method.source and method.summary for method in presets().methods.values())
    assert all(prompt.source for prompt in presets().prompts.values())


def test_every_prompt_for_a_word_puts_the_text_into_quotes_and_ends_where_the_word_begins():
    one_word = [prompt for prompt in presets().prompts.values() if prompt.name not in BASELINES]
    assert len(one_word) == len(presets().prompts) - len(BASELINES)
    for prompt in one_word:
        assert prompt.slots == 1, prompt.name
        assert prompt.prefix.endswith(' : "'), prompt.name
        assert prompt.suffix.startswith('" '), prompt.name
        assert prompt.wording.endswith(':"'), prompt.name
        assert prompt.wording == prompt.wording.strip(), prompt.name


def test_all_but_the_known_few_prompts_end_in_one_word():
    others = {
        prompt.name: prompt for prompt in presets().prompts.values() if not prompt.wording.endswith(' in one word:"')
    }
    assert {name: others.pop(name).wording for name in BASELINES} == BASELINES
    assert others.pop("sa_emotion_intensity").wording.endswith(' in one word as:"')
    assert others.pop("paraphrase_5").wording.endswith(' in another word:"')
    assert sorted(others) == ["paraphrase_1", "paraphrase_2", "paraphrase_6", "paraphrase_7"]
    assert all(prompt.wording.endswith(' one word:"') for prompt in others.values())


def test_parts_and_combinations_ask_the_same_eight_prompts_in_the_same_order():
    eight = wordings("metaeol")
    assert [w for part in ("tc", "sa", "pi", "ie") for w in wordings(f"metaeol_{part}")] == eight
    assert wordings("metaeol_concat") == wordings("metaeol_max") == eight
    assert [find_method(name).combine for name in ("metaeol", "metaeol_concat", "metaeol_max")] == [
        "mean",
        "concat",
        "max",
    ]


def test_each_meta_task_has_two_prompts():
    tasks = [prompt.meta_task for prompt in find_method("metaeol").prompts]
    assert tasks == [
        *["text classification"] * 2,
        *["sentiment analysis"] * 2,
        *["paraphrase identification"] * 2,
        *["information extraction"] * 2,
    ]


def test_ck_is_the_mean_of_pretended_cot_and_knowledge():
    assert wordings("ck") == wordings("pretended_cot") + wordings("knowledge")
    assert find_method("ck").combine == "mean"


def test_the_paraphrases_begin_with_prompteol_itself():
    assert wordings("prompteol_paraphrases")[:1] == wordings("prompteol")


def test_the_five_sentiment_prompts_begin_with_the_two_of_metaeol():
    assert wordings("sentiment_5")[:2] == wordings("metaeol_sa")


def test_all_methods_that_ask_for_a_word_clean_texts_and_those_of_the_baselines_do_not():
    assert {method.name for method in presets().methods.values() if method.cleaning == "none"} == UNCLEANED
    assert {method.cleaning for method in presets().methods.values()} == {"one_word", "none"}


def test_steered_methods_read_the_proportional_layer_and_all_others_the_last():
    layers = {method.name: method.layer for method in presets().methods.values()}
    steered = {name for name, method in presets().methods.items() if method.steering is not None}
    assert steered == {"prompteol_cp", "pretended_cot_cp", "knowledge_cp", "ck_cp", "metaeol_cp", "oneword"}
    assert {name for name, layer in layers.items() if layer == "proportional"} == steered
    assert set(layers.values()) == {"last", "proportional"}


def test_the_states_that_are_read_are_the_last_token_s_but_for_the_baselines():
    others = {method.name: method.pooling for method in presets().methods.values() if method.pooling != "last_token"}
    assert others == {"average": "mean", "weighted_mean": "weighted_mean", "bert_prompt": "mask_token", "echo": "echo"}


@pytest.mark.parametrize("name", ["prompteol", "pretended_cot", "knowledge", "ck", "metaeol"])
def test_a_steered_method_is_the_plain_one_less_what_is_irrelevant(name):
    plain, steered = find_method(name), find_method(f"{name}_cp")
    assert steered.prompts == plain.prompts
    assert steered.combine == plain.combine == "mean"
    assert steered.steering == Steering(scale=1.0)


def test_steering_subtracts_the_published_default_unless_another_prompt_is_named():
    assert Steering().auxiliary_prompt == find_prompt("irrelevant")


# Word for word


def facts(name: str) -> str:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not beside this checkout")
    return path.read_text(encoding="utf-8")


def section(title: str) -> list[str]:
    """The wordings under a heading of papers.md that begins so: its indented lines, in order."""
    (body,) = re.findall(
        rf"^### {re.escape(title)}.*?\n(.*?)(?=^#|\Z)", facts("papers.md"), flags=re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^ {6}(.*)$", body, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "methods"),
    [
        ("MetaEOL, Appendix A.3", ["metaeol"]),
        ("MetaEOL, A.5", [f"sentiment_perturbed_{number}" for number in range(1, 5)]),
        ("MetaEOL, A.6", ["task_mr", "task_cr", "task_subj", "task_mpqa", "task_trec", "task_mrpc"]),
    ],
)
def test_wordings_are_the_papers_word_for_word(title, methods):
    assert [wording for method in methods for wording in wordings(method)] == section(title)


def test_the_paraphrases_are_the_papers_word_for_word():
    assert wordings("prompteol_paraphrases")[1:] == section("MetaEOL, A.2")


def test_the_further_sentiment_prompts_are_the_papers_word_for_word():
    assert wordings("sentiment_5")[2:] == section("MetaEOL, A.4")


@pytest.mark.parametrize(
    ("label", "method"), [("PromptEOL", "prompteol"), ("Pretended CoT", "pretended_cot"), ("Knowledge", "knowledge")]
)
def test_single_prompts_are_the_design_s_word_for_word(label, method):
    stated = re.findall(rf"^- {label} `(.*)`$", facts("DESIGN.md"), flags=re.MULTILINE)
    assert wordings(method) == stated


def test_the_auxiliary_prompts_are_the_paper_s_word_for_word():
    assert {name: find_prompt(name).wording for name in AUXILIARY} == AUXILIARY
    assert list(AUXILIARY.values()) == section("CP, Table 4")


def test_the_prompts_of_the_baselines_are_the_papers_word_for_word():
    assert {name: find_prompt(name).wording for name in BASELINES} == BASELINES
    papers = facts("papers.md")
    for start, name in ((r"BERT prompt .*?: ", "bert_prompt"), (r"Echo: .*?\(", "echo")):
        assert re.findall(rf"^- {start}`(.*?)`", papers, flags=re.MULTILINE | re.DOTALL) == [BASELINES[name]]


# Finding by name


def test_a_method_object_is_taken_as_it_is():
    method = Method("mine", "{text}:")
    assert find_method(method) is method


@pytest.mark.parametrize(
    ("wrong", "near"), [("prompteal", "prompteol"), ("MetaEOL2", "metaeol"), ("pretended-cot", "pretended_cot")]
)
def test_an_unknown_method_gives_the_nearest_names(wrong, near):
    with pytest.raises(MethodError, match=rf"unknown method '{wrong}' \(nearest: [^)]*\b{near}\b"):
        find_method(wrong)


def test_a_method_like_no_other_gives_all_names():
    with pytest.raises(
        MethodError,
        match="known: average, bert_prompt, ck, ck_calibrated, ck_cp, echo, knowledge, knowledge_calibrated",
    ):
        find_method("zzzzzzzz")


def test_an_unknown_prompt_gives_the_nearest_names():
    with pytest.raises(MethodError, match=r"unknown prompt 'paraphrase_9' \(nearest: paraphrase_"):
        find_prompt("paraphrase_9")
    assert find_prompt("prompteol").wording == wordings("prompteol")[0]


# A user's own file

GOOD = """
[prompts.gist]
wording = 'The gist of "{text}" in one word:"'
source = "me"
meta_task = "gist"

[methods.mine]
prompts = ["gist", "prompteol"]
layer = -3
combine = "max"
cleaning = "none"
summary = "the gist and the word"
source = "me"
"""


@pytest.fixture
def toml(tmp_path):
    def write(text: str, name: str = "mine.toml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def test_a_file_may_name_its_own_prompts_and_published_ones(toml):
    method = find_method(toml(GOOD))
    assert method.name == "mine"
    assert method.prompts == (
        Prompt('The gist of "{text}" in one word:"', name="gist", source="me", meta_task="gist"),
        find_prompt("prompteol"),
    )
    assert (method.layer, method.combine, method.cleaning) == (-3, "max", "none")
    assert (method.summary, method.source) == ("the gist and the word", "me")


def test_the_only_method_of_a_file_may_be_named_all_the_same(toml):
    assert find_method(toml(GOOD) + ":mine") == find_method(toml(GOOD))


def test_a_file_s_own_prompt_goes_before_a_published_one_of_that_name(toml):
    path = toml("[prompts.prompteol]\nwording = 'mine: {text}'\n[methods.m]\nprompts = ['prompteol']\n")
    assert find_method(path).prompts[0].wording == "mine: {text}"
    assert find_prompt("prompteol").wording != "mine: {text}"


def test_one_of_several_methods_is_chosen_by_name(toml):
    path = toml(GOOD + '[methods.other]\nprompts = ["gist"]\n')
    assert find_method(path + ":other").prompts == find_method(path + ":mine").prompts[:1]


def test_several_methods_without_a_choice_are_refused_with_their_names(toml):
    path = toml(GOOD + '[methods.other]\nprompts = ["gist"]\n')
    with pytest.raises(MethodError, match=r"holds 2 methods; choose with .*mine\.toml:NAME \(known: mine, other\)"):
        find_method(path)


def test_a_choice_that_is_not_in_the_file_gives_the_nearest_names(toml):
    with pytest.raises(MethodError, match=r"mine\.toml holds no method 'mime'; .*nearest: mine"):
        find_method(toml(GOOD) + ":mime")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("source =", "sauce =", 1), ["[prompts.gist]", "unknown key 'sauce'", "nearest: source"]),
        (GOOD.replace("combine", "combined"), ["[methods.mine]", "unknown key 'combined'", "nearest: combine"]),
        ("[method.mine]\nprompts = ['gist']\n", ["the top level", "unknown key 'method'", "nearest: methods"]),
        ("wording = '{text}'\n" + GOOD, ["the top level", "unknown key 'wording'"]),
        (GOOD.replace('"gist", ', '"jist", '), ["[methods.mine]", "'jist'", "no published prompt", "nearest: gist"]),
        (
            GOOD.replace("wording", "meta_task", 1).replace('meta_task = "gist"\n', ""),
            ["[prompts.gist]", "'wording' is missing"],
        ),
        (GOOD.replace('prompts = ["gist", "prompteol"]\n', ""), ["[methods.mine]", "'prompts' is missing"]),
        (GOOD.replace("{text}", "it"), ["[prompts.gist]", "no {text} slot"]),
        (GOOD.replace("{text}", "{text} {text}"), ["[prompts.gist]", "2 {text} slots"]),
        (GOOD.replace('\'The gist of "{text}" in one word:"\'', "5"), ["[prompts.gist]", "must be a string", "int"]),
        (GOOD.replace('["gist", "prompteol"]', '"gist"'), ["[methods.mine]", "prompts must be a list of names"]),
        (GOOD.replace('["gist", "prompteol"]', "[1]"), ["[methods.mine]", "prompts must be a list of names"]),
        (GOOD.replace('["gist", "prompteol"]', "[]"), ["[methods.mine]", "has no prompts"]),
        (GOOD.replace("-3", "true"), ["[methods.mine]", "layer True"]),
        (GOOD.replace("-3", "1.5"), ["[methods.mine]", "layer 1.5"]),
        (GOOD.replace("-3", '"middle"'), ["[methods.mine]", "layer 'middle'"]),
        (GOOD.replace('"max"', '"sum"'), ["[methods.mine]", "combine 'sum'", "mean, concat, max"]),
        (GOOD.replace('"none"', "3"), ["[methods.mine]", "cleaning 3", "one_word, none"]),
        ("prompts = 5\n", ["prompts must be tables", "[prompts.my_name]"]),
        ("[methods]\nmine = 5\n", ["methods must be tables"]),
        ("[prompts.gist\n", ["not valid TOML", "line 1"]),
        (GOOD + GOOD, ["not valid TOML"]),
        ("", ["defines no method"]),
        ("[prompts.gist]\nwording = '{text}'\n", ["defines no method"]),
        (b"[prompts.gist]\nwording = '{text} \xe9'\n", ["is not UTF-8 text"]),
    ],
)
def test_a_file_that_is_not_well_formed_is_refused_by_file_and_key(toml, text, expected):
    path = toml(text)
    with pytest.raises(MethodError) as caught:
        find_method(path)
    message = str(caught.value)
    assert path in message
    assert [part for part in expected if part not in message] == [], message
    assert "\n" not in message


STEERED = """
[prompts.off]
wording = 'Off the point of "{text}" :"'

[prompts.twice]
wording = "{text} and {text}"
slots = 2

[methods.mine]
prompts = ["prompteol"]
layer = 3
published = { depth = 5, layer = -2, steering_layer = 3, scale = 4 }

[methods.mine.steering]
auxiliary_prompt = "off"
layer = 2
position = "mlp_output"
norm = "recover"
scale = 0.5

[methods.again]
prompts = ["twice"]
pooling = "echo"
"""
OFF = Prompt('Off the point of "{text}" :"', name="off")


def test_a_file_may_state_a_steering_with_settings_for_one_depth(toml):
    method = find_method(toml(STEERED) + ":mine")
    assert method.steering == Steering(OFF, layer=2, position="mlp_output", norm="recover", scale=0.5)
    assert method.published == Published(depth=5, layer=-2, steering_layer=3, scale=4)


def test_a_file_may_state_a_pooling_and_a_prompt_of_two_slots(toml):
    method = find_method(toml(STEERED) + ":again")
    assert method.pooling == "echo"
    assert method.prompts == (Prompt("{text} and {text}", name="twice", slots=2),)


def test_an_auxiliary_prompt_may_be_a_published_one_and_what_is_not_said_is_the_paper_s_way(toml):
    path = toml('[methods.mine]\nprompts = ["prompteol"]\nsteering = { auxiliary_prompt = "background" }\n')
    assert find_method(path).steering == Steering(find_prompt("background"))
    assert find_method(toml("[methods.m]\nprompts = ['knowledge']\nsteering = {}\n")).steering == Steering()


TABLE = "[methods.mine.steering]"
WHOLE = STEERED[STEERED.index(TABLE) : STEERED.index("[methods.again]")]
PUBLISHED_LINE = next(line for line in STEERED.splitlines() if line.startswith("published"))


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("lair = 2", "layer = 2", [f"{TABLE}: unknown key 'lair'", "nearest: layer"]),
        ("layer = 0", "layer = 2", [f"{TABLE}: steering: layer 0 is neither a block counted from 1"]),
        ("layer = true", "layer = 2", [f"{TABLE}: steering: layer True"]),
        ("layer = 2.0", "layer = 2", [f"{TABLE}: steering: layer 2.0"]),
        ('layer = "last"', "layer = 2", [f"{TABLE}: steering: layer 'last'"]),
        ('position = "o_proj"', 'position = "mlp_output"', [f"{TABLE}: ", "position 'o_proj'", "block_output"]),
        ("position = 3", 'position = "mlp_output"', [f"{TABLE}: ", "position 3"]),
        ("norm = []", 'norm = "recover"', [f"{TABLE}: ", "norm [] is not one of: scale, recover"]),
        ("scale = nan", "scale = 0.5", [f"{TABLE}: ", "scale nan is not a finite number"]),
        ("scale = -inf", "scale = 0.5", [f"{TABLE}: ", "scale -inf"]),
        ('scale = "2"', "scale = 0.5", [f"{TABLE}: ", "scale '2'"]),
        ("scale = false", "scale = 0.5", [f"{TABLE}: ", "scale False"]),
        (
            'auxiliary_prompt = "of"',
            'auxiliary_prompt = "off"',
            [f"{TABLE}: auxiliary_prompt names 'of'", "nearest: off"],
        ),
        ("auxiliary_prompt = 5", 'auxiliary_prompt = "off"', [f"{TABLE}: auxiliary_prompt names '5'"]),
        ("auxiliary_prompt = []", 'auxiliary_prompt = "off"', [f"{TABLE}: auxiliary_prompt names '[]'"]),
        ('auxiliary_prompt = "twice"', 'auxiliary_prompt = "off"', [f"{TABLE}: ", "prompt 'twice' has two slots"]),
        ('auxiliary_prompt = "{text}"', 'auxiliary_prompt = "off"', [f"{TABLE}: auxiliary_prompt names '{{text}}'"]),
        ("steering = 3\n", WHOLE, ["steering must be a table", TABLE]),
        ("steering = []\n", WHOLE, ["steering must be a table", TABLE]),
        ('steering = "recover"\n', WHOLE, ["steering must be a table", TABLE]),
        ("", WHOLE, ["[methods.mine]: ", "published settings of a steering, but no steering"]),
        ('pooling = "mean"\n', "layer = 3\n", ["[methods.mine]: ", "pooling cannot be mean"]),
        ("pooling = 3\n", "layer = 3\n", ["[methods.mine]: ", "pooling 3 is not one of"]),
        ('pooling = "mean"', 'pooling = "echo"', ["[methods.again]: ", "one {text} slot in prompt 'twice'"]),
        ("slots = 3", "slots = 2", ["[prompts.twice]: prompt 'twice' has slots = 3"]),
        ('slots = "2"', "slots = 2", ["[prompts.twice]: prompt 'twice' has slots = '2'"]),
        ("slots = 1", "slots = 2", ["[prompts.twice]: prompt 'twice' has 2 {text} slots"]),
        ("published = []", PUBLISHED_LINE, ["published must be a table", "[methods.mine.published]"]),
        ("published = 5", PUBLISHED_LINE, ["published must be a table", "[methods.mine.published]"]),
        ("blocks = 5", "depth = 5", ["[methods.mine.published]: unknown key 'blocks'", "scale, steering_layer"]),
    ],
)
def test_a_steering_that_is_not_well_formed_is_refused_by_file_and_key(toml, wrong, right, expected):
    assert STEERED.count(right) == 1
    path = toml(STEERED.replace(right, wrong))
    with pytest.raises(MethodError) as caught:
        find_method(path + ":mine")
    message = str(caught.value)
    assert message.startswith(path)
    assert [part for part in expected if part not in message] == [], message
    assert "\n" not in message


@pytest.mark.parametrize("key", ["depth", "layer", "steering_layer", "scale"])
@pytest.mark.parametrize("value", ["true", '"3"', "[]", "3.5", None])
def test_each_published_setting_must_be_there_and_a_number(toml, key, value):
    if (key, value) == ("scale", "3.5"):
        return
    settings = {"depth": "5", "layer": "-2", "steering_layer": "3", "scale": "4", key: value}
    table = ", ".join(f"{name} = {setting}" for name, setting in settings.items() if setting is not None)
    path = toml(STEERED.replace(PUBLISHED_LINE, f"published = {{ {table} }}"))
    wrong = "scale" if key == "scale" else f"{key} must be a whole number, not"
    problem = f"the key '{key}' is missing" if value is None else wrong
    with pytest.raises(MethodError) as caught:
        find_method(path + ":mine")
    assert str(caught.value).startswith(f"{path}, [methods.mine.published]: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right", "named"),
    [
        ("steering_layer = 0", "steering_layer = 3", "[methods.mine.published]"),
        ("steering_layer = 6", "steering_layer = 3", "[methods.mine.published]"),
        ("scale = nan }", "scale = 4 }", "[methods.mine.published]"),
        ("depth = 0", "depth = 5", "[methods.mine.published]"),
        ("{ depth = 5, layer = 6", "{ depth = 5, layer = -2", "[methods.mine.published]"),
        ('"{text}"\nslots = true', '"{text} and {text}"\nslots = 2', "[prompts.twice]"),
        ("\nsummary = 5", "\nlayer = 3", "[methods.mine]"),
        ("\nsource = []", "\nlayer = 3", "[methods.mine]"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_file_and_key(toml, wrong, right, named):
    text = STEERED[: STEERED.index("[methods.again]")]
    assert text.count(right) == 1
    path = toml(text.replace(right, wrong))
    with pytest.raises(MethodError) as caught:
        find_method(path)
    assert str(caught.value).startswith(f"{path}, {named}: ")


@pytest.mark.parametrize("name", ["absent.toml", "absent.toml:mine"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(MethodError, match=r"the method file .*absent\.toml cannot be read: No such file"):
        find_method(str(tmp_path / name))


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(MethodError, match=r"folder\.toml cannot be read: Is a directory"):
        find_method(str(tmp_path / "folder.toml"))
