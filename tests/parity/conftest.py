"""What the parity tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parity.oracle import Oracle


@pytest.fixture(scope="package")
def oracle_of(tiny_model: Callable[[str], Path]) -> Callable[[str], Oracle]:
    """The oracle of a tiny model by its name; it remembers the states it has computed."""
    oracles: dict[str, Oracle] = {}

    def oracle(name: str) -> Oracle:
        if name not in oracles:
            # transformers 5.23 adds falcon's alibi twice when attention is eager
            oracles[name] = Oracle(tiny_model(name), attention="sdpa" if name == "falcon_alibi" else "eager")
        return oracles[name]

    return oracle
