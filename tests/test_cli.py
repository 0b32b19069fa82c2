"""The command line: what it prints, what it refuses in one line and exit code 2, and what it leaves behind."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword import Embedder, __version__
from oneword.io import run as run_module
from oneword.io.vectors import read_vectors
from oneword.registry import presets

COMMANDS = [
    [],
    ["embed"],
    ["similarity"],
    ["search"],
    ["methods"],
    ["prompts"],
    ["prompts", "write"],
    ["prompts", "perturb"],
    ["inspect"],
    ["models"],
    ["models", "pull"],
    ["select"],
]
MODEL_OPTIONS = [
    "--model",
    "--method",
    "--layer",
    "--steer",
    "--demonstrations",
    "--dtype",
    "--device",
    "--quantize",
    "--revision",
    "--trust-remote-code",
    "--allow-pickle",
]
HEAVY = {
    "torch",
    "transformers",
    "numpy",
    "pyarrow",
    "huggingface_hub",
    "tokenizers",
    "safetensors",
    "gguf",
    "tqdm",
    "openai",
    "tomlkit",
    "matplotlib",
}


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def model(llama):
    return ["--model", str(llama), "--layer", "2", "--dtype", "float32", "--device", "cpu"]


@pytest.fixture(scope="module")
def embedder(llama):
    return Embedder(llama, layer=2, dtype="float32", device="cpu")


@pytest.fixture
def refused(oneword, folder):
    """Run a command that must be refused; the answer is its one line, or click's, and no file is left."""

    def command(*arguments: object, usage: bool = False) -> str:
        before = sorted(folder.rglob("*"))
        out, err = oneword(*arguments, code=2)
        assert out == ""
        lines = err.splitlines()
        if usage:
            assert lines[0].startswith("Usage: oneword")
            assert lines[-1].startswith("Error: ")
        else:
            assert len(lines) == 1, err
            assert lines[0].startswith("oneword: ")
        assert sorted(folder.rglob("*")) == before
        return lines[-1]

    return command


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shell(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", "from oneword.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


# Help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(oneword, command, flag):
    out, err = oneword(*command, flag)
    assert out.startswith(f"Usage: oneword {' '.join(command)}".rstrip())
    assert "-h, --help" in out
    assert err == ""


def test_help_lists_every_command(oneword):
    out, _ = oneword("--help")
    for command in ("embed", "similarity", "search", "methods", "prompts", "models"):
        assert f"  {command} " in out


@pytest.mark.parametrize("command", ["embed", "similarity", "search"])
def test_options_of_the_model_are_the_same_everywhere(oneword, command):
    out, _ = oneword(command, "--help")
    assert [option for option in MODEL_OPTIONS if option not in out] == []


def test_the_version_is_the_package_s(oneword):
    assert oneword("--version") == (f"{__version__}\n", "")


def test_no_command_given_shows_the_help(oneword):
    _, err = oneword(code=2)
    assert "Usage: oneword" in err


@pytest.mark.parametrize(
    "commands",
    [
        [[*command, "--help"] for command in COMMANDS],
        [["methods"], ["prompts"], ["methods", "ck", "--text", "a"], ["--version"]],
    ],
    ids=["help", "methods"],
)
def test_help_and_methods_load_no_torch_and_nothing_else_that_is_heavy(commands):
    script = (
        "import json, sys\n"
        "from oneword.cli.main import run\n"
        "assert [run(command) for command in json.loads(sys.argv[1])].count(0) == len(json.loads(sys.argv[1]))\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)], text=True, capture_output=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stderr.split())
    assert "oneword.cli.embed" in loaded
    assert loaded & HEAVY == set()


def test_the_installed_script_is_the_same_command():
    script = Path(sys.executable).with_name("oneword")
    assert script.is_file(), f"the package's script is not beside {sys.executable}"
    answer = subprocess.run([script, "--version"], text=True, capture_output=True, check=True)
    assert answer.stdout == f"{__version__}\n"


# Methods and prompts


def test_methods_lists_every_method_with_its_number_of_prompts(oneword):
    out, _ = oneword("methods")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[2:]}
    assert rows == {name: str(len(method.prompts)) for name, method in presets().methods.items()}


def test_methods_as_json_hold_all_there_is_to_know(oneword):
    listed = json.loads(oneword("methods", "--json")[0])
    assert [method["name"] for method in listed] == list(presets().methods)
    for shown, method in zip(listed, presets().methods.values()):
        assert [prompt["wording"] for prompt in shown["prompts"]] == [prompt.wording for prompt in method.prompts]
        assert (shown["layer"], shown["combine"], shown["cleaning"]) == (method.layer, method.combine, method.cleaning)
        assert (shown["pooling"], shown["summary"], shown["source"]) == (method.pooling, method.summary, method.source)
        assert (shown["steering"] is None, shown["published"] is None) == (
            method.steering is None,
            method.published is None,
        )
        assert [tuple(pair) for pair in shown["demonstrations"]] == list(method.demonstrations)
        assert shown["digest"] == method.resolved(32).digest  # what an embedding of a model of this depth states
        assert shown["depth"] == 32
        assert shown["blocks"]["total"] == shown["blocks"]["prompts"] + shown["blocks"]["auxiliary"]


def test_one_method_is_shown_in_full_exactly_as_it_is_sent(oneword):
    out, _ = oneword("methods", "ck")
    for prompt in presets().methods["ck"].prompts:
        assert f"\n[{prompt.name}]\n{prompt.wording}\n" in out
    assert json.loads(oneword("methods", "ck", "--json")[0])["name"] == "ck"


def test_a_method_shown_with_a_text_cleans_it_as_the_model_gets_it(oneword):
    out, _ = oneword("methods", "prompteol", "--text", 'Is it "late"?')
    assert out.endswith("""\nThis sentence : "Is it 'late'." means in one word:"\n""")


def test_a_file_of_one_s_own_is_shown_like_a_published_method(oneword, folder):
    (folder / "mine.toml").write_text(
        '[prompts.gist]\nwording = "  Gist of {text}: "\n[methods.mine]\nprompts = ["gist"]\ncleaning = "none"\n'
    )
    assert oneword("methods", "mine.toml", "--text", 'say "x"?')[0].endswith('\n[gist]\nGist of say "x"?:\n')


def test_prompts_lists_every_prompt(oneword):
    out, _ = oneword("prompts")
    assert [line.split()[0] for line in out.splitlines()[2:]] == list(presets().prompts)
    assert [prompt["name"] for prompt in json.loads(oneword("prompts", "--json")[0])] == list(presets().prompts)


def test_one_prompt_is_printed_alone_and_exactly(oneword):
    wording = presets().prompts["sa_emotion"].wording
    assert oneword("prompts", "sa_emotion") == (wording + "\n", "")
    assert json.loads(oneword("prompts", "sa_emotion", "--json")[0])["wording"] == wording


def test_one_prompt_with_a_text_is_printed_as_it_is_sent(oneword):
    assert oneword("prompts", "prompteol", "--text", "A cat")[0] == 'This sentence : "A cat." means in one word:"\n'


@pytest.mark.parametrize("command", ["methods", "prompts"])
def test_a_misspelt_name_gives_the_nearest(refused, command):
    assert "nearest: prompteol" in refused(command, "prompteal")


def unread(*arguments: str) -> subprocess.CompletedProcess:
    """Run the command with nobody who reads its output."""
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does, only sooner
    command = [sys.executable, "-c", "from oneword.cli.main import main; main()", *arguments]
    answer = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    return answer


@pytest.mark.parametrize("arguments", [["methods"], ["methods", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_has_had_enough_is_told_nothing(arguments):
    assert unread(*arguments).stderr == ""


def test_a_reader_that_has_had_enough_is_no_error():
    assert unread("methods").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_is_full_is_told_in_one_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "from oneword.cli.main import main; main()", "methods"]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.stderr == "oneword: output: No space left on device\n"
    assert answer.returncode == 2


# Embed


def test_texts_are_printed_as_json_lines_in_order(oneword, model, embedder):
    texts = ["A cat sat", 'He said "ü"', "A cat sat"]
    out, err = oneword("embed", *texts, *model)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == texts
    assert {row["fingerprint"] for row in rows} == {embedder.fingerprint}
    np.testing.assert_array_equal(np.array([row["vector"] for row in rows], np.float32), embedder.encode(texts))
    assert "ü" in out
    assert err == ""


def test_several_layers_are_printed_as_nested_lists(oneword, model):
    out, _ = oneword("embed", "a", *model, "--layer", "0,-1,2")
    assert np.shape(json.loads(out)["vector"]) == (3, 48)


def test_all_layers_are_printed_in_their_order(oneword, model, llama):
    answer = json.loads(oneword("embed", "a cat", *model, "--layer", "all")[0])
    every = Embedder(llama, layer=list(range(6)), dtype="float32", device="cpu")
    assert answer["fingerprint"] == every.fingerprint
    np.testing.assert_array_equal(np.array(answer["vector"], np.float32), every.encode("a cat"))


@pytest.mark.parametrize("layer", ["all", "0,1"])
def test_several_layers_are_not_searched_or_compared(refused, folder, model, layer):
    (folder / "a.txt").write_text("a\n")
    assert "one layer" in refused("search", "a", "--corpus", "a.txt", *model, "--layer", layer)
    assert "one layer" in refused("similarity", "a", "b", *model, "--layer", layer)


def test_normalized_vectors_have_length_one(oneword, model):
    out, _ = oneword("embed", "a", *model, "--normalize")
    assert np.linalg.norm(json.loads(out)["vector"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ("-2", "layer-4"),
        ("last", "layer-5"),
        ("proportional", "layer-5"),
        ("0", "layer-0"),
        (" 1 , last ", "layer-1,5"),
    ],
)
def test_a_layer_is_a_number_a_name_or_several(oneword, model, layer, found):
    out, _ = oneword("embed", "a", *model, "--layer", layer)
    assert json.loads(out)["fingerprint"].split("/")[1] == found


def test_a_method_of_one_s_own_is_taken_from_its_file(oneword, model, folder):
    (folder / "mine.toml").write_text(
        '[prompts.gist]\nwording = "Gist of {text}:"\n[methods.mine]\nprompts = ["gist"]\n'
    )
    out, _ = oneword("embed", "a", *model, "--method", "mine.toml")
    assert json.loads(out)["fingerprint"].startswith("mine-")


@pytest.mark.parametrize("ending", [".parquet", ".npy", ".jsonl"])
def test_a_file_is_embedded_with_a_bar_and_a_summary(oneword, model, embedder, folder, ending):
    (folder / "a.csv").write_text("id,body\n1,one\n2,two\n3,three\n")
    out, err = oneword("embed", "a.csv", "--column", "body", "-o", f"v{ending}", *model)
    assert out == ""
    assert "3/3" in err
    assert "texts/s" in err
    assert f"wrote 3 rows to v{ending}; 48 dimensions, {embedder.fingerprint}, " in err.splitlines()[-1]
    found = read_vectors(folder / f"v{ending}")
    np.testing.assert_array_equal(found.values, embedder.encode(["one", "two", "three"]))
    assert found.fingerprint == embedder.fingerprint


def test_quiet_means_nothing_on_stderr(oneword, model, folder):
    (folder / "a.txt").write_text("one\n")
    assert oneword("embed", "a.txt", "-o", "v.npy", "-q", *model) == ("", "")


def test_a_file_without_an_output_is_printed_as_json_lines(oneword, model, embedder, folder):
    (folder / "a.csv").write_text("id,text\n1,one\n2,two\n")
    out, _ = oneword("embed", "a.csv", *model)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["id"], row["text"]) for row in rows] == [("1", "one"), ("2", "two")]
    np.testing.assert_array_equal(
        np.array([row["vector"] for row in rows], np.float32), embedder.encode(["one", "two"])
    )


def test_a_dash_reads_lines_from_standard_input(oneword, model, embedder, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("one\nzwölf\n".encode())))
    oneword("embed", "-", "-o", "v.npy", *model)
    np.testing.assert_array_equal(np.load("v.npy"), embedder.encode(["one", "zwölf"]))


def test_skipped_rows_are_null_and_counted_at_the_end_even_when_quiet(oneword, model, folder):
    (folder / "a.jsonl").write_text('{"text": "one"}\n{"text": null}\n{"text": ""}\n{"text": "two"}\n')
    for options in ([], ["-q"]):
        _, err = oneword("embed", "a.jsonl", "-o", "v.jsonl", "--on-error", "skip", *options, *model)
        assert "wrote 4 rows to v.jsonl, 2 of them null for want of a usable text" in err.splitlines()[-1]
        vectors = [json.loads(line)["vector"] for line in (folder / "v.jsonl").read_text().splitlines()]
        assert [vector is None for vector in vectors] == [False, True, True, False]


def test_texts_longer_than_the_window_are_counted_in_a_warning(oneword, tiny_model, folder):
    model = ["--model", tiny_model("llama_window"), "--dtype", "float32", "--device", "cpu"]
    (folder / "a.txt").write_text("word " * 400 + "\nshort\n" + "word " * 500 + "\n")
    for source in (["a.txt", "-o", "v.npy"], ["word " * 400, "short", "word " * 500]):
        _, err = oneword("embed", *source, *model)
        assert "warning: 2 texts were longer than the model's window and were cut at their end" in err


def test_a_stopped_run_ends_with_130_and_says_what_is_kept(oneword, model, folder, monkeypatch):
    texts = [f"text {number}" for number in range(48)]
    (folder / "a.txt").write_text("".join(f"{text}\n" for text in texts))
    compute = Embedder.compute
    seen: list[str] = []

    def stopped(self, some, *arguments):
        if len(seen) == 32:
            raise KeyboardInterrupt
        seen.extend(some)
        return compute(self, some, *arguments)

    monkeypatch.setattr(run_module, "_PIECE_ROWS", 16)
    monkeypatch.setattr(Embedder, "compute", stopped)
    _, err = oneword("embed", "a.txt", "-o", "v.npy", "-q", *model, code=130)
    kept = "32 of 48 rows are kept in v.npy.partial; run the same command again to go on from there"
    assert err.strip() == f"oneword: interrupted; {kept}"
    assert names(folder) == ["a.txt", "v.npy.partial"]
    seen.clear()
    oneword("embed", "a.txt", "-o", "v.npy", "-q", *model)
    assert seen == texts[32:]
    assert np.load("v.npy").shape == (48, 48)


def test_an_interrupt_before_anything_is_done_ends_with_130(oneword, folder, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    (folder / "a.txt").write_text("one\n")
    monkeypatch.setattr("oneword.cli.options.ModelOptions.embedder", interrupted)
    _, err = oneword("embed", "a.txt", "-o", "v.npy", code=130)
    assert err.strip() == "oneword: interrupted"
    assert names(folder) == ["a.txt"]


# Similarity


def test_similarity_as_json_is_the_matrix(oneword, model, embedder):
    texts = ["a cat", "a kitten", "share prices"]
    answer = json.loads(oneword("similarity", *texts, "--json", *model)[0])
    assert answer["texts"] == texts
    assert answer["fingerprint"] == embedder.fingerprint
    vectors = embedder.encode(texts)
    np.testing.assert_allclose(answer["similarity"], embedder.similarity(vectors, vectors), rtol=1e-6)


def test_similarity_as_a_table_has_a_row_and_a_column_a_text(oneword, model):
    out, _ = oneword("similarity", "a cat", "a\nkitten", *model)
    lines = out.splitlines()
    assert lines[0].split() == ["text", "1", "2"]
    assert lines[2].split()[:4] == ["1", "a", "cat", "1.0000"]
    assert lines[3].split()[:3] == ["2", "a", "kitten"]
    assert len(lines) == 4


# Bad input: one line, exit code 2, no traceback, nothing left


@pytest.mark.parametrize("arguments", [["embed"], ["embed", "--method", "ck"]])
def test_no_texts_at_all_are_refused(refused, arguments):
    assert "no texts to embed; give some" in refused(*arguments)


@pytest.mark.parametrize("texts", [[], ["one"]])
def test_fewer_than_two_texts_have_no_similarity(refused, texts):
    assert "similarity needs at least two texts" in refused("similarity", *texts)


@pytest.mark.parametrize("command", ["embed", "similarity"])
@pytest.mark.parametrize(("text", "problem"), [("", "is empty"), (" \t", "is only white space")])
def test_a_text_without_a_word_is_refused_by_its_index(refused, command, text, problem):
    assert f"text 1 {problem}" in refused(command, "fine", text)


def test_a_text_that_is_no_unicode_is_refused(refused):
    assert "text 0 is not valid Unicode" in refused(
        "embed", "caf\udce9"
    )  # how Python hands over a byte that is not UTF-8


BAD_FILES = {
    "null.jsonl": ('{"text": "a"}\n{"text": null}\n', "null.jsonl, column 'text': row 2 is null"),
    "empty.csv": ("id,text\n1,a\n2,\n3,\n", "empty.csv, column 'text': row 2 is empty, and so are 1 others"),
    "spaces.txt": ("a\n  \n", "spaces.txt, column 'text': row 2 is only white space"),
    "number.jsonl": ('{"text": 5}\n{"text": "a"}\n', "number.jsonl, column 'text': row 1 is not text but int"),
    "columns.csv": ("id,title\n1,a\n", "columns.csv has 2 columns; give --column with one of: id, title"),
    "nothing.txt": ("", "nothing.txt has no rows"),
    "header.csv": ("id,text\n", "header.csv has no rows"),
    "ragged.csv": ("id,text\n1,a,b\n", "ragged.csv, line 2: 3 fields where the header has 2"),
    "quote.csv": ('id,text\n1,"a\n', "quote.csv, line 2: unexpected end of data"),
    "line.jsonl": ('{"text": "a"}\nnot json\n', "line.jsonl, line 2 is not JSON"),
    "latin.txt": ("café\n".encode("latin-1"), "latin.txt is not UTF-8 text"),
    "broken.parquet": (b"PAR1", "broken.parquet cannot be read as parquet"),
    "format.doc.csv": ("text,text\na,b\n", "format.doc.csv has 2 columns called 'text'"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["embed", "search"])
def test_a_file_that_cannot_be_used_is_refused(refused, folder, model, command, name):
    content, problem = BAD_FILES[name]
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = ["embed", name, "-o", "v.parquet"] if command == "embed" else ["search", "a", "--corpus", name]
    assert f"oneword: {problem}" in refused(*arguments, *model)


def test_a_column_that_is_not_there_names_those_that_are(refused, folder):
    (folder / "a.csv").write_text("id,title\n1,a\n")
    line = refused("embed", "a.csv", "--column", "body", "-o", "v.npy")
    assert line == "oneword: a.csv has no column 'body'; its columns are: id, title"


def test_a_file_that_is_not_there_is_refused(refused, folder):
    assert refused("embed", "absent.csv", "-o", "v.npy") == "oneword: no file absent.csv; give the path of one"


def test_two_files_at_a_time_are_refused(refused, folder):
    (folder / "a.txt").write_text("a\n")
    assert "one file at a time" in refused("embed", "a.txt", "b.txt", "-o", "v.npy")
    assert "one file at a time" in refused("embed", "a text", "a.txt")


@pytest.mark.parametrize("command", [["embed", "a"], ["similarity", "a", "b"], ["search", "a", "--corpus", "a.txt"]])
def test_an_unknown_method_gives_the_nearest_names(refused, folder, command):
    (folder / "a.txt").write_text("a\n")
    line = refused(*command, "--method", "prompteal")
    assert "unknown method 'prompteal' (nearest: prompteol" in line


@pytest.mark.parametrize(("prompt", "problem"), [("no slot", "no {text} slot"), ("{text} {text}", "2 {text} slots")])
def test_a_prompt_without_exactly_one_slot_is_refused_by_file_and_key(refused, folder, prompt, problem):
    (folder / "mine.toml").write_text(f'[prompts.gist]\nwording = "{prompt}"\n[methods.mine]\nprompts = ["gist"]\n')
    line = refused("embed", "a", "--method", "mine.toml")
    assert "mine.toml, [prompts.gist]: " in line
    assert problem in line


@pytest.mark.parametrize(
    "name",
    [
        "smollm2-135m-instruct.gguf",
        "some/where/else",
        "/some/where",
        "./smollm2",
        "../smollm2",
    ],
)
def test_a_model_that_is_not_there_gives_the_nearest_names(refused, folder, name):
    line = refused("embed", "a", "--model", name)
    assert f"no model at {name}: no such file or folder" in line
    assert "smollm2-135m-instruct" in line


@pytest.mark.parametrize("layer", ["6", "-7", "99", "0,6"])
def test_a_layer_out_of_range_is_refused_with_the_range(refused, model, layer):
    assert "is out of range: the model has layers 0 to 5, or -6 to -1" in refused(
        "embed", "a", *model, "--layer", layer
    )


@pytest.mark.parametrize("layer", ["1.5", "first", "", "1,,2", "true", "all,1"])
def test_what_is_no_layer_is_refused_with_the_usage(refused, layer):
    assert "is neither a whole number nor one of: last, proportional" in refused(
        "embed", "a", "--layer", layer, usage=True
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--dtype", "float64"],
        ["--quantize", "int2"],
        ["--batch-size", "0"],
        ["--on-error", "ignore"],
        ["--input-format", "xml"],
        ["--layers", "3"],
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_usage(refused, options):
    refused("embed", "a", *options, usage=True)


def test_a_command_that_does_not_exist_is_refused_with_the_usage(refused):
    assert "No such command 'embedd'" in refused("embedd", usage=True)


def test_fewer_results_than_one_are_refused_with_the_usage(refused):
    refused("search", "a", "--corpus", "a.txt", "-k", "0", usage=True)


@pytest.mark.parametrize("output", ["v.csv", "v.txt", "v", "v.parquet.gz"])
def test_an_output_of_another_ending_is_refused(refused, folder, output):
    (folder / "a.txt").write_text("a\n")
    assert f"{output}: the ending '" in refused("embed", "a.txt", "-o", output)


def test_an_output_in_a_folder_that_is_not_there_is_refused(refused, folder, model):
    (folder / "a.txt").write_text("a\n")
    line = refused("embed", "a.txt", "-o", "no/where/v.npy", *model)
    assert line == "oneword: no/where/v.npy cannot be written: there is no folder no/where; make it first"


def test_an_output_that_is_the_input_is_refused_and_the_input_kept(refused, folder, model):
    pq.write_table(pa.table({"text": ["a"]}), folder / "a.parquet")
    before = (folder / "a.parquet").read_bytes()
    assert "a.parquet is the input itself" in refused("embed", "a.parquet", "-o", "./a.parquet", *model)
    assert (folder / "a.parquet").read_bytes() == before


def test_an_output_for_texts_given_as_arguments_is_refused(refused):
    assert "-o is for a file of texts" in refused("embed", "a text", "-o", "v.npy")


def test_an_output_where_nothing_may_be_written_is_refused(refused, folder, model, monkeypatch):
    (folder / "a.txt").write_text("a\n")
    (folder / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")  # root may write anywhere
    assert "permission denied" in refused("embed", "a.txt", "-o", "closed/v.npy", *model)


def test_a_full_disk_is_refused_and_finished_pieces_are_kept(oneword, model, folder, monkeypatch):
    write_piece = run_module.write_piece

    def full(table, path):
        if path.name == "000001.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_piece(table, path)

    (folder / "a.txt").write_text("".join(f"text {number}\n" for number in range(40)))
    monkeypatch.setattr(run_module, "_PIECE_ROWS", 16)
    monkeypatch.setattr(run_module, "write_piece", full)
    _, err = oneword("embed", "a.txt", "-o", "v.npy", "-q", *model, code=2)
    assert err.startswith("oneword: v.npy cannot be written: the disk is full; 16 of 40 rows are kept in v.npy.partial")
    assert len(err.splitlines()) == 1
    assert names(folder) == ["a.txt", "v.npy.partial"]


def test_in_a_process_of_its_own_an_error_is_one_line_and_exit_code_2(folder, llama):
    answer = shell("embed", "a", "--model", llama, "--layer", "6", cwd=folder)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert "oneword: layer 6 is out of range" in answer.stderr
    assert names(folder) == []


def test_in_a_process_of_its_own_a_pipe_goes_through(folder, llama):
    options = ["--model", llama, "--layer", "1", "--dtype", "float32", "--device", "cpu"]
    answer = shell("embed", "-", "-q", *options, cwd=folder, input="one\ntwo\n")
    assert answer.stderr == ""
    assert answer.returncode == 0
    assert [json.loads(line)["text"] for line in answer.stdout.splitlines()] == ["one", "two"]
    assert names(folder) == []
