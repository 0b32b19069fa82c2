"""`oneword inspect`: what it prints, what it draws, and what it refuses before a model is loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from oneword import Embedder
from oneword.bars import Panel, draw_bars
from oneword.errors import OutputError
from oneword.figures import BLUE, ORANGE

TEXT = "The river came over the road"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def options(tiny_model):
    return ["--model", str(tiny_model("llama")), "--dtype", "float32", "--device", "cpu"]


@pytest.fixture
def inspect(oneword, monkeypatch):
    """`oneword inspect` in this process; the answer is what it printed."""
    monkeypatch.setenv("COLUMNS", "120")
    return partial(oneword, "inspect")


@pytest.fixture
def refused(inspect):
    def command(*arguments: object) -> str:
        out, err = inspect(*arguments, code=2)
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("oneword: ")
        return err

    return command


@pytest.fixture
def drawn(monkeypatch):
    """The panels that were drawn: what stands above and beside their bars."""
    from matplotlib.axes import Axes

    panels: list[tuple[str, list[str]]] = []
    set_title, set_yticks = Axes.set_title, Axes.set_yticks

    def title(self, text, **options):
        panels[-1] = (text, panels[-1][1])
        return set_title(self, text, **options)

    def ticks(self, places, labels=None, **options):
        if labels is not None:
            panels.append(("", labels))
        return set_yticks(self, places, labels, **options)

    monkeypatch.setattr(Axes, "set_title", title)
    monkeypatch.setattr(Axes, "set_yticks", ticks)
    return panels


def rows(table: str) -> list[list[str]]:
    """The cells of a table, below its line of dashes."""
    return [re.split(r" {2,}", line.strip()) for line in table.split("---\n", 1)[1].splitlines() if line.strip()]


def test_a_table_for_each_text_and_prompt(inspect, options, tiny_model):
    out, err = inspect(TEXT, "It is late", "--method", "ck", "--top", 3, *options)
    assert err == ""
    assert re.findall(r"^\[(.*)\] layer (\d+)$", out, re.MULTILINE) == [("pretended_cot", "5"), ("knowledge", "5")] * 2
    assert out.count("--\n\n") == 0
    blocks = re.split(r"\n(?=The river|It is)", out)
    model = Embedder(tiny_model("llama"), method="ck", dtype="float32", device="cpu")
    for block, (text, answers) in zip(
        [blocks[0], blocks[2]], zip([TEXT, "It is late"], model.top_tokens([TEXT, "It is late"], 3))
    ):
        assert block.startswith(text)
        found = rows(block)
        assert [row[0] for row in found] == ["1", "2", "3"]
        assert [float(row[-1]) for row in found] == pytest.approx(answers[0].probabilities, abs=6e-5)


def test_ten_tokens_of_prompteol_by_default(inspect, options):
    out, _ = inspect(TEXT, *options)
    assert "[prompteol] layer 5" in out
    assert len(rows(out)) == 10
    assert re.search(r"^ +token +probability$", out, re.MULTILINE)


def test_before_and_after_steering_side_by_side(inspect, options, tiny_model):
    out, _ = inspect(TEXT, "--method", "prompteol_cp", "--top", 2, *options)
    assert re.search(r"before steering +probability +after steering +probability", out)
    model = Embedder(tiny_model("llama"), method="prompteol_cp", dtype="float32", device="cpu")
    (before,), (after,) = (model.top_tokens(TEXT, 2, steered) for steered in (False, True))
    assert before.probabilities != after.probabilities
    for place, row in enumerate(rows(out)):
        assert [float(row[2]), float(row[4])] == pytest.approx(
            [before.probabilities[place], after.probabilities[place]], abs=6e-5
        )


def test_json_has_everything(inspect, options, tiny_model):
    out, _ = inspect(TEXT, "--method", "prompteol_cp", "--top", 4, "--json", *options)
    answer = json.loads(out)
    model = Embedder(tiny_model("llama"), method="prompteol_cp", dtype="float32", device="cpu")
    assert (answer["model"], answer["fingerprint"]) == (model.model, model.fingerprint)
    (shown,) = answer["answers"]
    assert (shown["text"], shown["prompt"], shown["layer"]) == (TEXT, "prompteol", model.layer)
    for key, steered in (("tokens", True), ("before_steering", False)):
        (top,) = model.top_tokens(TEXT, 4, steered)
        assert [(one["token"], one["id"]) for one in shown[key]] == list(zip(top.tokens, top.ids))
        assert [one["probability"] for one in shown[key]] == pytest.approx(top.probabilities)
    out, _ = inspect(TEXT, "--json", *options)
    assert json.loads(out)["answers"][0]["before_steering"] is None


@pytest.mark.parametrize("name", ["llama", "opt_projected"])  # the latter's last layer is of another size
def test_every_layer(inspect, tiny_model, name):
    options = ["--model", tiny_model(name), "--dtype", "float32", "--device", "cpu"]
    out, _ = inspect(TEXT, "--method", "ck_cp", "--layers", *options)
    assert re.search(r"^layer +pretended_cot +pretended_cot +knowledge +knowledge$", out, re.MULTILINE)
    assert re.search(r"^ +before steering +after steering +before steering +after steering$", out, re.MULTILINE)
    found = rows(out)
    assert [row[0] for row in found] == ["0", "1", "2", "3", "4", "5"]
    out, _ = inspect(TEXT, "--method", "ck_cp", "--layers", "--top", 2, "--json", *options)
    shown = json.loads(out)["answers"]
    assert [(one["prompt"], one["layer"]) for one in shown] == [
        (prompt, layer) for prompt in ("pretended_cot", "knowledge") for layer in range(6)
    ]
    for place, layer in ((2, 2), (5, 5)):
        model = Embedder(tiny_model(name), method="ck_cp", layer=layer, dtype="float32", device="cpu")
        top = model.top_tokens(TEXT, 2)[0]
        assert [token["id"] for token in shown[place]["tokens"]] == list(top.ids)
        assert found[layer][2].endswith(f" {top.probabilities[0]:.2f}")
    assert shown[0]["tokens"] == shown[0]["before_steering"]
    assert shown[5]["tokens"] != shown[5]["before_steering"]


def test_layers_of_many_prompts_fit_the_terminal(inspect, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out, _ = inspect(TEXT, "--method", "metaeol", "--layers", "--top", 2, *options)
    tables = out.count("layer ")
    assert tables > 1
    assert max(map(len, out.splitlines())) <= 80
    assert all(len(re.findall(rf"\b{prompt}\b", out)) == 1 for prompt in ("sa_emotion", "ie_entity_and_relation"))


def test_several_layers_asked_for_have_a_table_each(inspect, options):
    out, _ = inspect(TEXT, "--layer", "2,-1", "--top", 1, *options)
    assert re.findall(r"layer (\d+)$", out, re.MULTILINE) == ["2", "5"]


def test_texts_cut_to_the_window_are_told_once(inspect, tiny_model):
    model = ["--model", tiny_model("llama_window"), "--dtype", "float32", "--device", "cpu"]
    _, err = inspect("word " * 200, "--method", "prompteol_cp", "--top", 1, *model)
    assert err == "warning: 1 texts were longer than the model's window and were cut at their end\n"


# Plots


def test_a_panel_for_every_prompt(inspect, options, tmp_path, drawn):
    plot = tmp_path / "out.png"
    out, err = inspect(TEXT, "--method", "metaeol", "--top", 3, "--plot", plot, *options)
    assert len(rows(out)) > 3
    assert err == f"drawn: {plot}\n"
    assert plot.read_bytes().startswith(PNG)
    assert len(drawn) == 8
    assert drawn[0][0] == f"{TEXT}\ntc_general_category, layer 5"
    assert [len(labels) for _, labels in drawn] == [3] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_before_and_after_steering_in_panels(inspect, options, tmp_path, drawn, monkeypatch):
    from matplotlib.axes import Axes

    colors, barh = [], Axes.barh
    monkeypatch.setattr(Axes, "barh", lambda *given, **more: colors.append(more["color"]) or barh(*given, **more))
    inspect(TEXT, "It is late", "--method", "prompteol_cp", "--plot", tmp_path / "out.svg", *options)
    assert [title.rpartition(", ")[2] for title, _ in drawn] == ["before steering", "after steering"] * 2
    assert colors == [ORANGE, BLUE] * 2
    assert b"<svg" in (tmp_path / "out.svg").read_bytes()


def test_every_layer_in_a_panel(inspect, options, tmp_path, drawn):
    inspect(TEXT, "--layers", "--plot", tmp_path / "out.pdf", *options)
    ((title, labels),) = drawn
    assert title.endswith("prompteol, every layer")
    assert [label.split()[0] for label in labels] == ["0", "1", "2", "3", "4", "5"]
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".PNG"])
def test_any_character_can_be_drawn(tmp_path, ending, drawn):
    labels = ["$\\none$", "$\\alpha", "東京", "🚌", "a_b^2", "{}", "\x7f", "é"]
    path = tmp_path / f"out{ending}"
    draw_bars([[Panel("Costs $\\none$ and more\n東京 🚌", labels, [0.1] * 8)]], path)  # a missing glyph would warn
    assert path.stat().st_size > 1000
    title, shown = drawn[0]
    assert title.startswith("Costs $\\none$ and more\n")
    assert [shown[place] for place in (0, 1, 4, 7)] == [labels[place] for place in (0, 1, 4, 7)]
    assert shown[6] == "\\x7f"
    assert all(text in (written, escaped) for text, written, escaped in [(shown[2], "東京", "\\u6771\\u4eac")])


def test_an_older_plot_is_replaced_and_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    panels = [[Panel("title", ["a"], [0.5])]]
    with monkeypatch.context() as patched:

        def full(self, target):
            raise OSError(28, "No space left on device", str(self))

        patched.setattr(Path, "replace", full)
        with pytest.raises(OutputError, match=r"out\.png cannot be written: No space"):
            draw_bars(panels, path)
    assert [one.name for one in tmp_path.iterdir()] == ["out.png"]
    assert path.read_bytes() == b"older"
    draw_bars(panels, path)
    assert path.read_bytes().startswith(PNG)


def test_too_many_panels(refused, options, tmp_path):
    said = refused(*map(str, range(200)), "--plot", tmp_path / "out.png", *options)
    assert re.search(r"the plot would be \d+ inches tall, more than 200; draw fewer texts or tokens", said)


# What is refused


@pytest.mark.parametrize("name", ["out.jpg", "out", "folder.png/out", ".png"])
def test_endings_that_are_no_picture(refused, tmp_path, name):
    said = refused(TEXT, "--model", "no/such", "--plot", tmp_path / name)  # before the model is looked for
    assert "is none that plots are drawn to (.png, .svg, .pdf)" in said


def test_places_that_cannot_be_written(refused, tmp_path, monkeypatch):
    (tmp_path / "folder.png").mkdir()
    assert "there is no folder" in refused(TEXT, "--model", "no/such", "--plot", tmp_path / "none" / "out.png")
    assert "it is a folder" in refused(TEXT, "--model", "no/such", "--plot", tmp_path / "folder.png")
    monkeypatch.setattr("oneword.bars.os.access", lambda path, mode: False)
    assert "permission denied" in refused(TEXT, "--model", "no/such", "--plot", tmp_path / "out.png")


def test_plots_without_matplotlib(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("oneword.bars.importlib.util.find_spec", lambda name: None)
    said = refused(TEXT, "--model", "no/such", "--plot", tmp_path / "out.png")
    assert said == "oneword: plots need matplotlib; pip install 'oneword[viz]'\n"


def test_what_cannot_be_inspected(refused, inspect, options, tiny_model):
    assert "inspect needs at least one text" in refused(*options)
    assert "text 1 is empty" in refused(TEXT, "", "--model", "no/such")
    assert "leave --layer out" in refused(TEXT, "--layers", "--layer", 2, "--model", "no/such")
    assert "no model at no/such" in refused(TEXT, "--layers", "--model", "./no/such").replace("./", "")
    assert "the size of the vocabulary, not 100000" in refused(TEXT, "--top", 100000, *options)
    assert "bert has no output head" in refused(TEXT, "--method", "average", "--model", tiny_model("bert"))
    _, err = inspect(TEXT, "--top", 0, code=2)
    assert "0 is not in the range x>=1" in err


def test_help_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; from oneword.cli.main import run; run(['inspect', '--help']); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'numpy', 'matplotlib', 'transformers')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: oneword inspect [OPTIONS] TEXT..." in shown.stdout
    assert "--plot FILE" in shown.stdout
