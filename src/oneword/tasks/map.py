"""Task embeddings laid out on a plane, and the picture of it; needs the extras ``tasks`` and ``viz``."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError
from oneword.extras import check_extra
from oneword.tasks.shelf import cosine_matrix
from oneword.tasks.task_embedding import TaskEmbedding

Floats = NDArray[np.float64]
Shape = tuple[tuple[float, float], ...]

FEWEST = 4
DATASET = "dataset"
UNKNOWN_KIND = "not known"

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart, in an order of good contrast and
# without black, of which the rings are that mark the second use of a colour
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
_REST_COLOR = "#999999"
_LARGER = 1.3  # datasets than models


@dataclass(frozen=True)
class Group:
    """Points that share a colour or a marker.

    Args:
        name: the kind of task, or the model.
        style: which colour or marker; None for what is left when there are more groups than styles.
        second: whether it is the style's second use: of a colour with a ring, of a marker with a hole.
        rows: the points.
    """

    name: str
    style: int | None
    second: bool
    rows: tuple[int, ...]


@dataclass(frozen=True)
class TaskMap:
    """Task embeddings with a place on a plane each.

    Args:
        embeddings: what is shown, n of them.
        cosines: of all pairs, (n, n).
        places: (n, 2); near points are similar, far ones need not be more different than less far ones.
        settings: how it was made, in words.
    """

    embeddings: tuple[TaskEmbedding, ...]
    cosines: Floats
    places: Floats
    settings: str

    @functools.cached_property
    def kinds(self) -> tuple[Group, ...]:
        """The points by kind of task, which their colours show."""
        return _groups([kind_of(one) for one in self.embeddings], len(COLORS), "kinds")

    @functools.cached_property
    def models(self) -> tuple[Group, ...]:
        """The points by model, which their markers show; all datasets, of style 0, share one."""
        rows = tuple(row for row, one in enumerate(self.embeddings) if one.of == "dataset")
        datasets = (Group(DATASET, 0, False, rows),) if rows else ()
        names = [None if one.of == "dataset" else model_of(one) for one in self.embeddings]
        return datasets + _groups(names, len(SHAPES) - 1, "models", first=1)

    def nearest(self, row: int, count: int) -> list[int]:
        """The rows of the points most similar to one, best first."""
        order = np.argsort(-self.cosines[row], kind="stable")
        return [int(other) for other in order if other != row][:count]


def kind_of(embedding: TaskEmbedding) -> str:
    """The kind of task of an embedding, in words."""
    return embedding.task or str(embedding.provenance.get("kind") or UNKNOWN_KIND)


def model_of(embedding: TaskEmbedding) -> str:
    """What answers, where a model is embedded."""
    return str(embedding.provenance.get("model") or embedding.name)


def make_map(embeddings: Sequence[TaskEmbedding], seed: int = 0) -> TaskMap:
    """Lay task embeddings out by t-SNE of their normalised vectors, from their two principal components.

    Args:
        embeddings: of one space, at least four.
        seed: the same seed gives the same map on one machine and thread count.

    Raises:
        InputError: too few, or scikit-learn is not installed.
    """
    check_extra("tasks", "sklearn", "maps")
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < FEWEST:
        raise InputError(f"a map needs at least {FEWEST} task embeddings, and there are {count}; embed more")
    cosines = cosine_matrix(embeddings)
    distances = np.sqrt(np.maximum(0, 2 - 2 * cosines))  # of the normalised vectors
    np.fill_diagonal(distances, 0)
    perplexity = min(30.0, max(2.0, (count - 1) / 3))
    layout = TSNE(
        metric="precomputed", init=_start(cosines, seed), perplexity=perplexity, random_state=seed, learning_rate="auto"
    )
    places = layout.fit_transform(distances).astype(np.float64)
    settings = f"t-SNE of cosine distances; perplexity {perplexity:.3g}, seed {seed}"
    return TaskMap(tuple(embeddings), cosines, places, settings)


def color_of(kind: Group) -> str:
    """The colour of a kind of task, as HTML writes it."""
    return _REST_COLOR if kind.style is None else COLORS[kind.style]


def shape_of(model: Group) -> Shape:
    """The outline of a model's marker, in units of its radius."""
    return _REST_SHAPE if model.style is None else SHAPES[model.style]


def _start(cosines: Floats, seed: int) -> NDArray[np.float32]:
    """The two principal components, (n, 2), as small as t-SNE expects its start."""
    centred = cosines - cosines.mean(axis=0) - cosines.mean(axis=1, keepdims=True) + cosines.mean()
    values, vectors = np.linalg.eigh(centred)
    found = vectors[:, :-3:-1] * np.sqrt(np.maximum(values[:-3:-1], 0))
    found *= np.where(found[np.abs(found).argmax(axis=0), [0, 1]] < 0, -1, 1)  # a component's sign is arbitrary
    found *= 1e-4 / (found[:, 0].std() or 1)
    # Points on the very same place would stay together
    moved: NDArray[np.float32] = (found + np.random.default_rng(seed).normal(0, 1e-6, found.shape)).astype(np.float32)
    return moved


def _groups(names: Sequence[str | None], styles: int, what: str, first: int = 0) -> tuple[Group, ...]:
    """The rows by name: twice as many groups as there are styles, by name; the rarest share a group if need be."""
    counts = Counter(name for name in names if name is not None)
    frequent = sorted(counts, key=lambda name: (-counts[name], _natural(name)))
    kept = sorted(frequent[: 2 * styles], key=_natural)
    groups = [
        Group(name, first + place % styles, place >= styles, tuple(row for row, one in enumerate(names) if one == name))
        for place, name in enumerate(kept)
    ]
    rest = tuple(row for row, name in enumerate(names) if name is not None and name not in kept)
    if rest:
        groups.append(Group(f"{len(counts) - len(kept):,} other {what}", None, False, rest))
    return tuple(groups)


def _natural(name: str) -> str:
    """What puts model-2 before model-10."""
    return re.sub("[0-9]+", lambda digits: digits[0].zfill(9), name)


def _polygon(corners: int, turned: float = 90, inner: float = 1.0, width: float = 1.0) -> Shape:
    """A regular polygon, or a star of twice as many corners, scaled to the area of a circle of radius 1."""
    angles = [math.radians(turned + 360 * corner / corners) for corner in range(corners)]
    radii = [inner if corner % 2 else 1.0 for corner in range(corners)]
    points = [(radius * width * math.cos(angle), radius * math.sin(angle)) for angle, radius in zip(angles, radii)]
    return _of_unit_area(points)


def _cross(turned: float) -> Shape:
    arm, thick = 1.0, 0.36
    corners = [(thick, arm), (thick, thick), (arm, thick)]
    points = []
    for quarter in range(4):
        angle = math.radians(turned - 90 * quarter)
        points += [
            (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)) for x, y in corners
        ]
    return _of_unit_area(points)


def _of_unit_area(points: Sequence[tuple[float, float]]) -> Shape:
    pairs = zip(points, [*points[1:], points[0]])
    area = abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairs)) / 2
    scale = math.sqrt(math.pi / area)
    return tuple((round(x * scale, 4), round(y * scale, 4)) for x, y in points)


# Outlines in units of the radius, y upwards; the first is that of datasets
SHAPES: tuple[Shape, ...] = (
    tuple((_LARGER * x, _LARGER * y) for x, y in _polygon(10, inner=0.45)),
    _polygon(36),
    _polygon(4, turned=45),
    _polygon(3),
    _polygon(4, width=0.6),
    _cross(0),
    _polygon(3, turned=270),
    _polygon(5),
    _cross(45),
    _polygon(3, turned=180),
    _polygon(6, turned=0),
    _polygon(3, turned=0),
    _polygon(8, inner=0.4),
)
_REST_SHAPE: Shape = tuple((x / 2, y / 2) for x, y in SHAPES[1])
