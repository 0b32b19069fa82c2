"""Adapters that make predictors of what people have: classifiers, LLMs with a prompt, estimators, functions, endpoints.

They are loaded when they are first named, so that nothing but what is used needs its library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.tasks.predictors.callable import CallablePredictor
    from oneword.tasks.predictors.classifier import TransformersClassifier
    from oneword.tasks.predictors.embedding import EmbeddingPredictor
    from oneword.tasks.predictors.endpoint import EndpointPredictor
    from oneword.tasks.predictors.endpoint_words import EndpointWordPredictor
    from oneword.tasks.predictors.generator import GeneratingPredictor
    from oneword.tasks.predictors.label_words import LabelWordPredictor
    from oneword.tasks.predictors.question_answering import TransformersQA
    from oneword.tasks.predictors.sklearn_file import SklearnPredictor
    from oneword.tasks.predictors.spec import find_predictor

__all__ = [
    "CallablePredictor",
    "EmbeddingPredictor",
    "EndpointPredictor",
    "EndpointWordPredictor",
    "GeneratingPredictor",
    "LabelWordPredictor",
    "SklearnPredictor",
    "TransformersClassifier",
    "TransformersQA",
    "find_predictor",
]

_MODULES = {
    "CallablePredictor": "callable",
    "EmbeddingPredictor": "embedding",
    "EndpointPredictor": "endpoint",
    "EndpointWordPredictor": "endpoint_words",
    "GeneratingPredictor": "generator",
    "LabelWordPredictor": "label_words",
    "SklearnPredictor": "sklearn_file",
    "TransformersClassifier": "classifier",
    "TransformersQA": "question_answering",
    "find_predictor": "spec",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
