"""Transfer tasks: read as SentEval reads them, and scored as its protocol says, to the text."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from oneword import extras
from oneword.errors import InputError, ModelError
from oneword.evaluation import transfer
from oneword.evaluation.transfer import score_task
from oneword.evaluation.transfer_data import (
    PUBLISHED_SIZES,
    TASKS,
    LabelledTexts,
    TransferTask,
    check_folds,
    find_task,
    missing_folder,
    read_task,
)

SENTEVAL = Path(__file__).parents[2] / "shared" / "data" / "senteval"
HEADINGS = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
SST2 = {f"SST/binary/sentiment-{split}": "good film\t1\nbad film\t0\n" for split in ("train", "dev", "test")}
TREC = {"TREC/train_5500.label": "LOC:city Where ?\nHUM:ind Who ?\n", "TREC/TREC_10.label": "LOC:other Whence ?\n"}
MRPC = {
    f"MRPC/msr_paraphrase_{split}.txt": f"{HEADINGS}1\t7\t8\ta b\tc\n0\t9\t9\td\te f\n" for split in ("train", "test")
}
Write = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def data(tmp_path: Path) -> Write:
    """Write files into a data folder; the answer is the folder."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def refused(folder: Path, task: str) -> str:
    with pytest.raises(InputError) as caught:
        read_task(folder, task)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


# Reading


@pytest.mark.parametrize(
    ("task", "one", "zero"),
    [
        ("MR", "rt-polarity.pos", "rt-polarity.neg"),
        ("CR", "custrev.pos", "custrev.neg"),
        ("SUBJ", "subj.objective", "subj.subjective"),
        ("MPQA", "mpqa.pos", "mpqa.neg"),
    ],
)
def test_texts_of_two_files_stand_in_senteval_s_order(data, task, one, zero):
    whole = read_task(data({f"{task}/{one}": "d e f\nc\na b\n", f"{task}/{zero}": "h\ng i\nj"}), task).splits["whole"]
    assert list(zip(whole.texts, whole.labels)) == [
        ("h", "0"),
        ("j", "0"),
        ("c", "1"),
        ("g i", "0"),
        ("a b", "1"),
        ("d e f", "1"),
    ]
    assert [place.rpartition("/")[2] for place in whole.places[:3]] == [
        f"{zero}, line 1",
        f"{zero}, line 3",
        f"{one}, line 2",
    ]


def test_a_blank_line_is_a_text_without_words_that_comes_before_those_of_one_word(data):
    whole = read_task(data({"CR/custrev.pos": "a\n\n  \nb\n", "CR/custrev.neg": "c\n\n"}), "CR").splits["whole"]
    assert list(zip(whole.texts, whole.labels)) == [
        (".", "0"),
        (".", "1"),
        (".", "1"),
        ("c", "0"),
        ("a", "1"),
        ("b", "1"),
    ]


def test_utf_8_latin_1_quotes_and_windows_line_ends_are_read_as_they_are_meant(data):
    positive = 'the "caf\u00e9"  \u2028 is\tgood\r\n'.encode() + "na\u00efve 'one\r\n".encode("latin-1")
    whole = read_task(data({"MR/rt-polarity.pos": positive, "MR/rt-polarity.neg": '"no\r\n'}), "MR").splits["whole"]
    assert whole.texts == ('"no', "na\u00efve 'one", 'the "caf\u00e9" is good')


def test_sst2_has_a_label_after_each_sentence_and_three_splits(data):
    files = {**SST2, "SST/binary/sentiment-train": 'a "b c\t1\r\nd\t0\n\t1\ne\t1'}
    task = read_task(data(files), "SST2")
    assert [*task.splits] == ["train", "dev", "test"]
    assert list(zip(task.splits["train"].texts, task.splits["train"].labels)) == [
        (".", "1"),
        ("d", "0"),
        ("e", "1"),
        ('a "b c', "1"),
    ]
    assert task.scored is task.splits["test"]


def test_trec_has_the_coarse_label_and_a_question_that_keeps_its_colons(data):
    files = {
        **TREC,
        "TREC/train_5500.label": "NUM:dist How far : 5 ?\nLOC:city  Where ?\nHUM: Who ?\n".encode("latin-1"),
    }
    train = read_task(data(files), "TREC").splits["train"]
    assert list(zip(train.texts, train.labels)) == [("Who ?", "HUM"), ("Where ?", "LOC"), ("How far : 5 ?", "NUM")]


def test_mrpc_has_pairs_below_a_line_of_headings_sorted_by_both_lengths(data):
    rows = '1\t1\t2\tg h\ti\n0\t3\t4\ta "b\tc d\n0\t5\t6\te\tf\tmore\n1\t7\t8\tx\ty\n'
    train = read_task(data({**MRPC, "MRPC/msr_paraphrase_train.txt": HEADINGS + rows}), "MRPC").splits["train"]
    assert list(zip(train.texts, train.second, train.labels)) == [
        ("e", "f", "0"),
        ("x", "y", "1"),
        ("g h", "i", "1"),
        ('a "b', "c d", "0"),
    ]
    assert train.places[0].endswith("msr_paraphrase_train.txt, line 4")


@pytest.mark.parametrize(
    ("name", "task"), [*((task, task) for task in TASKS), ("sst-2", "SST2"), (" SST ", "SST2"), ("trec_6", "TREC")]
)
def test_a_task_is_found_in_any_spelling(name, task):
    assert find_task(name) == task


def test_an_unknown_task_is_refused_with_those_that_are_near():
    with pytest.raises(InputError, match=r"unknown transfer task 'MRPX' \(.*MRPC"):
        find_task("MRPX")


def test_a_folder_that_is_missing_is_named_with_what_makes_it(data):
    folder = data(SST2)
    assert missing_folder(folder, "SST2") is None
    assert missing_folder(folder, "CR") == folder / "CR"
    assert refused(folder, "CR").startswith("CR is missing: there is no folder CR; SentEval's")


@pytest.mark.parametrize("task", ["CR", "SST2", "TREC", "MRPC"])
def test_every_file_of_a_task_must_be_there_and_hold_texts(data, task):
    files = {**SST2, **TREC, **MRPC, "CR/custrev.pos": "a\n", "CR/custrev.neg": "b\n"}
    folder = data(files)
    read_task(folder, task)
    for name in files:
        if name.startswith(task[:3]):
            (folder / name).unlink()
            assert refused(folder, task) == (
                f"{name} cannot be read: there is no such file; {task} needs all of SentEval's files"
            )
            data({name: ""})
            assert refused(folder, task) == f"{name} holds no texts"
            data({name: files[name]})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("SST/binary/sentiment-dev", "a\t1\nb\n", "1 columns between tabs, where 2 are needed"),
        ("SST/binary/sentiment-dev", "a\t1\n\n", "1 columns between tabs, where 2 are needed"),
        ("SST/binary/sentiment-dev", "a\t1\nb\t2\n", "the label '2' is neither 0 nor 1"),
        ("SST/binary/sentiment-train", "a\t1\nb\tx\n", "the label 'x' is neither 0 nor 1"),
        (
            "TREC/TREC_10.label",
            "LOC:x a\nWhat is this : it ?\n",
            "'What' is no label; one such as 'LOC:city' is needed",
        ),
        ("TREC/TREC_10.label", "LOC:x a\n:x What ?\n", "':x' is no label; one such as 'LOC:city' is needed"),
        ("TREC/TREC_10.label", "LOC:x a\n\n", "'' is no label; one such as 'LOC:city' is needed"),
        ("TREC/TREC_10.label", "LOC:x a\nHUM:x \n", "there is no question after the label 'HUM:x'"),
        ("TREC/TREC_10.label", "LOC:x a\nABBR:x b\n", "no text to train on has the label 'ABBR'; known: HUM, LOC"),
        ("MRPC/msr_paraphrase_test.txt", f"{HEADINGS}1\t2\t3\ta\n", "4 columns between tabs, where 5 are needed"),
        ("MRPC/msr_paraphrase_test.txt", f"{HEADINGS}yes\t2\t3\ta\tb\n", "the label 'yes' is neither 0 nor 1"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_named(data, name, content, message):
    folder = data({**SST2, **TREC, **MRPC, name: content})
    assert refused(folder, find_task(name.partition("/")[0])).startswith(f"{name}, line 2: {message}")


def test_pairs_without_headings_are_refused_before_one_of_them_is_lost(data):
    folder = data({**MRPC, "MRPC/msr_paraphrase_test.txt": "1\t2\t3\ta\tb\n0\t2\t3\ta\tb\n"})
    assert refused(folder, "MRPC").startswith("MRPC/msr_paraphrase_test.txt, line 1: the headings 'Quality, #1 ID ...'")


# The protocol


def made_up(*sizes: int, kinds: int = 2, pairs: bool = False, seed: int = 1) -> list[LabelledTexts]:
    """Splits of texts whose words hint at their label."""
    generator = random.Random(seed)

    def text(label: int) -> str:
        words = [f"w{generator.randrange(12)}" for _ in range(generator.randint(2, 8))]
        return " ".join(f"{word}_{label}" if generator.random() < 0.25 else word for word in words)

    splits = []
    for size in sizes:
        labels = [generator.randrange(kinds) for _ in range(size)]
        texts = [text(label) for label in labels]
        second = [
            one if label and generator.random() < 0.3 else text(generator.randrange(2))
            for one, label in zip(texts, labels)
        ]
        places = [f"made up, line {number}" for number in range(1, size + 1)]
        splits.append(LabelledTexts(texts, [str(label) for label in labels], places, second if pairs else ()))
    return splits


def bag_of_words(texts: Sequence[str], dimensions: int = 24) -> np.ndarray:
    vectors = np.zeros((len(texts), dimensions), dtype=np.float32)
    for number, text in enumerate(texts):
        for word in text.split():
            vectors[number, zlib.crc32(word.encode()) % dimensions] += 1
    return vectors


def huge_dimensions(texts: Sequence[str]) -> np.ndarray:
    """As hidden states are: some dimensions are thousands of times others, and far from zero."""
    generator = np.random.default_rng(1)
    bag = bag_of_words(texts)
    mixed = bag @ generator.normal(size=(24, 24)).astype(np.float32) + 5
    return mixed * np.geomspace(0.1, 300, 24, dtype=np.float32)


def fitted(vectors: np.ndarray, labels: np.ndarray, cost: float) -> LogisticRegression:
    model = LogisticRegression(C=cost, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    return model.fit(vectors.astype(np.float64), labels)


def folds_of(labels: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(StratifiedKFold(n_splits=folds, shuffle=True, random_state=1111).split(np.zeros(len(labels)), labels))


def best_cost(vectors: np.ndarray, labels: np.ndarray, folds: int, costs: Sequence[float]) -> tuple[float, float]:
    """By the mean accuracy of folds, in percent: it and its C."""
    means = []
    for cost in costs:
        scores = [
            fitted(vectors[train], labels[train], cost).score(vectors[test], labels[test])
            for train, test in folds_of(labels, folds)
        ]
        means.append(round(100 * float(np.mean(scores)), 2))
    return max(means), costs[means.index(max(means))]


def naive_whole(vectors: np.ndarray, labels: np.ndarray, folds: int) -> tuple[float, float, np.ndarray, list[float]]:
    """Every classifier of the nested protocol, one after another: accuracy, development, what is right, the Cs."""
    right, tested, chosen = np.zeros(len(labels), dtype=bool), [], []
    for train, test in folds_of(labels, folds):
        chosen.append(best_cost(vectors[train], labels[train], folds, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]))
        right[test] = fitted(vectors[train], labels[train], chosen[-1][1]).predict(vectors[test]) == labels[test]
        tested.append(100 * right[test].mean())
    return np.mean(tested), np.mean([score for score, _ in chosen]), right, [cost for _, cost in chosen]


@pytest.mark.parametrize("vectors", [bag_of_words, huge_dimensions])
def test_a_whole_task_is_scored_as_by_plain_nested_folds(vectors):
    (whole,) = made_up(150)
    accuracy, development, right, chosen = naive_whole(vectors(whole.texts), np.array(whole.labels), 4)
    found = score_task(TransferTask("CR", {"whole": whole}), vectors, folds=4, n_jobs=1)
    assert 60 < accuracy < 95
    assert len(set(chosen)) > 1
    assert found.accuracy == pytest.approx(accuracy)
    assert found.development == pytest.approx(development, abs=0.01)
    assert found.correct.tolist() == right.tolist()
    assert [*found.chosen] == chosen
    assert (found.sizes, found.fits, found.unconverged, found.f1) == ({"whole": 150}, 4 * 5 * 6, 0, None)


def test_a_task_with_development_texts_chooses_c_by_them():
    train, dev, test = made_up(150, 60, 80)
    found = score_task(TransferTask("SST2", {"train": train, "dev": dev, "test": test}), bag_of_words, n_jobs=1)
    costs = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    models = [fitted(bag_of_words(train.texts), np.array(train.labels), cost) for cost in costs]
    scores = [100 * model.score(bag_of_words(dev.texts), dev.labels) for model in models]
    best = int(np.argmax(scores))
    assert min(scores) < scores[best] > scores[0]
    assert found.chosen == (costs[best],)
    assert found.development == pytest.approx(scores[best])
    assert found.correct.tolist() == (models[best].predict(bag_of_words(test.texts)) == np.array(test.labels)).tolist()
    assert found.accuracy == pytest.approx(100 * found.correct.mean())
    assert found.sizes == {"train": 150, "dev": 60, "test": 80}


@pytest.mark.parametrize("vectors", [bag_of_words, huge_dimensions])
def test_more_than_two_labels_are_classified_by_one_model_with_c_from_folds_of_the_training_texts(vectors):
    train, test = made_up(200, 80, kinds=3)
    found = score_task(TransferTask("TREC", {"train": train, "test": test}), vectors, folds=4, n_jobs=1)
    labels = np.array(train.labels)
    development, cost = best_cost(vectors(train.texts), labels, 4, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    predicted = fitted(vectors(train.texts), labels, cost).predict(vectors(test.texts))
    assert found.correct.tolist() == (predicted == np.array(test.labels)).tolist()
    assert 40 < found.accuracy < 95
    assert found.chosen == (cost,)
    assert found.development == pytest.approx(development, abs=0.01)
    assert (found.f1, found.unconverged, found.fits) == (None, 0, 5 * 7)


def test_pairs_are_classified_by_difference_and_product_and_have_an_f1():
    train, test = made_up(200, 80, pairs=True)
    found = score_task(TransferTask("MRPC", {"train": train, "test": test}), bag_of_words, folds=4, n_jobs=1)

    def features(part: LabelledTexts) -> np.ndarray:
        first, second = bag_of_words(part.texts), bag_of_words(part.second)
        return np.concatenate([np.abs(first - second), first * second], axis=1)

    labels = np.array(train.labels)
    _, cost = best_cost(features(train), labels, 4, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    predicted = fitted(features(train), labels, cost).predict(features(test))
    assert found.correct.tolist() == (predicted == np.array(test.labels)).tolist()
    assert found.f1 == pytest.approx(100 * f1_score(test.labels, predicted, pos_label="1"))
    assert found.f1 != pytest.approx(100 * f1_score(test.labels, predicted, pos_label="0"))


def test_of_equally_good_cs_the_smallest_is_taken():
    (whole,) = made_up(40)
    train, test = made_up(40, 10)
    for task, smallest in [
        (TransferTask("CR", {"whole": whole}), (0.25,) * 3),
        (TransferTask("TREC", {"train": train, "test": test}), (0.5,)),
    ]:
        assert score_task(task, lambda texts: np.ones((len(texts), 4)), folds=3).chosen == smallest


def test_accuracies_are_compared_to_two_decimals():
    dev = ["-2", "2"] * 10_000
    splits = {
        "train": LabelledTexts(["-1"] * 9 + ["1"], ["0"] * 9 + ["1"], ["made up"] * 10),
        "dev": LabelledTexts([*dev, "0.5"], ["0", "1"] * 10_000 + ["1"], ["made up"] * 20_001),  # 0.5 needs a large C
        "test": LabelledTexts(["2"], ["1"], ["made up"]),
    }

    def vectors(texts: Sequence[str]) -> np.ndarray:
        return np.array(texts, dtype=np.float32)[:, None]

    train = splits["train"]
    right = [fitted(vectors(train.texts), np.array(train.labels), cost).predict([[0.5]]) == "1" for cost in (1, 8)]
    assert right == [False, True]
    found = score_task(TransferTask("SST2", splits), vectors, n_jobs=1)
    assert found.chosen == (1.0,)


def test_a_shift_of_all_vectors_changes_nothing():
    train, test = made_up(150, 60, kinds=3)
    task = TransferTask("TREC", {"train": train, "test": test})
    expected = score_task(task, bag_of_words, folds=3, n_jobs=1)
    found = score_task(task, lambda texts: bag_of_words(texts) + 1e5, folds=3, n_jobs=1)
    assert found.unconverged == 0
    assert found.correct.tolist() == expected.correct.tolist()


def test_threads_change_nothing_and_vectors_are_asked_for_once():
    asked = []

    def vectors(texts: Sequence[str]) -> np.ndarray:
        asked.append(texts)
        return bag_of_words(texts)

    train, test = made_up(60, 30, pairs=True)
    task = TransferTask("MRPC", {"train": train, "test": test})
    alone, together = (score_task(task, vectors, folds=3, n_jobs=jobs) for jobs in (1, 2))
    assert asked[0] == [*train.texts, *test.texts, *train.second, *test.second]
    assert len(asked) == 2
    assert (alone.accuracy, alone.f1, alone.chosen) == (together.accuracy, together.f1, together.chosen)


def test_classifiers_that_do_not_reach_their_optimum_are_counted(monkeypatch):
    monkeypatch.setattr(transfer, "_MOST_STEPS", 1)
    (whole,) = made_up(60)
    found = score_task(TransferTask("CR", {"whole": whole}), huge_dimensions, folds=3)
    assert 0 < found.unconverged <= found.fits == 3 * 4 * 6


def test_a_vector_that_is_not_finite_is_refused_with_task_and_text():
    train, test = made_up(40, 10)

    def vectors(texts: Sequence[str]) -> np.ndarray:
        found = bag_of_words(texts)
        found[41, 3] = np.nan
        return found

    with pytest.raises(ModelError) as caught:
        score_task(TransferTask("TREC", {"train": train, "test": test}), vectors, folds=3)
    assert str(caught.value).startswith(f"TREC: the vector of '{test.texts[1]}' is not finite")


def labelled(labels: str) -> LabelledTexts:
    return LabelledTexts([*labels], [*labels], [f"file, line {number}" for number in range(1, len(labels) + 1)])


@pytest.mark.parametrize(
    ("splits", "folds", "message"),
    [
        ({"whole": "0" * 9 + "1" * 5}, 4, "file, line 10: only 5 texts of T have the label '1', too few for 4 folds"),
        ({"whole": "0" * 9 + "1" * 6}, 4, None),
        ({"train": "0" * 9 + "1" * 3, "test": "0"}, 4, "file, line 10: only 3 texts of T have the label '1', too few"),
        ({"train": "0" * 9 + "1" * 4, "test": "0"}, 4, None),
        ({"train": "01", "dev": "01", "test": "01"}, 10, None),
        ({"train": "00", "dev": "0", "test": "0"}, 10, "file, line 1: all of T has the label '0'; two are needed"),
        ({"whole": "0" * 30}, 4, "file, line 1: all of T has the label '0'; two are needed"),
        ({"whole": "01" * 30}, 1, "1 folds are too few; 2 is the least"),
    ],
)
def test_each_label_must_be_in_every_fold(splits, folds, message):
    task = TransferTask("T", {name: labelled(labels) for name, labels in splits.items()})
    if message is None:
        check_folds(task, folds)
        score_task(task, bag_of_words, folds, n_jobs=1)
    else:
        with pytest.raises(InputError) as caught:
            score_task(task, bag_of_words, folds)
        assert str(caught.value).startswith(message)


def test_no_classifier_at_a_time_is_refused():
    with pytest.raises(InputError, match="n_jobs is 0; 1 is the least"):
        score_task(TransferTask("CR", {"whole": labelled("01" * 30)}), bag_of_words, n_jobs=0)


def test_without_scikit_learn_the_line_that_installs_it_is_shown(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"transfer tasks need sklearn; pip install 'oneword\[eval\]'"):
        score_task(TransferTask("CR", {"whole": labelled("01" * 30)}), bag_of_words)


# Research data, which lies beside the checkout or nowhere


@pytest.fixture
def senteval() -> Path:
    if not SENTEVAL.is_dir():
        pytest.skip(f"SentEval's data is not at {SENTEVAL}")
    return SENTEVAL


@pytest.mark.parametrize(("name", "train"), [("CR", None), ("SST2", None), ("TREC", 5452), ("MRPC", 4076)])
def test_the_tasks_have_their_published_sizes(senteval, name, train):
    task = read_task(senteval, name)
    assert len(task.scored) == len(task.scored.texts) == PUBLISHED_SIZES[name]
    assert train is None or len(task.splits["train"]) == train
    check_folds(task, 10)
    assert all(text and text == " ".join(text.split()) for part in task.splits.values() for text in part.texts)


def test_words_alone_give_customer_reviews_the_score_of_plain_nested_folds(senteval):
    task = read_task(senteval, "CR")

    def vectors(texts: Sequence[str]) -> np.ndarray:
        return bag_of_words(texts, 200)

    accuracy, _, right, _ = naive_whole(vectors(task.scored.texts), np.array(task.scored.labels), 2)
    found = score_task(task, vectors, folds=2, n_jobs=1)
    assert 65 < accuracy < 75
    assert found.accuracy == pytest.approx(accuracy, abs=1)
    assert (found.correct == right).mean() > 0.999
