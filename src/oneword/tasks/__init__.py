"""Task embeddings: datasets and models in one space (FUTE, Findings of ACL 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oneword.tasks.dataset import Dataset, Span
from oneword.tasks.pool import Pool
from oneword.tasks.predictor import Predictor
from oneword.tasks.task_embedding import TaskEmbedding

if TYPE_CHECKING:
    from oneword.tasks.task_embedder import TaskEmbedder

__all__ = ["Dataset", "Pool", "Predictor", "Span", "TaskEmbedder", "TaskEmbedding"]


def __getattr__(name: str) -> Any:
    if name == "TaskEmbedder":  # it loads torch
        from oneword.tasks.task_embedder import TaskEmbedder

        return TaskEmbedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
