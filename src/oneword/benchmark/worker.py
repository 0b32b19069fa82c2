"""One contender at work in a process of its own, told what to do line by line; see benchmarks/peers/README.md."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.errors import OnewordError


class ContenderError(OnewordError):
    """A contender that cannot take part, or stopped."""


class Worker:
    """A child process that encodes the texts of one job.

    Args:
        python: the interpreter of its environment.
        script: what it runs.
        job: what it is told first.
        arguments: what the script is given besides.
    """

    def __init__(self, python: Path, script: Path, job: dict[str, Any], arguments: Sequence[str] = ()) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [python, script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._send(job)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ready(self) -> dict[str, Any]:
        """Wait until it can begin.

        Raises:
            ContenderError: it cannot do the job.
        """
        return self._answer()

    def run(self, count: int) -> dict[str, Any]:
        """Encode ``count`` of the job's texts, spread over all of them; seconds, tokens and bytes.

        Raises:
            ContenderError: it failed.
        """
        return self.ask({"run": True, "count": count})

    def vectors(self) -> NDArray[np.float32]:
        """Those of the last run.

        Raises:
            ContenderError: it failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vectors.npy"
            self.ask({"save": str(path)})
            found: NDArray[np.float32] = np.load(path)
            return found

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order and its answer.

        Raises:
            ContenderError: it failed.
        """
        self._send(order)
        return self._answer()

    def _send(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its answer will be missing

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip().splitlines()
            raise ContenderError(f"it ended without an answer{': ' + said[-1] if said else ''}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(str(answer["error"]))
        return answer
