"""What the tests share: tiny random models, built once a session and only when asked for."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

# Libraries read these when they are loaded
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's and scipy's
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads sleep where they would spin on a busy machine

import pytest
import torch

from oneword.cli.main import run
from tiny_models import build_tiny_model

# A shell's background jobs are told to ignore Ctrl-C, and so would be the processes that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

_ALL_THREADS = torch.get_num_threads()
os.environ["OMP_NUM_THREADS"] = "1"  # scikit-learn's, and those of processes that tests start; torch has read it


@pytest.fixture(autouse=True)
def threads(request: pytest.FixtureRequest) -> None:
    """One thread for tiny models, on which more only wait for each other; all of them for what is slow."""
    torch.set_num_threads(_ALL_THREADS if request.node.get_closest_marker("slow") else 1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name, as in ``tiny_model("llama")``; see tiny_models.py for the names."""
    home = tmp_path_factory.mktemp("tiny_models")

    def folder(name: str) -> Path:
        path = home / name
        return path if path.exists() else build_tiny_model(name, path)

    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def oneword(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run a command in this process; the answer is what it printed."""

    def command(*arguments: object, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        with warnings.catch_warnings():  # a command says itself what its user should know
            found = run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert found == code, shown.err
        return shown.out, shown.err

    return command
