"""What a run found, kept as ``<results>/<fingerprint>/<task>.json``: to go on from, and to look at later."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from oneword import __version__
from oneword.errors import InputError, OutputError
from oneword.whole_file import write_whole

# Names to import, and names of packages
_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "mteb": "mteb",
    "peft": "peft",
}
_LONGEST_NAME = 120  # file systems end at 255 bytes


def versions() -> dict[str, str]:
    """What scores can depend on: oneword, Python and the libraries that are installed."""
    found = {"oneword": __version__, "python": platform.python_version()}
    return found | {package: version(package) for module, package in _PACKAGES.items() if find_spec(module)}


def digest_of(*parts: Any) -> str:
    """Twelve hex digits of the data that was scored, or of whatever else must be the same to go on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def now() -> str:
    """The time of day, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Result:
    """The score of one method at one layer on one task.

    Args:
        task: the task's name.
        kind: the evaluation it belongs to: ``"sts"``, ``"transfer"`` or ``"mteb"``.
        metric: what ``score`` is, as in ``"spearman"``.
        score: in percent.
        scores: all that was measured, in percent.
        sizes: how many pairs, texts, training examples ...
        data: digest of what was scored and of the protocol's settings.
        model: what the model is called.
        method: name of the method.
        layer: index from 0.
        fingerprint: of the vectors.
        seconds: from the first text to the score; of a run that went on, since it went on.
        command: what was run.
        items: what intervals are resampled from: ``cosine`` and ``gold`` of each pair, or ``correct`` of each text.
        versions: of the libraries.
        date: when it was written, UTC.
    """

    task: str
    kind: str
    metric: str
    score: float
    scores: Mapping[str, float]
    sizes: Mapping[str, int]
    data: str
    model: str
    method: str
    layer: int
    fingerprint: str
    seconds: float
    command: str
    items: Mapping[str, Sequence[float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    date: str = field(default_factory=now)


class ResultFolder:
    """A folder of results.

    Args:
        root: the folder; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, fingerprint: str, name: str) -> Path:
        """Where the result of that name lies, its fingerprint in characters that every file system takes."""
        method, *rest = fingerprint.rsplit("/", 3)
        parts = [re.sub("[^A-Za-z0-9_.,+-]", "_", part).lstrip(".")[-_LONGEST_NAME:] for part in (method, *rest, name)]
        return self.root.joinpath(*parts[:-1]) / f"{parts[-1]}.json"

    def find(self, fingerprint: str, task: str, data: str) -> Result | None:
        """The result of that task, unless there is none, or one of other data."""
        result = _result(self.read_fields(fingerprint, task))
        return result if result is not None and result.data == data else None

    def write(self, result: Result) -> Path:
        """Keep a result; it appears whole.

        Raises:
            OutputError: it cannot be written.
        """
        return self.write_fields(result.fingerprint, result.task, asdict(result))

    def write_fields(self, fingerprint: str, name: str, fields: Mapping[str, Any]) -> Path:
        """Keep whatever JSON holds, under the name of what it is.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.path(fingerprint, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path.parent} cannot be made: {error.strerror}; name another --results") from None
        write_whole(path, (json.dumps(fields, ensure_ascii=False) + "\n").encode())
        return path

    def read_fields(self, fingerprint: str, name: str) -> dict[str, Any]:
        """What was kept under that name; nothing where there is none, or it is broken."""
        try:
            fields = json.loads(self.path(fingerprint, name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def all(self) -> Iterator[Result]:
        """Every result of the folder; other JSON is passed over.

        Raises:
            InputError: a file that is no JSON.
        """
        for path in sorted(self.root.rglob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"{path} cannot be read as JSON ({error}); remove it, or write it again") from None
            result = _result(content)
            if result is not None:
                yield result


def _result(content: Any) -> Result | None:
    known = Result.__dataclass_fields__
    if not isinstance(content, dict) or set(content) != set(known):
        return None
    return Result(**content)
