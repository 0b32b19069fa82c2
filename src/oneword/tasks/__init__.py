"""Task embeddings: datasets and models in one space (FUTE, Findings of ACL 2024).

Each name is loaded when it is first asked for: the command line reads names from this package without numpy or torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.tasks.dataset import Dataset, Span
    from oneword.tasks.pool import Pool
    from oneword.tasks.predictor import Predictor
    from oneword.tasks.task_embedder import TaskEmbedder
    from oneword.tasks.task_embedding import TaskEmbedding

__all__ = ["Dataset", "Pool", "Predictor", "Span", "TaskEmbedder", "TaskEmbedding"]

_MODULES = {
    "Dataset": "dataset",
    "Pool": "pool",
    "Predictor": "predictor",
    "Span": "dataset",
    "TaskEmbedder": "task_embedder",
    "TaskEmbedding": "task_embedding",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
