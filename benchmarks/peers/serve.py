"""What every peer speaks: one JSON line in, one JSON line out; only the standard library and numpy.

A worker reads its job from the first line of standard input, makes itself ready, and then encodes all the texts of the
job as often as it is told to. What libraries print goes to standard error, so that standard output carries nothing but
answers. README.md beside this file lists the lines.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


class CannotError(Exception):
    """A job that this peer has no way to do; the message is one line that says why."""


@dataclass
class Job:
    """What to encode, and how: the first line of standard input.

    Args:
        folder: a Hugging Face model folder with safetensors.
        gguf: the same model as a GGUF file, or None.
        prompts: wordings, each with one ``{text}``; the answer is the mean over them.
        texts: the texts, cleaned already; before each run, those that it is about.
        layer: an index into ``hidden_states``, from 0 to the number of blocks.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: ``"cpu"`` or ``"cuda"``.
        threads: how many threads to compute with.
        batch_size: how many texts go through the model together.
        steering: None, or ``layer``, ``scale``, ``norm``, ``position`` and ``auxiliary`` of Contrastive Prompting.
        options: what only one kind of worker understands.
    """

    folder: str
    gguf: str | None
    prompts: list[str]
    texts: list[str]
    layer: int
    dtype: str
    device: str
    threads: int
    batch_size: int = 32
    steering: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def rendered(self, wording: str) -> list[str]:
        """Every text in one prompt."""
        return [wording.replace("{text}", text).strip() for text in self.texts]


@dataclass(frozen=True)
class Peer:
    """A peer that is ready to encode its job.

    Args:
        layer: the index of the layer it really reads.
        packages: the distributions whose versions are told.
        encode: answers the vectors of ``job.texts``, one row a text, and how many tokens the model computed for them
            with padding over all prompts; None for tokens that are not known, a function where counting takes time.
        measures: what else it can be asked for, by name.
    """

    layer: int
    packages: tuple[str, ...]
    encode: Callable[[], tuple[np.ndarray, int | Callable[[], int] | None]]
    measures: dict[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)


def serve(build: Callable[[Job], Peer]) -> None:
    """Do the job on standard input with the peer that ``build`` makes for it, until the input ends.

    ``build`` imports its libraries itself: a missing one is then an answer, not a crash, and the number of threads is
    set before they are loaded.
    """
    with _kept_clean() as answers:
        try:
            job = Job(**json.loads(sys.stdin.buffer.readline()))
            os.environ["OMP_NUM_THREADS"] = str(job.threads)
            peer = build(job)
            versions = {name: importlib.metadata.version(name) for name in peer.packages}
        except Exception as error:  # whatever a library raises is the answer
            _answer(answers, {"error": _one_line(error)})
            return
        gc.collect()
        worker = Worker(peer, job)
        _answer(answers, {"ready": True, "versions": versions, "layer": peer.layer})
        for line in sys.stdin.buffer:
            _answer(answers, worker.obey(line))


class Worker:
    """A peer at work: it obeys one line after the other, and keeps the vectors of its last run."""

    def __init__(self, peer: Peer, job: Job) -> None:
        self.peer, self.job, self.texts = peer, job, job.texts
        self.base_bytes = _resident("VmRSS")
        self.vectors = np.zeros((0, 0), dtype=np.float32)

    def obey(self, line: bytes) -> dict[str, Any]:
        """The answer to one line; a failure is an answer too."""
        try:
            order = json.loads(line)
            if "save" in order:
                np.save(order["save"], self.vectors)
                return {"saved": True}
            if "measure" in order:
                return self.peer.measures[order["measure"]]()
            return self.run(order.get("count", len(self.texts)))
        except Exception as error:
            return {"error": _one_line(error)}

    def run(self, count: int) -> dict[str, float | int | None]:
        """Encode so many of the texts, spread over all of them, with the clock and the memory watched."""
        self.job.texts = [self.texts[place * len(self.texts) // count] for place in range(count)]
        with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak is then that of the whole life
            CLEAR_REFS.write_text("5")
        started = time.perf_counter()
        vectors, tokens = self.peer.encode()
        seconds = time.perf_counter() - started
        peak = _resident("VmHWM")
        self.vectors = np.asarray(vectors, dtype=np.float32)
        tokens = tokens() if callable(tokens) else tokens
        return {"seconds": seconds, "peak_bytes": peak, "base_bytes": self.base_bytes, "tokens": tokens}


def _resident(key: str) -> int | None:
    if STATUS.is_file():
        for line in STATUS.read_text("ascii", errors="replace").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def _kept_clean() -> Iterator[TextIO]:
    """The real standard output, to answer on, while all that is printed goes to standard error."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(real, "w", encoding="utf-8") as answers:
        yield answers


def _answer(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _one_line(error: Exception) -> str:
    if isinstance(error, CannotError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the library {error.name} is not installed here"
    traceback.print_exception(error, file=sys.stderr)
    return " ".join(f"{type(error).__name__}: {error}".split())
