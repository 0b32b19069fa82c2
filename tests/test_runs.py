"""The scripts of the published tables: every method they name is there, and ours stand beside the published figures."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from oneword.cli.main import cli
from oneword.evaluation.results import Result, ResultFolder
from oneword.evaluation.sweeps import by_meta_tasks
from oneword.registry import find_method, parse_presets, presets

RUNS = Path(__file__).parents[1] / "runs"
VARIANTS = parse_presets((RUNS / "contrastive.toml").read_text(encoding="utf-8"), "contrastive.toml", presets().prompts)
KNOWN = {*presets().methods, *VARIANTS.methods, *(step.name for step in by_meta_tasks(find_method("metaeol")))}


@pytest.fixture
def beside() -> ModuleType:
    """runs/beside.py, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("beside", RUNS / "beside.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", sorted(RUNS.glob("*.sh")), ids=lambda script: script.stem)
def test_scripts_name_commands_options_and_methods_that_there_are(script):
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    for words in re.findall(r"^\s*oneword (.+)$", text, flags=re.MULTILINE):
        command = cli.commands[words.split()[0]]
        if words.startswith(("eval", "tasks", "select experiment")):
            command = command.commands[words.split()[1]]
        options = {name for option in command.params for name in option.opts}
        assert set(re.findall(r"--[a-z-]+", words)) <= options, words
    named = re.findall(r"--(?:method|perturbed) ([a-z_0-9]+)", text)
    assert set(named) <= KNOWN
    assert set(re.findall(r"contrastive\.toml:([a-z_]+)\b(?!\$)", text)) <= {*VARIANTS.methods, "auxiliary_"}


def test_published_rows_are_of_methods_that_there_are_and_as_long_as_their_columns(beside):
    for name, table in beside.TABLES.items():
        for row in table["rows"]:
            assert row["method"] in KNOWN, name
            assert len(row["scores"]) == len(table["columns"]), name
            if table["columns"][-1] == "average" and len(row["scores"]) > 1:
                mean = sum(row["scores"][:-1]) / (len(row["scores"]) - 1)
                assert row["scores"][-1] == pytest.approx(mean, abs=0.02), (name, row["method"])


def test_ours_stand_above_the_published_figures_with_the_tasks_they_are_of(beside, tmp_path, monkeypatch, capsys):
    folder = ResultFolder(tmp_path)
    for task, score in (("STS12", 50.0), ("STSB", 60.0)):
        fields = {"kind": "sts", "metric": "spearman", "scores": {}, "sizes": {}, "data": "", "model": "mine"}
        folder.write(
            Result(
                task,
                score=score,
                method="metaeol",
                layer=28,
                fingerprint="m-1/layer-28/f/w",
                seconds=1,
                command="",
                **fields,
            )
        )
    monkeypatch.setattr(sys, "argv", ["beside.py", "metaeol_table3", str(tmp_path)])
    beside.main()
    shown = capsys.readouterr().out
    assert "Ours is of STS12, STSB alone" in shown
    assert "| metaeol | mine, layer 28 | 55.00 |" in shown
    assert "| metaeol | LLaMA2-7B (published) | 75.96 |" in shown
