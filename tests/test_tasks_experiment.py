"""The selection experiment: its data in the layouts they are published in, and what it keeps, counts and says."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks import Pool
from oneword.tasks.selection.candidates import Candidate
from oneword.tasks.selection.experiment import SelectionExperiment, SelectionPlan
from oneword.tasks.selection.experiment_report import make_report, write_report
from oneword.tasks.selection.experiment_tasks import TASKS, read_tasks
from oneword.tasks.selection.families import EmbeddingFamily, make_families
from oneword.tasks.trainable import TrainableModel
from selection_data import write_selection_data


def test_tasks_are_read_from_their_layouts_with_the_labels_of_the_prompts(tmp_path):
    tasks, missing = read_tasks(write_selection_data(tmp_path), examples=10)
    assert [task.name for task in tasks] == ["SST2", "CR", "tweet_emotion", "SICK", "RTE"]
    assert missing == ["MR"]
    assert {*TASKS} == {task.name for task in tasks} | {"MR"}
    for task in tasks:
        assert len(task.test) == 10
        assert task.test.name == task.train.name == task.name
        assert (task.test.text_pairs is None) == (task.kind == "sentiment")
        if task.kind == "sentiment":
            for text, label in zip(task.train.texts, task.train.labels):
                liked = any(praise in text for praise in ("joy", "funny", "well made"))
                assert label == ("positive" if liked else "negative"), text
    sick, rte = tasks[3:]
    assert set(sick.train.classes) == {"entailment", "neutral", "contradiction"}
    assert set(rte.train.classes) == {"entailment", "not_entailment"}


def test_a_small_test_part_is_filled_up_from_the_train_part_which_loses_that(tmp_path):
    (rte,), _ = read_tasks(write_selection_data(tmp_path, examples=24, tasks=["RTE"]), examples=30, only=["rte"])
    assert (len(rte.train), len(rte.test)) == (18, 30)
    assert not {*zip(rte.train.texts, rte.train.text_pairs)} & {*zip(rte.test.texts, rte.test.text_pairs)}
    (rte,), _ = read_tasks(tmp_path, examples=1000, only=["rte"])
    assert (len(rte.train), len(rte.test)) == (12, 36)  # half of the train part at the most


def test_samples_depend_on_the_seed_alone(tmp_path):
    write_selection_data(tmp_path, tasks=["SST2"])
    first, again, other = (read_tasks(tmp_path, 10, seed)[0][0].test.texts for seed in (0, 0, 1))
    assert first == again != other
    assert max(Counter(first).values()) == 1


def test_a_folder_without_the_tasks_is_refused_with_the_layout(tmp_path):
    write_selection_data(tmp_path, tasks=["RTE"])
    with pytest.raises(InputError, match=r"none of the tasks CR; it needs senteval/ with SST/binary"):
        read_tasks(tmp_path, 10, only=["CR"])
    with pytest.raises(InputError, match=r"unknown task 'rotten'"):
        read_tasks(tmp_path, 10, only=["rotten"])
    (tmp_path / "tasks" / "rte" / "test.jsonl").write_text('{"text": "a", "text_pair": "b", "label": "perhaps"}\n')
    with pytest.raises(InputError, match=r"perhaps"):
        read_tasks(tmp_path, 10)


class Reader:
    """Finds the words that a label goes by, in some texts; of the others it guesses."""

    piece = 4

    def __init__(self, kind: str, skill: float, asked: Counter, most: float = np.inf) -> None:
        self.classes = ("positive", "negative") if kind == "sentiment" else ("entailment", "neutral", "contradiction")
        self.takes_pairs = kind == "inference"
        self.fingerprint = self.name = f"{kind} {skill}"
        self._skill, self._asked, self._most = skill, asked, most

    def predict(self, texts, text_pairs=None):
        if sum(self._asked.values()) + len(texts) > self._most:
            raise KeyboardInterrupt
        self._asked[self.name] += len(texts)
        return [self._answer(text, pair) for text, pair in zip(texts, text_pairs or texts)]

    def _answer(self, text, pair):
        drawn = hashlib.sha256(f"{self.name} {text} {pair}".encode()).digest()
        if self.takes_pairs:
            right = ["is red" in pair, "may be" in pair, "not" in pair].index(True) if " red" in pair else 0
        else:
            right = 0 if any(praise in text for praise in ("joy", "funny", "well made")) else 1
        chosen = right if drawn[0] / 256 < self._skill else drawn[1] % len(self.classes)
        sure = 0.6 + 0.3 * drawn[2] / 256
        return [sure if place == chosen else (1 - sure) / (len(self.classes) - 1) for place in range(len(self.classes))]


class Readers:
    """A family of such candidates, the last of which is the best."""

    def __init__(self, asked: Counter, most: float = np.inf, skills=(0.1, 0.4, 0.7, 0.95)) -> None:
        self._given, self._skills = (asked, most), skills

    def candidates(self, task):
        readers = [Reader(task.kind, skill, *self._given) for skill in self._skills]
        return [Candidate(str(number), one, None, "readers") for number, one in enumerate(readers, 1)]


POOL = Pool("pool", tuple(f"{'a joy' if row % 3 else 'a mess'}: boats and trees, {row}" for row in range(20)))
METHODS = ("fute-tupate", "mi", "global-entropy", "zps-log", "self-select", "spell")


@pytest.fixture(scope="module")
def surrogate(tiny_model):
    return TrainableModel(tiny_model("bert"), device="cpu")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return read_tasks(write_selection_data(tmp_path_factory.mktemp("data")), examples=20)[0]


@pytest.fixture(scope="module")
def experiment(surrogate, tasks, tmp_path_factory):
    """An experiment that ran: itself, what it found, what was asked, and where it kept that."""
    folder, asked = tmp_path_factory.mktemp("experiment"), Counter()
    made = begin(tasks, surrogate, folder)
    return made, made.run("readers", Readers(asked)), asked, folder


def begin(tasks, surrogate, folder, methods=METHODS):
    return SelectionExperiment(SelectionPlan(methods, 12, tuning={"steps": 3}), tasks, POOL, surrogate, folder)


def test_every_method_that_applies_scores_every_candidate_of_every_task(experiment, tasks):
    _, found, _, _ = experiment
    assert [(one.task, one.kind) for one in found] == [(task.name, task.kind) for task in tasks]
    for one, task in zip(found, tasks):
        assert set(one.scores) == set(METHODS) - {"self-select", "spell"}  # those are for LLMs with prompts
        assert all(len(scores) == 4 for scores in one.scores.values())
        assert (one.candidates, one.examples, one.labels) == (("1", "2", "3", "4"), 20, 12)
        predictor = Reader(task.kind, 0.95, Counter())
        answers = [
            predictor.classes[row] for row in np.argmax(predictor.predict(task.test.texts, task.test.text_pairs), 1)
        ]
        if task.name == "RTE":  # three labels are read as two
            answers = [label if label == "entailment" else "not_entailment" for label in answers]
        assert one.accuracies[3] == np.mean([given == truth for given, truth in zip(answers, task.test.labels)])
        assert one.accuracies[3] > one.accuracies[0]


def test_a_second_run_asks_and_computes_nothing(experiment, tasks, surrogate, monkeypatch):
    made, found, asked, folder = experiment
    assert made.calls.made == sum(asked.values()) == 4 * (5 * 20 + 2 * len(POOL))
    monkeypatch.setattr("oneword.tasks.task_embedder.tune", None)
    again = begin(tasks, surrogate, folder)
    assert again.run("readers", Readers(asked, most=0)) == found
    assert again.calls.made == 0
    assert again.calls.saved >= made.calls.made
    more = begin(tasks, surrogate, folder, (*METHODS, "zps-vote"))  # a further method asks nothing either
    assert "zps-vote" in more.run("readers", Readers(asked, most=0))[0].scores


def test_a_run_that_was_stopped_asks_only_what_is_missing(experiment, tasks, surrogate, tmp_path):
    _, found, whole, _ = experiment
    asked: Counter = Counter()
    with pytest.raises(KeyboardInterrupt):
        begin(tasks, surrogate, tmp_path).run("readers", Readers(asked, most=150))
    assert 0 < sum(asked.values()) <= 150
    again = begin(tasks, surrogate, tmp_path).run("readers", Readers(asked))
    assert asked == whole
    assert [one.scores for one in again] == [one.scores for one in found]


def test_the_map_shows_kinds_as_colours_families_as_markers_and_prompts_as_names(experiment, tasks):
    embeddings = experiment[0].embeddings
    models = [one for one in embeddings.values() if one.of == "model"]
    assert len(models) == 8
    assert {(one.task, one.name) for one in models} == {
        (kind, str(number)) for kind in ("sentiment", "inference") for number in range(1, 5)
    }
    assert {one.provenance["model"] for one in models} == {"readers"}
    assert {one.name for one in embeddings.values() if one.of == "dataset"} == {task.name for task in tasks}


def test_a_pool_with_texts_of_a_task_is_refused(tasks, surrogate, tmp_path):
    pool = Pool("pool", (tasks[0].test.texts[0], "something else"))
    with pytest.raises(InputError, match=r"SST2"):
        SelectionExperiment(SelectionPlan(METHODS, 12), tasks, pool, surrogate, tmp_path)


def test_embeddings_are_classified_as_other_tasks_are_their_own_where_there_is_none(tasks, tiny_model, tmp_path):
    family = EmbeddingFamily(str(tiny_model("llama")), tasks, 12, 0, tmp_path, device="cpu", dtype="float32")
    by_task = {task.name: family.candidates(task) for task in tasks}
    names = {task: {one.name.partition("@")[2] for one in found} for task, found in by_task.items()}
    assert names["SST2"] == {"CR", "tweet_emotion"}
    assert names["RTE"] == {"SICK"}
    assert names["SICK"] == {"SICK"}  # RTE has no word for contradiction
    assert [one.name for one in by_task["SICK"]] == [f"{number}@SICK" for number in range(1, 9)]
    answers = by_task["SST2"][0].predictor.predict(tasks[0].test.texts)
    assert np.shape(answers) == (20, 2)


def test_specs_name_families(tasks, tmp_path):
    options = {"max_reasoning_tokens": 8, "source_examples": 12, "seed": 0, "folder": tmp_path}
    families = make_families(["a", "embedding:a"], tasks, **options)
    assert [type(one).__name__ for one in families.values()] == ["PromptFamily", "EmbeddingFamily"]
    with pytest.raises(InputError, match=r"names no model"):
        make_families(["embedding:"], tasks, **options)


def test_the_report_has_the_measures_of_each_kind_of_task_and_of_choosing_by_lot(experiment, tmp_path):
    made, found, _, _ = experiment
    report = make_report(found)
    headings, rows = report.rows("readers")
    assert headings[:4] == ["chosen by", "SA performance", "SA rate", "SA NDCG"]
    assert [heading.split()[0] for heading in headings[1::3]] == ["SA", "NLI", "all"]
    assert [row[0] for row in rows] == ["fute-tupate", "mi", "global-entropy", "zps-log", "by lot"]
    performances = []
    for one in found:
        scores = one.scores["mi"]
        performances.append(one.accuracies[scores.index(max(scores))])
    mi = dict(zip(headings, rows[1]))
    assert float(mi["SA performance"]) == pytest.approx(100 * np.mean(performances[:3]), abs=0.051)
    assert float(mi["all performance"]) == pytest.approx(100 * np.mean(performances), abs=0.051)
    by_lot = dict(zip(headings, rows[-1]))["NLI performance"]
    expected = 100 * np.mean([np.mean(one.accuracies) for one in found[3:]])
    assert float(by_lot.split()[0]) == pytest.approx(expected, abs=0.051)
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", by_lot)

    written = write_report(report, found, tmp_path, {"seed": 0}, list(made.embeddings.values()))
    assert [path.name for path in written] == ["results.json", "table.md", "map.html", "map.png"]
    fields = json.loads(written[0].read_text())
    for one, kept in zip(found, fields["tasks"]):
        assert kept["accuracies"] == list(one.accuracies)
        assert set(kept["seconds"]) >= {"answers", "DTEs", "MTEs with the answers on the pool"}
        scores = one.scores["zps-log"]
        assert kept["chosen"]["zps-log"] == one.candidates[scores.index(max(scores))]
    text = written[1].read_text()
    assert "| candidate | SST2 (20) | CR (20) | tweet_emotion (20) | SICK (20) | RTE (20) |" in text
    assert "SST2" in written[2].read_text()
