"""Files of vectors: what is written comes back to the bit, with its fingerprint; other files are refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.errors import FingerprintError, InputError, OutputError
from oneword.fingerprint import check_same_fingerprint
from oneword.io.formats import output_format
from oneword.io.vectors import METADATA_KEY, VectorMetadata, holds_vectors, iterate_vectors, read_vectors, sidecar
from oneword.io.writers import with_vectors, write_jsonl, write_npy, write_parquet, write_piece

FINGERPRINT = "prompteol-5cf64d26/layer-5/float32/weights-0123456789ab"
WRITERS = {".parquet": write_parquet, ".npy": write_npy, ".jsonl": write_jsonl}
ENDINGS = list(WRITERS)

# Numbers that lose bits when they are printed carelessly
HARD = np.array(
    [[0.1, 1 / 3, 0.0], [1e-42, 3.4028235e38, -1.1754944e-38], [16777217.0, 2.5e-9, 123456.79]], dtype=np.float32
)


def write(folder, ending, vectors, usable=None, *, columns=None, text_column="text", piece_rows=2, name="v"):
    """A file of vectors as a run writes it: in pieces, then put together; rows that are not usable have no vector."""
    usable = np.array([True] * len(vectors) if usable is None else usable)
    rows = np.full((len(usable), *vectors.shape[1:]), np.nan, dtype=np.float32)
    rows[usable] = vectors
    columns = columns or {"text": [f"text {row}" for row in range(len(rows))]}
    metadata = VectorMetadata(FINGERPRINT, "tiny", "prompteol", text_column, vectors.shape[1:], len(rows), "0")
    pieces = []
    for start in range(0, len(rows), piece_rows):
        end = start + piece_rows
        table = pa.table({key: values[start:end] for key, values in columns.items()})
        pieces.append(folder / f"{name}{start:03}.piece")
        write_piece(with_vectors(table, rows[start:end]), pieces[-1])
    path = folder / f"{name}{ending}"
    WRITERS[ending](pieces, path, metadata)
    if ending == ".npy":
        sidecar(path).write_text(metadata.to_json())
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_vectors_come_back_to_the_bit_with_texts_and_fingerprint(tmp_path, ending):
    found = read_vectors(write(tmp_path, ending, HARD))
    np.testing.assert_array_equal(found.values.view(np.uint32), HARD.view(np.uint32))
    assert found.values.dtype == np.float32
    assert found.fingerprint == FINGERPRINT
    assert found.texts == (None if ending == ".npy" else ["text 0", "text 1", "text 2"])
    assert str(found) == str(tmp_path / f"v{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_float32_survives(tmp_path, ending):
    bits = np.random.default_rng(0).integers(0, 2**32, size=(50, 40), dtype=np.uint32)
    vectors = bits.view(np.float32)
    vectors = np.where(np.isfinite(vectors), vectors, np.float32(1))
    found = read_vectors(write(tmp_path, ending, vectors, piece_rows=7)).values
    np.testing.assert_array_equal(found.view(np.uint32), vectors.view(np.uint32))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_negative_zero_stays_negative(tmp_path, ending):
    vectors = np.array([[-0.0, 1.0]], dtype=np.float32)
    assert np.signbit(read_vectors(write(tmp_path, ending, vectors)).values).tolist() == [[True, False]]


@pytest.mark.parametrize("ending", ENDINGS)
def test_vectors_of_several_layers_keep_their_shape(tmp_path, ending):
    vectors = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)
    np.testing.assert_array_equal(read_vectors(write(tmp_path, ending, vectors)).values, vectors)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_skipped_rows_come_back_as_nan_in_their_places(tmp_path, ending, shape):
    usable = [False, True, True, False, False, True]
    vectors = np.arange(3 * np.prod(shape), dtype=np.float32).reshape(3, *shape)
    found = read_vectors(write(tmp_path, ending, vectors, usable)).values
    assert np.isnan(found[[0, 3, 4]]).all()
    np.testing.assert_array_equal(found[[1, 2, 5]], vectors)


def test_skipped_rows_are_null_in_parquet_and_jsonl_and_nan_in_npy(tmp_path):
    usable = [True, False, True]
    vectors = HARD[:2]
    column = pq.read_table(write(tmp_path, ".parquet", vectors, usable))["vector"]
    assert column.is_null().to_pylist() == [False, True, False]
    lines = write(tmp_path, ".jsonl", vectors, usable).read_text().splitlines()
    assert [json.loads(line)["vector"] is None for line in lines] == [False, True, False]
    plain = np.load(write(tmp_path, ".npy", vectors, usable))
    np.testing.assert_array_equal(np.isnan(plain).all(axis=1), [False, True, False])


@pytest.mark.parametrize("ending", ENDINGS)
def test_reading_in_pieces_gives_what_reading_whole_gives(tmp_path, ending):
    vectors = np.arange(11 * 3, dtype=np.float32).reshape(11, 3)
    path = write(tmp_path, ending, vectors)
    pieces = list(iterate_vectors(path, rows=4))
    assert max(len(piece.values) for piece in pieces) <= 4
    assert len(pieces) >= 3
    np.testing.assert_array_equal(np.concatenate([piece.values for piece in pieces]), vectors)
    assert all(piece.fingerprint == FINGERPRINT for piece in pieces)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_piece_of_nothing_but_skipped_rows_keeps_its_place(tmp_path, ending):
    path = write(tmp_path, ending, HARD[:1], [False, False, False, False, True])
    values = np.concatenate([piece.values for piece in iterate_vectors(path, rows=2)])
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [True, True, True, True, False])


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_texts_are_those_that_were_embedded_and_no_other_column(tmp_path, ending):
    columns = {"title": ["A", "B", "C"], "body": ["a", "b", "c"]}
    path = write(tmp_path, ending, HARD, columns=columns, text_column="body")
    assert read_vectors(path).texts == ["a", "b", "c"]


def test_npy_is_an_ordinary_array_file(tmp_path):
    path = write(tmp_path, ".npy", HARD)
    np.testing.assert_array_equal(np.load(path), HARD)
    assert json.loads(sidecar(path).read_text())["fingerprint"] == FINGERPRINT


def test_parquet_states_its_metadata_in_the_schema(tmp_path):
    stated = json.loads(pq.read_schema(write(tmp_path, ".parquet", HARD)).metadata[METADATA_KEY])
    assert stated == {
        "fingerprint": FINGERPRINT,
        "model": "tiny",
        "method": "prompteol",
        "text_column": "text",
        "shape": [3],
        "rows": 3,
        "version": "0",
        "precision": "float32",
    }


def test_parquet_has_a_column_of_plain_lists_that_every_reader_knows(tmp_path):
    assert pq.read_schema(write(tmp_path, ".parquet", HARD)).field("vector").type == pa.list_(pa.float32())


def test_every_json_line_states_the_fingerprint_and_keeps_letters_as_they_are(tmp_path):
    path = write(tmp_path, ".jsonl", HARD, columns={"text": ["ü", '"q"', "a\nb"], "n": [1, None, 3]})
    content = path.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in content.splitlines()]
    assert [(row["text"], row["n"], row["fingerprint"]) for row in rows] == [
        ("ü", 1, FINGERPRINT),
        ('"q"', None, FINGERPRINT),
        ("a\nb", 3, FINGERPRINT),
    ]
    assert "ü" in content


def test_json_lines_are_json_to_the_letter_even_where_a_column_is_no_number(tmp_path):
    columns = {"text": ["a", "b", "c"], "score": [float("nan"), float("inf"), 1.5]}
    for line in write(tmp_path, ".jsonl", HARD, columns=columns).read_text().splitlines():
        json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


# What is refused


def refused(path):
    with pytest.raises(InputError) as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert f"no file {tmp_path / 'v.npy'}" in refused(tmp_path / "v.npy")


def test_an_ending_that_holds_no_vectors_is_refused(tmp_path):
    (tmp_path / "v.csv").write_text("text\na\n")
    assert "its ending is none of .parquet, .npy, .jsonl, .ndjson" in refused(tmp_path / "v.csv")


def test_a_parquet_file_of_someone_else_is_refused_for_want_of_a_fingerprint(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "vector": [[1.0]]}), tmp_path / "v.parquet")
    assert "was not written by oneword: it states no fingerprint" in refused(tmp_path / "v.parquet")


def test_an_array_without_its_metadata_beside_it_is_refused(tmp_path):
    path = write(tmp_path, ".npy", HARD)
    sidecar(path).unlink()
    assert "states no fingerprint: v.npy.json is not beside it" in refused(path)


@pytest.mark.parametrize("stated", ["", "{}", "[]", '{"fingerprint": 1}', "\ufffd"])
def test_broken_metadata_is_refused(tmp_path, stated):
    path = write(tmp_path, ".npy", HARD)
    sidecar(path).write_text(stated)
    assert "v.npy or v.npy.json is broken: " in refused(path)


@pytest.mark.parametrize("ending", [".parquet", ".npy"])
def test_a_truncated_file_is_refused(tmp_path, ending):
    path = write(tmp_path, ending, np.ones((1000, 3), dtype=np.float32), piece_rows=1000)
    path.write_bytes(path.read_bytes()[:-100])
    assert "v.parquet cannot be read" in refused(path) if ending == ".parquet" else "is broken" in refused(path)


def test_an_empty_array_file_is_refused(tmp_path):
    path = write(tmp_path, ".npy", HARD)
    path.write_bytes(b"")
    assert "is broken" in refused(path)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "null", '{"text": "a"}', '{"text": "a", "vector": [1, 2, 3]}', '{"text": "a", "fingerprint": "x"}'],
)
def test_a_json_line_without_a_vector_is_refused_by_line(tmp_path, line):
    path = write(tmp_path, ".jsonl", HARD)
    path.write_text(path.read_text() + line + "\n")
    assert "v.jsonl, line 4 is no vector that oneword wrote" in refused(path)


def test_an_empty_file_of_json_lines_is_refused(tmp_path):
    (tmp_path / "v.jsonl").write_text("")
    assert "v.jsonl" in refused(tmp_path / "v.jsonl")


def test_json_lines_of_two_fingerprints_are_refused_with_both_named(tmp_path):
    path = write(tmp_path, ".jsonl", HARD)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[0].replace("layer-5", "layer-4")]))
    with pytest.raises(FingerprintError) as caught:
        read_vectors(path)
    assert f"line 1 has fingerprint {FINGERPRINT}" in str(caught.value)
    assert f"line 4 has {FINGERPRINT.replace('layer-5', 'layer-4')}" in str(caught.value)


def test_an_array_beside_the_metadata_of_another_run_is_refused_with_both_shapes(tmp_path):
    path = write(tmp_path, ".npy", HARD)
    np.save(path, HARD[:-1])
    assert f"holds an array of shape {HARD[:-1].shape}, but v.npy.json states {HARD.shape}" in refused(path)


# Which files hold vectors


@pytest.mark.parametrize("vector", ["[1, 2]", '["a", "b", "c"]', "5", "{}"])
def test_a_json_line_whose_vector_is_of_another_shape_is_refused_by_line(tmp_path, vector):
    path = write(tmp_path, ".jsonl", HARD)
    lines = path.read_text().splitlines()
    fields = json.loads(lines[1])
    lines[1] = json.dumps({**fields, "vector": json.loads(vector)})
    path.write_text("\n".join(lines))
    assert "v.jsonl, line 2 is no vector that oneword wrote" in refused(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_oneword_wrote_is_known_to_hold_vectors(tmp_path, ending):
    assert holds_vectors(write(tmp_path, ending, HARD))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a"}\n'),
        ("a.jsonl", '{"text": "a", "vector": [1]}\n'),
        ("a.jsonl", ""),
        ("a.jsonl", "not json"),
        ("a.jsonl", "5"),
        ("a.parquet", "not parquet"),
        ("a.csv", "vector,fingerprint\n1,2\n"),
        ("a.txt", "vector"),
    ],
)
def test_any_other_file_is_one_of_texts(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert not holds_vectors(tmp_path / name)


def test_a_parquet_file_of_texts_or_no_file_holds_no_vectors(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    assert not holds_vectors(tmp_path / "a.parquet")
    assert not holds_vectors(tmp_path / "absent.parquet")
    assert not holds_vectors(tmp_path)


# Endings and fingerprints


@pytest.mark.parametrize(
    ("name", "format_"), [("v.parquet", "parquet"), ("v.NPY", "npy"), ("v.jsonl", "jsonl"), ("v.ndjson", "jsonl")]
)
def test_the_ending_of_the_output_names_its_format(tmp_path, name, format_):
    assert output_format(tmp_path / name) == format_


@pytest.mark.parametrize("name", ["v.csv", "v.txt", "v", "v.npz", "v.parquet.gz"])
def test_an_ending_that_is_not_written_is_refused_with_those_that_are(tmp_path, name):
    with pytest.raises(
        OutputError, match=r"is none that vectors are written to \(\.parquet, \.npy, \.jsonl, \.ndjson\)"
    ):
        output_format(tmp_path / name)


def test_vectors_of_one_fingerprint_may_be_compared_and_of_two_not():
    check_same_fingerprint("a", "first", "a", "second")
    with pytest.raises(
        FingerprintError, match=r"^first has fingerprint a, but second has b: .*; embed both the same way$"
    ):
        check_same_fingerprint("a", "first", "b", "second")
