"""Candidates: what is chosen among. LLMs with the prompts of a set, or embedding methods fitted on source datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneword.errors import InputError
from oneword.tasks.predictor import Predictor

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.answer_store import AnswerStore
    from oneword.method import Method
    from oneword.tasks.dataset import Dataset
    from oneword.tasks.label_prompt import LabelPrompt
    from oneword.tasks.selection.prompt_set import PromptSet

_ENDPOINT = "endpoint:"


@dataclass(frozen=True)
class Candidate:
    """One of those among which is chosen.

    Args:
        name: unlike that of any other, as in ``7``, or ``smollm2 7`` among several models.
        predictor: gives probabilities of labels.
        prompt: of an LLM; None where it has no label words.
        model: the model's name.
    """

    name: str
    predictor: Predictor
    prompt: LabelPrompt | None
    model: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it answers with: the columns of its probabilities."""
        classes = getattr(self.predictor, "classes", None) or ()
        return tuple(map(str, classes))

    @property
    def takes_pairs(self) -> bool:
        """Whether it answers for pairs of texts."""
        return bool(getattr(self.predictor, "takes_pairs", False))


def prompt_candidates(
    models: Sequence[str | None],
    prompt_set: PromptSet,
    *,
    chat: bool | None = None,
    max_reasoning_tokens: int = 512,
    **loading: Any,
) -> list[Candidate]:
    """Every model with every prompt of a set; each model is loaded once.

    Args:
        models: of `oneword models`, folders or Hub ids; ``endpoint:URL`` or ``endpoint:URL#MODEL`` for one behind an
            OpenAI-compatible endpoint; None is the default model.
        prompt_set: the prompts.
        chat: whether the models are asked through their chat template; None where they have one.
        max_reasoning_tokens: the most tokens of a chain of thought.
        loading: ``device``, ``dtype``, ``quantize``, ``revision``, ``trust_remote_code``, ``allow_pickle``, as for
            :class:`~oneword.Embedder`; endpoints have none of them.

    Raises:
        InputError: two models of one name.
        OnewordError: what the predictors raise.
    """
    found: list[Candidate] = []
    for model in dict.fromkeys(models):
        name, predictors = _asked(model, prompt_set, chat, max_reasoning_tokens, loading)
        if any(other.model == name for other in found):
            raise InputError(f"two models are called {name}; rename a folder, or leave one out")
        found += [Candidate(prompt.name, one, prompt, name) for prompt, one in zip(prompt_set.prompts, predictors)]
    return _told_apart(found)


def embedding_candidates(
    model: str | Path | Embedder | None,
    method: str | Path | Method,
    sources: Sequence[Dataset],
    *,
    folder: Path | None = None,
    **loading: Any,
) -> list[Candidate]:
    """Every prompt of an embedding method with every source: a linear model on the prompt's vectors of the source.

    A second family of candidates, whose answers are good where a small LLM's are not.

    Args:
        model: as for :class:`~oneword.Embedder`, or one, whose weights are used; it is loaded once.
        method: its prompts are the candidates', each alone, as in ``metaeol``.
        sources: datasets with the labels that are chosen for.
        folder: where vectors are kept by prompt and text, so that nothing is embedded twice.
        loading: as for :func:`prompt_candidates`.

    Returns:
        One candidate for each prompt and source, named ``prompt@source``.

    Raises:
        InputError: sources of the same name.
        OnewordError: what :class:`~oneword.Embedder` raises.
    """
    from oneword.embedder import Embedder
    from oneword.evaluation.answer_store import AnswerStore
    from oneword.registry import find_method
    from oneword.tasks.predictors.embedding import EmbeddingPredictor

    asked = find_method(method)
    embedder = model if isinstance(model, Embedder) else Embedder(model, method=asked, **loading)
    store: AnswerStore | None = None if folder is None else AnswerStore(folder)
    found = []
    for place, prompt in enumerate(asked.prompts, 1):
        one = embedder.with_method(
            replace(asked, name=prompt.name or str(place), prompts=[prompt], combine="mean", weights=())
        )
        for source in sources:
            name = f"{prompt.name or place}@{source.name}"
            predictor = EmbeddingPredictor(source, one, name=name, store=store)
            found.append(Candidate(name, predictor, None, embedder.model))
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise InputError(f"two of the candidates {', '.join(names)} have one name; give the sources names of their own")
    return found


def read_endpoint(model: str | None) -> tuple[str, str | None] | None:
    """Address and model of ``endpoint:URL#MODEL``; None for another kind of model."""
    if model is None or not model.startswith(_ENDPOINT):
        return None
    url, _, name = model.removeprefix(_ENDPOINT).partition("#")
    return url, name or None


def _asked(
    model: str | None, prompt_set: PromptSet, chat: bool | None, max_reasoning_tokens: int, loading: dict[str, Any]
) -> tuple[str, list[Predictor]]:
    """A model's name, and a predictor for each prompt."""
    first, *others = prompt_set.prompts
    predictor: Any
    endpoint = read_endpoint(model)
    if endpoint is not None:
        from oneword.tasks.predictors.endpoint_words import EndpointWordPredictor

        predictor = EndpointWordPredictor(*endpoint, first, max_reasoning_tokens=max_reasoning_tokens)
    else:
        from oneword.tasks.predictors.label_words import LabelWordPredictor

        predictor = LabelWordPredictor(model, first, chat=chat, max_reasoning_tokens=max_reasoning_tokens, **loading)
    return str(predictor.model_name), [predictor, *map(predictor.with_prompt, others)]


def _told_apart(candidates: list[Candidate]) -> list[Candidate]:
    """Several models' names stand before those of their prompts."""
    if len({one.model for one in candidates}) < 2:
        return candidates
    return [replace(one, name=f"{one.model} {one.name}") for one in candidates]
