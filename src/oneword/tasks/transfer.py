"""The transfer experiment (FUTE, section 5.1): which source model should a target dataset start from?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oneword.errors import InputError
from oneword.evaluation.results import digest_of
from oneword.tasks.baselines import curve_gradient, text_embedding
from oneword.tasks.collection import Split
from oneword.tasks.dataset import Dataset
from oneword.tasks.finetuning import FineTuned, FineTunedPredictor, fine_tune, score
from oneword.tasks.pool import Pool
from oneword.tasks.ranking_methods import FUTE, METHODS
from oneword.tasks.settings import Of
from oneword.tasks.task_embedder import TaskEmbedder
from oneword.tasks.task_embedding import ENDING, TaskEmbedding
from oneword.tasks.trainable import TrainableModel
from oneword.tasks.tuning import Tuning
from oneword.whole_file import write_whole

_FORM = {"fute-taskemb": "taskemb", "fute-tupate": "tupate", "taskemb": "taskemb", "tupate": "tupate"}


@dataclass(frozen=True)
class TransferPlan:
    """What the experiment is made of; its results are found again by all of it.

    Args:
        examples: training examples of a source.
        target_examples: training examples of a target.
        test_examples: examples that a target is scored on.
        source_tuning: how a source is fine-tuned.
        target_tuning: how a target is.
        methods: which of :data:`METHODS` rank the sources.
        seed: of everything.
        tuning: fields of the task embeddings' tuning that are set otherwise than usual.
        paper: take the paper's settings for task embeddings.
    """

    examples: int = 1000
    target_examples: int = 1000
    test_examples: int = 1000
    source_tuning: Tuning = field(default_factory=lambda: Tuning(1e-4, batch=16, epochs=2.0, max_length=64))
    target_tuning: Tuning = field(default_factory=lambda: Tuning(1e-4, batch=16, epochs=1.0, max_length=64))
    methods: tuple[str, ...] = METHODS
    seed: int = 0
    tuning: Mapping[str, Any] = field(default_factory=dict)
    paper: bool = False


@dataclass(frozen=True)
class Found:
    """What the experiment found for one model.

    Args:
        model: the model's name.
        gains: by target and source, percent points that the source brings over the pretrained model.
        base: by target, what the pretrained model reaches.
        scores: by method, target and source, what the source is ranked by; larger is better.
    """

    model: str
    gains: Mapping[str, Mapping[str, float]]
    base: Mapping[str, float]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]


class TransferExperiment:
    """Fine-tunes every source, transfers each to every target, and ranks the sources without looking at that.

    Args:
        plan: what it is made of.
        splits: the datasets by name; each is a source and a target.
        pool: unlabeled texts for the models' task embeddings.
        surrogate: on which all task embeddings are computed.
        folder: where every finished piece is kept, and found again.
        on_piece: told what is done next, as in "minilm: CR to SST2".
    """

    def __init__(
        self,
        plan: TransferPlan,
        splits: Mapping[str, Split],
        pool: Pool,
        surrogate: TrainableModel,
        folder: Path,
        on_piece: Callable[[str], object] = lambda piece: None,
    ) -> None:
        if len(splits) < 3:
            raise InputError(f"a ranking of sources needs three datasets, not {len(splits)}")
        self._plan, self._pool, self._surrogate, self._on_piece = plan, pool, surrogate, on_piece
        for split in splits.values():
            split.train.check_learnable()
            pool.check_apart(split.train)
            pool.check_apart(split.test)
        self._train = {name: split.train.sample(plan.examples, plan.seed) for name, split in splits.items()}
        self._short = {name: split.train.sample(plan.target_examples, plan.seed + 1) for name, split in splits.items()}
        self._test = {
            name: split.test.sample(plan.test_examples, plan.seed, every_class=False) for name, split in splits.items()
        }
        # No task embedding of a target knows more labels than its fine-tuning does
        self._known = self._short if plan.target_examples < plan.examples else self._train
        self._sizes = {name: len(split.train) for name, split in splits.items()}
        self._folder = folder

    @staticmethod
    def pieces(datasets: int, models: int, methods: Sequence[str]) -> int:
        """How often ``on_piece`` is told, for progress."""
        vectors = sum(2 if method in (*_FORM, "textemb") else 0 for method in methods)
        return datasets * models * (1 + datasets + vectors)

    def run(self, model: TrainableModel) -> Found:
        """Everything for one model; what an earlier run finished is not done again."""
        sources = {name: self._source(model, name) for name in self._train}
        base = {target: self._transferred(model, None, target, sources) for target in self._train}
        gains = {
            target: {
                source: self._transferred(model, source, target, sources) - base[target]
                for source in self._train
                if source != target
            }
            for target in self._train
        }
        scores = {method: self._ranked(method, model, sources) for method in self._plan.methods}
        return Found(model.name, gains, base, scores)

    def _source(self, model: TrainableModel, name: str) -> Path:
        """Where the model fine-tuned on a source lies; all of them together may not fit into memory."""
        plan = self._plan
        key = digest_of(model.space, self._train[name].digest, asdict(plan.source_tuning), plan.seed)
        path = self._folder / "sources" / f"{_file(model.name, name)}-{key}{ENDING}"
        self._on_piece(f"{model.name}: fine-tuning on {name}")
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / "work" / "unfinished" / f"source-{key}.pt"
            fine_tune(model, self._train[name], plan.source_tuning, plan.seed, checkpoint=unfinished).save(path)
        return path

    def _transferred(
        self, model: TrainableModel, source: str | None, target: str, sources: Mapping[str, Path]
    ) -> float:
        """What a target reaches from a source, or from the pretrained model."""
        plan = self._plan
        before = [] if source is None else [*self._digests(source), asdict(plan.source_tuning)]
        parts = (model.space, before, self._digests(target)[1:], asdict(plan.target_tuning), plan.seed)
        self._on_piece(f"{model.name}: {source or 'pretrained'} to {target}")

        def compute() -> float:
            start = None if source is None else FineTuned.load(sources[source]).weights
            tuned = fine_tune(model, self._short[target], plan.target_tuning, plan.seed, start)
            return score(FineTunedPredictor(model, tuned), self._test[target])

        name = f"{_file(model.name, source or 'pretrained', target)}-{digest_of(*parts)}.json"
        return float(_once(self._folder / "scores" / name, compute))

    def _ranked(self, method: str, model: TrainableModel, sources: Mapping[str, Path]) -> dict[str, dict[str, float]]:
        """By target and source, what a method ranks by."""
        if method == "datasize":
            return self._pairs(lambda source, target: float(self._sizes[source]))
        if method == "curvegrad":
            slopes = {name: curve_gradient(FineTuned.load(source).losses) for name, source in sources.items()}
            return self._pairs(lambda source, target: slopes[source])
        if method == "textemb":
            means, known = (
                {name: self._text_embedding(model, dataset) for name, dataset in datasets.items()}
                for datasets in (self._train, self._known)
            )
            return self._pairs(lambda source, target: _cosine(means[source], known[target]))
        form = _FORM[method]
        if method in FUTE:
            targets = {name: self._dataset_embedding(self._surrogate, form, self._known[name]) for name in self._train}
            found = {name: self._model_embedding(model, form, name, sources[name]) for name in self._train}
        else:  # the same form in a space of the model's own
            targets = {name: self._dataset_embedding(model, form, self._known[name]) for name in self._train}
            found = {name: self._dataset_embedding(model, form, self._train[name]) for name in self._train}
        return self._pairs(lambda source, target: targets[target].similarity(found[source]))

    def _pairs(self, scored: Callable[[str, str], float]) -> dict[str, dict[str, float]]:
        return {
            target: {source: scored(source, target) for source in self._train if source != target}
            for target in self._train
        }

    def _embedder(self, model: TrainableModel, form: str) -> TaskEmbedder:
        plan = self._plan
        return TaskEmbedder(
            model, form, seed=plan.seed, tuning=plan.tuning, paper=plan.paper, work=self._folder / "work"
        )

    def _dataset_embedding(self, model: TrainableModel, form: str, dataset: Dataset) -> TaskEmbedding:
        embedder = self._embedder(model, form)
        return self._kept(
            embedder, "dataset", dataset.name, dataset.kind, dataset.digest, lambda: embedder.embed_dataset(dataset)
        )

    def _model_embedding(self, model: TrainableModel, form: str, name: str, source: Path) -> TaskEmbedding:
        tuned = FineTuned.load(source)
        predictor = FineTunedPredictor(model, tuned)
        pool = self._pool.paired(self._plan.seed) if tuned.pairs and self._pool.text_pairs is None else self._pool
        embedder = self._embedder(self._surrogate, form)
        data = f"{predictor.fingerprint} {pool.digest}"
        return self._kept(
            embedder, "model", predictor.name, tuned.kind, data, lambda: embedder.embed_model(predictor, pool)
        )

    def _kept(
        self, embedder: TaskEmbedder, of: Of, name: str, kind: str, data: str, embed: Callable[[], TaskEmbedding]
    ) -> TaskEmbedding:
        """A task embedding, computed once."""
        self._on_piece(f"{embedder.form.name} of {name} on {embedder.surrogate.name}")
        key = digest_of(embedder.space, data, asdict(embedder.tuning_of(of, kind)), embedder.seed)
        path = self._folder / "task-embeddings" / embedder.form.name / f"{of}-{_file(name)}-{key}{ENDING}"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            embed().save(path)
        return TaskEmbedding.load(path)

    def _digests(self, name: str) -> list[str]:
        """Of a dataset's examples as a source, as a target, and to be scored on."""
        return [part[name].digest for part in (self._train, self._short, self._test)]

    def _text_embedding(self, model: TrainableModel, dataset: Dataset) -> list[float]:
        self._on_piece(f"texts of {dataset.name} on {model.name}")
        length = self._plan.source_tuning.max_length
        name = f"{_file(model.name, dataset.name)}-{digest_of(model.space, dataset.digest, length)}.json"
        found: list[float] = _once(
            self._folder / "text-embeddings" / name, lambda: text_embedding(model, dataset, length).tolist()
        )
        return found


def _once(path: Path, compute: Callable[[], Any]) -> Any:
    """A value as JSON, computed once."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(compute()).encode())
    return json.loads(path.read_text(encoding="utf-8"))


def _file(*names: str) -> str:
    """A file name of names."""
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in name) for name in names)


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    one, other = np.asarray(first), np.asarray(second)
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
