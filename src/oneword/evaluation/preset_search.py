"""The prompts, layer and calibration that do best for a model, then their steering, found on development data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.calibration.applying import Calibrator
from oneword.calibration.fitting import fit_steps
from oneword.calibration.moments import Moments
from oneword.calibration.recipe import Calibration, StepLike
from oneword.calibration.statistics import LayerStatistics
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.intervals import spearman
from oneword.evaluation.sentence_pairs import SentencePairs
from oneword.evaluation.sts import cosines
from oneword.method import Method
from oneword.shipped_pool import pool_texts
from oneword.steering import Steering

if TYPE_CHECKING:
    from oneword.embedder import Embedder

Vectors = NDArray[np.float32]
Scores = tuple[float, ...]  # Spearman on each task, in percent

CHAINS: tuple[tuple[StepLike, ...], ...] = (
    (),
    ("center",),
    ("standardize",),
    *(({"remove_components": count},) for count in (1, 3, 5, 10)),
    *(("standardize", {"remove_components": count}) for count in (1, 3, 5, 10)),
)
_LEAST_GAIN = 0.05  # for which one more prompt is asked of every text
_CHUNK = 256  # texts whose vectors of all steerings lie in memory together


@dataclass(frozen=True)
class Candidate:
    """A method that was scored.

    Args:
        prompts: places of its prompts among those that are searched.
        layer: index from 0.
        chain: steps of its calibration, fitted on each prompt's vectors of the shipped pool; empty without one.
        steering: or None.
        scores: on each development task.
    """

    prompts: tuple[int, ...]
    layer: int
    chain: tuple[StepLike, ...]
    steering: Steering | None
    scores: Scores

    @property
    def score(self) -> float:
        """The mean over the tasks."""
        return float(np.mean(self.scores))

    def method(self, searched: Method, name: str) -> Method:
        """As a method of that name."""
        return replace(
            searched,
            name=name,
            prompts=[searched.prompts[place] for place in self.prompts],
            layer=self.layer,
            steering=self.steering,
            calibration=Calibration(self.chain) if self.chain else None,
            summary=f"{len(self.prompts)} prompts, chosen on development data",
            source="oneword tune --preset",
        )


class PresetSearch:
    """Scores methods on development data; each prompt is asked of each text once.

    Args:
        embedder: of a method with all prompts that are searched, unsteered and uncalibrated, reading all layers that
            are.
        tasks: the development data.
        store: keeps prompts' answers.
        on_texts: told how many more texts are done, see :attr:`texts`.
    """

    def __init__(
        self,
        embedder: Embedder,
        tasks: Sequence[SentencePairs],
        store: AnswerStore,
        on_texts: Callable[[int], object] = lambda texts: None,
    ) -> None:
        self._embedder, self._tasks, self._store, self._on_texts = embedder, tasks, store, on_texts
        sentences = [text for task in tasks for side in (task.first, task.second) for text in side]
        self._pool = list(pool_texts())
        self._texts = list(dict.fromkeys([*self._pool, *sentences]))
        self._rows = {text: row for row, text in enumerate(self._texts)}

    @property
    def texts(self) -> int:
        """How many texts every prompt is asked about."""
        return len(self._texts)

    def unsteered(self) -> list[Candidate]:
        """For every layer and every chain the best prompts, one added after the other; the best candidate first."""
        self._store.vectors(self._embedder, self._texts, self._on_texts)
        found = []
        for layer in self._embedder.layers:
            one = self._embedder.with_method(self._embedder.method, layer=[layer])
            answers = self._store.answers(one, self._texts)[:, :, 0]
            found += [
                self._best_prompts(_calibrated(chain, answers, len(self._pool)), layer, chain) for chain in CHAINS
            ]
        return sorted(found, key=lambda one: -one.score)

    def steered(self, best: Candidate, steerings: Sequence[Steering]) -> list[Candidate]:
        """A candidate under each of many steerings, calibrated anew under each; the best first."""
        steerings = [steering for steering in steerings if int(steering.layer) <= best.layer]
        if not steerings:
            return []
        answers: list[Vectors] = []
        for place in best.prompts:
            method = replace(self._embedder.method, prompts=[self._embedder.method.prompts[place]])
            one = self._embedder.with_method(method, layer=best.layer)
            parts = [one.compute_grid(texts, steerings)[:, :, 0].numpy() for texts in self._chunks()]
            answers.append(np.concatenate(parts, axis=1))
        found = []
        for number, steering in enumerate(steerings, 1):  # the first is without
            given = np.stack([answer[number] for answer in answers])
            vectors = _calibrated(best.chain, given, len(self._pool)).mean(axis=0)
            found.append(replace(best, steering=steering, scores=self._scores(vectors)))
        return sorted(found, key=lambda one: -one.score)

    def rescored(self, one: Candidate) -> Candidate:
        """A candidate with its scores on this search's tasks; its prompts' answers are kept."""
        prompts = [self._embedder.method.prompts[place] for place in one.prompts]
        method = replace(self._embedder.method, prompts=prompts, steering=one.steering)
        embedder = self._embedder.with_method(method, layer=[one.layer])
        answers = self._store.answers(embedder, self._texts, self._on_texts)[:, :, 0]
        vectors = _calibrated(one.chain, answers, len(self._pool)).mean(axis=0)
        return replace(one, scores=self._scores(vectors))

    def _chunks(self) -> Iterator[list[str]]:
        for start in range(0, len(self._texts), _CHUNK):
            chunk = self._texts[start : start + _CHUNK]
            yield chunk
            self._on_texts(len(chunk))

    def _best_prompts(self, answers: Vectors, layer: int, chain: tuple[StepLike, ...]) -> Candidate:
        """Prompts added one at a time, always the one that helps most, until none does."""
        best: Candidate | None = None
        total = np.zeros_like(answers[0])
        while best is None or len(best.prompts) < len(answers):
            chosen = best.prompts if best else ()
            tried = [
                Candidate((*chosen, place), layer, chain, None, self._scores(total + answers[place]))
                for place in range(len(answers))
                if place not in chosen
            ]
            step = max(tried, key=lambda one: one.score)
            if best is not None and step.score < best.score + _LEAST_GAIN:
                break
            best, total = step, total + answers[step.prompts[-1]]
        assert best is not None, "no prompts"
        return best

    def _scores(self, vectors: Vectors) -> Scores:
        found = []
        for task in self._tasks:
            rows = [self._rows[text] for side in (task.first, task.second) for text in side]
            found.append(spearman(cosines(vectors[rows]), task.gold))
        return tuple(found)


def _calibrated(chain: tuple[StepLike, ...], answers: Vectors, pool: int) -> Vectors:
    """Prompts' answers, (prompts, n, d), calibrated on their first ``pool`` rows."""
    if not chain:
        return answers
    steps = Calibration(chain).chain
    fitted = []
    for answer in answers:
        moments = Moments(answer.shape[1])
        moments.add(answer[:pool])
        fitted.append(fit_steps(steps, moments))
    calibrator = Calibrator([LayerStatistics(tuple(fitted))])
    given = (torch.from_numpy(answer)[:, None] for answer in answers)
    return np.stack([answer[:, 0].numpy() for answer in calibrator.prompts(given)])
