"""Files of texts: read as they are meant, all columns kept, and refused by line when they are not what they say."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.errors import InputError
from oneword.io import scan as scan_module
from oneword.io.formats import names_input_file
from oneword.io.scan import scan_texts
from oneword.io.texts import open_texts


@pytest.fixture
def file(tmp_path):
    """Write a file; the answer is its path."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def read(path, column=None, *, rows=1000, skip=False, chosen_format=None):
    """The texts and the table that a run sees: a scan first, then pieces of some rows with the scan's types."""
    with open_texts(str(path), chosen_format) as opened:
        scan = scan_texts(opened, column, skip)
        pieces = list(opened.pieces(scan.column, rows, scan.types))
    assert sum(len(piece.texts) for piece in pieces) == scan.rows
    return [text for piece in pieces for text in piece.texts], pa.concat_tables([piece.table for piece in pieces])


def texts_of(path, column=None, **options):
    return read(path, column, **options)[0]


def refused(path, column=None, **options):
    with pytest.raises(InputError) as caught:
        read(path, column, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Lines of text


@pytest.mark.parametrize(
    "content", ["one\ntwo\nthree\n", "one\ntwo\nthree", "one\r\ntwo\r\nthree\r\n", "\ufeffone\ntwo\nthree\n"]
)
def test_a_text_file_has_a_text_a_line_whatever_its_line_ends_and_byte_order_mark(file, content):
    assert texts_of(file("a.txt", content)) == ["one", "two", "three"]


def test_other_separators_of_unicode_end_no_line(file):
    assert texts_of(file("a.txt", "one\u2028still\u0085one\x0b\ntwo\n")) == ["one\u2028still\u0085one\x0b", "two"]


def test_spaces_and_quotes_in_a_text_file_are_text(file):
    assert texts_of(file("a.txt", ' " one, two"\t\n{"text": "x"}\n')) == [' " one, two"\t', '{"text": "x"}']


def test_a_blank_line_of_a_text_file_is_a_row_without_a_text(file):
    path = file("a.txt", "one\n\nthree\n  \n")
    assert "row 2 is empty, and so are 1 others" in refused(path)
    assert texts_of(path, skip=True) == ["one", "", "three", "  "]


def test_a_file_that_is_not_utf_8_is_refused_with_the_way_to_convert_it(file):
    for name in ("a.txt", "a.csv", "a.tsv", "a.jsonl"):
        message = refused(file(name, "text\ncafé\n".encode("latin-1")))
        assert f"{name} is not UTF-8 text; convert it first, as with `iconv -f latin1 -t utf-8`" in message


def test_bytes_that_are_not_utf_8_far_inside_a_file_are_refused_too(file):
    assert "is not UTF-8 text" in refused(file("a.txt", b"fine\n" * 50_000 + b"caf\xe9\n"))


# Tables of text


@pytest.mark.parametrize(
    "content",
    [
        "id,text\n1,one\n2,two\n",
        "id,text\r\n1,one\r\n2,two\r\n",
        "\ufeffid,text\n1,one\n2,two",
        'id,"text"\n"1","one"\n2,two\n',
    ],
)
def test_a_csv_has_a_header_and_rows_whatever_its_line_ends_and_byte_order_mark(file, content):
    texts, table = read(file("a.csv", content))
    assert texts == ["one", "two"]
    assert table.to_pydict() == {"id": ["1", "2"], "text": ["one", "two"]}


def test_a_byte_order_mark_is_not_part_of_the_first_column_s_name(file):
    assert texts_of(file("a.csv", "\ufefftext,id\none,1\n"), "text") == ["one"]


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(file):
    path = file("a.csv", 'text,id\n"one, ""two""\r\nthree\n\nfour",1\nfive,2\n')
    assert texts_of(path) == ['one, "two"\r\nthree\n\nfour', "five"]


def test_blank_lines_of_a_csv_are_no_rows(file):
    assert texts_of(file("a.csv", "text,id\n\none,1\n\n\ntwo,2\n\n")) == ["one", "two"]


def test_a_tsv_is_split_at_tabs_only(file):
    texts, table = read(file("a.tsv", "text\tid\none, two\t1\nthree\t2\n"))
    assert texts == ["one, two", "three"]
    assert table["id"].to_pylist() == ["1", "2"]


def test_csv_columns_stay_strings(file):
    _, table = read(file("a.csv", "text,number,date,flag,empty\na,007,2024-01-02,true,\nb,1e5,x,False,\n"))
    assert set(table.schema.types) == {pa.string()}
    assert table["number"].to_pylist() == ["007", "1e5"]
    assert table["empty"].to_pylist() == ["", ""]


@pytest.mark.parametrize(("row", "fields"), [("two", 1), ("two,2,3", 3)])
def test_a_row_with_more_or_fewer_fields_than_the_header_is_refused_by_line(file, row, fields):
    message = refused(file("a.csv", f'text,id\n"a\nb",1\n{row}\nc,3\n'))
    assert f"a.csv, line 4: {fields} fields where the header has 2" in message


def test_an_unbalanced_quote_is_refused_by_line(file):
    message = refused(file("a.csv", 'text,id\none,1\n"two,2\nthree,3\n'))
    assert "a.csv, line 4: unexpected end of data; mend the quotes there" in message


def test_text_after_a_closing_quote_is_refused_by_line(file):
    assert "a.csv, line 2: " in refused(file("a.csv", 'text,id\n"one" two,1\nthree,2\n'))


def test_quotes_in_a_tsv_are_characters_of_the_text(file):
    assert texts_of(file("a.tsv", 'text\n"What now\nNever mind\nhe said "\n')) == [
        '"What now',
        "Never mind",
        'he said "',
    ]


def test_a_blank_line_is_an_empty_text_where_texts_are_all_there_is(file):
    assert "row 2 is empty" in refused(file("a.csv", "text\none\n\nthree\n"))
    assert texts_of(file("b.csv", "text,id\none,1\n\nthree,3\n")) == ["one", "three"]


def test_columns_of_one_name_are_refused(file):
    assert "a.csv has 2 columns called 'text'; rename them" in refused(file("a.csv", "text,id,text\na,1,b\n"))


def test_a_field_of_any_length_is_read(file):
    long = "word " * 40_000  # more than the csv module's own limit of 131,072 characters
    assert texts_of(file("a.csv", f'text,id\n"{long}",1\nshort,2\n')) == [long, "short"]


# JSON lines


def test_json_lines_keep_every_key_with_its_type(file):
    rows = [
        {"text": "one", "id": 1, "score": 0.5, "tags": ["a", "b"], "meta": {"lang": "en", "n": 1}, "flag": True},
        {"text": "two", "id": 2, "score": 1.5, "tags": [], "meta": {"lang": "de", "n": 2}, "flag": None},
    ]
    texts, table = read(file("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert texts == ["one", "two"]
    assert table.to_pylist() == rows
    assert table.schema.field("id").type == pa.int64()
    assert table.schema.field("score").type == pa.float64()
    assert table.schema.field("flag").type == pa.bool_()
    assert table.schema.field("tags").type == pa.list_(pa.string())


@pytest.mark.parametrize(
    "content",
    ['{"text": "a"}\r\n{"text": "b"}\r\n', '\ufeff{"text": "a"}\n\n  \n{"text": "b"}', '{"text":"a"}\n{"text":"b"}'],
)
def test_json_lines_may_have_blank_lines_other_line_ends_and_a_byte_order_mark(file, content):
    assert texts_of(file("a.jsonl", content)) == ["a", "b"]
    assert texts_of(file("a.ndjson", content)) == ["a", "b"]


def test_a_key_that_some_rows_lack_is_null_there(file):
    path = file("a.jsonl", '{"text": "a", "id": 1}\n{"text": "b"}\n{"text": "c", "late": "x"}\n')
    for rows in (1, 2, 100):  # whatever stands in one piece
        _, table = read(path, rows=rows)
        assert table["id"].to_pylist() == [1, None, None]
        assert table["late"].to_pylist() == [None, None, "x"]


def test_a_key_of_mixed_types_becomes_text_and_loses_nothing(file):
    values = [1, "one", None, True, 1.5, ["a", 1], {"a": "ü"}]
    lines = "".join(json.dumps({"text": "t", "mixed": value}) + "\n" for value in values)
    _, table = read(file("a.jsonl", lines))
    assert table["mixed"].to_pylist() == ["1", "one", None, "true", "1.5", '["a", 1]', '{"a": "ü"}']


def test_whole_and_fractional_numbers_become_fractional(file):
    _, table = read(file("a.jsonl", '{"text": "a", "n": 1}\n{"text": "b", "n": 2.5}\n'))
    assert table["n"].to_pylist() == [1.0, 2.5]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, None, 3],
        [1, "a", None, 2],
        [None, None, "a", 1],
        [{"a": 1}, {"b": 2}, None, {"a": 3, "b": 4}],
        [{"a": 1}, {"a": "x"}, {"a": [1]}, None],
        [[1], ["a"], [], None],
        [2**63, 1, -1, None],
        [10**30, 1, 2, 3],
        [{"a": []}, {"a": ["x"]}, {"a": None}, {}],
        ["", "x", None, "\u0000"],
    ],
)
def test_types_are_the_same_in_every_piece_and_no_value_is_lost(file, monkeypatch, values):
    monkeypatch.setattr(scan_module, "_ROWS", 1)  # the scan too must agree over pieces
    path = file("a.jsonl", "".join(json.dumps({"text": "t", "v": value}) + "\n" for value in values))
    with open_texts(path) as opened:
        scan = scan_texts(opened, None, False)
        tables = [piece.table for piece in opened.pieces("text", 1, scan.types)]
    assert len({table.schema for table in tables}) == 1, [table.schema.field("v").type for table in tables]
    for value, found in zip(values, pa.concat_tables(tables)["v"].to_pylist()):
        if isinstance(found, str) and not isinstance(value, str):
            found = json.loads(found)
        if isinstance(value, dict):  # what other rows have besides is null here
            found = {key: inner for key, inner in found.items() if inner is not None}
            value = {key: inner for key, inner in value.items() if inner is not None}
        assert found == value


def test_large_whole_numbers_beside_fractions_have_one_type_in_every_piece(file, monkeypatch):
    monkeypatch.setattr(scan_module, "_ROWS", 1)
    path = file("a.jsonl", '{"text": "t", "v": 9007199254740993}\n{"text": "t", "v": 0.5}\n')
    with open_texts(path) as opened:
        scan = scan_texts(opened, None, False)
        tables = [piece.table for piece in opened.pieces("text", 1, scan.types)]
    assert len({table.schema for table in tables}) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{'text': 'a'}", "is not JSON: "),
        ('{"text": "a"', "is not JSON: "),
        ('{"text": "a"} x', "is not JSON: "),
        ("text", "is not JSON: "),
        ('["a"]', 'is no JSON object; write each row as {"text": "..."}'),
        ('"a"', "is no JSON object"),
        ("null", "is no JSON object"),
    ],
)
def test_a_line_that_is_no_json_object_is_refused_by_line(file, line, problem):
    assert f"a.jsonl, line 3 {problem}" in refused(file("a.jsonl", f'{{"text": "a"}}\n\n{line}\n'))


def test_a_line_of_brackets_without_end_is_refused_by_line(file):
    assert "line 2 is not JSON" in refused(file("a.jsonl", '{"text": "a"}\n' + "[" * 100_000 + "\n"))


def test_half_of_a_surrogate_pair_in_another_column_is_replaced(file):
    _, table = read(file("a.jsonl", '{"text": "a", "other": "x\\ud83d", "deep": ["\\ud83d"]}\n'))
    assert table["other"].to_pylist() == ["x?"]
    assert json.loads(table["deep"].to_pylist()[0]) == ["?"]


def test_half_of_a_surrogate_pair_in_a_key_is_no_crash(file):
    assert texts_of(file("a.jsonl", '{"text": "a", "\\ud83d": 1}\n')) == ["a"]


# Parquet


def test_parquet_columns_keep_their_types_and_values(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.uint16()),
            "text": ["one", "two"],
            "when": pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5, 678901), None], pa.timestamp("us", tz="UTC")),
            "price": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(10, 2)),
            "tags": [["a"], []],
            "meta": [{"x": 1}, None],
            "raw": [b"\x00\xff", None],
            "kind": pa.array(["k", "l"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    texts, found = read(path)
    assert texts == ["one", "two"]
    assert found.schema.equals(table.schema)
    assert found.equals(table)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_every_kind_of_string_is_text(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array(["one", "two"]).cast(kind)}), path)
    assert texts_of(path) == ["one", "two"]


def test_rows_come_in_order_over_row_groups_and_pieces(tmp_path):
    path = tmp_path / "a.parquet"
    expected = [f"text {number}" for number in range(100)]
    pq.write_table(pa.table({"text": expected, "n": range(100)}), path, row_group_size=7)
    texts, table = read(path, rows=10)
    assert texts == expected
    assert table["n"].to_pylist() == list(range(100))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", "truncated"])
def test_a_broken_parquet_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-20] if content == "truncated" else content)
    message = refused(path)
    assert "a.parquet cannot be read as parquet: " in message
    assert message.endswith("; write it again")


def test_a_parquet_file_broken_in_the_middle_is_refused_by_name(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(5000)]}), path)
    whole = bytearray(path.read_bytes())
    whole[4:2000] = bytes(1996)
    path.write_bytes(whole)
    assert "a.parquet cannot be read as parquet: " in refused(path)


@pytest.mark.parametrize("names", [["text", "text"], ["text", "a", "a"]])
def test_columns_of_one_name_in_parquet_are_refused(tmp_path, names):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * len(names), names=names), path)
    assert f"a.parquet has 2 columns called '{names[-1]}'; rename them" in refused(path)


# Which column


@pytest.mark.parametrize(
    ("header", "chosen", "found"),
    [("id,text,title", None, "b"), ("sentence", None, "a"), ("id,body,text", "body", "b"), ("text,Text", None, "a")],
)
def test_the_column_is_the_chosen_one_or_text_or_the_only_one(file, header, chosen, found):
    row = ",".join("abc"[: header.count(",") + 1])
    assert texts_of(file("a.csv", f"{header}\n{row}\n"), chosen) == [found]


def test_several_columns_without_one_called_text_need_a_choice_and_are_named(file):
    message = refused(file("a.csv", "id,title,body\n1,a,b\n"))
    assert "a.csv has 3 columns; give --column with one of: id, title, body" in message


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_column_that_is_not_there_names_those_that_are(file, name):
    content = {"a.csv": "id,title\n1,a\n", "a.jsonl": '{"id": 1, "title": "a"}\n', "a.txt": "a\n"}[name]
    columns = {"a.csv": "id, title", "a.jsonl": "id, title", "a.txt": "text"}[name]
    assert f"{name} has no column 'body'; its columns are: {columns}" in refused(file(name, content), "body")


@pytest.mark.parametrize("column", [None, "text"])
def test_a_key_that_the_first_row_lacks_is_a_column_all_the_same(file, column):
    path = file("a.jsonl", '{"id": 1}\n{"id": 2, "text": "two"}\n')
    assert texts_of(path, column, skip=True) == [None, "two"]


# Rows without a usable text

UNUSABLE = "".join(
    f"{row}\n"
    for row in (
        '{"text": "a"}',
        '{"text": null}',
        '{"text": 5}',
        '{"text": ""}',
        '{"text": "  "}',
        '{"id": 1}',
        '{"text": "\\ud83d"}',
        '{"text": ["a"]}',
    )
)


def test_the_first_row_without_a_usable_text_is_named_with_the_number_of_others(file):
    message = refused(file("a.jsonl", UNUSABLE))
    assert "a.jsonl, column 'text': row 2 is null, and so are 6 others" in message
    assert "--on-error skip" in message


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("null", "is null"),
        ("5", "is not text but int"),
        ("true", "is not text but bool"),
        ('""', "is empty"),
        ('" \\t"', "is only white space"),
        ('["a"]', "is not text but list"),
        ('{"a": "b"}', "is not text but dict"),
        ('"\\ud83d"', "is not valid Unicode"),
    ],
)
def test_a_row_is_refused_by_number_and_problem(file, value, problem):
    message = refused(file("a.jsonl", f'{{"text": "a"}}\n{{"text": "b"}}\n{{"text": {value}}}\n'))
    assert f"column 'text': row 3 {problem}; mend" in message.replace(": it holds half of a surrogate pair", "")


def test_rows_are_numbered_over_the_whole_file(file, monkeypatch):
    monkeypatch.setattr(scan_module, "_ROWS", 2)
    message = refused(file("a.csv", "text,id\na,1\nb,2\nc,3\n,4\n,5\n"))
    assert "row 4 is empty, and so are 1 others" in message


def test_skipping_counts_rows_and_keeps_what_stands_there(file):
    path = file("a.jsonl", UNUSABLE)
    with open_texts(path) as opened:
        scan = scan_texts(opened, None, skip_unusable=True)
        assert (scan.rows, scan.unusable) == (8, 7)
        (piece,) = opened.pieces(scan.column, 100, scan.types)
    assert piece.texts == ["a", None, 5, "", "  ", None, "\ud83d", ["a"]]
    assert piece.table["text"].to_pylist() == ["a", None, "5", "", "  ", None, "?", '["a"]']


def test_null_rows_of_parquet_are_found(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", None, "c"]}), path)
    assert "row 2 is null; mend" in refused(path)
    assert texts_of(path, skip=True) == ["a", None, "c"]


def test_a_parquet_column_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1.5, 2.5]}), path)
    assert "no row has a usable text (row 1 is not text but float)" in refused(path)
    assert "no row has a usable text" in refused(path, skip=True)


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", ""), ("a.csv", ""), ("a.csv", "text,id\n"), ("a.jsonl", ""), ("a.jsonl", "\n\n")]
)
def test_a_file_without_rows_is_refused(file, name, content):
    assert f"{name} has no rows; there is nothing to embed" in refused(file(name, content))


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert "a.parquet has no rows; there is nothing to embed" in refused(tmp_path / "a.parquet")


# Which file


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert f"no file {tmp_path / 'a.csv'}; give the path of one" in refused(tmp_path / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv: it is a folder" in refused(tmp_path / "folder.csv")


def test_an_ending_that_names_no_format_is_refused_with_those_that_do(file):
    message = refused(file("a.doc", "text\n"))
    assert (
        "a.doc: the ending '.doc' names no format (.txt, .csv, .tsv, .jsonl, .ndjson, .parquet); give --input-format"
        in message
    )


def test_a_chosen_format_goes_before_the_ending(file):
    assert texts_of(file("a.dat", "text,id\none,1\n"), chosen_format="csv") == ["one"]
    assert texts_of(file("a.csv", "one, two\nthree\n"), chosen_format="txt") == ["one, two", "three"]


def test_endings_may_be_in_capitals(file):
    assert texts_of(file("A.CSV", "text\none\n")) == ["one"]


@pytest.mark.parametrize(
    ("argument", "is_file"),
    [
        ("-", True),
        ("a.csv", True),
        ("dir/a.PARQUET", True),
        ("a text", False),
        ("see a.txt", False),
        ("word", False),
        ("--", False),
        ("a.b", False),
    ],
)
def test_one_word_with_a_known_ending_names_a_file_and_anything_else_is_a_text(argument, is_file):
    assert names_input_file(argument) is is_file


def test_standard_input_is_read_as_lines_of_text_or_as_a_chosen_format(monkeypatch):
    for chosen, content in (
        (None, "one\ntwo\n"),
        ("csv", "text,id\none,1\ntwo,2\n"),
        ("jsonl", '{"text": "one"}\n{"text": "two"}\n'),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert texts_of("-", chosen_format=chosen) == ["one", "two"]


def test_parquet_can_come_over_standard_input(monkeypatch):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"]}), buffer)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
    assert texts_of("-", chosen_format="parquet") == ["one", "two"]


def test_messages_call_standard_input_by_its_name(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert refused("-") == "standard input has no rows; there is nothing to embed"


def test_the_digest_of_a_file_changes_with_its_content(file, monkeypatch):
    def identity(argument):
        with open_texts(argument) as opened:
            return opened.digest

    path = file("a.txt", "one\n")
    before = identity(path)
    assert identity(path) == before
    file("a.txt", "one and more\n")
    assert identity(path) != before
    piped = []
    for content in (b"one\n", b"one\n", b"two\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        piped.append(identity("-"))
    assert piped[0] == piped[1] != piped[2]
