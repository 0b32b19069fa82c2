"""LLMs that write as predictors: a batch writes what one text gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers as tf

from oneword.errors import MethodError, ModelError
from oneword.tasks.predictor import read_answers
from oneword.tasks.predictors import GeneratingPredictor

TEXTS = ["The cat sat on the mat.", "A man is playing a guitar and he sings.", "No", "It's a lovely day, isn't it."]
SECOND = ["A dog runs.", "He is loud.", "They bought 3 tickets for 25 pounds! " * 3, "It is late."]


def written_alone(folder: Path, filled: str, count: int) -> str:
    """What the model writes, token by token, without a cache or a batch."""
    tokenizer, model = tf.AutoTokenizer.from_pretrained(folder), tf.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(filled)["input_ids"]
    ids = ids[:-1] if ids[-1] == tokenizer.eos_token_id else ids
    start = len(ids)
    while len(ids) < start + count and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


@pytest.mark.parametrize("name", ["llama", "llama_eos", "gpt2", "opt"])
def test_a_batch_writes_what_each_text_gets_alone(tiny_model, name):
    folder = tiny_model(name)
    predictor = GeneratingPredictor(
        folder, "Say it again: {text}", max_new_tokens=6, batch_size=3, dtype="float32", device="cpu"
    )
    answers = predictor.predict(TEXTS)
    assert answers == [written_alone(folder, f"Say it again: {text}", 6) for text in TEXTS]
    assert len(set(answers)) > 1
    assert read_answers(answers, 4, predictor.name).kind == "strings"


def test_an_answer_ends_where_the_model_ends_it(tiny_model, tmp_path):
    folder = tmp_path / "ends"
    shutil.copytree(tiny_model("gpt2"), folder)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    whole = GeneratingPredictor(folder, "{text}", max_new_tokens=6, dtype="float32", device="cpu")
    ids = whole._loaded.model.generate(**tokenizer(TEXTS[0], return_tensors="pt"), max_new_tokens=6, do_sample=False)
    written = ids[0, -6:].tolist()
    last = next(place for place in range(1, 6) if written[place] not in written[:place])
    tf.GenerationConfig(eos_token_id=[tokenizer.eos_token_id, written[last]]).save_pretrained(folder)
    ended = GeneratingPredictor(folder, "{text}", max_new_tokens=6, dtype="float32", device="cpu")
    assert whole.predict(TEXTS[:1]) == [tokenizer.decode(written).strip()]
    assert ended.predict(TEXTS)[0] == tokenizer.decode(written[:last]).strip()


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_writes_too(tiny_model, name):
    folder = tiny_model(name)
    predictor = GeneratingPredictor(
        folder, "{text} and {text_pair}", max_new_tokens=5, batch_size=3, dtype="float32", device="cpu"
    )
    together = predictor.predict(TEXTS, SECOND)
    assert together == [predictor.predict([one], [other])[0] for one, other in zip(TEXTS, SECOND)]
    assert any(together)


def test_the_chat_template_is_used_where_there_is_one(tiny_model, tmp_path):
    folder = tmp_path / "chat"
    shutil.copytree(tiny_model("llama"), folder)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}<s>[{{ m['content'] }}]{% endfor %}{{ ' >\\n' }}"
    tokenizer.save_pretrained(folder)
    predictor = GeneratingPredictor(folder, "Say {text}", dtype="float32", device="cpu")
    assert tokenizer.decode(predictor._tokens("it", None)) == tokenizer.decode(
        tokenizer("<s>[Say it] >\n", add_special_tokens=False)["input_ids"]
    )
    assert predictor._tokens("it", None).count(tokenizer.bos_token_id) == 1
    plain = GeneratingPredictor(tiny_model("llama"), "Say {text}", dtype="float32", device="cpu")
    assert plain.fingerprint != predictor.fingerprint


def test_a_long_text_leaves_room_for_the_answer(tiny_model):
    predictor = GeneratingPredictor(
        tiny_model("gpt2_window"), "Say {text} again:", max_new_tokens=8, dtype="float32", device="cpu"
    )
    ids = predictor._tokens("the cat sat on the mat " * 60, None)
    assert 100 < len(ids) <= 120
    assert predictor._loaded.tokenizer.decode(ids).endswith("again:")
    with pytest.raises(MethodError, match="leaves no room for a text"):
        GeneratingPredictor(tiny_model("gpt2_window"), "many words " * 100 + "{text}", device="cpu").predict(["a"])


def test_a_written_class_is_read_and_any_other_answer_refused(tiny_model, monkeypatch):
    predictor = GeneratingPredictor(tiny_model("llama"), "{text}", classes=["Yes", "No"], device="cpu")
    monkeypatch.setattr(predictor, "_written", lambda rows: ["yes."] * len(rows))
    assert predictor.predict(["a"]) == ["Yes"]
    monkeypatch.setattr(predictor, "_written", lambda rows: ["perhaps"] * len(rows))
    with pytest.raises(
        ModelError, match=r"answered 'perhaps' to the text 'a b', which is none of its classes \(Yes, No\)"
    ):
        predictor.predict(["a b"])


def test_a_model_that_cannot_write_is_refused(tiny_model):
    with pytest.raises(ModelError, match="lacks weights of its output head"):
        GeneratingPredictor(tiny_model("bert"), "{text}")
