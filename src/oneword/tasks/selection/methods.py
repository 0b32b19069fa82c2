"""What chooses among prompts or models, by name, and what each of these methods needs: without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oneword.errors import InputError, nearest_names

_LETTERS = 26  # by which an LLM names the prompt that it chooses
Needs = Literal["labels", "probabilities", "perplexity", "choice"]


@dataclass(frozen=True)
class SelectionMethod:
    """One selection method (FUTE, section 5.2 and its baselines).

    Args:
        name: what users call it.
        needs: ``labels`` of some texts (a DTE is made of them), else only texts: ``probabilities`` of the labels, the
            ``perplexity`` of the filled prompts, or the ``choice`` that an LLM writes when it is shown the prompts.
        form: of the task embeddings, where it compares those.
        summary: one line for help.
    """

    name: str
    needs: Needs
    summary: str
    form: str | None = None

    @property
    def needs_labels(self) -> bool:
        """Whether it needs a few labels."""
        return self.needs == "labels"

    def applies_to(self, candidates: Sequence[Any]) -> bool:
        """Whether every candidate has what it reads.

        Perplexities and choices are those of LLMs with a prompt, and an LLM chooses among 2 to 26 prompts of its own.

        Args:
            candidates: each a :class:`~oneword.tasks.selection.candidates.Candidate`.
        """
        attribute = {"perplexity": "predict_with_perplexity", "choice": "with_prompt"}.get(self.needs)
        if attribute is None:
            return True
        if any(one.prompt is None or not hasattr(one.predictor, attribute) for one in candidates):
            return False
        prompts = Counter(one.model for one in candidates).values()
        return self.needs != "choice" or all(2 <= count <= _LETTERS for count in prompts)


_ALL = (
    SelectionMethod("fute-tupate", "labels", "cosine of DTE and MTE, both TuPaTE", "tupate"),
    SelectionMethod("fute-taskemb", "labels", "cosine of DTE and MTE, both TaskEmb", "taskemb"),
    SelectionMethod("mi", "probabilities", "mutual information of texts and answers"),
    SelectionMethod("local-entropy", "probabilities", "mean entropy of the answers"),
    SelectionMethod("global-entropy", "probabilities", "entropy of how often each label is answered"),
    SelectionMethod(
        "zps-log", "probabilities", "accuracy against pseudo-labels of all prompts: sum of log-probabilities"
    ),
    SelectionMethod("zps-prob", "probabilities", "the same: sum of probabilities"),
    SelectionMethod("zps-vote", "probabilities", "the same: majority vote"),
    SelectionMethod("self-select", "choice", "the LLM is asked which prompt is best"),
    SelectionMethod("spell", "perplexity", "minus the mean perplexity of the filled prompts"),
)
METHODS: dict[str, SelectionMethod] = {method.name: method for method in _ALL}
FORM_OF: dict[str, str] = {method.name: method.form for method in _ALL if method.form}
"""The form of the task embeddings that each of FUTE's methods compares."""


def find_methods(names: Iterable[str]) -> tuple[SelectionMethod, ...]:
    """The selection methods of these names, each once, in this order.

    Raises:
        InputError: a name that there is not.
    """
    found = []
    for name in dict.fromkeys(one.strip().lower() for one in names):
        if name not in METHODS:
            raise InputError(f"unknown selection method '{name}' ({nearest_names(name, METHODS)})")
        found.append(METHODS[name])
    return tuple(found)
