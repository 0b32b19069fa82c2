"""Vectors of single prompts, kept in a folder while an evaluation lasts: nothing is asked twice.

Methods share prompts, tasks share sentences, and runs are stopped: a prompt's answer to a text is computed once, and
found again by whatever asks for it. Pieces appear whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from oneword.errors import OutputError
from oneword.method import Combine, Method
from oneword.whole_file import write_whole

if TYPE_CHECKING:
    from oneword.embedder import Embedder

Array = NDArray[np.float32]

_PIECE_TEXTS = 512  # what a stopped run can lose
_PIECE_BYTES = 256 << 20
_KEY_BYTES = 16
_TEXTS, _VECTORS = "texts", "vectors"  # of a piece: the digests of its texts, and their vectors


class AnswerStore:
    """Answers by prompt, layer and text.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shelves: dict[str, _Shelf] = {}
        self.cut_texts = 0

    def vectors(
        self, embedder: Embedder, texts: Sequence[str], on_texts: Callable[[int], object] = lambda texts: None
    ) -> Array:
        """What :meth:`oneword.Embedder.compute` answers; what is kept is not computed again.

        Args:
            embedder: with any method and any number of layers.
            texts: texts that are not empty.
            on_texts: told how many more texts of the method are done.

        Returns:
            float32 array (n, layers, d), in the order of ``texts``.

        Raises:
            OutputError: answers cannot be kept.
        """
        from torch import from_numpy

        self._compute_missing(embedder, texts, on_texts)
        keys = [_key(text) for text in texts]
        vectors = np.empty((len(texts), len(embedder.layers), embedder.dimension), dtype=np.float32)
        for place, layer in enumerate(embedder.layers):
            shelves = [self._shelf(embedder, prompt, layer) for prompt in _prompts(embedder.method)]
            answers = (from_numpy(shelf.read(keys))[:, None] for shelf in shelves)
            vectors[:, place] = embedder.combination([layer])(answers)[:, 0].numpy()
        return vectors

    def answers(
        self, embedder: Embedder, texts: Sequence[str], on_texts: Callable[[int], object] = lambda texts: None
    ) -> Array:
        """Each counting prompt's own answers, before calibration and combination: float32 (prompts, n, layers, d)."""
        self._compute_missing(embedder, texts, on_texts)
        keys = [_key(text) for text in texts]
        return np.stack(
            [
                np.stack([self._shelf(embedder, prompt, layer).read(keys) for layer in embedder.layers], axis=1)
                for prompt in _prompts(embedder.method)
            ]
        )

    def claim(self, embedder: Embedder) -> None:
        """Count an embedder's vectors among what :meth:`discard` removes, though none were asked for in this run."""
        for prompt in _prompts(embedder.method):
            for layer in embedder.layers:
                self._shelf(embedder, prompt, layer)

    def discard(self) -> None:
        """Remove what this store was asked for, and the folder once nothing else is in it."""
        for shelf in self._shelves.values():
            shutil.rmtree(shelf.folder, ignore_errors=True)
            for parent in shelf.folder.parents:
                if parent == self._folder.parent:
                    break
                try:
                    parent.rmdir()
                except OSError:  # something else is in it, or another run removed it
                    break
        self._shelves.clear()

    def _compute_missing(self, embedder: Embedder, texts: Sequence[str], on_texts: Callable[[int], object]) -> None:
        prompts = _prompts(embedder.method)
        shelves = {prompt: [self._shelf(embedder, prompt, layer) for layer in embedder.layers] for prompt in prompts}
        unique = sorted(dict.fromkeys(texts), key=len, reverse=True)
        lacks = {
            prompt: {t for t in unique if any(_key(t) not in shelf for shelf in shelves[prompt])} for prompt in prompts
        }
        missing = [text for text in unique if any(text in lacking for lacking in lacks.values())]
        on_texts(len(unique) - len(missing))
        asked = [prompt for prompt, lacking in lacks.items() if lacking]
        if not asked:
            return
        import torch

        # All of them in one method, so that an auxiliary prompt is asked once for all
        prompts_asked = [prompt for one in asked for prompt in one.prompts]
        together = replace(embedder.method, prompts=prompts_asked, combine="mean", weights=(), calibration=None)
        answerer = embedder.with_method(together, layer=embedder.layers)
        size = _PIECE_BYTES // (4 * len(embedder.layers) * answerer.width * len(asked))
        for piece in _pieces(missing, max(32, min(_PIECE_TEXTS, size))):
            sections = zip(*map(list, answerer.answers(piece, on_texts)))
            for prompt, answers in zip(asked, sections):
                vectors = torch.cat(answers).numpy()
                for place, shelf in enumerate(shelves[prompt]):
                    shelf.add([_key(text) for text in piece], vectors[:, place])
        self.cut_texts += answerer.cut_texts

    def _shelf(self, embedder: Embedder, prompt: Method, layer: int) -> _Shelf:
        name = embedder.fingerprint_of([layer], prompt)
        if name not in self._shelves:
            self._shelves[name] = _Shelf(self._folder / name)
        return self._shelves[name]


class _Shelf:
    """One prompt's answers at one layer, in pieces of safetensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[bytes, tuple[Path, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            try:
                with safe_open(path, "numpy") as piece:
                    digests = piece.get_tensor(_TEXTS)
            except (OSError, SafetensorError):  # a crash of the machine broke it
                continue
            self._places.update({digest.tobytes(): (path, row) for row, digest in enumerate(digests)})

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def add(self, keys: Sequence[bytes], vectors: Array) -> None:
        digests = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), _KEY_BYTES)
        path = self.folder / f"{hashlib.sha256(digests.tobytes()).hexdigest()[:16]}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}; name another --results") from None
        write_whole(path, save({_TEXTS: digests, _VECTORS: np.ascontiguousarray(vectors)}))
        self._places.update({key: (path, row) for row, key in enumerate(keys)})

    def read(self, keys: Sequence[bytes]) -> Array:
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for place, key in enumerate(keys):
            path, row = self._places[key]
            wanted.setdefault(path, []).append((place, row))
        found: Array | None = None
        for path, rows in wanted.items():
            try:
                with safe_open(path, "numpy") as piece:
                    vectors = piece.get_tensor(_VECTORS)
            except (OSError, SafetensorError) as error:
                raise OutputError(
                    f"{path} cannot be read ({error}); another run with the same --results may have removed it: run "
                    "the same command again to go on"
                ) from None
            if found is None:
                found = np.empty((len(keys), vectors.shape[1]), dtype=np.float32)
            places, rows_here = zip(*rows)
            found[list(places)] = vectors[list(rows_here)]
        assert found is not None, "no texts"
        return found


def combine(answers: Iterable[Array], how: Combine, shares: Sequence[float] = ()) -> Array:
    """Prompts' vectors, each (n, ..., d), to one, as :func:`oneword.combination.combine_answers` does it."""
    from torch import from_numpy

    from oneword.combination import combine_answers

    combined: Array = combine_answers((from_numpy(answer) for answer in answers), how, shares).numpy()
    return combined


def _prompts(method: Method) -> list[Method]:
    """The prompts of a method that count, each as a method of its own; equal ones as often as they stand there."""
    alone = replace(method, name="prompt", combine="mean", weights=(), calibration=None)
    return [replace(alone, prompts=[prompt]) for prompt in method.counting]


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _pieces(texts: list[str], size: int) -> Iterable[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]
