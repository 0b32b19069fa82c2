"""oneword bench: what is counted, what a race does, and what it says of contenders that fail."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oneword.benchmark import contenders, race
from oneword.benchmark.contenders import Contender, Race
from oneword.benchmark.floor import block_shape, floor_of, least_seconds, measure_rates
from oneword.benchmark.race import run_race
from oneword.benchmark.report import data_of, notes_of, table_of
from oneword.engine.cost import BlockShape, PromptWork
from oneword.errors import InputError
from oneword.registry import find_method
from parity.compare import embedder

# A contender of no libraries: a tenth of a second a text, in numbers only; its vectors are what its job says
WORKER = """
import json, sys
import numpy as np
job = json.loads(sys.stdin.readline())
does = job["options"]
def answer(**content):
    print(json.dumps(content), flush=True)
if "refuses" in does:
    answer(error=does["refuses"])
    sys.exit()
answer(ready=True, versions={"fake": "1"}, layer=job["layer"])
runs = 0
for line in sys.stdin:
    order = json.loads(line)
    if "save" in order:
        rows = np.array([[1.0, len(text)] for text in chosen])
        np.save(order["save"], rows + np.array([0, does.get("off", 0)]))
        answer(saved=True)
    elif "measure" in order:
        answer(seconds=0.02 * len(chosen))
    else:
        runs += 1
        if runs == does.get("dies_in"):
            print("out of luck", file=sys.stderr)
            sys.exit(1)
        count = order["count"]
        chosen = [job["texts"][place * len(job["texts"]) // count] for place in range(count)]
        answer(seconds=does["seconds"] * count, tokens=3 * count, peak_bytes=10**6 * count, base_bytes=10**6)
"""


@pytest.fixture
def a_race(tmp_path, monkeypatch):
    """A race of 40 texts, and a maker of contenders for it."""
    script = tmp_path / "fake.py"
    script.write_text(WORKER)
    found = Race(find_method("prompteol"), {}, None, 5, [f"{'a' * n}." for n in range(40)], "float32", "cpu", 1, {})

    def contender(name="oneword", layer=5, **does):
        job = {"texts": list(found.texts), "layer": layer, "dtype": "float32", "options": {"seconds": 0.1, **does}}
        return Contender(name, script, Path(sys.executable), job)

    oracle = {}
    contender.oracle = oracle
    monkeypatch.setattr(Race, "oracle", lambda self, layer: contender("oracle", layer, **oracle))
    return found, contender


def test_all_take_turns_and_are_compared(a_race):
    found, contender = a_race
    turns = []
    measured = run_race(
        found,
        [contender(), contender("slow", seconds=0.4), contender("elsewhere", layer=3, seconds=0.2, off=30)],
        rounds=3,
        seconds=100,
        oracle_texts=8,
        on_turn=turns.append,
    )
    assert [turn for turn in turns if "round 2" in turn] == [
        f"{name}: round 2 of 3" for name in ("oneword", "slow", "elsewhere")
    ]
    own, slow, elsewhere = measured
    assert [one.count for one in measured] == [40, 40, 40]
    assert own.seconds == pytest.approx([4.0, 4.0, 4.0])
    assert own.speed_up_over(slow) == pytest.approx(4)
    assert own.floor_ratio == pytest.approx(0.2)
    assert own.least_cosine == pytest.approx(1)
    assert elsewhere.layer == 3
    assert elsewhere.least_cosine < 0.9
    rows = table_of(measured)
    assert [row[0] for row in rows] == ["oneword", "slow", "elsewhere"]
    assert [row[-1] for row in rows] == ["", "4.00 \u00d7", "2.00 \u00d7"]
    assert notes_of(measured) == ["oneword: 0.20 of the floor, which is 0.80 s"]
    data = data_of(measured, "prompteol")
    assert json.loads(json.dumps(data)) == data
    assert data["contenders"][1]["oneword_is_faster"] == pytest.approx(4)


def test_what_is_slow_gets_some_of_the_texts_from_all_over(a_race):
    found, contender = a_race
    own, slow = run_race(found, [contender(), contender("slow", seconds=1.0)], 2, seconds=5, oracle_texts=4)
    assert (own.count, slow.count) == (40, 5)
    assert own.speed_up_over(slow) == pytest.approx(10)


def test_who_cannot_take_part_is_named_and_left_out(a_race):
    found, contender = a_race
    measured = run_race(
        found,
        [contender(), contender("absent", refuses="the library x is not installed here"), contender("ill", dies_in=5)],
        rounds=3,
        seconds=5,
        oracle_texts=4,
    )
    assert len(measured[0].runs) == 3
    assert table_of(measured)[0][0] == "oneword"
    notes = notes_of(measured)
    assert "absent was left out: the library x is not installed here" in notes
    assert "ill was left out: it ended without an answer: out of luck" in notes


def test_without_an_oracle_the_rates_stand_and_it_is_said(a_race):
    found, contender = a_race
    contender.oracle["refuses"] = "steering is not supported"
    (own,) = run_race(found, [contender()], 2, 5, 4)
    assert len(own.runs) == 2
    assert own.least_cosine is None
    assert "oneword was not compared: the oracle: steering is not supported" in notes_of([own])


def test_who_fails_at_the_comparison_keeps_its_rates(a_race):
    found, contender = a_race
    own, ill = run_race(found, [contender(), contender("ill", dies_in=7)], 3, seconds=5, oracle_texts=4)
    assert len(ill.runs) == 3
    assert own.least_cosine is not None
    assert "ill was not compared: it ended without an answer: out of luck" in notes_of([own, ill])


def test_no_process_is_left(a_race, monkeypatch):
    found, contender = a_race
    started = []
    monkeypatch.setattr(race, "_worker", lambda one: started.append(contenders_worker(one)) or started[-1])

    def interrupt(name):
        if "round 2" in name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_race(found, [contender(), contender("other")], 3, 5, 4, interrupt)
    assert len(started) == 2
    assert all(worker._process.poll() is not None for worker in started)


def contenders_worker(one):
    return race.Worker(one.python, one.script, one.job, one.arguments)


# What contenders are told


def told(name, **changes):
    folders = {"float32": Path("f32"), "bfloat16": Path("bf16")}
    method = replace(find_method(name).resolved(30), layer=-3)
    return Race(method, folders, Path("m.gguf"), 30, ['Who said "no"?'], "bfloat16", "cpu", 2, {"model": None})


def test_peers_are_told_the_same_work():
    found = told("ck_cp").peers(["reference", "sentence-transformers", "llemb", "llama.cpp"])
    assert [peer.name for peer in found] == [
        "reference, float32",
        "reference, bfloat16",
        "sentence-transformers, bfloat16",
        "llemb, bfloat16",
        "llama.cpp, GGUF as it is",
        "llama.cpp, bfloat16",
    ]
    assert all(peer.script.is_file() for peer in found)
    for peer in found:
        assert peer.job["texts"] == ["Who said 'no'."]
        assert peer.job["layer"] == 28
        assert len(peer.job["prompts"]) == 2
        assert peer.job["steering"]["layer"] == 4
        assert peer.job["folder"] == ("f32" if peer.job["dtype"] == "float32" else "bf16")
    with pytest.raises(InputError, match="peer 'vllm' is not one of: reference, "):
        told("ck").peers(["vllm"])


def test_every_idea_is_switched_off_once():
    everyone = told("ck_cp").ablated()
    off = [[idea for idea, on in one.job["options"]["engine"].items() if not on] for one in everyone]
    assert sorted(idea for ideas in off for idea in ideas) == sorted(everyone[0].job["options"]["engine"])
    assert off[-1] == []
    assert everyone[-1].job["dtype"] == "float32"
    assert [one.name for one in told("ck").ablated() if "auxiliary" in one.name] == []


def test_a_peer_runs_in_its_own_environment_where_it_has_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ONEWORD_CACHE", str(tmp_path))
    assert contenders._python("llemb") == Path(sys.executable)
    python = tmp_path / "peers" / "llemb" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert contenders._python("llemb") == python


# The floor


def test_the_floor_is_the_published_formula():
    d, dq, dkv, ff, k, prefix = 64, 48, 16, 100, 3, 7
    shape = BlockShape(d, dq, dkv, 2 * d * dq + 2 * d * dkv + 3 * d * ff)
    linear, keys = 2 * (2 * d * dq + 2 * d * dkv + 3 * d * ff), 4 * d * dkv

    def main(n, p):
        before = (k - 1) * (n * linear + 4 * dq * (n * p + n * (n + 1) / 2))
        return before + n * keys + (linear - keys) + 4 * dq * (p + n)

    rows = [(5, prefix), (9, prefix), (4, 0)]
    work = PromptWork(rows, prefix=0, batches=2, blocks=k)
    assert work.least_operations(shape) == sum(main(*row) for row in rows)
    once = replace(work, prefix=prefix).least_operations(shape) - work.least_operations(shape)
    assert once == (k - 1) * (prefix * linear + 4 * dq * prefix * (prefix + 1) / 2) + prefix * keys
    inside = replace(work, inside=True).least_operations(shape)
    assert work.least_operations(shape) - inside == len(rows) * (linear - keys - 2 * d * dq)


def test_the_floor_is_bound_by_products_or_by_memory():
    shape = BlockShape(64, 64, 64, 10_000)
    work = [PromptWork([(10, 0)] * 3, 0, batches=4, blocks=2)]
    operations = work[0].least_operations(shape)
    fast = race_rates(1e30, 1e3)
    assert least_seconds(work, shape, 500, race_rates(1e6, 1e30)) == pytest.approx(operations / 1e6)
    assert least_seconds(work, shape, 500, fast) == pytest.approx(4 * 2 * 500 / 1e3)


def race_rates(operations, read):
    from oneword.benchmark.floor import Rates

    return Rates(operations, read)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("llama", 2 * 48 * 48 + 2 * 48 * 24 + 3 * 48 * 64),
        ("gpt2", 4 * 48 * 48 + 2 * 48 * 192),
        ("phi3", 2 * 48 * 48 + 2 * 48 * 24 + 3 * 48 * 64),
    ],
)
def test_sizes_are_those_of_the_model(name, weights, tiny_model):
    model = embedder(tiny_model(name), "prompteol")
    keys = 48 if name == "gpt2" else 24
    assert block_shape(model._backbone) == BlockShape(48, 48, keys, weights)
    rates = measure_rates(model._backbone)
    assert rates.operations > 0
    assert rates.bytes > 0
    assert 0 < floor_of(model, ["Rain", "Snow"], rates) < 60


def test_laid_out_weights_have_the_same_sizes(tiny_model):
    from oneword.engine.weights import lay_out

    model = embedder(tiny_model("llama"), "prompteol", dtype="bfloat16")
    before = block_shape(embedder(tiny_model("llama"), "prompteol")._backbone)
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    lay_out(model._backbone)
    assert block_shape(model._backbone) == before


# The command


def test_wrong_input_is_told_before_anything_runs(oneword, tmp_path):
    for arguments, problem in [
        (["--peers", "vllm"], "peer 'vllm' is not one of"),
        (["--texts", tmp_path / "none.txt"], "none.txt cannot be read"),
        (["--json", tmp_path / "no" / "x.json"], "there is no folder"),
        (["--plot", tmp_path / "x.doc"], "none that plots are drawn to"),
        (["--method", "average"], "average is none"),
        (["--layer", "1,2"], "bench reads one layer"),
        (["--method", "nothing"], "nothing"),
    ]:
        _, said = oneword("bench", *arguments, code=2)
        assert problem in said
        assert said.count("\n") == 1


@pytest.mark.slow
def test_a_race_with_the_reference(oneword, tiny_model, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Rain\n\nIt is late.\nThe river came over the road\nWho was it?\n" * 3)
    out, picture = tmp_path / "race.json", tmp_path / "race.png"
    shown, _ = oneword(
        *["bench", "--model", tiny_model("llama"), "--texts", texts, "--method", "ck_cp", "--dtype", "float32"],
        *["--rounds", 2, "--seconds", 1, "--threads", 1, "--json", out, "--plot", picture, "--layer", 4, "--ablate"],
    )
    (found,) = json.loads(out.read_text())["races"]
    own, *others, reference = found["contenders"]
    assert own["name"] == "oneword"
    assert reference["name"] == "reference, float32"
    assert reference["oneword_is_faster"] > 0
    assert {one["layer"] for one in found["contenders"]} == {4}
    assert len(others) == 7
    for one in found["contenders"]:
        assert one["left_out"] == ""
        assert len(one["seconds"]) == 2
        assert one["least_cosine"] > 0.99999
    assert own["floor_ratio"] > 0
    assert np.isfinite(own["floor_seconds"]).all()
    assert "oneword:" in shown
    assert "of the floor" in shown
    assert picture.stat().st_size > 1000
