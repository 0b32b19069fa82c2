"""A task embedding: one vector for a dataset (DTE) or a model (MTE), with where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from oneword.errors import FingerprintError, InputError
from oneword.whole_file import write_whole

ENDING = ".safetensors"
_VECTOR, _FIELDS = "task_embedding", "oneword_task_embedding"


@dataclass(frozen=True)
class TaskEmbedding:
    """A vector in the space of one surrogate and one form.

    Args:
        vector: float32 (d,).
        name: of the dataset or the model.
        of: ``"dataset"`` or ``"model"``.
        space: what two vectors must share to be compared: surrogate, its weights, form and the form's choices.
        seed: of the tuning.
        task: kind of task, as in ``"classification"``; free.
        provenance: digests of the data, settings, sizes, versions, date.
    """

    vector: NDArray[np.float32]
    name: str
    of: Literal["dataset", "model"]
    space: str
    seed: int
    task: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def similarity(self, other: TaskEmbedding) -> float:
        """Cosine, from -1 to 1.

        Raises:
            FingerprintError: vectors of different surrogates or forms.
        """
        if self.space != other.space:
            raise FingerprintError(
                f"{self.name} is in the space {self.space}, but {other.name} in {other.space}: task embeddings of "
                "different surrogates or forms cannot be compared; embed both the same way"
            )
        first, second = self.vector.astype(np.float64), other.vector.astype(np.float64)
        norms = np.linalg.norm(first) * np.linalg.norm(second)
        return float(first @ second / norms) if norms else 0.0

    def save(self, path: str | Path) -> None:
        """Write it as safetensors; the file appears when it is whole.

        Raises:
            OutputError: it cannot be written.
        """
        fields = {key: value for key, value in asdict(self).items() if key != "vector"}
        content = save({_VECTOR: np.ascontiguousarray(self.vector)}, {_FIELDS: json.dumps(fields)})
        write_whole(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> TaskEmbedding:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: no such file, or one that holds no task embedding.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"no file {path}; `oneword tasks embed-dataset` and `embed-model` write task embeddings")
        try:
            with safe_open(path, "numpy") as file:
                fields = json.loads((file.metadata() or {})[_FIELDS])
                return cls(vector=file.get_tensor(_VECTOR), **fields)
        except (SafetensorError, KeyError, ValueError, TypeError):
            raise InputError(
                f"{path} holds no task embedding; `oneword tasks embed-dataset` and `embed-model` write them"
            ) from None
