"""Maps: where points lie, what marks them, and what a picture and a page hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from oneword.errors import InputError
from oneword.tasks.map import COLORS, SHAPES, TaskMap, color_of, make_map, shape_of
from oneword.tasks.map_page import map_page
from oneword.tasks.map_picture import draw_map
from oneword.tasks.task_embedding import TaskEmbedding

Command = Callable[..., tuple[str, str]]

NASTY = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--data-->",
    "$a_{b$",
    "_under",
    "数据集",
]


def embedding(
    name: str, vector: object, of: str = "dataset", task: str = "sentiment", model: str | None = None, **provenance
) -> TaskEmbedding:
    given = {"model": model, **provenance} if model else provenance
    return TaskEmbedding(np.asarray(vector, dtype=np.float32), name, of, "minilm/tupate", 3, task, given)


def clusters(count: int = 3, each: int = 6) -> list[TaskEmbedding]:
    """Tight groups in directions far from each other; the first of each is a dataset, the others are models."""
    random = np.random.default_rng(0)
    return [
        embedding(
            f"{'data' if place == 0 else f'model{place}'}-{number}",
            center + 0.05 * random.normal(size=20),
            of="dataset" if place == 0 else "model",
            task=f"kind {number}",
            model=None if place == 0 else f"llm-{place}",
        )
        for number, center in enumerate(np.eye(20)[:count])
        for place in range(each)
    ]


def mapped(embeddings: Sequence[TaskEmbedding]) -> TaskMap:
    """A map with places by lot, for what does not depend on them."""
    cosines = np.array([[one.similarity(other) for other in embeddings] for one in embeddings])
    places = np.random.default_rng(0).normal(size=(len(embeddings), 2))
    return TaskMap(tuple(embeddings), cosines, places, "t-SNE")


@pytest.fixture(scope="module")
def shown() -> TaskMap:
    return make_map(clusters())


def test_similar_points_lie_together(shown):
    places = shown.places.reshape(3, 6, 2)
    centers = places.mean(axis=1)
    within = np.linalg.norm(places - centers[:, None], axis=2).max()
    between = min(np.linalg.norm(centers[one] - centers[other]) for one, other in [(0, 1), (0, 2), (1, 2)])
    assert between > 2 * within


def test_length_of_a_vector_does_not_move_its_point():
    plain = clusters()
    scaled = [
        TaskEmbedding(2.0**place * one.vector, one.name, one.of, one.space, one.seed) for place, one in enumerate(plain)
    ]
    np.testing.assert_allclose(make_map(scaled).places, make_map(plain).places, atol=1e-3)


def test_a_seed_fixes_the_map(shown):
    np.testing.assert_array_equal(make_map(clusters()).places, shown.places)
    assert not np.array_equal(make_map(clusters(), seed=1).places, shown.places)


@pytest.mark.parametrize("count", [4, 5, 7])
def test_few_points_can_be_laid_out(count):
    places = make_map(clusters(1, count)).places
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


def test_equal_and_zero_vectors_can_be_laid_out():
    same = [embedding(str(number), [1, 2, 3]) for number in range(5)]
    assert np.isfinite(make_map(same).places).all()
    assert np.isfinite(make_map([*same, embedding("zero", [0, 0, 0])]).places).all()


def test_fewer_than_four_are_refused():
    with pytest.raises(InputError, match="at least 4 task embeddings, and there are 3"):
        make_map(clusters(1, 3))


def test_neighbours_are_the_most_similar_and_not_the_point_itself(shown):
    for row in (0, 8):
        order = sorted(range(18), key=lambda other: -shown.embeddings[row].similarity(shown.embeddings[other]))
        assert [row, *shown.nearest(row, 5)] == order[:6]


def test_colours_are_kinds_and_markers_models(shown):
    assert [kind.name for kind in shown.kinds] == ["kind 0", "kind 1", "kind 2"]
    assert [kind.rows for kind in shown.kinds] == [tuple(range(0, 6)), tuple(range(6, 12)), tuple(range(12, 18))]
    assert [model.name for model in shown.models] == ["dataset", *(f"llm-{number}" for number in range(1, 6))]
    assert shown.models[0].rows == (0, 6, 12)
    assert shape_of(shown.models[0]) == SHAPES[0]
    assert len({color_of(kind) for kind in shown.kinds}) == 3
    assert len({shape_of(model) for model in shown.models}) == 6


def test_the_kind_may_stand_in_the_provenance_and_a_model_may_have_its_name_only():
    embeddings = [
        embedding("a", [1, 0], task="", kind="topic"),
        embedding("b", [1, 1], task=""),
        embedding("dataset", [0, 1], of="model"),
    ]
    shown = mapped(embeddings)
    assert [(kind.name, kind.rows) for kind in shown.kinds] == [
        ("not known", (1,)),
        ("sentiment", (2,)),
        ("topic", (0,)),
    ]
    # A model with an unlucky name is no dataset
    assert [(model.name, model.rows, model.style) for model in shown.models] == [
        ("dataset", (0, 1), 0),
        ("dataset", (2,), 1),
    ]


def test_every_group_has_a_look_of_its_own_until_none_is_left():
    many = [embedding(f"d{number}", [1, number], task=f"kind {number}") for number in range(2 * len(COLORS) + 2)]
    many += [embedding(name, [2, 1], task="zero-shot") for name in "ab"]  # frequent, so it is kept
    many += [embedding(f"m{number}", [number, 1], "model", "kind 0", f"llm {number}") for number in range(30)]
    shown = mapped(many)
    *kinds, rest = shown.kinds
    looks = {(color_of(kind), kind.second) for kind in kinds}
    assert len(looks) == len(kinds) == 2 * len(COLORS)
    assert rest.name == "3 other kinds"
    assert len(rest.rows) == 3
    assert color_of(rest) not in COLORS
    assert [kind.name for kind in kinds[:3]] == ["kind 0", "kind 1", "kind 2"]  # 2 before 10
    assert kinds[-1].name == "zero-shot"
    *models, rest = shown.models
    assert len({(shape_of(model), model.second) for model in models}) == len(models) == 1 + 2 * (len(SHAPES) - 1)
    assert rest.name == "6 other models"
    rows = sorted(row for model in shown.models for row in model.rows)
    assert rows == list(range(len(many)))


def test_markers_look_equally_large():
    areas = []
    for shape in SHAPES[1:]:
        x, y = np.array(shape).T
        areas.append(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
    assert areas == pytest.approx([np.pi] * len(areas), rel=1e-3)


def svg_of(shown: TaskMap, path: Path, labels: bool = False) -> str:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):  # texts as texts, to be read here
        draw_map(shown, path, labels)
    return path.read_text(encoding="utf-8")


def test_a_picture_has_a_legend_of_both_groupings_and_names_on_demand(shown, tmp_path):
    plain = svg_of(shown, tmp_path / "plain.svg")
    labelled = svg_of(shown, tmp_path / "labelled.svg", labels=True)
    for text in ("kind 0", "kind 2", "dataset", "llm-1", "llm-5", shown.settings):
        assert text in plain
    assert "data-0" not in plain
    for one in shown.embeddings:
        assert f">{one.name}<" in labelled


def figure_of(shown: TaskMap) -> Figure:
    """What is drawn, before it becomes a file."""
    drawn: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oneword.tasks.map_picture.save_figure", lambda figure, path: drawn.append(figure))
        draw_map(shown, Path("map.png"))
    return drawn[0]


def test_every_point_is_drawn(shown):
    figure = figure_of(shown)
    offsets = np.concatenate([part.get_offsets() for part in figure.axes[0].collections])
    assert {tuple(place) for place in np.round(offsets, 4)} == {tuple(place) for place in np.round(shown.places, 4)}
    figure.draw_without_rendering()
    # Beside the points, not on them
    assert figure.legends[0].get_window_extent().x0 >= figure.axes[0].get_window_extent().x1


def test_no_name_is_left_out_of_the_legend():
    names = ["_under", "", "plain"]
    shown = mapped([embedding(name, [1, number], "model", name) for number, name in enumerate(names)])
    texts = [text.get_text() for text in figure_of(shown).legends[0].get_texts()]
    assert texts == ["task", "_under", "not known", "plain", "", "model", "", "_under", "plain"]


@pytest.mark.parametrize("name", NASTY)
def test_a_picture_takes_any_name(tmp_path, name):
    shown = mapped([embedding(name, [1, number], task=name) for number in range(3)])
    draw_map(shown, tmp_path / "map.png", labels=True)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


class Page(HTMLParser):
    """The elements of a page, and the texts of its scripts."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]

    def by_id(self, name: str) -> dict[str, str | None]:
        return next(attributes for _, attributes in self.elements if attributes.get("id") == name)

    @property
    def data(self) -> list[dict[str, object]]:
        return json.loads(self.scripts[0])


def test_a_page_holds_every_point_with_what_is_known_of_it(shown):
    page = Page(map_page(shown))
    assert sorted(int(point["data-index"]) for point in page.of_class("point")) == list(range(18))
    assert page.of_class("point")[-1]["data-index"] == "12"  # datasets lie on top
    one = page.data[7]
    assert {key: one[key] for key in ("name", "of", "task", "model", "seed")} == {
        "name": "model1-1",
        "of": "model",
        "task": "kind 1",
        "model": "llm-1",
        "seed": 3,
    }
    assert page.data[6]["model"] is None
    assert [other for other, _ in one["near"]] == shown.nearest(7, 5)
    assert [cosine for _, cosine in one["near"]] == pytest.approx(
        [shown.embeddings[7].similarity(shown.embeddings[other]) for other in shown.nearest(7, 5)], abs=1e-4
    )
    assert "3 datasets and 15 models in the space minilm/tupate" in page.texts


def test_groups_of_a_page_s_legend_are_those_of_its_points(shown):
    page = Page(map_page(shown))
    buttons = [attributes for tag, attributes in page.elements if tag == "button" and "data-number" in attributes]
    assert [button["data-number"] for button in buttons] == [*map(str, range(3)), *map(str, range(6))]
    for row, one in enumerate(page.data):
        assert row in shown.kinds[one["kind"]].rows
        assert row in shown.models[one["group"]].rows


def test_only_one_point_is_a_stop_of_the_tab_key(shown):
    stops = [point["tabindex"] for point in Page(map_page(shown)).of_class("point")]
    assert stops.count("0") == 1
    assert stops.count("-1") == 17


def test_the_places_of_a_page_keep_the_shape_of_the_map(shown):
    found = np.array([[one["x"], one["y"]] for one in Page(map_page(shown)).data])
    assert found.min() >= 0
    assert (found.max(axis=0) <= [1000, 800]).all()
    centered, expected = found - found.mean(axis=0), (shown.places - shown.places.mean(axis=0)) * [1, -1]
    scale = np.linalg.norm(centered) / np.linalg.norm(expected)
    np.testing.assert_allclose(centered, scale * expected, atol=0.02)


def test_names_on_a_page_cannot_become_markup():
    embeddings = [
        embedding(name, [1, number], "model", name, name, trained_on=name) for number, name in enumerate(NASTY)
    ]
    page = Page(map_page(mapped(embeddings)))
    assert len(page.scripts) == 2
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert [one["name"] for one in page.data] == NASTY
    assert [one["trained_on"] for one in page.data] == NASTY
    for name in NASTY:
        assert page.texts.count(name) == 3  # a label, and its two groups
    assert not any(attribute.startswith("on") for _, attributes in page.elements for attribute in attributes)


def test_a_page_loads_nothing_from_anywhere(shown):
    content = map_page(shown)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch|XMLHttp", content.replace("// ", ""))
    page = Page(content)
    sources = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert sources
    assert all(source.startswith("#") for source in sources)
    outlines = {attributes["id"] for tag, attributes in page.elements if "id" in attributes}
    assert {source[1:] for source in sources} <= outlines
    assert "<!--" not in content


def test_the_names_of_a_page_can_be_on_from_the_start(shown):
    boxes = [Page(map_page(shown, names)).by_id("names") for names in (False, True)]
    assert ["checked" in box for box in boxes] == [False, True]


def test_a_page_of_two_thousand_points_is_small():
    embeddings = [embedding(f"name {number}", [1, number], "model", "kind", "llm") for number in range(2000)]
    places = np.random.default_rng(0).normal(size=(2000, 2))
    content = map_page(TaskMap(tuple(embeddings), np.eye(2000), places, "t-SNE"))
    assert len(Page(content).of_class("point")) == 2000
    assert len(content) < 2_000_000


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_of_a_page_is_well_formed(shown, tmp_path):
    script = tmp_path / "page.js"
    script.write_text(Page(map_page(shown)).scripts[1], encoding="utf-8")
    subprocess.run(["node", "--check", script], check=True)


@pytest.fixture
def shelf(folder: Path) -> Path:
    for one in clusters(2, 3):
        one.save(f"{one.name}.safetensors")
    return folder


def test_one_command_draws_pictures_and_a_page(shelf, oneword: Command):
    _, error = oneword("tasks", "map", ".", "-o", "map.png", "-o", "map.PDF", "-o", "map.html", "--labels")
    assert error.splitlines() == ["drawn: map.png", "drawn: map.PDF", "drawn: map.html"]
    assert Path("map.png").read_bytes().startswith(b"\x89PNG")
    assert Path("map.PDF").read_bytes().startswith(b"%PDF")
    page = Page(Path("map.html").read_text(encoding="utf-8"))
    assert sorted(one["name"] for one in page.data) == [
        "data-0",
        "data-1",
        "model1-0",
        "model1-1",
        "model2-0",
        "model2-1",
    ]
    assert "checked" in page.by_id("names")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([".", "-o", "map.gif"], "the ending '.gif' is none that maps are drawn to (.png, .svg, .pdf, .html)"),
        ([".", "-o", "map.png", "-o", "lost/map.html"], "there is no folder lost"),
        (["data-0.safetensors", "data-1.safetensors", "-o", "map.png"], "at least 4 task embeddings, and there are 2"),
        (["."], "Missing option '-o'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(shelf, oneword: Command, arguments, reason):
    before = sorted(shelf.iterdir())
    assert reason in oneword("tasks", "map", *arguments, code=2)[1]
    assert sorted(shelf.iterdir()) == before


@pytest.mark.parametrize(("package", "ending"), [("sklearn", "html"), ("matplotlib", "png")])
def test_a_missing_extra_is_named(shelf, oneword: Command, monkeypatch, package, ending):
    import importlib.util

    find_spec = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == package else find_spec(name, *rest)  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", hidden)
    monkeypatch.setattr("oneword.extras.find_spec", hidden)
    _, error = oneword("tasks", "map", ".", "-o", f"map.{ending}", code=2)
    assert f"need {package}; pip install 'oneword[" in error
