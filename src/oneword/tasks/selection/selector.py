"""Choosing among candidates: every selection method's scores, from answers and task embeddings that are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError
from oneword.evaluation.results import digest_of
from oneword.tasks.asking import Calls, ask, ask_with_perplexity
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.pool import Pool
from oneword.tasks.predictor import Answers, check_varied
from oneword.tasks.selection import label_free
from oneword.tasks.selection.candidates import Candidate
from oneword.tasks.selection.methods import METHODS, SelectionMethod, find_methods
from oneword.tasks.selection.self_select import self_select
from oneword.tasks.settings import PAPER_LLM_TEXTS
from oneword.tasks.task_embedder import TaskEmbedder
from oneword.tasks.task_embedding import ENDING, TaskEmbedding
from oneword.tasks.trainable import TrainableModel

if TYPE_CHECKING:
    from oneword.tasks.dataset import Dataset
    from oneword.tasks.selection.label_match import LabelMatch

Floats = NDArray[np.float64]
Told = Callable[[str, int, int], object]

ANSWERS, POOL, MTE, DTE, PERPLEXITY = "answers", "answers on the pool", "MTEs", "DTE", "perplexity"
_SPELL_TEXTS = 200  # whose perplexities are averaged; a filled prompt's differ little


def _untold(what: str, done: int, total: int) -> None:
    """Where nobody wants to know."""


class PromptSelector:
    """Scores of candidates for a dataset, by any selection method; larger is better.

    A candidate's task embedding (MTE) is computed once and kept: a new dataset costs its own (DTE), one for each form,
    and cosines (FUTE, section 5.2). Whatever a candidate has answered is kept and not asked again.

    Args:
        candidates: at least two, with names of their own; all for pairs of texts, or all for single ones.
        kept: where answers are kept; None takes ``answers.sqlite`` in the folder, or memory.
        calls: counts what candidates are asked, and what is found kept.
        folder: where task embeddings and unfinished work are kept; None keeps them in memory.
        pool: the unlabeled texts that MTEs are made of; None takes the one that comes along. Candidates for pairs get
            its texts in pairs.
        surrogate: as for :class:`~oneword.tasks.TaskEmbedder`; it is loaded when it is first needed.
        tuning: likewise.
        paper: FUTE's settings for LLMs, with 10,000 texts of the pool at the most.
        seed: of pairs, samples and tuning.
        perplexity: whether ``spell`` is going to choose too: perplexities then come with the answers, in one pass.
        device: where the surrogate computes.
        on_progress: told what is done (as in :data:`ANSWERS`), and how much of how much of it.

    Attributes:
        candidates: the candidates.
        labels: what they answer with: the columns of :meth:`probabilities`.
        takes_pairs: whether they are for pairs of texts.
        calls: as given.

    Raises:
        InputError: fewer than two candidates, two of one name, some for pairs and some for single texts, or some
            without labels.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        kept: KeptAnswers | None = None,
        calls: Calls | None = None,
        folder: Path | None = None,
        pool: Pool | None = None,
        surrogate: str | Path | TrainableModel = "minilm",
        tuning: Mapping[str, Any] | None = None,
        paper: bool = False,
        seed: int = 0,
        perplexity: bool = False,
        device: str = "auto",
        on_progress: Told = _untold,
    ) -> None:
        self.candidates = tuple(candidates)
        _check(self.candidates)
        self.labels = tuple(dict.fromkeys(label for one in self.candidates for label in one.labels))
        self.takes_pairs = self.candidates[0].takes_pairs
        self.calls = Calls() if calls is None else calls
        if kept is None:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            kept = KeptAnswers(None if folder is None else folder / "answers.sqlite")
        self._kept, self._folder = kept, folder
        self._given_pool, self._paper, self._seed = pool, paper, seed
        self._surrogate, self._device, self._tuning = surrogate, device, dict(tuning or {})
        self._perplexity = perplexity and METHODS["spell"].applies_to(self.candidates)
        self._told = on_progress
        self._embedders: dict[str, TaskEmbedder] = {}
        self._in_memory: dict[str, TaskEmbedding] = {}
        # So that a text counts once, however many methods read what was answered
        self._answered: dict[str, Floats] = {}
        self._measured: dict[str, Floats] = {}

    def scores(
        self,
        method: str | SelectionMethod,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        labelled: Dataset | None = None,
        match: LabelMatch | None = None,
    ) -> Floats:
        """Every candidate's score for a dataset, float64 (candidates,); larger is better.

        Args:
            method: of :data:`~oneword.tasks.selection.methods.METHODS`, or its name.
            texts: the dataset's texts; methods that compare task embeddings do not read them.
            pairs: their second texts.
            labelled: some of its texts with labels, for methods that need them.
            match: what the dataset's labels are among the candidates'; where it is given, label-free methods read
                probabilities of the dataset's labels.

        Raises:
            InputError: no such method, one that needs labels where there are none, one that does not apply to the
                candidates, or answers that are no probabilities.
            OnewordError: what candidates and surrogate raise.
        """
        chosen = find_methods([method])[0] if isinstance(method, str) else method
        if not chosen.applies_to(self.candidates):
            raise InputError(
                f"{chosen.name} does not apply to these candidates: it is for LLMs with prompts"
                f"{', of each 2 to 26' if chosen.needs == 'choice' else ''}; leave it out"
            )
        if chosen.form is not None:
            if labelled is None:
                raise InputError(f"{chosen.name} needs a few labels; give labelled texts, or choose another method")
            return self._cosines(chosen.form, labelled)
        if chosen.needs == "choice":
            return self._chosen_by_themselves(texts, pairs)
        if chosen.needs == "perplexity":
            return np.asarray(label_free.spell(self.perplexities(texts, pairs)), dtype=np.float64)
        probabilities = self.probabilities(texts, pairs)
        if match is not None:
            probabilities = match.merge(probabilities)
        return _LABEL_FREE[chosen.name](probabilities)

    def probabilities(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Floats:
        """What the candidates answer: float64 (candidates, texts, labels), columns as in ``labels``.

        A label that a candidate does not know has probability 0.

        Raises:
            OnewordError: as :func:`~oneword.tasks.asking.ask`.
        """
        key = digest_of(texts, pairs)
        if key not in self._answered:
            pool = Pool("the data", tuple(texts), None if pairs is None else tuple(pairs))
            had = 0
            if self._perplexity and key not in self._measured:
                had = self.perplexities(texts, pairs).size
            told = self._counted(ANSWERS, len(pool) * len(self.candidates))
            self._answered[key] = np.stack([self._asked(one, pool, told)[1] for one in self.candidates])
            self.calls.saved -= had
        return self._answered[key]

    def perplexities(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Floats:
        """Perplexities of the filled prompts: float64 (candidates, n), of a sample of 200 texts at the most.

        Raises:
            OnewordError: as :func:`~oneword.tasks.asking.ask_with_perplexity`.
        """
        key = digest_of(texts, pairs)
        if key not in self._measured:
            rows = sorted(np.random.default_rng(self._seed).permutation(len(texts))[:_SPELL_TEXTS].tolist())
            chosen = [texts[row] for row in rows]
            second = None if pairs is None else [pairs[row] for row in rows]
            told = self._counted(PERPLEXITY, len(rows) * len(self.candidates))
            self._measured[key] = np.stack(
                [
                    ask_with_perplexity(one.predictor, chosen, second, self._kept, told, self.calls)[1]
                    for one in self.candidates
                ]
            )
        return self._measured[key]

    def accuracies(self, dataset: Dataset, match: LabelMatch) -> Floats:
        """Which share of a dataset each candidate answers right, 0 to 1: float64 (candidates,).

        Args:
            dataset: with the truth.
            match: what its labels are among the candidates'.
        """
        answers = match.merge(self.probabilities(dataset.texts, dataset.text_pairs)).argmax(axis=-1)
        right: Floats = (answers == match.truth(dataset.labels)).mean(axis=-1)
        return right

    def dataset_embedding(self, form: str, labelled: Dataset) -> TaskEmbedding:
        """The dataset's task embedding (DTE), computed or kept."""
        embedder = self._embedder(form)
        tuning = embedder.tuning_of("dataset", labelled.kind)
        key = digest_of("dataset", embedder.space, self._seed, asdict(tuning), labelled.digest)
        return self._once(key, lambda: embedder.embed_dataset(labelled, **self._told_of(f"{DTE} ({form})")))

    def model_embeddings(self, form: str) -> list[TaskEmbedding]:
        """The candidates' task embeddings (MTEs) in their order, computed or kept.

        Raises:
            InputError: a candidate that answers the same for all texts of the pool.
        """
        return [self._model_embedding(form, place) for place in range(len(self.candidates))]

    @cached_property
    def pool(self) -> Pool:
        """The unlabeled texts that MTEs are made of, in pairs where candidates take pairs."""
        pool = Pool.default() if self._given_pool is None else self._given_pool
        if self._paper:
            pool = pool.sample(PAPER_LLM_TEXTS, self._seed)
        return pool.paired(self._seed) if self.takes_pairs else replace(pool, text_pairs=None, known_pairs=())

    def _cosines(self, form: str, labelled: Dataset) -> Floats:
        dataset = self.dataset_embedding(form, labelled)
        places = range(len(self.candidates))
        # One at a time: vectors of the form taskemb have millions of numbers
        return np.array([dataset.similarity(self._model_embedding(form, place)) for place in places], dtype=np.float64)

    def _model_embedding(self, form: str, place: int) -> TaskEmbedding:
        candidate, embedder = self.candidates[place], self._embedder(form)
        known = getattr(candidate.predictor, "fingerprint", None) or f"{candidate.name} {place}"
        tuning = embedder.tuning_of("model", "classification")
        key = digest_of("model", embedder.space, self._seed, asdict(tuning), self.pool.digest, known)

        def make() -> TaskEmbedding:
            self._told(POOL, place, len(self.candidates))
            answers, _ = self._asked(candidate, self.pool, lambda texts: None)
            check_varied(answers, candidate.name)
            facts = {"model": candidate.model, "candidate": candidate.name, "predictor": known}
            told = self._told_of(f"{MTE} ({form}) {place + 1}/{len(self.candidates)}")
            return embedder.embed_answers(self.pool, answers, candidate.name, facts=facts, **told)

        return self._once(key, make, lasting=getattr(candidate.predictor, "fingerprint", None) is not None)

    def _once(self, key: str, make: Callable[[], TaskEmbedding], lasting: bool = True) -> TaskEmbedding:
        """A task embedding by its content: kept, or made and kept."""
        if self._folder is None or not lasting:
            if key not in self._in_memory:
                self._in_memory[key] = make()
            return self._in_memory[key]
        path = self._folder / "embeddings" / f"{key}{ENDING}"
        if path.is_file():
            try:
                return TaskEmbedding.load(path)
            except InputError:  # a crash of the machine broke it
                pass
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save(path)
        return made

    def _embedder(self, form: str) -> TaskEmbedder:
        if form not in self._embedders:
            if not isinstance(self._surrogate, TrainableModel):
                self._surrogate = TrainableModel(self._surrogate, device=self._device)
            self._embedders[form] = TaskEmbedder(
                self._surrogate,
                form,
                seed=self._seed,
                tuning=self._tuning,
                paper="llm" if self._paper else False,
                work=self._folder,
            )
        return self._embedders[form]

    def _asked(self, candidate: Candidate, pool: Pool, on_texts: Callable[[int], object]) -> tuple[Answers, Floats]:
        """A candidate's answers as it gave them, and with columns as in ``labels``."""
        answers = ask(candidate.predictor, pool, self._kept, on_texts, self.calls)
        if answers.kind != "probabilities":
            raise InputError(f"{candidate.name} answers {answers.kind}; choosing needs probabilities of labels")
        columns = np.zeros((len(answers), len(self.labels)))
        columns[:, [self.labels.index(label) for label in candidate.labels]] = answers.values
        return answers, columns

    def _chosen_by_themselves(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        """What each LLM says of its own prompts."""
        scores = np.zeros(len(self.candidates))
        for model in dict.fromkeys(one.model for one in self.candidates):
            places = [place for place, one in enumerate(self.candidates) if one.model == model]
            prompts = [one.prompt for one in self.candidates if one.model == model and one.prompt is not None]
            llm = self.candidates[places[0]].predictor
            scores[places] = self_select(llm, prompts, texts, pairs, self._kept, self.calls)
        return scores

    def _counted(self, what: str, total: int) -> Callable[[int], object]:
        done = 0

        def add(more: int) -> None:
            nonlocal done
            done += more
            self._told(what, done, total)

        return add

    def _told_of(self, what: str) -> dict[str, Callable[[int, int], object]]:
        """What a task embedder tells its progress to."""
        return {
            "on_update": lambda done, total: self._told(what, done, total),
            "on_row": lambda done, total: self._told(f"{what}, Fisher", done, total),
        }


_LABEL_FREE: dict[str, Callable[[Floats], Floats]] = {
    "mi": label_free.mutual_information,
    "local-entropy": label_free.local_entropy,
    "global-entropy": label_free.global_entropy,
    "zps-log": lambda probabilities: label_free.zero_label(probabilities, by="log"),
    "zps-prob": lambda probabilities: label_free.zero_label(probabilities, by="prob"),
    "zps-vote": lambda probabilities: label_free.zero_label(probabilities, by="vote"),
}


def _check(candidates: Sequence[Candidate]) -> None:
    if len(candidates) < 2:
        raise InputError(f"choosing needs two candidates; there {'is one' if candidates else 'are none'}")
    names = [one.name for one in candidates]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two candidates are called {name}; give each a name of its own")
    for one in candidates:
        if not one.labels:
            raise InputError(f"{one.name} does not say with which labels it answers (classes); choosing needs them")
        if one.takes_pairs != candidates[0].takes_pairs:
            raise InputError(
                f"{candidates[0].name} and {one.name} are not both for pairs of texts, or for single ones; choose "
                "among candidates of one kind"
            )
