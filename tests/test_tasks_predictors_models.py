"""Predictors made of transformers models: their answers are those of the plain model, one text at a time."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from oneword.errors import InputError, ModelError
from oneword.tasks import Span
from oneword.tasks.predictor import read_answers
from oneword.tasks.predictors import TransformersClassifier, TransformersQA
from oneword.tasks.predictors.question_answering import best_span, stripped_span

TEXTS = ["The cat sat on the mat.", "A man is playing a guitar and he sings.", "No", "It's a lovely day, isn't it."]
SECOND = ["A dog runs.", "He is loud.", "They bought 3 tickets for 25 pounds! " * 3, "It is late."]
LABELS = ["negative", "neutral", "positive"]

TinyModel = Callable[[str], Path]


def with_head(folder: Path, like: Path, head: Any, std: float = 0.3, **options: Any) -> Path:
    """A model of another head than a tiny model's; its tokenizer tells first and second texts apart, as BERT's does."""
    shutil.copytree(like, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tf.AutoTokenizer.from_pretrained(folder, model_input_names=names).save_pretrained(folder)
    config = tf.AutoConfig.from_pretrained(like, **options)
    torch.manual_seed(1)
    model = head(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * std if parameter.ndim > 1 else parameter)
    model.save_pretrained(folder)
    return folder


def classifier_folder(tiny_model: TinyModel, tmp_path: Path, name: str = "bert", **options: Any) -> Path:
    head = {
        "bert": tf.BertForSequenceClassification,
        "distilbert": tf.DistilBertForSequenceClassification,
        "llama": tf.LlamaForSequenceClassification,
        "gpt2": tf.GPT2ForSequenceClassification,
        "t5": tf.T5ForSequenceClassification,
    }[name]
    options = {"num_labels": 3, "id2label": dict(enumerate(LABELS)), **options}
    return with_head(tmp_path / f"{name}_classifier", tiny_model(name), head, **options)


def one_by_one(folder: Path, head: Any, *columns: Sequence[str]) -> list[Any]:
    """The plain model's outputs for each text, without padding."""
    tokenizer, model = tf.AutoTokenizer.from_pretrained(folder), head.from_pretrained(folder).eval()
    found = []
    for row in zip(*columns):
        inputs = tokenizer(*row, return_tensors="pt")
        if "token_type_ids" not in inspect.signature(model.forward).parameters:
            inputs.pop("token_type_ids", None)
        with torch.no_grad():
            found.append(model(**inputs))
    return found


# Classifiers


@pytest.mark.parametrize("name", ["bert", "distilbert", "llama", "gpt2", "t5"])
def test_a_classifier_gives_the_plain_model_s_probabilities(tiny_model, tmp_path, name):
    padding = {"pad_token_id": None} if name == "gpt2" else {}  # without one, a batch cannot be padded
    folder = classifier_folder(tiny_model, tmp_path, name, **padding)
    predictor = TransformersClassifier(folder, device="cpu", batch_size=3)
    expected = [output.logits[0].softmax(-1) for output in one_by_one(folder, type(predictor._loaded.model), TEXTS)]
    assert predictor.predict(TEXTS) == pytest.approx(torch.stack(expected).numpy(), abs=1e-5)
    assert predictor.classes == tuple(LABELS)
    assert read_answers(predictor.predict(TEXTS), 4, predictor.name, predictor.classes).classes == tuple(LABELS)


@pytest.mark.parametrize(("of_tokenizer", "of_model"), [("<unk>", None), ("</s>", 0), (None, 0)])
def test_batches_are_padded_with_the_token_that_the_model_knows(tiny_model, tmp_path, of_tokenizer, of_model):
    folder = classifier_folder(tiny_model, tmp_path, "gpt2", pad_token_id=of_model)
    alone = TransformersClassifier(folder, device="cpu", batch_size=1).predict(TEXTS)
    tf.AutoTokenizer.from_pretrained(folder, pad_token=of_tokenizer).save_pretrained(folder)
    together = TransformersClassifier(folder, device="cpu", batch_size=4)
    assert together.predict(TEXTS) == pytest.approx(alone, abs=1e-5)
    assert together._loaded.tokenizer.pad_token == "<unk>"


def test_a_classifier_reads_pairs_as_its_tokenizer_writes_them(tiny_model, tmp_path):
    folder = classifier_folder(tiny_model, tmp_path)
    predictor = TransformersClassifier(folder, device="cpu", takes_pairs=True)
    plain = one_by_one(folder, tf.BertForSequenceClassification, TEXTS, SECOND)
    expected = torch.stack([output.logits[0].softmax(-1) for output in plain]).numpy()
    assert predictor.predict(TEXTS, SECOND) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match=r"bert_classifier answers for pairs .* text_pair column.*--pair-texts"):
        predictor.predict(TEXTS)


def test_one_output_is_a_number(tiny_model, tmp_path):
    folder = classifier_folder(tiny_model, tmp_path, num_labels=1, id2label={0: "score"})
    predictor = TransformersClassifier(folder, device="cpu")
    expected = [float(output.logits) for output in one_by_one(folder, tf.BertForSequenceClassification, TEXTS)]
    assert predictor.classes is None
    assert predictor.predict(TEXTS) == pytest.approx(expected, abs=1e-4)


def test_a_text_longer_than_the_window_is_cut(tiny_model, tmp_path):
    predictor = TransformersClassifier(classifier_folder(tiny_model, tmp_path), device="cpu", max_length=8)
    long = "the cat sat on the mat and the dog"
    assert predictor.predict([long]) == pytest.approx(predictor.predict(["the cat sat on the mat"]), abs=1e-6)
    assert TransformersClassifier(tmp_path / "bert_classifier", device="cpu").predict(["the " * 3000]).shape == (1, 3)


def test_a_model_whose_head_was_not_trained_is_refused(tiny_model):
    with pytest.raises(ModelError, match=r"bert lacks weights of its classification head \('classifier.bias'\)"):
        TransformersClassifier(tiny_model("bert"), device="cpu")


def test_what_is_no_classifier_is_refused(tiny_model, tmp_path):
    with pytest.raises(ModelError, match=r"mamba \(mamba\) has no classification head"):
        TransformersClassifier(tiny_model("mamba"))
    folder = classifier_folder(tiny_model, tmp_path, problem_type="multi_label_classification")
    with pytest.raises(ModelError, match="several labels at once"):
        TransformersClassifier(folder)
    with pytest.raises(InputError, match="batch_size must be at least 1, not 0"):
        TransformersClassifier(folder, batch_size=0)


def test_the_names_of_the_classes_and_the_cut_are_in_the_fingerprint(tiny_model, tmp_path):
    folder = classifier_folder(tiny_model, tmp_path)
    first = TransformersClassifier(folder, device="cpu").fingerprint
    assert first == TransformersClassifier(folder, device="cpu", batch_size=2, name="x").fingerprint
    others = {
        TransformersClassifier(folder, device="cpu", max_length=8).fingerprint,
        TransformersClassifier(
            classifier_folder(tiny_model, tmp_path / "other", id2label={0: "a", 1: "b", 2: "c"}), device="cpu"
        ).fingerprint,
    }
    assert first not in others
    assert all(one.replace("-", "").isalnum() for one in others)


# Question answering


@pytest.fixture
def reader_folder(tiny_model, tmp_path):
    return with_head(tmp_path / "bert_reader", tiny_model("bert"), tf.BertForQuestionAnswering)


def best_by_hand(output: Any, tokens: Any, context: str, longest: int) -> tuple[int, int]:
    """Every pair of tokens tried."""
    starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    places = [
        (starts[first] + ends[last], first, last)
        for first in range(len(starts))
        for last in range(first, min(first + longest, len(starts)))
        if tokens.sequence_ids(0)[first] == tokens.sequence_ids(0)[last] == 1
    ]
    _, first, last = max(places)
    offsets = tokens["offset_mapping"]
    return offsets[first][0], offsets[last][1]


@pytest.mark.parametrize("longest", [30, 2])
def test_answers_are_the_best_spans_of_the_context(reader_folder, longest):
    predictor = TransformersQA(reader_folder, device="cpu", max_answer_tokens=longest, batch_size=3)
    found = predictor.predict(TEXTS, SECOND)
    tokenizer = tf.AutoTokenizer.from_pretrained(reader_folder)
    for output, question, context, span in zip(
        one_by_one(reader_folder, tf.BertForQuestionAnswering, TEXTS, SECOND), TEXTS, SECOND, found
    ):
        tokens = tokenizer(question, context, return_offsets_mapping=True)
        assert span == best_by_hand(output, tokens, context, longest)
        assert context[span.start : span.end].strip()
    assert read_answers(found, len(TEXTS), "reader").kind == "spans"


def test_a_span_does_not_end_before_it_starts_nor_lies_outside_the_context():
    starts, ends = np.array([9.0, 0.0, 2.0, 5.0, 9.0]), np.array([9.0, 8.0, 1.0, 2.0, 9.0])
    held = np.array([False, True, True, True, False])
    assert best_span(starts, ends, held, 30) == (1, 1)  # the best end is before the best start
    starts[0] = ends[4] = 10.0
    assert best_span(starts, ends, ~held, 30) == (0, 4)
    assert best_span(starts, ends, ~held, 4) == (0, 0)
    assert best_span(starts, ends, np.zeros(5, bool), 30) is None


def test_spans_have_no_white_space_at_their_ends(tiny_model, tmp_path):
    folder = with_head(tmp_path / "gpt2_reader", tiny_model("gpt2"), tf.GPT2ForQuestionAnswering)
    contexts = ["  two  spaces ", "a b", "x\ny z"]
    for span, context in zip(TransformersQA(folder, device="cpu").predict(["Why?"] * 3, contexts), contexts):
        answer = context[span.start : span.end]
        assert answer
        assert answer == answer.strip()
    assert stripped_span(1, 8, "a  cat \n b") == (3, 6)


def test_long_contexts_and_long_questions_are_cut(reader_folder):
    predictor = TransformersQA(reader_folder, device="cpu", max_length=16)
    spans = predictor.predict(["the cat " * 40, "Why?"], ["a dog runs", "a dog runs across the field " * 20])
    assert spans[0].end <= len("a dog runs")
    assert spans[1].end < 60


def test_a_context_of_no_tokens_is_answered_whole(reader_folder):
    assert TransformersQA(reader_folder, device="cpu").predict(["Why?"], ["\u200b\u200b"]) == [Span(0, 2)]


def test_a_reader_whose_answers_mean_nothing_is_refused(reader_folder, monkeypatch):
    predictor = TransformersQA(reader_folder, device="cpu")
    predictor._loaded.model.qa_outputs.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="answers with numbers that are not finite"):
        predictor.predict(TEXTS, SECOND)
    monkeypatch.setattr(tf.PreTrainedTokenizerFast, "is_fast", False)
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        TransformersQA(reader_folder, device="cpu")


def test_questions_need_contexts_and_a_trained_head(reader_folder, tiny_model):
    with pytest.raises(InputError, match="answers for pairs of texts"):
        TransformersQA(reader_folder, device="cpu").predict(TEXTS)
    with pytest.raises(ModelError, match=r"lacks weights of its question answering head \('qa_outputs.bias'\)"):
        TransformersQA(tiny_model("bert"))
