"""Pools of unlabeled texts: what ships, what is read, what is sampled, and what must not be in them."""

from __future__ import annotations

import functools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.errors import InputError, OutputError
from oneword.tasks.dataset import Dataset
from oneword.tasks.near_duplicates import THRESHOLD, among, normalized, repeated
from oneword.tasks.pool import Pool
from oneword.tasks.pool_sampling import (
    SampledPool,
    SourceRecord,
    Without,
    draw_sample,
    find_without,
    leave_out,
    write_pool,
)
from oneword.tasks.pool_sources import crossfit_sources, local_sources, shipped_sources
from oneword.text import text_problem

Command = Callable[..., tuple[str, str]]
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "ar", "en", "is")]


@functools.cache
def texts_of(count: int, seed: int = 0) -> list[str]:
    """Texts of made-up words, none near another; more of them begin with the same."""
    generator = random.Random(seed)

    def word() -> str:
        return "".join(generator.choices(_SYLLABLES, k=3))

    return [" ".join(word() for _ in range(7)) for _ in range(count)]


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_texts(path: Path, texts: Iterable[str]) -> Path:
    return write_jsonl(path, ({"text": text, "label": "x"} for text in texts))


def sampled(data: Path, *without: str, per_dataset: int = 100, seed: int = 0) -> SampledPool:
    sources = local_sources(data)
    return leave_out(draw_sample(sources, per_dataset, seed, find_without(without, sources)))


def records(pool: SampledPool) -> dict[str, SourceRecord]:
    return {record.name: record for record in pool.records}


# Near duplicates


@functools.cache
def pieces(text: str) -> frozenset[str]:
    """What texts are compared by, as it is defined."""
    padded = f" {normalized(text)} "
    return frozenset(padded[start : start + 5] for start in range(max(1, len(padded) - 4)))


def jaccard(first: str, second: str) -> float:
    return len(pieces(first) & pieces(second)) / len(pieces(first) | pieces(second))


def test_near_duplicates_are_exactly_the_texts_with_a_jaccard_similarity_of_the_threshold():
    texts = Pool.default().texts[::15]
    # Longer and longer beginnings of each text, some of which are on either side of the threshold
    others = [text[: len(text) * part // 20] for text in texts for part in range(10, 20)]
    expected = {
        row: near[0]
        for row, text in enumerate(texts)
        if (near := [place for place, other in enumerate(others) if jaccard(text, other) >= THRESHOLD])
    }
    assert among(texts, others) == expected
    assert len(expected) > 0
    assert any(place % 10 for place in expected.values())


def test_case_white_space_and_marks_make_no_difference_but_texts_of_marks_alone_are_told_apart():
    assert repeated(["The cat, asleep!", "a dog", "the  CAT asleep", "!!!", "???", "!!!"]) == {2: 0, 5: 3}


def test_the_first_of_several_near_duplicates_is_kept():
    long = "the quick brown fox jumps over the lazy dog near the old stone bridge by the river"
    assert repeated([long, "something else entirely", f"{long}s", f"{long}."]) == {2: 0, 3: 0}


def test_others_are_all_compared_with_even_where_they_are_like_each_other():
    """A text can be like the second of two near duplicates and not like the first."""
    words = " ".join(texts_of(11)).split()
    first, second, third = (" ".join(words[start : start + 60]) for start in (0, 6, 12))
    assert jaccard(first, second) >= THRESHOLD
    assert jaccard(second, third) >= THRESHOLD
    assert jaccard(first, third) < THRESHOLD
    assert among([third], [first, second]) == {0: 1}


# The shipped pool


def test_the_shipped_pool_has_many_different_texts_of_many_styles():
    pool = Pool.default()
    assert len(pool) >= 400
    styles = Counter(pool.sources)
    assert len(styles) >= 14
    assert min(styles.values()) >= 25
    assert [text for text in pool.texts if text_problem(text) or text != text.strip()] == []
    assert repeated(pool.texts) == {}
    lengths = [len(text.split()) for text in pool.texts]
    assert min(lengths) <= 3
    assert max(lengths) >= 60
    assert Pool.of(None) == pool


def test_every_task_of_crossfit_names_a_dataset_and_a_column():
    pytest.importorskip("datasets")
    sources = crossfit_sources()
    assert len(sources) == len({source.name for source in sources}) == 159
    assert {source.dataset for source in sources if source.name.startswith("superglue-")} == {"super_glue"}
    assert all(source.dataset and source.draw.keywords["text"] for source in sources)


# Pools


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_texts_and_sources_together():
    pool = Pool.default()
    first, again, other = pool.sample(50, seed=1), pool.sample(50, seed=1), pool.sample(50, seed=2)
    assert first == again
    assert first.texts != other.texts
    assert len(first) == 50
    source_of = dict(zip(pool.texts, pool.sources))
    assert all(source_of[text] == source for text, source in zip(first.texts, first.sources))
    places = [pool.texts.index(text) for text in first.texts]
    assert places == sorted(places)
    assert pool.sample(10_000) is pool


def test_the_digest_is_of_texts_and_pairs_alone():
    pool = Pool("a", ("one", "two"))
    assert Pool("b", ("one", "two"), sources=("x", "y")).digest == pool.digest
    others = [Pool("a", ("two", "one")), Pool("a", ("one", "two"), ("x", "y")), Pool("a", ("one", "two"), ("x", "z"))]
    others.append(Pool("a", ("one", "two"), known_pairs=("x", None)))
    assert len({pool.digest, *(other.digest for other in others)}) == 5
    assert len(pool.digest) == 12


def test_pairs_are_by_turns_unrelated_and_a_part_of_the_text():
    pool = Pool.default()
    paired = pool.paired(seed=3)
    assert paired.texts == pool.texts
    assert paired.text_pairs is not None
    assert paired == pool.paired(seed=3) == paired.paired(seed=4)
    assert paired != pool.paired(seed=4)
    for row, (text, pair) in enumerate(zip(paired.texts, paired.text_pairs)):
        if row % 2:
            assert pair in " ".join(text.split())
            assert len(pair.split()) == (len(text.split()) + 1) // 2
        else:
            assert pair in pool.texts
            assert pair != text
    steps = {pool.texts.index(pair) - row for row, pair in enumerate(paired.text_pairs) if row % 2 == 0}
    assert len(steps) > 100  # drawn, not the next one
    two = Pool("two", ("one text", "another"))
    assert {two.paired(seed).text_pairs[0] for seed in range(9)} == {"another"}


def test_second_texts_that_are_known_stay_and_the_others_are_made():
    pool = Pool("some", tuple(texts_of(4)), known_pairs=("known", None, None, "known too"))
    assert pool.text_pairs is None
    pairs = pool.paired().text_pairs
    assert pairs is not None
    assert (pairs[0], pairs[3]) == ("known", "known too")
    assert all(pairs)
    with pytest.raises(InputError, match="has one text"):
        Pool("one", ("alone",)).paired()


def test_texts_of_a_dataset_are_found_in_a_pool_and_can_be_left_out():
    texts = texts_of(20)
    pool = Pool("mine", tuple(texts), tuple(f"a second text {text[::-1]}" for text in texts))
    apart = Dataset("apart", tuple(texts_of(4, seed=13)), tuple("abab"))
    pool.check_apart(apart)
    first = Dataset("first", (texts[3].upper(), "x", texts[5] + "!", "y"), tuple("abab"))
    with pytest.raises(InputError) as error:
        pool.check_apart(first)
    message = str(error.value)
    assert message.startswith("2 of 20 texts of the pool mine are in first too")
    assert f"'{texts[3]}'" in message
    assert "oneword tasks pool --without FILE" in message
    left = pool.without(first.texts)
    assert left.texts == tuple(text for row, text in enumerate(texts) if row not in (3, 5))
    left.check_apart(first)
    # Second texts count on both sides
    second = Dataset("second", tuple("wxyz"), tuple("abab"), (*texts[:1], "p", "q", str(pool.text_pairs[7])))
    with pytest.raises(InputError, match=r"^2 of 20 texts"):
        pool.check_apart(second)
    with pytest.raises(InputError, match="none is left"):
        pool.without(texts)


def test_texts_that_cannot_be_used_are_refused():
    for texts, reason in [((), "has no texts"), (("a", " "), "row 2 is only white space"), (("a", 3), "row 2 is not")]:
        with pytest.raises(InputError, match=reason):
            Pool("mine", texts)
    with pytest.raises(InputError, match="2 texts, but 1 text pairs"):
        Pool("mine", ("a", "b"), ("c",))


# Files


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl", "parquet"])
def test_files_of_every_format_are_read(tmp_path, ending):
    path = tmp_path / f"some.{ending}"
    texts = ["a first text", "a second text"]
    if ending == "parquet":
        pq.write_table(pa.table({"text": texts, "n": [1, 2]}), path)
    elif ending == "jsonl":
        write_texts(path, texts)
    else:
        path.write_text("\n".join(texts if ending == "txt" else ["text", *texts]) + "\n")
    pool = Pool.of(path)
    assert pool == Pool("some", tuple(texts), sources=("some", "some"))


def test_a_folder_is_all_its_files_and_columns_have_the_names_that_are_given(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", [{"line": "from b", "reply": "yes", "source": "forum"}])
    (tmp_path / "a.csv").write_text("line,reply\nfrom a,no\n")
    (tmp_path / "notes.md").write_text("no texts")
    pool = Pool.from_path(tmp_path, text="line", text_pair="reply")
    assert (pool.texts, pool.text_pairs) == (("from a", "from b"), ("no", "yes"))
    assert pool.sources == ("a", "forum")
    assert Pool.of(["from a", "from b"]).texts == pool.texts


def test_where_some_rows_have_a_second_text_the_pool_is_one_of_single_texts(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [{"text": "a", "text_pair": "b"}, {"text": "c"}, {"text": "d"}])
    pool = Pool.from_path(path)
    assert pool.text_pairs is None
    assert pool.known_pairs == ("b", None, None)
    assert pool.rows([2, 0]).known_pairs == (None, "b")


def test_files_that_hold_no_pool_are_refused_with_place_and_reason(tmp_path):
    def refuse(reason: str, path: Path, **columns: str) -> None:
        with pytest.raises(InputError, match=reason):
            Pool.from_path(path, **columns)

    (tmp_path / "empty.txt").write_text("")
    refuse("empty.txt holds no texts", tmp_path / "empty.txt")
    (tmp_path / "heading.csv").write_text("text\n")
    refuse("heading.csv holds no texts", tmp_path / "heading.csv")
    path = write_jsonl(tmp_path / "p.jsonl", [{"sentence": "a"}])
    refuse(r"no column 'text' \(.*sentence", path)
    refuse("no column 'second'", path, text="sentence", text_pair="second")
    path = write_jsonl(tmp_path / "q.jsonl", [{"text": "a"}, {"text": None}])
    refuse("q.jsonl, row 2 is null", path)
    path = write_jsonl(tmp_path / "r.jsonl", [{"text": "a", "text_pair": " "}])
    refuse("r.jsonl, row 1 is only white space", path)
    refuse("no file", tmp_path / "missing.csv")
    (tmp_path / "folder").mkdir()
    refuse("holds no file of texts", tmp_path / "folder")


# Sampling


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three datasets: 40 texts; 30, of which ten are nearly the first's; and 5 pairs."""
    first, second = texts_of(40), texts_of(20, seed=9)
    write_texts(tmp_path / "data" / "big" / "train.jsonl", first)
    write_texts(tmp_path / "data" / "big" / "test.jsonl", ["never read"])
    write_texts(tmp_path / "data" / "copied" / "train.jsonl", [*second, *(f"{text.title()}!" for text in first[:10])])
    pairs = [{"text": text, "text_pair": f"to {text[::-1]}"} for text in texts_of(5, seed=21)]
    write_jsonl(tmp_path / "data" / "pairs.jsonl", pairs)
    return tmp_path / "data"


def test_so_many_texts_of_each_dataset_are_taken_by_the_seed(data):
    pool = sampled(data, per_dataset=12)
    again = records(pool)["copied"].near_duplicates
    assert Counter(pool.pool.sources) == {"big": 12, "copied": 12 - again, "pairs": 5}
    assert pool == sampled(data, per_dataset=12)
    assert pool.pool.texts != sampled(data, per_dataset=12, seed=1).pool.texts
    assert "never read" not in sampled(data).pool.texts


def test_what_is_drawn_from_a_dataset_does_not_depend_on_the_others(data):
    sources = local_sources(data)
    whole = draw_sample(sources, per_dataset=12).drawn
    assert draw_sample(sources[1:], per_dataset=12).drawn == {name: whole[name] for name in ("copied", "pairs")}


def test_near_duplicates_are_left_out_across_datasets(data):
    pool = sampled(data)
    assert records(pool)["copied"].near_duplicates == 10
    assert records(pool)["copied"].taken == 20
    assert records(pool)["big"].taken == 40
    assert repeated(pool.pool.texts) == {}


def test_pairs_with_one_text_in_common_are_both_kept(tmp_path):
    rows = [{"text": "the premise", "text_pair": pair} for pair in ("it rains all day", "nobody is at home")]
    write_jsonl(tmp_path / "train.jsonl", rows)
    assert len(sampled(tmp_path).pool) == 2


def test_evaluation_sets_are_left_out_by_name_with_all_that_is_like_them(data):
    pool = sampled(data, "BIG")
    assert records(pool)["big"] == SourceRecord("big", left_out="by request")
    assert records(pool)["copied"].evaluation_texts == 10
    assert records(pool)["copied"].taken == 20


def test_texts_like_those_of_a_file_are_left_out_be_they_first_or_second(data, tmp_path):
    texts = [f"{texts_of(40)[7].upper()}?", f"to {texts_of(5, seed=21)[2][::-1]}"]
    pool = sampled(data, str(write_texts(tmp_path / "evaluation.jsonl", texts)))
    assert records(pool)["big"].evaluation_texts == 1
    assert records(pool)["pairs"].evaluation_texts == 1
    assert records(pool)["copied"].evaluation_texts == 1  # nearly the same text
    with pytest.raises(InputError, match=r"--without bug: neither a dataset \(nearest: big\) nor a file"):
        sampled(data, "bug")


def test_rows_without_a_text_are_counted_and_the_rest_is_drawn(tmp_path):
    rows: list[dict[str, Any]] = [{"text": text} for text in texts_of(10)]
    write_jsonl(tmp_path / "train.jsonl", [*rows, {"text": None}, {"text": " "}])
    pool = sampled(tmp_path)
    assert (len(pool.pool), pool.records[0].unusable) == (10, 2)


def test_datasets_that_cannot_be_read_are_named_and_the_rest_is_sampled(data):
    (data / "labels.csv").write_text("label,name\n1,good\n")
    pool = sampled(data)
    assert records(pool)["labels"].failed
    assert "no column 'text'" in records(pool)["labels"].left_out
    assert len(pool.pool) == 65
    (data / "labels.csv").rename(data.parent / "labels.csv")
    for path in (data / "big", data / "copied"):
        (path / "train.jsonl").write_text("")
    with pytest.raises(InputError, match=r"no dataset can be read: big .*train\.jsonl holds no texts"):
        sampled(data, "pairs")
    with pytest.raises(InputError, match="every dataset is left out"):
        sampled(data.parent / "data" / "pairs.jsonl", "pairs")


def test_folders_without_texts_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no texts"):
        local_sources(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        local_sources(tmp_path / "missing")


def test_senteval_s_folders_are_read_in_their_own_layout(tmp_path):
    for file, lines in {"custrev.pos": texts_of(9), "custrev.neg": texts_of(9, seed=9)}.items():
        (tmp_path / "CR").mkdir(exist_ok=True)
        (tmp_path / "CR" / file).write_text("\n".join(lines) + "\n")
    (tmp_path / "CR" / "notes.txt").write_text("not a text of the dataset\n")
    write_texts(tmp_path / "mine" / "train.jsonl", texts_of(3, seed=17))
    pool = sampled(tmp_path)
    assert set(pool.pool.sources) == {"CR", "mine"}
    assert set(pool.pool.texts) < {*texts_of(9), *texts_of(9, seed=9), *texts_of(3, seed=17)}


def test_two_datasets_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder, shift in (("a", 0), ("b", 9)):
        write_texts(tmp_path / folder / "reviews" / "train.jsonl", texts_of(3, seed=shift))
    assert [source.name for source in local_sources(tmp_path)] == ["b/reviews/train.jsonl", "reviews"]


def test_a_pool_that_was_written_is_read_and_sampled_again(data, tmp_path):
    pool = sampled(data)
    write_pool(tmp_path / "pool.jsonl", pool, {})
    again = Pool.from_path(tmp_path / "pool.jsonl")
    assert again.digest == pool.pool.digest
    assert again.sources == pool.pool.sources
    assert sum(pair is not None for pair in again.known_pairs) == 5
    assert {source.name for source in local_sources(tmp_path / "pool.jsonl")} == {"big", "copied", "pairs"}
    assert Counter(sampled(tmp_path / "pool.jsonl", per_dataset=4).pool.sources)["big"] == 4
    assert len(shipped_sources()) == len(set(Pool.default().sources))


def test_a_pool_whose_writing_fails_leaves_nothing_behind(data, tmp_path, monkeypatch):
    from oneword.tasks import pool_sampling

    def fail(path: Path, content: bytes) -> None:
        if path.suffix == ".jsonl":
            raise OutputError(f"{path} cannot be written: disk full")
        path.write_bytes(content)

    monkeypatch.setattr(pool_sampling, "write_whole", fail)
    with pytest.raises(OutputError, match="disk full"):
        write_pool(tmp_path / "pool.jsonl", sampled(data), {})
    assert not list(tmp_path.glob("pool.*"))


# The Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the Hub: a dataset is where its name says."""
    pytest.importorskip("datasets")
    from huggingface_hub import HfApi

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "hub"

    def dataset_info(self: HfApi, name: str) -> Any:
        if not (home / name).is_dir():
            raise ValueError(f"{name} doesn't exist\non the Hub")
        return SimpleNamespace(id=str(home / name), sha=None)

    monkeypatch.setattr(HfApi, "dataset_info", dataset_info)
    return home


def crossfit(*names: str) -> list[Any]:
    return [source for source in crossfit_sources() if source.name in names]


def test_tasks_on_the_hub_are_drawn_from_and_those_that_fail_are_left_out(hub):
    write_jsonl(hub / "imdb" / "train.jsonl", [{"text": text, "label": 1} for text in texts_of(40)])
    rows = [{"tokens": text.split()} for text in texts_of(5, seed=9)]
    write_jsonl(hub / "acronym_identification" / "train.jsonl", rows)
    sources = crossfit("acronym_identification", "anli", "imdb")
    pool = leave_out(draw_sample(sources, per_dataset=7))
    assert Counter(pool.pool.sources) == {"imdb": 7, "acronym_identification": 5}
    assert set(pool.pool.texts) <= {*texts_of(40), *texts_of(5, seed=9)}  # lists of words are joined
    assert pool == leave_out(draw_sample(sources, per_dataset=7))
    assert pool.pool.texts != leave_out(draw_sample(sources, per_dataset=7, seed=1)).pool.texts
    assert records(pool)["anli"].left_out == "cannot be fetched from anli: anli doesn't exist"
    assert records(pool)["imdb"].facts["hub"] == str(hub / "imdb")


def test_a_column_that_is_not_there_is_named(hub):
    write_jsonl(hub / "imdb" / "train.jsonl", [{"review": "a"}])
    with pytest.raises(InputError, match="imdb has no column 'text', but review; give others that lie here by --data"):
        draw_sample(crossfit("imdb"))


def test_tasks_are_left_out_by_their_dataset_s_name_too(hub):
    sources = crossfit("glue-rte", "glue-sst2", "imdb")
    assert find_without(["glue"], sources).names == {"glue-rte", "glue-sst2"}
    assert find_without(["GLUE-RTE"], sources).names == {"glue-rte"}
    assert find_without(["glue"], sources).texts == []  # nothing is fetched for it


def test_datasets_made_by_scripts_are_read_as_the_hub_has_converted_them(hub, monkeypatch):
    import datasets

    load = datasets.load_dataset
    write_jsonl(hub / "paws" / "labeled_final" / "train.jsonl", [{"sentence1": "one text", "sentence2": "another"}])
    write_jsonl(hub / "paws" / "other" / "train.jsonl", [{"sentence1": "of the other", "sentence2": "configuration"}])

    def load_dataset(name: str, config: str | None = None, revision: str | None = None, **options: Any) -> Any:
        if revision != "refs/convert/parquet":
            raise RuntimeError("Dataset scripts are no longer supported, but found paws.py")
        return load(name, config, **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    pool = leave_out(draw_sample(crossfit("paws"))).pool
    assert (pool.texts, pool.text_pairs) == (("one text",), ("another",))


def test_a_hub_that_cannot_be_reached_is_told_at_once(hub, monkeypatch):
    from huggingface_hub import HfApi

    asked = []

    def dataset_info(self: HfApi, name: str) -> Any:
        asked.append(name)
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(HfApi, "dataset_info", dataset_info)
    with pytest.raises(InputError, match="service not known; give folders that lie here by --data"):
        draw_sample(crossfit_sources(), without=Without())
    assert len(asked) == 1


# The command


def test_the_command_writes_a_pool_and_what_went_in(oneword: Command, data, folder):
    write_texts(folder / "evaluation.jsonl", texts_of(40)[:3])
    arguments = ["tasks", "pool", "--data", data, "-o", "out.jsonl", "--per-dataset", 30, "--seed", 5]
    _, told = oneword(*arguments, "--without", "evaluation.jsonl", "--without", "pairs")
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert f"out.jsonl: {len(rows)} texts of 2 datasets; left out: " in told
    assert all(set(row) == {"text", "source"} for row in rows)
    record = json.loads((folder / "out.json").read_text())
    assert record["texts"] == len(rows) == len(Pool.from_path(folder / "out.jsonl"))
    assert record["digest"] == Pool.from_path(folder / "out.jsonl").digest
    assert (record["seed"], record["per_dataset"]) == (5, 30)
    assert record["command"].startswith("oneword tasks pool --data")
    assert record["date"]
    assert record["versions"]["oneword"]
    assert record["near_duplicates"]["jaccard"] == THRESHOLD
    assert record["without"]["evaluation.jsonl"]["texts"] == 3
    assert record["without"]["pairs"] == {"datasets": ["pairs"]}
    kept = {one["name"]: one for one in record["datasets"]}
    assert sum(one["taken"] for one in record["datasets"]) == len(rows)
    assert kept["pairs"]["left_out"] == "by request"
    for name in ("big", "copied"):
        drawn = kept[name]["taken"] + kept[name]["near_duplicates"] + kept[name]["evaluation_texts"]
        assert drawn == 30
        assert len(kept[name]["facts"]["sha256"]) == 64


def test_the_command_says_what_is_in_its_way(oneword: Command, data, folder):
    oneword("tasks", "pool", "--data", data, "-o", "out.jsonl", "-q")
    before = (folder / "out.jsonl").read_bytes()
    _, told = oneword("tasks", "pool", "--data", data, "-o", "out.jsonl", code=2)
    assert "out.jsonl is there already; give another name, or --force" in told
    printed, _ = oneword("tasks", "pool", "--data", data, "-o", "out.jsonl", "--force", "--seed", 1, "--json")
    assert json.loads(printed)["texts"] == 65
    assert (folder / "out.jsonl").read_bytes() != before
    for arguments, reason in [
        (["-o", "out.csv"], "its name must end in .jsonl"),
        (["-o", "no/out.jsonl"], "there is no folder no"),
        (["-o", "new.jsonl", "--data", "missing"], "does not exist"),
        (["-o", "new.jsonl", "--without", "nothing"], "neither a dataset"),
    ]:
        _, told = oneword("tasks", "pool", *arguments, code=2)
        assert reason in told
    assert not (folder / "new.jsonl").exists()


def test_the_shipped_pool_is_sampled_where_no_data_is_named(oneword: Command, folder):
    oneword("tasks", "pool", "-o", "out.jsonl", "--per-dataset", 3, "--without", "tweet", "-q")
    counts = Counter(Pool.from_path(folder / "out.jsonl").sources)
    assert set(counts.values()) == {3}
    assert set(counts) == set(Pool.default().sources) - {"tweet"}
