"""The best steering and read-out layer for a method on a model, found on a development set."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.errors import ModelError
from oneword.evaluation.intervals import Interval, RowIntervals, bootstrap_rows, spearman
from oneword.evaluation.results import digest_of
from oneword.evaluation.sentence_pairs import SentencePairs
from oneword.method import Method
from oneword.steering import Steering
from oneword.whole_file import write_whole

if TYPE_CHECKING:
    from oneword.embedder import Embedder

Cosines = NDArray[np.float32]

# Contrastive Prompting, section 4: blocks of LLaMA2-7B, which has 32
_PAPER_BLOCKS, _PAPER_DEPTH = (3, 4, 5, 6, 7), 32
PAPER_SCALES = (0.5, 1.0, 2.0, 3.0, 4.0)
_CHUNK_BYTES = 512 << 20


def paper_blocks(depth: int) -> list[int]:
    """The blocks that the paper tries, for a model of ``depth`` blocks."""
    return sorted({max(1, round(block * depth / _PAPER_DEPTH)) for block in _PAPER_BLOCKS})


def make_grid(method: Method, blocks: Sequence[int], scales: Sequence[float] = PAPER_SCALES) -> list[Steering]:
    """Every block with every scale and with norm recovering.

    Auxiliary prompt and position are those of the method's own steering, where it has one.
    """
    own = method.steering or Steering()
    norms: list[dict[str, object]] = [*({"norm": "scale", "scale": scale} for scale in scales), {"norm": "recover"}]
    return [own.with_fields({"layer": block, **norm}) for block in blocks for norm in norms]


@dataclass(frozen=True)
class Setting:
    """One point of the grid.

    Args:
        steering: None for the method without steering.
        layer: that is read.
        score: Spearman on the development set, in percent.
    """

    steering: Steering | None
    layer: int
    score: float


@dataclass(frozen=True)
class Tuned:
    """What a grid gave.

    Args:
        before: the method without steering at its own layer.
        plain: the method without steering at its best layer.
        steered: the best with steering.
        settings: all of them, the best first.
        intervals: of ``before``, ``plain`` and ``steered``, each with its difference to ``before``.
        steering_gain: of ``steered`` less ``plain``.
    """

    before: Setting
    plain: Setting
    steered: Setting
    settings: Sequence[Setting]
    intervals: Sequence[RowIntervals]
    steering_gain: Interval

    @property
    def best(self) -> Setting:
        """The best of all, steered or not."""
        return self.settings[0]

    def applied_to(self, method: Method) -> Method:
        """The method as it was found to be best, under a name of its own."""
        return replace(
            method,
            name=f"{method.name}_tuned",
            steering=self.best.steering,
            layer=self.best.layer,
            published=None,
            summary=f"{method.summary or method.name}, tuned",
        )


def tune(
    embedder: Embedder,
    own_layer: int,
    pairs: SentencePairs,
    steerings: Sequence[Steering],
    chunks: Path,
    on_texts: Callable[[int], object] = lambda texts: None,
) -> Tuned:
    """Score every steering of a grid at every layer that sees it.

    Args:
        embedder: of the method without steering, reading all layers that are to be compared.
        own_layer: where the method is read without tuning, one of those.
        pairs: the development set.
        steerings: the grid.
        chunks: folder for what is finished, so that a run which was stopped goes on.
        on_texts: told how many more sentences are done.
    """
    cosines = _grid_cosines(embedder, pairs, steerings, chunks, on_texts)
    settings = []
    tried: list[Steering | None] = [None, *steerings]
    for number, steering in enumerate(tried):
        for place, layer in enumerate(embedder.layers):
            if steering is None or layer >= int(steering.layer):
                score = spearman(cosines[number, place], pairs.gold)
                if np.isfinite(score):
                    settings.append(Setting(steering, layer, score))
    settings.sort(key=lambda one: -one.score)
    before = next((one for one in settings if one.steering is None and one.layer == own_layer), None)
    steered = next((one for one in settings if one.steering is not None), None)
    if before is None or steered is None:
        raise ModelError(
            f"{embedder.model} gives the same vector for every text of {pairs.task} at layer {own_layer}, or with "
            "every steering; nothing can be tuned"
        )
    plain = next(one for one in settings if one.steering is None)
    chosen = [cosines[tried.index(one.steering), embedder.layers.index(one.layer)] for one in (before, plain, steered)]
    items = [[{"cosine": row.tolist(), "gold": pairs.gold}] for row in chosen]
    gain = bootstrap_rows(items[1:])[1].difference
    assert gain is not None, "the second row has a difference to the first"
    return Tuned(before, plain, steered, settings, bootstrap_rows(items), gain)


def grid_digest(embedder: Embedder, pairs: SentencePairs, steerings: Sequence[Steering]) -> str:
    """What must be the same for finished chunks to be gone on with."""
    grid = [asdict(steering) for steering in steerings]
    return digest_of(embedder.fingerprint, pairs.first, pairs.second, pairs.gold, grid)


def _grid_cosines(
    embedder: Embedder,
    pairs: SentencePairs,
    steerings: Sequence[Steering],
    chunks: Path,
    on_texts: Callable[[int], object],
) -> Cosines:
    """Cosines of all pairs, (1 + steerings, layers, pairs); chunk by chunk, since the vectors would fill the memory."""
    cosines = np.empty((1 + len(steerings), len(embedder.layers), len(pairs)), dtype=np.float32)
    size = _CHUNK_BYTES // (8 * cosines.shape[0] * len(embedder.layers) * embedder.dimension)
    for number, places in enumerate(_chunks(pairs, max(4, min(256, size)))):
        path = chunks / f"{number:05}.npy"
        kept = _load(path, (*cosines.shape[:2], len(places)))
        texts = list(dict.fromkeys(side[place] for place in places for side in (pairs.first, pairs.second)))
        if kept is None:
            vectors = embedder.compute_grid(texts, steerings)
            rows = {text: row for row, text in enumerate(texts)}
            first, second = (
                vectors[:, [rows[side[place]] for place in places]] for side in (pairs.first, pairs.second)
            )
            kept = torch.cosine_similarity(first, second, dim=-1).transpose(1, 2).numpy()
            if not np.isfinite(kept[0]).all():
                raise ModelError(
                    f"{embedder.model} gives vectors of {pairs.task} that are not finite; try dtype float32"
                )
            content = io.BytesIO()
            np.save(content, kept)
            chunks.mkdir(parents=True, exist_ok=True)
            write_whole(path, content.getvalue())
        cosines[:, :, places] = kept
        on_texts(len(texts))
    return cosines


def _chunks(pairs: SentencePairs, size: int) -> Iterator[list[int]]:
    """Pairs of like length together, so that batches are of rows of one length."""
    lengths = [len(first) + len(second) for first, second in zip(pairs.first, pairs.second)]
    order = sorted(range(len(pairs)), key=lengths.__getitem__, reverse=True)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _load(path: Path, shape: tuple[int, ...]) -> Cosines | None:
    try:
        found: Cosines = np.load(path)
    except (OSError, ValueError):
        return None
    return found if found.shape == shape else None
