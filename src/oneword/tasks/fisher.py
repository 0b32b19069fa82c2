"""The diagonal of the empirical Fisher information: TaskEmb (Vu et al., EMNLP 2020), as FUTE uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch.func import functional_call, grad, vmap

from oneword.errors import ModelError
from oneword.tasks.objectives import Objective, Targets
from oneword.tasks.trainable import TokenRow, TrainableModel

_BYTES = 512 << 20  # of gradients that lie in memory together


@torch.no_grad()  # outside of what is differentiated: nothing is remembered for the head
def fisher_diagonal(
    model: TrainableModel,
    parameters: Mapping[str, torch.nn.Parameter],
    rows: Sequence[TokenRow],
    objective: Objective,
    on_rows: Callable[[int], object] = lambda rows: None,
) -> dict[str, torch.Tensor]:
    """The mean over rows of the squared gradient of each row's own log-likelihood.

    That is not the square of the batch's gradient, in which the gradients of different rows cancel. Rows of one length
    are computed as one array, without padding.

    Args:
        model: the model.
        parameters: of its blocks, by name, as ``TrainableModel.block_parameters`` has them.
        rows: the texts in tokens.
        objective: what they should make the model say.
        on_rows: told how many more rows are done.

    Returns:
        For each parameter a tensor of its shape.

    Raises:
        ModelError: the model computes something that has no gradients of single rows.
    """
    module = _RowLoss(model, objective)
    values = {name: parameter.detach() for name, parameter in parameters.items()}

    def loss(values: dict[str, torch.Tensor], ids: torch.Tensor, targets: Targets) -> torch.Tensor:
        answer: torch.Tensor = functional_call(module, values, (ids, targets))
        return answer

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    squares = {name: torch.zeros_like(value) for name, value in values.items()}
    together = max(1, _BYTES // (4 * sum(value.numel() for value in values.values())))
    for some in _of_one_size(rows, objective, together):
        ids = torch.tensor([rows[row].ids for row in some], device=model.device)
        try:
            found = gradients(values, ids, objective.targets(some, ids.shape[1]))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"{model.name} gives no gradients of single rows ({reason}), so it has no taskemb; choose another "
                "surrogate, or the form tupate, bitfit or lora"
            ) from None
        for name, gradient in found.items():
            squares[name] += gradient.square().sum(0)
        on_rows(len(some))
    return {name: square / len(rows) for name, square in squares.items()}


class _RowLoss(torch.nn.Module):
    """The loss of one row, as a module whose parameters are those of the model's blocks."""

    def __init__(self, model: TrainableModel, objective: Objective) -> None:
        super().__init__()
        self.blocks = model.blocks
        self._model, self._objective = (model,), (objective,)  # in tuples, so that their modules are not this one's

    def forward(self, ids: torch.Tensor, targets: Targets) -> torch.Tensor:
        """Of token ids (n,) and one row's targets."""
        model, objective = self._model[0], self._objective[0]
        # A mask of ones and not none: some models would look for padding in the ids, which vmap does not allow
        states = model.states(ids[None], torch.ones(1, len(ids), dtype=torch.long, device=ids.device))
        return objective.losses(model, states, None, tuple(target[None] for target in targets))[0]


def _of_one_size(rows: Sequence[TokenRow], objective: Objective, most: int) -> Iterator[list[int]]:
    """The rows in groups that need no padding."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[len(row.ids), objective.size(place)].append(place)
    for _, group in sorted(groups.items()):
        for start in range(0, len(group), most):
            yield group[start : start + most]
