"""The selection experiment (FUTE, section 5.2 and Table 3): which prompt, or which model, for a dataset?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from oneword.errors import InputError
from oneword.evaluation.results import digest_of
from oneword.tasks.asking import Calls
from oneword.tasks.dataset import Dataset
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.pool import Pool
from oneword.tasks.selection.candidates import Candidate
from oneword.tasks.selection.experiment_tasks import SelectionTask
from oneword.tasks.selection.families import Family
from oneword.tasks.selection.label_match import LabelMatch, match_labels
from oneword.tasks.selection.methods import METHODS, find_methods
from oneword.tasks.selection.selector import PromptSelector
from oneword.tasks.task_embedding import TaskEmbedding
from oneword.tasks.trainable import TrainableModel
from oneword.whole_file import write_whole

ANSWERS, DTES, MTES = "answers", "DTEs", "MTEs with the answers on the pool"
Told = Callable[[str, int, int], object]


@dataclass(frozen=True)
class SelectionPlan:
    """What the experiment is made of; its results are found again by all of it.

    Args:
        methods: which of :data:`~oneword.tasks.selection.methods.METHODS` choose.
        dte_labels: labelled examples of the train part that a dataset's task embedding is made of.
        seed: of everything.
        tuning: fields of the task embeddings' tuning that are set otherwise than usual.
        paper: take the paper's settings for task embeddings.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    dte_labels: int = 100
    seed: int = 0
    tuning: Mapping[str, Any] = field(default_factory=dict)
    paper: bool = False


@dataclass(frozen=True)
class TaskScores:
    """What the experiment found for one family on one task.

    Args:
        model: the family's name, as in ``smollm2`` or ``embedding:smollm2``.
        task: the task's name.
        kind: the kind of task.
        candidates: their names.
        accuracies: of each candidate, 0 to 1.
        scores: by method, of each candidate; larger is better. Methods that do not apply are not there.
        examples: on how many the accuracies are.
        labels: of how many the DTE is made.
        seconds: by stage; of a run that went on, since it went on.
        made: texts that a model was asked about.
        saved: texts whose answers were kept.
    """

    model: str
    task: str
    kind: str
    candidates: tuple[str, ...]
    accuracies: tuple[float, ...]
    scores: Mapping[str, tuple[float, ...]]
    examples: int
    labels: int
    seconds: Mapping[str, float]
    made: int
    saved: int

    def chosen(self, method: str) -> str:
        """The candidate that a method puts first; of several, the first."""
        scores = self.scores[method]
        return self.candidates[scores.index(max(scores))]


class SelectionExperiment:
    """Every candidate answers every task, and each method chooses one without looking at the truth.

    Args:
        plan: what it is made of.
        tasks: the tasks.
        pool: unlabeled texts for the candidates' task embeddings.
        surrogate: on which all task embeddings are computed.
        folder: where every finished piece is kept, and found again: answers, task embeddings, scores.
        on_progress: told what is done, and how much of how much of it.

    Attributes:
        calls: what models were asked in this run, and what was found kept.
        embeddings: task embeddings for the map: colour by kind, marker by family, named after prompts and tasks.

    Raises:
        InputError: no tasks, or a pool that has texts of one.
    """

    def __init__(
        self,
        plan: SelectionPlan,
        tasks: Sequence[SelectionTask],
        pool: Pool,
        surrogate: TrainableModel,
        folder: Path,
        on_progress: Told = lambda what, done, total: None,
    ) -> None:
        if not tasks:
            raise InputError("the selection experiment needs at least one task")
        self._plan, self._tasks, self._pool, self._surrogate = plan, tuple(tasks), pool, surrogate
        self._methods = find_methods(plan.methods)
        self._folder, self._on_progress = folder, on_progress
        self._labelled: dict[str, Dataset] = {}
        for task in tasks:
            labelled = task.train.sample(plan.dte_labels, plan.seed)
            labelled.check_learnable()
            for part in (labelled, task.test):
                pool.check_apart(part)
            self._labelled[task.name] = labelled
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = KeptAnswers(folder / "answers.sqlite")
        self.calls = Calls()
        self.embeddings: dict[str, TaskEmbedding] = {}

    def run(self, model: str, family: Family) -> list[TaskScores]:
        """Everything for one family of candidates; what an earlier run finished is not done again.

        Raises:
            OnewordError: what candidates and surrogate raise.
        """
        return [self._scored(model, task, family.candidates(task)) for task in self._tasks]

    def _scored(self, model: str, task: SelectionTask, candidates: Sequence[Candidate]) -> TaskScores:
        calls = Calls()
        selector = self._selector(f"{model} on {task.name}", candidates, calls)
        key = self._key(task, candidates)
        path = self._folder / "scores" / f"{_file(model, task.name)}-{key}.json"
        lasting = all(getattr(one.predictor, "fingerprint", None) for one in candidates)
        if lasting and path.is_file():
            found = _read(path)
            self.calls.saved += found.made + found.saved
        else:
            found = self._compute(model, task, selector, calls)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(asdict(found)).encode())
            self.calls.made += calls.made
            self.calls.saved += calls.saved
        self._put_on_map(model, task, selector)
        return found

    def _compute(self, model: str, task: SelectionTask, selector: PromptSelector, calls: Calls) -> TaskScores:
        labelled, test = self._labelled[task.name], task.test
        match = self._match(task, selector)
        seconds: dict[str, float] = {}
        methods = [method for method in self._methods if method.applies_to(selector.candidates)]
        with _timed(seconds, ANSWERS):
            accuracies = selector.accuracies(test, match)
        scores = {}
        for method in methods:
            if method.form is not None:
                with _timed(seconds, DTES):
                    selector.dataset_embedding(method.form, labelled)
            with _timed(seconds, MTES if method.form else method.name):
                given = selector.scores(method, test.texts, test.text_pairs, labelled=labelled, match=match)
            scores[method.name] = tuple(map(float, given))
        return TaskScores(
            model=model,
            task=task.name,
            kind=task.kind,
            candidates=tuple(one.name for one in selector.candidates),
            accuracies=tuple(map(float, accuracies)),
            scores=scores,
            examples=len(test),
            labels=len(labelled),
            seconds={stage: round(value, 2) for stage, value in seconds.items()},
            made=calls.made,
            saved=calls.saved,
        )

    def _match(self, task: SelectionTask, selector: PromptSelector) -> LabelMatch:
        labels = tuple(dict.fromkeys([*task.train.classes, *task.test.classes]))
        return match_labels(selector.labels, labels)

    def _selector(self, about: str, candidates: Sequence[Candidate], calls: Calls) -> PromptSelector:
        plan = self._plan
        return PromptSelector(
            candidates,
            kept=self._kept,
            calls=calls,
            folder=self._folder,
            pool=self._pool,
            surrogate=self._surrogate,
            tuning=plan.tuning,
            paper=plan.paper,
            seed=plan.seed,
            perplexity=any(method.needs == "perplexity" for method in self._methods),
            on_progress=lambda what, done, total: self._on_progress(f"{about}: {what}", done, total),
        )

    def _key(self, task: SelectionTask, candidates: Sequence[Candidate]) -> str:
        """What scores are found again by."""
        asked = [[one.name, getattr(one.predictor, "fingerprint", None)] for one in candidates]
        data = [task.test.digest, self._labelled[task.name].digest, self._pool.digest]
        return digest_of(asked, data, self._surrogate.space, asdict(self._plan))

    def _put_on_map(self, model: str, task: SelectionTask, selector: PromptSelector) -> None:
        """Of one form, the first in the plan that is not the largest."""
        forms = [method.form for method in self._methods if method.form is not None]
        if not forms:
            return
        form = "tupate" if "tupate" in forms else forms[0]
        dataset = selector.dataset_embedding(form, self._labelled[task.name])
        self.embeddings[task.name] = replace(dataset, task=task.kind, name=task.name)
        for candidate, found in zip(selector.candidates, selector.model_embeddings(form)):
            self.embeddings[f"{model} {task.kind} {candidate.name}"] = replace(
                found, task=task.kind, name=candidate.name, provenance={**found.provenance, "model": model}
            )


def _read(path: Path) -> TaskScores:
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    fields["scores"] = {method: tuple(values) for method, values in fields["scores"].items()}
    for name in ("candidates", "accuracies"):
        fields[name] = tuple(fields[name])
    return TaskScores(**fields)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begun


def _file(*names: str) -> str:
    """A file name of names."""
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in name) for name in names)
