"""`oneword select`: prompts ranked for a dataset, and what is said when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chat_server import next_token, serving
from oneword.cli.select.embedding import NEED_LABELS
from oneword.cli.select.embedding import WAYS as OFFERED
from oneword.errors import InputError
from oneword.registry import find_method
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors import EndpointWordPredictor, find_predictor
from oneword.tasks.predictors.label_words import LabelWordPredictor
from oneword.tasks.selection.embedding import NEEDS_LABELS, WAYS
from oneword.tasks.selection.predictor_file import write_predictor_file
from oneword.tasks.selection.selection_data import Columns, read_selection_data

PROMPTS = """
label_words = { positive = ["yes", "Yes"], negative = ["no", "No"] }

[[prompts]]
wording = "{text} Is that good?"

[[prompts]]
name = "short"
wording = "Good? {text}"
request = false
"""


@pytest.fixture
def data(folder: Path) -> Path:
    lines = [f"{'lovely' if row % 2 else 'awful'} weather in place {row}" for row in range(20)]
    labels = ["positive" if row % 2 else "negative" for row in range(20)]
    few = [label if row < 12 else "" for row, label in enumerate(labels)]
    _write("reviews.csv", lines, few)
    _write("test.csv", [f"{line}, again" for line in lines], labels)
    _write("moods.csv", lines, ["joy" if row % 2 else "anger" for row in range(20)])
    (folder / "plain.txt").write_text("\n".join(lines) + "\n")
    (folder / "pool.jsonl").write_text("".join(json.dumps({"text": f"note {row} on rain"}) + "\n" for row in range(16)))
    (folder / "mine.toml").write_text(PROMPTS)
    return folder


def _write(name: str, texts: list[str], labels: list[str]) -> None:
    Path(name).write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in zip(texts, labels)))


@pytest.fixture
def select(oneword, data, tiny_model):
    def run(*more: object, code: int = 0, given=("--data", "reviews.csv", "--prompts", "mine.toml")):
        usual = ["--model", tiny_model("llama_calm"), "--dtype", "float32", "--device", "cpu", "-q", "--steps", 5]
        usual += ["--surrogate", tiny_model("bert"), "--unlabeled", "pool.jsonl"]
        return oneword("select", *given, *usual, *more, code=code)

    return run


def test_prompts_are_ranked_and_the_chosen_one_becomes_a_predictor(select, data, tiny_model):
    out, _ = select("--labels", "test.csv", "--json", "-o", "best.toml")
    found = json.loads(out)
    assert [*found["methods"]] == [
        "fute-tupate",
        "fute-taskemb",
        *("mi", "local-entropy", "global-entropy", "zps-log", "zps-prob", "zps-vote", "self-select", "spell"),
    ]
    best = max(found["candidates"], key=lambda one: one["scores"]["fute-tupate"])
    assert found["chosen"]["name"] == best["name"]
    assert found["chosen"]["by"] == "fute-tupate"
    for method in found["methods"].values():
        (chosen, *_) = [one for one in found["candidates"] if one["name"] in method["chosen"]]
        assert method["rate"] <= 1
        if len(method["chosen"]) == 1:
            assert method["performance"] == pytest.approx(chosen["accuracy"])
    predictor = find_predictor("best.toml", device="cpu")
    texts = [line.partition(",")[0].strip('"') for line in Path("test.csv").read_text().splitlines()[1:]]
    texts = [f"{text}, again" for text in texts]
    loaded = LabelWordPredictor(tiny_model("llama_calm"), predictor.prompt, device="cpu", dtype="float32")
    assert np.array_equal(predictor.predict(texts), loaded.predict(texts))
    right = np.mean([list(predictor.classes)[row.argmax()] for row in loaded.predict(texts)] == _truth())
    assert best["accuracy"] == pytest.approx(right)


def _truth() -> np.ndarray:
    return np.array(["positive" if row % 2 else "negative" for row in range(20)])


def test_a_second_run_asks_nothing_again(select, data):
    first = json.loads(select("--json")[0])
    # 20 texts and 16 of the pool of each prompt, and the question which prompt is best
    assert first["model_calls"]["made"] == 2 * (20 + 16) + 1
    again = json.loads(select("--json")[0])
    assert again["model_calls"]["made"] == 0
    assert again["candidates"] == first["candidates"]


def test_the_table_says_what_was_chosen_and_what_it_took(select, data):
    out, _ = select("--select-by", "mi,zps-log", "--labels", "test.csv")
    first = out.splitlines()[2].split()[0]
    assert f"mi chooses prompt {first} of llama_calm" in out
    assert "80 made, 0 saved" in out
    assert "by lot" in out
    assert "fute" not in out


def test_texts_without_labels_are_enough_for_what_needs_none(select, data):
    out, _ = select("--json", given=("--data", "plain.txt", "--prompts", "mine.toml"))
    assert "fute-tupate" not in out
    assert {"mi", "spell"} <= {*json.loads(out)["methods"]}


def test_labels_are_mapped_to_those_of_the_prompts(select, data):
    given = ("--data", "moods.csv", "--prompts", "mine.toml")
    _, error = select(code=2, given=given)
    assert "--map-labels" in error
    assert error.count("\n") == 1
    select("--map-labels", "joy=positive,anger=negative", "--select-by", "fute-tupate,mi", given=given)


def test_the_dte_is_of_the_labels_that_prompts_tell_apart(data):
    _write("four.csv", [f"text {row}" for row in range(16)], ["joy", "hope", "anger", "fear"] * 4)
    mapping = {"joy": "positive", "hope": "positive", "anger": "negative", "fear": "negative"}
    found = read_selection_data(Path("four.csv"), ("positive", "negative"), False, mapping=mapping)
    assert found.labelled is not None
    assert set(found.labelled.classes) == {"positive", "negative"}
    assert len(read_selection_data(Path("reviews.csv"), ("positive", "negative"), False).labelled) == 12
    with pytest.raises(InputError, match=r"no column 'mood'"):
        read_selection_data(Path("reviews.csv"), ("positive", "negative"), False, columns=Columns(label="mood"))


def test_bad_input_is_said_in_one_line(select, data, tiny_model):
    Path("slotless.toml").write_text(PROMPTS.replace("{text} Is", "Is"))
    Path("wordless.toml").write_text('[[prompts]]\nwording = "{text}?"\n')
    Path("one.toml").write_text(PROMPTS.partition("[[prompts]]\nname")[0])
    Path("none.jsonl").write_text("")
    wrong: list[tuple[list[object], str]] = [
        (["--prompts", "slotless.toml"], "no slots"),
        (["--prompts", "wordless.toml"], "label_words"),
        (["--prompts", "one.toml"], "needs two candidates"),
        (["--prompts", "sentimental"], "nearest: sentiment"),
        (["--prompts", "inference"], "pairs"),
        (["--data", "gone.csv"], "gone.csv"),
        (["--unlabeled", "none.jsonl"], "holds no texts"),
        (["--chat"], "chat template"),
        (["--keep", 1], "--keep is a choice of --for embedding"),
        (["--select-by", "magic"], "unknown selection method 'magic'"),
        (["--data", "plain.txt", "--select-by", "fute-tupate"], "needs a few labels"),
        (["--map-labels", "joy=positive"], "joy"),
        (["--map-labels", "joy"], "LABEL=LABEL"),
        (["--labels", "plain.txt"], "label"),
        (["-o", "best.txt"], ".toml"),
        (["-o", "mine.toml"], "--force"),
    ]
    for more, message in wrong:
        _, error = select(*more, code=2)
        assert message in error, more
        assert error.strip().count("\n") == (3 if "Usage" in error else 0), error
        assert "best.txt" in more or not Path("best.toml").exists()


def test_an_interrupt_says_what_is_kept_and_how_to_go_on(select, data, monkeypatch):
    real, asked = LabelWordPredictor.predict, []

    def stop(self, texts, text_pairs=None):
        if asked:
            raise KeyboardInterrupt
        asked.append(texts)
        return real(self, texts, text_pairs)

    with monkeypatch.context() as patched:
        patched.setattr(LabelWordPredictor, "predict", stop)
        _, error = select("--select-by", "mi", code=130)
    assert "kept in select-work; run the same command again to go on" in error
    assert json.loads(select("--select-by", "mi", "--json")[0])["model_calls"] == {"made": 20, "saved": 20}


def test_a_model_behind_an_endpoint_is_chosen_for_too(select, data, monkeypatch):
    replies = [next_token(yes=-0.5, no=-1.5), next_token(yes=-2.0, no=-0.1)]
    with serving(monkeypatch, *replies) as server:
        more = ["--model", f"endpoint:{server.url}#large", "--select-by", "mi", "-o", "best.toml", "--examples", 4]
        found = json.loads(select("--json", *more)[0])
        assert {one["model"] for one in found["candidates"]} == {"llama_calm", "large"}
        assert {request["model"] for request in server.requests} == {"large"}
        assert find_predictor("best.toml", device="cpu").model_name == found["chosen"]["model"]
    _, error = select(*more, "--force", "--select-by", "spell", code=2)
    assert "spell does not apply" in error


def test_a_prompt_is_written_with_all_that_changes_its_answers(folder):
    words = {"positive": ["yes"], "negative": ["no"]}
    prompt = LabelPrompt('{text} "Good"?\n', words, reason=True, name="11", source="Table A1")
    options = {"max_reasoning_tokens": 64, "chat": False, "device": "cpu", "trust_remote_code": True}
    write_predictor_file(Path("a.toml"), prompt, "endpoint:http://127.0.0.1:9/v1#large", options)
    assert find_predictor("a.toml").fingerprint == (
        EndpointWordPredictor("http://127.0.0.1:9/v1", "large", prompt, max_reasoning_tokens=64).fingerprint
    )
    write_predictor_file(Path("b.toml"), prompt, None, options)
    written = Path("b.toml").read_text()
    assert "chat = false" in written
    assert "max_reasoning_tokens = 64" in written
    assert "device" not in written
    assert "trust" not in written


@pytest.fixture
def embedding(select):
    def run(*more: object, data: str = "reviews.csv", code: int = 0):
        return select(*more, code=code, given=("--data", data, "--for", "embedding", "--method", "ck"))

    return run


def test_prompts_for_embeddings_are_written_as_a_method(embedding, data):
    found = json.loads(embedding("--json", "-o", "chosen.toml")[0])
    assert {*found["ways"]} == {"cross-validation", "mte", "agreement", "alignment-uniformity"}
    assert found["chosen"]["by"] == "cross-validation"
    method = find_method("chosen.toml")
    assert [prompt.name for prompt in method.prompts] == found["chosen"]["prompts"]
    wordings = {prompt.name: prompt.wording for prompt in find_method("ck").prompts}
    assert all(wordings[prompt.name] == prompt.wording for prompt in method.prompts)
    out, _ = embedding("--weighted", "--select-by", "agreement", "-o", "weighted.toml")
    assert "weights" in out
    assert len(find_method("weighted.toml").prompts) == 2


def test_prompts_for_embeddings_need_labels_for_some_ways_alone(embedding, data):
    out, _ = embedding(data="plain.txt")
    assert "agreement chooses" in out
    assert "mte" not in out
    for more, message in (
        (["--select-by", "mte"], "needs a few labels"),
        (["--select-by", "mi"], "unknown way to choose prompts"),
        (["--prompts", "mine.toml"], "--prompts is a choice of --for answers"),
        (["--model", "smollm2"], "one model"),
        (["-o", "mine.toml"], "--force"),
    ):
        _, error = embedding(*more, data="plain.txt", code=2)
        assert message in error
        assert error.count("\n") == 1


def test_the_command_offers_every_way_that_there_is():
    assert {*OFFERED} == {*WAYS}
    assert {*NEED_LABELS} == NEEDS_LABELS


def test_what_is_missing_is_asked_for(oneword, data):
    assert "--data" in oneword("select", code=2)[1]
    assert "--prompts" in oneword("select", "--data", "reviews.csv", code=2)[1]


def test_help_loads_no_torch():
    code = (
        "import sys; from oneword.cli.main import run\n"
        "run(['select', '--help'])\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'numpy', 'transformers', 'tomlkit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
