"""Datasets and models to vectors in one space: the public face of task embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from oneword.errors import ModelError
from oneword.evaluation.results import digest_of, now, versions
from oneword.tasks.asking import ask, name_of
from oneword.tasks.dataset import Dataset
from oneword.tasks.forms import Form, find_form
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.objectives import Objective, answers_objective, dataset_objective
from oneword.tasks.pool import Pool
from oneword.tasks.predictor import Answers, Predictor, check_varied
from oneword.tasks.settings import Of, changed, paper_llm_tuning, paper_tuning, usual_tuning
from oneword.tasks.task_embedding import TaskEmbedding
from oneword.tasks.trainable import TokenRow, TrainableModel
from oneword.tasks.tuning import Tuning, tune

_KINDS = {"probabilities": "classification", "numbers": "regression", "strings": "text", "spans": "span"}
_DEFAULT_SURROGATE = "minilm"

Told = Callable[[int, int], object]


def _untold(done: int, total: int) -> None:
    """Where nobody wants to know."""


class TaskEmbedder:
    """Turns datasets and models into task embeddings on one surrogate (FUTE, section 3).

    A dataset's vector (DTE) is what the surrogate learns from its texts and labels; a model's vector (MTE) is what it
    learns from unlabeled texts and the model's answers to them. Both are in one space.

    Args:
        surrogate: a model of ``oneword models``, a folder or a Hub id: an encoder, a decoder or an encoder-decoder. The
            paper's is ``t5-base``.
        form: ``"tupate"``, ``"taskemb"``, ``"bitfit"``, ``"lora"``, or one of :mod:`oneword.tasks.forms` with choices
            of its own.
        seed: of the order of the texts and of what is held out.
        tuning: fields of :class:`~oneword.tasks.tuning.Tuning` that are set otherwise than usual.
        paper: take the paper's settings as the usual ones; ``"llm"`` takes those for LLMs with prompts.
        work: a folder in which unfinished work is kept, to go on from; answers of models that have a fingerprint stay
            there, in ``answers.sqlite``.
        device: where it computes.
        revision: branch, tag or commit of a Hub model.

    Attributes:
        space: what vectors must share to be compared.

    Raises:
        OnewordError: a surrogate or form that cannot be used.
    """

    def __init__(
        self,
        surrogate: str | Path | TrainableModel = _DEFAULT_SURROGATE,
        form: str | Form = "tupate",
        *,
        seed: int = 0,
        tuning: Mapping[str, Any] | None = None,
        paper: bool | Literal["llm"] = False,
        work: str | Path | None = None,
        device: str | torch.device = "auto",
        revision: str | None = None,
    ) -> None:
        self.form = find_form(form)
        self.seed = seed
        self._given = dict(tuning or {})
        self._usual = {False: usual_tuning, True: paper_tuning, "llm": paper_llm_tuning}[paper]
        changed(self._usual(self.form.name, "dataset", "classification"), self._given)  # what is wrong is told now
        self._work = None if work is None else Path(work)
        if not isinstance(surrogate, TrainableModel):
            surrogate = TrainableModel(surrogate, device=device, revision=revision)
        self.surrogate = surrogate
        with self.form.tuning(self.surrogate):  # and that the surrogate has what the form tunes
            pass
        self.space = f"{self.surrogate.space}/{self.form.space}"

    def embed_dataset(self, dataset: Dataset, *, on_update: Told = _untold, on_row: Told = _untold) -> TaskEmbedding:
        """The dataset's vector (DTE).

        Args:
            dataset: texts with labels.
            on_update: told how many of how many updates are done.
            on_row: told how many of how many rows are, where the vector is computed from them (taskemb).

        Raises:
            OnewordError: a dataset that the surrogate cannot be tuned on.
        """
        dataset.check_learnable()
        tuning = self.tuning_of("dataset", dataset.kind)
        rows, objective = dataset_objective(self.surrogate, dataset, tuning.max_length)
        return self._embed(
            rows, objective, tuning, "dataset", dataset.name, dataset.kind, {"data": dataset.digest}, on_update, on_row
        )

    def embed_model(
        self,
        predictor: Predictor,
        unlabeled: Pool | str | Path | Iterable[str] | None = None,
        *,
        apart_from: Sequence[Dataset] = (),
        on_text: Told = _untold,
        on_update: Told = _untold,
        on_row: Told = _untold,
    ) -> TaskEmbedding:
        """The model's vector (MTE), from its answers to unlabeled texts; no label is ever seen.

        Args:
            predictor: anything with ``predict``.
            unlabeled: a pool, a file or folder of texts, or texts; None takes the pool that comes along.
            apart_from: datasets whose texts must not be in the pool.
            on_text: told how many of how many texts are answered.
            on_update: as for :meth:`embed_dataset`.
            on_row: likewise.

        Raises:
            InputError: a pool that overlaps a dataset, or answers that are none.
            OnewordError: what the predictor raises.
        """
        pool = Pool.of(unlabeled)
        for dataset in apart_from:
            pool.check_apart(dataset)
        if getattr(predictor, "takes_pairs", None) is False:  # the surrogate must read what the predictor read
            pool = replace(pool, text_pairs=None)
        kept = None if self._work is None else KeptAnswers(self._work / "answers.sqlite")
        answers = ask(predictor, pool, kept, _counted(on_text, len(pool)))
        check_varied(answers, name_of(predictor))
        name = name_of(predictor)
        facts = {
            "model": getattr(predictor, "model_name", name),
            "trained_on": getattr(predictor, "trained_on", None),
            "predictor": getattr(predictor, "fingerprint", None),
        }
        return self.embed_answers(pool, answers, name, facts=facts, on_update=on_update, on_row=on_row)

    def embed_answers(
        self,
        pool: Pool,
        answers: Answers,
        name: str,
        *,
        facts: Mapping[str, Any] | None = None,
        on_update: Told = _untold,
        on_row: Told = _untold,
    ) -> TaskEmbedding:
        """The vector of a model (MTE) that gave these answers to the texts of a pool.

        Args:
            pool: the texts.
            answers: one for each.
            name: what the vector is called.
            facts: what is known of the model, as ``"model"`` and ``"trained_on"``; they go into the provenance.
            on_update: as for :meth:`embed_dataset`.
            on_row: likewise.
        """
        kind = _KINDS[answers.kind]
        tuning = self.tuning_of("model", kind)
        rows, objective = answers_objective(self.surrogate, pool.texts, pool.text_pairs, answers, tuning.max_length)
        values = answers.values if answers.kind == "strings" else np.asarray(answers.values).tolist()
        known = {
            "model": name,
            **(facts or {}),
            "pool": pool.name,
            "data": pool.digest,
            "answers": digest_of(answers.kind, values),
        }
        return self._embed(rows, objective, tuning, "model", name, kind, known, on_update, on_row)

    def tuning_of(self, of: Of, kind: str) -> Tuning:
        """How a vector of this kind is tuned."""
        return changed(self._usual(self.form.name, of, kind), self._given)

    def _embed(
        self,
        rows: Sequence[TokenRow],
        objective: Objective,
        tuning: Tuning,
        of: Of,
        name: str,
        kind: str,
        facts: Mapping[str, Any],
        on_update: Told,
        on_row: Told,
    ) -> TaskEmbedding:
        key = digest_of(self.space, self.seed, asdict(tuning), of, facts["data"], facts.get("answers"))
        checkpoint = None if self._work is None else self._work / "unfinished" / f"{key}.pt"
        with self.form.tuning(self.surrogate) as tunable:
            went = tune(
                self.surrogate,
                tunable.parameters,
                rows,
                objective,
                tuning,
                self.seed,
                within=tunable.within,
                checkpoint=checkpoint,
                on_update=on_update,
            )
            vector = tunable.vector(rows, objective, _counted(on_row, len(rows)))
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        if not (torch.isfinite(vector).all() and vector.any()):
            raise ModelError(
                f"tuning on {name} left no trace in the {self.form.name} of {self.surrogate.name}: the loss is 0, or "
                "nothing has moved yet; give other --steps (tuning={'steps': ...})"
            )
        provenance = {
            **facts,
            "surrogate": self.surrogate.space,
            "form": self.form.space,
            "tuning": asdict(tuning),
            "rows": len(rows),
            "updates": went.updates,
            "losses": [round(loss, 5) for loss in went.losses],
            "held_out": [round(loss, 5) for loss in went.held_out],
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "date": now(),
        }
        array = vector.detach().float().cpu().numpy()
        return TaskEmbedding(array, name, of, self.space, self.seed, kind, provenance)


def _counted(told: Told, total: int) -> Callable[[int], None]:
    """Something to be told how many more are done, which tells how many of how many are."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        told(done, total)

    return add
