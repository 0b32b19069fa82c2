"""Make one virtual environment a peer: `python benchmarks/peers/install.py [NAME ...]` (all of them without a name).

Each lies in `$ONEWORD_CACHE/peers/NAME` (`~/.cache/oneword/peers/NAME` where the variable is not set) with pinned
versions from PyPI; what pip says goes to `install.log` in it. A peer that is already there is left as it is. llama.cpp
is compiled on the spot for this very processor, which takes minutes and a C++ compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

TORCH = ("torch==2.13.0",)
NUMPY = ("numpy==2.4.6; python_version >= '3.11'", "numpy==2.2.6; python_version < '3.11'")
LOADERS = (
    "transformers==5.23.0; python_version >= '3.11'",
    "transformers==5.20.2; python_version < '3.11'",
    "accelerate==1.15.0",
)

# What each peer needs, one pip call a step: torch comes first, so that nothing else chooses its version.
PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "reference": (TORCH, (*NUMPY, *LOADERS)),
    "sentence-transformers": (TORCH, (*NUMPY, *LOADERS, "sentence-transformers==6.2.0")),
    "llemb": (TORCH, (*NUMPY, *LOADERS, "llemb==0.3.0")),
    "llama.cpp": ((*NUMPY, "llama-cpp-python==0.3.36"),),
}


def peer_folder(name: str) -> Path:
    """Where the environment of a peer lies, whether or not it is there yet."""
    cache = os.environ.get("ONEWORD_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "oneword") / "peers" / name


def peer_python(name: str) -> Path:
    """The Python of a peer's environment."""
    return peer_folder(name) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_installed(name: str) -> bool:
    """Whether a peer's environment was made to its end, with the versions pinned here."""
    mark = peer_folder(name) / "installed.json"
    return mark.is_file() and json.loads(mark.read_text("utf-8")) == _pins(name)


def install(name: str) -> None:
    """Make a peer's environment from nothing.

    Raises:
        subprocess.CalledProcessError: A step failed; `install.log` says why.
    """
    folder = peer_folder(name)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    with (folder / "install.log").open("w", encoding="utf-8") as log:
        for step in PEERS[name]:
            pip = [str(peer_python(name)), "-m", "pip", "install", "--disable-pip-version-check", *step]
            subprocess.run(pip, check=True, stdout=log, stderr=subprocess.STDOUT)
    (folder / "installed.json").write_text(json.dumps(_pins(name), indent=1) + "\n", "utf-8")


def main() -> int:
    """Install the peers named on the command line, and say in one line each what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    names = parser.parse_args().names or list(PEERS)
    if unknown := [name for name in names if name not in PEERS]:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    failed = 0
    for name in names:
        if is_installed(name):
            print(f"{name}: is there already, in {peer_folder(name)}", flush=True)
            continue
        try:
            install(name)
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"{name}: not installed ({error}); see {peer_folder(name) / 'install.log'}", flush=True)
        else:
            print(f"{name}: installed in {peer_folder(name)}", flush=True)
    return 1 if failed else 0


def _pins(name: str) -> list[list[str]]:
    return [list(step) for step in PEERS[name]]


if __name__ == "__main__":
    sys.exit(main())
