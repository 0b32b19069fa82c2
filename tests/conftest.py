"""What the tests share: tiny random models, built once a session and only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tiny_models import build_tiny_model

_ALL_THREADS = torch.get_num_threads()


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
