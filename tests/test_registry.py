"""The published methods are complete and word for word; a user's own are read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oneword import Method, Prompt
from oneword.errors import MethodError
from oneword.registry import find_method, find_prompt, presets

SHARED = Path(__file__).parents[2] / "shared"

PUBLISHED = {  # name: how many prompts
    "prompteol": 1,
    "pretended_cot": 1,
    "knowledge": 1,
    "ck": 2,
    "metaeol": 8,
    "metaeol_concat": 8,
    "metaeol_max": 8,
    "metaeol_tc": 2,
    "metaeol_sa": 2,
    "metaeol_pi": 2,
    "metaeol_ie": 2,
    "prompteol_paraphrases": 8,
    "sentiment_5": 5,
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


def wordings(method: str) -> list[str]:
    return [prompt.wording for prompt in find_method(method).prompts]


def test_every_published_method_is_there_with_its_number_of_prompts():
    assert {name: len(method.prompts) for name, method in presets().methods.items()} == PUBLISHED


def test_the_default_method_is_listed_first():
    assert next(iter(presets().methods)) == "prompteol"


def test_every_published_prompt_is_asked_by_some_method_and_no_wording_stands_twice():
    published = presets().prompts
    asked = {prompt.name for method in presets().methods.values() for prompt in method.prompts}
    assert asked == set(published)
    assert len({prompt.wording for prompt in published.values()}) == len(published)


def test_names_are_the_keys_they_are_found_by():
    assert all(name == method.name for name, method in presets().methods.items())
    assert all(name == prompt.name for name, prompt in presets().prompts.items())


def test_every_method_and_prompt_says_where_it_is_from():
    assert all(method.source and method.summary for method in presets().methods.values())
    assert all(prompt.source for prompt in presets().prompts.values())


def test_every_prompt_puts_the_text_into_quotes_and_ends_where_the_word_begins():
    for prompt in presets().prompts.values():
        assert prompt.prefix.endswith(' : "'), prompt.name
        assert prompt.suffix.startswith('" '), prompt.name
        assert prompt.wording.endswith(':"'), prompt.name
        assert prompt.wording == prompt.wording.strip(), prompt.name


def test_all_but_the_known_few_prompts_end_in_one_word():
    others = {
        prompt.name: prompt for prompt in presets().prompts.values() if not prompt.wording.endswith(' in one word:"')
    }
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


def test_all_published_methods_clean_texts_and_read_the_last_layer():
    assert {(method.cleaning, method.layer) for method in presets().methods.values()} == {("one_word", "last")}


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
    with pytest.raises(MethodError, match="known: ck, knowledge, metaeol"):
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


@pytest.mark.parametrize("name", ["absent.toml", "absent.toml:mine"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(MethodError, match=r"the method file .*absent\.toml cannot be read: No such file"):
        find_method(str(tmp_path / name))


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(MethodError, match=r"folder\.toml cannot be read: Is a directory"):
        find_method(str(tmp_path / "folder.toml"))
