"""Methods and prompts by name: the published ones from ``presets/``, a user's own from a TOML file.

Both have one form. A file holds ``[prompts.NAME]`` tables and ``[methods.NAME]`` tables; a method names its prompts,
which stand in the same file or among the presets. Unknown keys and malformed prompts are errors that name file and key.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from oneword.calibration.recipe import Calibration
from oneword.demonstrations import Demonstration, as_demonstrations, first_demonstrations
from oneword.errors import MethodError, nearest_names
from oneword.method import METHOD_FILE, Method, Published
from oneword.prompt import Prompt
from oneword.steering import Steering

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A file may name prompts of those before it
PRESET_FILES = (
    "one_prompt.toml",
    "metaeol.toml",
    "contrastive.toml",
    "baselines.toml",
    "paraphrases.toml",
    "sentiment.toml",
    "task_specific.toml",
    "calibrated.toml",
    "oneword.toml",
)
PROMPT_KEYS = ("wording", "source", "meta_task", "slots")
METHOD_KEYS = (
    "prompts",
    "layer",
    "pooling",
    "combine",
    "weights",
    "steering",
    "demonstrations",
    "published",
    "calibration",
    "cleaning",
    "summary",
    "source",
)
STEERING_KEYS = tuple(Steering.__dataclass_fields__)
PUBLISHED_KEYS = tuple(Published.__dataclass_fields__)
CALIBRATION_KEYS = tuple(Calibration.__dataclass_fields__)


@dataclass(frozen=True)
class Presets:
    """The prompts and methods of one or more files, by name."""

    prompts: Mapping[str, Prompt]
    methods: Mapping[str, Method]


@cache
def presets() -> Presets:
    """The published prompts and methods, in the order of their files."""
    found = Presets({}, {})
    for name in PRESET_FILES:
        toml = (files("oneword") / "presets" / name).read_text(encoding="utf-8")
        loaded = parse_presets(toml, f"presets/{name}", found.prompts)
        found = Presets({**found.prompts, **loaded.prompts}, {**found.methods, **loaded.methods})
    return found


def find_method(method: str | Path | Method) -> Method:
    """The method of that name, in that TOML file (``file.toml``, or ``file.toml:NAME`` of several), or in that folder.

    Raises:
        MethodError: no such method or file, or a file that is not well formed.
    """
    if isinstance(method, Method):
        return method
    method = str(method)
    path, _, chosen = method.partition(".toml:")
    if chosen or method.endswith(".toml"):
        return _method_of_file(Path(path + ".toml" if chosen else method), chosen)
    if method in presets().methods:
        return presets().methods[method]
    if (Path(method) / METHOD_FILE).is_file():
        return _method_of_file(Path(method) / METHOD_FILE, "")
    if Path(method).is_dir():
        raise MethodError(f"the folder {method} holds no method: there is no {METHOD_FILE} in it")
    raise MethodError(
        f"unknown method '{method}' ({nearest_names(method, presets().methods)}; "
        "`oneword methods` lists them, and a file.toml of your own is taken too)"
    )


def find_prompt(name: str) -> Prompt:
    """The published prompt of that name.

    Raises:
        MethodError: no such prompt.
    """
    try:
        return presets().prompts[name]
    except KeyError:
        raise MethodError(f"unknown prompt '{name}' ({nearest_names(name, presets().prompts)})") from None


def parse_presets(toml: str, file: str, known_prompts: Mapping[str, Prompt]) -> Presets:
    """Read the TOML of one file; methods may name prompts of the file itself or of ``known_prompts``.

    Raises:
        MethodError: not TOML, an unknown key, a prompt without its slots, a method with an unknown prompt.
    """
    try:
        data = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise MethodError(f"{file} is not valid TOML: {error}") from None
    _check_keys(data, ("prompts", "methods"), file, "the top level")
    prompts = {}
    for name, table in _tables(data, "prompts", file):
        _check_keys(table, PROMPT_KEYS, file, f"[prompts.{name}]")
        _require(table, "wording", file, f"[prompts.{name}]")
        prompts[name] = _built(Prompt, file, f"[prompts.{name}]", name=name, **table)
    methods = {}
    for name, table in _tables(data, "methods", file):
        methods[name] = _parse_method(name, table, file, {**known_prompts, **prompts})
    return Presets(prompts, methods)


def _parse_method(name: str, table: dict[str, Any], file: str, available: Mapping[str, Prompt]) -> Method:
    where = f"[methods.{name}]"
    _check_keys(table, METHOD_KEYS, file, where)
    _require(table, "prompts", file, where)
    wanted = table["prompts"]
    if not isinstance(wanted, list) or not all(isinstance(prompt, str) for prompt in wanted):
        raise MethodError(f'{file}, {where}: prompts must be a list of names, as in prompts = ["prompteol"]')
    fields = {**table, "prompts": [_named_prompt(prompt, available, file, where, "prompts") for prompt in wanted]}
    if "steering" in table:
        fields["steering"] = _parse_steering(table["steering"], file, f"[methods.{name}.steering]", available)
    if "demonstrations" in table:
        fields["demonstrations"] = _parse_demonstrations(table["demonstrations"], file, where)
    if "published" in table:
        fields["published"] = _parse_published(table["published"], file, f"[methods.{name}.published]")
    if isinstance(table.get("calibration"), dict):
        fields["calibration"] = _parse_calibration(table["calibration"], file, f"[methods.{name}.calibration]")
    method: Method = _built(Method, file, where, name=name, **fields)
    return method


def _parse_steering(table: Any, file: str, where: str, available: Mapping[str, Prompt]) -> Steering:
    if not isinstance(table, dict):
        raise MethodError(f"{file}: steering must be a table, {where}")
    _check_keys(table, STEERING_KEYS, file, where)
    fields = dict(table)
    if "auxiliary_prompt" in fields:
        fields["auxiliary_prompt"] = _named_prompt(
            fields["auxiliary_prompt"], available, file, where, "auxiliary_prompt"
        )
    steering: Steering = _built(Steering, file, where, **fields)
    return steering


def _parse_published(table: Any, file: str, where: str) -> Published:
    if not isinstance(table, dict):
        raise MethodError(f"{file}: published must be a table, {where}")
    _check_keys(table, PUBLISHED_KEYS, file, where)
    for key in PUBLISHED_KEYS:
        _require(table, key, file, where)
    published: Published = _built(Published, file, where, **table)
    return published


def _parse_calibration(table: dict[str, Any], file: str, where: str) -> Calibration:
    _check_keys(table, CALIBRATION_KEYS, file, where)
    _require(table, "steps", file, where)
    fields = dict(table)
    if "statistics" in fields:  # beside the file
        fields["statistics"] = Path(file).parent / str(fields["statistics"])
    calibration: Calibration = _built(Calibration, file, where, **fields)
    return calibration


def _parse_demonstrations(value: Any, file: str, where: str) -> tuple[Demonstration, ...]:
    """A number of the shipped ones, or ``{sentence, word}`` tables."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return first_demonstrations(value)
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            for one in value:
                _check_keys(one, ("sentence", "word"), file, where)
            return as_demonstrations([(one.get("sentence"), one.get("word")) for one in value])
    except MethodError as error:
        raise MethodError(str(error) if str(error).startswith(file) else f"{file}, {where}: {error}") from None
    raise MethodError(
        f"{file}, {where}: demonstrations must be a number of the shipped ones, or a list of tables, as in "
        'demonstrations = [{sentence = "The goalkeeper held it.", word = "Football"}]'
    )


def _named_prompt(name: Any, available: Mapping[str, Prompt], file: str, where: str, key: str) -> Prompt:
    try:
        return available[name]
    except (KeyError, TypeError):
        raise MethodError(
            f"{file}, {where}: {key} names '{name}', which is no [prompts.{name}] of this file and no published prompt "
            f"({nearest_names(str(name), available)})"
        ) from None


def _method_of_file(path: Path, chosen: str) -> Method:
    try:
        toml = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise MethodError(f"the method file {path} cannot be read: {reason}") from None
    methods = parse_presets(toml, str(path), presets().prompts).methods
    if not methods:
        raise MethodError(f"{path} defines no method; add a [methods.NAME] table with its prompts")
    if not chosen and len(methods) == 1:
        return next(iter(methods.values()))
    if chosen not in methods:
        which = f"no method '{chosen}'" if chosen else f"{len(methods)} methods"
        raise MethodError(f"{path} holds {which}; choose with {path}:NAME ({nearest_names(chosen, methods)})")
    return methods[chosen]


def _tables(data: dict[str, Any], key: str, file: str) -> list[tuple[str, dict[str, Any]]]:
    section = data.get(key, {})
    if not isinstance(section, dict) or not all(isinstance(table, dict) for table in section.values()):
        raise MethodError(f"{file}: {key} must be tables, one for each name, as in [{key}.my_name]")
    return list(section.items())


def _check_keys(table: dict[str, Any], known: tuple[str, ...], file: str, where: str) -> None:
    for key in table:
        if key not in known:
            raise MethodError(f"{file}, {where}: unknown key '{key}' ({nearest_names(key, known)})")


def _require(table: dict[str, Any], key: str, file: str, where: str) -> None:
    if key not in table:
        raise MethodError(f"{file}, {where}: the key '{key}' is missing")


def _built(kind: Any, file: str, where: str, **fields: Any) -> Any:
    try:
        return kind(**fields)
    except MethodError as error:
        raise MethodError(f"{file}, {where}: {error}") from None
