"""What a method's vectors are calibrated with: a short chain of steps, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from oneword.errors import MethodError, nearest_names

if TYPE_CHECKING:
    from oneword.calibration.statistics import Statistics

Fitted = Literal["prompts", "combined"]
FITTED: tuple[str, ...] = get_args(Fitted)

# What each step's number is; None where it takes none
_NUMBERS = {
    "center": None,
    "standardize": None,
    "remove_components": "how many components",
    "principal_components": "how many dimensions",
    "whiten": "how many dimensions",
}
REDUCING = ("principal_components", "whiten")

StepLike: TypeAlias = "Step | str | Mapping[str, int]"


@dataclass(frozen=True)
class Step:
    """One step of a calibration; each begins by subtracting the mean of what it is given.

    Args:
        kind: ``"center"``: nothing more; ``"standardize"``: divides each dimension by its standard deviation;
            ``"remove_components"``: takes away what lies along the largest principal components (Mu and Viswanath,
            All-but-the-Top, 2018); ``"principal_components"``: keeps their coordinates alone; ``"whiten"``: likewise,
            each divided by its standard deviation (Su et al., Whitening Sentence Representations, 2021).
        size: how many components, or dimensions; None of ``"whiten"`` keeps as many as the vectors have.

    Raises:
        MethodError: an unknown kind, or a number that it does not take.
    """

    kind: str
    size: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _NUMBERS:
            raise MethodError(f"calibration: unknown step '{self.kind}' ({nearest_names(self.kind, _NUMBERS)})")
        number = _NUMBERS[self.kind]
        if number is None and self.size is not None:
            raise MethodError(f"calibration: {self.kind} takes no number, but {self.size!r} was given")
        if number is not None and self.size is None and self.kind != "whiten":
            raise MethodError(f"calibration: {self.kind} needs {number}, as in {{{self.kind} = 5}}")
        whole = isinstance(self.size, int) and not isinstance(self.size, bool)
        if self.size is not None and (not whole or self.size < 1):
            raise MethodError(f"calibration: {self.kind} needs a whole number from 1 up, not {self.size!r}")

    def __str__(self) -> str:
        return self.kind if self.size is None else f"{self.kind}={self.size}"

    @property
    def plain(self) -> str | dict[str, int]:
        """As files have it: ``"standardize"``, ``{"remove_components": 5}``."""
        return self.kind if self.size is None else {self.kind: self.size}

    @property
    def reduces(self) -> bool:
        """Whether it gives coordinates of its own, so that vectors of several prompts cannot be averaged behind it."""
        return self.kind in REDUCING

    @classmethod
    def of(cls, step: StepLike) -> Step:
        """A step as files, callers and command lines write it: ``"remove_components=5"`` is taken too.

        Raises:
            MethodError: it is none.
        """
        if isinstance(step, Step):
            return step
        if isinstance(step, str):
            kind, equals, number = (part.strip() for part in step.partition("="))
            if equals and not number.isdecimal():
                raise MethodError(f"calibration: '{step}' is no step; give a whole number, as in {kind}=5")
            return cls(kind, int(number) if equals else None)
        if isinstance(step, Mapping) and len(step) == 1:
            return cls(*next(iter(step.items())))
        raise MethodError(f"calibration: {step!r} is no step; write 'standardize' or {{remove_components = 5}}")


# docs/calibration.md has it beside others
DEFAULT_STEPS = (Step("standardize"),)


@dataclass(frozen=True)
class Calibration:
    """A chain of steps, each fitted on what those before it give for some unlabeled texts.

    Args:
        steps: the chain: ``"center"``, ``"standardize"``, ``{"remove_components": n}``,
            ``{"principal_components": n}``, ``"whiten"`` or ``{"whiten": n}``; see :class:`Step`.
        fitted: ``"prompts"``: on each prompt's vectors before they are combined, from the first step on that reduces
            dimensions on the combined ones; ``"combined"``: all steps on the combined vectors.
        texts: digest of the texts that the statistics are of; empty means the pool that comes with oneword.
        statistics: what was fitted, or the file that holds it; None: the pool's, shipped or made when first needed.

    Raises:
        MethodError: no steps, or one that there is not.
    """

    steps: Sequence[StepLike]
    fitted: Fitted = "prompts"
    texts: str = ""
    statistics: Statistics | Path | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        given = [self.steps] if isinstance(self.steps, (str, Step, Mapping)) else self.steps
        if not isinstance(given, (list, tuple)) or not given:
            raise MethodError("calibration: steps must be a list of at least one, as in ['standardize']")
        object.__setattr__(self, "steps", tuple(map(Step.of, given)))
        if self.fitted not in FITTED:
            raise MethodError(f"calibration: fitted {self.fitted!r} is not one of: {', '.join(FITTED)}")
        if not isinstance(self.texts, str):
            raise MethodError(f"calibration: texts must be the digest of some, not {self.texts!r}")

    def __str__(self) -> str:
        return ", ".join(map(str, self.chain))

    @property
    def chain(self) -> tuple[Step, ...]:
        """The steps."""
        return tuple(map(Step.of, self.steps))

    @property
    def before(self) -> tuple[Step, ...]:
        """The steps that each prompt's vectors go through before they are combined."""
        kept = tuple(takewhile(lambda step: not step.reduces, self.chain))
        return kept if self.fitted == "prompts" else ()

    @property
    def after(self) -> tuple[Step, ...]:
        """The steps that the combined vectors go through."""
        return self.chain[len(self.before) :]

    @property
    def on_pool(self) -> bool:
        """Whether it is fitted on the pool that comes with oneword."""
        from oneword.shipped_pool import pool_digest

        return self.texts_digest == pool_digest()

    @property
    def texts_digest(self) -> str:
        """Digest of the texts, the pool's too."""
        from oneword.shipped_pool import pool_digest

        return self.texts or pool_digest()

    @property
    def recipe(self) -> list[Any]:
        """All that changes the vectors, the model apart."""
        return [[step.plain for step in self.chain], self.fitted, self.texts_digest]

    @property
    def digest(self) -> str:
        """Eight hex digits of :attr:`recipe`."""
        return hashlib.sha256(json.dumps(self.recipe).encode()).hexdigest()[:8]

    def dimension(self, size: int) -> int:
        """How many dimensions vectors of that many have afterwards."""
        for step in self.chain:
            if step.reduces and step.size is not None:
                size = step.size
        return size
