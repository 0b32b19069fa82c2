"""A race: contenders take turns at the same texts, round by round, each in a process of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.benchmark.contenders import Contender, Race
from oneword.benchmark.worker import ContenderError, Worker

_FEW_TEXTS = 2
_LONG_ENOUGH = 0.1  # of a run: what its rate is foretold from


@dataclass
class Measured:
    """What was seen of one contender.

    Args:
        contender: who.
        count: how many of the texts it was given, spread over all of them.
        layer: the layer it read.
        versions: of its libraries.
        runs: the answers of its worker, one a round.
        least_cosine: of its vectors with the oracle's.
        mean_cosine: likewise.
        floor_seconds: one a round, of oneword alone: the least time for these texts at that round's rates.
        left_out: why it did not take part, or not in all rounds, or "".
        not_compared: why there are no cosines, or "".
    """

    contender: Contender
    count: int = 0
    layer: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    least_cosine: float | None = None
    mean_cosine: float | None = None
    floor_seconds: list[float] = field(default_factory=list)
    left_out: str = ""
    not_compared: str = ""

    @property
    def seconds(self) -> list[float]:
        """One a round."""
        return [float(run["seconds"]) for run in self.runs]

    @property
    def rates(self) -> list[float]:
        """Texts a second, one a round."""
        return [self.count / seconds for seconds in self.seconds]

    @property
    def token_rate(self) -> float | None:
        """Tokens computed a second, padding included; None where the contender does not tell."""
        tokens = self.runs[0]["tokens"]
        return tokens / statistics.median(self.seconds) if tokens is not None else None

    @property
    def memory(self) -> int | None:
        """Bytes of the whole process at its peak; None where the system does not tell."""
        return max((run["peak_bytes"] for run in self.runs if run.get("peak_bytes")), default=None)

    def speed_up_over(self, other: Measured) -> float:
        """Median over the rounds of how many times as many texts a second as another."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rates, other.rates))

    @property
    def floor_ratio(self) -> float | None:
        """Median over the rounds of the floor divided by the time; 1 is the machine's limit."""
        if not self.floor_seconds:
            return None
        return statistics.median(floor / seconds for floor, seconds in zip(self.floor_seconds, self.seconds))


def run_race(
    race: Race,
    contenders: Sequence[Contender],
    rounds: int,
    seconds: float,
    oracle_texts: int,
    on_turn: Callable[[str], object] = lambda name: None,
) -> list[Measured]:
    """Let the contenders take turns.

    Args:
        race: what they are told.
        contenders: who takes part.
        rounds: how many times each runs, after a warm-up.
        seconds: about how long one run may take; a contender that would take longer is given some of the texts.
        oracle_texts: how many texts all vectors are compared on.
        on_turn: told before each run whose it is.

    Returns:
        In the order of the contenders, those that were left out too.
    """
    found = [Measured(contender) for contender in contenders]
    with ExitStack() as workers:
        running: list[tuple[Measured, Worker]] = []
        on_turn("loading")
        entered = [workers.enter_context(_worker(measured.contender)) for measured in found]
        for measured, worker in zip(found, entered):
            on_turn(f"{measured.contender.name}: warming up")
            try:
                told = worker.ready()
                measured.layer, measured.versions = told["layer"], told["versions"]
                measured.count = _affordable(worker, len(race.texts), seconds)
            except ContenderError as error:
                measured.left_out = str(error)
                continue
            running.append((measured, worker))
        for turn in range(rounds):
            for measured, worker in running:
                on_turn(f"{measured.contender.name}: round {turn + 1} of {rounds}")
                try:
                    measured.runs.append(worker.run(measured.count))
                    if measured.contender.is_oneword:
                        measured.floor_seconds.append(worker.ask({"measure": "floor"})["seconds"])
                except ContenderError as error:
                    measured.left_out = str(error)
            running = [(measured, worker) for measured, worker in running if not measured.left_out]
        _compare(race, running, min(oracle_texts, len(race.texts)), on_turn)
    return found


def _worker(contender: Contender) -> Worker:
    return Worker(contender.python, contender.script, contender.job, contender.arguments)


def _affordable(worker: Worker, texts: int, seconds: float) -> int:
    """How many texts it does in so many seconds, by runs after a warm-up, the last of them long enough to tell."""
    few = min(_FEW_TEXTS, texts)
    worker.run(few)
    while True:
        took = worker.run(few)["seconds"]
        affordable = max(min(_FEW_TEXTS, texts), min(texts, int(seconds * few / took)))
        if took > seconds * _LONG_ENOUGH or few >= affordable:
            return affordable
        few = min(affordable, 4 * few)


def _compare(
    race: Race, running: Sequence[tuple[Measured, Worker]], count: int, on_turn: Callable[[str], object]
) -> None:
    """The cosines of everyone's vectors with the oracle's of the same layer."""
    for layer in sorted({measured.layer for measured, _ in running}):
        on_turn(f"oracle at layer {layer}")
        with _worker(race.oracle(layer)) as oracle:
            try:
                oracle.ready()
                expected = _vectors(oracle, count)
            except ContenderError as error:
                for measured, _ in running:
                    measured.not_compared = f"the oracle: {error}"
                continue
        for measured, worker in running:
            if measured.layer != layer:
                continue
            try:
                cosines = _cosines(_vectors(worker, count), expected)
            except ContenderError as error:
                measured.not_compared = str(error)
            else:
                measured.least_cosine, measured.mean_cosine = float(cosines.min()), float(cosines.mean())


def _vectors(worker: Worker, count: int) -> NDArray[np.float32]:
    worker.run(count)
    return worker.vectors()


def _cosines(found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = found.astype(np.float64), expected.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosines
