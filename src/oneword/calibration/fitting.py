"""A calibration's steps fitted on vectors, each on what those before it give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from oneword.calibration.applying import Calibrator
from oneword.calibration.moments import Array, Moments
from oneword.calibration.recipe import Calibration, Step
from oneword.calibration.statistics import FittedStep, LayerStatistics
from oneword.combination import combine_answers
from oneword.errors import InputError
from oneword.method import Method

# A dimension is constant that varies less than float32 tells apart, or than the rounding of the covariance
_OF_MEAN, _OF_LARGEST = 1e-6, 1e-7
_NO_DIRECTION = 1e-10  # of the largest variance: what is less is rounding

# Every prompt's answers, (texts, layers, d), one after the other, for one section of texts after the other
Sections = Callable[[], Iterable[Iterable[torch.Tensor]]]


def check_enough(calibration: Calibration, texts: int, size: int, width: int, prompts: int = 1) -> None:
    """Refuse to fit on too few texts, before they are embedded.

    Args:
        calibration: what is to be fitted.
        texts: how many different ones there are.
        size: dimensions of one prompt's vector.
        width: of a combined one.
        prompts: how many are combined; directions that were removed from each are then not the same ones.

    Raises:
        InputError: with how many are needed; or more components than there are dimensions.
    """
    needed, taken = 2, 0
    for place, step in enumerate(calibration.chain):
        if place == len(calibration.before):
            size, taken = width, taken if prompts == 1 else 0
        left = size - taken
        asked = left if step.size is None else step.size
        if (step.reduces or step.kind == "remove_components") and asked > left:
            raise InputError(f"calibration: {step} of vectors of {left} dimensions; give at most {left}")
        if step.reduces:
            needed, size, taken = max(needed, taken + asked + 1), asked, 0
        elif step.kind == "remove_components":
            taken += asked
            needed = max(needed, taken + 1)
    if texts < needed:
        raise InputError(
            f"calibration: {calibration} needs at least {needed:,} different texts, but there are {texts:,}; give more "
            "texts, or ask for fewer components"
        )


def fit(calibration: Calibration, method: Method, layers: Sequence[int], sections: Sections) -> list[LayerStatistics]:
    """A calibration's statistics, a set for each layer.

    Args:
        calibration: the steps.
        method: says how prompts are combined.
        layers: those of the answers.
        sections: the texts' answers; gone through twice where steps stand before and after the combination.

    Raises:
        InputError: vectors that span too few directions.
    """
    prompts: list[list[tuple[FittedStep, ...]]] = [[] for _ in layers]
    if calibration.before:
        for place, gathered in enumerate(_gather(sections(), calibration.before)):
            prompts[place] = [fit_steps(calibration.before, moments) for moments in gathered]
    found = [LayerStatistics(tuple(chains)) for chains in prompts]
    if not calibration.after:
        return found
    calibrator = Calibrator(found)

    def combined() -> Iterator[list[torch.Tensor]]:
        for section in sections():
            yield [combine_answers(calibrator.prompts(section), method.combine, method.shares)]

    gathered_after = _gather(combined(), calibration.after)
    return [
        LayerStatistics(layer.prompts, fit_steps(calibration.after, moments[0]))
        for layer, moments in zip(found, gathered_after)
    ]


def fit_steps(steps: Sequence[Step], moments: Moments) -> tuple[FittedStep, ...]:
    """Each step fitted on what those before it make of the vectors; their moments say all that is needed.

    Raises:
        InputError: vectors that span too few directions.
    """
    mean, covariance = moments.mean, moments.covariance
    fitted = []
    for step in steps:
        scale = components = None
        if step.kind == "standardize":
            scale = _inverse_deviations(mean, covariance)
            covariance = covariance * scale**2 if covariance.ndim == 1 else covariance * np.outer(scale, scale)
        elif step.kind == "remove_components":
            assert step.size is not None
            components = _directions(covariance, step.size, step)[1]
            left = np.eye(len(mean)) - components.T @ components
            covariance = left @ covariance @ left
        elif step.reduces:
            variances, components = _directions(covariance, step.size or len(mean), step)
            if step.kind == "whiten":
                components = components / np.sqrt(variances)[:, None]
                variances = np.ones_like(variances)
            covariance = np.diag(variances)
        fitted.append(FittedStep(step.kind, mean, scale, components))
        mean = np.zeros(len(covariance))
    return tuple(fitted)


def _gather(sections: Iterable[Iterable[torch.Tensor]], steps: Sequence[Step]) -> list[list[Moments]]:
    """Moments of each layer's answers, prompt by prompt."""
    whole = any(step.kind not in ("center", "standardize") for step in steps)
    found: list[list[Moments]] = []
    for section in sections:
        for prompt, answer in enumerate(section):
            found = found or [[] for _ in range(answer.shape[1])]
            for layer, gathered in enumerate(found):
                if prompt == len(gathered):
                    gathered.append(Moments(answer.shape[2], whole))
                gathered[prompt].add(answer[:, layer].cpu().numpy())
    return found


def _inverse_deviations(mean: Array, covariance: Array) -> Array:
    """One over each dimension's standard deviation; 1 for one that is constant."""
    deviations = np.sqrt(covariance if covariance.ndim == 1 else covariance.diagonal())
    constant = deviations <= np.maximum(_OF_MEAN * np.abs(mean), _OF_LARGEST * deviations.max())
    return 1 / np.where(constant, 1, deviations)


def _directions(covariance: Array, count: int, step: Step) -> tuple[Array, Array]:
    """The largest variances (k,) and their directions (k, d); of each the largest coordinate is positive.

    Raises:
        InputError: there are fewer.
    """
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1][:count], vectors.T[::-1][:count]
    there = int((variances > _NO_DIRECTION * max(variances[0], np.finfo(np.float64).tiny)).sum())
    if there < count:
        raise InputError(
            f"calibration: {step}, but the texts' vectors span only {there} directions; ask for at most {there}, or "
            "give other texts"
        )
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return variances, vectors * np.sign(largest)
