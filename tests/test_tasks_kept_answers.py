"""Answers kept by content: nothing is asked twice, whatever happens in between, and answers stay what they were."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from oneword.errors import InputError, OutputError
from oneword.tasks import Pool, Span
from oneword.tasks.asking import Calls, ask, ask_with_perplexity
from oneword.tasks.kept_answers import KeptAnswers

TEXTS = tuple(f"text number {number}" for number in range(40))
POOL = Pool("pool", TEXTS)


class Judge:
    """Probabilities that are no short decimals, of its own for each text."""

    name = "judge"
    fingerprint = "judge-1"
    classes = ("yes", "no")
    piece = 6

    def __init__(self, **changes: object) -> None:
        self.asked: list[str] = []
        vars(self).update(changes)

    def predict(self, texts, text_pairs=None):
        self.asked.extend(texts)
        pairs = text_pairs or [""] * len(texts)
        yes = np.array([(1 + sum(map(ord, text + pair))) % 97 / 101 for text, pair in zip(texts, pairs)])
        return np.stack([yes, 1 - yes], axis=1)

    def predict_with_perplexity(self, texts, text_pairs=None):
        return self.predict(texts, text_pairs), np.array([1 + len(text) / 7 for text in texts])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work" / "answers.sqlite"


def other_process(code: str, *arguments: object) -> subprocess.Popen:
    here = Path(__file__).parent
    header = f"import sys; sys.path.insert(0, {str(here)!r})\nfrom test_tasks_kept_answers import *\n"
    return subprocess.Popen([sys.executable, "-c", header + code, *map(str, arguments)])


def test_after_a_kill_what_was_answered_is_not_asked_again(path):
    killed = """
import os
class Killed(Judge):
    def predict(self, texts, text_pairs=None):
        if len(self.asked) == 18:
            os._exit(9)
        return super().predict(texts, text_pairs)
ask(Killed(), POOL, KeptAnswers(sys.argv[1]))
"""
    assert other_process(killed, path).wait() == 9
    judge, calls, told = Judge(), Calls(), []
    resumed = ask(judge, POOL, KeptAnswers(path), told.append, calls)
    assert judge.asked == list(TEXTS[18:])
    assert calls == Calls(made=22, saved=18)
    assert sum(told) == 40
    assert np.array_equal(resumed.values, ask(Judge(), POOL).values)  # to the last bit
    assert resumed.classes == ("yes", "no")


def test_two_processes_keep_answers_in_one_file(path):
    writes = """
kept = KeptAnswers(sys.argv[1])
for number in range(60):
    kept.put("it-1", [f"{sys.argv[2]} {number}", f"both {number}"], None, [number, number])
"""
    processes = [other_process(writes, path, name) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    asked = [f"{name} {number}" for name in ("a", "b", "both") for number in range(60)]
    assert KeptAnswers(path).get("it-1", asked) == [*range(60)] * 3


def test_another_process_that_is_writing_is_waited_for(path):
    kept, other = KeptAnswers(path), sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, other.execute, ["COMMIT"])
    done.start()
    kept.put("it-1", ["a"], None, [1])
    done.join()
    other.close()
    assert kept.get("it-1", ["a"]) == [1]


def test_an_answer_is_found_from_whatever_pool_the_text_comes(path):
    kept, calls = KeptAnswers(path), Calls()
    ask(Judge(), Pool("some", TEXTS[:10]), kept, calls=calls)
    judge = Judge()
    ask(judge, Pool("others", TEXTS[15:5:-1]), kept, calls=calls)
    assert judge.asked == list(TEXTS[15:9:-1])
    assert calls == Calls(made=16, saved=4)


def test_equal_texts_are_asked_once_and_all_answered(path):
    judge, calls, told = Judge(), Calls(), []
    answers = ask(judge, Pool("pool", ("a", "b", "a", "a", "c")), None, told.append, calls)
    assert judge.asked == ["a", "b", "c"]
    assert calls == Calls(made=3, saved=2)
    assert sum(told) == 5
    assert np.array_equal(answers.values, Judge().predict(["a", "b", "a", "a", "c"]))


def test_texts_pairs_and_predictors_are_told_apart(path):
    kept = KeptAnswers(path)
    pairs = Pool("pairs", ("a", "a"), text_pairs=("b", "c"))
    first = ask(Judge(), pairs, kept)
    assert np.array_equal(first.values, Judge().predict(["a", "a"], ["b", "c"]))
    for judge, pool in [
        (Judge(), Pool("pool", ("a",))),
        (Judge(), Pool("pool", ("a",), text_pairs=("None",))),
        (Judge(fingerprint="judge-2"), pairs),
        (Judge(classes=("no", "yes")), pairs),  # a function's fingerprint may not know of its classes
    ]:
        ask(judge, pool, kept)
        assert len(judge.asked) == len(pool)


def test_without_a_fingerprint_nothing_is_kept(path):
    kept = KeptAnswers(path)
    for _ in range(2):
        judge = Judge(fingerprint=None)
        ask(judge, POOL, kept)
        assert len(judge.asked) == 40


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (lambda texts: [len(text) / 3 for text in texts], "numbers"),
        (lambda texts: [f"\u00e9 {text}\ud800\n" for text in texts], "strings"),
        (lambda texts: [Span(1, 1 + len(text)) for text in texts], "spans"),
        (lambda texts: np.random.default_rng(3).dirichlet([1, 1, 1], len(texts)).astype(np.float32), "probabilities"),
    ],
)
def test_every_kind_of_answer_is_kept_as_it_was(path, raw, kind):
    class Answering:
        fingerprint = "it-1"
        asked = 0

        def predict(self, texts, text_pairs=None):
            self.asked += 1
            return raw(texts)

    pool, model = Pool("pool", TEXTS[:7]), Answering()
    plain, first = ask(Answering(), pool), ask(model, pool, KeptAnswers(path))
    again = ask(model, pool, KeptAnswers(path))
    assert model.asked == 1
    assert {plain.kind, first.kind, again.kind} == {kind}
    assert np.array_equal(plain.values, first.values)
    assert np.array_equal(plain.values, again.values)
    assert np.asarray(again.values).dtype == np.asarray(plain.values).dtype


def test_an_answer_without_perplexity_is_asked_again_and_one_with_it_is_used(path):
    kept, calls = KeptAnswers(path), Calls()
    ask(Judge(), Pool("pool", TEXTS[:4]), kept)
    judge = Judge()
    answers, perplexities = ask_with_perplexity(judge, TEXTS[:6] + TEXTS[:1], None, kept, calls=calls)
    assert judge.asked == list(TEXTS[:6])
    assert calls == Calls(made=6, saved=1)
    assert perplexities.dtype == np.float64
    assert np.array_equal(perplexities, [1 + len(text) / 7 for text in (*TEXTS[:6], TEXTS[0])])
    again = Judge()
    kept_answers, kept_perplexities = ask_with_perplexity(again, TEXTS[:6] + TEXTS[:1], None, kept)
    plain = ask(again, Pool("pool", TEXTS[:6]), kept)
    assert again.asked == []
    assert np.array_equal(kept_perplexities, perplexities)
    assert np.array_equal(kept_answers.values, answers.values)
    assert np.array_equal(plain.values, answers.values[:6])


def test_a_predictor_without_perplexity_is_named():
    class Plain:
        def predict(self, texts, text_pairs=None):
            return [1.0] * len(texts)

    with pytest.raises(InputError, match=r"Plain gives no perplexity of its prompt, which SPELL needs; leave SPELL"):
        ask_with_perplexity(Plain(), TEXTS, None)
    with pytest.raises(InputError, match=r"judge was to be asked about no texts"):
        ask_with_perplexity(Judge(), [], None)

    class Endless(Judge):
        def predict_with_perplexity(self, texts, text_pairs=None):
            return self.predict(texts), [np.inf if text == TEXTS[3] else 2.0 for text in texts]

    with pytest.raises(InputError, match=r"judge, row 4: the perplexity of its prompt is not a finite number"):
        ask_with_perplexity(Endless(), TEXTS, None)


def test_an_error_names_the_row_of_all_texts(path):
    class Wrong(Judge):
        def predict(self, texts, text_pairs=None):
            found = super().predict(texts)
            found[[text == TEXTS[20] for text in texts]] = 7
            return found

    kept = KeptAnswers(path)
    ask(Judge(), Pool("even", TEXTS[:20:2]), kept)
    with pytest.raises(InputError, match=r"judge, row 22: \[7.0, 7.0\] are no probabilities"):
        ask(Wrong(), Pool("pool", (TEXTS[1], *TEXTS)), kept)

    class Turning(Judge):
        classes = None

        def predict(self, texts, text_pairs=None):
            return [1.0] * len(texts) if TEXTS[6] in texts else super().predict(texts)

    with pytest.raises(InputError, match=r"judge answers probabilities in row 1 and numbers in row 7"):
        ask(Turning(), POOL)


def test_without_a_path_answers_live_as_long_as_the_object():
    kept, judge = KeptAnswers(None), Judge()
    ask(judge, POOL, kept)
    ask(judge, POOL, kept)
    assert len(judge.asked) == 40
    ask(judge, POOL, KeptAnswers(None))
    assert len(judge.asked) == 80


@pytest.mark.parametrize("broken", ["text", "database"])
def test_a_file_that_is_something_else_is_refused_and_stays(path, broken):
    path.parent.mkdir()
    if broken == "text":
        path.write_bytes(b"id,text\n" * 500)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE answers (other TEXT)")
        connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"answers\.sqlite is no file of kept answers.*move it away or name another"):
        KeptAnswers(path)
    assert path.read_bytes() == before


def test_a_file_that_was_cut_off_is_refused(path):
    kept = KeptAnswers(path)
    kept.put("it-1", TEXTS, None, ["a long answer " * 90] * len(TEXTS))
    del kept
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with pytest.raises(InputError, match=r"is broken \(database disk image is malformed\); move it away"):
        KeptAnswers(path).get("it-1", TEXTS)


def test_a_full_disk_is_told_and_what_was_there_stays(path):
    kept = KeptAnswers(path)
    kept.put("it-1", ["a"], None, [1])
    kept._connection.execute("PRAGMA max_page_count = 5")  # as a disk would: database or disk is full
    with pytest.raises(OutputError, match=r"answers\.sqlite cannot be used for answers: database or disk is full; "):
        kept.put("it-1", TEXTS, None, ["a long answer " * 90] * len(TEXTS))
    assert kept.get("it-1", ["a", *TEXTS]) == [1] + [None] * 40
    kept.put("it-1", ["b"], None, [2])
    path.with_name("file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        KeptAnswers(path.with_name("file") / "answers.sqlite")
