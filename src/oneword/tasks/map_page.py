"""A map of task embeddings as one HTML page to hover over, which loads nothing from anywhere."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from oneword.tasks.map import Floats, Group, Shape, TaskMap, color_of, kind_of, model_of, shape_of
from oneword.whole_file import write_whole

_WIDTH, _HEIGHT, _MARGIN = 1000, 800, 60  # of the drawing, in its own units
_NEAREST = 5


def write_map_page(task_map: TaskMap, path: Path, names: bool = False) -> None:
    """Write a map as an HTML page; the file appears when it is whole.

    Hovering over a point, or going to it by keyboard, shows what it is and its five nearest neighbours; groups can be
    switched off and names searched for.

    Args:
        task_map: what to show.
        path: the file.
        names: whether all names are shown at first.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(path, map_page(task_map, names).encode(errors="replace"))


def map_page(task_map: TaskMap, names: bool = False) -> str:
    """The page that :func:`write_map_page` writes."""
    places = _on_page(task_map.places)
    kinds, models = _numbers(task_map.kinds), _numbers(task_map.models)
    radius = float(np.clip(8 * (60 / len(places)) ** 0.3, 3, 8))
    # Datasets last, so that they lie on top
    rows = sorted(range(len(places)), key=lambda row: task_map.embeddings[row].of == "dataset")
    page = (files("oneword.tasks") / "data" / "map.html").read_text(encoding="utf-8")
    parts = {
        "summary": escape(_summary(task_map)),
        "settings": escape(task_map.settings),
        "checked": " checked" if names else "",
        "radius": f"{radius:.3g}",
        "shapes": _shapes(task_map.models),
        "points": "\n".join(
            _point(task_map, row, places, task_map.kinds[kinds[row]], task_map.models[models[row]], row == rows[0])
            for row in rows
        ),
        "labels": "\n".join(_label(task_map.embeddings[row].name, row, places[row], radius) for row in rows),
        "kinds": "\n".join(_legend_entry(number, group, "circle") for number, group in enumerate(task_map.kinds)),
        "models": "\n".join(_legend_entry(number, group) for number, group in enumerate(task_map.models)),
        # What could end the script element is written as an escape
        "data": json.dumps(_data(task_map, places, kinds, models), ensure_ascii=False).replace("<", "\\u003c"),
    }
    for name, part in parts.items():  # no part can hold a mark of another: all of them are escaped
        page = page.replace(f"<!--{name}-->", part)
    return page


def _on_page(places: Floats) -> Floats:
    """Places in the drawing's units, (n, 2), y downwards, both directions to one scale."""
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.array([_WIDTH, _HEIGHT]) - 2 * _MARGIN
    spread = np.maximum(high - low, 1e-9)
    scaled = (places - (low + high) / 2) * (room / spread).min()
    on_page: Floats = np.round(scaled * [1, -1] + [_WIDTH / 2, _HEIGHT / 2], 2)
    return on_page


def _numbers(groups: tuple[Group, ...]) -> dict[int, int]:
    """The number of the group that each row is in."""
    return {row: number for number, group in enumerate(groups) for row in group.rows}


def _summary(task_map: TaskMap) -> str:
    datasets = sum(one.of == "dataset" for one in task_map.embeddings)
    counts = [(datasets, "dataset"), (len(task_map.embeddings) - datasets, "model")]
    shown = " and ".join(f"{count:,} {what}{'s' * (count != 1)}" for count, what in counts if count)
    return f"{shown} in the space {task_map.embeddings[0].space}"


def _shapes(models: tuple[Group, ...]) -> str:
    outlines = {_marker_name(model): shape_of(model) for model in models}
    paths = [f'<path id="{name}" d="M{_corners(shape)}Z"/>' for name, shape in outlines.items()]
    return "".join([*paths, '<circle id="circle" r="1"/><circle id="hole" r="0.4"/>'])


def _corners(shape: Shape) -> str:
    return "L".join(f"{x:.3f} {-y:.3f}" for x, y in shape)


def _marker_name(model: Group) -> str:
    return "rest" if model.style is None else f"m{model.style}"


def _point(task_map: TaskMap, row: int, places: Floats, kind: Group, model: Group, first: bool) -> str:
    one, (x, y) = task_map.embeddings[row], places[row]
    title = escape(f"{one.name}, {one.of}, {kind.name}" + ("" if one.of == "dataset" else f", {model.name}"))
    return (
        f'<g class="point{" ringed" * kind.second}" data-index="{row}" tabindex="{0 if first else -1}" role="button" '
        f'aria-label="{title}" style="--color: {color_of(kind)}" transform="translate({x} {y})">{_marker(model)}</g>'
    )


def _label(name: str, row: int, place: Floats, radius: float) -> str:
    x, y = place
    beside, anchor = (1.5 * radius + 3, "start") if x < 0.75 * _WIDTH else (-1.5 * radius - 3, "end")
    return (
        f'<g class="name" data-index="{row}" transform="translate({x} {y})">'
        f'<text x="{beside:.1f}" y="4" text-anchor="{anchor}">{escape(name)}</text></g>'
    )


def _legend_entry(number: int, group: Group, shape: str | None = None) -> str:
    color = f' style="--color: {color_of(group)}"' if shape else ""
    ring = ' stroke="var(--ring)" stroke-width="0.4"' if shape and group.second else ""
    marker = f'<use href="#{shape}"{ring}/>' if shape else _marker(group)
    return (
        f'<button type="button" aria-pressed="true" data-number="{number}"><svg viewBox="-2.1 -2.1 4.2 4.2"{color} '
        f'aria-hidden="true">{marker}</svg>{escape(group.name)}<span class="count">{len(group.rows):,}</span></button>'
    )


def _marker(model: Group) -> str:
    return f'<use href="#{_marker_name(model)}"/>' + '<use class="hole" href="#hole"/>' * model.second


def _data(task_map: TaskMap, places: Floats, kinds: dict[int, int], models: dict[int, int]) -> list[dict[str, object]]:
    """What the page knows of each point."""
    return [
        {
            "name": one.name,
            "of": one.of,
            "task": kind_of(one),
            "model": None if one.of == "dataset" else model_of(one),
            "trained_on": one.provenance.get("trained_on"),
            "seed": one.seed,
            "kind": kinds[row],
            "group": models[row],
            "x": places[row, 0],
            "y": places[row, 1],
            "near": [
                [other, round(float(task_map.cosines[row, other]), 4)] for other in task_map.nearest(row, _NEAREST)
            ],
        }
        for row, one in enumerate(task_map.embeddings)
    ]
