"""Task embeddings on a shelf: which files are read, what may be compared, and how the commands show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from oneword.errors import FingerprintError, InputError
from oneword.tasks import shelf as shelf_module
from oneword.tasks.shelf import cosine_matrix, read_embeddings, read_shelf
from oneword.tasks.task_embedding import TaskEmbedding

Command = Callable[..., tuple[str, str]]


def embedding(name: str, vector: object, of: str = "dataset", space: str = "minilm/tupate", **fields) -> TaskEmbedding:
    return TaskEmbedding(np.asarray(vector, dtype=np.float32), name, of, space, 0, **fields)


@pytest.fixture
def shelf(folder: Path) -> Path:
    """Three models and two datasets, some in a folder of their own, among weights of a model."""
    (folder / "models" / "more").mkdir(parents=True)
    embedding("sst2", [1, 0, 0], task="sentiment").save("sst2.safetensors")
    embedding("rte", [0, 1, 0], task="inference").save("rte.safetensors")
    embedding("far", [-1, 0, 0.1], "model").save("models/a.safetensors")
    embedding("near", [1, 0.1, 0], "model", task="sentiment").save("models/b.safetensors")
    embedding("middle", [1, 1, 0], "model").save("models/more/c.safetensors")
    save_file({"weight": np.ones(3, dtype=np.float32)}, "models/weights.safetensors")
    return folder


def test_files_keep_their_order_and_folders_are_read_with_their_folders(shelf):
    assert [one.name for one in read_embeddings(["rte.safetensors", "models", "sst2.safetensors"])] == [
        "rte",
        "far",
        "near",
        "middle",
        "sst2",
    ]


def test_a_file_named_twice_is_read_once(shelf):
    (shelf / "models" / "z.safetensors").symlink_to("a.safetensors")
    paths = ["models/b.safetensors", "models", "./models/../models/b.safetensors", "models"]
    assert [one.name for one in read_embeddings(paths)] == ["near", "far", "middle"]


def test_a_named_file_that_holds_none_is_refused(shelf):
    with pytest.raises(InputError, match=r"weights\.safetensors holds no task embedding"):
        read_embeddings(["sst2.safetensors", "models/weights.safetensors"])
    with pytest.raises(InputError, match=r"no file lost\.safetensors"):
        read_embeddings(["lost.safetensors"])


def test_a_folder_without_any_is_refused(shelf):
    (shelf / "empty").mkdir()
    save_file({"weight": np.ones(3, dtype=np.float32)}, "empty/weights.safetensors")
    with pytest.raises(InputError, match="empty and its folders hold no task embedding"):
        read_embeddings(["sst2.safetensors", "empty"])


def test_a_cut_file_in_a_folder_is_not_passed_over(shelf):
    path = shelf / "models" / "b.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"b\.safetensors is not a whole safetensors file"):
        read_embeddings(["models"])


def test_different_spaces_are_refused_with_both_files(shelf):
    embedding("other", [1, 0, 0], space="t5-base/taskemb").save("other.safetensors")
    with pytest.raises(FingerprintError) as caught:
        read_embeddings(["models", "other.safetensors"])
    for part in (str(Path("models/a.safetensors")), "other.safetensors", "minilm/tupate", "t5-base/taskemb"):
        assert part in str(caught.value)


def test_different_lengths_in_one_space_are_refused(shelf):
    embedding("long", [1, 0, 0, 0]).save("long.safetensors")
    with pytest.raises(InputError, match=r"3 dimensions, but .* 4"):
        read_embeddings(["rte.safetensors", "long.safetensors"])


@pytest.mark.parametrize("vector", [[1, np.nan, 0], [np.inf, 0, 0], [[1, 0, 0]]])
def test_a_vector_that_is_no_list_of_finite_numbers_is_refused(shelf, vector):
    embedding("odd", vector).save("odd.safetensors")
    with pytest.raises(InputError, match=r"odd\.safetensors: its vector is not a list of finite numbers"):
        read_embeddings(["odd.safetensors"])


def test_long_vectors_stay_in_their_files(folder):
    values = np.random.default_rng(0).normal(size=(2, 300_000)).astype(np.float32)
    for name, vector in zip("ab", values):
        embedding(name, vector).save(f"{name}.safetensors")
    first, second = read_embeddings(["a.safetensors", "b.safetensors"])
    assert not first.vector.flags.owndata
    assert not first.vector.flags.writeable
    np.testing.assert_array_equal([first.vector, second.vector], values)


def test_a_long_vector_that_is_not_the_end_of_its_file_is_read_all_the_same(folder):
    values = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    embedding("a", values).save("a.safetensors")
    from safetensors import safe_open

    with safe_open("a.safetensors", "numpy") as file:
        fields = file.metadata()
        (key,) = file.keys()
    save_file({key: values, "z": np.ones(300_000, dtype=np.float32)}, "b.safetensors", fields)
    np.testing.assert_array_equal(read_embeddings(["b.safetensors"])[0].vector, values)


@pytest.mark.parametrize("block", [1, 200, 1 << 26])
def test_cosines_are_those_of_each_pair(monkeypatch, block):
    monkeypatch.setattr(shelf_module, "_BLOCK", block)
    values = np.random.default_rng(2).normal(size=(5, 37)) * 1e-12
    values[3] = 0
    embeddings = [embedding(str(row), vector) for row, vector in enumerate(values)]
    expected = [[first.similarity(second) for second in embeddings] for first in embeddings]
    np.testing.assert_allclose(cosine_matrix(embeddings), expected, atol=1e-12)


def test_similarity_prints_a_table_with_names(shelf, oneword: Command):
    shown, _ = oneword("tasks", "similarity", "sst2.safetensors", "rte.safetensors", "models")
    lines = shown.splitlines()
    assert lines[0].split() == ["1", "2", "3", "4", "5"]
    assert lines[1].split() == ["of", "name", "sst2", "rte", "far", "near", "middle"]
    assert lines[3].split() == ["1", "dataset", "sst2", "1.0000", "0.0000", "-0.9950", "0.9950", "0.7071"]


def test_headings_of_long_names_keep_both_ends(shelf, oneword: Command):
    embedding("minilm-tuned-on-banking77", [1, 0, 0]).save("long.safetensors")
    shown, _ = oneword("tasks", "similarity", "sst2.safetensors", "long.safetensors")
    assert "minil…king77" in shown.splitlines()[1]


def test_similarity_for_programs(shelf, oneword: Command):
    answer = json.loads(oneword("tasks", "similarity", "sst2.safetensors", "models/b.safetensors", "--json")[0])
    assert answer["names"] == ["sst2", "near"]
    assert answer["of"] == ["dataset", "model"]
    assert answer["files"] == ["sst2.safetensors", str(Path("models/b.safetensors"))]
    assert answer["space"] == "minilm/tupate"
    assert answer["similarity"][0] == pytest.approx([1, 1 / np.sqrt(1.01)])


def test_similarity_needs_two_different_files(shelf, oneword: Command):
    _, error = oneword("tasks", "similarity", "sst2.safetensors", "./sst2.safetensors", code=2)
    assert "at least two task embeddings" in error


def test_nearest_ranks_all_but_the_query(shelf, oneword: Command):
    shown, _ = oneword("tasks", "nearest", "sst2.safetensors", ".")
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0] == ["rank", "score", "of", "name", "task"]
    assert [line[3] for line in lines[2:]] == ["near", "middle", "rte", "far"]
    assert lines[2] == ["1", "0.9950", "model", "near", "sentiment"]


def test_nearest_of_one_sort_and_the_best_only(shelf, oneword: Command):
    found = json.loads(oneword("tasks", "nearest", "sst2.safetensors", ".", "--of", "model", "-k", 2, "--json")[0])
    assert found["query"] == "sst2"
    assert found["space"] == "minilm/tupate"
    assert [(hit["rank"], hit["name"], hit["of"]) for hit in found["results"]] == [
        (1, "near", "model"),
        (2, "middle", "model"),
    ]
    assert found["results"][0]["score"] == pytest.approx(1 / np.sqrt(1.01))
    assert found["results"][0]["file"] == str(Path("models/b.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["sst2.safetensors", "sst2.safetensors"], "no other task embedding among the candidates"),
        (["sst2.safetensors", "rte.safetensors", "--of", "model"], "no model among the candidates"),
        (["models", "sst2.safetensors"], "models is a folder; the query is one file"),
        (["sst2.safetensors", "lost"], "no file lost"),
        (["sst2.safetensors", "models/weights.safetensors"], "holds no task embedding"),
    ],
)
def test_nearest_says_what_is_missing(shelf, oneword: Command, arguments, reason):
    assert reason in oneword("tasks", "nearest", *arguments, code=2)[1]


def test_the_query_must_be_in_the_space_of_the_candidates(shelf, oneword: Command):
    embedding("other", [1, 0, 0], space="t5-base/taskemb").save("other.safetensors")
    _, error = oneword("tasks", "nearest", "other.safetensors", "models", code=2)
    assert "other.safetensors is in the space t5-base/taskemb" in error


def test_a_shelf_knows_the_file_of_each(shelf):
    assert {path.name: one.name for path, one in read_shelf(["models"]).items()} == {
        "a.safetensors": "far",
        "b.safetensors": "near",
        "c.safetensors": "middle",
    }
