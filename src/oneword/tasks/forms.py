"""The forms of a task embedding: what is tuned, and what vector that gives.

A form starts every task from the same point, and the vector is what tuning made of it: for ``taskemb`` the Fisher
information of the tuned blocks, for the others the difference to the start.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from oneword.errors import InputError, ModelError, nearest_names
from oneword.extras import check_extra
from oneword.tasks.fisher import fisher_diagonal
from oneword.tasks.objectives import Objective
from oneword.tasks.trainable import TokenRow, TrainableModel, restored

_START = 20240803  # seeds the starting points, which are part of a form: the same for all tasks and seeds


@dataclass
class Tunable:
    """What is tuned, while a form is open.

    Args:
        parameters: the tuned parameters by name.
        within: what must be open during a pass.
        vector: gives the task embedding (d,) of the tuned parameters, from the rows and the objective.
    """

    parameters: dict[str, torch.nn.Parameter]
    vector: Callable[[Sequence[TokenRow], Objective, Callable[[int], object]], torch.Tensor]
    within: Callable[[], AbstractContextManager[None]] = nullcontext


class Form(Protocol):
    """One form; its fields are its choices."""

    name: ClassVar[str]

    @property
    def space(self) -> str:
        """Names the form and its choices: what vectors must share to be compared."""

    def tuning(self, model: TrainableModel) -> AbstractContextManager[Tunable]:
        """Open a model for tuning; after it the model is, to the bit, what it was.

        Raises:
            ModelError: the model does not have what the form tunes.
        """


@dataclass(frozen=True)
class TaskEmb:
    """The diagonal of the empirical Fisher information of the blocks' parameters, after fine-tuning them.

    Args:
        parameters: which of the blocks' parameters are in the vector, as patterns over their names in the blocks (as in
            ``*attention*``); all are tuned.
        log: take the logarithm, which keeps a few large entries from deciding the cosine.

    Source: Vu et al. (EMNLP 2020), section 3; FUTE, section 3.
    """

    parameters: tuple[str, ...] = ("*",)
    log: bool = False
    name: ClassVar[str] = "taskemb"

    @property
    def space(self) -> str:
        """See :class:`Form`."""
        chosen = "" if self.parameters == ("*",) else f"({','.join(self.parameters)})"
        return f"taskemb{chosen}{'-log' if self.log else ''}"

    @contextmanager
    def tuning(self, model: TrainableModel) -> Iterator[Tunable]:
        """See :class:`Form`."""
        tuned = model.block_parameters()
        chosen = {
            name: parameter
            for name, parameter in tuned.items()
            if any(fnmatch.fnmatchcase(name.removeprefix("blocks."), pattern) for pattern in self.parameters)
        }
        if not chosen:
            raise ModelError(
                f"{model.name} has no parameters like {', '.join(self.parameters)} in its blocks; its names are like "
                f"'{next(iter(tuned)).removeprefix('blocks.')}'"
            )

        def vector(rows: Sequence[TokenRow], objective: Objective, on_rows: Callable[[int], object]) -> torch.Tensor:
            squares = fisher_diagonal(model, chosen, rows, objective, on_rows)
            flat = torch.cat([square.flatten() for square in squares.values()])
            # The smallest normal number stands for entries that are 0
            return flat.clamp_min(torch.finfo(flat.dtype).tiny).log() if self.log else _of_norm_1(flat)

        with restored(tuned):
            yield Tunable(tuned, vector)


@dataclass(frozen=True)
class TuPaTE:
    """Tuned attention prefixes of a frozen model, averaged over its blocks.

    Args:
        positions: length of the prefix.

    Source: Zhou et al. (EMNLP 2022); FUTE, section 3.
    """

    positions: int = 16
    name: ClassVar[str] = "tupate"

    @property
    def space(self) -> str:
        """See :class:`Form`."""
        return f"tupate-{self.positions}"

    @contextmanager
    def tuning(self, model: TrainableModel) -> Iterator[Tunable]:
        """See :class:`Form`."""
        if model.prefix_shape is None:
            raise ModelError(
                f"{model.name} has no attention that takes a prefix in every block, so it cannot be tuned as tupate; "
                "choose another surrogate, or the form taskemb, bitfit or lora"
            )
        shape = (model.depth, 2, model.prefix_shape.heads, self.positions, model.prefix_shape.size)
        start = (0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(_START))).to(model.device)
        prefix = torch.nn.Parameter(start.clone())

        def vector(rows: object, objective: object, on_rows: object) -> torch.Tensor:
            return (prefix.detach() - start).mean(0).flatten()

        yield Tunable({"prefix": prefix}, vector, lambda: model.with_prefix(prefix))


@dataclass(frozen=True)
class BitFit:
    """What fine-tuning only the biases of the blocks adds to them.

    Source: Ben Zaken et al. (ACL 2022).
    """

    name: ClassVar[str] = "bitfit"

    @property
    def space(self) -> str:
        """See :class:`Form`."""
        return "bitfit"

    @contextmanager
    def tuning(self, model: TrainableModel) -> Iterator[Tunable]:
        """See :class:`Form`."""
        biases = {name: p for name, p in model.block_parameters().items() if name.endswith("bias")}
        if not biases:
            raise ModelError(
                f"{model.name} has no biases in its blocks, so it cannot be tuned as bitfit; choose the form tupate, "
                "taskemb or lora"
            )
        start = {name: bias.detach().clone() for name, bias in biases.items()}

        def vector(rows: object, objective: object, on_rows: object) -> torch.Tensor:
            return torch.cat([(bias.detach() - start[name]).flatten() for name, bias in biases.items()])

        with restored(biases):
            yield Tunable(biases, vector)


@dataclass(frozen=True)
class LoRA:
    """What fine-tuning low-rank additions to the blocks' linear layers adds to their factors (peft).

    Args:
        rank: of the additions.

    Source: Hu et al. (ICLR 2022).
    """

    rank: int = 8
    name: ClassVar[str] = "lora"

    @property
    def space(self) -> str:
        """See :class:`Form`."""
        return f"lora-{self.rank}"

    @contextmanager
    def tuning(self, model: TrainableModel) -> Iterator[Tunable]:
        """See :class:`Form`."""
        check_extra("tasks", "peft", "task embeddings of the form lora")
        from peft import LoraConfig, get_peft_model

        targets = _linear_layers(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_START)
            config = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, lora_dropout=0.0, target_modules=targets)
            try:
                with warnings.catch_warnings():  # peft's, about transformers' deprecations and GPT-2's layout
                    warnings.simplefilter("ignore")
                    wrapped: Any = get_peft_model(model.model, config)
            except ValueError as error:
                raise ModelError(f"{model.name} cannot be tuned as lora: {str(error).splitlines()[0]}") from None
        try:
            factors = {name: p for name, p in wrapped.named_parameters() if "lora_" in name}
            start = {name: factor.detach().clone() for name, factor in factors.items()}

            def vector(rows: object, objective: object, on_rows: object) -> torch.Tensor:
                return torch.cat([(factor.detach() - start[name]).flatten() for name, factor in factors.items()])

            yield Tunable(factors, vector)
        finally:
            wrapped.unload()
            model.model.requires_grad_(False)


FORMS: dict[str, type[Form]] = {form.name: form for form in (TaskEmb, TuPaTE, BitFit, LoRA)}


def find_form(form: str | Form) -> Form:
    """A form by its name, with its usual choices.

    Raises:
        InputError: no such form.
    """
    if not isinstance(form, str):
        return form
    if form.lower() not in FORMS:
        raise InputError(f"unknown form '{form}' ({nearest_names(form, FORMS)})")
    return FORMS[form.lower()]()


def _of_norm_1(vector: torch.Tensor) -> torch.Tensor:
    """The vector with norm 1, whatever it was; zeros stay zeros."""
    largest = vector.max()
    return vector / largest / (vector / largest).norm() if largest > 0 else vector


def _linear_layers(model: TrainableModel) -> list[str]:
    """The full names of the linear layers inside the blocks."""
    inside = {id(module) for module in model.blocks.modules()}
    names = [
        name
        for name, module in model.model.named_modules()
        if id(module) in inside and (isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D")
    ]
    if not names:
        raise ModelError(f"{model.name} has no linear layers in its blocks, so it cannot be tuned as lora")
    return names
