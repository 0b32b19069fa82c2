"""A chosen prompt with its model as the TOML file of a predictor, which other commands take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from oneword.errors import OutputError
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.selection.candidates import read_endpoint
from oneword.whole_file import write_whole

_USUAL = {"chat": None, "max_reasoning_tokens": 512, "dtype": "auto", "quantize": "none", "revision": None}


def check_predictor_file(path: Path, overwrite: bool) -> None:
    """Refuse a path that could not be written to, before any work is done.

    Raises:
        OutputError: another ending than .toml, no such folder, or a file that is there.
    """
    if path.suffix != ".toml":
        raise OutputError(f"{path}: a chosen prompt is written to a file that ends in .toml")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; give --force to replace it, or another name")


def write_predictor_file(path: Path, prompt: LabelPrompt, model: str | None, options: Mapping[str, Any]) -> None:
    """Write what :func:`oneword.tasks.predictors.find_predictor` reads.

    Args:
        path: the file.
        prompt: the prompt.
        model: as for :func:`~oneword.tasks.selection.candidates.prompt_candidates`.
        options: how the model is asked and loaded; what is as usual is left out, and so is what a file cannot say.

    Raises:
        OutputError: it cannot be written.
    """
    document = tomlkit.document()
    if prompt.name:
        document.add(tomlkit.comment(f"prompt {prompt.name}{f', {prompt.source}' if prompt.source else ''}"))
    for key, value in _fields(prompt, model, options).items():
        document.add(key, value)
    write_whole(path, tomlkit.dumps(document).encode())


def _fields(prompt: LabelPrompt, model: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": "label_words"}
    endpoint = read_endpoint(model)
    if endpoint is not None:
        fields = {"kind": "endpoint_words", "url": endpoint[0], **({"model": endpoint[1]} if endpoint[1] else {})}
    elif model is not None:
        # A folder is looked for beside the file, wherever that is read
        fields["model"] = str(Path(model).resolve()) if Path(model).exists() else model
    known = ("max_reasoning_tokens",) if endpoint is not None else tuple(_USUAL)
    fields.update({key: options[key] for key in known if options.get(key, _USUAL[key]) != _USUAL[key]})
    fields["prompt"] = prompt.wording
    if prompt.reason:
        fields["reason"] = True
    if not prompt.request:
        fields["request"] = False
    return {**fields, "label_words": {label: list(words) for label, words in prompt.label_words.items()}}
