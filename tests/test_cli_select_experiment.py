"""`oneword select experiment`, from folders to a table."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from selection_data import write_selection_data

QUICK = ["--examples", 6, "--dte-labels", 6, "--max-reasoning-tokens", 2, "--steps", 2]
METHODS = "fute-tupate,mi,self-select,spell"


def test_the_command_goes_from_folders_to_a_table_and_asks_nothing_twice(oneword, folder, tiny_model):
    write_selection_data(folder / "data", examples=12, tasks=["RTE"])
    (folder / "pool.txt").write_text("".join(f"some words about {row} boats\n" for row in range(6)))
    model = tiny_model("llama")
    command = ["select", "experiment", "--data", "data", "--models", f"{model}"]
    command += ["--surrogate", tiny_model("bert"), "--select-by", METHODS, "--unlabeled", "pool.txt", *QUICK]
    command += ["--device", "cpu", "-q", "--results", "found"]
    out, error = oneword(*command)
    assert "NLI performance" in out
    assert "spell" in out
    assert "left out, since their files are not in data: SST2, CR, MR, tweet_emotion, SICK" in error
    assert "model calls: " in error
    assert {path.name for path in (folder / "found").iterdir()} >= {"results.json", "table.md", "map.html"}
    fields = json.loads((folder / "found" / "results.json").read_text())
    assert [(one["model"], one["task"]) for one in fields["tasks"]] == [(str(model), "RTE")]
    assert fields["tasks"][0]["candidates"] == [str(number) for number in range(1, 14)]
    assert fields["calls"]["made"] > 0
    again, error = oneword(*command, "--json")
    assert "model calls: 0 made" in error
    assert json.loads(again)["tasks"] == fields["tasks"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--select-by", "guess"], "unknown selection method 'guess'"),
        (["--tasks", "rotten"], "unknown task 'rotten'"),
        (["--tasks", "CR"], "it needs senteval/ with"),
    ],
)
def test_the_command_says_what_is_wrong(oneword, folder, options, message):
    write_selection_data(folder / "data", tasks=["RTE"])
    _, error = oneword("select", "experiment", "--data", "data", *options, code=2)
    assert message in error
    assert error.count("\n") == 1


def test_help_loads_neither_numpy_nor_torch():
    code = "import sys; from oneword.cli.main import run; run(['select', 'experiment', '--help']); "
    code += "sys.exit(', '.join({'numpy', 'torch'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "--max-reasoning-tokens" in done.stdout
    assert done.returncode == 0, done.stderr
