"""Predictors as users name them: ``classifier:FOLDER``, ``python:file.py:function``, a TOML file of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneword.errors import InputError, OnewordError, nearest_names
from oneword.models.catalog import ALIASES, CATALOG
from oneword.tasks.predictor import Predictor

if TYPE_CHECKING:
    from oneword.tasks.label_prompt import LabelPrompt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMS = (
    "classifier:FOLDER_OR_ID",
    "qa:FOLDER_OR_ID",
    "sklearn:FILE",
    "python:MODULE:FUNCTION",
    "endpoint:URL",
    "FILE.toml",
)


@dataclass(frozen=True)
class Permissions:
    """What a user says on the command line, and a file cannot say for them.

    Args:
        trust: load estimators that can run code.
        device: where models compute.
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let a model run code of its own.
        allow_pickle: load weights that are not safetensors.
    """

    trust: bool = False
    device: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False

    def for_weights(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a model, with these."""
        revision = {} if self.revision is None else {"revision": self.revision}
        return {
            **fields,
            **revision,
            "device": self.device,
            "trust_remote_code": self.trust_remote_code,
            "allow_pickle": self.allow_pickle,
        }


Build = Callable[[dict[str, Any], Permissions], Predictor]


@dataclass(frozen=True)
class Kind:
    """A kind of predictor: the fields of its TOML file, and how it is built of them.

    Args:
        build: from fields and permissions.
        required: fields with their types; ``list`` is a list of texts, ``dict`` a table of such lists.
        optional: likewise.
        paths: those that are files or may be, relative to the TOML file's folder.
    """

    build: Build
    required: dict[str, Any]
    optional: dict[str, Any]
    paths: tuple[str, ...] = ()


def find_predictor(
    spec: str,
    *,
    trust: bool = False,
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Predictor:
    """The predictor that a user names.

    A TOML file has a key ``kind`` and the fields of that kind's class, as in::

        kind = "label_words"
        model = "smollm2"
        prompt = "{text} Did the reviewer enjoy the movie?"
        [label_words]
        positive = ["yes", "Yes"]
        negative = ["no", "No"]

    Args:
        spec: one of :data:`FORMS`.
        trust: load estimators that can run code.
        device: where models compute.
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let a model run code of its own.
        allow_pickle: load weights that are not safetensors.

    Raises:
        InputError: a form that there is not, or a file with an unknown, missing or malformed key, which is named.
        OnewordError: what the predictor's class raises.
    """
    permissions = Permissions(trust, device, revision, trust_remote_code, allow_pickle)
    if spec.endswith(".toml"):
        return _of_file(Path(spec), permissions)
    kind, colon, rest = spec.partition(":")
    if not colon or not rest or kind not in _SPELLED:
        hint = "; one that needs a prompt or a dataset is described in a .toml file" if kind in KINDS else ""
        raise InputError(f"'{spec}' names no predictor; it can be one of: {', '.join(FORMS)}{hint}")
    return _built(kind, {_SPELLED[kind]: rest}, permissions)


def _built(kind: str, fields: dict[str, Any], permissions: Permissions) -> Predictor:
    if permissions.revision is not None and "revision" not in KINDS[kind].optional:
        raise InputError(f"a revision applies to models of the Hub; a predictor of the kind {kind} is none")
    return KINDS[kind].build(fields, permissions)


def _of_file(path: Path, permissions: Permissions) -> Predictor:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"the predictor file {path} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    name = data.pop("kind", None)
    if name is None:
        raise InputError(f"{path}: the key 'kind' is missing; it is one of: {', '.join(KINDS)}")
    if not isinstance(name, str) or name not in KINDS:
        raise InputError(f"{path}: kind {name!r} is not one of: {', '.join(KINDS)}")
    kind = KINDS[name]
    known = {**kind.required, **kind.optional}
    for key, value in data.items():
        if key not in known:
            raise InputError(f"{path}: unknown key '{key}' of the kind {name} ({nearest_names(key, known)})")
        _check_type(value, known[key], f"{path}: {key}")
    for key in kind.required:
        if key not in data:
            raise InputError(f"{path}: the key '{key}' is missing, which the kind {name} needs")
    fields = {"name": path.stem, **data}
    for key in kind.paths:
        if key in fields:
            fields[key] = _beside(fields[key], path.parent, key)
    try:
        return _built(name, fields, permissions)
    except OnewordError as error:
        raise type(error)(f"{path}: {error}") from error.__cause__


_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", list: "a list of texts"}


def _check_type(value: Any, wanted: Any, where: str) -> None:
    if wanted == "layer":
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise InputError(f"{where} must be a layer, not {value!r}")
    elif wanted is dict:
        if not isinstance(value, dict):
            raise InputError(f'{where} must be a table of lists of texts, as in [label_words] positive = ["yes"]')
        for key, one in value.items():
            _check_type(one, list, f"{where}.{key}")
    elif wanted is list:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise InputError(f"{where} must be {_WORDS[list]}, not {value!r}")
    elif (wanted is not bool and isinstance(value, bool)) or not isinstance(
        value, (int, float) if wanted is float else wanted
    ):
        raise InputError(f"{where} must be {_WORDS[wanted]}, not {value!r}")


def _beside(value: str, folder: Path, key: str) -> str:
    """A path relative to the file's folder; of what may be another thing than a path, only where it is one."""
    if key == "model" and (value.lower() in (*CATALOG, *ALIASES) or not (folder / value).exists()):
        return value
    if (key == "method" and ".toml" not in value) or (key == "function" and ".py:" not in value):
        return value
    return str(folder / value)


def _class(module: str, name: str) -> Any:
    return getattr(import_module(f"oneword.tasks.predictors.{module}"), name)


def _weights_of(module: str, name: str) -> Build:
    return lambda fields, permissions: _class(module, name)(**permissions.for_weights(fields))


def _label_prompt(fields: dict[str, Any]) -> LabelPrompt:
    """The prompt of a file, whose keys are taken out of its fields."""
    from oneword.tasks.label_prompt import LabelPrompt

    said = {key: fields.pop(key) for key in ("label_words", "reason", "request") if key in fields}
    return LabelPrompt(fields.pop("prompt"), **said)


def _label_words(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    prompt = _label_prompt(fields)  # what is wrong with it is told before any model is fetched
    fields = {"model": None, **permissions.for_weights(fields)}
    predictor: Predictor = _class("label_words", "LabelWordPredictor")(prompt=prompt, **fields)
    return predictor


def _endpoint(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    predictor: Predictor = _class("endpoint", "EndpointPredictor")(**fields)
    return predictor


def _endpoint_words(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    prompt = _label_prompt(fields)  # what is wrong with it is told before anything is asked
    fields = {"model": None, **fields}
    predictor: Predictor = _class("endpoint_words", "EndpointWordPredictor")(prompt=prompt, **fields)
    return predictor


def _sklearn(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    source = fields.pop("file")
    predictor: Predictor = _class("sklearn_file", "SklearnPredictor")(source, permissions.trust, **fields)
    return predictor


def _embedding(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    from oneword.tasks.dataset import Dataset

    columns = {key: fields.pop(key) for key in ("text", "label", "text_pair") if key in fields}
    dataset = Dataset.from_file(fields.pop("train"), kind=fields.pop("train_kind", None), **columns)
    predictor: Predictor = _class("embedding", "EmbeddingPredictor")(dataset, **permissions.for_weights(fields))
    return predictor


def _python(fields: dict[str, Any], permissions: Permissions) -> Predictor:
    from oneword.tasks.predictors.callable import python_predictor

    return python_predictor(**fields)


_NAMED = {"name": str}
_WEIGHTS = {**_NAMED, "revision": str, "dtype": str}
_LLM = {**_WEIGHTS, "model": str, "quantize": str}
_BATCHED = {"batch_size": int, "max_length": int}

KINDS: dict[str, Kind] = {
    "classifier": Kind(
        _weights_of("classifier", "TransformersClassifier"),
        {"model": str},
        {**_WEIGHTS, **_BATCHED, "takes_pairs": bool},
        paths=("model",),
    ),
    "qa": Kind(
        _weights_of("question_answering", "TransformersQA"),
        {"model": str},
        {**_WEIGHTS, **_BATCHED, "max_answer_tokens": int},
        paths=("model",),
    ),
    "label_words": Kind(
        _label_words,
        {"prompt": str, "label_words": dict},
        {**_LLM, "reason": bool, "request": bool, "chat": bool, "max_reasoning_tokens": int},
        ("model",),
    ),
    "generator": Kind(
        _weights_of("generator", "GeneratingPredictor"),
        {"prompt": str},
        {**_LLM, "classes": list, "max_new_tokens": int, "batch_size": int},
        paths=("model",),
    ),
    "embedding": Kind(
        _embedding,
        {"train": str},
        {
            **_LLM,
            "text": str,
            "label": str,
            "text_pair": str,
            "train_kind": str,
            "method": str,
            "layer": "layer",
            "strength": float,
        },
        paths=("train", "model", "method"),
    ),
    "endpoint": Kind(
        _endpoint,
        {"url": str},
        {
            **_NAMED,
            "model": str,
            "prompt": str,
            "classes": list,
            "timeout": float,
            "retries": int,
            "workers": int,
            "temperature": float,
            "seed": int,
            "max_new_tokens": int,
        },
    ),
    "endpoint_words": Kind(
        _endpoint_words,
        {"url": str, "prompt": str, "label_words": dict},
        {
            **_NAMED,
            "model": str,
            "reason": bool,
            "request": bool,
            "timeout": float,
            "retries": int,
            "workers": int,
            "max_reasoning_tokens": int,
        },
    ),
    "sklearn": Kind(_sklearn, {"file": str}, {**_NAMED, "takes_pairs": bool}, paths=("file",)),
    "python": Kind(
        _python,
        {"function": str},
        {**_NAMED, "classes": list, "takes_pairs": bool, "fingerprint": str},
        paths=("function",),
    ),
}

# Which field the one thing is that stands behind the kind and a colon
_SPELLED = {"classifier": "model", "qa": "model", "sklearn": "file", "python": "function", "endpoint": "url"}
