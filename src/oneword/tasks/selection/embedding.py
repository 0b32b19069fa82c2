"""Task-aware text embeddings: an embedding method's prompts chosen, or weighted, for a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.embedder import Embedder
from oneword.errors import InputError, nearest_names
from oneword.evaluation.answer_store import AnswerStore, combine
from oneword.extras import check_extra
from oneword.method import Layer, Method
from oneword.prompting.method_file import write_method_file
from oneword.registry import find_method
from oneword.tasks.asking import Calls
from oneword.tasks.dataset import Dataset
from oneword.tasks.pool import Pool
from oneword.tasks.selection.candidates import Candidate, embedding_candidates
from oneword.tasks.selection.prompt_vectors import (
    Floats,
    Subset,
    agreement,
    alignment_uniformity,
    cross_validated,
    forward_selection,
)
from oneword.tasks.selection.selector import PromptSelector
from oneword.tasks.trainable import TrainableModel

WAYS: dict[str, str] = {
    "mte": "cosine of the data's task embedding (DTE) and each prompt's (MTE); labels",
    "agreement": "how far each prompt agrees with the others on which texts are alike; no labels",
    "alignment-uniformity": "same text alike under all prompts, different texts apart; no labels",
    "cross-validation": "accuracy of a linear head, prompts added one at a time; labels",
}
NEEDS_LABELS = frozenset({"mte", "cross-validation"})
VECTORS = "vectors"
"""What is being done while texts are embedded, as progress is told."""

_MOST_TEXTS = 500  # whose pairs are compared, or on which heads are fitted; more change little

Told = Callable[[str, int, int], object]


def _untold(what: str, done: int, total: int) -> None:
    """Where nobody wants to know."""


@dataclass(frozen=True)
class PromptChoice:
    """Prompts chosen for a dataset.

    Args:
        way: of :data:`WAYS`.
        prompts: names of all the prompts that were chosen among.
        scores: of each, larger is better; for ``cross-validation`` its accuracy alone, 0 to 1.
        chosen: which of them were chosen, by their places from 0; weighted, all.
        method: asks those, or all with weights.
        header: what a method file says first.
    """

    way: str
    prompts: tuple[str, ...]
    scores: tuple[float, ...]
    chosen: Subset
    method: Method
    header: str

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the method as a TOML file, which says how it was chosen.

        Raises:
            OutputError: see :func:`~oneword.prompting.method_file.check_method_file`.
        """
        write_method_file(Path(path), [self.method], overwrite, self.header)


class PromptChooser:
    """Chooses among the prompts of an embedding method for a dataset.

    All ways start from each prompt's vector of each text, which is computed once.

    Args:
        model: as for :class:`~oneword.Embedder`, or one, whose weights are used.
        method: its prompts are chosen among.
        layer: as for :class:`~oneword.Embedder`; one layer.
        folder: where vectors, answers and task embeddings are kept, to go on from; None keeps them in memory.
        seed: of samples, folds and tuning.
        strength: of the linear heads' L2 regularization (``1 / C``).
        on_progress: told what is done (:data:`VECTORS`, and what :class:`PromptSelector` tells), and how much of how
            much of it.
        loading: ``device``, ``dtype``, ``quantize``, ``revision``, ``trust_remote_code``, ``allow_pickle``, as for
            :class:`~oneword.Embedder`.

    Attributes:
        method: the method, without weights of its own.
        embedder: asks it.
        names: of its prompts.
        calls: texts that prompts were asked about for ``mte``, and texts whose answers were kept.

    Raises:
        InputError: scikit-learn is missing, a method of one prompt, or a strength that is not positive.
        OnewordError: as for :class:`~oneword.Embedder`.
    """

    def __init__(
        self,
        model: str | Path | Embedder | None = None,
        method: str | Path | Method = "metaeol",
        *,
        layer: Layer | None = None,
        folder: Path | None = None,
        seed: int = 0,
        strength: float = 1.0,
        on_progress: Told = _untold,
        **loading: Any,
    ) -> None:
        check_extra("tasks", "sklearn", "choosing prompts for embeddings")
        whole = find_method(method)
        if len(whole.prompts) < 2:
            raise InputError(
                f"method '{whole.name}' has one prompt, so there is nothing to choose; give one of several"
            )
        if whole.calibration is not None:
            raise InputError(
                f"method '{whole.name}' is calibrated; choose its prompts without that, and calibrate what is chosen"
            )
        if not strength > 0:
            raise InputError(f"strength must be more than 0, not {strength}")
        whole = replace(whole, prompts=_named(whole), weights=())
        self.method = whole if layer is None else replace(whole, layer=layer)
        if isinstance(model, Embedder):
            self.embedder = model.with_method(self.method)
        else:
            self.embedder = Embedder(model, method=self.method, **loading)
        self.names = tuple(prompt.name for prompt in self.method.prompts)
        self.calls = Calls()
        self._folder, self._seed, self._strength, self._told = folder, seed, strength, on_progress
        self._store = None if folder is None else AnswerStore(folder / "vectors")
        self._known: dict[str, NDArray[np.float32]] = {}

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Each prompt's own vector of each text: float32 (n, prompts, d); none is computed twice.

        Raises:
            OnewordError: as :meth:`oneword.Embedder.encode`.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._computed(missing)))
        return np.stack([self._known[text] for text in texts])

    def features(self, data: Dataset | Pool, prompts: Sequence[int]) -> Floats:
        """What a linear head reads of some of the prompts, combined as the method says: (n, features).

        Of pairs, the absolute difference and the product of both vectors.

        Args:
            data: the texts.
            prompts: places of the prompts, from 0.
        """
        first = self._combined(data.texts, prompts)
        if data.text_pairs is None:
            return first
        second = self._combined(data.text_pairs, prompts)
        return np.hstack([np.abs(first - second), first * second])

    def choose(
        self,
        way: str,
        data: Dataset | Pool,
        *,
        keep: int | None = None,
        weighted: bool = False,
        pool: Pool | None = None,
        surrogate: str | Path | TrainableModel = "minilm",
        form: str = "tupate",
        tuning: Mapping[str, Any] | None = None,
    ) -> PromptChoice:
        """Choose prompts for a dataset.

        Args:
            way: of :data:`WAYS`; those of :data:`NEEDS_LABELS` need a dataset of classes.
            data: the texts, at most 500 of which are looked at but for ``mte``.
            keep: how many prompts; None takes the better half, and for ``cross-validation`` as many as do best.
            weighted: keep all prompts, and let them count by their rank: of eight the best 8, the worst 1.
            pool: for ``mte``, the unlabeled texts that MTEs are made of; None takes the one that comes along.
            surrogate: for ``mte``, as for :class:`~oneword.tasks.TaskEmbedder`.
            form: for ``mte``, ``"tupate"`` or ``"taskemb"``.
            tuning: for ``mte``, as for :class:`~oneword.tasks.TaskEmbedder`.

        Raises:
            InputError: no such way, no labels where they are needed, too few texts, or ``keep`` out of range.
            OnewordError: what the model and the surrogate raise.
        """
        data = self._checked(way, data, keep, weighted)
        path: list[tuple[Subset, float, float]] = []
        if way == "mte":
            scores = self._cosines(data, pool, surrogate, form, tuning)
        elif way == "cross-validation":
            scores, path = self._cross_validation(data)
        else:
            texts = list(dict.fromkeys([*data.texts, *(data.text_pairs or ())]))
            score = agreement if way == "agreement" else alignment_uniformity
            scores = score(self.vectors(texts))
        ranked = np.argsort(-scores, kind="stable").tolist()
        chosen = tuple(range(len(ranked))) if weighted else _best(ranked, path, keep)
        return self._choice(way, data, scores, chosen, ranked if weighted else None)

    def _checked(self, way: str, data: Dataset | Pool, keep: int | None, weighted: bool) -> Dataset | Pool:
        """The data, no more of it than is looked at."""
        if way not in WAYS:
            raise InputError(f"unknown way to choose prompts '{way}' ({nearest_names(way, WAYS)})")
        if keep is not None and weighted:
            raise InputError("prompts that are weighted are all kept; leave out keep, or the weights")
        if keep is not None and not 1 <= keep <= len(self.names):
            raise InputError(
                f"method '{self.method.name}' has {len(self.names)} prompts; keep 1 to that many, not {keep}"
            )
        if way in NEEDS_LABELS:
            if not isinstance(data, Dataset) or data.kind != "classification":
                raise InputError(
                    f"{way} needs texts with classes, which {data.name} has not; label some, or choose by agreement"
                )
            data.check_learnable()
        if way == "mte" or len(data) <= _MOST_TEXTS:
            return data
        return data.sample(_MOST_TEXTS, self._seed)

    def _cosines(
        self,
        data: Dataset | Pool,
        pool: Pool | None,
        surrogate: str | Path | TrainableModel,
        form: str,
        tuning: Mapping[str, Any] | None,
    ) -> Floats:
        """Of each prompt, the cosine of its MTE and the data's DTE.

        A prompt's MTE is that of a linear head on its vectors, fitted on the data, from its answers to the pool.
        """
        assert isinstance(data, Dataset)
        folder = None if self._folder is None else self._folder / "vectors"
        candidates: list[Candidate] = embedding_candidates(self.embedder, self.method, [data], folder=folder)
        selector = PromptSelector(
            candidates,
            calls=self.calls,
            folder=self._folder,
            pool=pool,
            surrogate=surrogate,
            tuning=tuning,
            seed=self._seed,
            device=str(self.embedder.device),
            on_progress=self._told,
        )
        return selector.scores(f"fute-{form}", data.texts, data.text_pairs, labelled=data)

    def _cross_validation(self, data: Dataset | Pool) -> tuple[Floats, list[tuple[Subset, float, float]]]:
        """Each prompt's accuracy alone, and the subsets that grow from the best of them."""
        assert isinstance(data, Dataset)
        found: dict[Subset, tuple[float, float]] = {}

        def score(subset: Subset) -> tuple[float, float]:
            if subset not in found:
                features = self.features(data, subset)
                found[subset] = cross_validated(features, data.labels, self._seed, self._strength)
            return found[subset]

        path = forward_selection(len(self.names), score)
        return np.array([found[(place,)][0] for place in range(len(self.names))]), path

    def _choice(
        self, way: str, data: Dataset | Pool, scores: Floats, chosen: Subset, ranked: Sequence[int] | None
    ) -> PromptChoice:
        count = len(self.names)
        weights = () if ranked is None else tuple(float(count - ranked.index(place)) for place in range(count))
        what = f"{len(chosen)} of the {count} prompts" if ranked is None else f"the {count} prompts, weighted by rank"
        labels = f"{len(data):,} {'labelled ' if way in NEEDS_LABELS else ''}texts"
        summary = f"{what} of {self.method.name}, chosen by {way} for {data.name}"
        method = replace(
            self.method,
            name=re.sub(r"\W+", "_", f"{self.method.name}_{way}_{data.name}").strip("_"),
            prompts=[self.method.prompts[place] for place in chosen],
            weights=weights,
            summary=summary,
        )
        lines = [
            f"{summary}: {labels}, {self.embedder.fingerprint}",
            WAYS[way],
            "score, prompt",
            *(
                f"{score: .4f}  {name}{'' if place in chosen else '  (left out)'}"
                for place, (score, name) in enumerate(zip(scores, self.names))
            ),
        ]
        return PromptChoice(way, self.names, tuple(scores.tolist()), chosen, method, "\n".join(lines))

    def _combined(self, texts: Sequence[str], prompts: Sequence[int]) -> Floats:
        vectors = self.vectors(texts)
        return combine((vectors[:, place] for place in prompts), self.method.combine).astype(np.float64)

    def _computed(self, texts: list[str]) -> NDArray[np.float32]:
        done = 0

        def told(more: int) -> None:
            nonlocal done
            done += more
            self._told(VECTORS, done, len(texts))

        if self._store is not None:
            return self._store.answers(self.embedder, texts, told)[:, :, 0].transpose(1, 0, 2)
        whole = self.embedder.with_method(replace(self.embedder.method, combine="concat"))
        vectors: NDArray[np.float32] = whole.compute(texts, on_texts=told).numpy()
        return vectors.reshape(len(texts), len(self.names), -1)


def _best(ranked: Sequence[int], path: Sequence[tuple[Subset, float, float]], keep: int | None) -> Subset:
    """The chosen prompts in their order: the better half or as many as are wanted, or the best subset of a path."""
    if path:
        return path[keep - 1][0] if keep else max(path, key=lambda one: one[1:])[0]
    return tuple(sorted(ranked[: keep or (len(ranked) + 1) // 2]))


def _named(method: Method) -> list[Any]:
    """The prompts, those without a name called by their place: a method file needs names."""
    return [
        prompt if prompt.name else replace(prompt, name=f"{method.name}_{place}")
        for place, prompt in enumerate(method.prompts, 1)
    ]
