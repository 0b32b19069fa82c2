"""oneword as an encoder of mteb, and an mteb task's score by it; needs the extra ``mteb``."""

from __future__ import annotations

import logging
import math
import re
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from oneword.errors import InputError, ModelError, OutputError
from oneword.evaluation.answer_store import AnswerStore, Array
from oneword.evaluation.results import Result, ResultFolder
from oneword.extras import check_extra
from oneword.precision import decoded
from oneword.prompt import SLOT
from oneword.text import check_texts

if TYPE_CHECKING:
    from oneword.embedder import Embedder
    from oneword.evaluation.mteb_tasks import MtebTask

OLDEST = (2, 26)
_LOGGERS = ("mteb", "datasets", "huggingface_hub", "sentence_transformers")
_LONGEST_PART = 60  # of a name; file systems end at 255 bytes
_LONGEST_REASON = 300


def check_mteb() -> None:
    """Refuse to begin without mteb, or with one that is too old.

    Raises:
        InputError: with the line that installs it.
    """
    check_extra("mteb", "mteb", "mteb's tasks")
    installed = version("mteb")
    if tuple(int(part) for part in re.findall(r"\d+", installed)[:2]) < OLDEST:
        raise InputError(
            f"mteb {installed} is too old, {'.'.join(map(str, OLDEST))} is needed; pip install 'oneword[mteb]'"
        )


@contextmanager
def quiet_mteb() -> Iterator[None]:
    """Within the block, mteb and what it loads draw no bars and keep their warnings to themselves."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        levels, bars = [logger.level for logger in loggers], not are_progress_bars_disabled()
        disable_progress_bars()
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
            if bars:
                enable_progress_bars()


class OnewordEncoder:
    """An embedder as mteb's ``EncoderProtocol``, as in ``mteb.evaluate(OnewordEncoder(Embedder()), tasks)``.

    Every text is asked alike, whether it is a query or a document. A text without any character but white space, as
    some tasks have, is given as ``.``, which is what SentEval does.

    Args:
        embedder: reads one layer.
        vectors: what computes the vectors of texts that all differ, None being the embedder.

    Raises:
        InputError: mteb is not installed, or the embedder reads several layers.
    """

    def __init__(self, embedder: Embedder, vectors: Callable[[list[str]], Array] | None = None) -> None:
        check_mteb()
        if isinstance(embedder.layer, list):
            raise InputError("mteb takes one vector a text, but the embedder reads several layers; give it one layer")
        self.embedder = embedder
        self._vectors = vectors
        self.texts = 0

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: Any = None,
        show_progress_bar: bool = False,
        **kwargs: Any,
    ) -> Array:
        """The vectors of the texts of all batches, in their order; equal texts are computed once.

        Args:
            inputs: batches with a ``text`` each; of a document with a title, mteb puts both there.
            task_metadata: not needed.
            hf_split: not needed.
            hf_subset: not needed.
            prompt_type: not needed.
            show_progress_bar: draw a bar with texts/s and the time left.
            kwargs: not needed; in place of mteb's ``batch_size``, batches are made to fit a token budget.

        Raises:
            InputError: what is not text.
        """
        texts = [_filled(text) for batch in inputs for text in batch["text"]]
        check_texts(texts)
        unique = list(dict.fromkeys(texts))
        self.texts += len(unique)
        if self._vectors is None:
            vectors = self.embedder.encode(unique, show_progress_bar=show_progress_bar)
            vectors = decoded(vectors, self.embedder.precision)
        else:
            vectors = self._vectors(unique)
        places = {text: place for place, text in enumerate(unique)}
        found: Array = np.asarray(vectors, dtype=np.float32)[[places[text] for text in texts]]
        return found

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of every vector with every other."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of each vector with its partner."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)

    @cached_property
    def mteb_model_meta(self) -> Any:
        """What mteb files the results under: the name holds model and fingerprint, the revision is that of the weights.

        What oneword does not know of a model is None there: its license and training data, whether its weights are
        open, and how many parameters it has, since blocks after the layer are not loaded.
        """
        from mteb.models import ModelMeta

        fingerprint = self.embedder.fingerprint.rsplit("/", 3)
        return ModelMeta(
            loader=None,
            name=f"oneword/{'__'.join(_cleaned(part) for part in (self.embedder.model, *fingerprint))}",
            revision=_cleaned(fingerprint[-1]),
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=self.embedder.window,
            embed_dim=self.embedder.dimension,
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch", "Transformers"],
            similarity_fn_name="cosine",
            use_instructions=any(prompt.wording != SLOT for prompt in self.embedder.method.prompts),
            training_datasets=None,
        )


def evaluate_mteb(
    embedder: Embedder,
    task: MtebTask,
    folder: ResultFolder,
    store: AnswerStore,
    command: str,
    progress: Callable[[int], Any] = lambda texts: tqdm(total=texts, disable=True),
) -> Result:
    """A task's result, by mteb itself; one that the folder holds is not run again.

    mteb's own files lie in ``<folder>/mteb``; what it finds there of the same data and version, it does not run again
    either.

    Args:
        embedder: reads one layer.
        task: from :func:`~oneword.evaluation.mteb_tasks.load_task`.
        folder: where results are kept.
        store: where vectors are kept.
        command: what was run.
        progress: makes a bar of that many texts, which is entered, and told of texts by its ``update``.

    Raises:
        InputError: data that mteb cannot score.
        ModelError: vectors that give no score.
    """
    name = f"mteb-{task.name}"  # STS12 is a task of `oneword eval sts` too
    kept = folder.find(embedder.fingerprint, name, task.data)
    if kept is not None:
        return kept

    def vectors(texts: list[str]) -> Array:
        with progress(len(texts)) as bar:
            return store.vectors(embedder, texts, bar.update)[:, 0]

    encoder = OnewordEncoder(embedder, vectors)
    started = time.monotonic()
    with quiet_mteb():
        scores = _run(encoder, task, folder)
    main = [entry["main_score"] for entry in scores.values()]
    if not main or not all(map(math.isfinite, main)):
        raise ModelError(
            f"{task.name}, {embedder.method.name} at layer {embedder.layer}: mteb finds no {task.metric}, as where all "
            "vectors are the same; try another layer or dtype"
        )
    result = Result(
        task=task.name,
        kind="mteb",
        metric=task.metric,
        score=100 * float(np.mean(main)),
        scores=_in_percent(scores),
        sizes={"texts": encoder.texts},
        data=task.data,
        model=embedder.model,
        method=embedder.method.name,
        layer=embedder.layers[0],
        fingerprint=embedder.fingerprint,
        seconds=round(time.monotonic() - started, 3),
        command=command,
    )
    folder.write_fields(embedder.fingerprint, name, asdict(result))
    return result


def _run(encoder: OnewordEncoder, task: MtebTask, folder: ResultFolder) -> dict[str, Mapping[str, Any]]:
    """What mteb measures, by split and subset."""
    import mteb

    try:
        cache = mteb.ResultCache(folder.root / "mteb")
    except OSError as error:
        raise OutputError(f"{folder.root / 'mteb'} cannot be made: {error.strerror}; name another --results") from None
    asked = task.fresh()
    try:
        results = mteb.evaluate(
            encoder,
            asked,
            cache=cache,
            overwrite_strategy="only-missing" if _is_current(cache, encoder, asked) else "always",
            co2_tracker=False,
            show_progress_bar=False,
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"mteb cannot score {task.name} on {task.place} ({one_line(error)}); see what its data lacks"
        ) from error
    return {
        f"{split}, {entry['hf_subset']}": entry
        for split in asked.eval_splits
        for entry in results.task_results[0].scores[split]
        if entry["hf_subset"] in asked.hf_subsets  # the file can hold more
    }


def _is_current(cache: Any, encoder: OnewordEncoder, task: Any) -> bool:
    """Whether what mteb has kept is of this data and this mteb; it would be content with the task's name."""
    try:
        kept = cache.load_task_result(task.metadata.name, encoder.mteb_model_meta)
    except (OSError, ValueError):  # it was being written when the machine stopped
        return False
    return kept is None or (kept.dataset_revision, kept.mteb_version) == (task.metadata.revision, version("mteb"))


def _in_percent(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """All numbers that mteb measured, named by split and subset where there are several."""
    return {
        metric if len(scores) == 1 else f"{metric} of {place}": 100 * float(value)
        for place, entry in scores.items()
        for metric, value in entry.items()
        if isinstance(value, (int, float)) and math.isfinite(value) and metric != "main_score"
    }


def one_line(error: BaseException) -> str:
    """What an error of someone else's says, and of a dataset that could not be made, why not."""
    if type(error).__name__.startswith("DatasetGeneration") and error.__cause__ is not None:
        return one_line(error.__cause__)
    reason = textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" …")
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _filled(text: Any) -> Any:
    return "." if isinstance(text, str) and not text.strip() else text


def _cleaned(part: str) -> str:
    return re.sub(r"[^\w.,+-]", "_", part, flags=re.ASCII).strip(".")[-_LONGEST_PART:]
