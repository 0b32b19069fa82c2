"""Pairs of sentences from SentEval's layout and from the Hub: read as published, or refused by file and line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.errors import InputError
from oneword.evaluation import hub
from oneword.evaluation.hub import HUB_TASKS, HubTask, load_pairs
from oneword.evaluation.lines import read_lines
from oneword.evaluation.sentence_pairs import (
    DEVELOPMENT,
    PUBLISHED_SIZES,
    TASKS,
    TESTS,
    YEARS,
    SentencePairs,
    find_task,
    missing_folder,
    read_pairs,
)
from senteval_data import write_sts

SENTEVAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "senteval"
INPUT, GOLD = "STS/STS16-en-test/STS.input.headlines.txt", "STS/STS16-en-test/STS.gs.headlines.txt"
BENCHMARK, SICK = "STS/STSBenchmark/sts-test.csv", "SICK/SICK_test_annotated.txt"
HEADING = b"pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"


@pytest.fixture
def data(tmp_path):
    """All tasks, with two pairs a dataset."""
    return write_sts(tmp_path, pairs=2)


@pytest.fixture
def headlines(data):
    """Write one dataset of STS16; the answer is its pairs as they are read among the others."""

    def read(sentences: bytes, scores: bytes):
        (data / INPUT).write_bytes(sentences)
        (data / GOLD).write_bytes(scores)
        pairs = read_pairs(data, "STS16")
        rows = zip(pairs.first, pairs.second, pairs.gold, pairs.datasets)
        return [row[:3] for row in rows if row[3] == "headlines"]

    return read


def rows_of(pairs):
    return list(zip(pairs.first, pairs.second, pairs.gold))


# What is read


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_read_in_the_order_of_its_files(data, task):
    pairs = read_pairs(data, task)
    assert pairs.task == task
    assert pairs.datasets == tuple(name for name in YEARS.get(task, ()) for _ in range(2))
    assert len(pairs) == len(pairs.first) == len(pairs.second) == 2 * len(YEARS.get(task, "1"))


def test_the_years_have_the_papers_datasets():
    assert {year: len(datasets) for year, datasets in YEARS.items()} == {
        "STS12": 5,
        "STS13": 3,
        "STS14": 6,
        "STS15": 5,
        "STS16": 5,
    }
    assert TESTS == ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICKR")


def test_a_year_takes_each_score_to_its_sentences(headlines):
    assert headlines(b"a\tb\nc\td\n", b"1.5\n4\n") == [("a", "b", 1.5), ("c", "d", 4.0)]


@pytest.mark.parametrize(("task", "split"), [("STSB", "test"), ("STSB-dev", "dev")])
def test_the_benchmark_takes_its_fifth_to_seventh_column(data, task, split):
    (data / f"STS/STSBenchmark/sts-{split}.csv").write_bytes(b"main\tMSRvid\t2012\t24\t2.500\tA girl.\tA woman.\n")
    assert rows_of(read_pairs(data, task)) == [("A girl.", "A woman.", 2.5)]


@pytest.mark.parametrize(("task", "split"), [("SICKR", "test_annotated"), ("SICKR-dev", "trial")])
def test_sick_takes_its_relatedness_below_its_headings(data, task, split):
    (data / f"SICK/SICK_{split}.txt").write_bytes(HEADING + b"6\tNo boy.\tA boy.\t3.3\tNEUTRAL\n")
    assert rows_of(read_pairs(data, task)) == [("No boy.", "A boy.", 3.3)]


def test_columns_after_the_two_sentences_are_left_aside(data, headlines):
    assert headlines(b"a\tb\thttp://one\thttp://two\nc\td\n", b"1\n2\n") == [("a", "b", 1.0), ("c", "d", 2.0)]
    (data / BENCHMARK).write_bytes(b"main\tf\t2012\t1\t5\ta\tb\tsource one\tsource two\n")
    assert rows_of(read_pairs(data, "STSB")) == [("a", "b", 5.0)]
    (data / SICK).write_bytes(HEADING + b"1\ta\tb\t4.5\tNEUTRAL\tA_neutral_B\tB_neutral_A\n")
    assert rows_of(read_pairs(data, "SICKR")) == [("a", "b", 4.5)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (b"1\n\n3\n", ["ab", "ef"]),
        (b"\n2\n \n", ["cd"]),
        (b"1\n2\n\n", ["ab", "cd"]),  # the last score is empty, and its line ends
        (b"1\n2\n", ["ab", "cd"]),  # the last score is empty, and its line does not
        (b"1\r\n\r\n3", ["ab", "ef"]),
    ],
)
def test_pairs_of_a_year_without_a_gold_score_are_left_out(headlines, scores, expected):
    assert [first + second for first, second, _ in headlines(b"a\tb\nc\td\ne\tf\n", scores)] == expected


def test_pairs_of_other_tasks_without_a_gold_score_are_left_out(data):
    (data / BENCHMARK).write_bytes(b"m\tf\ty\t1\t\ta\tb\nm\tf\ty\t2\t2\tc\td\nm\tf\ty\t3\t \te\tf\n")
    assert rows_of(read_pairs(data, "STSB")) == [("c", "d", 2.0)]
    (data / SICK).write_bytes(HEADING + b"1\ta\tb\t\tNEUTRAL\n2\tc\td\t2\tNEUTRAL\n")
    assert rows_of(read_pairs(data, "SICKR")) == [("c", "d", 2.0)]


def test_latin_1_and_utf_8_bytes_stand_in_one_file(headlines):
    found = headlines("café\tnaïve\n".encode("latin-1") + "café — “naïve”\t你好\n".encode(), b"1\n2\n")
    assert found == [("café", "naïve", 1.0), ("café — “naïve”", "你好", 2.0)]


def test_quotes_are_just_characters(data, headlines):
    assert headlines(b'"It is huge\t"a"\nsays "b\tend"\n', b"1\n2\n") == [
        ('"It is huge', '"a"', 1.0),
        ('says "b', 'end"', 2.0),
    ]
    (data / BENCHMARK).write_bytes(b'm\tf\ty\t1\t1\t"a\tb\nm\tf\ty\t2\t2\tc\td"\n')
    assert rows_of(read_pairs(data, "STSB")) == [('"a', "b", 1.0), ("c", 'd"', 2.0)]


@pytest.mark.parametrize("character", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_newlines_end_a_line(headlines, character):
    sentences = f"one{character}two\tb\nc\td\n".encode()
    assert headlines(sentences, b"1\n2\n") == [("one two", "b", 1.0), ("c", "d", 2.0)]


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_sentence(headlines):
    assert headlines(b"\xef\xbb\xbfa\tb\r\nc\td\r\n", b"\xef\xbb\xbf1\r\n2\r\n") == [("a", "b", 1.0), ("c", "d", 2.0)]


def test_lines_are_named_by_file_and_number(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone \r\n\r\n\xe9")
    found = list(read_lines(tmp_path / "a.txt"))
    assert found == [(f"{tmp_path}/a.txt, line {number}", text) for number, text in enumerate(["one ", "", "é"], 1)]
    (tmp_path / "a.txt").write_bytes(b"")
    assert list(read_lines(tmp_path / "a.txt")) == []


def test_sentences_have_single_spaces_and_an_empty_one_is_a_full_stop(headlines):
    assert headlines(b"  a   b \t\n", b"1\n") == [("a b", ".", 1.0)]


# What is refused


@pytest.mark.parametrize(
    ("task", "file", "content", "problem"),
    [
        ("STS16", INPUT, b"a\tb\njust one\n", ", line 2: 1 columns between tabs, where 2 are needed"),
        ("STS16", GOLD, b"1\nabc\n", ", line 2: the score 'abc' is no number"),
        ("STS16", GOLD, b"1\r\n2,5\r\n", ", line 2: the score '2,5' is no number"),
        ("STS16", GOLD, b"nan\n2\n", ", line 1: the score 'nan' is no number"),
        ("STS16", GOLD, b"1\n2\n3\n", " has 3 lines, but "),
        ("STS16", GOLD, b"", " has 0 lines, but "),
        ("STSB", BENCHMARK, b"m\tf\ty\t1\t2.5\ta\tb\nm\tf\ty\t2\t3\ta\n", ", line 2: 6 columns between tabs, where 7"),
        ("STSB", BENCHMARK, b"m\tf\ty\t1\tinf\ta\tb\n", ", line 1: the score 'inf' is no number"),
        ("STSB", BENCHMARK, b"m\tf\ty\t1\t2\ta\tb\n\n", ", line 2: 1 columns"),
        ("SICKR", SICK, HEADING + b"1\ta\tb\n", ", line 2: 3 columns between tabs, where 4 are needed"),
        ("SICKR", SICK, HEADING + b"1\ta\tb\tNEUTRAL\t3\n", ", line 2: the score 'NEUTRAL' is no number"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_by_file_and_line(data, task, file, content, problem):
    (data / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_pairs(data, task)
    assert str(caught.value).startswith(f"{data / file}{problem}")


def test_a_score_that_stands_before_a_bad_line_is_not_half_of_an_answer(data):
    (data / GOLD).write_bytes(b"1\nx\n")
    with pytest.raises(InputError, match=r"STS\.gs\.headlines\.txt, line 2"):
        read_pairs(data, "STS16")
    assert len(read_pairs(data, "STS15")) == 10  # the others are still there


@pytest.mark.parametrize(
    ("task", "file"), [("STS16", INPUT), ("STS16", GOLD), ("STSB", BENCHMARK), ("SICKR", SICK)], ids=str
)
def test_a_missing_file_of_a_task_that_is_there_is_named(data, task, file):
    (data / file).unlink()
    assert missing_folder(data, task) is None
    with pytest.raises(InputError) as caught:
        read_pairs(data, task)
    assert str(caught.value) == f"{data / file} cannot be read: there is no such file"


def test_a_missing_task_is_told_by_its_folder(tmp_path):
    expected = {task: tmp_path / "STS" / f"{task}-en-test" for task in YEARS}
    expected |= dict.fromkeys(("STSB", "STSB-dev"), tmp_path / "STS" / "STSBenchmark")
    expected |= dict.fromkeys(("SICKR", "SICKR-dev"), tmp_path / "SICK")
    assert {task: missing_folder(tmp_path, task) for task in TASKS} == expected
    with pytest.raises(InputError, match=r"STS13 is missing: there is no folder .*STS13-en-test"):
        read_pairs(tmp_path, "STS13")


def test_a_task_without_any_gold_score_is_refused(data):
    (data / BENCHMARK).write_bytes(b"m\tf\ty\t1\t\ta\tb\n")
    with pytest.raises(InputError, match=r"STSB: no pair in .*STSBenchmark has a gold score"):
        read_pairs(data, "STSB")


# Names


@pytest.mark.parametrize(
    ("task", "spellings"),
    [
        ("STS12", ["STS12", "sts12", "STS-12", "sts_12", " STS 12 "]),
        ("STSB", ["STSB", "STS-B", "sts-b", "sts_b", "STSBenchmark", "STS Benchmark", "stsbenchmark"]),
        ("STSB-dev", ["STSB-dev", "STS-B-dev", "stsb-DEV", "STSBenchmark-dev", "sts_b_dev", "STS-B dev"]),
        ("SICKR", ["SICKR", "SICK-R", "sick-r", "sick", "SICK-Relatedness"]),
        ("SICKR-dev", ["SICKR-dev", "SICK-R-dev", "sick_dev"]),
    ],
)
def test_a_task_is_found_in_any_spelling(task, spellings):
    assert {spelling: find_task(spelling) for spelling in spellings} == dict.fromkeys(spellings, task)


@pytest.mark.parametrize("name", ["STS17", "STS12-dev", "dev", "", "MR"])
def test_an_unknown_task_is_refused_with_those_there_are(name):
    with pytest.raises(InputError, match=f"unknown STS task '{name}' .*STSB-dev"):
        find_task(name)


# The data itself


@pytest.mark.parametrize(
    ("task", "count", "datasets"),
    [
        ("STS12", 3108, [750, 750, 459, 750, 399]),
        ("STSB-dev", 1500, []),
        ("STSB", 1379, []),
        ("SICKR", 4927, []),
        ("SICKR-dev", 500, []),
    ],
)
def test_the_published_data_has_the_published_sizes(task, count, datasets):
    if not SENTEVAL.is_dir():
        pytest.skip(f"no SentEval data at {SENTEVAL}")
    if missing_folder(SENTEVAL, task):
        pytest.skip(f"{task} is not among the data at {SENTEVAL}")
    pairs = read_pairs(SENTEVAL, task)
    assert len(pairs) == PUBLISHED_SIZES[task] == count
    assert [pairs.datasets.count(name) for name in YEARS.get(task, ())] == datasets
    assert max(pairs.gold) <= 5
    assert min(pairs.gold) >= (1 if task.startswith("SICK") else 0)


# The Hub


COLUMNS = ("sentence1", "sentence2", "score")


@pytest.fixture
def repository(tmp_path):
    """A dataset as the Hub has it: a folder with a parquet file a split."""

    def write(columns=COLUMNS, split="test", scores=(4.5, 0.0, 2.25)):
        sentences = ["  A man   sings.", "", "Two dogs"], ["A man sings", "café", "A cat\u2028sits"]
        folder = tmp_path / "hub"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(dict(zip(columns, (*sentences, list(scores))))), folder / f"{split}.parquet")
        return str(folder)

    return write


@pytest.fixture
def three_pairs(monkeypatch):
    monkeypatch.setattr(hub, "PUBLISHED_SIZES", dict.fromkeys(TASKS, 3))


@pytest.mark.parametrize("task", ["STSB", "STSB-dev", "SICKR", "SICKR-dev"])
def test_the_hub_s_pairs_are_those_of_senteval_s_files(repository, three_pairs, tmp_path, data, task):
    where = HUB_TASKS[task]
    folder = repository(where.columns, where.split)
    pairs = load_pairs(task, HubTask(folder, "main", where.split, where.columns), tmp_path / "cache")
    assert rows_of(pairs) == [
        ("A man sings.", "A man sings", 4.5),
        (".", "café", 0.0),
        ("Two dogs", "A cat sits", 2.25),
    ]
    assert (pairs.task, pairs.datasets) == (task, ())


def test_another_number_of_pairs_than_the_papers_have_is_refused(repository, tmp_path):
    with pytest.raises(InputError, match=r"has 3 pairs of STSB, where the papers have 1,379; give a folder .*--data"):
        load_pairs("STSB", HubTask(repository(), "main"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("columns", "scores"), [(("sentence1", "sentence2", "label"), (1, 2, 3)), (COLUMNS, (1.0, None, 3.0))]
)
def test_a_dataset_of_another_shape_is_refused(repository, three_pairs, tmp_path, columns, scores):
    with pytest.raises(InputError, match=r"STSB cannot be fetched from .*give a folder with SentEval's data by --data"):
        load_pairs("STSB", HubTask(repository(columns, scores=scores), "main"), tmp_path / "cache")


def test_a_dataset_without_the_split_is_refused(repository, three_pairs, tmp_path):
    with pytest.raises(InputError, match="STSB-dev cannot be fetched"):
        load_pairs("STSB-dev", HubTask(repository(), "main", "validation"), tmp_path / "cache")


def test_every_task_has_a_place_on_the_hub():
    assert set(HUB_TASKS) == set(PUBLISHED_SIZES) == {*TESTS, *DEVELOPMENT}


@pytest.mark.parametrize("datasets", [(), list("uvwxyz")])
def test_some_pairs_are_taken_evenly_from_the_whole(datasets):
    pairs = SentencePairs("STSB", list("abcdef"), list("ghijkl"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], datasets)
    some = pairs.evenly(3)
    assert (some.first, some.second, some.gold) == (list("ace"), list("gik"), [0.0, 2.0, 4.0])
    assert list(some.datasets) == list("uwy" if datasets else "")
    assert pairs.evenly(6) is pairs
