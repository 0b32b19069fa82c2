"""The nearest rows of a corpus, whether it is given as vectors or as texts."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword import Embedder
from oneword.cli.main import run
from oneword.errors import InputError
from oneword.io import run as run_module
from oneword.io.search import Hit, nearest
from oneword.io.vectors import Vectors

FINGERPRINT = "f"


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pieces(values: np.ndarray, size: int, texts: list[str] | None = None):
    for start in range(0, len(values), size):
        yield Vectors(values[start : start + size], FINGERPRINT, texts and texts[start : start + size], "corpus")


def brute(query: np.ndarray, values: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Row numbers from 1 and scores, best first, ties in order of rows; skipped rows are no candidates."""
    scored = []
    for row, vector in enumerate(values, 1):
        if not np.isnan(vector).any():
            length = np.linalg.norm(vector.astype(np.float64))
            scored.append((row, float(query.astype(np.float64) @ vector / length) if length else 0.0))
    return sorted(scored, key=lambda hit: (-round(hit[1], 5), hit[0]))[:count]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
@pytest.mark.parametrize("count", [1, 5, 64])
def test_hits_are_those_of_a_comparison_with_every_row(size, count):
    random = np.random.default_rng(1)
    values = random.normal(size=(100, 16)).astype(np.float32)
    queries = unit(random.normal(size=(3, 16))).astype(np.float32)
    for query, hits in zip(queries, nearest(queries, pieces(values, size), count)):
        expected = brute(query, values, count)
        assert [hit.row for hit in hits] == [row for row, _ in expected]
        np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_rows_of_equal_score_stand_in_the_order_of_the_corpus(size):
    values = np.array([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0], [1, 0]], dtype=np.float32)
    (hits,) = nearest(np.array([[1, 0]], dtype=np.float32), pieces(values, size), 5)
    assert [hit.row for hit in hits] == [2, 3, 5, 6, 1]


def test_length_does_not_count():
    values = np.array([[100, 100], [0.001, 0], [-5, 0]], dtype=np.float32)
    (hits,) = nearest(np.array([[1, 0]], dtype=np.float32), pieces(values, 10), 3)
    assert [hit.row for hit in hits] == [2, 1, 3]
    np.testing.assert_allclose([hit.score for hit in hits], [1, 0.5**0.5, -1], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_skipped_rows_are_no_hits_and_do_not_move_the_others(size):
    values = np.array([[np.nan] * 2, [0, 1], [np.nan] * 2, [1, 0]], dtype=np.float32)
    (hits,) = nearest(np.array([[1, 0]], dtype=np.float32), pieces(values, size, list("abcd")), 10)
    assert [(hit.row, hit.text) for hit in hits] == [(4, "d"), (2, "b")]


def test_a_zero_row_scores_zero():
    values = np.array([[-1, 0], [0, 0]], dtype=np.float32)
    (hits,) = nearest(np.array([[1, 0]], dtype=np.float32), pieces(values, 10), 2)
    assert [(hit.row, hit.score) for hit in hits] == [(2, 0), (1, -1)]


def test_asking_for_more_than_there_is_gives_all_there_is():
    (hits,) = nearest(np.eye(2, dtype=np.float32)[:1], pieces(np.eye(2, dtype=np.float32), 1), 99)
    assert [hit.row for hit in hits] == [1, 2]


def test_an_empty_corpus_gives_no_hits():
    assert nearest(np.eye(2, dtype=np.float32), iter(()), 3) == [[], []]


def test_hits_bring_their_texts_where_the_corpus_has_them():
    values = np.eye(3, dtype=np.float32)
    assert nearest(values[:1], pieces(values, 2, ["a", "b", "c"]), 1) == [[Hit(1.0, 1, "a")]]
    assert nearest(values[2:], pieces(values, 2), 1) == [[Hit(1.0, 3, None)]]


def test_vectors_of_several_layers_are_refused_by_the_corpus_s_name():
    with pytest.raises(InputError, match=r"^corpus holds vectors of several layers; search needs one"):
        nearest(np.eye(2, dtype=np.float32), pieces(np.ones((2, 3, 2), dtype=np.float32), 1), 1)


# The command

TEXTS = [f"{word} number {number}" for number in range(12) for word in ("Rain", "Is it a mill")]


@pytest.fixture(scope="module")
def model(tiny_model):
    return ["--model", str(tiny_model("llama")), "--layer", "2", "--dtype", "float32", "--device", "cpu"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return path


def search(capsys, *arguments, told: str = "") -> list[dict]:
    capsys.readouterr()
    assert run(["search", *map(str, arguments), "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == told
    return [json.loads(line) for line in shown.out.splitlines()]


@pytest.mark.parametrize("ending", [".parquet", ".npy", ".jsonl"])
def test_vectors_and_texts_give_the_same_hits(model, corpus, tmp_path, capsys, monkeypatch, ending):
    monkeypatch.setattr(run_module, "_PIECE_ROWS", 16)
    vectors = tmp_path / f"v{ending}"
    assert run(["embed", str(corpus), "-o", str(vectors), "-q", *model]) == 0
    queries = ["Rain number 3", "A mill", "Is it a mill number 11"]
    from_texts = search(capsys, *queries, "--corpus", corpus, "-k", "4", *model)
    from_vectors = search(capsys, *queries, "--corpus", vectors, "-k", "4", *model)
    assert [answer["query"] for answer in from_texts] == queries
    assert {answer["fingerprint"] for answer in [*from_texts, *from_vectors]} == {from_texts[0]["fingerprint"]}
    for texts, stored in zip(from_texts, from_vectors):
        assert [hit["row"] for hit in texts["results"]] == [hit["row"] for hit in stored["results"]]
        assert [hit["rank"] for hit in texts["results"]] == [1, 2, 3, 4]
        np.testing.assert_allclose(
            [hit["score"] for hit in texts["results"]], [hit["score"] for hit in stored["results"]], atol=1e-5
        )
        for hit in texts["results"]:
            assert hit["text"] == TEXTS[hit["row"] - 1]
        if ending != ".npy":
            assert [hit["text"] for hit in texts["results"]] == [hit["text"] for hit in stored["results"]]
    assert from_texts[0]["results"][0]["text"] == "Rain number 3"
    assert from_texts[0]["results"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_hits_are_those_of_the_embedder(model, corpus, capsys, tiny_model):
    embedder = Embedder(tiny_model("llama"), layer=2, dtype="float32", device="cpu")
    scores = embedder.similarity(embedder.encode("Snow"), embedder.encode(TEXTS))[0]
    (answer,) = search(capsys, "Snow", "--corpus", corpus, "-k", "100", *model)
    assert len(answer["results"]) == len(TEXTS)
    for hit in answer["results"]:
        assert hit["score"] == pytest.approx(scores[hit["row"] - 1], abs=1e-5)


def test_normalized_vectors_give_the_same_hits(model, corpus, tmp_path, capsys):
    plain, scaled = tmp_path / "plain.npy", tmp_path / "scaled.npy"
    assert run(["embed", str(corpus), "-o", str(plain), "-q", *model]) == 0
    assert run(["embed", str(corpus), "-o", str(scaled), "-q", "--normalize", *model]) == 0
    found = [search(capsys, "Snow", "--corpus", path, *model)[0]["results"] for path in (plain, scaled)]
    assert [hit["row"] for hit in found[0]] == [hit["row"] for hit in found[1]]


def test_skipped_rows_keep_the_numbers_of_the_others(model, tmp_path, capsys):
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": null}\n{"text": "Rain"}\n{"text": ""}\n{"text": "Snow"}\n')
    vectors = tmp_path / "v.parquet"
    assert run(["embed", str(path), "-o", str(vectors), "-q", "--on-error", "skip", *model]) == 0
    counted = "skipped 2 of 4 rows for want of a usable text\n"
    for corpus, options, told in ((path, ["--on-error", "skip"], counted), (vectors, [], "")):
        (answer,) = search(capsys, "Rain", "--corpus", corpus, *options, *model, told=told)
        assert sorted((hit["row"], hit["text"]) for hit in answer["results"]) == [(2, "Rain"), (4, "Snow")]


def test_a_table_shows_rank_score_row_and_text(model, corpus, capsys):
    assert run(["search", "Rain number 3", "--corpus", str(corpus), "-k", "1", *model]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["", "Rain number 3", lines[2]]
    assert lines[2].split() == ["rank", "score", "row", "text"]
    assert lines[4].split() == ["1", "1.0000", "7", "Rain", "number", "3"]


def refused(capsys, *arguments) -> str:
    capsys.readouterr()
    assert run(["search", *map(str, arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    return shown.err


def fingerprint(capsys, *options) -> str:
    capsys.readouterr()
    assert run(["embed", "x", *options]) == 0
    return json.loads(capsys.readouterr().out)["fingerprint"]


@pytest.mark.parametrize("ending", [".parquet", ".npy", ".jsonl"])
@pytest.mark.parametrize("changes", [["--method", "knowledge"], ["--layer", "1"], ["--dtype", "bfloat16"]])
def test_vectors_of_another_fingerprint_are_refused_with_both_named(model, tmp_path, capsys, ending, changes):
    path = tmp_path / "c.txt"
    path.write_text("Rain\nSnow\n")
    vectors = tmp_path / f"v{ending}"
    assert run(["embed", str(path), "-o", str(vectors), "-q", *model]) == 0
    theirs, ours = fingerprint(capsys, *model), fingerprint(capsys, *model, *changes)
    assert theirs != ours
    message = refused(capsys, "Rain", "--corpus", vectors, *model, *changes)
    assert f"{vectors} has fingerprint {theirs}, but the query has {ours}" in message


@pytest.mark.parametrize("ending", [".parquet", ".npy", ".jsonl"])
def test_a_corpus_of_several_layers_is_refused(model, corpus, tmp_path, capsys, ending):
    vectors = tmp_path / f"v{ending}"
    assert run(["embed", str(corpus), "-o", str(vectors), "-q", *model, "--layer", "1,2"]) == 0
    message = refused(capsys, "Rain", "--corpus", vectors, *model)
    assert "layer-1,2" in message


def test_a_query_at_several_layers_is_refused(model, corpus, capsys):
    message = refused(capsys, "Rain", "--corpus", corpus, *model, "--layer", "1,2")
    assert "search compares vectors of one layer; give one --layer" in message


@pytest.mark.parametrize("query", ["", "  "])
def test_a_query_without_a_text_is_refused(model, corpus, capsys, query):
    assert "text 1 is " in refused(capsys, "Rain", query, "--corpus", corpus, *model)


def test_a_corpus_that_is_not_there_is_refused(model, tmp_path, capsys):
    assert "no file" in refused(capsys, "Rain", "--corpus", tmp_path / "absent.parquet", *model)


def test_a_parquet_file_of_texts_is_embedded_although_vectors_may_be_parquet_too(model, tmp_path, capsys):
    pq.write_table(pa.table({"text": ["Rain", "Snow"]}), tmp_path / "c.parquet")
    (answer,) = search(capsys, "Rain", "--corpus", tmp_path / "c.parquet", *model)
    assert answer["results"][0]["text"] == "Rain"


def test_texts_beside_a_column_of_someone_else_s_vectors_can_be_searched_or_are_refused(model, tmp_path, capsys):
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "Rain", "vector": [1]}\n')
    assert run(["search", "Rain", "--corpus", str(path), *model]) in (0, 2)


@pytest.mark.parametrize("command", ["search", "similarity"])
def test_texts_longer_than_the_window_are_counted_in_a_warning(tiny_model, tmp_path, capsys, command):
    options = ["--model", str(tiny_model("llama_window")), "--dtype", "float32", "--device", "cpu"]
    corpus = tmp_path / "c.txt"
    corpus.write_text("word " * 400 + "\nshort\n")
    arguments = ["short", "--corpus", str(corpus)] if command == "search" else ["short", "word " * 400]
    assert run([command, *arguments, *options]) == 0
    assert "longer than the model's window" in capsys.readouterr().err
