"""Scores along layers, prompts and meta-tasks; the report of a folder; pictures of both."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from oneword import Embedder, Method, Prompt
from oneword.errors import InputError, MethodError, ModelError
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.intervals import bootstrap_rows
from oneword.evaluation.pictures import draw_rows, draw_sweeps
from oneword.evaluation.report import make_report
from oneword.evaluation.results import Result
from oneword.evaluation.sentence_pairs import read_pairs
from oneword.evaluation.sts import score_pairs
from oneword.evaluation.sweeps import Point, Sweep, by_meta_tasks, by_size, draw_subsets, points_of, score_subsets
from oneword.evaluation.table import make_rows
from oneword.registry import find_method
from senteval_data import write_sts

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def embedder(tiny_model):
    return Embedder(tiny_model("llama"), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return read_pairs(write_sts(tmp_path_factory.mktemp("senteval")), "STSB")


def result(task="STSB", score=50.0, method="prompteol", layer=5, kind="sts", model="tiny", items=None, **fields):
    fingerprint = f"{method}-01234567/layer-{layer}/float32/weights-{model}"
    made = Result(task, kind, "spearman", score, {}, {}, "d", model, method, layer, fingerprint, 1.0, "c", items or {})
    return replace(made, **fields)


def items(seed=0):
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 6, 30)
    return {"cosine": (gold + generator.normal(size=30)).tolist(), "gold": gold.tolist()}


# Subsets of prompts


def test_all_subsets_of_eight_prompts_are_scored_the_small_ones_first():
    subsets = draw_subsets(8)
    assert len(subsets) == len(set(subsets)) == 255
    assert [len(subset) for subset in subsets] == sorted(len(subset) for subset in subsets)
    assert subsets[0] == (0,)
    assert subsets[-1] == tuple(range(8))


def test_of_many_prompts_some_subsets_of_a_size_are_drawn_and_always_the_same():
    subsets = draw_subsets(12, most=20)
    assert subsets == draw_subsets(12, most=20)
    assert subsets != draw_subsets(12, most=20, seed=2)
    assert len(set(subsets)) == len(subsets)
    sizes = [sum(len(subset) == size for subset in subsets) for size in range(1, 13)]
    assert sizes == [min(20, math.comb(12, size)) for size in range(1, 13)]
    assert all(list(subset) == sorted(set(subset)) and set(subset) <= set(range(12)) for subset in subsets)


@pytest.mark.parametrize("combine", ["mean", "concat", "max"])
def test_a_subset_s_score_is_that_of_a_method_of_its_prompts(embedder, pairs, tmp_path, combine):
    whole = replace(find_method("metaeol"), prompts=find_method("metaeol").prompts[2:5], combine=combine)
    texts = [*pairs.first, *pairs.second]
    answers = AnswerStore(tmp_path).answers(embedder.with_method(whole), texts)[:, :, 0]
    scores = score_subsets(draw_subsets(3), answers, pairs, whole)
    assert list(scores) == draw_subsets(3)
    for subset, score in scores.items():
        alone = embedder.with_method(replace(whole, prompts=[whole.prompts[place] for place in subset]))
        assert score == pytest.approx(score_pairs(alone.encode(texts), pairs.gold, "")[0], abs=1e-6)


def test_a_subset_whose_vectors_have_no_cosine_is_named(pairs):
    answers = np.zeros((2, 2 * len(pairs), 4), dtype=np.float32)
    with pytest.raises(ModelError, match=r"STSB, two with prompts \(0,\): a vector is zero"):
        score_subsets([(0,)], answers, pairs, Method("two", ["{text}:", "{text} is:"]))


def test_sizes_have_mean_spread_and_best_subset_of_the_average_over_tasks():
    tasks = [{(0,): 10.0, (1,): 30.0, (0, 1): 50.0}, {(0,): 20.0, (1,): 20.0, (0, 1): 60.0}]
    one, two = by_size(tasks)
    assert (one.size, one.scores) == (1, {(0,): 15.0, (1,): 25.0})
    assert (one.mean, one.deviation, one.best) == (20.0, 5.0, (1,))
    assert (two.size, two.mean, two.deviation, two.best) == (2, 55.0, 0.0, (0, 1))


# Meta-tasks


def test_meta_tasks_are_added_one_at_a_time_in_the_order_of_the_prompts():
    whole = find_method("metaeol")
    steps = by_meta_tasks(whole)
    groups = [list(group) for _, group in itertools.groupby(whole.prompts, key=lambda prompt: prompt.meta_task)]
    assert len(groups) == 4
    assert [list(step.prompts) for step in steps] == [list(itertools.chain(*groups[: count + 1])) for count in range(4)]
    names = [group[0].meta_task for group in groups]
    assert [step.name for step in steps] == [f"metaeol: {names[0]}", *(f"metaeol: + {name}" for name in names[1:])]
    assert steps[-1].digest == whole.digest


def test_prompts_of_one_meta_task_stand_together_whatever_their_order():
    prompts = [Prompt(f'{name}: "{{text}}" is:"', name=name, meta_task=task) for name, task in zip("abc", "xyx")]
    steps = by_meta_tasks(Method("mixed", prompts))
    assert [[prompt.name for prompt in step.prompts] for step in steps] == [["a", "c"], ["a", "c", "b"]]


@pytest.mark.parametrize("method", ["prompteol", "ck"])
def test_a_method_without_several_meta_tasks_is_refused(method):
    with pytest.raises(MethodError, match=f"method '{method}' has no prompts of several meta-tasks"):
        by_meta_tasks(find_method(method))


# Points


def test_points_have_the_rows_averages_with_their_intervals():
    rows = make_rows([[result(layer=5, items=items(1), score=70.0)], [result(layer=3, items=items(2), score=60.0)]])
    deep, shallow = points_of(rows)
    assert (deep.x, deep.score, shallow.x, shallow.score) == (5, 70.0, 3, 60.0)
    assert (shallow.low, shallow.high) == (rows[1].intervals.average.low, rows[1].intervals.average.high)
    labelled = points_of(rows, ["one", "two"])
    assert [(point.x, point.label) for point in labelled] == [(0, "one"), (1, "two")]


# The report


def table_of(report):
    lines = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in report.markdown().splitlines()]
    assert set(lines[1]) == {"---"}
    assert {len(line) for line in lines} == {len(lines[0])}
    return lines[0], lines[2:]


def test_a_report_has_a_row_a_method_and_a_column_a_task_in_the_papers_order():
    found = [
        result("SICKR", 61.234),
        result("STSB", 70.0),
        result("STS12", 50.0),
        result("STSB", 71.0, method="ck"),
        result("STSB", 40.0, method="ck", layer=2),
        result("TREC", 80.0, kind="transfer"),
        result("Banking77", 90.0, kind="mteb"),
    ]
    heading, lines = table_of(make_report(found))
    assert heading == [
        "model",
        "method",
        "layer",
        "numbers",
        "STS12",
        "STSB",
        "SICKR",
        "STS average (95% interval)",
        "TREC",
        "Banking77",
    ]
    assert [line[:4] for line in lines] == [
        ["tiny", "ck", "5", "float32"],
        ["tiny", "ck", "2", "float32"],
        ["tiny", "prompteol", "5", "float32"],
    ]
    assert lines[2][4:] == ["50.00", "70.00", "61.23", "60.41", "80.00", "90.00"]
    assert lines[0][4:] == ["", "**71.00**", "", "", "", ""]  # no average of fewer tasks than others have


def test_the_best_score_of_a_column_is_bold_and_so_are_those_as_good():
    scores = [-3.0, 7.001, 7.002, 5.0]
    _, lines = table_of(make_report([result(score=score, method=f"m{n}") for n, score in enumerate(scores)]))
    assert [line[4] for line in lines] == ["-3.00", "**7.00**", "**7.00**", "5.00"]
    _, lines = table_of(make_report([result(score=score, method=f"m{n}") for n, score in enumerate([-3.0, -4.0])]))
    assert [line[4] for line in lines] == ["**-3.00**", "-4.00"]


def test_development_sets_are_shown_and_left_out_of_the_average():
    found = [result("STSB-dev", 90.0), result("STSB", 60.0), result("STS12", 40.0)]
    heading, (line,) = table_of(make_report(found))
    assert heading[4:] == ["STS12", "STSB", "STSB-dev", "STS average (95% interval)"]
    assert line[4:] == ["40.00", "60.00", "90.00", "50.00"]


def test_averages_have_the_intervals_of_their_items():
    one, two = items(1), items(2)
    report = make_report([result("STS12", 40.0, items=one), result("STSB", 60.0, items=two)])
    interval = bootstrap_rows([[one, two]])[0].average
    assert table_of(report)[1][0][-1] == f"50.00 ({interval.low:.2f} to {interval.high:.2f})"


def test_other_weights_of_the_same_method_are_rows_of_their_own():
    _, lines = table_of(make_report([result(model="a|b"), result(model="c")]))
    assert [line[0] for line in lines] == ["a\\|b", "c"]


def test_panels_have_the_best_row_first_and_only_those_with_every_task():
    found = [
        result(task, score, method=name) for task in ("STS12", "STSB") for name, score in (("a", 40.0), ("b", 50.0))
    ]
    ((title, rows),) = make_report([*found, result("STSB", 99.0, method="c")]).panels()
    assert title == "STS: spearman, STS12, STSB"
    assert [(label, row.average) for label, row in rows] == [("b, layer 5 (tiny)", 50.0), ("a, layer 5 (tiny)", 40.0)]


def test_a_report_of_nothing_is_refused():
    with pytest.raises(InputError, match="no results; `oneword eval sts`"):
        make_report([])


# Pictures


def sweep(method="prompteol", kind="layers", labels=("", "", ""), axis="layer"):
    points = [Point(x, 50 + x, 48 + x, 53 + x, label) for x, label in enumerate(labels, 1)]
    return Sweep(kind, axis, "95% interval", method, "tiny", "f", ["STSB", "SICKR"], points, "c")


def drawn(path) -> set[str]:
    """The words in a picture: matplotlib notes each text of an SVG in a comment."""
    return set(re.findall("<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_sweeps_are_drawn_with_their_names(tmp_path):
    draw_sweeps([sweep(), sweep("metaeol")], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    draw_sweeps([sweep(), sweep("metaeol")], tmp_path / "a.svg")
    shown = drawn(tmp_path / "a.svg")
    assert {
        "layer",
        "Spearman \u00d7 100 (average of 2)",
        "prompteol",
        "metaeol",
        "tiny; 95% interval",
        "1",
        "2",
    } <= shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]


@pytest.mark.parametrize("kind", ["tasks", "perturb"])
def test_labels_stand_on_the_axis_as_they_are_written(tmp_path, kind):
    draw_sweeps(
        [sweep("costs $_$", kind, labels=["paraphrases", "+ sentiment", "$_$"], axis="wording")], tmp_path / "a.SVG"
    )
    assert {"paraphrases", "+ sentiment", "$_$", "wording", "costs $_$"} <= drawn(tmp_path / "a.SVG")


def test_an_interval_that_does_not_hold_its_score_is_drawn_too(tmp_path):
    aside = replace(sweep(kind="perturb"), points=[Point(0, 50, 51, 52, "a"), Point(1, 50, 48, 49, "b")])
    draw_sweeps([aside], tmp_path / "a.svg")
    assert {"a", "b"} <= drawn(tmp_path / "a.svg")


def test_averages_are_drawn_for_each_kind(tmp_path):
    report = make_report(
        [
            *(result(task, score, items=items()) for task, score in (("STS12", 40.0), ("STSB", 61.0))),
            result("TREC", 80.0, kind="transfer", metric="accuracy"),
        ]
    )
    draw_rows(report.panels(), tmp_path / "a.svg")
    assert {
        "STS: spearman, STS12, STSB",
        "transfer: accuracy, TREC",
        "prompteol, layer 5 (tiny)",
        "50.50",
        "80.00",
    } <= drawn(tmp_path / "a.svg")
    draw_rows(report.panels()[:1], tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
