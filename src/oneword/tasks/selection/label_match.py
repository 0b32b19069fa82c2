"""Which of the labels that prompts answer with each label of a dataset is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError, nearest_names

# What a label may be called, without regard to case, white space, hyphens and underscores; two-way inference has one
# label for two of three-way inference
_MEANINGS = {
    "pos": ("positive",),
    "neg": ("negative",),
    "entails": ("entailment",),
    "yes": ("entailment",),
    "contradicts": ("contradiction",),
    "notentailment": ("neutral", "contradiction"),
    "nonentailment": ("neutral", "contradiction"),
    "notentailed": ("neutral", "contradiction"),
}
_ZERO_ONE = {"0": "negative", "1": "positive"}


@dataclass(frozen=True)
class LabelMatch:
    """Classes that a dataset's labels and prompts' labels have in common.

    Args:
        classes: their names, in the order of the prompts' labels.
        prompt_labels: what the prompts answer with.
        class_of: of each label of the dataset its class, as an index.
        class_of_prompt_label: of each of ``prompt_labels`` its class, as an index; None where the dataset has no such
            label.
    """

    classes: tuple[str, ...]
    prompt_labels: tuple[str, ...]
    class_of: Mapping[str, int]
    class_of_prompt_label: tuple[int | None, ...]

    def truth(self, labels: Iterable[Any]) -> NDArray[np.int64]:
        """The classes of a dataset's labels, as indices (n,).

        Raises:
            InputError: a label that was not there when the labels were matched.
        """
        try:
            return np.array([self.class_of[str(label)] for label in labels], dtype=np.int64)
        except KeyError as error:
            raise InputError(
                f"the label {error} is none of the data's labels: {', '.join(self.class_of)}; match all labels at once"
            ) from None

    def merge(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Probabilities of the prompts' labels (..., prompt labels) as those of the classes (..., classes).

        Those of labels that are one class are added; where the dataset lacks a label, they are scaled so that those of
        the classes add up to 1 (all the same, if they are all 0).
        """
        found: NDArray[np.float64] = np.zeros((*probabilities.shape[:-1], len(self.classes)))
        for column, place in enumerate(self.class_of_prompt_label):
            if place is not None:
                found[..., place] += probabilities[..., column]
        if None not in self.class_of_prompt_label:
            return found
        total = found.sum(axis=-1, keepdims=True)
        np.divide(found, total, out=found, where=total > 0)
        found[total[..., 0] == 0] = 1 / len(self.classes)
        return found


def match_labels(
    prompt_labels: Sequence[str], dataset_labels: Iterable[Any], given: Mapping[str, str] | None = None
) -> LabelMatch:
    """Match a dataset's labels with those that prompts answer with.

    Labels of one name are the same, without regard to case, white space, hyphens and underscores; so are common names
    of one thing: ``pos`` and ``positive``, ``entails``, ``yes`` and ``entailment``. ``not_entailment`` is both
    ``neutral`` and ``contradiction``, on either side. ``1`` and ``0`` are ``positive`` and ``negative`` only if the
    dataset has these two labels alone, and the prompts answer with those two alone: elsewhere numbers may mean
    anything.

    Args:
        prompt_labels: what the prompts answer with.
        dataset_labels: the labels of the dataset, each once or as often as they appear.
        given: what else is the same, as in ``{"joy": "positive"}``: of a label of the dataset the prompts' label, which
            then counts in place of what its name says; or of a label of the prompts the dataset's, as in ``{"neutral":
            "not_entailment"}``. Several labels may be given the same one.

    Raises:
        InputError: a label of the dataset that is none of the prompts', labels that are all one class, or something
            given that is a label of neither.
    """
    ours, theirs = tuple(map(str, prompt_labels)), tuple(dict.fromkeys(map(str, dataset_labels)))
    own, of_prompts = _directions(ours, theirs, given or {})
    zero_one = set(theirs) == set(_ZERO_ONE) and {_plain(label) for label in ours} == set(_ZERO_ONE.values())
    same: dict[str, set[str]] = {label: set() for label in theirs}
    for label in theirs:
        if label in own:
            same[label].add(own[label])
        else:
            meant = _ZERO_ONE[label] if zero_one else label
            same[label].update(other for other in ours if other not in of_prompts and _alike(meant, other))
    for label, meant in of_prompts.items():
        same[meant].add(label)
    _check_all(ours, same)
    return _joined(ours, same)


def _directions(
    ours: Sequence[str], theirs: Sequence[str], given: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What is given of the dataset's labels, and what is given of the prompts' labels."""
    own: dict[str, str] = {}
    of_prompts: dict[str, str] = {}
    for label, meant in given.items():
        if (of_data := _named(label, theirs)) is not None and (of_prompt := _named(meant, ours)) is not None:
            own[of_data] = of_prompt
        elif (of_prompt := _named(label, ours)) is not None and (of_data := _named(meant, theirs)) is not None:
            of_prompts[of_prompt] = of_data
        else:
            missing = label if _named(label, (*ours, *theirs)) is None else meant
            near = nearest_names(missing, {*ours, *theirs})
            raise InputError(
                f"'{label}={meant}' matches no labels: '{missing}' is none ({near}); {_both(ours, theirs)}"
            )
    return own, of_prompts


def _named(label: str, labels: Sequence[str]) -> str | None:
    """The one of these labels that is so called: exactly, or but for case and the like."""
    if label in labels:
        return label
    return next((other for other in labels if _plain(other) == _plain(label)), None)


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", "", label.casefold()) or label


def _alike(label: str, other: str) -> bool:
    one, two = _plain(label), _plain(other)
    return one == two or bool(set(_MEANINGS.get(one, (one,))) & set(_MEANINGS.get(two, (two,))))


def _check_all(ours: Sequence[str], same: Mapping[str, set[str]]) -> None:
    lacking = [label for label, found in same.items() if not found]
    if not lacking:
        return
    which = "none of the data's labels is" if len(lacking) == len(same) else f"not all labels ({_list(lacking)}) are"
    raise InputError(
        f"{which} among the prompts'; {_both(ours, tuple(same))}; say which is which with --map-labels "
        f"{lacking[0]}={ours[0]}, or choose prompts with other labels"
    )


def _both(ours: Sequence[str], theirs: Sequence[str]) -> str:
    return f"the data has {_list(theirs)}, the prompts {_list(ours)}"


def _list(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:12])
    return f"{shown} and {len(labels) - 12} more" if len(labels) > 12 else shown


def _joined(ours: tuple[str, ...], same: Mapping[str, set[str]]) -> LabelMatch:
    """Classes: all labels that hang together."""
    groups: list[tuple[set[str], set[str]]] = []  # of labels of the dataset and of the prompts
    for label, found in same.items():
        touching = [group for group in groups if group[1] & found]
        groups = [group for group in groups if group not in touching]
        groups.append(
            ({label}.union(*(group[0] for group in touching)), found.union(*(group[1] for group in touching)))
        )
    groups.sort(key=lambda group: min(map(ours.index, group[1])))
    if len(groups) < 2:
        raise InputError(
            f"the data's labels are all one class to the prompts, and a choice needs two; {_both(ours, tuple(same))}"
        )
    return LabelMatch(
        classes=tuple(_class_name(ours, same, *group) for group in groups),
        prompt_labels=ours,
        class_of={label: place for label in same for place, group in enumerate(groups) if label in group[0]},
        class_of_prompt_label=tuple(
            next((place for place, group in enumerate(groups) if label in group[1]), None) for label in ours
        ),
    )


def _class_name(ours: Sequence[str], same: Mapping[str, set[str]], own: set[str], of_prompts: set[str]) -> str:
    """The dataset's label where it is one, else the prompts'."""
    if len(own) == 1:
        return next(iter(own))
    return "+".join(label for label in ours if label in of_prompts)
