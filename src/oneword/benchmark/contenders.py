"""Who takes part: oneword, oneword without one of its ideas, and what else computes such vectors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from oneword.benchmark.shipped import peers_folder
from oneword.engine.options import EVERYTHING, EngineOptions
from oneword.errors import InputError
from oneword.method import Method, resolve_layer
from oneword.models.cache import cache_folder
from oneword.prompt import clean_text

# Scripts by the names that users give; benchmarks/peers/README.md says what each is
PEERS = {
    "reference": "reference.py",
    "sentence-transformers": "sentence_transformers_peer.py",
    "llemb": "llemb_peer.py",
    "llama.cpp": "llama_cpp_peer.py",
}
OWN = "oneword_worker.py"


@dataclass(frozen=True)
class Contender:
    """One of a race.

    Args:
        name: what tables call it.
        script: what it runs, in the folder of the peers.
        python: the interpreter of its environment.
        job: what it is told, see benchmarks/peers/README.md.
        arguments: what the script is given besides.
    """

    name: str
    script: Path
    python: Path
    job: dict[str, Any]
    arguments: tuple[str, ...] = ()

    @property
    def is_oneword(self) -> bool:
        """Whether it is oneword as users get it."""
        return self.name == "oneword"


@dataclass(frozen=True)
class Race:
    """What all contenders are told of one method.

    Args:
        method: in numbers for the model.
        folders: the model's folder in each number format.
        gguf: the model's GGUF file, where there is one.
        depth: how many blocks it has.
        texts: what is encoded.
        dtype: oneword's number format.
        device: where to compute.
        threads: with how many.
        own: what only oneword is told: model, layer and quantization.
    """

    method: Method
    folders: Mapping[str, Path]
    gguf: Path | None
    depth: int
    texts: Sequence[str]
    dtype: str
    device: str
    threads: int
    own: dict[str, Any]

    def oneword(self, name: str = "oneword", dtype: str | None = None, engine: EngineOptions = EVERYTHING) -> Contender:
        """A contender that is oneword, with some of the engine's ideas changed."""
        job = self._job(dtype or self.dtype)
        job["options"] = {**self.own, "method": {"cleaning": self.method.cleaning}, "engine": asdict(engine)}
        return Contender(name, peers_folder() / OWN, Path(sys.executable), job)

    def ablated(self) -> list[Contender]:
        """Contenders that are oneword without each of its ideas in turn."""
        ideas = [field.name for field in fields(EngineOptions) if field.default is True]
        if self.method.steering is None:
            ideas.remove("shared_auxiliary")
        found = [
            self.oneword(f"without {idea.replace('_', ' ')}", engine=replace(EVERYTHING, **{idea: False}))
            for idea in ideas
        ]
        if self.dtype != "float32":
            found.append(self.oneword("in float32", "float32"))
        return found

    def peers(self, names: Sequence[str]) -> list[Contender]:
        """Those of the named peers.

        The reference runs in float32, as it is shipped, and in our number format; llama.cpp with the GGUF as it is, and
        rewritten in our number format; the others in our number format.
        """
        check_peers(names)
        found = []
        for name in names:
            contender = Contender(name, peers_folder() / PEERS[name], _python(name), self._job(self.dtype))
            ours = f"{name}, {self.dtype}"
            if name == "reference":
                if self.dtype != "float32":
                    found.append(replace(contender, name="reference, float32", job=self._job("float32")))
                found.append(replace(contender, name=ours))
            elif name == "llama.cpp":
                found.append(replace(contender, name="llama.cpp, GGUF as it is"))
                found.append(replace(contender, name=ours, arguments=("--rewrite",)))
            else:
                found.append(replace(contender, name=ours))
        return found

    def oracle(self, layer: int) -> Contender:
        """The plain loop in float32, reading that layer."""
        job = {**self._job("float32"), "layer": layer}
        return Contender("oracle", peers_folder() / PEERS["reference"], Path(sys.executable), job)

    def _job(self, dtype: str) -> dict[str, Any]:
        method, steering = self.method, self.method.steering
        return {
            "folder": str(self.folders[dtype]),
            "gguf": str(self.gguf) if self.gguf else None,
            "prompts": [prompt.wording for prompt in method.asked],
            "texts": [clean_text(text, method.cleaning) for text in self.texts],
            "layer": resolve_layer(method.layer, self.depth),
            "dtype": dtype,
            "device": self.device,
            "threads": self.threads,
            "steering": steering
            and {
                "layer": steering.layer,
                "scale": steering.scale,
                "norm": steering.norm,
                "position": steering.position,
                "auxiliary": steering.auxiliary_prompt.wording,
            },
        }


def check_peers(names: Sequence[str]) -> None:
    """Refuse names that are none of a peer.

    Raises:
        InputError: the first such name.
    """
    for name in names:
        if name not in PEERS:
            raise InputError(f"peer '{name}' is not one of: {', '.join(PEERS)}")


def _python(peer: str) -> Path:
    """The interpreter of the peer's own environment, or this one."""
    own = cache_folder() / "peers" / peer / "bin" / "python"
    return own if own.is_file() else Path(sys.executable)
