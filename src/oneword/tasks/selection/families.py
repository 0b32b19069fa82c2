"""What the selection experiment chooses among: an LLM with prompts, or embeddings with classifiers of other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from oneword.errors import InputError
from oneword.tasks.selection.candidates import Candidate, embedding_candidates, prompt_candidates
from oneword.tasks.selection.experiment_tasks import SelectionTask
from oneword.tasks.selection.label_match import match_labels
from oneword.tasks.selection.prompt_set import find_prompt_set

EMBEDDING = "embedding:"
METHOD = "metaeol"  # whose prompts the embeddings are of


class Family(Protocol):
    """Candidates for any task of the experiment."""

    def candidates(self, task: SelectionTask) -> list[Candidate]:
        """Those for a task; the same objects for the same kind of task where they do not depend on it."""


class PromptFamily:
    """An LLM with each prompt of the task's prompt set.

    Args:
        model: as for :func:`~oneword.tasks.selection.candidates.prompt_candidates`.
        max_reasoning_tokens: the most tokens of a chain of thought.
        loading: how the model is loaded, as for :class:`~oneword.Embedder`.
    """

    def __init__(self, model: str, max_reasoning_tokens: int = 512, **loading: Any) -> None:
        self._model, self._tokens, self._loading = model, max_reasoning_tokens, loading
        self._found: dict[str, list[Candidate]] = {}

    def candidates(self, task: SelectionTask) -> list[Candidate]:
        """One for each prompt, named after it.

        Raises:
            OnewordError: what the predictors raise.
        """
        if task.kind not in self._found:
            self._found[task.kind] = self._made(task.kind)
        return self._found[task.kind]

    def _made(self, kind: str) -> list[Candidate]:
        prompts = find_prompt_set(kind)
        if not self._found:
            found = prompt_candidates([self._model], prompts, max_reasoning_tokens=self._tokens, **self._loading)
        else:  # another kind of task on the same weights
            known = next(iter(self._found.values()))[0]
            predictor: Any = known.predictor
            found = [Candidate(one.name, predictor.with_prompt(one), one, known.model) for one in prompts.prompts]
        return [replace(one, model=self._model) for one in found]


class EmbeddingFamily:
    """Each prompt of MetaEOL, with a classifier that was fitted on another task of the kind.

    The target's own train part is left out, unless no other task has labels that can be read as the target's.

    Args:
        model: as for :class:`~oneword.Embedder`.
        tasks: whose train parts classifiers are fitted on.
        examples: of each.
        seed: of the samples.
        folder: where vectors are kept.
        loading: as for :class:`PromptFamily`.
    """

    def __init__(
        self, model: str, tasks: Sequence[SelectionTask], examples: int, seed: int, folder: Path, **loading: Any
    ) -> None:
        self._model, self._tasks, self._examples, self._seed = model, tasks, examples, seed
        self._folder, self._loading = folder, loading
        self._embedder: Any = None
        self._found: dict[str, list[Candidate]] = {}

    def candidates(self, task: SelectionTask) -> list[Candidate]:
        """One for each prompt and source, named as in ``3@SST2``.

        Raises:
            OnewordError: what embedding raises.
        """
        sources = [one for one in self._tasks if one.name != task.name and _can_answer(one, task)] or [task]
        return [one for source in sources for one in self._of(source)]

    def _of(self, source: SelectionTask) -> list[Candidate]:
        if source.name not in self._found:
            from oneword.embedder import Embedder

            self._embedder = self._embedder or Embedder(self._model, method=METHOD, **self._loading)
            data = source.train.sample(self._examples, self._seed)
            found = embedding_candidates(self._embedder, METHOD, [data], folder=self._folder)
            self._found[source.name] = [
                replace(one, name=f"{number}@{source.name}", model=f"{EMBEDDING}{self._model}")
                for number, one in enumerate(found, 1)
            ]
        return self._found[source.name]


def make_families(
    specs: Sequence[str],
    tasks: Sequence[SelectionTask],
    *,
    max_reasoning_tokens: int,
    source_examples: int,
    seed: int,
    folder: Path,
    **loading: Any,
) -> dict[str, Family]:
    """A family for each spec: ``MODEL`` is an LLM with prompts, ``embedding:MODEL`` the other kind.

    Args:
        specs: the specs.
        tasks: the experiment's tasks.
        max_reasoning_tokens: of a chain of thought.
        source_examples: on which classifiers are fitted.
        seed: of samples.
        folder: where vectors of texts are kept.
        loading: how models are loaded.

    Raises:
        InputError: a spec without a model.
    """
    families: dict[str, Family] = {}
    for spec in specs:
        if not spec.startswith(EMBEDDING):
            families[spec] = PromptFamily(spec, max_reasoning_tokens, **loading)
        elif model := spec.removeprefix(EMBEDDING):
            families[spec] = EmbeddingFamily(model, tasks, source_examples, seed, folder, **loading)
        else:
            raise InputError(f"'{spec}' names no model; write it as in {EMBEDDING}smollm2")
    return families


def _can_answer(source: SelectionTask, target: SelectionTask) -> bool:
    """Whether what a classifier of the source answers tells all labels of the target apart."""
    if source.kind != target.kind:
        return False
    labels = target.train.classes
    return len(match_labels(source.train.classes, labels).classes) == len(labels)
