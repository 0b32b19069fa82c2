"""PromptSelector: what it asks, what it keeps, and what its scores are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from oneword.errors import InputError
from oneword.tasks import Dataset, Pool, TaskEmbedder
from oneword.tasks.asking import Calls
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.predictors import EmbeddingPredictor
from oneword.tasks.selection.candidates import Candidate, embedding_candidates
from oneword.tasks.selection.label_match import match_labels
from oneword.tasks.selection.selector import PromptSelector
from oneword.tasks.trainable import TrainableModel

TUNING = {"steps": 6}
POOL = Pool("pool", tuple(f"a note on {'rain' if row % 2 else 'sun'} in place {row}" for row in range(24)))
TEXTS = tuple(f"{'rain' if row % 3 else 'sun'} on day {row}" for row in range(12))
DATA = Dataset("weather", TEXTS, tuple("wet" if row % 3 else "dry" for row in range(12)))


class Rain:
    """Sure of rain, or less so; notes what it was asked about."""

    classes = ("dry", "wet")

    def __init__(self, sure: float, classes=("dry", "wet"), fingerprint=True, fails_after=None):
        self.sure, self.classes, self.asked, self.fails_after = sure, classes, Counter(), fails_after
        self.piece = 4
        if fingerprint:
            self.fingerprint = f"rain-{sure}-{'-'.join(classes)}"

    def predict(self, texts, text_pairs=None):
        if self.fails_after is not None and sum(self.asked.values()) >= self.fails_after:
            raise KeyboardInterrupt
        self.asked.update(texts)
        wet = np.array([self.sure if "rain" in text else 1 - self.sure for text in texts])
        columns = {"wet": wet, "dry": 1 - wet}
        return np.stack([columns[label] for label in self.classes], axis=1)


@pytest.fixture(scope="module")
def surrogate(tiny_model):
    return TrainableModel(tiny_model("bert"), device="cpu")


def rains(*sure: float) -> list[Rain]:
    return [Rain(one) for one in sure]


def candidates(predictors) -> list[Candidate]:
    return [Candidate(f"{place}", one, None, "rain") for place, one in enumerate(predictors)]


@pytest.fixture
def selector(surrogate, tmp_path):
    def make(predictors, folder=tmp_path, **more):
        options = {"folder": folder, "pool": POOL, "surrogate": surrogate, "tuning": TUNING, **more}
        return PromptSelector(candidates(predictors), **options)

    return make


def test_columns_are_the_labels_whatever_order_a_candidate_has(selector):
    found = selector([Rain(0.9), Rain(0.9, classes=("wet", "dry"))])
    probabilities = found.probabilities(TEXTS)
    assert found.labels == ("dry", "wet")
    assert np.allclose(probabilities[0], probabilities[1])
    assert np.allclose(probabilities[0, 1], [0.1, 0.9])


def test_all_methods_read_the_same_answers(selector):
    predictors, calls = rains(0.9, 0.6), Calls()
    found = selector(predictors, calls=calls)
    for method in ("mi", "local-entropy", "global-entropy", "zps-log", "zps-prob", "zps-vote"):
        assert found.scores(method, TEXTS).shape == (2,)
    assert found.scores("mi", TEXTS)[0] > found.scores("mi", TEXTS)[1]
    assert all(count == 1 for one in predictors for count in one.asked.values())
    assert (calls.made, calls.saved) == (24, 0)


class Fluent(Rain):
    """An LLM with perplexities; with_prompt makes of it one that is sure of the second of several."""

    def predict_with_perplexity(self, texts, text_pairs=None):
        return self.predict(texts), np.full(len(texts), 10 * self.sure)

    def with_prompt(self, prompt):
        other = Fluent(1.0, classes=prompt.labels)
        other.predict = lambda texts, pairs=None: np.eye(len(prompt.labels))[[1] * len(texts)]
        return other


def test_perplexities_come_with_the_answers(surrogate):
    predictors, calls = [Fluent(0.9), Fluent(0.6)], Calls()
    prompt = LabelPrompt("{text} Rain?", {"dry": ["no"], "wet": ["yes"]})
    llms = [Candidate(f"{place}", one, prompt, "rain") for place, one in enumerate(predictors)]
    found = PromptSelector(llms, calls=calls, perplexity=True)
    found.probabilities(TEXTS)
    assert found.scores("spell", TEXTS) == pytest.approx([-9, -6])
    assert all(one.asked == Counter(TEXTS) for one in predictors)
    assert (calls.made, calls.saved) == (24, 0)
    assert found.scores("self-select", TEXTS).tolist() == [0, 1]


def test_fute_is_the_cosine_of_the_dataset_s_and_the_models_task_embeddings(selector, surrogate):
    predictors = rains(0.9, 0.2)
    scores = selector(predictors).scores("fute-tupate", (), labelled=DATA)
    embedder = TaskEmbedder(surrogate, "tupate", tuning=TUNING)
    dataset = embedder.embed_dataset(DATA)
    expected = [dataset.similarity(embedder.embed_model(one, POOL)) for one in rains(0.9, 0.2)]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert len(set(scores)) == 2


@pytest.fixture
def tuned(monkeypatch) -> Counter:
    """How many vectors were tuned, of datasets and of models."""
    count: Counter = Counter()
    for name in ("embed_dataset", "embed_answers"):
        real = getattr(TaskEmbedder, name)

        def noted(self, *given, _name=name, _real=real, **more):
            count[_name] += 1
            return _real(self, *given, **more)

        monkeypatch.setattr(TaskEmbedder, name, noted)
    return count


def test_a_new_dataset_costs_one_dte_and_no_question(selector, tuned):
    first, calls = selector(rains(0.9, 0.6, 0.2)), Calls()
    scores = first.scores("fute-tupate", (), labelled=DATA)
    assert (tuned["embed_dataset"], tuned["embed_answers"], first.calls.made) == (1, 3, 72)
    tuned.clear()
    later = selector(rains(0.9, 0.6, 0.2), calls=calls)
    other = Dataset("other", TEXTS, [*DATA.labels[1:], DATA.labels[0]])
    assert not np.array_equal(later.scores("fute-tupate", (), labelled=other), scores)
    assert (tuned["embed_dataset"], tuned["embed_answers"], calls.made) == (1, 0, 0)
    tuned.clear()
    assert np.array_equal(selector(rains(0.9, 0.6, 0.2)).scores("fute-tupate", (), labelled=DATA), scores)
    assert not tuned


def test_what_makes_another_vector_is_not_found_kept(selector, surrogate, tuned, tmp_path):
    selector(rains(0.9, 0.6)).scores("fute-tupate", (), labelled=DATA)
    for more in ({"seed": 1}, {"tuning": {"steps": 7}}, {"pool": POOL.rows(range(20))}):
        tuned.clear()
        selector(rains(0.9, 0.6), **more).scores("fute-tupate", (), labelled=DATA)
        assert tuned["embed_answers"] == 2, more
    tuned.clear()
    selector(rains(0.9, 0.3)).scores("fute-tupate", (), labelled=DATA)
    assert tuned["embed_answers"] == 1


def test_a_candidate_without_a_fingerprint_is_asked_again_in_another_run(selector, tuned):
    for _ in range(2):
        tuned.clear()
        one = selector([Rain(0.9), Rain(0.6, fingerprint=False)])
        for labelled in (DATA, DATA):
            one.scores("fute-tupate", (), labelled=labelled)
    assert tuned["embed_answers"] == 1


def test_a_stopped_run_goes_on_where_it_was(selector):
    stopped = [Rain(0.9), Rain(0.6, fails_after=8)]
    with pytest.raises(KeyboardInterrupt):
        selector(stopped).probabilities(TEXTS)
    predictors, calls = rains(0.9, 0.6), Calls()
    selector(predictors, calls=calls).probabilities(TEXTS)
    assert not predictors[0].asked
    assert sorted(predictors[1].asked) == sorted(set(TEXTS) - set(stopped[1].asked))
    assert (calls.made, calls.saved) == (4, 20)


def test_accuracies_are_of_the_dataset_s_own_labels(selector):
    found = selector([Rain(0.9), Rain(0.2)])
    assert found.accuracies(DATA, match_labels(found.labels, DATA.classes, None)).tolist() == [1.0, 0.0]


@dataclass
class Paired:
    """Answers for pairs."""

    takes_pairs: bool = True
    classes: tuple[str, ...] = ("no", "yes")

    def predict(self, texts, text_pairs=None):
        yes = np.array([float(pair in text) for text, pair in zip(texts, text_pairs)]) * 0.8 + 0.1
        return np.stack([1 - yes, yes], axis=1)


def test_candidates_for_pairs_get_a_pool_of_pairs(surrogate):
    found = PromptSelector(candidates([Paired(), Paired()]), pool=POOL, surrogate=surrogate, tuning=TUNING)
    assert found.pool.text_pairs == POOL.paired(0).text_pairs
    first, second = found.model_embeddings("tupate")
    assert np.array_equal(first.vector, second.vector)


def test_what_cannot_be_chosen_among_is_refused(selector):
    with pytest.raises(InputError, match=r"two candidates; there is one"):
        selector(rains(0.9))
    with pytest.raises(InputError, match=r"needs a few labels"):
        selector(rains(0.9, 0.6)).scores("fute-tupate", TEXTS)
    with pytest.raises(InputError, match=r"spell does not apply"):
        selector(rains(0.9, 0.6)).scores("spell", TEXTS)
    with pytest.raises(InputError, match=r"not both for pairs"):
        selector([Rain(0.9), Paired()])
    with pytest.raises(InputError, match=r"classes"):
        selector([Rain(0.9), Rain(0.9, classes=())])
    twins = [Candidate("1", one, None, "rain") for one in rains(0.9, 0.6)]
    with pytest.raises(InputError, match=r"two candidates are called 1"):
        PromptSelector(twins)


def test_embedding_candidates_are_prompts_and_sources_and_embed_nothing_twice(tiny_model, tmp_path, monkeypatch):
    from oneword import Embedder

    sources = [DATA, Dataset("other", TEXTS, [*DATA.labels[1:], DATA.labels[0]])]
    embedder = Embedder(tiny_model("llama_calm"), device="cpu", dtype="float32")
    found = embedding_candidates(embedder, "ck", sources, folder=tmp_path)
    assert len(found) == 4
    assert len({one.name for one in found}) == 4
    assert all(one.name.endswith(("@weather", "@other")) for one in found)
    prompt = embedder.with_method("ck").method.prompts[0]
    alone = EmbeddingPredictor(DATA, embedder.with_method("ck").with_method(_of(prompt)))
    assert np.allclose(found[0].predictor.predict(TEXTS), alone.predict(TEXTS), atol=1e-4)
    for one in found:
        one.predictor.predict(TEXTS)

    def refuse(*given, **more):
        raise AssertionError("embedded again")

    monkeypatch.setattr(Embedder, "compute", refuse)
    for one in embedding_candidates(embedder, "ck", sources, folder=tmp_path):
        assert one.predictor.predict(TEXTS).shape == (12, 2)


def _of(prompt):
    from oneword import Method

    return Method(prompt.name, [prompt], layer=-1)
