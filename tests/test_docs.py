"""The README and the docs: what they show is run, and what they link to is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oneword.cli.main import run
from oneword.registry import parse_presets, presets

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> Iterator[str]:
    yield from re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def examples(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language))
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples to run in, the corpus cut short."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    corpus = tmp_path / "examples" / "corpus.csv"
    corpus.write_text("".join(corpus.read_text(encoding="utf-8").splitlines(keepends=True)[:25]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("code", examples("python"))
def test_python_blocks_run(code: str, folder: Path) -> None:
    exec(compile(code, "block", "exec"), {"__name__": "block"})


@pytest.mark.slow
@pytest.mark.parametrize("block", examples("sh"))
def test_commands_run(block: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    for command in commands:
        if command and command[0] == "oneword":
            assert run(command[1:]) == 0, (command, capsys.readouterr().err)


@pytest.mark.parametrize("block", examples("toml"))
def test_toml_blocks_are_method_files(block: str) -> None:
    assert parse_presets(block, "the docs", presets().prompts).methods


def test_make_knows_the_two_commands_of_the_readme() -> None:
    commands = re.findall(r"^make (\w+)", next(blocks(ROOT / "README.md", "sh")), re.MULTILINE)
    assert commands == ["demo", "test"]
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    subprocess.run([make, "-n", *commands], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_contributing_names_every_module() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for module in sorted((ROOT / "src" / "oneword").rglob("*.py")):
        if module.name != "__init__.py" and "cli" not in module.parts:
            assert module.name in tree, f"CONTRIBUTING.md's tree lacks {module.name}"


def test_the_demo_corpus_is_at_least_200_different_sentences() -> None:
    import csv

    with (ROOT / "examples" / "corpus.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["text"] for row in rows}) == len(rows) >= 200
    assert {row["kind"] for row in rows} == {"support", "review", "news", "technical"}
