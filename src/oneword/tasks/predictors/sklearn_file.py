"""A fitted scikit-learn estimator or pipeline that takes texts, from a file or as it is."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from oneword.digest import file_sha256
from oneword.errors import InputError
from oneword.extras import check_extra
from oneword.tasks.predictors.foreign import error_line, named_errors
from oneword.tasks.predictors.identity import make_fingerprint
from oneword.tasks.predictors.pairs import check_pairs

_PICKLES = (".joblib", ".pkl", ".pickle")
_SHOWN = 8


class SklearnPredictor:
    """A fitted estimator; it is given the texts as a list, and pairs as a list of tuples of two texts.

    Args:
        source: a ``.skops`` file; a ``.joblib`` or ``.pkl`` file, which can run code when it is loaded, so that
            ``trust`` is needed; or an estimator.
        trust: load what can run code, or objects of types that skops does not know to be harmless.
        name: what files and messages call it; None takes the file's, or the estimator's class.
        takes_pairs: True where it was fitted on pairs, False where on single texts; None gives it either.
        fingerprint: identifies what answers; None takes the digest of the file, or of the pickled estimator.

    Raises:
        InputError: no such file, one that is not what it should be, that needs trust or a library, or no estimator.
    """

    def __init__(
        self,
        source: str | Path | Any,
        trust: bool = False,
        *,
        name: str | None = None,
        takes_pairs: bool | None = None,
        fingerprint: str | None = None,
    ) -> None:
        check_extra("tasks", "sklearn", "scikit-learn predictors")
        self.fingerprint: str | None
        if isinstance(source, (str, Path)):
            path = Path(source)
            self._estimator = _loaded(path, trust)
            self.name = name or path.stem
            self.fingerprint = fingerprint or f"sklearn-{file_sha256(path)[:12]}"
        else:
            self._estimator = source
            self.name = name or type(source).__name__
            self.fingerprint = fingerprint or _object_fingerprint(source)
        if not hasattr(self._estimator, "predict"):
            raise InputError(
                f"{self.name} is {type(self._estimator).__name__}, which has no predict; give an estimator"
            )
        self.takes_pairs = takes_pairs
        self.classes = _classes(self._estimator, self.name)

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Any:
        """Probabilities (n, classes) where it has ``predict_proba``, else its classes' names, or numbers.

        Raises:
            InputError: pairs for an estimator of single texts, or the other way round.
            ModelError: the estimator raised, as one does that was not fitted.
        """
        check_pairs(self.name, self.takes_pairs, text_pairs)
        rows = list(texts) if text_pairs is None else list(zip(texts, text_pairs))
        with named_errors(self.name):
            if self.classes is not None and hasattr(self._estimator, "predict_proba"):
                return self._estimator.predict_proba(rows)
            answers = self._estimator.predict(rows)
            return answers if self.classes is None else [str(answer) for answer in answers]


def _classes(estimator: Any, name: str) -> tuple[str, ...] | None:
    try:
        classes = estimator.classes_
    except Exception:  # a pipeline passes on whatever its last step raises
        return None
    if isinstance(classes, list) or np.ndim(classes) != 1:
        raise InputError(f"{name} answers several questions of a text at once; give an estimator of one")
    return tuple(str(label) for label in classes)


def _loaded(path: Path, trust: bool) -> Any:
    if not path.is_file():
        raise InputError(f"no file {path} to load a scikit-learn estimator from")
    ending = path.suffix.lower()
    if ending == ".skops":
        return _from_skops(path, trust)
    if ending not in _PICKLES:
        raise InputError(f"{path} ends in none of: .skops, {', '.join(_PICKLES)}; save the estimator as one of them")
    if not trust:
        raise InputError(
            f"{path} can run code when it is loaded; if you trust where it is from add --trust (trust=True), or have "
            "it saved as .skops"
        )
    try:
        return import_module("joblib").load(path)
    except Exception as error:  # a pickle raises what it likes
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error_line(error)}") from error


def _from_skops(path: Path, trust: bool) -> Any:
    check_extra("tasks", "skops", "estimators in .skops files")
    skops = import_module("skops.io")
    try:
        untrusted = skops.get_untrusted_types(file=path)
        if not untrusted or trust:
            return skops.load(path, trusted=untrusted)
    except Exception as error:  # whatever a broken zip file or an unknown version leads to
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error_line(error)}") from error
    shown = ", ".join(untrusted[:_SHOWN]) + (", …" if len(untrusted) > _SHOWN else "")
    raise InputError(
        f"{path} holds objects of types that skops does not know to be harmless: {shown}; if you trust them add "
        "--trust (trust=True)"
    )


def _object_fingerprint(estimator: Any) -> str | None:
    try:
        return make_fingerprint("sklearn", import_module("joblib").hash(estimator))
    except Exception:  # what cannot be pickled has no digest
        return None
