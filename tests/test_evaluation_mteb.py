from __future__ import annotations

import csv
import io
import json
import logging
import random
import socket
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tqdm import tqdm

from oneword.embedder import Embedder
from oneword.errors import InputError, MethodError, ModelError
from oneword.evaluation.answer_store import AnswerStore
from oneword.evaluation.mteb_encoder import OnewordEncoder, evaluate_mteb, quiet_mteb
from oneword.evaluation.mteb_tasks import CP_PAPER, find_tasks, load_task, load_tasks, method_of, read_methods
from oneword.evaluation.results import ResultFolder

BANKING = Path(__file__).parents[2] / "shared" / "data" / "tasks" / "banking77"
WORDS = ["cat", "dog", "sun", "moon", "river", "bank", "card", "lost", "money", "blue", "green", "tall", "small", "run"]

pytestmark = pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is not installed")  # its import takes seconds


def sentences(seed: int, number: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(3, 8))) for _ in range(number)]


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def write_classes(path: Path, seed: int, number: int, **more: object) -> None:
    write_jsonl(path, [{"text": text, "label": n % 3, **more} for n, text in enumerate(sentences(seed, number))])


def write_sts(folder: Path, seed: int = 1) -> None:
    first = [*sentences(seed, 20), " ", "the same", "the same"]
    second = [*sentences(seed + 1, 20), "the same", "", "a card"]
    gold = [random.Random(seed).uniform(0, 5) for _ in range(20)] + [1.0, 0.5, 3.5]
    write_parquet(folder / "STSBenchmark" / "test.parquet", sentence1=first, sentence2=second, score=gold)


def write_reranking(folder: Path, title: str = "") -> None:
    documents = [f"d{n}" for n in range(12)]
    write_parquet(folder / "corpus" / "c.parquet", _id=documents, title=[title] * 12, text=sentences(5, 12))
    write_parquet(folder / "queries.parquet", _id=["q0", "q1"], text=sentences(6, 2))
    found = {"query-id": ["q0", "q0", "q1"], "corpus-id": ["d0", "d3", "d7"], "score": [1, 1, 1]}
    write_parquet(folder / "qrels" / "test.parquet", **found)
    ranked = {"query-id": ["q0", "q1"], "corpus-ids": [documents[:6], documents[6:]]}
    write_parquet(folder / "top_ranked" / "test.parquet", **ranked)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with tiny data of five tasks, in several layouts."""
    folder = tmp_path / "data"
    write_sts(folder)
    write_classes(folder / "Banking77Classification" / "train.jsonl", 3, 60)
    write_classes(folder / "Banking77Classification" / "test-00000-of-00001.jsonl", 4, 25)
    write_reranking(folder / "AskUbuntuDupQuestions")
    for subset, seed in (("en", 10), ("de", 20)):
        for split, number in (("train", 60), ("test", 20)):
            path = folder / "AmazonCounterfactualClassification" / subset / f"{split}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(["text", "label"])
                rows.writerows([text, n % 2] for n, text in enumerate(sentences(seed + number, number)))
    write_parquet(
        folder / "TwentyNewsgroupsClustering" / "test.parquet",
        sentences=[sentences(7, 12), sentences(8, 12)],
        labels=[[n % 3 for n in range(12)]] * 2,
    )
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"the network was asked: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def few_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """mteb trains ten classifiers a task, which takes longer than all the rest."""
    with quiet_mteb():
        from mteb.abstasks import AbsTaskClassification
    monkeypatch.setattr(AbsTaskClassification, "n_experiments", 2)


@pytest.fixture(scope="module")
def llama(tiny_model) -> Embedder:
    return Embedder(tiny_model("llama"), dtype="float32")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The texts of each call of Embedder.answers."""
    calls = []
    answers = Embedder.answers

    def count(self, texts, *arguments, **options):
        calls.append(list(texts))
        return answers(self, texts, *arguments, **options)

    monkeypatch.setattr(Embedder, "answers", count)
    return calls


@pytest.fixture
def run(oneword, tiny_model, tmp_path):
    """`oneword eval mteb` on the tiny model, with results beside the data."""

    def command(*arguments: object, code: int = 0) -> tuple[str, str]:
        model = ("--model", tiny_model("llama"), "--dtype", "float32", "--results", tmp_path / "results")
        return oneword("eval", "mteb", *arguments, *model, code=code)

    return command


class ByHand:
    """An encoder of mteb's without oneword's own: vectors of each text from Embedder.encode, one at a time."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.mteb_model_meta = OnewordEncoder(embedder).mteb_model_meta.model_copy(update={"name": "by/hand"})

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **options):
        batches = [[text if text.strip() else "." for text in batch["text"]] for batch in inputs]
        return np.concatenate([self.embedder.encode(batch) for batch in batches])

    def similarity(self, first, second):
        return self.embedder.similarity(first, second)

    def similarity_pairwise(self, first, second):
        return np.diagonal(self.embedder.similarity(first, second))


def loaded(name: str, data: Path, tmp_path: Path):
    return load_tasks(find_tasks([name]), data, tmp_path / "cache")[0]


def score(embedder: Embedder, task, results: Path):
    return evaluate_mteb(embedder, task, ResultFolder(results), AnswerStore(results / "vectors"), "test")


def test_the_encoder_is_one_of_mtebs(llama):
    from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchProtocol

    encoder = OnewordEncoder(llama)
    assert isinstance(encoder, EncoderProtocol)
    assert not isinstance(encoder, (CrossEncoderProtocol, SearchProtocol))
    first, second = np.float32([[3, 4], [0, 0]]), np.float32([[6, 8], [4, -3]])
    assert np.allclose(encoder.similarity(first, second), [[1, 0], [0, 0]])
    assert np.allclose(encoder.similarity_pairwise(first, second), [1, 0])


def test_its_name_holds_model_and_fingerprint(llama):
    meta = OnewordEncoder(llama).mteb_model_meta
    assert meta.name == "oneword/llama__" + llama.fingerprint.replace("/", "__")
    assert llama.fingerprint.endswith(meta.revision)
    assert (meta.embed_dim, meta.max_tokens, meta.use_instructions) == (llama.dimension, 1024, True)
    assert (meta.open_weights, meta.license, meta.training_datasets) == (None, None, None)  # not known
    assert OnewordEncoder(llama.with_method("average")).mteb_model_meta.use_instructions is False
    odd = llama.with_method("prompteol")
    odd.model, odd.fingerprint = "a:b c/" + "d" * 300, f'ü"{"m" * 300}-12345678/layer-5/float32/weights-1'
    name = OnewordEncoder(odd).mteb_model_meta.model_name_as_path()
    assert name.endswith("m-12345678__layer-5__float32__weights-1")
    assert len(name) < 200
    assert not set(name) & set(':"/ ü')


def test_the_texts_of_all_batches_are_computed_at_once(llama, monkeypatch):
    computed, compute = [], Embedder.compute

    def count(self, texts, *arguments):
        computed.append(list(texts))
        return compute(self, texts, *arguments)

    monkeypatch.setattr(Embedder, "compute", count)
    batches = [{"text": ["a cat", "", "a dog in the sun"], "body": ["x", "y", "z"]}, {"text": ["a cat", " \n"]}]
    vectors = OnewordEncoder(llama).encode(
        batches, task_metadata=None, hf_split="test", hf_subset="default", batch_size=1
    )
    assert len(computed) == 1
    assert sorted(computed[0]) == [".", "a cat", "a dog in the sun"]
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, llama.encode(["a cat", ".", "a dog in the sun", "a cat", "."]))
    with pytest.raises(InputError, match="text 1 is not text but int"):
        OnewordEncoder(llama, lambda texts: pytest.fail("not texts")).encode([{"text": ["a", 1]}])


def test_several_layers_are_refused(llama, run, data):
    with pytest.raises(InputError, match="one layer"):
        OnewordEncoder(llama.with_method(layer=[1, 2]))
    for layers in ("1,2", "all"):
        assert "one --layer" in run("--tasks", "STSBenchmark", "--data", data, "--layer", layers, code=2)[1]


@pytest.mark.parametrize(
    "name",
    [
        "STSBenchmark",
        "Banking77Classification",
        "AskUbuntuDupQuestions",
        "AmazonCounterfactualClassification:en",
        "TwentyNewsgroupsClustering",
    ],
)
def test_scores_are_those_of_an_encoder_made_by_hand(llama, data, tmp_path, name):
    import mteb

    task = loaded(name, data, tmp_path)
    result = score(llama, task, tmp_path / "results")
    with quiet_mteb():
        by_hand = mteb.evaluate(ByHand(llama), task.fresh(), cache=None, co2_tracker=False).task_results[0]
    (entry,) = by_hand.scores["test"]
    assert result.score == pytest.approx(100 * entry["main_score"], abs=1e-4)
    assert entry["main_score"] not in (0, 1)
    assert result.scores[result.metric] == result.score
    assert (result.task, result.kind, result.metric) == (name, "mteb", task.task.metadata.main_score)
    assert result.sizes["texts"] > 10


def test_a_documents_title_stands_before_its_text(llama, computed, tmp_path):
    write_reranking(tmp_path / "data" / "AskUbuntuDupQuestions", title="The title")
    score(llama, loaded("AskUbuntuDupQuestions", tmp_path / "data", tmp_path), tmp_path / "results")
    texts = [text for call in computed for text in call]
    assert sum(text.startswith("The title ") for text in texts) == 12
    assert len(texts) == 14


def test_a_table_of_methods_and_tasks(run, data, tmp_path, monkeypatch):
    from datasets import config

    elsewhere = tmp_path / "datasets of the user"
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", elsewhere)
    tasks = "STSBenchmark,banking77classification,AmazonCounterfactualClassification:en"
    shown, error = run("--tasks", tasks, "--data", data, "--method", "prompteol", "--method", "ck", "--json")
    assert error == ""
    found = json.loads(shown)
    assert found["tasks"] == ["STSBenchmark", "Banking77Classification", "AmazonCounterfactualClassification:en"]
    assert [row["method"] for row in found["rows"]] == ["prompteol", "ck"]
    row = found["rows"][1]
    assert row["average"] == pytest.approx(np.mean(list(row["scores"].values())))
    assert row["difference"] == pytest.approx(row["average"] - found["rows"][0]["average"])
    assert row["metrics"]["STSBenchmark"] == "cosine_spearman"
    table = run("--tasks", tasks, "--data", data, "--method", "ck")[0]
    assert f"{row['average']:.2f}" in table
    assert table.split()[:3] == ["method", "layer", "STSBenchmark"]
    assert not elsewhere.exists()
    assert elsewhere == config.HF_DATASETS_CACHE
    assert not (tmp_path / "results" / "vectors").exists()
    assert len(list(ResultFolder(tmp_path / "results").all())) == 6  # mteb's own files are passed over


def test_files_of_results_are_named_by_fingerprint(run, data, tmp_path, llama):
    run("--tasks", "STSBenchmark,Banking77Classification", "--data", data)
    results, fingerprint = tmp_path / "results", llama.fingerprint
    for task in ("STSBenchmark", "Banking77Classification"):
        kept = json.loads((results / fingerprint / f"mteb-{task}.json").read_text())
        assert (kept["task"], kept["fingerprint"], kept["method"]) == (task, fingerprint, "prompteol")
        assert kept["command"].startswith("oneword eval mteb")
        name = f"oneword__llama__{fingerprint.replace('/', '__')}"
        assert (results / "mteb" / "results" / name / fingerprint.split("/")[-1] / f"{task}.json").is_file()


def test_a_second_run_computes_nothing(run, data, tmp_path, computed):
    arguments = ("--tasks", "STSBenchmark,Banking77Classification", "--data", data)
    first = run(*arguments)[0]
    assert computed
    computed.clear()
    assert run(*arguments)[0] == first
    aside = (tmp_path / "results" / "mteb").rename(tmp_path / "aside")
    assert run(*arguments)[0] == first
    assert not (tmp_path / "results" / "mteb").exists()
    aside.rename(tmp_path / "results" / "mteb")
    for path in (tmp_path / "results").rglob("mteb-*.json"):  # what a crash left undone, mteb itself still has
        path.unlink()
    assert run(*arguments)[0] == first
    assert computed == []


def test_other_data_under_the_same_name_is_scored_anew(run, data, tmp_path, computed):
    arguments = ("--tasks", "STSBenchmark", "--data", data)
    first = run(*arguments)[0]
    write_sts(data, seed=11)
    computed.clear()
    assert run(*arguments)[0] != first
    assert computed
    (kept,) = (tmp_path / "results" / "mteb").rglob("STSBenchmark.json")
    ours = next((tmp_path / "results").rglob("mteb-STSBenchmark.json"))
    kept.write_text("{")  # as a crash in the middle of writing leaves it
    ours.unlink()
    computed.clear()
    run(*arguments)
    assert computed
    assert json.loads(kept.read_text())["task_name"] == "STSBenchmark"


def test_each_subset_has_a_result_of_its_own(run, data, computed, llama, tmp_path):
    name = "AmazonCounterfactualClassification"
    both = json.loads(run("--tasks", f"{name}:en,{name}:de", "--data", data, "--json")[0])["rows"][0]["scores"]
    assert list(both) == [f"{name}:en", f"{name}:de"]
    assert both[f"{name}:en"] != both[f"{name}:de"]
    alone = score(llama, loaded(f"{name}:de", data, tmp_path), tmp_path / "others")
    assert both[f"{name}:de"] == pytest.approx(alone.score)
    computed.clear()
    assert json.loads(run("--tasks", f"{name}:en", "--data", data, "--json")[0])["rows"][0]["scores"] == {
        f"{name}:en": both[f"{name}:en"]
    }
    assert computed == []


def test_a_file_gives_each_task_its_method(run, data, tmp_path, computed, llama):
    file = tmp_path / "mine.toml"
    file.write_text('[tasks]\nBanking77Classification = "knowledge"\nClassification = "ck"\ndefault = "average"\n')
    tasks = "STSBenchmark,Banking77Classification,AmazonCounterfactualClassification:en"
    arguments = ("--tasks", tasks, "--data", data, "--methods-file", file)
    (row,) = json.loads(run(*arguments, "--json")[0])["rows"]
    assert list(row["methods"].values()) == ["average", "knowledge", "ck"]
    prints = {name: llama.with_method(name).fingerprint for name in row["methods"].values()}
    assert row["fingerprints"] == {task: prints[name] for task, name in row["methods"].items()}
    for task, name in row["methods"].items():
        assert (tmp_path / "results" / prints[name] / f"mteb-{task.replace(':', '_')}.json").is_file()
        assert list((tmp_path / "results" / "mteb").rglob(f"*__{name}-*/*/{task.partition(':')[0]}.json"))
    computed.clear()
    rows = json.loads(run(*arguments, "--method", "knowledge", "--json")[0])["rows"]
    assert [row["method"] for row in rows] == ["knowledge", "mine.toml"]
    assert rows[0]["scores"]["Banking77Classification"] == rows[1]["scores"]["Banking77Classification"]
    assert "mine.toml" in run(*arguments)[0]


def test_tasks_without_a_method_get_the_models_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[tasks]\nSTS = "ck"\n')
    methods = read_methods(file)
    tasks = find_tasks(["STSBenchmark", "Banking77Classification"])
    assert method_of(tasks["STSBenchmark"], methods).name == "ck"
    assert method_of(tasks["Banking77Classification"], methods) is None


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            '[tasks]\nClasification = "ck"',
            r"mine\.toml, \[tasks\]: 'Clasification' is no task .*nearest: Classification",
        ),
        ('[task]\nClassification = "ck"', r"mine\.toml: unknown key 'task'; write a table \[tasks\]"),
        ("", r"mine\.toml: no methods"),
        ('steer = 1\n[tasks]\nSTS = "ck"', r"mine\.toml: unknown key 'steer'"),
        ("[tasks]\nSTS = 3", r"mine\.toml, \[tasks\]: STS must be a method's name"),
        ('[tasks]\nSTS = "ckk"', r"mine\.toml, \[tasks\], STS: unknown method 'ckk'"),
        ("[tasks", r"mine\.toml is not valid TOML"),
    ],
)
def test_a_file_of_methods_that_is_wrong(tmp_path, toml, message):
    file = tmp_path / "mine.toml"
    file.write_text(toml)
    with pytest.raises(MethodError, match=message):
        read_methods(file)


def test_the_tasks_of_the_cp_paper():
    tasks = find_tasks(["cp-paper"])
    assert tuple(tasks) == CP_PAPER
    assert len(tasks) == 9
    assert all(task.eval_splits == ["test"] for task in tasks.values())
    assert not any(task.metadata.name.endswith("v2") for task in tasks.values())
    assert tasks["AmazonCounterfactualClassification:en"].hf_subsets == ["en"]
    assert find_tasks(["AmazonCounterfactualClassification"])["AmazonCounterfactualClassification"].eval_splits == [
        "test"
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STSBenchmrk", "unknown mteb task 'STSBenchmrk' .*nearest: STSBenchmark"),
        ("qqqqqqqqqq", r"unknown mteb task 'qqqqqqqqqq' \(mteb.get_tasks"),
        ("AmazonCounterfactualClassification:fr", "no subset 'fr'; it has en-ext, en, de, ja"),
        ("CQADupstackRetrieval", "a mean of other tasks; name these: CQADupstackAndroid"),
        ("CIFAR10", "a task of image"),
    ],
)
def test_tasks_that_cannot_be_scored(name, message):
    with pytest.raises(InputError, match=message):
        find_tasks([name])


def broken(folder: Path, how: str) -> str:
    """Breaks a folder of data; the answer is its task."""
    sts, banking, ubuntu = (folder / n for n in ("STSBenchmark", "Banking77Classification", "AskUbuntuDupQuestions"))
    if how == "no folder":
        return "SciDocsRR"
    if how == "no files":
        (sts / "test.parquet").rename(sts / "test.txt")
    elif how == "two kinds":
        (sts / "train.csv").write_text("a,b\n")
    elif how == "no column":
        write_parquet(sts / "test.parquet", sentence1=["a"], sentence_2=["b"], score=[1.0])
    elif how == "broken":
        (sts / "test.parquet").write_bytes(b"PAR1 and no more")
    elif how == "no JSON":
        (banking / "train.jsonl").write_text("text,label\n")
        return "Banking77Classification"
    elif how == "other columns":
        write_classes(banking / "train-2.jsonl", 1, 3, more="x")
        return "Banking77Classification"
    elif how == "no split":
        (banking / "train.jsonl").unlink()
        return "Banking77Classification"
    elif how == "no labels":
        write_jsonl(banking / "train.jsonl", [{"text": "a", "category": 1}])
        write_jsonl(banking / "test-00000-of-00001.jsonl", [{"text": "a", "category": 1}])
        return "Banking77Classification"
    elif how == "no subset":
        return "AmazonCounterfactualClassification"
    elif how == "no judgements":
        (ubuntu / "qrels" / "test.parquet").unlink()
        return "AskUbuntuDupQuestions"
    elif how == "no queries":
        write_parquet(ubuntu / "queries.parquet", _id=["q0"], query=["a"])
        return "AskUbuntuDupQuestions"
    return "STSBenchmark"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no folder", "SciDocsRR missing from {data} (no {data}/SciDocsRR); put the files"),
        ("no files", "{data}/STSBenchmark has no file that datasets reads"),
        ("two kinds", "has .csv and .parquet files, and datasets reads one kind"),
        ("no column", "test in {data}/STSBenchmark has no column 'sentence2', but sentence1, sentence_2, score"),
        ("broken", "mteb cannot load STSBenchmark from {data}/STSBenchmark (ArrowInvalid: "),
        ("no JSON", "(ArrowInvalid: JSON parse error: Invalid value. in row 0); files are called"),
        ("other columns", "because column names don't match); files are called"),
        ("no split", "{data}/Banking77Classification has no split 'train', but test"),
        ("no labels", "train in {data}/Banking77Classification has no column 'label', but text, category"),
        ("no subset", "BuilderConfig 'en-ext' not found. Available: ['de', 'en']); files are called by their split"),
        (
            "no judgements",
            "mteb cannot load AskUbuntuDupQuestions from {data}/AskUbuntuDupQuestions (ValueError: No qrels",
        ),
        ("no queries", "queries of test in {data}/AskUbuntuDupQuestions has no column 'text', but id, query"),
    ],
)
def test_data_that_mteb_cannot_score_is_told_before_a_model_is_loaded(run, data, monkeypatch, how, message):
    task = broken(data, how)
    monkeypatch.setattr(Embedder, "__init__", lambda *arguments, **options: pytest.fail("a model was loaded"))
    error = run("--tasks", task, "--data", data, code=2)[1]
    assert message.format(data=data) in error
    assert error.count("\n") == 1


def test_what_mteb_says_while_it_scores_is_one_line(run, data):
    write_jsonl(
        data / "Banking77Classification" / "train.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": 1}]
    )
    error = run("--tasks", "Banking77Classification", "--data", data, code=2)[1]
    assert error.startswith(
        f"oneword: mteb cannot score Banking77Classification on {data}/Banking77Classification (Value"
    )
    assert error.count("\n") == 1


def test_no_score_is_no_result(llama, data, tmp_path, monkeypatch):
    same = lambda self, embedder, texts, on_texts: np.ones((len(texts), 1, 4), np.float32)  # noqa: E731
    monkeypatch.setattr(AnswerStore, "vectors", same)
    with pytest.raises(ModelError, match=r"STSBenchmark, prompteol at layer .*mteb finds no cosine_spearman"):
        score(llama, loaded("STSBenchmark", data, tmp_path), tmp_path / "results")
    assert not list((tmp_path / "results").rglob("mteb-*.json"))


def test_errors_of_ours_are_not_taken_for_mtebs(llama, data, tmp_path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ModelError("not finite")

    monkeypatch.setattr(AnswerStore, "vectors", fail)
    with pytest.raises(ModelError, match=r"^not finite$"):
        score(llama, loaded("STSBenchmark", data, tmp_path), tmp_path / "results")


def test_results_that_cannot_be_kept(run, data, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mteb").write_text("a file")
    assert "name another --results" in run("--tasks", "STSBenchmark", "--data", data, code=2)[1]


def test_vectors_are_kept_if_that_is_wanted(run, data, tmp_path):
    run("--tasks", "STSBenchmark,Banking77Classification", "--data", data, "--keep-vectors")
    assert len(list((tmp_path / "results" / "vectors").rglob("*.safetensors"))) == 4  # one for each call of encode


def test_a_bar_counts_the_texts_of_each_call(llama, data, tmp_path):
    bars = []

    def bar(texts: int) -> tqdm:
        bars.append(tqdm(total=texts, file=io.StringIO()))
        return bars[-1]

    folder = ResultFolder(tmp_path / "results")
    store = AnswerStore(tmp_path / "vectors")
    evaluate_mteb(llama, loaded("AskUbuntuDupQuestions", data, tmp_path), folder, store, "test", bar)
    assert [(one.total, one.n) for one in bars] == [(2, 2), (12, 12)]


def test_local_data_is_loaded_without_the_hub(data, tmp_path, monkeypatch):
    from datasets import config
    from huggingface_hub import constants

    def settings() -> list[object]:
        return [constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE, config.HF_DATASETS_OFFLINE]

    seen = []

    def load(**options: object) -> None:
        seen.append(settings())
        raise ValueError("what\nis this")

    monkeypatch.setattr("mteb.abstasks.abstask.load_dataset", load)
    before = settings()
    with pytest.raises(InputError, match=r"\(ValueError: what is this\)"):
        loaded("STSBenchmark", data, tmp_path)
    assert seen == [[True] * 3]
    assert settings() == before


def test_a_digest_of_the_data_leaves_out_what_hides(data, tmp_path):
    first = loaded("STSBenchmark", data, tmp_path).data
    hidden = data / "STSBenchmark" / ".cache" / "huggingface" / "test.lock"
    hidden.parent.mkdir(parents=True)
    hidden.write_text("now")
    moved = data.rename(tmp_path / "moved [1]")
    assert loaded("STSBenchmark", moved, tmp_path).data == first
    write_sts(moved, seed=2)
    assert loaded("STSBenchmark", moved, tmp_path).data != first


def test_what_the_hub_keeps_in_a_subset_of_some_name_needs_no_folder_of_it(tmp_path):
    name = "FinancialPhrasebankClassification.v2"
    for split in ("train", "test"):
        write_classes(tmp_path / name / f"{split}.jsonl", 1, 9)
    assert set(loaded(name, tmp_path, tmp_path).task.dataset) == {"train", "test"}


def test_a_copy_of_the_hubs_folder_says_itself_what_is_what(tmp_path):
    folder = tmp_path / "AmazonCounterfactualClassification"
    write_classes(folder / "data" / "english" / "one.jsonl", 1, 9)
    write_classes(folder / "data" / "english" / "two.jsonl", 2, 6)
    files = "{split: train, path: data/english/one.jsonl}, {split: test, path: data/english/two.jsonl}"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: en\n  data_files: [{files}]\n---\n# A dataset\n")
    task = loaded("AmazonCounterfactualClassification:en", tmp_path, tmp_path)
    assert {split: len(rows) for split, rows in task.task.dataset["en"].items()} == {"train": 9, "test": 6}


def test_data_that_a_caller_has_given_is_used(llama, tmp_path):
    import mteb
    from datasets import Dataset, DatasetDict

    def given(seed: int):
        rows = {"sentence1": sentences(seed, 15), "sentence2": sentences(seed + 1, 15)}
        task = mteb.get_task("STSBenchmark")
        task.dataset = DatasetDict({"test": Dataset.from_dict({**rows, "score": [n % 6 for n in range(15)]})})
        return task

    with quiet_mteb():
        first, again, other = (load_task(given(seed)) for seed in (1, 1, 2))
    assert first.data == again.data != other.data
    result = score(llama, first, tmp_path / "results")
    assert score(llama, again, tmp_path / "results") == result
    assert score(llama, other, tmp_path / "results").score != result.score


def test_every_method_is_scored_on_the_same_samples(data, tmp_path):
    task = loaded("STSBenchmark", data, tmp_path)
    drawn = [(one.np_rng.random(), one.rng_state.random()) for one in (task.fresh(), task.fresh())]
    assert drawn[0] == drawn[1]
    assert task.fresh().dataset is task.task.dataset


def test_mteb_and_its_loggers_are_as_before(data, tmp_path, capfd, caplog, monkeypatch):
    from datasets.utils import are_progress_bars_disabled, enable_progress_bars

    monkeypatch.setattr(logging.getLogger("mteb"), "level", logging.ERROR)
    enable_progress_bars()
    with quiet_mteb():
        warnings.warn("not seen", stacklevel=1)
        logging.getLogger("mteb.evaluate").error("not seen")
    loaded("Banking77Classification", data, tmp_path)
    assert logging.getLogger("mteb").level == logging.ERROR
    assert not are_progress_bars_disabled()
    assert (capfd.readouterr().err, caplog.text) == ("", "")


def test_without_mteb_or_with_an_old_one(llama, run, monkeypatch):
    monkeypatch.setattr("oneword.evaluation.mteb_encoder.version", lambda package: "1.38.2")
    with pytest.raises(InputError, match=r"mteb 1\.38\.2 is too old, 2\.26 is needed; pip install 'oneword\[mteb\]'"):
        OnewordEncoder(llama)
    monkeypatch.setattr("oneword.extras.find_spec", lambda package: None)
    assert "pip install 'oneword[mteb]'" in run("--tasks", "STSBenchmark", code=2)[1]


@pytest.mark.skipif(not BANKING.is_dir(), reason="needs ../shared/data/tasks/banking77 beside the checkout")
def test_banking77_as_it_is_published(tmp_path):
    (tmp_path / "Banking77Classification").symlink_to(BANKING)
    splits = loaded("Banking77Classification", tmp_path, tmp_path).task.dataset
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 10003, "test": 3080}
    assert len(set(splits["test"]["label"])) == 77
