"""Datasets of tasks: what is read, how classes are told apart, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from oneword.errors import InputError
from oneword.tasks import Dataset, Span
from oneword.tasks.collection import read_collection


def written(path: Path, *rows: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(count: int = 20) -> list[dict]:
    return [{"text": f"text {row}", "label": "ab"[row % 2]} for row in range(count)]


def test_csv_and_jsonl_give_the_same_dataset(tmp_path):
    rows = [{"review": "good, really", "stars": "5"}, {"review": "bad", "stars": "1"}] * 2
    (tmp_path / "r.csv").write_text('review,stars\n"good, really",5\nbad,1\n' * 1 + '"good, really",5\nbad,1\n')
    first = Dataset.from_file(tmp_path / "r.csv", text="review", label="stars")
    second = Dataset.from_file(written(tmp_path / "r.jsonl", *rows), text="review", label="stars")
    assert first == second
    assert (first.kind, first.classes) == ("classification", ("5", "1"))


def test_classes_are_numbered_by_their_first_appearance_and_not_by_their_names():
    texts = [f"t{row}" for row in range(6)]
    one = Dataset("d", texts, ["z", "a", "z", "m", "a", "m"])
    other = Dataset("d", texts, ["1", "2", "1", "3", "2", "3"])
    assert [one.classes.index(label) for label in one.labels] == [other.classes.index(label) for label in other.labels]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([1, 2, 1, 2], "classification"), ([1.5, 2.0, 0.25, 1.0], "regression"), (["0.5", "1", "2", "3"], "regression")],
)
def test_numbers_with_fractions_are_regressed_on(tmp_path, labels, kind):
    path = written(tmp_path / "d.jsonl", *({"text": f"t{row}", "label": label} for row, label in enumerate(labels)))
    assert Dataset.from_file(path).kind == kind


def test_answers_are_read_as_squad_writes_them_and_as_wordings(tmp_path):
    context = "The parcel came on Monday, not on Friday."
    squad = {"text": ["Friday"], "answer_start": [context.index("Friday")]}
    path = written(
        tmp_path / "qa.jsonl",
        {"question": "When not?", "context": context, "answers": squad},
        {"question": "When?", "context": context, "answers": json.dumps({"text": "Monday", "answer_start": 19})},
        {"question": "What?", "context": context, "answers": "The parcel"},
    )
    found = Dataset.from_file(path, text="question", text_pair="context", label="answers", kind="span")
    squad_alone = written(
        tmp_path / "squad.jsonl", {"text": "What?", "text_pair": context, "label": {"text": "The", "answer_start": 0}}
    )
    assert Dataset.from_file(squad_alone).kind == "span"
    assert [context[slice(*span)] for span in found.labels] == ["Friday", "Monday", "The parcel"]
    assert found.labels[2] == Span(0, 10)


def test_a_sample_keeps_two_of_every_class_and_is_the_same_for_a_seed():
    data = Dataset("d", [f"t{row}" for row in range(200)], ["rare"] * 3 + ["common"] * 197)
    sample = data.sample(10, seed=3)
    assert len(sample) == 10
    assert Counter(sample.labels)["rare"] >= 2
    assert sample == data.sample(10, seed=3)
    assert sample != data.sample(10, seed=4)
    with pytest.raises(InputError, match="3 examples are too few"):
        data.sample(3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": "x"}, {"text": " ", "label": "y"}], "row 2 is only white space"),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": None}], "row 2 has no label"),
        ([{"text": "a", "label": {"x": 1}}], "is no class"),
        ([{"words": "a", "label": "x"}], "no column 'text'"),
        ([], "no column 'text'"),
        ([{"text": "q", "text_pair": None, "label": {"text": "a", "answer_start": 0}}], "row 1: its context is null"),
        ([{"text": "q", "text_pair": "a", "label": {"text": "a", "answer_start": "x"}}], "answer_start is 'x'"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_row(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        Dataset.from_file(written(tmp_path / "d.jsonl", *rows))


def test_an_answer_outside_its_context_is_refused(tmp_path):
    path = written(tmp_path / "d.jsonl", {"text": "q", "text_pair": "a context", "label": "elsewhere"})
    with pytest.raises(InputError, match="row 1: the answer 'elsewhere' does not stand in its context"):
        Dataset.from_file(path, kind="span")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["x"] * 4, "every label is 'x'"),
        (["x", "x", "y", "x"], r"row 3: the label 'y' appears once"),
    ],
)
def test_nothing_to_learn_is_refused(labels, message):
    with pytest.raises(InputError, match=message):
        Dataset("d", [f"t{row}" for row in range(len(labels))], labels).check_learnable()


def test_a_collection_finds_own_folders_and_sentevals(tmp_path):
    written(tmp_path / "mine" / "alpha" / "train.jsonl", *labelled())
    written(tmp_path / "mine" / "alpha" / "test.jsonl", *labelled(4))
    written(tmp_path / "mine" / "beta" / "train.jsonl", *labelled())
    cr = tmp_path / "senteval" / "CR"
    cr.mkdir(parents=True)
    (cr / "custrev.pos").write_text("good one\n" * 10)
    (cr / "custrev.neg").write_text("bad one\n" * 10)
    found = read_collection(tmp_path)
    assert list(found) == ["CR", "alpha", "beta"]
    assert [len(found["alpha"]().train), len(found["alpha"]().test)] == [20, 4]
    split = found["beta"]()  # no test part: a fifth is split off, of every class
    assert Counter(split.train.labels) == {"a": 8, "b": 8}
    assert Counter(split.test.labels) == {"a": 2, "b": 2}
    assert not set(split.train.texts) & set(split.test.texts)
    assert found["CR"]().domain == "products"


def test_a_collection_refuses_unknown_test_labels_and_empty_folders(tmp_path):
    written(tmp_path / "alpha" / "train.jsonl", *labelled())
    written(tmp_path / "alpha" / "test.jsonl", {"text": "x", "label": "c"})
    with pytest.raises(InputError, match=r"test\.jsonl: no text to train on has the label 'c'"):
        read_collection(tmp_path)["alpha"]()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no dataset"):
        read_collection(tmp_path / "empty")


def test_rows_without_a_label_can_be_left_out(tmp_path):
    rows = [
        {"text": " ", "label": None},
        {"text": "a", "label": 1},
        {"text": "b"},
        {"text": "c", "label": 0},
        {"text": "d", "label": None},
    ]
    path = written(tmp_path / "d.jsonl", *rows)
    found = Dataset.from_file(path, skip_unlabelled=True)
    assert (found.texts, found.labels) == (("a", "c"), ("1", "0"))
    (tmp_path / "d.csv").write_text("text,label\na,\nb,0.5\nc, \nd,2\n")
    assert Dataset.from_file(tmp_path / "d.csv", skip_unlabelled=True).labels == (0.5, 2.0)
    with pytest.raises(InputError, match=r"has no label"):
        Dataset.from_file(written(tmp_path / "e.jsonl", *rows[1:]))


def test_among_rows_without_labels_faults_are_named_by_their_place_in_the_file(tmp_path):
    path = written(tmp_path / "d.jsonl", {"text": "a", "label": None}, {"text": " ", "label": "x"})
    with pytest.raises(InputError, match=r"row 2 is only white space"):
        Dataset.from_file(path, skip_unlabelled=True)
    with pytest.raises(InputError, match=r"no row has a label in the column 'label'"):
        Dataset.from_file(written(tmp_path / "e.jsonl", {"text": "a", "label": ""}), skip_unlabelled=True)


def test_labels_that_begin_late_in_a_file_are_found(tmp_path):
    rows = [{"text": f"t{row}"} for row in range(5000)]
    path = written(tmp_path / "d.jsonl", *rows, {"text": "a", "label": "x"})
    assert Dataset.from_file(path, skip_unlabelled=True).texts == ("a",)


def test_classes_can_be_called_otherwise():
    data = Dataset("d", ["a", "b", "c"], ["joy", "anger", "hope"], ["x", "y", "z"])
    names = {"joy": "good", "hope": "good", "anger": "bad"}
    assert data.relabelled(names).labels == ("good", "bad", "good")
    del names["anger"]
    with pytest.raises(InputError, match=r"d: the label 'anger' has no new name; those that have one: joy, hope"):
        data.relabelled(names)
    kept = data.relabelled(names, drop=True)
    assert (kept.texts, kept.text_pairs, kept.classes) == (("a", "c"), ("x", "z"), ("good",))
    with pytest.raises(InputError, match=r"has no new name"):
        data.relabelled({"other": "good"}, drop=True)
    with pytest.raises(InputError, match=r"has no classes"):
        Dataset("n", ["a"], [0.5], kind="regression").relabelled({})
