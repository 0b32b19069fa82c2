"""`oneword eval` on STS: what its commands print, keep, find again and refuse."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from oneword import Embedder
from oneword.evaluation.results import ResultFolder
from oneword.evaluation.sentence_pairs import TESTS, read_pairs
from oneword.evaluation.sts import score_pairs
from oneword.registry import find_method
from senteval_data import write_sts

COMMANDS = ["sts", "layers", "prompts", "tasks", "perturb"]


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def senteval(tmp_path_factory):
    return write_sts(tmp_path_factory.mktemp("senteval"))


@pytest.fixture
def data(senteval, folder):
    """A copy of the data of this test's own."""
    return shutil.copytree(senteval, folder / "data")


@pytest.fixture
def evaluate(oneword, llama, senteval, folder):
    """Run a command of `oneword eval` on the tiny model; the results lie in ./results."""

    def command(*arguments, data=senteval, model=llama, code=0):
        options = ["--data", data, "--model", model, "--dtype", "float32", "--device", "cpu"]
        return oneword("eval", *arguments, *options, code=code)

    return command


@pytest.fixture
def refused(evaluate, folder):
    """The one line of a command that must be refused and leave nothing."""

    def command(*arguments, **options):
        before = sorted(folder.rglob("*"))
        out, err = evaluate(*arguments, code=2, **options)
        assert out == ""
        assert len(err.splitlines()) == 1, err
        assert sorted(folder.rglob("*")) == before
        return err.strip()

    return command


@pytest.fixture
def not_loaded(monkeypatch):
    monkeypatch.setattr("oneword.cli.options.ModelOptions.embedder", lambda self: pytest.fail("loaded"))


@pytest.fixture
def computed(monkeypatch):
    """The texts that the model is asked, in the order of the calls."""
    seen: list[str] = []
    answers = Embedder.answers

    def counted(self, texts, *arguments, **options):
        seen.extend(texts)
        return answers(self, texts, *arguments, **options)

    monkeypatch.setattr(Embedder, "answers", counted)
    return seen


@pytest.fixture
def synonyms(monkeypatch):
    """Synonyms at hand: WordNet takes seconds to read."""

    def known(words):
        return {word: [f"very {word}", f"{word}ish"] for word in words}

    monkeypatch.setattr("oneword.prompting.wordnet.find_synonyms", known)


def table_of(out: str) -> list[list[str]]:
    """The rows of a printed table, its headings first; cells of several words stay whole."""
    lines = out.split("\n\n")[0].splitlines()
    starts = [place for place, mark in enumerate(lines[1]) if mark == "-" and lines[1][place - 1 : place] != "-"]
    ends = [*starts[1:], None]
    return [[line[start:end].strip() for start, end in zip(starts, ends)] for line in lines[:1] + lines[2:]]


def results(folder: Path = Path("results")):
    return list(ResultFolder(folder).all())


@pytest.fixture(scope="module")
def expected(llama, senteval):
    """A method's score on a task, from the vectors of an embedder."""
    embedder = Embedder(llama, dtype="float32", device="cpu")

    def score(task, **options) -> float:
        pairs = read_pairs(senteval, task)
        vectors = embedder.with_method(**options).encode([*pairs.first, *pairs.second])
        return score_pairs(vectors, pairs.gold, task)[0]

    return score


# Help


@pytest.mark.parametrize("command", [[], *([name] for name in (*COMMANDS, "report"))], ids=str)
def test_every_command_has_help(oneword, command):
    out, err = oneword("eval", *command, "-h")
    assert out.startswith(f"Usage: oneword eval {' '.join(command)}".rstrip())
    assert err == ""


def test_help_loads_nothing_that_is_heavy():
    commands = [["eval", name, "--help"] for name in (*COMMANDS, "report")]
    script = (
        "import sys\nfrom oneword.cli.main import run\n"
        f"assert {{run(command) for command in {commands}}} == {{0}}\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    heavy = {"torch", "transformers", "numpy", "scipy", "sklearn", "datasets", "matplotlib", "safetensors"}
    assert heavy & set(answer.stderr.split()) == set()


# Methods by tasks


def test_all_seven_tasks_make_a_table_of_methods_and_differences(evaluate, expected):
    out, err = evaluate("sts", "--method", "prompteol", "--method", "ck")
    assert err == ""
    heading, first, second = table_of(out)
    assert heading == ["method", "layer", *TESTS, "average", "95% interval", "to the first", "95% interval"]
    assert (first[:2], second[:2]) == (["prompteol", "5"], ["ck", "5"])
    for row in (first, second):
        assert row[2:9] == [f"{expected(task, method=row[0]):.2f}" for task in TESTS]
        assert float(row[9]) == pytest.approx(np.mean([float(cell) for cell in row[2:9]]), abs=0.01)
        low, high = map(float, row[10].split(" to "))
        assert low < float(row[9]) < high
    assert first[11:] == ["", ""]
    assert float(second[11]) == pytest.approx(float(second[9]) - float(first[9]), abs=0.011)
    assert second[12].count(" to ") == 1


def test_json_has_what_the_table_has(evaluate):
    options = ["--method", "prompteol", "--method", "ck", "--tasks", "STS16,sick-r"]
    _, *lines = table_of(evaluate("sts", *options)[0])
    found = json.loads(evaluate("sts", *options, "--json")[0])
    assert found["tasks"] == ["STS16", "SICKR"]
    for row, line in zip(found["rows"], lines):
        assert [row["method"], str(row["layer"])] == line[:2]
        assert [f"{row['scores'][task]:.2f}" for task in found["tasks"]] == line[2:4]
        assert f"{row['average']:.2f}" == line[4]
        assert "{:.2f} to {:.2f}".format(*row["interval"]) == line[5]
        assert row["fingerprint"].startswith(f"{row['method']}-")
    assert f"{found['rows'][1]['difference']:+.2f}" == lines[1][6]
    assert "{:+.2f} to {:+.2f}".format(*found["rows"][1]["difference_interval"]) == lines[1][7]


def test_several_layers_have_a_row_each(evaluate, expected):
    out, _ = evaluate("sts", "--method", "prompteol", "--method", "ck", "--tasks", "STSB", "--layer", "2,-1")
    _, *rows = table_of(out)
    assert [row[:2] for row in rows] == [["prompteol", "2"], ["prompteol", "5"], ["ck", "2"], ["ck", "5"]]
    for name, layer, score, *_ in rows:
        assert float(score) == pytest.approx(expected("STSB", method=name, layer=int(layer)), abs=0.006)


def test_the_options_of_the_model_reach_every_method(evaluate, expected):
    methods = ["--method", "prompteol", "--method", "ck"]
    out, _ = evaluate("sts", *methods, "--tasks", "STSB", "--steer", "layer=2,norm=recover", "--layer", "3")
    _, *rows = table_of(out)
    for name, layer, score, *_ in rows:
        options = {"method": name, "layer": int(layer), "steering": {"layer": 2, "norm": "recover"}}
        assert float(score) == pytest.approx(expected("STSB", **options), abs=0.006)


def test_no_method_means_the_model_s_own(evaluate):
    assert table_of(evaluate("sts", "--tasks", "STSB")[0])[1][0] == "prompteol"


def test_texts_longer_than_the_window_are_counted_in_a_warning(evaluate, data, tiny_model):
    (data / "STS/STSBenchmark/sts-dev.csv").write_text(
        "".join(f"m\tf\ty\t{n}\t{n}\t{'word ' * (400 + n)}\tshort {n}\n" for n in range(4))
    )
    _, err = evaluate("sts", "--tasks", "STSB-dev", data=data, model=tiny_model("llama_window"))
    assert err.strip() == "warning: 4 texts were longer than the model's window and were cut at their end"


# Data that is missing or wrong


def test_missing_tasks_are_named_with_their_folders(refused, data):
    shutil.rmtree(data / "STS/STS13-en-test")
    shutil.rmtree(data / "SICK")
    line = refused("sts", data=data)
    assert line.startswith(f"oneword: STS13, SICKR missing from {data} (no {data}/STS/STS13-en-test, {data}/SICK); ")
    assert "--allow-missing" in line


def test_missing_tasks_are_left_out_if_that_is_allowed_and_named(evaluate, data):
    shutil.rmtree(data / "STS/STS13-en-test")
    for options in ([], ["-q", "--json"]):
        out, err = evaluate("sts", "--allow-missing", *options, data=data)
        assert err.strip() == "left out of the average, since they are missing: STS13"
    rest = [task for task in TESTS if task != "STS13"]
    (row,) = json.loads(out)["rows"]
    assert list(row["scores"]) == rest
    assert row["average"] == pytest.approx(np.mean(list(row["scores"].values())))


def test_a_task_that_is_not_asked_for_may_be_missing(evaluate, data):
    shutil.rmtree(data / "SICK")
    assert evaluate("sts", "--tasks", "STSB", data=data)[1] == ""


def test_nothing_but_missing_tasks_is_refused_whatever_is_allowed(refused, folder):
    (folder / "empty").mkdir()
    assert "STS12, STS13, STS14, STS15, STS16, STSB, SICKR missing from" in refused(
        "sts", "--allow-missing", data=folder / "empty"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_line_is_told_by_file_and_line_before_any_model_is_loaded(refused, data, command, not_loaded, synonyms):
    (data / "STS/STS15-en-test/STS.gs.images.txt").write_text("1\n2\nx\n" + "1\n" * 5)
    line = refused(command, "--tasks", "STS12,STS15", data=data)
    assert line == f"oneword: {data}/STS/STS15-en-test/STS.gs.images.txt, line 3: the score 'x' is no number"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sts", "--tasks", "STS17"], "unknown STS task 'STS17'"),
        (["layers", "--tasks", "MR"], "unknown STS task 'MR'"),
        (["sts", "--method", "prompteal"], "unknown method 'prompteal' (nearest: prompteol"),
        (["tasks", "--method", "prompteal"], "unknown method 'prompteal'"),
        (["sts", "--method", "average", "--steer", "layer=2"], "pooling cannot be mean"),
        (["prompts", "--method", "prompteol"], "method 'prompteol' has one prompt"),
        (["tasks", "--method", "ck"], "method 'ck' has no prompts of several meta-tasks"),
        (["perturb", "--rate", "0"], "rate 0 is no share of words"),
        (["prompts", "--layer", "1,2"], "one --layer at a time here"),
        (["tasks", "--layer", "all"], "one --layer at a time here"),
        (["perturb", "--layer", "all"], "one --layer at a time here"),
        (["layers", "--plot", "a.jpg"], "a.jpg: the ending '.jpg' is none that plots are drawn to"),
        (["tasks", "--plot", "no/a.png"], "there is no folder no; make it first"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_model_is_loaded(refused, not_loaded, arguments, problem):
    assert problem in refused(*arguments)


def test_data_that_is_not_there_is_refused_with_the_usage(evaluate):
    _, err = evaluate("sts", data="absent", code=2)
    assert "Directory 'absent' does not exist" in err


def test_without_scipy_the_line_that_installs_it_is_told(refused, monkeypatch):
    monkeypatch.setattr("oneword.extras.find_spec", lambda name: None if name == "scipy" else name)
    for command in COMMANDS:
        assert "pip install 'oneword[eval]'" in refused(command)


def test_a_method_without_a_correlation_is_named_and_no_table_is_printed(evaluate):
    out, err = evaluate("sts", "--tasks", "STSB", "--method", "ck", "--layer", "0", code=2)
    assert out == ""
    assert err.startswith("oneword: STSB, ck at layer 0: all cosines or all gold scores are the same")
    assert results() == []


# What is kept


def test_results_lie_in_their_folder_and_vectors_are_gone(evaluate, folder):
    evaluate("sts", "--tasks", "STSB,STS16", "--layer", "2,5")
    found = results()
    assert {(result.task, result.layer) for result in found} == {("STSB", 2), ("STSB", 5), ("STS16", 2), ("STS16", 5)}
    for result in found:
        assert (folder / "results" / result.fingerprint / f"{result.task}.json").is_file()
        assert result.command.startswith("oneword eval sts --tasks STSB,STS16 --layer 2,5 --data ")
    assert sorted(path.name for path in folder.iterdir()) == ["results"]
    assert list((folder / "results").rglob("*.safetensors")) == []
    assert not (folder / "results/vectors").exists()


def test_what_was_scored_is_not_computed_again(evaluate, computed):
    first, _ = evaluate("sts", "--tasks", "STSB,STS16", "--method", "prompteol", "--method", "ck")
    computed.clear()
    assert evaluate("sts", "--tasks", "STSB,STS16", "--method", "prompteol", "--method", "ck")[0] == first
    assert table_of(evaluate("sts", "--tasks", "STS16", "--method", "ck")[0])[1][2] == table_of(first)[2][3]
    assert computed == []
    evaluate("sts", "--tasks", "STSB", "--method", "ck", "--layer", "2")
    assert computed


def test_another_folder_of_results_starts_anew(evaluate, computed, folder):
    evaluate("sts", "--tasks", "STSB")
    once = len(computed)
    evaluate("sts", "--tasks", "STSB", "--results", "other")
    assert len(computed) == 2 * once
    assert len(results(folder / "other")) == 1


def test_vectors_that_are_kept_serve_another_command(evaluate, computed, folder):
    evaluate("sts", "--tasks", "STSB", "--method", "metaeol", "--keep-vectors")
    assert (folder / "results/vectors").is_dir()
    computed.clear()
    evaluate("prompts", "--tasks", "STSB", "--method", "metaeol", "--keep-vectors")
    evaluate("tasks", "--tasks", "STSB", "--method", "metaeol")
    assert computed == []
    assert not (folder / "results/vectors").exists()


@pytest.mark.parametrize("command", ["sts", "prompts"])
def test_vectors_that_are_left_go_when_all_scores_are_found_again(evaluate, folder, command):
    method = ["--tasks", "STSB", "--method", "ck"]
    evaluate(command, *method, "--keep-vectors")
    evaluate(command, *method)
    assert not (folder / "results/vectors").exists()


def test_a_stopped_run_says_what_is_kept_and_goes_on_from_there(evaluate, computed, folder, monkeypatch):
    arguments = ["sts", "--tasks", "STSB,STS16", "--method", "prompteol", "--method", "ck"]
    first = evaluate(*arguments, "--results", "whole")[0]
    every = list(computed)
    computed.clear()
    counted = Embedder.answers

    def stopped(self, texts, *arguments, **options):
        if len(computed) > len(every) // 2:
            raise KeyboardInterrupt
        return counted(self, texts, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "answers", stopped)
        out, err = evaluate(*arguments, code=130)
    assert out == ""
    kept = "what is finished is kept in results; run the same command again to go on from there"
    assert err.strip() == f"oneword: interrupted; {kept}"
    assert (folder / "results/vectors").is_dir()
    assert len(results()) == 3
    assert evaluate(*arguments)[0] == first
    assert computed == every
    assert not (folder / "results/vectors").exists()


def wait_for(pattern, count, folder, process, seconds=60):
    deadline = time.monotonic() + seconds
    while len(list(folder.rglob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{pattern} never came"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(evaluate, data, llama, folder, computed):
    lines = [f"m\tf\ty\t{n}\t{n % 7}\tsentence {n} is here\tanother one is {n % 5} of {n}\n" for n in range(1200)]
    (data / "STS/STSBenchmark/sts-test.csv").write_text("".join(lines))
    options = ["--data", data, "--model", llama, "--dtype", "float32", "--device", "cpu"]
    command = ["eval", "sts", "--tasks", "STSB-dev,STSB", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", "from oneword.cli.main import main; main()", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for("*.safetensors", 2, folder, process)  # of the small task, and the first of the large one
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    kept = "what is finished is kept in results; run the same command again to go on from there"
    assert err.strip().splitlines()[-1] == f"oneword: interrupted; {kept}"
    assert "Traceback" not in err
    assert [result.task for result in results()] == ["STSB-dev"]
    evaluate("sts", "--tasks", "STSB-dev,STSB", data=data)
    assert 0 < len(computed) <= 2400 - 512  # less what the process kept
    assert {result.task for result in results()} == {"STSB-dev", "STSB"}
    assert not (folder / "results/vectors").exists()


# What is varied


def test_every_layer_but_the_token_embeddings_is_scored_the_deepest_first(evaluate, expected, folder):
    out, err = evaluate("layers", "--method", "prompteol", "--method", "ck", "--plot", "a.svg")
    heading, *rows = table_of(out)
    assert heading[:4] == ["method", "layer", "STSB-dev", "average"]
    assert [row[:2] for row in rows] == [
        [name, str(layer)] for name in ("prompteol", "ck") for layer in (5, 4, 3, 2, 1)
    ]
    for name, layer, score, *_ in rows:
        assert float(score) == pytest.approx(expected("STSB-dev", method=name, layer=int(layer)), abs=0.006)
    for five in (rows[:5], rows[5:]):
        best = max(five, key=lambda row: float(row[3]))
        assert [row[-1] for row in five] == ["best" if row is best else "" for row in five]
        assert five[0][5] == ""  # the deepest is what the others are compared with
        assert float(five[2][5]) == pytest.approx(float(five[2][3]) - float(five[0][3]), abs=0.011)
    assert err.strip() == "drawn: a.svg"
    assert "<svg" in (folder / "a.svg").read_text()


def test_all_layers_are_those_of_no_layer_named(evaluate):
    assert evaluate("layers", "--layer", "all") == evaluate("layers")


def test_only_the_layers_that_are_named_are_scored_and_as_json(evaluate, computed, folder):
    evaluate("layers", "--layer", "2,4", "--tasks", "STSB,STSB-dev")
    computed.clear()
    (sweep,) = json.loads(evaluate("layers", "--layer", "2,4", "--tasks", "STSB,STSB-dev", "--json")[0])
    assert computed == []
    assert [point["x"] for point in sweep["points"]] == [4, 2]
    assert sweep["tasks"] == ["STSB", "STSB-dev"]
    for point in sweep["points"]:
        found = [result.score for result in results() if result.layer == point["x"]]
        assert point["score"] == pytest.approx(np.mean(found))
        assert point["low"] < point["score"] < point["high"]
    (kept,) = (folder / "results").rglob("layers-*.json")
    assert json.loads(kept.read_text())["points"] == sweep["points"]


def test_every_subset_of_a_method_s_prompts_is_scored_by_size(evaluate, expected, senteval, computed, folder):
    out, _ = evaluate("prompts", "--tasks", "STSB,STS16", "--method", "ck", "--layer", "3", "--plot", "a.png")
    heading, one, two = table_of(out)
    assert heading == ["prompts", "subsets", "mean", "std", "worst", "best", "the best subset"]
    scores = {
        name: np.mean([expected(task, method=name, layer=3) for task in ("STSB", "STS16")])
        for name in ("pretended_cot", "knowledge", "ck")
    }
    alone = [scores["pretended_cot"], scores["knowledge"]]
    assert one[:2] == ["1", "2"]
    assert [float(cell) for cell in one[2:6]] == pytest.approx(
        [np.mean(alone), np.std(alone), min(alone), max(alone)], abs=0.006
    )
    assert one[6] == max(("pretended_cot", "knowledge"), key=scores.__getitem__)
    assert two[:2] + two[3:4] + two[6:] == ["2", "1", "0.00", "pretended_cot, knowledge"]
    assert float(two[2]) == pytest.approx(scores["ck"], abs=0.006)
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")
    computed.clear()
    (sweep,) = json.loads(evaluate("prompts", "--tasks", "STSB,STS16", "--method", "ck", "--layer", "3", "--json")[0])
    assert computed == []
    assert [point["x"] for point in sweep["points"]] == [1, 2]
    assert sweep["points"][0]["high"] - sweep["points"][0]["score"] == pytest.approx(np.std(alone), abs=1e-4)


def test_metaeol_has_255_subsets(evaluate):
    _, *rows = table_of(evaluate("prompts", "--tasks", "STSB-dev")[0])
    assert [int(row[1]) for row in rows] == [8, 28, 56, 70, 56, 28, 8, 1]


def test_subsets_of_other_data_are_scored_again(evaluate, data, computed):
    evaluate("prompts", "--tasks", "STSB", "--method", "ck", data=data)
    shutil.copy(data / "STS/STSBenchmark/sts-dev.csv", data / "STS/STSBenchmark/sts-test.csv")
    computed.clear()
    evaluate("prompts", "--tasks", "STSB", "--method", "ck", data=data)
    assert computed


def test_meta_tasks_are_added_one_at_a_time_and_no_prompt_is_asked_twice(
    evaluate, expected, senteval, computed, folder
):
    out, _ = evaluate("tasks", "--tasks", "STSB", "--plot", "a.svg")
    pairs = read_pairs(senteval, "STSB")
    assert len(computed) == 4 * len({*pairs.first, *pairs.second})  # each call asks the two prompts of one meta-task
    _, *rows = table_of(out)
    names = list(dict.fromkeys(prompt.meta_task for prompt in find_method("metaeol").prompts))
    assert [row[0] for row in rows] == [f"metaeol: {names[0]}", *(f"metaeol: + {name}" for name in names[1:])]
    assert float(rows[3][2]) == pytest.approx(expected("STSB", method="metaeol"), abs=0.006)
    assert f"+ {names[1]}" in (folder / "a.svg").read_text()
    (sweep,) = json.loads(evaluate("tasks", "--tasks", "STSB", "--json")[0])
    assert [point["label"] for point in sweep["points"]] == [names[0], *(f"+ {name}" for name in names[1:])]
    assert [f"{point['score']:.2f}" for point in sweep["points"]] == [row[3] for row in rows]


def test_a_method_is_scored_beside_itself_with_synonyms(evaluate, synonyms, folder):
    arguments = ["perturb", "--method", "sentiment_1", "--count", "2", "--tasks", "STSB,STS16"]
    out, _ = evaluate(*arguments, "--plot", "a.svg")
    _, *rows = table_of(out)
    assert [row[0] for row in rows] == ["sentiment_1", "sentiment_1_perturbed_1", "sentiment_1_perturbed_2"]
    scores = [float(row[4]) for row in rows[1:]]
    assert scores[0] != scores[1]
    mean, deviation = out.strip().splitlines()[-1].removeprefix("perturbed: mean ").split(", standard deviation ")
    assert (float(mean), float(deviation)) == pytest.approx((np.mean(scores), np.std(scores)), abs=0.011)
    assert "sentiment_1_perturbed_2" in (folder / "a.svg").read_text()
    (sweep,) = json.loads(evaluate(*arguments, "--json")[0])
    assert [f"{point['score']:.2f}" for point in sweep["points"]] == [row[4] for row in rows]


def test_methods_that_are_perturbed_already_are_taken_as_they_are(evaluate, expected):
    names = ["sentiment_1", "sentiment_perturbed_1", "sentiment_perturbed_2"]
    out, _ = evaluate(
        "perturb", "--method", names[0], "--perturbed", names[1], "--perturbed", names[2], "--tasks", "STSB"
    )
    _, *rows = table_of(out)
    assert [row[0] for row in rows] == names
    for name, _, score, *_ in rows:
        assert float(score) == pytest.approx(expected("STSB", method=name), abs=0.006)


# The report


def test_a_folder_of_results_becomes_a_table_and_a_picture(evaluate, oneword, folder):
    evaluate("sts", "--tasks", "STSB,STSB-dev,STS16", "--method", "prompteol", "--method", "ck", "--layer", "3,5")
    evaluate("prompts", "--tasks", "STSB", "--method", "ck")  # its other files are passed over
    out, err = oneword("eval", "report")
    lines = out.splitlines()
    assert lines[0] == ("| model | method | layer | numbers | STS16 | STSB | STSB-dev | STS average (95% interval) |")
    assert [line.split(" | ")[1:3] for line in lines[2:]] == [
        ["ck", "5"],
        ["ck", "3"],
        ["prompteol", "5"],
        ["prompteol", "3"],
    ]
    scores = {(one.method, one.layer, one.task): f"{one.score:.2f}" for one in results()}
    for line in lines[2:]:
        cells = [cell.strip("* ") for cell in line.strip("| ").split(" | ")]
        assert cells[4:7] == [scores[cells[1], int(cells[2]), task] for task in ("STS16", "STSB", "STSB-dev")]
    assert err == ""
    out, err = oneword("eval", "report", "results", "-o", "table.md", "--plot", "a.png")
    assert (out, err.strip()) == ("", "drawn: a.png")
    assert (folder / "table.md").read_text().splitlines() == lines
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_of_methods_without_a_task_in_common_has_a_table_and_no_picture(evaluate, oneword, folder):
    evaluate("sts", "--tasks", "STSB", "--method", "ck")
    evaluate("sts", "--tasks", "STS16")
    out, err = oneword("eval", "report", "--plot", "a.png", code=2)
    assert len(out.splitlines()) == 4
    assert err.startswith("oneword: a.png is not drawn: no method has results of every task")
    assert not (folder / "a.png").exists()


def test_a_report_of_nothing_is_refused(oneword, folder):
    (folder / "results").mkdir()
    assert "no results; `oneword eval sts`" in oneword("eval", "report", code=2)[1]
    assert "Directory 'absent' does not exist" in oneword("eval", "report", "absent", code=2)[1]


# The default model


@pytest.mark.slow
def test_the_default_model_s_score_is_that_of_its_vectors(oneword, folder):
    data = Path(__file__).resolve().parents[2] / "shared" / "data" / "senteval"
    if not (data / "STS/STSBenchmark").is_dir():
        pytest.skip(f"no STS-B at {data}")
    lines = (data / "STS/STSBenchmark/sts-dev.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    some = lines[:15] + lines[-15:]
    small = folder / "data/STS/STSBenchmark"
    small.mkdir(parents=True)
    (small / "sts-dev.csv").write_text("".join(some), encoding="utf-8")
    options = ["--data", "data", "--tasks", "STSB-dev", "--layer", "last,-3", "--json"]
    rows = json.loads(oneword("eval", "sts", *options)[0])["rows"]
    columns = [line.rstrip("\n").split("\t") for line in some]
    vectors = Embedder(layer=["last", -3]).encode([row[5] for row in columns] + [row[6] for row in columns])
    for place, row in enumerate(rows):
        first, second = np.split(vectors[:, place].astype(np.float64), 2)
        cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        gold = [float(line[4]) for line in columns]
        assert row["average"] == pytest.approx(100 * spearmanr(cosines, gold).statistic, abs=0.3)
