"""The tuning loop: AdamW with a linear decay, early stopping on a held-out part, and a place to go on from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneword.errors import InputError, ModelError
from oneword.tasks.objectives import Objective
from oneword.tasks.trainable import TokenRow, TrainableModel

_FEWEST = 5  # updates before an evaluation: the first leave what is tuned where it was, since the head is zeros
_WINDOW = 8  # batches whose rows are sorted by length together


@dataclass(frozen=True)
class Tuning:
    """How a model is tuned.

    Args:
        learning_rate: of the tuned parameters, at the first step; it falls to 0 along a line.
        head_learning_rate: of the head, which begins with zeros.
        batch: rows a step.
        steps: the most updates; ``epochs`` stands in its place where it is given.
        epochs: the most passes over the rows.
        patience: evaluations on the held-out part without improvement after which tuning ends; None holds nothing out
            and takes the last state.
        held_out: share of the rows that are held out.
        max_length: tokens after which a text is cut.
    """

    learning_rate: float
    head_learning_rate: float = 5e-3
    batch: int = 32
    steps: int = 100
    epochs: float | None = None
    patience: int | None = None
    held_out: float = 0.1
    max_length: int = 128

    def __post_init__(self) -> None:
        for field in ("learning_rate", "head_learning_rate", "batch", "steps", "epochs", "patience", "max_length"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{field} must be a number above 0, not {value}")
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out must be between 0 and 1, not {self.held_out}")

    def updates(self, rows: int) -> int:
        """How many updates that is at the most for so many rows."""
        return self.steps if self.epochs is None else max(1, math.ceil(self.epochs * rows / self.batch))


@dataclass(frozen=True)
class Tuned:
    """How a tuning went.

    Args:
        losses: the mean negative log-likelihood of each step's batch.
        held_out: the same of the held-out part, at each evaluation.
        updates: how many updates were made.
    """

    losses: tuple[float, ...]
    held_out: tuple[float, ...]
    updates: int


def tune(
    model: TrainableModel,
    parameters: Mapping[str, torch.nn.Parameter],
    rows: Sequence[TokenRow],
    objective: Objective,
    tuning: Tuning,
    seed: int,
    *,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
    checkpoint: Path | None = None,
    on_update: Callable[[int, int], object] = lambda done, total: None,
) -> Tuned:
    """Tune parameters, and the objective's head, until the rows say what they should.

    No dropout: the outcome depends on the rows, the seed and the number of threads alone.

    Args:
        model: the model.
        parameters: what is tuned; they are changed in place.
        rows: the texts in tokens.
        objective: what they should make the model say; its head is changed in place.
        tuning: how.
        seed: of the order of the rows, and of what is held out.
        within: what must be open during a pass, as for a prefix.
        checkpoint: a file to go on from, written at each evaluation; it is the caller's to remove.
        on_update: told how many of how many updates are done; of those that are not made, that they are at the end.

    Raises:
        ModelError: the loss is not a number.
    """
    trained, held = _split(len(rows), tuning, seed)
    updates = tuning.updates(len(trained))
    every = max(_FEWEST, math.ceil(len(trained) / tuning.batch) if tuning.epochs else updates // 10)
    run = _Run(dict(parameters), objective, tuning, updates)
    if checkpoint is not None and checkpoint.is_file():
        run.load(checkpoint)
    on_update(run.done, updates)
    batches = itertools.islice(_batches(trained, rows, tuning.batch, seed), run.done, updates)
    for batch in batches:
        if run.exhausted:
            break
        with within():
            loss = _loss(model, rows, objective, batch)
        run.update(loss, model.name)
        on_update(run.done, updates)
        if run.done % every == 0 or run.done == updates:
            if held and tuning.patience is not None:
                with within():
                    run.judge(_held_out_loss(model, rows, objective, held, tuning.batch))
            if checkpoint is not None:
                run.save(checkpoint)
    on_update(updates, updates)
    run.take_best()
    return Tuned(tuple(run.losses), tuple(run.held_out), run.done)


class _Run:
    """A tuning under way: all that a checkpoint holds."""

    def __init__(
        self, parameters: dict[str, torch.nn.Parameter], objective: Objective, tuning: Tuning, updates: int
    ) -> None:
        head = {} if objective.head is None else {f"head.{n}": p for n, p in objective.head.named_parameters()}
        self._parameters = {**parameters, **head}
        self._tuning, self._updates = tuning, updates
        groups = [{"params": list(parameters.values()), "lr": tuning.learning_rate}]
        if head:
            groups.append({"params": list(head.values()), "lr": tuning.head_learning_rate})
        self._optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._best: dict[str, torch.Tensor] | None = None
        self.losses: list[float] = []
        self.held_out: list[float] = []

    @property
    def done(self) -> int:
        """Updates made."""
        return len(self.losses)

    @property
    def exhausted(self) -> bool:
        """Whether the held-out part has not improved for as long as there is patience."""
        patience = self._tuning.patience
        if patience is None or not self.held_out:
            return False
        return len(self.held_out) - 1 - _best_place(self.held_out) >= patience

    def update(self, loss: torch.Tensor, name: str) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates):
            group["lr"] = rate * (1 - self.done / self._updates)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(f"tuning {name} diverged at update {self.done + 1}: give a lower learning rate")
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        self._optimizer.step()
        self.losses.append(value)

    def judge(self, loss: float) -> None:
        self.held_out.append(loss)
        if _best_place(self.held_out) == len(self.held_out) - 1:
            self._best = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    @torch.no_grad()
    def take_best(self) -> None:
        for name, value in (self._best or {}).items():
            self._parameters[name].copy_(value)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        state = {
            "parameters": {name: parameter.detach() for name, parameter in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
            "losses": self.losses,
            "held_out": self.held_out,
        }
        torch.save(state, unfinished)
        unfinished.replace(path)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except Exception:  # a broken file fails in any way; begin anew
            return
        for name, value in state["parameters"].items():
            self._parameters[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self._best, self.losses, self.held_out = state["best"], state["losses"], state["held_out"]


def _best_place(losses: Sequence[float]) -> int:
    return min(range(len(losses)), key=losses.__getitem__)


def _split(count: int, tuning: Tuning, seed: int) -> tuple[list[int], list[int]]:
    """Rows that are trained on, and those that are held out."""
    if tuning.patience is None or count < 10:
        return list(range(count)), []
    order = np.random.default_rng([seed, 0]).permutation(count).tolist()
    held = max(1, round(tuning.held_out * count))
    return sorted(order[held:]), sorted(order[:held])


def _batches(trained: Sequence[int], rows: Sequence[TokenRow], size: int, seed: int) -> Iterator[list[int]]:
    """Batches without end: every pass in an order of its own, rows of like length together within a few batches."""
    for epoch in itertools.count(1):
        generator = np.random.default_rng([seed, epoch])
        order = [trained[place] for place in generator.permutation(len(trained))]
        found: list[list[int]] = []
        for start in range(0, len(order), _WINDOW * size):
            window = sorted(order[start : start + _WINDOW * size], key=lambda row: len(rows[row].ids))
            found += [window[begin : begin + size] for begin in range(0, len(window), size)]
        for place in generator.permutation(len(found)):
            yield found[place]


def _loss(model: TrainableModel, rows: Sequence[TokenRow], objective: Objective, batch: Sequence[int]) -> torch.Tensor:
    ids, mask = model.padded([rows[row].ids for row in batch])
    return objective.losses(model, model.states(ids, mask), mask, objective.targets(batch, ids.shape[1])).mean()


@torch.no_grad()
def _held_out_loss(
    model: TrainableModel, rows: Sequence[TokenRow], objective: Objective, held: Sequence[int], batch: int
) -> float:
    ordered = sorted(held, key=lambda row: len(rows[row].ids))
    pieces = [ordered[start : start + batch] for start in range(0, len(ordered), batch)]
    return sum(float(_loss(model, rows, objective, piece)) * len(piece) for piece in pieces) / len(held)
