"""Many task embeddings from files and folders, and their cosines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from oneword.errors import FingerprintError, InputError
from oneword.tasks.task_embedding import ENDING, TaskEmbedding

_MAPPED = 1 << 20  # bytes from which on a vector stays in its file
_BLOCK = 1 << 26  # bytes of all vectors that lie in memory as float64 at a time


def read_embeddings(paths: Iterable[str | Path]) -> list[TaskEmbedding]:
    """The task embeddings of files and folders, in the order given; those of a folder by path.

    Folders are searched with their folders; safetensors that hold no task embedding are passed over there. A file that
    is named twice is read once. Long vectors stay in their files, from where they are read as they are used.

    Raises:
        InputError: no such file, a folder without any, a file that is not whole, or a vector that cannot be compared.
        FingerprintError: two of different surrogates or forms; both files are named.
    """
    return list(read_shelf(paths).values())


def read_shelf(paths: Iterable[str | Path]) -> dict[Path, TaskEmbedding]:
    """The same, by the path of each file."""
    shelf: dict[Path, TaskEmbedding] = {}
    known: set[Path] = set()
    for given in map(Path, paths):
        found = False
        for path in _files(given):
            if path.resolve() in known or _put(shelf, path, named=path == given):
                known.add(path.resolve())
                found = True
        if not found:
            raise InputError(
                f"{given} and its folders hold no task embedding; `oneword tasks embed-dataset` and `embed-model` "
                f"write them ({ENDING})"
            )
    return shelf


def cosine_matrix(embeddings: Sequence[TaskEmbedding]) -> NDArray[np.float64]:
    """Cosines of all pairs, (n, n); 0 where a vector is zero. All must be of one space and length."""
    count, length = len(embeddings), len(embeddings[0].vector)
    products = np.zeros((count, count))
    block = max(1, _BLOCK // (8 * count))
    for start in range(0, length, block):
        piece = np.stack([one.vector[start : start + block] for one in embeddings]).astype(np.float64)
        products += piece @ piece.T
    norms = np.sqrt(np.diag(products))
    norms[norms == 0] = 1  # the products with a zero vector are zero
    cosines: NDArray[np.float64] = np.clip(products / np.outer(norms, norms), -1, 1)
    return cosines


def _files(given: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given
        return
    yield from sorted(path for path in given.rglob(f"*{ENDING}") if path.is_file())


def _put(shelf: dict[Path, TaskEmbedding], path: Path, named: bool) -> bool:
    """Whether the file holds a task embedding, which then is on the shelf."""
    embedding = _read(path, named)
    if embedding is None:
        return False
    if shelf:
        _check_comparable(*next(iter(shelf.items())), path, embedding)
    shelf[path] = embedding
    return True


def _read(path: Path, named: bool) -> TaskEmbedding | None:
    """The task embedding of a file; None where it holds none and was only found in a folder."""
    try:
        embedding = TaskEmbedding.load(path)
    except InputError:
        if named:
            raise
        try:
            with safe_open(path, "numpy"):
                return None
        except SafetensorError:  # a cut file would be missed without a word
            raise InputError(f"{path} is not a whole {ENDING[1:]} file; remove it, or write it again") from None
    if embedding.vector.ndim != 1 or not np.isfinite(embedding.vector).all():
        raise InputError(f"{path}: its vector is not a list of finite numbers; embed {embedding.name} again")
    return _left_in_file(path, embedding)


def _left_in_file(path: Path, embedding: TaskEmbedding) -> TaskEmbedding:
    """The same with its vector mapped into memory where it is long: form taskemb has one of 10 million numbers."""
    size = embedding.vector.nbytes
    if size < _MAPPED:
        return embedding
    with pa.memory_map(str(path)) as file:  # unlike numpy's, this keeps no file open, of which there are few
        content = file.read_buffer()
    vector = np.frombuffer(content, embedding.vector.dtype, offset=content.size - size)  # the file's only tensor
    return replace(embedding, vector=vector) if np.array_equal(vector, embedding.vector) else embedding


def _check_comparable(first_path: Path, first: TaskEmbedding, path: Path, embedding: TaskEmbedding) -> None:
    if first.space != embedding.space:
        raise FingerprintError(
            f"{first_path} is in the space {first.space}, but {path} in {embedding.space}: task embeddings of "
            "different surrogates or forms cannot be compared; embed both the same way"
        )
    if first.vector.shape != embedding.vector.shape:
        raise InputError(
            f"{first_path} has {len(first.vector):,} dimensions, but {path} {len(embedding.vector):,}; embed both again"
        )
