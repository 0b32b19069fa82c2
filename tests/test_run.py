"""A file of texts to a file of vectors: all columns kept, nothing half-written, broken runs go on where they stop."""

from __future__ import annotations

import datetime
import decimal
import errno
import io
import json
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from oneword import Embedder, Method
from oneword.errors import Interrupted, OutputError
from oneword.io import run as run_module
from oneword.io import scan as scan_module
from oneword.io import writers as writers_module
from oneword.io.run import EmbedRun, embed_to_file, embed_to_lines
from oneword.io.scan import scan_texts
from oneword.io.texts import open_texts
from oneword.io.vectors import iterate_vectors, read_vectors, sidecar
from oneword.io.writers import check_output

PIECE = 16  # the fewest rows of a piece
ENDINGS = [".parquet", ".npy", ".jsonl"]


@pytest.fixture(scope="module")
def llama(tiny_model):
    return tiny_model("llama")


@pytest.fixture(scope="module")
def embedder(llama):
    return Embedder(llama, layer=1, dtype="float32", device="cpu")


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(run_module, "_PIECE_ROWS", PIECE)


class Counted:
    """An embedder that counts its texts, and may fail when it has seen some."""

    def __init__(self, embedder, fail_after=None, error=RuntimeError):
        self.embedder, self.fail_after, self.error = embedder, fail_after, error
        self.texts: list[str] = []

    def __getattr__(self, name):
        return getattr(self.embedder, name)

    def compute(self, texts, batch_size=None, on_texts=lambda texts: None):
        if self.fail_after is not None and len(self.texts) >= self.fail_after:
            raise self.error
        self.texts += texts
        return self.embedder.compute(texts, batch_size, on_texts)


def texts(count: int) -> list[str]:
    return [f"Sentence number {number} is here" for number in range(count)]


def write_lines(path, rows):
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def embed(embedder, source, output, *, column=None, skip=False, told=None, **options):
    """What the command does with a file, without the command."""
    with open_texts(str(source)) as file:
        run = EmbedRun(file, scan_texts(file, column, skip), embedder, **options)
        check_output(output, file)
        embed_to_file(run, output, (told if told is not None else []).append)
    return output


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What is written


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_output_holds_what_encode_gives_to_the_bit_with_its_fingerprint(embedder, tmp_path, ending):
    rows = texts(20)
    output = embed(embedder, write_lines(tmp_path / "a.txt", rows), tmp_path / f"v{ending}")
    found = read_vectors(output)
    np.testing.assert_array_equal(found.values, embedder.encode(rows))
    assert found.fingerprint == embedder.fingerprint
    assert names(tmp_path) == sorted(["a.txt", output.name, *(["v.npy.json"] if ending == ".npy" else [])])


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_stay_in_order_over_many_pieces_of_texts_of_any_length(embedder, tmp_path, small_pieces, ending):
    rows = [f"{number} " + "word " * (number * 7 % 23) + "end" for number in range(5 * PIECE + 3)]
    found = read_vectors(embed(embedder, write_lines(tmp_path / "a.txt", rows), tmp_path / f"v{ending}"))
    np.testing.assert_allclose(found.values, embedder.encode(rows), rtol=1e-4, atol=1e-5)
    assert found.texts in (None, rows)


@pytest.mark.parametrize("ending", ENDINGS)
def test_several_layers_are_written_as_encode_gives_them(llama, tmp_path, ending):
    model = Embedder(llama, layer=[0, 2], dtype="float32", device="cpu")
    rows = texts(5)
    found = read_vectors(embed(model, write_lines(tmp_path / "a.txt", rows), tmp_path / f"v{ending}"))
    assert found.values.shape == (5, 2, 48)
    np.testing.assert_array_equal(found.values, model.encode(rows))


def test_normalized_vectors_are_those_of_encode(embedder, tmp_path):
    rows = texts(5)
    output = embed(embedder, write_lines(tmp_path / "a.txt", rows), tmp_path / "v.npy", normalize=True)
    np.testing.assert_allclose(np.load(output), embedder.encode(rows, normalize_embeddings=True), rtol=1e-6, atol=1e-7)


def test_concatenated_methods_are_written_at_their_full_width(llama, tmp_path):
    method = Method("two", ["{text}:", "{text} is:"], combine="concat")
    model = Embedder(llama, method=method, layer=1, dtype="float32", device="cpu")
    rows = texts(3)
    output = embed(model, write_lines(tmp_path / "a.txt", rows), tmp_path / "v.parquet")
    np.testing.assert_array_equal(read_vectors(output).values, model.encode(rows))


TYPED = {
    "id": pa.array(range(40), pa.uint16()),
    "text": texts(40),
    "when": pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5, 678901), None] * 20, pa.timestamp("us", tz="UTC")),
    "day": pa.array([datetime.date(2024, 1, 2), None] * 20),
    "price": pa.array([decimal.Decimal("1.10"), None] * 20, pa.decimal128(10, 2)),
    "tags": [["a", "b"], []] * 20,
    "meta": [{"x": 1, "y": None}, None] * 20,
    "raw": pa.array([b"\x00\xff", None] * 20),
    "kind": pa.array(["k", "l"] * 20).dictionary_encode(),
    "nothing": pa.nulls(40),
}


def test_all_columns_of_a_parquet_file_are_kept_with_their_types(embedder, tmp_path, small_pieces):
    table = pa.table(TYPED)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=9)
    found = pq.read_table(embed(embedder, tmp_path / "a.parquet", tmp_path / "v.parquet"))
    assert found.schema.names == [*table.schema.names, "vector"]
    kept = found.drop_columns(["vector"]).replace_schema_metadata(None)
    assert kept.schema.equals(table.schema)
    assert kept.to_pylist() == table.to_pylist()


def test_all_columns_of_a_parquet_file_are_readable_in_json_lines(embedder, tmp_path):
    pq.write_table(pa.table(TYPED), tmp_path / "a.parquet")
    first, second, *_ = embed(embedder, tmp_path / "a.parquet", tmp_path / "v.jsonl").read_text().splitlines()
    row = json.loads(first)
    assert list(row)[: len(TYPED) + 1] == [*TYPED, "vector"]
    assert (row["id"], row["price"], row["tags"], row["meta"]) == (0, "1.10", ["a", "b"], {"x": 1, "y": None})
    assert row["when"].startswith("2024-01-02 03:04:05.678901")
    assert (row["day"], row["kind"], row["nothing"]) == ("2024-01-02", "k", None)
    assert [json.loads(second)[key] for key in ("when", "price", "meta", "raw")] == [None] * 4


@pytest.mark.parametrize("ending", ENDINGS)
def test_times_in_nanoseconds_are_kept(embedder, tmp_path, ending):
    times = pa.array([123456789, None], pa.timestamp("ns"))
    pq.write_table(pa.table({"text": ["a", "b"], "when": times}), tmp_path / "a.parquet")
    output = embed(embedder, tmp_path / "a.parquet", tmp_path / f"v{ending}")
    if ending == ".parquet":
        assert pq.read_table(output)["when"].combine_chunks().equals(times)
    if ending == ".jsonl":
        assert "123456789" in output.read_text()


@pytest.mark.parametrize(
    "times",
    [
        pa.array([{"at": 123456789}, None], pa.struct([("at", pa.timestamp("ns"))])),
        pa.array([[253402300800000000], None], pa.list_(pa.timestamp("us"))),  # the year 10000
    ],
)
def test_times_inside_other_columns_that_python_cannot_hold_are_kept_in_json_lines(embedder, tmp_path, times):
    pq.write_table(pa.table({"text": ["a", "b"], "when": times}), tmp_path / "a.parquet")
    output = embed(embedder, tmp_path / "a.parquet", tmp_path / "v.jsonl")
    assert len(read_vectors(output).values) == 2


def test_all_columns_of_a_csv_are_kept_as_strings_in_order(embedder, tmp_path):
    (tmp_path / "a.csv").write_text('id,text,note\n007,one,"x, y"\n1e5,two,\n')
    found = pq.read_table(embed(embedder, tmp_path / "a.csv", tmp_path / "v.parquet")).drop_columns(["vector"])
    assert found.to_pydict() == {"id": ["007", "1e5"], "text": ["one", "two"], "note": ["x, y", ""]}


def test_json_lines_whose_types_change_from_piece_to_piece_make_one_file(embedder, tmp_path, small_pieces):
    values = [1, *[None] * PIECE, 2.5, *[None] * PIECE, "three", *[None] * PIECE, {"four": 4}]
    rows = [{"text": f"text {number}", "v": value} for number, value in enumerate(values)]
    rows.append({"text": "late", "late": [1]})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = pq.read_table(embed(embedder, tmp_path / "a.jsonl", tmp_path / "v.parquet"))
    assert [value for value in found["v"].to_pylist() if value is not None] == ["1", "2.5", "three", '{"four": 4}']
    assert found["late"].to_pylist()[-1] == [1]


def test_the_text_column_may_have_any_name(embedder, tmp_path):
    (tmp_path / "a.csv").write_text("text,body\nno,one\nno,two\n")
    found = read_vectors(embed(embedder, tmp_path / "a.csv", tmp_path / "v.parquet", column="body"))
    assert found.texts == ["one", "two"]
    np.testing.assert_array_equal(found.values, embedder.encode(["one", "two"]))


@pytest.mark.parametrize("ending", ENDINGS)
def test_empty_json_objects_are_kept(embedder, tmp_path, ending):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "meta": {}}\n{"text": "b", "meta": {}}\n')
    assert read_vectors(embed(embedder, tmp_path / "a.jsonl", tmp_path / f"v{ending}")).values.shape == (2, 48)


@pytest.mark.parametrize("ending", ENDINGS)
def test_skipped_rows_are_null_in_their_places_and_do_not_move_others(embedder, tmp_path, small_pieces, ending):
    rows: list = texts(3 * PIECE)
    for place in (0, 5, *range(PIECE, 2 * PIECE)):  # a whole piece among them
        rows[place] = [None, "", "  ", 5][place % 4]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    counted = Counted(embedder)
    found = read_vectors(embed(counted, tmp_path / "a.jsonl", tmp_path / f"v{ending}", skip=True)).values
    usable = [isinstance(row, str) and bool(row.strip()) for row in rows]
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), ~np.array(usable))
    np.testing.assert_allclose(found[usable], embedder.encode(counted.texts), rtol=1e-4, atol=1e-5)
    assert counted.texts == [row for row, good in zip(rows, usable) if good]


def test_lines_are_the_same_as_a_file_of_json_lines(embedder, tmp_path, small_pieces):
    source = write_lines(tmp_path / "a.txt", texts(PIECE + 3))
    output = embed(embedder, source, tmp_path / "v.jsonl")
    with open_texts(str(source)) as file:
        lines = list(embed_to_lines(EmbedRun(file, scan_texts(file, None, False), embedder), lambda texts: None))
    assert "".join(lines) == output.read_text()


def test_standard_input_is_embedded_like_a_file(embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    output = embed(embedder, "-", tmp_path / "v.npy")
    np.testing.assert_array_equal(np.load(output), embedder.encode(["one", "two"]))


def test_progress_adds_up_to_the_rows(embedder, tmp_path, small_pieces):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": null}\n' * 2 * PIECE)
    told: list[int] = []
    embed(embedder, tmp_path / "a.jsonl", tmp_path / "v.npy", skip=True, told=told)
    assert sum(told) == 4 * PIECE


# What stands in the way


def test_an_output_in_a_folder_that_is_not_there_is_refused(embedder, tmp_path):
    source = write_lines(tmp_path / "a.txt", texts(1))
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first"):
        embed(embedder, source, tmp_path / "nowhere" / "v.npy")
    assert names(tmp_path) == ["a.txt"]


def test_the_input_is_never_overwritten(embedder, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a"}\n')
    (tmp_path / "link.jsonl").symlink_to(source)
    for output in (source, tmp_path / "." / "a.jsonl", tmp_path / "link.jsonl"):
        with pytest.raises(OutputError, match="is the input itself; give the output another name"):
            embed(embedder, source, output)
    assert source.read_text() == '{"text": "a"}\n'


def test_an_output_that_is_a_folder_is_refused(embedder, tmp_path):
    (tmp_path / "v.npy").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        embed(embedder, write_lines(tmp_path / "a.txt", texts(1)), tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("ending", "column"), [(".parquet", "vector"), (".npy", "vector"), (".jsonl", "vector"), (".jsonl", "fingerprint")]
)
def test_a_column_that_the_output_needs_itself_is_refused(embedder, tmp_path, ending, column):
    (tmp_path / "a.csv").write_text(f"text,{column}\na,b\n")
    with pytest.raises(Exception, match=f"already has a column '{column}', which the output needs; rename it"):
        embed(embedder, tmp_path / "a.csv", tmp_path / f"v{ending}")
    assert names(tmp_path) == ["a.csv"]


def test_a_column_that_the_output_needs_is_refused_wherever_it_first_stands(embedder, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "vector": [1]}\n')
    with pytest.raises(Exception, match="already has a column 'vector'"):
        embed(embedder, tmp_path / "a.jsonl", tmp_path / "v.parquet")


def test_a_column_of_vectors_is_refused_where_lines_are_printed_too(embedder, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "vector": [1]}\n')
    with open_texts(str(tmp_path / "a.jsonl")) as file:
        run = EmbedRun(file, scan_texts(file, None, False), embedder)
        with pytest.raises(Exception, match="already has a column 'vector'"):
            list(embed_to_lines(run, lambda texts: None))


def test_an_output_of_an_earlier_run_is_replaced_only_when_the_new_one_is_whole(embedder, tmp_path, small_pieces):
    source = write_lines(tmp_path / "a.txt", texts(3 * PIECE))
    output = tmp_path / "v.npy"
    output.write_bytes(b"old")
    sidecar(output).write_text("old")
    with pytest.raises(RuntimeError):
        embed(Counted(embedder, fail_after=PIECE), source, output)
    assert (output.read_bytes(), sidecar(output).read_text()) == (b"old", "old")
    embed(embedder, source, output)
    assert np.load(output).shape == (3 * PIECE, 48)


# A run that breaks


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_broken_run_leaves_no_output_and_the_same_command_computes_only_the_rest(
    embedder, tmp_path, small_pieces, ending
):
    rows = texts(4 * PIECE + 5)
    source = write_lines(tmp_path / "a.txt", rows)
    output = tmp_path / f"v{ending}"
    first = Counted(embedder, fail_after=2 * PIECE)
    with pytest.raises(RuntimeError):
        embed(first, source, output)
    assert names(tmp_path) == ["a.txt", f"v{ending}.partial"]
    assert names(tmp_path / f"v{ending}.partial") == ["000000.parquet", "000001.parquet", "run.txt"]
    assert first.texts == rows[: 2 * PIECE]

    second, told = Counted(embedder), []
    embed(second, source, output, told=told)
    assert second.texts == rows[2 * PIECE :]
    assert sum(told) == len(rows)
    assert f"v{ending}.partial" not in names(tmp_path)

    (tmp_path / "whole").mkdir()
    uninterrupted = embed(embedder, source, tmp_path / "whole" / f"v{ending}")
    assert output.read_bytes() == uninterrupted.read_bytes()
    assert read_vectors(output).values.shape == (len(rows), 48)


def test_a_run_that_is_stopped_says_what_is_kept(embedder, tmp_path, small_pieces):
    source = write_lines(tmp_path / "a.txt", texts(4 * PIECE))
    with pytest.raises(KeyboardInterrupt) as caught:
        embed(Counted(embedder, 3 * PIECE, KeyboardInterrupt), source, tmp_path / "v.parquet")
    kept = f"48 of 64 rows are kept in {tmp_path / 'v.parquet.partial'}; run the same command again to go on from there"
    assert str(caught.value) == kept
    assert isinstance(caught.value, Interrupted)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_is_stopped_before_anything_is_finished_leaves_nothing(embedder, tmp_path, small_pieces, error):
    source = write_lines(tmp_path / "a.txt", texts(4 * PIECE))
    with pytest.raises((KeyboardInterrupt, RuntimeError)) as caught:
        embed(Counted(embedder, 0, error), source, tmp_path / "v.parquet")
    assert names(tmp_path) == ["a.txt"]
    if error is KeyboardInterrupt:
        assert str(caught.value) == "nothing was finished yet, and nothing is left behind"


def test_a_run_stopped_while_the_pieces_are_put_together_computes_nothing_again(
    embedder, tmp_path, small_pieces, monkeypatch
):
    source = write_lines(tmp_path / "a.txt", texts(2 * PIECE))

    def half(pieces, target, metadata):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(run_module._WRITERS, "parquet", half)
        with pytest.raises(KeyboardInterrupt, match="32 of 32 rows are kept"):
            embed(embedder, source, tmp_path / "v.parquet")
    assert names(tmp_path) == ["a.txt", "v.parquet.partial"]
    counted = Counted(embedder)
    assert len(read_vectors(embed(counted, source, tmp_path / "v.parquet")).values) == 2 * PIECE
    assert counted.texts == []
    assert names(tmp_path) == ["a.txt", "v.parquet"]


def test_a_piece_that_was_only_half_written_is_computed_again(embedder, tmp_path, small_pieces, monkeypatch):
    rows = texts(3 * PIECE)
    source = write_lines(tmp_path / "a.txt", rows)
    write_table = pq.write_table

    def half(table, target, **options):
        if "000001" in target.name:
            target.write_bytes(b"PAR1 half")
            raise KeyboardInterrupt
        write_table(table, target, **options)

    with monkeypatch.context() as patched:
        patched.setattr(writers_module.pq, "write_table", half)
        with pytest.raises(KeyboardInterrupt, match="16 of 48 rows"):
            embed(embedder, source, tmp_path / "v.npy")
    counted = Counted(embedder)
    embed(counted, source, tmp_path / "v.npy")
    assert counted.texts == rows[PIECE:]


def stop_after_two_pieces(embedder, source, output, **options):
    with pytest.raises(KeyboardInterrupt):
        embed(Counted(embedder, 2 * PIECE, KeyboardInterrupt), source, output, **options)


def refused_and_kept(embedder, source, output, **options):
    """Another task finds the pieces of this one: it must not throw them away."""
    partial = output.with_name(output.name + ".partial")
    before = {path.name: path.read_bytes() for path in partial.iterdir()}
    counted = Counted(embedder)
    with pytest.raises(OutputError, match="keeps 32 rows of another run"):
        embed(counted, source, output, **options)
    assert counted.texts == []
    assert {path.name: path.read_bytes() for path in partial.iterdir()} == before


@pytest.mark.parametrize("note", ["", '"{half'])
def test_pieces_beside_a_broken_note_are_kept(embedder, tmp_path, small_pieces, note):
    source = write_lines(tmp_path / "a.txt", texts(3 * PIECE))
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    (tmp_path / "v.npy.partial" / "run.txt").write_text(note)
    refused_and_kept(embedder, source, tmp_path / "v.npy")


def test_a_note_without_pieces_is_no_obstacle(embedder, tmp_path):
    source = write_lines(tmp_path / "a.txt", texts(3))
    (tmp_path / "v.npy.partial").mkdir()
    (tmp_path / "v.npy.partial" / "run.txt").write_text("another task")
    embed(embedder, source, tmp_path / "v.npy")
    assert names(tmp_path) == ["a.txt", "v.npy", "v.npy.json"]


def test_a_piece_that_a_crash_of_the_machine_emptied_is_computed_again(embedder, tmp_path, small_pieces):
    rows = texts(3 * PIECE)
    source = write_lines(tmp_path / "a.txt", rows)
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    (tmp_path / "v.npy.partial" / "000000.parquet").write_bytes(b"")
    counted = Counted(embedder)
    embed(counted, source, tmp_path / "v.npy")
    assert counted.texts == rows[:PIECE] + rows[2 * PIECE :]


def test_a_copy_of_the_input_goes_on_where_the_run_stopped(embedder, tmp_path, small_pieces):
    rows = texts(3 * PIECE)
    stop_after_two_pieces(embedder, write_lines(tmp_path / "a.txt", rows), tmp_path / "v.npy")
    (tmp_path / "a.txt").unlink()
    counted = Counted(embedder)
    embed(counted, write_lines(tmp_path / "b.txt", rows), tmp_path / "v.npy")
    assert counted.texts == rows[2 * PIECE :]


def test_a_folder_that_no_run_made_is_not_removed(embedder, tmp_path):
    kept = tmp_path / "v.npy.partial" / "precious.txt"
    kept.parent.mkdir()
    kept.write_text("precious")
    with pytest.raises(OutputError, match=r"v\.npy\.partial"):
        embed(embedder, write_lines(tmp_path / "a.txt", texts(2)), tmp_path / "v.npy")
    assert kept.read_text() == "precious"


def test_a_changed_input_is_refused_and_the_pieces_kept(embedder, tmp_path, small_pieces):
    source = write_lines(tmp_path / "a.txt", texts(3 * PIECE))
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    write_lines(source, ["Another sentence", *texts(3 * PIECE)[1:]])
    refused_and_kept(embedder, source, tmp_path / "v.npy")


@pytest.mark.parametrize(
    "changes",
    [{"method": "knowledge"}, {"layer": 2}, {"dtype": "bfloat16"}, {"method": Method("prompteol", "{text}:")}],
)
def test_another_method_layer_or_number_format_is_refused(llama, embedder, tmp_path, small_pieces, changes):
    source = write_lines(tmp_path / "a.txt", texts(3 * PIECE))
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    other = Embedder(llama, **{"layer": 1, "dtype": "float32", "device": "cpu", **changes})
    refused_and_kept(other, source, tmp_path / "v.npy")


@pytest.mark.parametrize("options", [{"normalize": True}, {"column": "body"}])
def test_another_scaling_or_column_is_refused(embedder, tmp_path, small_pieces, options):
    source = tmp_path / "a.csv"
    source.write_text("text,body\n" + "".join(f"one {number},two {number}\n" for number in range(3 * PIECE)))
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    refused_and_kept(embedder, source, tmp_path / "v.npy", **options)


def test_two_outputs_of_one_input_do_not_share_their_pieces(embedder, tmp_path, small_pieces):
    source = write_lines(tmp_path / "a.txt", texts(3 * PIECE))
    stop_after_two_pieces(embedder, source, tmp_path / "v.npy")
    stop_after_two_pieces(embedder, source, tmp_path / "v.parquet")
    assert names(tmp_path) == ["a.txt", "v.npy.partial", "v.parquet.partial"]


# A disk that is full


def test_a_full_disk_is_told_and_finished_pieces_are_kept(embedder, tmp_path, small_pieces, monkeypatch):
    rows = texts(4 * PIECE)
    source = write_lines(tmp_path / "a.txt", rows)
    write_piece = run_module.write_piece

    def full(table, path):
        if path.name == "000002.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_piece(table, path)

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "write_piece", full)
        with pytest.raises(OutputError) as caught:
            embed(embedder, source, tmp_path / "v.parquet")
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / 'v.parquet'} cannot be written: the disk is full; 32 of 64 rows are kept in"
    )
    assert names(tmp_path) == ["a.txt", "v.parquet.partial"]
    counted = Counted(embedder)
    embed(counted, source, tmp_path / "v.parquet")
    assert counted.texts == rows[2 * PIECE :]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_is_full_at_the_end_leaves_no_half_output(embedder, tmp_path, small_pieces, monkeypatch, ending):
    source = write_lines(tmp_path / "a.txt", texts(2 * PIECE))
    kind = ending.removeprefix(".")

    def full(pieces, target, metadata):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setitem(run_module._WRITERS, kind, full)
        with pytest.raises(OutputError, match="the disk is full; 32 of 32 rows are kept"):
            embed(embedder, source, tmp_path / f"v{ending}")
    assert names(tmp_path) == ["a.txt", f"v{ending}.partial"]
    embed(embedder, source, tmp_path / f"v{ending}")
    assert len(read_vectors(tmp_path / f"v{ending}").values) == 2 * PIECE


def test_a_disk_that_is_full_from_the_start_leaves_nothing(embedder, tmp_path, monkeypatch):
    def full(table, path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(run_module, "write_piece", full)
    with pytest.raises(OutputError, match="the disk is full; make room first"):
        embed(embedder, write_lines(tmp_path / "a.txt", texts(3)), tmp_path / "v.parquet")
    assert names(tmp_path) == ["a.txt"]


def test_another_failure_to_write_is_told_in_the_system_s_words(embedder, tmp_path, monkeypatch):
    def broken(table, path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(run_module, "write_piece", broken)
    with pytest.raises(OutputError, match=r"v\.parquet cannot be written: Input/output error; "):
        embed(embedder, write_lines(tmp_path / "a.txt", texts(3)), tmp_path / "v.parquet")


# A real Ctrl-C


def wait_for(path, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_a_run_with_130_and_no_half_file(llama, tmp_path):
    rows = texts(20_000)
    source = write_lines(tmp_path / "a.txt", rows)
    output = tmp_path / "v.parquet"
    partial = tmp_path / "v.parquet.partial"
    command = ["embed", source, "-o", output, "--model", llama, "--layer", "1", "--dtype", "float32", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from oneword.cli.main import main; main()", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(partial / "000001.parquet", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("oneword: interrupted; ")
    assert f"of 20,000 rows are kept in {partial}" in last
    assert names(tmp_path) == ["a.txt", "v.parquet.partial"]
    pieces = sorted(partial.glob("*.parquet"))
    assert f"{sum(pq.read_metadata(piece).num_rows for piece in pieces):,} of" in last
    np.testing.assert_allclose(
        np.array(pq.read_table(pieces[0])["vector"].to_pylist()[:20]),
        Embedder(llama, layer=1, dtype="float32", device="cpu").encode(rows[:20]),
        rtol=1e-3,
        atol=1e-4,
    )


# Memory


class Instant:
    """An embedder without a model: vectors at once, so that only what a run itself holds is measured."""

    layer, dimension, fingerprint, model, method = 1, 32, "f", "m", Method("instant", "{text}")
    precision = "float32"
    device = torch.device("cpu")

    def compute(self, texts, batch_size=None, on_texts=lambda texts: None):
        return torch.ones(len(texts), 1, self.dimension)


def peak_memory(source, output) -> int:
    """The most bytes that Python, numpy and Arrow hold while a file is embedded and read again."""
    arrow = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(arrow)
    tracemalloc.start()
    try:
        embed(Instant(), source, output)
        for _ in iterate_vectors(output, rows=512):
            pass
        return tracemalloc.get_traced_memory()[1] + arrow.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


@pytest.mark.parametrize(("source", "ending"), [(".jsonl", ".parquet"), (".csv", ".npy"), (".parquet", ".jsonl")])
def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch, source, ending):
    monkeypatch.setattr(run_module, "_PIECE_ROWS", 256)
    monkeypatch.setattr(scan_module, "_ROWS", 256)
    peaks = []
    for count in (500, 2_000, 8_000):  # the first fills what is kept for good
        path = tmp_path / f"{count}{source}"
        if source == ".parquet":
            pq.write_table(pa.table({"text": texts(count)}), path, row_group_size=500)
        else:
            head = "text\n" if source == ".csv" else ""
            line = "{}\n" if source == ".csv" else '{{"text": "{}"}}\n'
            path.write_text(head + "".join(map(line.format, texts(count))))
        peaks.append(peak_memory(path, tmp_path / f"{count}v{ending}"))
    held_whole = (8_000 - 2_000) * 32 * 4  # what the further rows' vectors alone would take
    assert peaks[2] - peaks[1] < held_whole / 4, peaks
