"""Models fine-tuned on one dataset: what the transfer experiment transfers from, and what it measures."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from oneword.errors import InputError
from oneword.evaluation.intervals import spearman
from oneword.tasks.dataset import Dataset, Span
from oneword.tasks.objectives import Head, NumberObjective, Objective, dataset_objective
from oneword.tasks.predictors.question_answering import best_span
from oneword.tasks.trainable import TokenRow, TrainableModel, of_mean_square_1, restored
from oneword.tasks.tuning import Tuning, tune
from oneword.whole_file import write_whole

_BATCH = 64
_LONGEST_ANSWER = 30  # tokens

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class FineTuned:
    """A model's blocks and head after fine-tuning on a dataset.

    Args:
        dataset: what it was trained on.
        kind: of task.
        classes: of a classification.
        pairs: whether it takes pairs of texts.
        max_length: tokens after which a text is cut.
        scale: mean and spread that turn a regression's outputs into numbers.
        losses: of each step.
        weights: of the blocks, and of the head under ``head.``.
    """

    dataset: str
    kind: str
    classes: tuple[str, ...]
    pairs: bool
    max_length: int
    scale: tuple[float, float]
    losses: tuple[float, ...]
    weights: Weights

    def save(self, path: Path) -> None:
        """Write it as safetensors; the file appears when it is whole."""
        fields = {field.name: getattr(self, field.name) for field in dataclass_fields(self) if field.name != "weights"}
        write_whole(path, save(self.weights, {"fine_tuned": json.dumps(fields)}))

    @classmethod
    def load(cls, path: Path) -> FineTuned:
        """Read what :meth:`save` wrote."""
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            fields: dict[str, Any] = json.loads(file.metadata()["fine_tuned"])
        for name in ("classes", "scale", "losses"):
            fields[name] = tuple(fields[name])
        return cls(**fields, weights=load_file(path))


def fine_tune(
    model: TrainableModel,
    dataset: Dataset,
    tuning: Tuning,
    seed: int,
    start: Weights | None = None,
    checkpoint: Path | None = None,
) -> FineTuned:
    """Fine-tune all blocks, with a new head, on a dataset; the model itself is left as it was.

    Args:
        model: the pretrained model.
        dataset: texts and labels.
        tuning: how.
        seed: of the order of the texts.
        start: weights of the blocks to begin from; None takes the pretrained ones.
        checkpoint: a file to go on from, removed at the end.
    """
    dataset.check_learnable()
    rows, objective = dataset_objective(model, dataset, tuning.max_length)
    parameters = model.block_parameters()
    with _holding(model, start):
        went = tune(model, parameters, rows, objective, tuning, seed, checkpoint=checkpoint)
        weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    assert objective.head is not None
    weights |= {f"head.{name}": value.detach().clone() for name, value in objective.head.named_parameters()}
    return FineTuned(
        dataset=dataset.name,
        kind=dataset.kind,
        classes=dataset.classes,
        pairs=dataset.text_pairs is not None,
        max_length=tuning.max_length,
        scale=_scale(objective),
        losses=went.losses,
        weights=weights,
    )


class FineTunedPredictor:
    """A fine-tuned model as a predictor.

    Args:
        model: the pretrained model; it is lent its weights for each call.
        tuned: what fine-tuning made of it.
    """

    def __init__(self, model: TrainableModel, tuned: FineTuned) -> None:
        self._model, self._tuned = model, tuned
        self.name = f"{model.name} on {tuned.dataset}"
        self.model_name, self.trained_on = model.name, tuned.dataset
        self.classes = tuned.classes or None
        self.takes_pairs = tuned.pairs
        self.piece = 4096  # its weights are lent once

    @cached_property
    def fingerprint(self) -> str:
        """Names the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self._tuned.weights.items()):
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Any:
        """Probabilities (n, classes), numbers (n,), or spans of the second texts."""
        model, tuned = self._model, self._tuned
        if tuned.pairs != (text_pairs is not None):
            needed = "pairs of texts" if tuned.pairs else "single texts"
            raise InputError(f"{self.name} takes {needed}; give it those")
        rows = model.tokenize(texts, text_pairs, tuned.max_length, places=tuned.kind == "span")
        head = Head(model.dimension, len(tuned.weights["head.linear.bias"])).to(model.device)
        head.load_state_dict({name[5:]: value for name, value in tuned.weights.items() if name.startswith("head.")})
        found: list[Any] = [None] * len(rows)
        with _holding(model, tuned.weights):
            for some in _batches(rows):
                ids, mask = model.padded([rows[row].ids for row in some])
                answers = self._answers(head, model.states(ids, mask), mask, [rows[row] for row in some])
                for row, answer in zip(some, answers):
                    found[row] = answer
        return found if tuned.kind == "span" else np.array(found)

    def _answers(self, head: Head, states: torch.Tensor, mask: torch.Tensor, rows: Sequence[TokenRow]) -> Sequence[Any]:
        kind = self._tuned.kind
        if kind == "span":
            each = head(of_mean_square_1(states)).double().cpu().numpy()
            return [_answer(row, scores) for row, scores in zip(rows, each)]
        outputs = head(self._model.pooled(states, mask)).double().cpu()
        if kind == "classification":
            probabilities: list[Any] = outputs.softmax(-1).tolist()
            return probabilities
        mean, spread = self._tuned.scale
        numbers: list[Any] = (outputs[:, 0] * spread + mean).tolist()
        return numbers


def score(predictor: FineTunedPredictor, test: Dataset) -> float:
    """In percent: accuracy, of a regression Spearman's correlation, of spans the F1 of their words."""
    answers = predictor.predict(test.texts, test.text_pairs)
    if test.kind == "regression":
        return 0.0 if len(set(answers)) == 1 else spearman(answers, test.labels)  # a constant ranks nothing
    if test.kind == "span":
        assert test.text_pairs is not None
        each = [_word_f1(*found) for found in zip(answers, test.labels, test.text_pairs)]
        return 100 * float(np.mean(each))
    classes = predictor.classes or ()
    correct = [classes[place] == label for place, label in zip(answers.argmax(-1), test.labels)]
    return 100 * float(np.mean(correct))


@contextmanager
def _holding(model: TrainableModel, weights: Weights | None) -> Iterator[None]:
    """Within the block the model's blocks have these weights."""
    parameters = model.block_parameters()
    with restored(parameters):
        if weights is not None:
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(weights[name])
        yield


def _batches(rows: Sequence[TokenRow]) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda row: len(rows[row].ids))
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


def _scale(objective: Objective) -> tuple[float, float]:
    if not isinstance(objective, NumberObjective):
        return 0.0, 1.0
    return float(objective.mean[0]), float(objective.scale[0])


def _answer(row: TokenRow, scores: NDArray[np.float64]) -> Span:
    """The likeliest answer in a row's context, from the scores (n, 2) of its tokens as the first and as the last."""
    held = np.array([place is not None for place in row.places])
    best = best_span(scores[:, 0], scores[:, 1], held, _LONGEST_ANSWER)
    start, end = (row.places[token] for token in best or (0, 0))
    return Span(start[0], end[1]) if start is not None and end is not None else Span(0, 0)


def _word_f1(found: Span, gold: Span, context: str) -> float:
    first, second = (Counter(context[slice(*span)].lower().split()) for span in (found, gold))
    shared = sum((first & second).values())
    if not shared:
        return 0.0
    precision, recall = shared / sum(first.values()), shared / sum(second.values())
    return 2 * precision * recall / (precision + recall)
