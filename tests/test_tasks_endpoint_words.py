"""Label words read from an endpoint's log-probabilities: what is sent, which token means what, and what goes wrong."""

from __future__ import annotations

import math

import numpy as np
import openai
import pytest

from chat_server import KEY, completion, next_token, serving
from oneword.errors import InputError, MethodError, ModelError
from oneword.tasks import Pool
from oneword.tasks.asking import ask, ask_with_perplexity
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors import EndpointWordPredictor, find_predictor

WORDS = {"positive": ["yes", "Yes"], "negative": ["no", "No"]}
PROMPT = LabelPrompt("{text} Did he like it?", WORDS, name="7")
REQUEST = 'Answer only with one of the words "yes" or "no", in lower case, without explanation.'


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch, next_token(yes=-0.5, no=-1.5)) as found:
        yield found


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(openai.OpenAI, "_calculate_retry_timeout", lambda *arguments, **options: 0.0)


def plain_softmax(*scores: float) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def test_one_token_is_asked_for_with_the_prompt_and_its_request(server):
    predictor = EndpointWordPredictor(server.url, None, PROMPT)
    found = predictor.predict(["Fine film."])
    assert server.requests == [
        {
            "model": "only-model",
            "messages": [{"role": "user", "content": f"Fine film. Did he like it?\n{REQUEST}"}],
            "temperature": 0.0,
            "max_completion_tokens": 1,
            "logprobs": True,
            "top_logprobs": 20,
        }
    ]
    assert found.dtype == np.float64
    assert found[0] == pytest.approx(plain_softmax(-0.5, -1.5))
    assert (predictor.classes, predictor.takes_pairs) == (("positive", "negative"), False)
    assert (predictor.name, predictor.model_name, predictor.unread) == ("only-model+7", "only-model", 0)


def test_a_prompt_without_request_is_sent_bare_and_a_pair_fills_its_slots(server):
    prompt = LabelPrompt("{premise} So {hypothesis}?", WORDS, request=False)
    EndpointWordPredictor(server.url, "m", prompt, workers=1).predict(["a", "c"], ["b", "d"])
    asked = [request["messages"] for request in server.requests]
    assert asked == [[{"role": "user", "content": text}] for text in ("a So b?", "c So d?")]
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        EndpointWordPredictor(server.url, "m", prompt).predict(["a"])


def test_a_prompt_that_reasons_takes_two_turns(server):
    server.replies = ["He says fine, so", next_token(no=-0.1, yes=-3)]
    prompt = LabelPrompt("{text} Did he like it? Reason step by step before answering.", WORDS, reason=True)
    predictor = EndpointWordPredictor(server.url, "m", prompt, max_reasoning_tokens=77)
    assert predictor.predict(["Fine film."])[0] == pytest.approx(plain_softmax(-3, -0.1))
    first = {"role": "user", "content": "Fine film. Did he like it? Reason step by step before answering."}
    reasoning, answer = server.requests
    assert reasoning == {"model": "m", "messages": [first], "temperature": 0.0, "max_completion_tokens": 77}
    assert answer["messages"] == [
        first,
        {"role": "assistant", "content": "He says fine, so"},
        {"role": "user", "content": REQUEST},
    ]
    assert (answer["max_completion_tokens"], answer["logprobs"], answer["top_logprobs"]) == (1, True, 20)


@pytest.mark.parametrize(
    ("words", "listed", "scores"),
    [
        (WORDS, {"_yes": -0.5, "Yes": -1, "no": -2}, [-0.5, -2]),  # the best of a label's words; spaces aside
        (WORDS, {"yes": -0.1, "maybe": -4, "well": -9}, [-0.1, -9]),  # what is not listed is the least
        (WORDS, {"YES": -0.1, "nope": -1, "no": -2}, [-2.5, -2]),  # case and length count; the least is below
        (
            {"a": ["entailment"], "b": ["neutral"], "c": ["contradiction"]},
            {"ent": -1, "neut": -2, "n": -3},
            [-1, -2, -3],
        ),
        ({"a": ["positive"], "b": ["possible"]}, {"pos": -0.1, "posi": -1, "possible": -2}, [-1, -2]),  # pos: either
        ({"a": ["not"], "b": ["nothing"]}, {"not": -1, "noth": -3, "no": -0.1}, [-1, -3]),  # a whole word comes first
        (WORDS, {"_": -0.1, "no": -1, "y": -20000}, [-9999, -1]),
    ],
)
def test_which_listed_token_stands_for_which_label(server, words, listed, scores):
    if "YES" in listed:
        listed = {**listed, "end": -2.5}
    server.replies = [next_token(**listed)]
    predictor = EndpointWordPredictor(server.url, "m", LabelPrompt("{text}", words))
    assert predictor.predict(["a"])[0] == pytest.approx(plain_softmax(*scores))
    assert predictor.unread == 0


def test_a_text_without_any_label_word_is_counted_and_says_nothing(server):
    server.replies = [next_token(maybe=-0.1, _=-2), next_token(yes=-1, no=-3)]
    predictor = EndpointWordPredictor(server.url, "m", PROMPT, workers=1)
    first, second = predictor.predict(["a", "b"])
    assert first.tolist() == [0.5, 0.5]
    assert second == pytest.approx(plain_softmax(-1, -3))
    assert predictor.unread == 1
    assert predictor.predict([]).shape == (0, 2)


@pytest.mark.parametrize("given", ["nothing", "null", "no list"])
def test_an_endpoint_without_log_probabilities_is_named_with_the_way_out(server, given):
    reply = next_token(yes=-1) if given == "no list" else completion("yes")
    if given == "null":
        reply["choices"][0]["logprobs"] = None
    if given == "no list":
        reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = []
    server.replies = [reply]
    with pytest.raises(ModelError, match=r"^m at http\S+ gives no log-probabilities .*vLLM.*kind = \"endpoint\" with"):
        EndpointWordPredictor(server.url, "m", PROMPT, workers=1).predict(["a"] * 9)
    assert len(server.requests) == 1


def test_what_fails_for_now_is_tried_again(server, no_pauses):
    server.refusals, server.error = [429, 503], {"error": {"message": f"slow down {KEY}"}}
    assert EndpointWordPredictor(server.url, "m", PROMPT).predict(["a"])[0] == pytest.approx(plain_softmax(-0.5, -1.5))
    assert len(server.requests) == 3
    server.refusals = [503] * 9
    with pytest.raises(ModelError, match=r"503: slow down .*asked 3 times, with growing pauses") as caught:
        EndpointWordPredictor(server.url, "m", PROMPT, retries=2).predict(["a"])
    assert KEY not in str(caught.value)


def test_another_prompt_of_the_same_model_has_answers_of_its_own(server, tmp_path):
    kept, pool = KeptAnswers(tmp_path / "answers.sqlite"), Pool("pool", ("a", "b"))
    first = EndpointWordPredictor(server.url, None, PROMPT, workers=2)
    other = first.with_prompt(LabelPrompt("Is {text} good?", WORDS, name="8"))
    assert (first.prompt.name, other.prompt.name, other.name) == ("7", "8", "only-model+8")
    for predictor in (first, other, EndpointWordPredictor(server.url, None, PROMPT, timeout=9, retries=1)):
        ask(predictor, pool, kept)
    assert len(server.requests) == 4  # the third is the first
    reasons = LabelPrompt("{text}", WORDS, reason=True)
    found = {
        predictor.fingerprint
        for predictor in (
            first,
            other,
            first.with_prompt(LabelPrompt(PROMPT.wording, {"negative": ["no"], "positive": ["yes"]})),
            EndpointWordPredictor(server.url, "m", PROMPT),
            first.with_prompt(reasons),
            EndpointWordPredictor(server.url, None, reasons, max_reasoning_tokens=9),
        )
    }
    assert len(found) == 6


def test_there_is_no_perplexity(server):
    with pytest.raises(InputError, match=r"only-model\+7 gives no perplexity .* leave SPELL out"):
        ask_with_perplexity(EndpointWordPredictor(server.url, None, PROMPT), ["a"], None)


@pytest.mark.parametrize("option", [{"timeout": 0}, {"workers": 0}, {"max_reasoning_tokens": 0}])
def test_numbers_of_label_words_that_make_no_sense_are_refused(option):
    with pytest.raises(InputError, match=f"{next(iter(option))}.* at least"):
        EndpointWordPredictor("http://127.0.0.1:1/v1", "m", PROMPT, **option)


def test_a_file_of_label_words_behind_an_endpoint(server, tmp_path):
    path = tmp_path / "mine.toml"
    content = (
        f'kind = "endpoint_words"\nurl = "{server.url}"\nprompt = "{{text}} Did he like it?"\nrequest = false\n'
        'retries = 0\ntimeout = 3\n[label_words]\npositive = ["yes"]\nnegative = ["no"]\n'
    )
    path.write_text(content)
    predictor = find_predictor(str(path))
    assert (predictor.name, predictor.classes) == ("mine", ("positive", "negative"))
    assert predictor.predict(["Fine."])[0] == pytest.approx(plain_softmax(-0.5, -1.5))
    assert server.requests[0]["messages"] == [{"role": "user", "content": "Fine. Did he like it?"}]
    path.write_text(content.replace("{text}", ""))
    with pytest.raises(MethodError, match=r"mine\.toml: the prompt .* has no slots"):
        find_predictor(str(path))
