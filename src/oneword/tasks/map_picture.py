"""A map of task embeddings as a picture for a paper; needs the extra ``viz``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from oneword.bars import Writing
from oneword.figures import new_figure, save_figure
from oneword.tasks.map import Floats, Group, Shape, TaskMap, color_of, shape_of

_PLANE, _LEGEND, _LINE = 5.0, 2.0, 0.18  # inches: the plane's side, a column of the legend, a line of it
_MOST_LINES = 30
_LONGEST = 30  # characters of a name in the legend
_FONT = 6.5
_RING = "#111111"


def draw_map(task_map: TaskMap, path: Path, labels: bool = False) -> None:
    """Draw a map: colour is the kind of task, the marker the model; the file appears when it is whole.

    Args:
        task_map: what to draw.
        path: checked by :func:`oneword.bars.check_plot`; its ending says the format.
        labels: write the name beside every point.
    """
    entries = len(task_map.kinds) + len(task_map.models) + 3  # with the headings, and a gap
    columns = -(-entries // _MOST_LINES)
    lines = -(-entries // columns)
    figure, (axes,) = new_figure(_PLANE + _LEGEND * columns, max(_PLANE, 0.4 + _LINE * lines))
    radius = float(np.clip(3.2 * (60 / len(task_map.embeddings)) ** 0.3, 1.3, 3.2))  # points
    for kind, model, rows in _crossed(task_map):
        _draw_points(axes, task_map.places[rows], kind, model, radius)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="#cccccc")
    axes.set_xlabel(task_map.settings, fontsize=7, color="#666666", loc="left", parse_math=False)
    shown = [*(one.name for one in task_map.embeddings), *(one.name for one in (*task_map.kinds, *task_map.models))]
    writing = Writing(shown)
    _draw_legend(figure, task_map, columns, writing)
    if labels:
        _draw_labels(figure, axes, task_map, radius, writing)
    save_figure(figure, path)


def _crossed(task_map: TaskMap) -> Iterator[tuple[Group, Group, list[int]]]:
    """The points of each kind and model; the datasets last, so that they lie on top."""
    for model in reversed(task_map.models):
        for kind in task_map.kinds:
            if rows := sorted(set(kind.rows) & set(model.rows)):
                yield kind, model, rows


def _draw_points(axes: Any, places: Floats, kind: Group, model: Group, radius: float) -> None:
    edge = (
        {"edgecolors": _RING, "linewidths": 0.35 * radius}
        if kind.second
        else {"edgecolors": "#555555", "linewidths": 0.3}
    )
    x, y = places.T
    size = _diameter(model, radius) ** 2
    axes.scatter(x, y, marker=_marker(shape_of(model)), s=size, c=color_of(kind), **edge)
    if model.second:
        axes.scatter(x, y, marker="o", s=(0.8 * radius) ** 2, c="white", linewidths=0)


def _draw_legend(figure: Any, task_map: TaskMap, columns: int, writing: Writing) -> None:
    """Both groupings in one legend, outside the plane."""
    from matplotlib.lines import Line2D

    point = functools.partial(Line2D, [], [], linestyle="none")
    colors = [
        point(marker="o", markersize=7, color=color_of(kind), markeredgecolor=_RING, markeredgewidth=1.1 * kind.second)
        for kind in task_map.kinds
    ]
    markers: list[Any] = []
    for model in task_map.models:
        shape = point(
            marker=_marker(shape_of(model)), markersize=_diameter(model, 3.2), color="#555555", markeredgewidth=0
        )
        hole = point(marker="o", markersize=2.6, color="white", markeredgewidth=0)
        markers.append((shape, hole) if model.second else shape)
    handles = [point(), *colors, point(), point(), *markers]
    names = ["task", *(kind.name for kind in task_map.kinds), "", "model", *(model.name for model in task_map.models)]
    places = list(map(str, range(len(handles))))  # matplotlib 3.9 leaves out names that begin with an underscore
    legend = figure.legend(
        handles, places, loc="outside right upper", ncols=columns, frameon=False, fontsize=7.5, handlelength=1.2
    )
    for text, name in zip(legend.get_texts(), names):
        text.set(text=_cut(writing.drawable(name)), parse_math=False, family=writing.families)
    for heading in (0, len(colors) + 2):
        legend.get_texts()[heading].set_fontweight("bold")


def _draw_labels(figure: Any, axes: Any, task_map: TaskMap, radius: float, writing: Writing) -> None:
    """Names beside their points: each on the side where it covers least of the points and of the names before it."""
    figure.draw_without_rendering()  # settles where the points lie
    scale = figure.dpi / 72
    points, frame = axes.transData.transform(task_map.places), axes.get_window_extent().extents
    reaches = np.zeros((len(points), 1))
    for model in task_map.models:
        reaches[list(model.rows)] = _diameter(model, radius) / 2 * scale
    taken = np.concatenate([points - reaches, points + reaches], axis=1)  # left, bottom, right, top of what is drawn
    write = functools.partial(
        axes.annotate, va="bottom", fontsize=_FONT, family=writing.families, color="#333333", parse_math=False
    )
    for row, (one, place) in enumerate(zip(task_map.embeddings, task_map.places)):
        name = _cut(writing.drawable(one.name))
        measured = write(name, place)
        extent = measured.get_window_extent()
        measured.remove()
        reach = float(reaches[row, 0])
        near, far = (_around(points[row], extent.width, extent.height, reach * steps + scale) for steps in (1, 4))
        others = np.delete(taken, row, axis=0)
        costs = [_overlap(box, others) + _outside(box, frame) for box in (*near, *far)]
        costs[len(near) :] = [cost + extent.width * extent.height / 50 for cost in costs[len(near) :]]
        best = int(np.argmin(costs))
        box = (*near, *far)[best]
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": "#999999", "shrinkA": 0} if best >= len(near) else None
        write(name, place, tuple((box[:2] - points[row]) / scale), textcoords="offset points", arrowprops=line)
        taken = np.vstack([taken, box])


def _around(point: Floats, width: float, height: float, reach: float) -> list[Floats]:
    """Boxes of a name on all sides of a point, the best to read first."""
    x, y = point
    right, left, middle = x + reach, x - reach - width, x - width / 2
    level, above, below = y - height / 2, y + 0.6 * reach, y - 0.6 * reach - height
    corners = [(right, level), (left, level), (right, above), (right, below), (left, above), (left, below)]
    corners += [(middle, y + reach), (middle, y - reach - height)]
    return [np.array([start, bottom, start + width, bottom + height]) for start, bottom in corners]


def _overlap(box: Floats, others: Floats) -> float:
    """The area that a box shares with others."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(shared.clip(0).prod(axis=1).sum())


def _outside(box: Floats, frame: Floats) -> float:
    """The area of a box that is not in the frame."""
    inside = (np.minimum(box[2:], frame[2:]) - np.maximum(box[:2], frame[:2])).clip(0)
    return float((box[2:] - box[:2]).prod() - inside.prod())


def _marker(shape: Shape) -> Any:
    from matplotlib.path import Path as Outline

    return Outline([*shape, shape[0]], closed=True)


def _diameter(model: Group, radius: float) -> float:
    """Of a group's marker in points: matplotlib sizes an outline by its farthest corner, and equal areas look alike."""
    return 2 * radius * float(np.abs(shape_of(model)).max())


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}\u2026{name[-_LONGEST // 2 + 1 :]}"
