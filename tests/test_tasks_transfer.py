"""The transfer experiment on tiny models: its truth, its rankings, and that nothing is done twice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneword.errors import InputError
from oneword.tasks import Dataset, Pool
from oneword.tasks.baselines import curve_gradient, text_embedding
from oneword.tasks.collection import Split
from oneword.tasks.finetuning import FineTuned, FineTunedPredictor, fine_tune, score
from oneword.tasks.trainable import TrainableModel
from oneword.tasks.transfer import Found, TransferExperiment, TransferPlan
from oneword.tasks.transfer_report import ALL_MODELS, as_markdown, make_report
from oneword.tasks.tuning import Tuning

FAST = Tuning(3e-3, head_learning_rate=1e-2, batch=8, epochs=3.0, max_length=32)
WORDS = {"tone": ("kind", "rude"), "place": ("Rome", "Oslo"), "time": ("early", "late")}


def texts_of(task: str, count: int, offset: int = 0) -> tuple[list[str], list[str]]:
    rows = range(offset, offset + count)
    return [f"a {WORDS[task][row % 2]} letter, number {row}" for row in rows], [str(row % 2) for row in rows]


def split_of(task: str, **options) -> Split:
    train, test = (Dataset(task, *texts_of(task, count, offset)) for count, offset in ((40, 0), (20, 100)))
    return Split(train, test, options.get("domain", task))


@pytest.fixture(scope="module")
def model(tiny_model):
    return TrainableModel(tiny_model("bert"), device="cpu")


@pytest.fixture(scope="module")
def splits():
    return {"tone": split_of("tone"), "place": split_of("place", domain="letters"),
            "time": split_of("time", domain="letters")}  # fmt: skip


def test_fine_tuning_learns_and_a_saved_model_answers_the_same(model, splits, tmp_path):
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    tuned = fine_tune(model, splits["tone"].train, FAST, 0)
    predictor = FineTunedPredictor(model, tuned)
    assert score(predictor, splits["tone"].test) >= 90
    tuned.save(tmp_path / "tone.safetensors")
    again = FineTunedPredictor(model, FineTuned.load(tmp_path / "tone.safetensors"))
    assert again.fingerprint == predictor.fingerprint
    texts = splits["tone"].test.texts
    assert np.array_equal(again.predict(texts), predictor.predict(texts))
    assert all(torch.equal(before[name], value) for name, value in model.model.state_dict().items())
    with pytest.raises(InputError, match="takes single texts"):
        predictor.predict(texts, texts)


def test_scores_of_every_kind_of_task(model):
    texts = [f"{'long ' * (row % 5)}text" for row in range(40)]
    lengths = Dataset("lengths", texts, [row % 5 + 0.5 for row in range(40)], kind="regression")
    predictor = FineTunedPredictor(model, fine_tune(model, lengths, FAST, 0))
    assert score(predictor, lengths) > 80
    assert abs(np.mean(predictor.predict(texts)) - 2.5) < 1  # in the labels' own units
    contexts = [f"It was {'a dog' if row % 2 else 'the cat'} in the garden." for row in range(40)]
    spans = [(7, 12 if row % 2 else 14) for row in range(40)]
    answers = Dataset("answers", ["who was it?"] * 40, spans, contexts, kind="span")
    reader = FineTunedPredictor(model, fine_tune(model, answers, FAST, 0))
    found = reader.predict(answers.texts, contexts)
    assert score(reader, answers) > 80
    assert contexts[0][slice(*found[0])] == "the cat"
    long_question = "who " * 80
    (cut,) = reader.predict([long_question], contexts[:1])  # it leaves room for its context
    assert 0 <= cut.start < cut.end <= len(contexts[0])


def test_curve_gradient_tells_a_plateau_from_a_fall():
    falling = np.linspace(1, 0, 100)
    plateau = np.concatenate([np.linspace(1, 0.2, 10), np.full(90, 0.2)])
    assert curve_gradient(falling) == pytest.approx(1 / 0.955, rel=0.05)  # its whole fall, over its first tenth's mean
    assert curve_gradient(falling) > curve_gradient(plateau)
    assert curve_gradient([0.7] * 20) == pytest.approx(0)
    assert np.isfinite(curve_gradient([0.7, 0.6]))


def test_text_embedding_is_the_mean_of_the_texts_pooled_states(model):
    data = Dataset("d", ["one text", "another one, longer"], ["x", "y"])
    found = text_embedding(model, data, 32)
    alone = []
    for text in data.texts:
        ids, mask = model.padded([model.tokenize([text])[0].ids])
        with torch.no_grad():
            state = model.states(ids, mask)[0].mean(0)
        alone.append((state / state.square().mean().sqrt()).double().numpy())
    np.testing.assert_allclose(found, np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def experiment(model, splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    pool = Pool("pool", tuple(f"some words about {'cats' if row % 2 else 'boats'} {row}" for row in range(30)))
    plan = TransferPlan(
        examples=30, target_examples=20, test_examples=20, source_tuning=FAST, target_tuning=FAST, tuning={"steps": 5}
    )
    said: list[str] = []
    made = TransferExperiment(plan, splits, pool, model, folder, said.append)
    return made, made.run(model), said, folder


def test_every_source_is_transferred_and_every_method_ranks(experiment, splits):
    _, found, said, _ = experiment
    for by_target in (found.gains, *found.scores.values()):
        assert {target: set(row) for target, row in by_target.items()} == {
            target: set(splits) - {target} for target in splits
        }
    assert len(said) == TransferExperiment.pieces(3, 1, TransferPlan().methods)
    assert all(0 <= score <= 100 for score in found.base.values())
    assert found.scores["datasize"]["tone"] == {"place": 40.0, "time": 40.0}


def test_gains_are_what_a_source_adds(experiment, model, splits):
    made, found, _, _ = experiment
    plan = made._plan
    source = fine_tune(model, splits["place"].train.sample(30, 0), FAST, 0)
    target = splits["tone"].train.sample(20, 1)
    test = splits["tone"].test
    scores = [
        score(FineTunedPredictor(model, fine_tune(model, target, FAST, plan.seed, start)), test)
        for start in (None, source.weights)
    ]
    assert found.base["tone"] == scores[0]
    assert found.gains["tone"]["place"] == pytest.approx(scores[1] - scores[0])


def test_a_second_run_computes_nothing(experiment, model, splits, monkeypatch):
    made, found, _, folder = experiment
    monkeypatch.setattr("oneword.tasks.transfer.fine_tune", None)
    monkeypatch.setattr("oneword.tasks.task_embedder.tune", None)
    again = TransferExperiment(made._plan, splits, made._pool, model, folder).run(model)
    assert again == found


def test_another_tuning_is_another_result(experiment, model, splits):
    made, found, _, folder = experiment
    other = replace(made._plan, tuning={"steps": 6}, methods=("fute-tupate",))
    again = TransferExperiment(other, splits, made._pool, model, folder).run(model)
    assert again.gains == found.gains
    assert again.scores["fute-tupate"] != found.scores["fute-tupate"]


def test_a_target_of_few_labels_is_embedded_from_those(model, splits, tmp_path):
    pool = Pool("pool", tuple(f"some words about {'cats' if row % 2 else 'boats'} {row}" for row in range(30)))
    plan = TransferPlan(examples=30, target_examples=20, test_examples=20, source_tuning=FAST, target_tuning=FAST)
    made = TransferExperiment(plan, splits, pool, model, tmp_path)
    assert {len(made._known[name]) for name in splits} == {20}


def test_a_pool_that_overlaps_a_dataset_is_refused(model, splits, tmp_path):
    pool = Pool("pool", (splits["tone"].train.texts[0], "something else"))
    with pytest.raises(InputError, match="tone"):
        TransferExperiment(TransferPlan(), splits, pool, model, tmp_path)


def made_up(model: str, scores: dict, gains: dict) -> Found:
    return Found(model, gains, dict.fromkeys(gains, 50.0), {"fute-tupate": scores, "textemb": scores})


def test_the_report_ranks_within_its_setting():
    names = ["tone", "place", "time"]
    splits = {name: split_of(name, domain="letters" if name != "tone" else "speech") for name in names}
    gains = {one: {other: float(names.index(other)) for other in names if other != one} for one in names}
    wrong = {one: {other: -float(names.index(other)) for other in names if other != one} for one in names}
    lines = make_report([made_up("a", gains, gains), made_up("b", wrong, gains)], splits, ["in-class", "cross-domain"])
    by = {(line.model, line.setting, line.method): line for line in lines}
    assert by["a", "in-class", "fute-tupate"].rank == 1
    assert by["a", "in-class", "fute-tupate"].ndcg == pytest.approx(100)
    assert by["b", "in-class", "fute-tupate"].rank == 2
    assert by["a", "in-class", "random"].rank == 1.5
    assert by[ALL_MODELS, "in-class", "fute-tupate"].candidates == 4
    assert (ALL_MODELS, "in-class", "textemb") not in by  # it has no space for two models
    # "tone" alone has two sources of another domain
    assert by["a", "cross-domain", "fute-tupate"].targets == 1
    text = as_markdown(lines, [made_up("a", gains, gains)])
    assert "| fute-tupate | 1.00 |" in text
    assert "| target | pretrained | place | time | tone |" in text
    assert "| tone | 50.0 | +1.0 | +2.0 |  |" in text


def test_the_command_goes_from_folders_to_a_table(oneword, folder, tiny_model):
    for name in WORDS:
        (folder / "data" / name).mkdir(parents=True)
        for part, count, offset in (("train", 40, 0), ("test", 20, 100)):
            rows = zip(*texts_of(name, count, offset))
            lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
            (folder / "data" / name / f"{part}.jsonl").write_text("".join(lines))
    (folder / "pool.txt").write_text("".join(f"some words about {row} cats\n" for row in range(20)))
    model = tiny_model("gpt2")
    command = ["tasks", "transfer", "--data", "data", "--models", f"{model},{model}:2", "--surrogate", model]
    command += ["--methods", "fute-tupate,datasize", "--examples", 30, "--target-examples", 20, "--test-examples", 20]
    command += ["--unlabeled", "pool.txt", "--steps", 5, "-q", "--results", "found"]
    out, _ = oneword(*command)
    assert "fute-tupate" in out
    assert "all models" in out
    fields = json.loads((folder / "found" / "transfer.json").read_text())
    assert {one["model"] for one in fields["found"]} == {"gpt2", "gpt2:2"}
    assert "each target's score" in (folder / "found" / "transfer.md").read_text()
    again, _ = oneword(*command, "--json")
    assert json.loads(again)["found"] == fields["found"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "guess"], "unknown method 'guess'"),
        (["--settings", "somewhere"], "unknown setting 'somewhere'"),
        (["--datasets", "nothing"], "holds no dataset 'nothing'"),
    ],
)
def test_the_command_says_what_is_wrong(oneword, folder, options, message):
    (folder / "data" / "tone").mkdir(parents=True)
    rows = [{"text": text, "label": label} for text, label in zip(*texts_of("tone", 10))]
    (folder / "data" / "tone" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, error = oneword("tasks", "transfer", "--data", "data", *options, code=2)
    assert message in error
    assert error.count("\n") == 1
