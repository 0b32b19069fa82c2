"""Transfer tasks by SentEval's protocol: logistic regression on frozen vectors; needs the extra ``eval``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oneword.errors import InputError, ModelError
from oneword.evaluation.answer_store import AnswerStore, Array
from oneword.evaluation.results import Result, ResultFolder, digest_of
from oneword.evaluation.transfer_data import DEV, TEST, TRAIN, WHOLE, TransferTask, check_folds
from oneword.extras import check_extra

if TYPE_CHECKING:
    from oneword.embedder import Embedder

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

SEED = 1111
NESTED_CS = tuple(2.0**power for power in range(-2, 4))  # also of SST2
TRAIN_CS = tuple(2.0**power for power in range(-1, 6))

# Hidden states have a few huge dimensions, on which lbfgs, scikit-learn's default, stops long before the optimum;
# Newton's method gets there in a few steps, but its matrix must not grow too large
_LARGEST_HESSIAN = 4200  # unknowns; 4,096 dimensions and two labels, 576 and six
_MOST_STEPS = 1000


@dataclass(frozen=True)
class TransferScore:
    """How well a classifier on a task's vectors does.

    Args:
        task: the task's name.
        accuracy: in percent; of tasks that are split by folds, the mean over these.
        development: accuracy by which C was chosen, in percent; of tasks that are split by folds, the mean over these.
        f1: of the label ``1``, in percent; only for pairs.
        correct: for each scored text, in the task's order, whether it is classified right.
        sizes: how many texts (or pairs) each split has.
        chosen: the C that was chosen, or that of each fold.
        fits: how many classifiers were trained.
        unconverged: how many of them did not reach their optimum.
    """

    task: str
    accuracy: float
    development: float
    f1: float | None
    correct: NDArray[np.bool_]
    sizes: Mapping[str, int]
    chosen: Sequence[float]
    fits: int
    unconverged: int


def check_sklearn() -> None:
    """Refuse to begin without scikit-learn.

    Raises:
        InputError: with the line that installs it.
    """
    check_extra("eval", "sklearn", "transfer tasks")


def score_task(
    task: TransferTask,
    vectors: Callable[[Sequence[str]], NDArray[np.float32]],
    folds: int = 10,
    n_jobs: int | None = None,
) -> TransferScore:
    """Score a task by SentEval's protocol.

    MR, CR, SUBJ and MPQA are split into folds, each classified by what was trained on the others; C is chosen by folds
    of these. TREC and MRPC choose C by folds of the training texts, SST2 by its development texts. Of equal Cs the
    smallest is taken; accuracies are compared to two decimals, as SentEval does.

    Args:
        task: texts and labels.
        vectors: gives the vectors (n, d) of texts; it is called once.
        folds: into how many parts texts are split.
        n_jobs: classifiers trained at a time; None is the number of cores.

    Raises:
        InputError: scikit-learn is missing, or the texts are too few for the folds.
        ModelError: a vector is not finite.
    """
    check_sklearn()
    check_folds(task, folds)
    if n_jobs is not None and n_jobs < 1:
        raise InputError(f"n_jobs is {n_jobs}; 1 is the least")
    trainer = _Trainer(_features(task, vectors), np.concatenate([part.labels for part in task.splits.values()]), n_jobs)
    if WHOLE in task.splits:
        return _score_whole(task, trainer, folds)
    return _score_test(task, trainer, folds)


def _score_whole(task: TransferTask, trainer: _Trainer, folds: int) -> TransferScore:
    """Folds to score, and in each of the rest folds to choose C by."""
    outer = _folds(trainer.labels, folds)
    jobs = []
    for train, test in outer:
        jobs.append((train, test))
        jobs += [(train[inner], train[held_out]) for inner, held_out in _folds(trainer.labels[train], folds)]
    tried = trainer.try_all(jobs, NESTED_CS)
    correct = np.zeros(len(trainer.labels), dtype=np.bool_)
    chosen, development, accuracies = [], [], []
    for (_, test), fold in zip(outer, (tried[start : start + folds + 1] for start in range(0, len(jobs), folds + 1))):
        best, accuracy = _choose(fold[1:])
        correct[test] = fold[0].correct[best]
        chosen.append(NESTED_CS[best])
        development.append(accuracy)
        accuracies.append(100 * correct[test].mean())
    return TransferScore(
        task=task.name,
        accuracy=float(np.mean(accuracies)),
        development=float(np.mean(development)),
        f1=None,
        correct=correct,
        sizes=_sizes(task),
        chosen=tuple(chosen),
        fits=len(jobs) * len(NESTED_CS),
        unconverged=sum(one.unconverged for one in tried),
    )


def _score_test(task: TransferTask, trainer: _Trainer, folds: int) -> TransferScore:
    """Train on one split and test on another; C by a third, or by folds of the first."""
    sizes = _sizes(task)
    rows = dict(zip(sizes, np.split(np.arange(len(trainer.labels)), np.cumsum([*sizes.values()])[:-1])))
    if DEV in rows:
        costs = NESTED_CS
        (both,) = trainer.try_all([(rows[TRAIN], np.concatenate([rows[DEV], rows[TEST]]))], costs)
        by_dev, by_test = np.split(both.correct, [sizes[DEV]], axis=1)
        final, choosing, tried = by_test, [_Tried(by_dev, 0)], [both]
    else:
        costs = TRAIN_CS
        inner = [(rows[TRAIN][part], rows[TRAIN][rest]) for part, rest in _folds(trainer.labels[rows[TRAIN]], folds)]
        tried = trainer.try_all([(rows[TRAIN], rows[TEST]), *inner], costs)
        final, choosing = tried[0].correct, tried[1:]
    best, development = _choose(choosing)
    return TransferScore(
        task=task.name,
        accuracy=100 * float(final[best].mean()),
        development=development,
        f1=_f1(trainer.labels[rows[TEST]] == "1", final[best]) if task.scored.second else None,
        correct=final[best],
        sizes=sizes,
        chosen=(costs[best],),
        fits=len(tried) * len(costs),
        unconverged=sum(one.unconverged for one in tried),
    )


def _sizes(task: TransferTask) -> dict[str, int]:
    return {split: len(part) for split, part in task.splits.items()}


def _features(task: TransferTask, vectors: Callable[[Sequence[str]], NDArray[np.float32]]) -> Floats:
    """What is classified: vectors, or of pairs the absolute difference and the product of theirs."""
    first = [text for part in task.splits.values() for text in part.texts]
    second = [text for part in task.splits.values() for text in part.second]
    found = np.asarray(vectors([*first, *second]), dtype=np.float64)
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        text = [*first, *second][int(np.flatnonzero(~finite)[0])]
        raise ModelError(f"{task.name}: the vector of '{text}' is not finite; try another layer or dtype")
    if not second:
        return found
    one, other = found[: len(first)], found[len(first) :]
    return np.hstack([np.abs(one - other), one * other])


def _folds(labels: NDArray[np.str_], folds: int) -> list[tuple[Rows, Rows]]:
    """SentEval's folds: rows to train on, rows held out."""
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(folds, shuffle=True, random_state=SEED).split(labels, labels))


@dataclass(frozen=True)
class _Tried:
    """What classifiers with some Cs say of held-out rows.

    Args:
        correct: (Cs, rows).
        unconverged: how many of the classifiers are not at their optimum.
    """

    correct: NDArray[np.bool_]
    unconverged: int


def _choose(tried: Sequence[_Tried]) -> tuple[int, float]:
    """Which C is best on the whole, and its mean accuracy in percent."""
    means = 100 * np.mean([one.correct.mean(axis=1) for one in tried], axis=0)
    best = int(np.argmax(np.round(means, 2)))
    return best, float(means[best])


def _f1(positive: NDArray[np.bool_], correct: NDArray[np.bool_]) -> float:
    hits = int((positive & correct).sum())
    return 100 * 2 * hits / max(1, 2 * hits + int((~correct).sum()))


class _Trainer:
    """Trains scikit-learn's logistic regression on rows of one set of features.

    Args:
        features: (n, d).
        labels: n of them.
        n_jobs: how many are trained at a time.
    """

    def __init__(self, features: Floats, labels: NDArray[np.str_], n_jobs: int | None) -> None:
        self.labels = labels
        self._features = features - features.mean(axis=0)  # the intercept takes up any shift
        kinds = len(np.unique(labels))
        unknowns = features.shape[1] * (kinds if kinds > 2 else 1)
        self._solver = "newton-cholesky" if unknowns <= _LARGEST_HESSIAN else "lbfgs"
        self._n_jobs = n_jobs or import_module("joblib").cpu_count()

    def try_all(self, jobs: Sequence[tuple[Rows, Rows]], costs: Sequence[float]) -> list[_Tried]:
        """For each pair of rows to train on and rows held out, all Cs."""
        workers = min(self._n_jobs, len(jobs))
        limit = import_module("threadpoolctl").threadpool_limits
        with limit(1 if workers > 1 else None, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those that stop early are counted
            pool = ThreadPoolExecutor(workers)
            try:
                return list(pool.map(lambda rows: self._try(rows[0], rows[1], costs), jobs))
            finally:
                pool.shutdown(cancel_futures=True)

    def _try(self, train: Rows, test: Rows, costs: Sequence[float]) -> _Tried:
        """All Cs, from small to large: each begins where the one before ended."""
        from sklearn.linear_model import LogisticRegression

        classifier = LogisticRegression(solver=self._solver, warm_start=True, max_iter=_MOST_STEPS)
        features, labels = self._features[train], self.labels[train]
        correct, unconverged = [], 0
        for cost in costs:
            classifier.set_params(C=cost).fit(features, labels)
            correct.append(classifier.predict(self._features[test]) == self.labels[test])
            unconverged += int(classifier.n_iter_.max() >= _MOST_STEPS)
        return _Tried(np.array(correct), unconverged)


def evaluate_transfer(
    embedder: Embedder,
    task: TransferTask,
    folds: int,
    folder: ResultFolder,
    store: AnswerStore,
    command: str,
    on_texts: Callable[[int], object] = lambda texts: None,
) -> list[Result]:
    """A task's result for each layer of an embedder; those that the folder holds are not computed again."""
    data = digest_of([[*part.texts, *part.second, *part.labels] for part in task.splits.values()], folds)
    kept = {layer: folder.find(embedder.fingerprint_of([layer]), task.name, data) for layer in embedder.layers}
    found = {layer: result for layer, result in kept.items() if result is not None}
    missing = [layer for layer in embedder.layers if layer not in found]
    if not missing:
        on_texts(len(set(task.texts)))
    if missing:
        asked = embedder if missing == list(embedder.layers) else embedder.with_method(embedder.method, layer=missing)
        texts = list(dict.fromkeys(task.texts))
        rows = {text: row for row, text in enumerate(texts)}
        vectors = store.vectors(asked, texts, on_texts)
    for place, layer in enumerate(missing):
        started = time.monotonic()
        score = score_task(task, partial(_looked_up, rows, vectors[:, place]), folds)
        found[layer] = _result(embedder, layer, score, data, time.monotonic() - started, command)
        folder.write(found[layer])
    return [found[layer] for layer in embedder.layers]


def _looked_up(rows: Mapping[str, int], vectors: Array, texts: Sequence[str]) -> Array:
    return vectors[[rows[text] for text in texts]]


def _result(embedder: Embedder, layer: int, score: TransferScore, data: str, seconds: float, command: str) -> Result:
    scores = {"accuracy": score.accuracy, "development accuracy": score.development}
    if score.f1 is not None:
        scores["f1"] = score.f1
    return Result(
        task=score.task,
        kind="transfer",
        metric="accuracy",
        score=score.accuracy,
        scores=scores,
        sizes={**score.sizes, "classifiers": score.fits, "classifiers not converged": score.unconverged},
        data=data,
        model=embedder.model,
        method=embedder.method.name,
        layer=layer,
        fingerprint=embedder.fingerprint_of([layer]),
        seconds=round(seconds, 3),
        command=command,
        items={"correct": [int(one) for one in score.correct]},
    )
