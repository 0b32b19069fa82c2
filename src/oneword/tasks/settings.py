"""How each form is tuned: on little data in minutes, and as in the paper (FUTE, appendix)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal

from oneword.errors import InputError, nearest_names
from oneword.tasks.tuning import Tuning

Of = Literal["dataset", "model"]

# So few that a vector takes a minute on two cores, on a thousand texts as on a hundred thousand
_RATES = {"taskemb": 2e-5, "tupate": 1e-2, "bitfit": 1e-3, "lora": 1e-3}
_RATE = 1e-3  # of forms that users bring
_STEPS = 100

PAPER_LLM_TEXTS = 10_000
"""Unlabeled texts that FUTE asks LLMs about; other models all that it has."""


def usual_tuning(form: str, of: Of, kind: str) -> Tuning:
    """What a vector is tuned with unless told otherwise.

    Args:
        form: name of the form.
        of: what the vector is of; a dataset's labels are learnt until a held-out part no longer improves, a model's
            answers for a fixed number of updates.
        kind: of task, as in ``"classification"``.
    """
    return Tuning(
        learning_rate=_RATES.get(form, _RATE) / (2 if kind == "span" and form == "tupate" else 1),
        steps=_STEPS,
        patience=4 if of == "dataset" else None,
        max_length=384 if kind == "span" else 128,
    )


def paper_tuning(form: str, of: Of, kind: str) -> Tuning:
    """The paper's own settings (FUTE, appendix); for bitfit and lora, which it has not, the epochs of its prefixes."""
    usual = usual_tuning(form, of, kind)
    if of == "model":
        rate = {"tupate": 1e-3, "taskemb": 2e-5}.get(form, usual.learning_rate)
        return replace(usual, learning_rate=rate, batch=128, epochs=1.0)
    rate = 3e-5 if form == "taskemb" and kind == "span" else usual.learning_rate
    return replace(usual, learning_rate=rate, batch=32, epochs=60.0 if kind == "span" else 120.0)


def paper_llm_tuning(form: str, of: Of, kind: str) -> Tuning:
    """The paper's own settings where models are LLMs with prompts: longer texts, and fewer of them seen more often."""
    paper = paper_tuning(form, of, kind)
    return replace(paper, epochs=3.0, max_length=512) if of == "model" else paper


def changed(tuning: Tuning, given: dict[str, Any]) -> Tuning:
    """A tuning with some of its fields changed; None leaves a field as it is."""
    given = {name: value for name, value in given.items() if value is not None}
    known = [field.name for field in fields(Tuning)]
    for name in given:
        if name not in known:
            raise InputError(f"tuning: unknown field '{name}' ({nearest_names(name, known)})")
    if "steps" in given and "epochs" not in given:
        given["epochs"] = None
    return replace(tuning, **given)
