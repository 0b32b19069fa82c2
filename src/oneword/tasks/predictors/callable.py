"""Any Python callable as a predictor."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from oneword.digest import file_sha256
from oneword.errors import InputError
from oneword.tasks.predictors.foreign import error_line, named_errors
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs


class CallablePredictor:
    """A function that answers for a list of texts, or for a list of texts and one of their second texts.

    Args:
        function: called with the texts alone, or with texts and second texts; it answers as
            :class:`~oneword.tasks.Predictor` says.
        name: what files and messages call it; None takes the function's own.
        classes: the names of its classes.
        takes_pairs: True where it needs second texts, False where it takes none; None asks its signature, and where
            that allows both, both are taken.
        fingerprint: identifies what answers. Nobody can tell from a function what its answers depend on, so without
            one they are not kept, and a stopped run asks it again.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        classes: Sequence[str] | None = None,
        takes_pairs: bool | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self._function = function
        self.name = name or getattr(function, "__name__", None) or type(function).__name__
        self.classes = tuple(classes) if classes is not None else None
        self.takes_pairs = _takes_pairs(function) if takes_pairs is None else takes_pairs
        self.fingerprint = fingerprint

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Any:
        """What the function answers.

        Raises:
            InputError: pairs for a function of single texts, or the other way round.
            ModelError: the function raised; its type and message are named.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        given = [list(texts)] if text_pairs is None else [list(texts), list(text_pairs)]
        with named_errors(self.name):
            return self._function(*given)


def python_predictor(
    function: str,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    takes_pairs: bool | None = None,
    fingerprint: str | None = None,
) -> CallablePredictor:
    """The predictor that is named in Python code, which is run to get at it.

    Args:
        function: ``module:name`` of a module that Python can import, or ``path/to/file.py:name``; what has that name is
            a function, or an object with a ``predict``.
        name: what files and messages call it; None takes its own.
        classes: the names of its classes; None takes the object's own.
        takes_pairs: as for :class:`CallablePredictor`; None takes the object's own.
        fingerprint: identifies what answers; None takes the object's own, or the digest of its file. Other files that
            its answers depend on are not seen.

    Raises:
        InputError: there is no such module, file or name, it cannot be loaded, or it is no function.
    """
    place, _, attribute = function.rpartition(":")
    if not place or not attribute:
        raise InputError(f"'{function}' names no function; write module:function, or path/to/file.py:function")
    module = _loaded(place)
    found = getattr(module, attribute, None)
    if found is None:
        raise InputError(f"{place} has no '{attribute}'; name a function of it, or an object with a predict")
    called = found.predict if hasattr(found, "predict") else found
    if isinstance(found, type) or not callable(called):
        raise InputError(f"{function} is {type(found).__name__}, neither a function nor an object with a predict")
    file = getattr(module, "__file__", None)
    if fingerprint is None:
        fingerprint = getattr(found, "fingerprint", None)
    if fingerprint is None and file is not None and Path(file).is_file():
        fingerprint = make_fingerprint("python", file_sha256(Path(file)), attribute)
    return CallablePredictor(
        called,
        name or getattr(found, "name", None) or attribute,
        classes if classes is not None else getattr(found, "classes", None),
        takes_pairs if takes_pairs is not None else getattr(found, "takes_pairs", None),
        fingerprint,
    )


def _loaded(place: str) -> ModuleType:
    """The module of that name, or in that file."""
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        name = f"oneword_predictor_{Path(place).stem}"
        spec = importlib.util.spec_from_file_location(name, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses look for it
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code raises what it likes
        hint = "" if place.endswith(".py") else "; a file is named as path/to/file.py:function"
        raise InputError(f"{place} cannot be loaded: {type(error).__name__}: {error_line(error)}{hint}") from error
    return module


def _takes_pairs(function: Callable[..., Any]) -> bool | None:
    """What the signature says: None where it allows one list and two, or cannot be had."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    one, two = (_binds(signature, count) for count in (1, 2))
    return two if one != two else None


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[[]] * count)
    except TypeError:
        return False
    return True
