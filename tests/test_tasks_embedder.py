"""TaskEmbedder: what a vector depends on, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from oneword.errors import FingerprintError, InputError, ModelError
from oneword.tasks import Dataset, Pool, TaskEmbedder, TaskEmbedding
from oneword.tasks.trainable import TrainableModel

TEXTS = [
    f"{'lovely' if row % 3 else 'awful'} weather in {'Rome' if row % 2 else 'Oslo'}, day {row}" for row in range(40)
]
MOOD = ["nice" if row % 3 else "bad" for row in range(40)]
POOL = Pool("pool", tuple(f"a note on {'rain' if row % 2 else 'sun'} number {row}" for row in range(40)))


@pytest.fixture(scope="module")
def surrogate(tiny_model):
    return TrainableModel(tiny_model("bert"), device="cpu")


@pytest.fixture
def embedder(surrogate):
    return TaskEmbedder(surrogate, tuning={"steps": 10})


class Rain:
    """A predictor of two classes that notes what it was asked."""

    name = "rain"
    classes = ("dry", "wet")

    def __init__(self, answers="probabilities"):
        self.answers, self.asked = answers, []

    def predict(self, texts, text_pairs=None):
        self.asked += texts
        wet = np.array(["rain" in text for text in texts])
        if self.answers == "classes":
            return ["wet" if one else "dry" for one in wet]
        return np.stack([1.0 - wet, wet], axis=1)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(surrogate, embedder):
    data = Dataset("weather", TEXTS, MOOD)
    first, second = embedder.embed_dataset(data), embedder.embed_dataset(data)
    assert np.array_equal(first.vector, second.vector)
    other = TaskEmbedder(surrogate, seed=1, tuning={"steps": 10}).embed_dataset(data)
    assert not np.array_equal(first.vector, other.vector)
    assert first.space == other.space


@pytest.mark.parametrize("form", ["tupate", "taskemb"])
def test_names_of_classes_do_not_count_but_the_labels_do(surrogate, form):
    embedder = TaskEmbedder(surrogate, form, tuning={"steps": 10})
    as_words = embedder.embed_dataset(Dataset("weather", TEXTS, MOOD))
    as_digits = embedder.embed_dataset(Dataset("weather", TEXTS, ["1" if mood == "bad" else "0" for mood in MOOD]))
    swapped = embedder.embed_dataset(Dataset("weather", TEXTS, ["0" if mood == "bad" else "1" for mood in MOOD]))
    assert np.array_equal(as_words.vector, as_digits.vector)
    assert as_words.similarity(swapped) > 0.9999
    place = embedder.embed_dataset(Dataset("weather", TEXTS, ["r" if "Rome" in text else "o" for text in TEXTS]))
    assert as_words.similarity(place) < 0.99


def test_a_model_is_known_by_its_answers_alone(embedder):
    soft, named = Rain(), Rain("classes")
    first, second = embedder.embed_model(soft, POOL), embedder.embed_model(named, POOL)
    assert soft.asked == list(POOL.texts)
    assert np.array_equal(first.vector, second.vector)  # class names are probabilities of 0 and 1

    class Swapped(Rain):
        def predict(self, texts, text_pairs=None):
            return super().predict(texts)[:, ::-1]

    assert first.similarity(embedder.embed_model(Swapped(), POOL)) > 0.9999


def test_a_models_vector_never_sees_labels(surrogate, tmp_path):
    """The same predictor on a file of texts whose label column is shuffled: the vector is the same to the bit."""
    embedder = TaskEmbedder(surrogate, tuning={"steps": 10})
    vectors = []
    for order in (1, -1):
        path = tmp_path / f"pool{order}.jsonl"
        rows = [{"text": text, "label": label} for text, label in zip(POOL.texts, MOOD[::order])]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        vectors.append(embedder.embed_model(Rain(), path).vector)
    assert np.array_equal(*vectors)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        (lambda texts: [float(len(text)) for text in texts], "regression"),
        (lambda texts: [f"this says {text}" for text in texts], "text"),
        (lambda texts: ["wet" if "rain" in text else "dry" for text in texts], "classification"),
    ],
)
@pytest.mark.parametrize("name", ["bert", "t5"])
def test_every_kind_of_answer_has_a_vector(tiny_model, name, answer, task):
    class Model:
        def predict(self, texts, text_pairs=None):
            return answer(texts)

    embedder = TaskEmbedder(TrainableModel(tiny_model(name), device="cpu"), tuning={"steps": 3})
    embedding = embedder.embed_model(Model(), POOL)
    assert (embedding.of, embedding.task) == ("model", task)
    assert embedding.vector.any()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda texts: [0.5] * (len(texts) - 1), "was given 40 texts and answered 39 rows"),
        (lambda texts: [[0.5, float("nan")]] * len(texts), "row 1: its answer is not a finite number"),
        (lambda texts: [[3.0, -1.0]] * len(texts), "no probabilities"),
        (lambda texts: [[0.5, 0.25, 0.25]] * len(texts), "has 2 classes and answered 3 probabilities"),
        (lambda texts: ["damp"] * len(texts), "'damp' is none of its classes"),
        (lambda texts: ["wet"] * len(texts), "answers the same for all 40 texts"),
        (lambda texts: "wet", "answered str, not a row for each text"),
        (lambda texts: [2] * len(texts), "row 1: '2' is none of its classes"),
    ],
)
def test_answers_that_are_none_are_refused(embedder, answer, message):
    class Bad(Rain):
        def predict(self, texts, text_pairs=None):
            return answer(texts)

    with pytest.raises(InputError, match=message):
        embedder.embed_model(Bad(), POOL)


def test_a_wrong_answer_is_named_by_its_row_of_all(embedder):
    class Late(Rain):
        piece = 16

        def predict(self, texts, text_pairs=None):
            late = np.array(["number 35" in text for text in texts])
            return np.where(late[:, None], np.nan, super().predict(texts))

    with pytest.raises(InputError, match="row 36: its answer is not a finite number"):
        embedder.embed_model(Late(), POOL)

    class Changing(Rain):
        classes = None
        piece = 16

        def predict(self, texts, text_pairs=None):
            return [1.0] * len(texts) if len(self.asked) else super().predict(texts)

    with pytest.raises(InputError, match=r"probabilities in row 1 and numbers in row 17"):
        embedder.embed_model(Changing(), POOL)


def test_numbers_that_name_classes_are_classes(embedder):
    class Digits(Rain):
        classes = (0, 1)

        def predict(self, texts, text_pairs=None):
            return [int("rain" in text) for text in texts]

    assert np.array_equal(embedder.embed_model(Digits(), POOL).vector, embedder.embed_model(Rain(), POOL).vector)


def test_the_surrogate_reads_what_the_model_read(embedder):
    class Single(Rain):
        takes_pairs = False

    with_pairs = Pool("pool", POOL.texts, tuple(f"another text {row}" for row in range(len(POOL))))
    first, second = (embedder.embed_model(Single(), pool) for pool in (POOL, with_pairs))
    assert np.array_equal(first.vector, second.vector)


def test_tuning_that_left_no_trace_is_refused(surrogate):
    with pytest.raises(ModelError, match="left no trace"):
        TaskEmbedder(surrogate, tuning={"steps": 1}).embed_dataset(Dataset("weather", TEXTS, MOOD))


def test_labels_of_numpy_are_as_good_as_lists(embedder):
    data = [Dataset("d", TEXTS, kind([row % 2 for row in range(40)])) for kind in (np.array, list)]
    assert data[0] == data[1]
    assert data[0].digest == data[1].digest
    numbers = Dataset("d", TEXTS, np.arange(40, dtype=np.float32), kind="regression")
    assert embedder.embed_dataset(numbers).vector.any()


def test_a_pool_that_overlaps_the_target_is_refused(embedder):
    target = Dataset("target", ["Something else.", POOL.texts[3].upper() + "!"] * 2, ["x", "y"] * 2)
    with pytest.raises(InputError, match="pool"):
        embedder.embed_model(Rain(), POOL, apart_from=[target])


def test_pairs_are_asked_for_where_a_model_takes_them(embedder):
    class Nli(Rain):
        takes_pairs = True

        def predict(self, texts, text_pairs=None):
            same = np.array([one.split()[3] == other.split()[3] if len(other.split()) > 3 else True
                             for one, other in zip(texts, text_pairs)])  # fmt: skip
            return np.stack([same, 1.0 - same], axis=1)

    with pytest.raises(InputError, match=r"takes pairs of texts.*--pair-texts"):
        embedder.embed_model(Nli(), POOL)
    assert embedder.embed_model(Nli(), POOL.paired()).vector.any()


def test_what_was_answered_is_not_asked_again(surrogate, tmp_path):
    class Failing(Rain):
        fingerprint = "rain-1"
        piece = 10
        fails = True

        def predict(self, texts, text_pairs=None):
            if self.fails and len(self.asked) == 20:
                raise InputError("the line is dead; try again")
            return super().predict(texts)

    embedder = TaskEmbedder(surrogate, tuning={"steps": 10}, work=tmp_path)
    model = Failing()
    with pytest.raises(InputError, match="the line is dead"):
        embedder.embed_model(model, POOL)
    model.fails = False
    again = embedder.embed_model(model, POOL)
    assert model.asked == list(POOL.texts)  # each once
    assert np.array_equal(again.vector, TaskEmbedder(surrogate, tuning={"steps": 10}).embed_model(Rain(), POOL).vector)


@pytest.mark.parametrize("form", ["tupate", "taskemb", "lora"])
def test_a_stopped_tuning_goes_on_to_the_same_vector(surrogate, tmp_path, form):
    data = Dataset("weather", TEXTS, MOOD)
    whole = TaskEmbedder(surrogate, form, tuning={"steps": 20}).embed_dataset(data)

    def stop(done, total):
        if done == 13:
            raise KeyboardInterrupt

    embedder = TaskEmbedder(surrogate, form, tuning={"steps": 20}, work=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        embedder.embed_dataset(data, on_update=stop)
    seen = []
    resumed = embedder.embed_dataset(data, on_update=lambda done, total: seen.append(done))
    assert seen[0] == 10  # evaluated, and kept, after every fifth update
    assert np.array_equal(resumed.vector, whole.vector)
    assert resumed.provenance["losses"] == whole.provenance["losses"]
    assert not list(tmp_path.rglob("*.pt"))


def test_a_stop_after_tuning_does_not_tune_again(surrogate, tmp_path):
    data = Dataset("weather", TEXTS, MOOD)
    whole = TaskEmbedder(surrogate, "taskemb", tuning={"steps": 20}).embed_dataset(data)
    embedder = TaskEmbedder(surrogate, "taskemb", tuning={"steps": 20}, work=tmp_path)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedder.embed_dataset(data, on_row=stop)
    seen = []
    assert np.array_equal(embedder.embed_dataset(data, on_update=lambda *told: seen.append(told)).vector, whole.vector)
    assert set(seen) == {(20, 20)}


def test_a_broken_checkpoint_is_begun_anew(surrogate, tmp_path):
    data = Dataset("weather", TEXTS, MOOD)
    embedder = TaskEmbedder(surrogate, tuning={"steps": 20}, work=tmp_path)

    def stop(done, total):
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedder.embed_dataset(data, on_update=stop)
    (broken,) = tmp_path.rglob("*.pt")
    broken.write_bytes(b"half of it")
    whole = TaskEmbedder(surrogate, tuning={"steps": 20}).embed_dataset(data)
    assert np.array_equal(embedder.embed_dataset(data).vector, whole.vector)


def test_a_vector_is_read_back_and_compared_only_in_its_space(surrogate, embedder, tmp_path):
    one = embedder.embed_dataset(Dataset("weather", TEXTS, MOOD))
    one.save(tmp_path / "one.safetensors")
    back = TaskEmbedding.load(tmp_path / "one.safetensors")
    assert np.array_equal(back.vector, one.vector)
    assert (back.name, back.space, back.provenance["data"]) == (one.name, one.space, one.provenance["data"])
    assert one.similarity(back) == pytest.approx(1)
    other = TaskEmbedder(surrogate, "bitfit", tuning={"steps": 2}).embed_dataset(Dataset("w", TEXTS, MOOD))
    with pytest.raises(FingerprintError, match=r"tupate-16.*bitfit"):
        one.similarity(other)
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    for path, message in ((tmp_path / "no.safetensors", "holds no task embedding"), (Path("gone"), "no file gone")):
        with pytest.raises(InputError, match=message):
            TaskEmbedding.load(path)
