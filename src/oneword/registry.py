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

from oneword.errors import MethodError, nearest_names
from oneword.method import Method
from oneword.prompt import Prompt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROMPT_KEYS = ("wording", "source", "meta_task")
METHOD_KEYS = ("prompts", "layer", "combine", "cleaning", "summary", "source")


@dataclass(frozen=True)
class Presets:
    """The prompts and methods of one or more files, by name."""

    prompts: Mapping[str, Prompt]
    methods: Mapping[str, Method]


@cache
def presets() -> Presets:
    """The published prompts and methods, in the order of their files."""
    found = Presets({}, {})
    folder = files("oneword") / "presets"
    for file in sorted(folder.iterdir(), key=lambda entry: (entry.name != "one_prompt.toml", entry.name)):
        if file.name.endswith(".toml"):
            loaded = parse_presets(file.read_text(encoding="utf-8"), f"presets/{file.name}", found.prompts)
            found = Presets({**found.prompts, **loaded.prompts}, {**found.methods, **loaded.methods})
    return found


def find_method(method: str | Path | Method) -> Method:
    """The method of that name, or the one in that TOML file (``file.toml``, or ``file.toml:NAME`` of several).

    Raises:
        MethodError: no such method or file, or a file that is not well formed.
    """
    if isinstance(method, Method):
        return method
    method = str(method)
    path, _, chosen = method.partition(".toml:")
    if chosen or method.endswith(".toml"):
        return _method_of_file(Path(path + ".toml" if chosen else method), chosen)
    try:
        return presets().methods[method]
    except KeyError:
        raise MethodError(
            f"unknown method '{method}' ({nearest_names(method, presets().methods)}; "
            "`oneword methods` lists them, and a file.toml of your own is taken too)"
        ) from None


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
        MethodError: not TOML, an unknown key, a prompt without exactly one slot, a method with an unknown prompt.
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
        where = f"[methods.{name}]"
        _check_keys(table, METHOD_KEYS, file, where)
        _require(table, "prompts", file, where)
        wanted = table.pop("prompts")
        if not isinstance(wanted, list) or not all(isinstance(prompt, str) for prompt in wanted):
            raise MethodError(f'{file}, {where}: prompts must be a list of names, as in prompts = ["prompteol"]')
        available = {**known_prompts, **prompts}
        for prompt in wanted:
            if prompt not in available:
                raise MethodError(
                    f"{file}, {where}: prompts names '{prompt}', which is no [prompts.{prompt}] of this file and no "
                    f"published prompt ({nearest_names(prompt, available)})"
                )
        methods[name] = _built(Method, file, where, name=name, prompts=[available[p] for p in wanted], **table)
    return Presets(prompts, methods)


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
