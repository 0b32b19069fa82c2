"""What the tests share: tiny random models, built once a session and only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_models import build_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name, as in ``tiny_model("llama")``; see tiny_models.py for the names."""
    home = tmp_path_factory.mktemp("tiny_models")

    def folder(name: str) -> Path:
        path = home / name
        return path if path.exists() else build_tiny_model(name, path)

    return folder
