"""Prompt sets: the published ones word for word, users' own from TOML, and what is refused with file and key."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from oneword.errors import InputError, MethodError, OnewordError
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.selection.prompt_set import PromptSet, find_prompt_set, prompt_set_names

YES_NO = {"positive": ["yes"], "negative": ["no"]}
WORDS = 'label_words = { positive = ["yes"], negative = ["no"] }\n'


def written(tmp_path, toml: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(toml, encoding="utf-8")
    return str(path)


def test_a_label_prompt_tells_what_it_asks_for():
    prompt = LabelPrompt("{text} Good?", {"positive": ["yes", "Yes ", "yes"], "negative": "no"})
    assert prompt.label_words == {"positive": ("yes", "Yes"), "negative": ("no",)}
    assert (prompt.labels, prompt.words, prompt.takes_pairs) == (("positive", "negative"), ("yes", "Yes", "no"), False)
    assert prompt.asked_for == 'Answer only with one of the words "yes" or "no", in lower case, without explanation.'
    assert LabelPrompt("{premise} {hypothesis}?", YES_NO).takes_pairs


def test_a_digest_changes_with_what_changes_answers_and_with_nothing_else():
    base = LabelPrompt("{text} Good?", YES_NO)
    assert LabelPrompt("{text} Good?", YES_NO, name="7", source="me").digest == base.digest
    others = [
        LabelPrompt("{text} Fine?", YES_NO),
        LabelPrompt("{text} Good?", {"positive": ["yes"], "negative": ["never"]}),
        LabelPrompt("{text} Good?", dict(reversed(YES_NO.items()))),
        LabelPrompt("{text} Good?", YES_NO, reason=True),
        LabelPrompt("{text} Good?", YES_NO, request=False),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 6


@pytest.mark.parametrize(
    ("wording", "words", "error", "message"),
    [
        ("no slot", YES_NO, MethodError, r"has no slots"),
        ("{text} {premise}", YES_NO, MethodError, r"has \{text\} \{premise\}"),
        ("{text}", None, InputError, r'no labels.*as in \{"positive": \["yes"\]'),
        ("{text}", {"positive": ["yes"]}, InputError, r"1 label; a task needs two"),
        ("{text}", {"positive": ["yes"], "negative": []}, InputError, r"the words of 'negative' are \[\]"),
        ("{text}", {"positive": ["yes"], "negative": [" "]}, InputError, r"none empty"),
        ("{text}", {"positive": ["yes"], "negative": ["no", "yes"]}, InputError, r"'yes' is a word of 'positive' and"),
    ],
)
def test_a_prompt_that_cannot_be_read_from_is_refused(wording, words, error, message):
    with pytest.raises(error, match=message):
        LabelPrompt(wording, *([] if words is None else [words]))


def test_the_published_prompts_are_the_papers():
    assert prompt_set_names() == ("sentiment", "inference")
    sentiment, inference = map(find_prompt_set, prompt_set_names())
    assert (sentiment.takes_pairs, sentiment.labels) == (False, ("positive", "negative"))
    assert (inference.takes_pairs, inference.labels) == (True, ("entailment", "neutral", "contradiction"))
    for prompts, table in ((sentiment, "FUTE, Table A1"), (inference, "FUTE, Table A2")):
        assert [prompt.name for prompt in prompts.prompts] == [str(number) for number in range(1, 14)]
        assert [prompt.name for prompt in prompts.prompts if prompt.reason] == ["11", "12", "13"]
        assert {prompt.source for prompt in prompts.prompts} == {prompts.source} == {table}
        assert all(prompt.request for prompt in prompts.prompts)
    first, second = sentiment.prompts[:2]
    assert first.wording == "Does the movie review below make someone want to watch it? \n\n{text}"
    assert second.wording == "{text} How does the viewer feel about the movie? "
    assert second.label_words == {"positive": ("good", "Good", "positive"), "negative": ("bad", "Bad", "negative")}
    assert sentiment.prompts[11].wording == (
        "{text} How does the viewer feel about the movie? Reason step by step before answering."
    )
    assert inference.prompts[3].wording == (
        "Take the following as truth: {premise}\n"
        'Then the following statement: "{hypothesis}" is true, false, or maybe??'
    )
    assert inference.prompts[1].label_words == {
        "entailment": ("correct",),
        "neutral": ("uncertain",),
        "contradiction": ("incorrect",),
    }


@pytest.mark.parametrize(("name", "digest"), [("sentiment", "2db0c033e40d"), ("inference", "85add6dfd38a")])
def test_no_published_prompt_changes_unnoticed(name, digest):
    found = [[one.wording, list(one.label_words.items()), one.reason] for one in find_prompt_set(name).prompts]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12] == digest


def test_a_users_prompts_take_what_stands_once_for_all(tmp_path):
    own = """
[[prompts]]
wording = "{text} Did the guest enjoy the stay?"
[[prompts]]
name = "again"
wording = "{text} Stay there, too?"
label_words = { negative = ["never"], positive = ["certainly"] }
reason = true
source = "a colleague"
[[prompts]]
wording = "{text} In one word:"
request = false
"""
    found = find_prompt_set(written(tmp_path, 'summary = "hotels"\nsource = "me"\n' + WORDS + own))
    assert (found.name, found.summary, found.source) == ("mine", "hotels", "me")
    assert [(one.name, one.reason, one.request, one.source) for one in found.prompts] == [
        ("1", False, True, "me"),
        ("again", True, True, "a colleague"),
        ("3", False, False, "me"),
    ]
    assert found.prompts[0].label_words == {"positive": ("yes",), "negative": ("no",)}
    # In the order of the first prompt's labels
    assert list(found.prompts[1].label_words.items()) == [("positive", ("certainly",)), ("negative", ("never",))]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[[prompts]]\nprompt = "{text}"', r"mine\.toml, prompt 1: unknown key 'prompt'"),
        ("shots = 3", r"mine\.toml: unknown key 'shots'"),
        (
            '[[prompts]]\nwording = "{text}"',
            r"mine\.toml, prompt 1: the key 'label_words' is missing.*as in label_words",
        ),
        (WORDS + "[[prompts]]\nreason = true", r"mine\.toml, prompt 1: the key 'wording' is missing"),
        (
            WORDS + '[[prompts]]\nwording = "{text}"\nreason = "yes"',
            r"prompt 1: reason must be true or false, not 'yes'",
        ),
        (WORDS + "[[prompts]]\nwording = 3", r"prompt 1: wording must be a text"),
        ('label_words = "yes"', r"mine\.toml: label_words must be a table of lists of words"),
        ('label_words = { a = "yes", b = ["no"] }', r"mine\.toml: label_words\.a must be a list of words"),
        (WORDS + '[[prompts]]\nwording = "no slot"', r"mine\.toml, prompt 1: .*has no slots"),
        ('[[prompts]]\nwording = "{text}"\nlabel_words = { a = ["yes"] }', r"mine\.toml, prompt 1: .*1 label;"),
        (WORDS + '[prompts]\nwording = "{text}"', r"each under a line \[\[prompts\]\]"),
        (WORDS, r"mine\.toml: mine has no prompts"),
        (
            WORDS + '[[prompts]]\nname = "2"\nwording = "{text}"\n[[prompts]]\nwording = "{text}?"',
            r"2 prompts with the name '2'",
        ),
        (
            WORDS
            + '[[prompts]]\nwording = "{text}"\n[[prompts]]\nwording = "{text}"\nlabel_words = {a = ["x"], b = ["y"]}',
            r"prompt '1' has label_words for positive, negative, but prompt '2' for a, b",
        ),
        (
            WORDS + '[[prompts]]\nwording = "{text}"\n[[prompts]]\nwording = "{premise} {hypothesis}"',
            r"prompt '2' is about pairs of texts and prompt '1' about single ones",
        ),
        ("wording = ", r"mine\.toml is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_by_file_and_key(tmp_path, toml, message):
    with pytest.raises(OnewordError, match=message):
        find_prompt_set(written(tmp_path, toml))


def test_unknown_names_and_files_are_refused(tmp_path):
    with pytest.raises(MethodError, match=r"unknown prompt set 'sentimental' \(nearest: sentiment;"):
        find_prompt_set("sentimental")
    with pytest.raises(MethodError, match=r"none\.toml cannot be read: No such file"):
        find_prompt_set(tmp_path / "none.toml")
    with pytest.raises(MethodError, match=r"empty has no prompts"):
        PromptSet("empty", ())


def test_prompt_sets_are_read_without_torch_and_numpy():
    code = (
        "import sys; from oneword.tasks.selection.prompt_set import find_prompt_set; find_prompt_set('inference'); "
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
