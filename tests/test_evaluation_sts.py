"""Scores of STS tasks and what is kept of them: Spearman, intervals, results that are found again."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from oneword import Embedder, __version__
from oneword.errors import InputError, ModelError, OutputError
from oneword.evaluation import intervals
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.intervals import bootstrap_rows, spearman
from oneword.evaluation.results import Result, ResultFolder
from oneword.evaluation.sentence_pairs import read_pairs
from oneword.evaluation.sts import cosines, evaluate_sts, score_pairs
from oneword.evaluation.table import as_fields, cells, headings, make_rows
from senteval_data import write_sts

PLAIN = Result(
    "STSB", "sts", "spearman", 50.0, {}, {"pairs": 2}, "d", "m", "prompteol", 5, "f/layer-5/float32/w", 1, "c"
)


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def embedder(llama):
    return Embedder(llama, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sts(tmp_path_factory.mktemp("senteval"))


@pytest.fixture(scope="module")
def pairs(data):
    return read_pairs(data, "STSB")


@pytest.fixture
def evaluate(tmp_path):
    """Score a task with a folder of results in this test's own folder."""

    def run(embedder, pairs, command="oneword eval sts"):
        return evaluate_sts(embedder, pairs, ResultFolder(tmp_path / "r"), AnswerStore(tmp_path / "v"), command)

    return run


def with_cosines(values) -> np.ndarray:
    """Vectors whose pairs have these cosines."""
    values = np.asarray(values)
    second = np.stack([values, np.sqrt(1 - values**2)], axis=1)
    return np.concatenate([np.tile([1.0, 0.0], (len(values), 1)), 3 * second]).astype(np.float32)


def correlated(size: int, *spreads: float, seed: int = 0) -> list[dict[str, list[float]]]:
    """Gold scores with many ties, and for each spread cosines that follow them within it; all share some noise."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 11, size) / 2
    shared = generator.normal(size=size)
    return [
        {
            "cosine": (gold / 10 + 0.4 * shared + spread * generator.normal(size=size)).tolist(),
            "gold": gold.tolist(),
        }
        for spread in spreads
    ]


# Spearman


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 2, 3, 4], [4, 3, 2, 1]),
        ([0.3, 0.1, 0.9, 0.5, 0.2], [2, 1, 5, 3, 4]),
        ([1, 1, 2, 2, 3], [5, 5, 5, 1, 0]),  # ties on both sides
        ([0, 0, 0, 0, 1], [0, 0, 0, 1, 1]),
        ([1e-12, 2e-12, 1e12], [3, 1, 2]),
    ],
)
def test_spearman_is_scipy_s_times_100(first, second):
    assert spearman(first, second) == pytest.approx(100 * stats.spearmanr(first, second).statistic, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=2, max_size=30))
def test_spearman_is_scipy_s_whatever_the_ties(rows):
    first, second = zip(*rows)
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert spearman(first, second) == pytest.approx(100 * stats.spearmanr(first, second).statistic, abs=1e-9)
    else:
        assert np.isnan(spearman(first, second))


def test_cosines_are_of_the_first_half_with_the_second_whatever_the_lengths():
    vectors = with_cosines([0.5, -1, 0, 1])
    vectors[0] *= 1e-3
    np.testing.assert_allclose(cosines(vectors), [0.5, -1, 0, 1], atol=1e-6)


def test_pairs_of_equal_sentences_have_one_rank():
    vectors = np.random.default_rng(0).normal(size=(50, 96)).astype(np.float32)
    assert set(cosines(np.concatenate([vectors, vectors]))) == {1.0}


def test_the_score_is_spearman_of_cosines_with_gold():
    values, gold = [0.9, 0.8, 0.1, 0.7, 0.2, 0.8], [5, 4, 1, 4, 2, 0]
    score, found = score_pairs(with_cosines(values), gold, "x")
    assert score == pytest.approx(100 * stats.spearmanr(values, gold).statistic)
    np.testing.assert_allclose(found, values, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({(1, 0): 0, (1, 1): 0}, "a vector is zero or not finite"),
        ({(5, 0): np.nan}, "a vector is zero or not finite"),
        ({(2, 1): np.inf}, "a vector is zero or not finite"),
    ],
)
def test_a_vector_without_a_cosine_is_refused(change, problem):
    vectors = with_cosines([0.9, 0.5, 0.1])
    for place, value in change.items():
        vectors[place] = value
    with pytest.raises(ModelError, match=f"STSB, ck at layer 3: {problem}"):
        score_pairs(vectors, [1, 2, 3], "STSB, ck at layer 3")


@pytest.mark.parametrize(("values", "gold"), [([0.5, 0.5, 0.5], [1, 2, 3]), ([0.1, 0.5, 0.9], [2, 2, 2]), ([0.5], [1])])
def test_what_is_constant_has_no_correlation_and_is_refused(values, gold):
    with pytest.raises(ModelError, match="x: all cosines or all gold scores are the same"):
        score_pairs(with_cosines(values), gold, "x")


# A task's result


def test_a_result_is_scipy_s_correlations_of_the_embedder_s_vectors(embedder, pairs, evaluate):
    (result,) = evaluate(embedder, pairs)
    first, second = embedder.encode(list(pairs.first)), embedder.encode(list(pairs.second))
    cosine = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(first.astype(float), second)]
    assert result.score == result.scores["spearman"] == spearman(result.items["cosine"], result.items["gold"])
    assert result.score == pytest.approx(100 * stats.spearmanr(cosine, pairs.gold).statistic, abs=1e-6)
    assert result.scores["pearson"] == pytest.approx(100 * stats.pearsonr(cosine, pairs.gold).statistic, abs=1e-4)
    np.testing.assert_allclose(result.items["cosine"], cosine, atol=1e-6)


def test_a_year_s_score_is_one_correlation_over_all_its_datasets(embedder, data, evaluate):
    year = read_pairs(data, "STS16")
    # The last dataset's scores are far above the others': in one correlation that shows, in a mean of five it does not
    gold = [score + 100 * (name == "question-question") for score, name in zip(year.gold, year.datasets)]
    (result,) = evaluate(embedder, replace(year, gold=gold))
    cosine = result.items["cosine"]
    parts = {name: value for name, value in result.scores.items() if name.startswith("spearman of ")}
    assert list(parts) == [f"spearman of {name}" for name in dict.fromkeys(year.datasets)]
    for place, value in enumerate(parts.values()):
        here = slice(8 * place, 8 * (place + 1))
        assert value == pytest.approx(100 * stats.spearmanr(cosine[here], gold[here]).statistic)
    assert result.score == pytest.approx(100 * stats.spearmanr(cosine, gold).statistic)
    assert abs(result.score - np.mean(list(parts.values()))) > 1


def test_each_layer_s_result_is_that_of_an_embedder_of_it(llama, pairs, evaluate, tmp_path):
    layers = evaluate(Embedder(llama, layer=[2, 5, 3], dtype="float32", device="cpu"), pairs)
    assert [result.layer for result in layers] == [2, 5, 3]
    for result in layers:
        alone = Embedder(llama, layer=result.layer, dtype="float32", device="cpu")
        assert result.fingerprint == alone.fingerprint
        folders = ResultFolder(tmp_path / "alone"), AnswerStore(tmp_path / "alone_v")
        assert result.score == pytest.approx(evaluate_sts(alone, pairs, *folders, "")[0].score, abs=1e-6)


def test_a_method_that_gives_the_same_vector_for_all_is_refused_by_task_method_and_layer(
    llama, pairs, evaluate, tmp_path
):
    constant = Embedder(llama, layer=0, dtype="float32", device="cpu")  # a prompt's last token is always the same
    with pytest.raises(ModelError, match="STSB, prompteol at layer 0: all cosines or all gold scores are the same"):
        evaluate(constant, pairs)
    assert not (tmp_path / "r").exists()


# Results that are kept


@pytest.fixture
def computed(monkeypatch):
    """The texts that models are asked, in the order of the calls."""
    seen: list[list[str]] = []
    answers = Embedder.answers

    def counted(self, texts, *arguments, **options):
        seen.append(list(texts))
        return answers(self, texts, *arguments, **options)

    monkeypatch.setattr(Embedder, "answers", counted)
    return seen


def test_a_result_tells_all_there_is_to_know(embedder, pairs, evaluate, tmp_path):
    (result,) = evaluate(embedder, pairs, "oneword eval sts --tasks 'STS B'")
    (file,) = (tmp_path / "r").rglob("*.json")
    assert file.relative_to(tmp_path / "r").as_posix() == f"{embedder.fingerprint}/STSB.json"
    fields = json.loads(file.read_text())
    assert set(fields) == set(Result.__dataclass_fields__)
    assert (fields["task"], fields["kind"], fields["metric"], fields["layer"]) == ("STSB", "sts", "spearman", 5)
    assert (fields["model"], fields["method"], fields["fingerprint"]) == (
        embedder.model,
        "prompteol",
        embedder.fingerprint,
    )
    assert fields["sizes"] == {"pairs": 8, "texts": len({*pairs.first, *pairs.second})}
    assert fields["command"] == "oneword eval sts --tasks 'STS B'"
    assert fields["seconds"] > 0
    expected = {"oneword": __version__, "python": platform.python_version()}
    expected |= {name: version(name) for name in ("torch", "transformers", "numpy", "scipy", "scikit-learn")}
    assert {name: fields["versions"].get(name) for name in expected} == expected
    assert fields["date"].endswith("+00:00")
    assert fields["items"]["gold"] == list(pairs.gold)
    assert list(ResultFolder(tmp_path / "r").all()) == [result]


def test_a_kept_result_is_found_again_without_asking_the_model(embedder, pairs, evaluate, computed):
    first = evaluate(embedder, pairs, "first")
    asked = len(computed)
    assert evaluate(embedder, pairs, "second") == first  # the command too: the one that computed it
    assert len(computed) == asked == 1


def test_only_the_layers_that_lack_a_result_are_computed(llama, pairs, evaluate, monkeypatch):
    every = Embedder(llama, layer=[1, 2, 3, 4], dtype="float32", device="cpu")
    some = evaluate(every.with_method("prompteol", layer=[2, 4]), pairs)
    asked, vectors = [], AnswerStore.vectors

    def seen(self, embedder, *arguments):
        asked.append(embedder.layers)
        return vectors(self, embedder, *arguments)

    monkeypatch.setattr(AnswerStore, "vectors", seen)
    found = evaluate(every, pairs)
    assert asked == [(1, 3)]
    assert [result.layer for result in found] == [1, 2, 3, 4]
    assert [found[1], found[3]] == some


def test_a_layer_that_steering_does_not_reach_is_gone_on_with(llama, pairs, evaluate):
    steered = Embedder(llama, method="ck", steering={"layer": 3}, layer=[1, 5], dtype="float32", device="cpu")
    (deep,) = evaluate(steered.with_method(steered.method, layer=5), pairs)
    shallow, again = evaluate(steered, pairs)
    assert (shallow.layer, again.layer) == (1, 5)
    assert again.score == pytest.approx(deep.score)


@pytest.mark.parametrize("field", ["first", "second", "gold"])
def test_a_result_of_other_data_is_computed_again(embedder, pairs, evaluate, field):
    (before,) = evaluate(embedder, pairs)
    changed = replace(pairs, **{field: getattr(pairs, field)[::-1]})
    (after,) = evaluate(embedder, changed, "again")
    assert after.command == "again"
    assert after.data != before.data
    assert after.score != before.score


@pytest.mark.parametrize("content", ["", '{"task": "STSB"', '{"task": "STSB"}', "[]", "\udcff"])
def test_a_broken_result_is_computed_again(embedder, pairs, evaluate, tmp_path, content):
    evaluate(embedder, pairs, "first")
    (file,) = (tmp_path / "r").rglob("*.json")
    file.write_text(content, errors="surrogateescape")
    assert evaluate(embedder, pairs, "again")[0].command == "again"
    assert [result.command for result in ResultFolder(tmp_path / "r").all()] == ["again"]


@pytest.mark.parametrize("name", ["my/method", "..", "../../up", ".hidden", "x" * 300, "日本" * 100, "a:b*c?", "con\n"])
def test_a_method_of_any_name_stays_inside_the_folder(tmp_path, name):
    folder = ResultFolder(tmp_path / "r")
    result = replace(PLAIN, method=name, fingerprint=f"{name}-01234567/layer-5/float32/weights-ab")
    path = folder.write(result)
    assert path.resolve().is_relative_to(tmp_path / "r")
    assert len(path.relative_to(tmp_path / "r").parts) == 5
    assert not any(part.startswith(".") for part in path.relative_to(tmp_path).parts)
    assert folder.find(result.fingerprint, "STSB", "d") == result
    other = result.fingerprint.replace("01234567", "76543210")
    assert folder.find(other, "STSB", "d") is None
    assert list(folder.all()) == [result]


def test_results_that_cannot_be_written_are_told_with_a_way_out(tmp_path):
    (tmp_path / "r").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be made: .*; name another --results"):
        ResultFolder(tmp_path / "r").write(PLAIN)


def test_a_folder_with_a_file_that_is_no_json_is_refused_by_its_name(tmp_path):
    ResultFolder(tmp_path).write(PLAIN)
    (tmp_path / "other.json").write_text('{"results": "of mteb"}')
    assert list(ResultFolder(tmp_path).all()) == [PLAIN]
    (tmp_path / "half.json").write_text('{"half')
    with pytest.raises(InputError, match=r"half\.json cannot be read as JSON"):
        list(ResultFolder(tmp_path).all())


# Intervals


def test_the_same_seed_gives_the_same_intervals_and_another_gives_others():
    rows = [[items] for items in correlated(60, 0.1, 0.3)]
    assert bootstrap_rows(rows, 200) == bootstrap_rows(rows, 200)
    assert bootstrap_rows(rows, 200) != bootstrap_rows(rows, 200, seed=2)


def test_intervals_are_those_of_a_plain_loop_over_the_same_draws(monkeypatch):
    tasks = [correlated(40, 0.1, 0.5, seed=1), correlated(25, 0.2, 0.2, seed=2)]
    rows = [[task[row] for task in tasks] for row in range(2)]
    averages = np.zeros((2, 150))
    for number, task in enumerate(tasks):
        generator = np.random.default_rng([7, number])
        size = len(task[0]["gold"])
        for resample, drawn in enumerate(generator.integers(size, size=(150, size))):
            gold = np.asarray(task[0]["gold"])[drawn]
            for row, items in enumerate(task):
                found = stats.spearmanr(np.asarray(items["cosine"])[drawn], gold).statistic
                averages[row, resample] += 100 * found / len(tasks)
    monkeypatch.setattr(intervals, "_BLOCK", 64)  # in blocks of one and two resamples
    first, second = bootstrap_rows(rows, 150, seed=7)
    expected = [np.percentile(values, [2.5, 97.5]) for values in (*averages, averages[1] - averages[0])]
    for interval, (low, high) in zip((first.average, second.average, second.difference), expected):
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)
    assert first.difference is None


def test_intervals_agree_with_scipy_s_bootstrap():
    (items,) = correlated(200, 0.3)
    (found,) = bootstrap_rows([[items]], 2000)

    def score(cosine, gold):
        return 100 * stats.spearmanr(cosine, gold).statistic

    expected = stats.bootstrap(
        (items["cosine"], items["gold"]),
        score,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (found.average.low, found.average.high) == pytest.approx((expected.low, expected.high), abs=1.5)


def test_accuracies_are_resampled_by_text():
    generator = np.random.default_rng(0)
    right = (generator.random(400) < 0.8).astype(float).tolist()
    (found,) = bootstrap_rows([[{"correct": right}]], 2000)
    mean, error = 100 * np.mean(right), 100 * np.std(right) / 20
    assert (found.average.low, found.average.high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.6)


def test_an_interval_holds_its_score_and_narrows_with_more_pairs():
    widths = []
    for size in (50, 200, 800):
        (items,) = correlated(size, 0.2)
        (found,) = bootstrap_rows([[items]], 300)
        assert found.average.low < spearman(items["cosine"], items["gold"]) < found.average.high
        widths.append(found.average.high - found.average.low)
    assert widths == sorted(widths, reverse=True)


def test_a_row_differs_from_itself_by_nothing():
    (items,) = correlated(50, 0.2)
    *_, same = bootstrap_rows([[items], [items]], 100)
    assert (same.difference.low, same.difference.high) == (0, 0)


def test_a_paired_difference_is_surer_than_two_intervals_would_be():
    first, second = bootstrap_rows([[items] for items in correlated(200, 0.05, 0.1)], 300)
    paired = second.difference.high - second.difference.low
    alone = np.hypot(*(row.average.high - row.average.low for row in (first, second)))  # as of independent data
    assert paired < alone / 2


# The table


def results_of(method, *items, layer=5):
    scores = [spearman(one["cosine"], one["gold"]) for one in items]
    return [
        replace(PLAIN, task=task, score=score, method=method, layer=layer, items=one)
        for task, score, one in zip(("STS12", "STSB"), scores, items)
    ]


def test_a_table_has_averages_intervals_and_differences_to_the_first_row():
    tasks = [correlated(30, 0.1, 0.4, seed=1), correlated(40, 0.1, 0.4, seed=2)]
    rows = make_rows([results_of(name, *(task[row] for task in tasks)) for row, name in enumerate(("one", "two"))])
    assert rows[1].average == pytest.approx((rows[1].results[0].score + rows[1].results[1].score) / 2)
    assert headings(rows)[:5] == ["method", "layer", "STS12", "STSB", "average"]
    first, second = cells(rows)
    assert len(first) == len(second) == len(headings(rows))
    assert first[:2] == ["one", "5"]
    assert first[2:5] == [f"{score:.2f}" for score in (*(r.score for r in rows[0].results), rows[0].average)]
    assert first[6:] == ["", ""]
    difference = rows[1].intervals.difference
    assert second[6] == f"{rows[1].average - rows[0].average:+.2f}"
    assert second[7] == f"{difference.low:+.2f} to {difference.high:+.2f}"
    one, two = as_fields(rows)
    assert one["scores"] == {result.task: result.score for result in rows[0].results}
    assert (one["difference"], one["difference_interval"]) == (0, None)
    assert two["interval"] == [rows[1].intervals.average.low, rows[1].intervals.average.high]
    assert two["difference_interval"] == [difference.low, difference.high]
    json.dumps([one, two], allow_nan=False)


def test_the_average_weighs_tasks_alike_whatever_their_size():
    small, large = correlated(20, 0.1)[0], correlated(400, 2.0)[0]
    (row,) = make_rows([results_of("one", small, large)])
    assert row.average == pytest.approx(np.mean([result.score for result in row.results]))
    assert row.intervals.average.low < row.average < row.intervals.average.high
