"""Selection methods by name, and what the parts below them learnt for choosing."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from oneword import Embedder
from oneword.errors import InputError
from oneword.evaluation.answer_store import AnswerStore
from oneword.tasks import Dataset
from oneword.tasks.predictors import EmbeddingPredictor
from oneword.tasks.selection.methods import FORM_OF, METHODS, find_methods
from oneword.tasks.settings import paper_llm_tuning, paper_tuning


def test_methods_are_found_by_name_once_each():
    assert [one.name for one in find_methods(["mi", "FUTE-TuPaTE", "mi "])] == ["mi", "fute-tupate"]
    with pytest.raises(InputError, match=r"unknown selection method 'zps' \(nearest: zps-"):
        find_methods(["zps"])
    assert [name for name, one in METHODS.items() if one.needs_labels] == list(FORM_OF)


def test_perplexities_and_choices_are_of_llms_alone():
    llm = SimpleNamespace(
        model="a", prompt="a prompt", predictor=SimpleNamespace(predict_with_perplexity=1, with_prompt=1)
    )
    other = SimpleNamespace(model="b", prompt=None, predictor=SimpleNamespace())
    assert all(one.applies_to([llm, llm]) for one in METHODS.values())
    assert {name for name, one in METHODS.items() if not one.applies_to([llm, other])} == {"self-select", "spell"}
    assert {name for name, one in METHODS.items() if not one.applies_to([llm])} == {"self-select"}
    assert {name for name, one in METHODS.items() if not one.applies_to([llm] * 27)} == {"self-select"}


def test_names_of_methods_load_no_torch():
    code = (
        "import sys; import oneword.tasks.selection.methods; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_paper_s_settings_for_llms_change_mtes_alone():
    usual, llm = (
        paper_tuning("tupate", "model", "classification"),
        paper_llm_tuning("tupate", "model", "classification"),
    )
    assert (llm.epochs, llm.max_length, llm.batch, llm.learning_rate) == (3.0, 512, usual.batch, usual.learning_rate)
    assert paper_llm_tuning("taskemb", "dataset", "span") == paper_tuning("taskemb", "dataset", "span")


def test_kept_vectors_are_not_embedded_again(tiny_model, tmp_path, monkeypatch):
    texts = [f"{'fine' if row % 2 else 'foul'} weather on day {row}" for row in range(12)]
    source = Dataset("weather", texts, ["good" if row % 2 else "bad" for row in range(12)])
    embedder = Embedder(tiny_model("llama_calm"), device="cpu", dtype="float32")
    plain = EmbeddingPredictor(source, embedder).predict(["a fine day", "foul play"])
    kept = EmbeddingPredictor(source, embedder, store=AnswerStore(tmp_path)).predict(["a fine day", "foul play"])
    assert np.allclose(kept, plain, atol=1e-5)

    def refuse(*given, **more):
        raise AssertionError("embedded again")

    monkeypatch.setattr(Embedder, "compute", refuse)
    again = EmbeddingPredictor(source, embedder, store=AnswerStore(tmp_path)).predict(["a fine day", "foul play"])
    assert np.array_equal(again, kept)
