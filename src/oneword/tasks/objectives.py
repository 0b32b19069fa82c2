"""What a model is tuned to say about rows of tokens, and how unlikely it finds that: the negative log-likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from oneword.errors import InputError
from oneword.tasks.dataset import Dataset
from oneword.tasks.predictor import Answers
from oneword.tasks.trainable import TokenRow, TrainableModel, of_mean_square_1


class Head(torch.nn.Module):
    """A linear layer that begins with zeros: no direction, no order of classes is given before the data speak.

    Args:
        dimension: of the states.
        outputs: how many numbers it gives for a state.
    """

    def __init__(self, dimension: int, outputs: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(dimension, outputs)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., d) to (..., outputs)."""
        answer: torch.Tensor = self.linear(states)
        return answer


Targets = tuple[torch.Tensor, ...]


class Objective(Protocol):
    """What the rows of one task should make the model say."""

    head: Head | None

    def targets(self, rows: Sequence[int], length: int) -> Targets:
        """What these rows should give: tensors with an entry a row; ``length`` is that of the rows, padded."""

    def losses(
        self, model: TrainableModel, states: torch.Tensor, mask: torch.Tensor | None, targets: Targets
    ) -> torch.Tensor:
        """The negative log-likelihood of each row (b,), from their last states (b, n, d)."""

    def size(self, row: int) -> int:
        """Besides the row's length, what must be equal in rows that are computed as one array without padding."""


class ClassObjective:
    """Classes, or probabilities of classes: cross-entropy.

    Args:
        model: whose states are read.
        probabilities: (n, classes), each row adding up to 1.
    """

    def __init__(self, model: TrainableModel, probabilities: torch.Tensor) -> None:
        self._targets = probabilities.float().to(model.device)
        self.head: Head | None = Head(model.dimension, self._targets.shape[1]).to(model.device)

    def targets(self, rows: Sequence[int], length: int) -> Targets:
        """See :class:`Objective`."""
        return (self._targets[list(rows)],)

    def losses(
        self, model: TrainableModel, states: torch.Tensor, mask: torch.Tensor | None, targets: Targets
    ) -> torch.Tensor:
        """See :class:`Objective`."""
        assert self.head is not None
        scores = self.head(model.pooled(states, mask)).log_softmax(-1)
        losses: torch.Tensor = -(targets[0] * scores).sum(-1)
        return losses

    def size(self, row: int) -> int:
        """See :class:`Objective`."""
        return 0


class NumberObjective:
    """Numbers, standardized over all rows: half the squared error, a Gaussian's negative log-likelihood.

    Args:
        model: whose states are read.
        values: (n,) or (n, k).

    Raises:
        InputError: numbers that are all the same.
    """

    def __init__(self, model: TrainableModel, values: torch.Tensor) -> None:
        values = values.double().reshape(len(values), -1)
        self.mean, self.scale = values.mean(0), values.std(0, unbiased=False)
        if not (self.scale > 0).any():
            raise InputError("all numbers are the same; there is nothing to learn")
        self.scale = self.scale.clamp_min(1e-12)
        self._targets = ((values - self.mean) / self.scale).float().to(model.device)
        self.head: Head | None = Head(model.dimension, values.shape[1]).to(model.device)

    def targets(self, rows: Sequence[int], length: int) -> Targets:
        """See :class:`Objective`."""
        return (self._targets[list(rows)],)

    def losses(
        self, model: TrainableModel, states: torch.Tensor, mask: torch.Tensor | None, targets: Targets
    ) -> torch.Tensor:
        """See :class:`Objective`."""
        assert self.head is not None
        wrong: torch.Tensor = self.head(model.pooled(states, mask)) - targets[0]
        return wrong.square().mean(-1) / 2

    def size(self, row: int) -> int:
        """See :class:`Objective`."""
        return 0


class SpanObjective:
    """The first and the last token of an answer in its context: two cross-entropies over the context's tokens.

    Args:
        model: whose states are read.
        rows: tokenized with places.
        spans: of each row the answer's characters in the context.

    Raises:
        InputError: no answer is in what is left of its context.
    """

    def __init__(self, model: TrainableModel, rows: Sequence[TokenRow], spans: Sequence[tuple[int, int]]) -> None:
        found = [_token_span(row, span) for row, span in zip(rows, spans)]
        self.usable = [row for row, span in enumerate(found) if span is not None]
        if not self.usable:
            raise InputError("no answer lies in the part of its context that fits; give a longer --max-length")
        self._spans = torch.tensor([span or (0, 0) for span in found]).to(model.device)
        self._contexts = [[place is not None for place in row.places] for row in rows]
        self.head: Head | None = Head(model.dimension, 2).to(model.device)

    def targets(self, rows: Sequence[int], length: int) -> Targets:
        """See :class:`Objective`."""
        context = [[*self._contexts[row], *[False] * (length - len(self._contexts[row]))] for row in rows]
        return self._spans[list(rows)], torch.tensor(context, device=self._spans.device)

    def losses(
        self, model: TrainableModel, states: torch.Tensor, mask: torch.Tensor | None, targets: Targets
    ) -> torch.Tensor:
        """See :class:`Objective`."""
        assert self.head is not None
        spans, context = targets
        scores = self.head(of_mean_square_1(states)).masked_fill(~context[..., None], -1e4)
        chances = scores.log_softmax(1)  # over tokens
        losses: torch.Tensor = -chances.gather(1, spans[:, None, :])[:, 0].sum(-1)
        return losses

    def size(self, row: int) -> int:
        """See :class:`Objective`."""
        return 0


class TextObjective:
    """Free text: the loss of an encoder-decoder's own decoder, the mean over the tokens of the text.

    Args:
        model: an encoder-decoder.
        texts: what each row should be answered with.
        max_length: the most tokens of a text.
    """

    head: Head | None = None

    def __init__(self, model: TrainableModel, texts: Sequence[str], max_length: int) -> None:
        self._model = model
        found = model.tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
        self._ids = [tuple(ids) or (model.tokenizer.eos_token_id,) for ids in found]

    def targets(self, rows: Sequence[int], length: int) -> Targets:
        """See :class:`Objective`."""
        ids, kept = self._model.padded([self._ids[row] for row in rows])
        return (ids.masked_fill(kept == 0, -100),)

    def losses(
        self, model: TrainableModel, states: torch.Tensor, mask: torch.Tensor | None, targets: Targets
    ) -> torch.Tensor:
        """See :class:`Objective`."""
        labels = targets[0]
        logits = model.language_model(encoder_outputs=(states,), attention_mask=mask, labels=labels).logits
        losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=-100)
        return losses.sum(1) / (labels != -100).sum(1)

    def size(self, row: int) -> int:
        """See :class:`Objective`."""
        return len(self._ids[row])


def dataset_objective(model: TrainableModel, dataset: Dataset, max_length: int) -> tuple[list[TokenRow], Objective]:
    """A dataset's rows in tokens, and what they should make the model say."""
    spans = dataset.kind == "span"
    rows = model.tokenize(dataset.texts, dataset.text_pairs, max_length, places=spans)
    if spans:
        return _answerable(model, rows, dataset.labels)
    if dataset.kind == "regression":
        return rows, NumberObjective(model, torch.tensor(dataset.labels, dtype=torch.float64))
    places = {label: place for place, label in enumerate(dataset.classes)}
    classes = torch.tensor([places[label] for label in dataset.labels])
    return rows, ClassObjective(model, functional.one_hot(classes, len(places)))


def answers_objective(
    model: TrainableModel,
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    answers: Answers,
    max_length: int,
) -> tuple[list[TokenRow], Objective]:
    """Unlabeled texts in tokens, and a predictor's answers to them as what they should make the model say.

    Free text is told by the decoder of an encoder-decoder; of other models, the frozen model's own pooled state of the
    answer is what they regress on.
    """
    spans = answers.kind == "spans"
    rows = model.tokenize(texts, text_pairs, max_length, places=spans)
    if spans:
        return _answerable(model, rows, [(int(start), int(end)) for start, end in np.asarray(answers.values)])
    if answers.kind == "strings":
        written = [text if str(text).strip() else "." for text in answers.values]
        if model.seq2seq:
            return rows, TextObjective(model, written, max_length)
        return rows, NumberObjective(model, pooled_states(model, model.tokenize(written, None, max_length)))
    values = torch.tensor(np.asarray(answers.values))
    if answers.kind == "numbers":
        return rows, NumberObjective(model, values)
    return rows, ClassObjective(model, values)


@torch.no_grad()
def pooled_states(model: TrainableModel, rows: Sequence[TokenRow], batch: int = 32) -> torch.Tensor:
    """The pooled state of every row, as the model is: float32 (n, d)."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row].ids))
    found = torch.empty(len(rows), model.dimension)
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        ids, mask = model.padded([rows[row].ids for row in some])
        found[some] = model.pooled(model.states(ids, mask), mask).cpu()
    return found


def _answerable(
    model: TrainableModel, rows: list[TokenRow], spans: Sequence[tuple[int, int]]
) -> tuple[list[TokenRow], Objective]:
    """Rows whose answer is in what is left of their context."""
    usable = SpanObjective(model, rows, spans).usable
    rows = [rows[row] for row in usable]
    return rows, SpanObjective(model, rows, [spans[row] for row in usable])


def _token_span(row: TokenRow, span: tuple[int, int]) -> tuple[int, int] | None:
    """The first and last token of an answer, or None where it is cut off."""
    within = [
        token
        for token, place in enumerate(row.places)
        if place is not None and place[0] < span[1] and place[1] > span[0]
    ]
    if not within:
        return None
    last = row.places[within[-1]]
    return (within[0], within[-1]) if last is not None and last[1] >= span[1] else None
