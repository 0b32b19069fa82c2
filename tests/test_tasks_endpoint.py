"""A model behind an endpoint as a predictor: what is sent, what is tried again, and what an answer means."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import openai
import pytest

from chat_server import KEY, completion, serving
from oneword.errors import InputError, MethodError, ModelError
from oneword.tasks import Pool
from oneword.tasks.asking import ask
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.predictor import read_answers
from oneword.tasks.predictors import EndpointPredictor
from oneword.tasks.predictors.class_answer import ClassReader

PROMPT = "Review: {text}\nPositive or negative?"
CLASSES = ["positive", "negative"]


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch, lambda body: f" about {body['messages'][0]['content']}\n") as found:
        yield found


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between tries, which are not waited for."""
    found: list[float] = []
    plain = openai.OpenAI._calculate_retry_timeout

    def noted(*arguments: object, **options: object) -> float:
        found.append(plain(*arguments, **options))
        return 0.0

    monkeypatch.setattr(openai.OpenAI, "_calculate_retry_timeout", noted)
    return found


def test_every_text_is_asked_about_once_and_answers_keep_their_order(server):
    texts = [f"text {number}" for number in range(9)]
    predictor = EndpointPredictor(server.url)
    assert predictor.predict(texts) == [f"about {text}" for text in texts]
    asked = [request["messages"] for request in server.requests]
    assert sorted(messages[0]["content"] for messages in asked) == texts
    assert all(len(messages) == 1 for messages in asked)
    assert set(server.requests[0]) == {"model", "messages", "temperature"}
    assert server.requests[0]["temperature"] == 0
    assert read_answers(predictor.predict(texts), 9, predictor.name).kind == "strings"


def test_a_pair_fills_both_slots(server):
    prompt = "Given {premise} is {hypothesis} true?"
    predictor = EndpointPredictor(server.url, prompt=prompt, seed=3, max_new_tokens=5, temperature=None, workers=1)
    predictor.predict(["a {hypothesis}"], ["b {premise}"])
    assert server.requests[0] == {
        "model": "only-model",
        "messages": [{"role": "user", "content": "Given a {hypothesis} is b {premise} true?"}],
        "seed": 3,
        "max_completion_tokens": 5,
    }
    with pytest.raises(InputError, match="pairs of texts and was given single ones"):
        predictor.predict(["a"])
    with pytest.raises(InputError, match="single texts and was given pairs"):
        EndpointPredictor(server.url).predict(["a"], ["b"])


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("positive", "positive"),
        (" Negative.\n", "negative"),
        ("**POSITIVE**", "positive"),
        ("The review is positive.", "positive"),
        ("<think>negative? no</think>positive", "positive"),
    ],
)
def test_an_answer_means_a_class(server, answer, meant):
    server.replies = [answer]
    predictor = EndpointPredictor(server.url, prompt=PROMPT, classes=CLASSES)
    assert predictor.predict(["fine"]) == [meant]
    assert predictor.classes == ("positive", "negative")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("maybe", "none"),
        ("positive or negative", "several"),
        ("positively", "none"),
        ("", "none"),
        ("unpositive", "none"),
    ],
)
def test_an_answer_that_means_no_class_is_named_with_its_text(server, answer, what):
    server.replies = [completion(answer)]
    with pytest.raises(ModelError) as caught:
        EndpointPredictor(server.url, prompt=PROMPT, classes=CLASSES, name="judge").predict(["a fine\nfilm"])
    assert str(caught.value) == (
        f"judge answered '{answer}' to the text 'a fine film', which is {what} of its classes (positive, negative); "
        "ask in the prompt for exactly one of them"
    )


@pytest.mark.parametrize(
    ("classes", "answer", "meant"),
    [
        (["not_offensive", "offensive"], "It is not offensive.", "not_offensive"),
        (["card_arrival", "lost_card"], "Card arrival", "card_arrival"),
        (["5", "15"], "15 of 20", "15"),
        (["Ja", "Nein"], "nein!", "Nein"),
        (["-1", "1"], "The answer: -1.", "-1"),
        (["good", "good enough"], "It is good enough.", "good enough"),
    ],
)
def test_classes_of_several_words_are_whole_words(classes, answer, meant):
    assert ClassReader(classes).read(answer, "text", "judge") == meant


def test_a_number_is_not_read_without_its_sign():
    with pytest.raises(ModelError, match="none of its classes"):
        ClassReader(["0", "1"]).read("It is -1", "text", "judge")


@pytest.mark.parametrize(
    ("classes", "problem"),
    [(["Yes", "yes"], "'yes' reads like 'Yes'"), (["?", "b"], "'\\?' has no letters"), (["one"], "a task needs two")],
)
def test_classes_that_no_answer_can_tell_apart_are_refused(classes: Sequence[str], problem: str):
    with pytest.raises(InputError, match=problem):
        ClassReader(classes)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_now_is_tried_again_with_growing_pauses(server, pauses, status):
    server.refusals = [status] * 4
    assert EndpointPredictor(server.url).predict(["a"]) == ["about a"]
    assert len(server.requests) == 5
    assert len(pauses) == 4
    assert all(later > 1.2 * earlier for earlier, later in itertools.pairwise(pauses))


@pytest.mark.parametrize(("status", "problem"), [(429, "429: slow down"), (503, "503: slow down")])
def test_after_all_retries_the_error_says_what_was_tried(server, pauses, status, problem):
    server.refusals, server.error = [status] * 99, {"error": {"message": f"slow down {KEY}"}}
    with pytest.raises(ModelError) as caught:
        EndpointPredictor(server.url, "m", retries=2).predict(["a"])
    assert len(server.requests) == 3
    message = str(caught.value)
    assert server.url in message
    assert problem in message
    assert "asked 3 times, with growing pauses" in message
    assert KEY not in message
    assert "\n" not in message


def test_a_refusal_is_not_tried_again_and_stops_the_rest(server, pauses):
    server.refusals, server.error = [400] * 99, {"error": {"message": "no"}}
    with pytest.raises(ModelError, match=r"refuses the request \(400: no\)$"):
        EndpointPredictor(server.url, "m", workers=1).predict(["a"] * 20)
    assert len(server.requests) == 1
    assert pauses == []


def test_an_endpoint_that_times_out_is_tried_again_then_given_up(server, pauses):
    held = threading.Event()
    server.replies = [lambda body: held.wait(5) and "late"]
    with pytest.raises(ModelError, match=r"did not answer within 0\.05 seconds; .*faster endpoint \(asked 2 times"):
        EndpointPredictor(server.url, timeout=0.05, retries=1).predict(["a"])
    held.set()
    assert len(server.requests) == 2


def test_without_retries_it_is_asked_once(server, pauses):
    server.refusals = [503]
    with pytest.raises(ModelError, match=r"503: [^;]*\)$"):
        EndpointPredictor(server.url, retries=0).predict(["a"])
    assert len(server.requests) == 1


def test_when_it_gives_up_finished_answers_are_kept(server, pauses, tmp_path):
    pool = Pool("pool", tuple(f"text {number}" for number in range(20)))
    predictor = EndpointPredictor(server.url, workers=1, retries=0)
    server.replies = [*(f"answer {number}" for number in range(9)), {"no": "completion"}]
    with pytest.raises(ModelError):
        ask(predictor, pool, KeptAnswers(tmp_path / "answers.sqlite"))
    server.replies, server.requests[:] = [lambda body: f"about {body['messages'][0]['content']}"], []
    answers = ask(predictor, pool, KeptAnswers(tmp_path / "answers.sqlite"))
    assert answers.values[:8] == tuple(f"answer {number}" for number in range(8))
    assert len(server.requests) == 12


def test_messages_name_the_way_out_of_a_predictor(server):
    server.models = ["a", "b"]
    with pytest.raises(InputError, match=r"choose one with model = NAME \(a, b\)"):
        EndpointPredictor(server.url)
    with pytest.raises(InputError, match="the endpoint's address is not one"):
        EndpointPredictor("http://")
    server.replies = [{"hello": "there"}]
    with pytest.raises(ModelError, match=r"check the address \(it usually ends in /v1\) and model$"):
        EndpointPredictor(server.url, "m").predict(["a"])


@pytest.mark.parametrize("options", [{"timeout": 0}, {"retries": -1}, {"workers": 0}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError, match="timeout must be more than 0, retries at least 0 and workers at least 1"):
        EndpointPredictor("http://127.0.0.1:1/v1", "m", **options)


def test_a_prompt_without_a_slot_is_refused_before_anything_is_asked():
    with pytest.raises(MethodError, match="no slots"):
        EndpointPredictor("http://127.0.0.1:1/v1", prompt="Good or bad?")


def test_what_changes_the_answers_changes_the_fingerprint(server):
    plain = EndpointPredictor(server.url, prompt=PROMPT, classes=CLASSES)
    same = EndpointPredictor(server.url, "only-model", PROMPT, CLASSES, name="x", workers=2, timeout=9, retries=1)
    assert plain.fingerprint == same.fingerprint
    others = [{"model": "m"}, {"prompt": "{text}?"}, {"classes": ["a", "b"]}, {"temperature": 1.0}, {"seed": 4}]
    found = {
        EndpointPredictor(server.url, **{"prompt": PROMPT, "classes": CLASSES, **one}).fingerprint for one in others
    }
    assert len(found | {plain.fingerprint}) == 6
    assert KEY not in plain.fingerprint + plain.name
