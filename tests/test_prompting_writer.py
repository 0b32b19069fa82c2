"""Having prompts written: what is asked again, over a server that speaks the protocol, and by local models."""

from __future__ import annotations

import importlib.util
import threading

import pytest
import torch

from chat_server import KEY, completion, serving
from oneword.errors import InputError, ModelError
from oneword.prompting import endpoint
from oneword.prompting.endpoint import EndpointWriter
from oneword.prompting.local import LocalWriter
from oneword.prompting.request import EXAMPLE, FORMAT, write_request
from oneword.prompting.writer import Answer, UnwrittenError, write_prompts

TOX, NAT = "Toxicity Detection", "Natural Language Inference"
WORDINGS = {
    task: [f'In this task, look at {task} {one}. This sentence : "{{text}}" means in one word:"' for one in "abc"]
    for task in (TOX, NAT)
}
GOOD = "\n".join(f"### {task}\n1. {WORDINGS[task][0]}\n2. {WORDINGS[task][1]}" for task in (TOX, NAT))


class Recorded:
    """A writer that gives the recorded answers in their order, and keeps what it was asked."""

    name = "recorded"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []

    def ask(self, request: str) -> Answer:
        self.requests.append(request)
        return Answer(self.answers[min(len(self.requests), len(self.answers)) - 1])


# Asking again


def test_prompts_are_named_by_their_task_and_say_where_they_are_from():
    prompts = write_prompts([TOX, NAT], Recorded(GOOD))
    assert [prompt.name for prompt in prompts] == [
        "toxicity_detection_1",
        "toxicity_detection_2",
        "natural_language_inference_1",
        "natural_language_inference_2",
    ]
    assert [prompt.wording for prompt in prompts] == WORDINGS[TOX][:2] + WORDINGS[NAT][:2]
    assert [prompt.meta_task for prompt in prompts] == [TOX, TOX, NAT, NAT]
    assert all("written by recorded" in prompt.source and "A.1" in prompt.source for prompt in prompts)


def test_only_what_is_lacking_is_asked_for_again_with_the_reason():
    bad = 'In this task, judge it. It means in one word:"'
    first = f"### {TOX}\n1. {WORDINGS[TOX][0]}\n2. {WORDINGS[TOX][1]}\n### {NAT}\n1. {bad}\n2. {WORDINGS[NAT][0]}"
    writer = Recorded(first, f"1. {WORDINGS[NAT][1]}")
    rounds = []
    prompts = write_prompts([TOX, NAT], writer, rounds.append)
    assert [prompt.wording for prompt in prompts] == WORDINGS[TOX][:2] + WORDINGS[NAT][:2]
    assert len(writer.requests) == 2
    again = writer.requests[1]
    assert f"- {NAT}: 1 prompt" in again
    assert TOX not in again
    assert f"it has no {{text}} slot and needs one: {bad}" in again
    assert f"write others:\n- {WORDINGS[NAT][0]}" in again
    assert [(one.number, len(one.accepted), len(one.rejected)) for one in rounds] == [(1, 3, 1), (2, 1, 0)]
    assert (rounds[0].rejected[0].task, rounds[0].rejected[0].wording) == (NAT, bad)


def test_it_is_asked_four_times_in_all_and_then_says_what_is_lacking():
    writer = Recorded(f"### {TOX}\n1. {WORDINGS[TOX][0]}", "I cannot help with that.")
    with pytest.raises(UnwrittenError) as caught:
        write_prompts([TOX, NAT], writer)
    assert len(writer.requests) == 4
    message = str(caught.value)
    assert "recorded wrote 1 of the 4 prompts in 4 answers" in message
    assert f"lacking: 1 for {TOX}, 2 for {NAT}" in message
    assert "--writer" in message
    assert "\n" not in message
    assert [prompt.wording for prompt in caught.value.prompts] == WORDINGS[TOX][:1]


def test_a_fourth_answer_still_counts():
    writer = Recorded("no", "no", "no", GOOD)
    assert len(write_prompts([TOX, NAT], writer)) == 4


@pytest.mark.parametrize(
    ("wording", "reason"),
    [
        (EXAMPLE, "repeats the example"),
        (FORMAT, "format alone"),
        (WORDINGS[TOX][0].upper().replace("{TEXT}", "{text}"), "repeats another prompt"),
        ("", "no prompt could be found"),
    ],
)
def test_what_only_looks_like_a_new_prompt_is_rejected(wording, reason):
    rounds = []
    writer = Recorded(f"1. {WORDINGS[TOX][0]}", f"1. {wording}" if wording else "", f"1. {WORDINGS[TOX][1]}")
    write_prompts([TOX], writer, rounds.append)
    assert reason in rounds[1].rejected[0].reason
    assert len(rounds) == 3


def test_a_very_long_answer_is_not_sent_back_whole():
    writer = Recorded("word " * 5000, GOOD)
    write_prompts([TOX, NAT], writer)
    assert len(writer.requests[1]) < 4000


def test_more_prompts_than_asked_for_are_left():
    prompts = write_prompts([TOX], Recorded("\n".join(f"{n}. {w}" for n, w in enumerate(WORDINGS[TOX], 1))))
    assert [prompt.wording for prompt in prompts] == WORDINGS[TOX][:2]


# An endpoint


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch, GOOD) as found:
        yield found


def test_an_endpoint_s_answers_become_prompts(server):
    prompts = write_prompts([TOX, NAT], EndpointWriter(server.url))
    assert [prompt.wording for prompt in prompts] == WORDINGS[TOX][:2] + WORDINGS[NAT][:2]
    assert f"only-model at {server.url}" in prompts[0].source
    (request,) = server.requests
    assert set(request) == {"model", "messages"}  # what an endpoint may not know is sent only if it is asked for
    assert request["model"] == "only-model"
    assert [message["role"] for message in request["messages"]] == ["user"]
    assert TOX in request["messages"][0]["content"]
    assert server.keys == [f"Bearer {KEY}"]


def test_a_bad_first_answer_of_an_endpoint_is_asked_for_again(server):
    server.replies = ["Sorry, what?", f"<think>{GOOD}</think>", GOOD]
    assert len(write_prompts([TOX, NAT], EndpointWriter(server.url))) == 4
    assert len(server.requests) == 3
    assert "no prompt could be found in the answer: Sorry, what?" in server.requests[1]["messages"][0]["content"]


def test_options_are_sent_when_given(server):
    EndpointWriter(server.url, "big", temperature=0.5, seed=3, max_new_tokens=77).ask("hello")
    assert server.requests[0] == {
        "model": "big",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "seed": 3,
        "max_completion_tokens": 77,
    }


def test_without_a_key_a_server_of_one_s_own_is_asked_all_the_same(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert EndpointWriter(server.url).ask("hello").text == GOOD
    assert server.keys == ["Bearer none"]


def test_an_answer_cut_at_its_limit_says_so(server):
    server.replies = [completion("half", finish="length")]
    assert EndpointWriter(server.url).ask("hello") == Answer("half", cut=True)


@pytest.mark.parametrize(
    ("models", "problem"),
    [(["a", "b"], r"has 2 models; choose one with --writer-model NAME \(a, b\)"), ([], "lists no models")],
)
def test_which_model_is_not_guessed(server, models, problem):
    server.models = models
    with pytest.raises(InputError, match=problem):
        EndpointWriter(server.url)


@pytest.mark.parametrize(
    ("status", "said", "problem"),
    [
        (401, f"Incorrect API key provided: {KEY}", r"refuses the key \(401\); put a valid one into OPENAI_API_KEY"),
        (403, f"key {KEY} may not", r"refuses the request \(403: key … may not\)"),
        (404, "no such model", r"knows no such address or model \(404: no such model\); check the address"),
        (429, "slow down", r"429: slow down\); try again later"),
        (400, "max_completion_tokens\nis unknown", r"refuses the request \(400: max_completion_tokens is unknown\)"),
        (500, "oh", r"refuses the request \(500: oh\)"),
    ],
)
def test_refusals_are_one_line_without_the_key(server, status, said, problem):
    server.status, server.error = status, {"error": {"message": said}}
    with pytest.raises(ModelError, match=problem) as caught:
        EndpointWriter(server.url, "m").ask("hello")
    assert server.url in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"<html>It works!</html>", "did not answer with a chat completion"),
        ({"hello": "there"}, "did not answer with a chat completion"),
        ({**completion("x"), "choices": []}, "without a text"),
        ({**completion("x"), "choices": None}, "did not answer with a chat completion"),
        (completion(None, finish="content_filter"), r"without a text \(content_filter\)"),
        ([1, 2], "did not answer"),
    ],
)
def test_what_is_no_answer_is_one_line(server, reply, problem):
    server.replies = [reply]
    with pytest.raises(ModelError, match=problem) as caught:
        EndpointWriter(server.url, "m").ask("hello")
    assert "\n" not in str(caught.value)


def test_what_is_no_list_of_models_is_one_line(server, monkeypatch):
    server.status, server.error = 404, {"detail": "Not Found"}
    with pytest.raises(ModelError, match="404"):
        EndpointWriter(server.url)


def test_an_endpoint_that_is_not_there_is_one_line(server):
    server.close()
    with pytest.raises(
        ModelError, match=r"127\.0\.0\.1:\d+/v1 cannot be reached .*is the server running there\?"
    ) as it:
        EndpointWriter(server.url, "m").ask("hello")
    assert "\n" not in str(it.value)


def test_an_endpoint_that_never_answers_is_given_up(server, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.05)
    monkeypatch.setattr(server, "replies", type("Held", (list,), {"__getitem__": lambda *_: held.wait(5) and GOOD})())
    writer = EndpointWriter(server.url, "m")
    with pytest.raises(ModelError, match=r"did not answer within 0\.05 seconds"):
        writer.ask("hello")
    held.set()


def test_a_password_in_the_address_is_not_shown(server):
    writer = EndpointWriter(server.url.replace("//", "//me:hunter2@"), "m")
    assert writer.name == f"m at {server.url}"


@pytest.mark.parametrize("address", ["http://", "https:///v1", "http://[::1/v1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match="address"):
        EndpointWriter(address)


def test_without_the_client_the_way_to_it_is_told(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openai" else find(name))
    with pytest.raises(InputError, match=r"pip install 'oneword\[openai\]'"):
        EndpointWriter("http://127.0.0.1:1/v1")


# A local model


def test_a_local_model_that_writes_nonsense_fails_with_what_is_lacking(tiny_model):
    rounds = []
    writer = LocalWriter(tiny_model("llama"), max_new_tokens=12)
    with pytest.raises(UnwrittenError, match=r"llama wrote 0 of the 2 prompts in 4 answers \(lacking: 2 for Toxicity"):
        write_prompts([TOX], writer, rounds.append)
    assert [one.cut for one in rounds] == [True] * 4
    assert all(one.rejected for one in rounds)


def test_draws_follow_the_seed_and_leave_the_program_s_own_alone(tiny_model):
    folder = tiny_model("llama")

    def answers(**options: float) -> list[str]:
        writer = LocalWriter(folder, max_new_tokens=8, **options)
        return [writer.ask("hello").text, writer.ask("hello").text]

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = answers(seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first == answers(seed=1)
    assert first != answers(seed=2)
    assert first[0] != first[1]
    greedy = answers(temperature=0)
    assert greedy[0] == greedy[1]


def test_a_chat_template_is_used_where_there_is_one(tiny_model):
    writer = LocalWriter(tiny_model("llama"), max_new_tokens=2)
    plain = writer._tokenized("hello")["input_ids"]
    writer._tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}>"
    asked = writer._tokenized("hello")["input_ids"]
    assert writer._tokenizer.decode(asked[0]).strip() == "[hello]>"
    assert writer._tokenizer.decode(plain[0], skip_special_tokens=True).strip() == "hello"


def test_a_request_longer_than_the_window_is_refused(tiny_model):
    with pytest.raises(ModelError, match=r"llama reads 1,024 tokens at a time and the request has"):
        LocalWriter(tiny_model("llama")).ask("word " * 3000)


def test_a_model_without_an_output_head_is_refused(tiny_model, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path / "headless"
    AutoModel.from_pretrained(tiny_model("gpt_neox")).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model("gpt_neox")).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"headless lacks weights that writing needs"):
        LocalWriter(folder)


@pytest.mark.slow
def test_the_default_model_answers_a_request():
    writer = LocalWriter(max_new_tokens=12)
    answer = writer.ask(write_request({TOX: 2}))
    assert writer.name == "smollm2-135m-instruct"
    assert answer.text.strip()
    assert answer.cut
