"""Methods as the TOML of a method file, and that file written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import String

from oneword.calibration.recipe import Calibration, Step
from oneword.errors import MethodError, OutputError
from oneword.method import Method
from oneword.prompt import Prompt
from oneword.whole_file import write_whole


def format_methods(methods: Sequence[Method]) -> str:
    """The TOML of methods and all their prompts, as :func:`oneword.registry.parse_presets` reads it."""
    prompts = [prompt for method in methods for prompt in _prompts_of(method)]
    document = tomlkit.document()
    document["methods"] = _section(methods)
    return format_prompts(prompts) + "\n" + tomlkit.dumps(document)


def format_prompts(prompts: Iterable[Prompt]) -> str:
    """The TOML of prompts alone."""
    document = tomlkit.document()
    document["prompts"] = _section(prompts)
    return tomlkit.dumps(document)


def check_method_file(path: Path, overwrite: bool) -> None:
    """Refuse a path that could not be written to, before any work is done.

    Raises:
        OutputError: another ending than .toml, no such folder, or a file that is there.
    """
    if path.suffix != ".toml":
        raise OutputError(f"{path} cannot be used as a method file: its name must end in .toml")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: permission denied")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; give another name, or --force to replace it")


def write_method_file(path: Path, methods: Sequence[Method], overwrite: bool = False, header: str = "") -> None:
    """Write methods into a file, which appears under its name when it is whole.

    Args:
        path: the file.
        methods: what it holds.
        overwrite: replace a file that is there.
        header: stands first, as comments.

    Raises:
        OutputError: see :func:`check_method_file`.
    """
    check_method_file(path, overwrite)
    comments = "".join(f"# {_commented(line)}".rstrip() + "\n" for line in header.splitlines())
    write_whole(path, f"{comments}\n{format_methods(methods)}".lstrip("\n").encode())


def _commented(line: str) -> str:
    """A line without what TOML has not in comments."""
    return "".join(character if character.isprintable() else " " for character in line)


def _section(items: Iterable[Method | Prompt]) -> Any:
    section = tomlkit.table(is_super_table=True)
    written: dict[str, Method | Prompt] = {}
    for item in items:
        if not item.name or written.setdefault(item.name, item) != item:
            raise MethodError(f"{item} needs a name of its own in a method file")
        section[item.name] = _table(_filled(item))
    return section


def _prompts_of(method: Method) -> list[Prompt]:
    auxiliary = [method.steering.auxiliary_prompt] if method.steering else []
    return [*method.prompts, *auxiliary]


def _plain(value: Any) -> Any:
    """A value as TOML has them: a prompt is named, of other things the fields that are not at their defaults stand."""
    if isinstance(value, Prompt):
        return value.name
    if isinstance(value, Step):
        return value.plain
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Calibration) and not isinstance(value.statistics, (Path, type(None))):
        raise MethodError("a .toml file cannot hold a calibration's statistics; write the method into a folder")
    if is_dataclass(value):
        return _filled(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(entry) for key, entry in value._asdict().items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _filled(item: Any) -> dict[str, Any]:
    """The fields of a method, prompt or steering, without its name, those at their defaults left out but the layer."""
    return {
        field.name: _plain(getattr(item, field.name))
        for field in fields(item)
        if field.name != "name" and (field.name == "layer" or getattr(item, field.name) != field.default)
    }


def _table(entries: dict[str, Any], inline: bool = False) -> Any:
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for key, value in entries.items():
        table[key] = _table(value) if isinstance(value, dict) else _item(value)
    return table


def _item(value: Any) -> Any:
    if isinstance(value, dict):
        return _table(value, inline=True)
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(_item(entry) for entry in value)
        return array.multiline(len(value) > 2)
    return _string(value) if isinstance(value, str) else value


def _string(text: str) -> String:
    """A string without escapes where TOML has a form for it: prompts are full of quotation marks."""
    if not text.isprintable() or '"' not in text:
        return tomlkit.string(text)
    if "'" not in text:
        return tomlkit.string(text, literal=True)
    if "'''" not in text:
        return tomlkit.string(text, literal=True, multiline=True)
    return tomlkit.string(text)
