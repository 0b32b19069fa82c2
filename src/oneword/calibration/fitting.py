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
            # One behind the other, what was taken from each is missing; averaged, they fill each other's gaps
            taken = taken * (width // size) if prompts == 1 or width > size else 0
            size = width
        removes = step.kind == "remove_components"
        left = size - taken
        asked = left if step.size is None else step.size
        most = left - 1 if removes else left
        if (step.reduces or removes) and asked > most:
            raise InputError(f"calibration: {step} of vectors of {left} dimensions; give at most {most}")
        if step.reduces and step.size is None and taken:
            raise InputError(
                f"calibration: {step} of vectors of which {left} of {size} dimensions are left; say {step}={left}"
            )
        if step.reduces:
            needed, size, taken = max(needed, taken + asked + 1), asked, 0
        elif removes:
            taken += asked
            needed = max(needed, taken + 2)  # n texts span n - 1 directions, and one must be left
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
        sections: the texts' answers; gone through as often as :func:`rounds` says.

    Raises:
        InputError: vectors that span too few directions.
    """
    if len(method.counting) == 1:  # nothing is combined: the whole chain from the same moments
        before = len(calibration.before)
        chains = [fit_steps(calibration.chain, moments) for (moments,) in _gather(sections(), calibration.chain)]
        return [LayerStatistics((chain[:before],) if before else (), chain[before:]) for chain in chains]
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


def rounds(calibration: Calibration, method: Method) -> int:
    """How often the texts are embedded to fit a calibration."""
    return 2 if calibration.before and calibration.after and len(method.counting) > 1 else 1


def fit_steps(steps: Sequence[Step], moments: Moments) -> tuple[FittedStep, ...]:
    """Each step fitted on what those before it make of the vectors; their moments say all that is needed.

    Raises:
        InputError: vectors that span too few directions.
    """
    mean, covariance = moments.mean, moments.covariance
    largest = _deviations(covariance).max()  # before directions were taken away: what is left may be rounding alone
    fitted = []
    for step in steps:
        scale = components = None
        if step.kind == "standardize":
            scale = _inverse_deviations(mean, covariance, largest)
            covariance = covariance * scale**2 if covariance.ndim == 1 else covariance * np.outer(scale, scale)
            largest = _deviations(covariance).max()
        elif step.kind == "remove_components":
            assert step.size is not None
            variances, components = _directions(covariance, step.size, step)
            covariance = covariance - (components.T * variances) @ components
        elif step.reduces:
            variances, components = _directions(covariance, step.size or len(mean), step)
            if step.kind == "whiten":
                components = components / np.sqrt(variances)[:, None]
                variances = np.ones_like(variances)
            covariance = np.diag(variances)
            largest = _deviations(covariance).max()
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


def _deviations(covariance: Array) -> Array:
    """Each dimension's standard deviation; 0 where rounding made its variance negative."""
    return np.sqrt(np.maximum(covariance if covariance.ndim == 1 else covariance.diagonal(), 0))


def _inverse_deviations(mean: Array, covariance: Array, largest: float) -> Array:
    """One over each dimension's standard deviation; 1 for one that is constant."""
    deviations = _deviations(covariance)
    constant = deviations <= np.maximum(_OF_MEAN * np.abs(mean), _OF_LARGEST * largest)
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
