"""Packages of other gateways, each in a folder of its own that is removed with the run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.contender import Contender
from bench.processes import BenchError
from bench.upstreams import Upstream

_SECONDS = 600


class Gateway(NamedTuple):
    """Another gateway: `install` gives what `start` is given first, its program or folder; both raise `BenchError`."""

    name: str
    install: Callable[[Path], Path]
    start: Callable[[Path, Path, Upstream], Contender]


def pip(folder: Path, *packages: str) -> Path:
    """Install into a virtual environment; its Python. Raises `BenchError` with pip's last words."""
    python = folder / "venv" / "bin" / "python"
    _run([sys.executable, "-m", "venv", str(folder / "venv")], packages[0])
    _run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-compile", *packages],
        packages[0],
    )
    return python


def npm(folder: Path, package: str) -> Path:
    """Install into a folder; the package's own. Raises `BenchError` with npm's last words."""
    if shutil.which("npm") is None:
        raise BenchError("npm is not installed.")
    folder.mkdir(parents=True, exist_ok=True)
    # its scripts are for those who build it
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    _run(["npm", "install", "--prefix", str(folder), *flags, package], package)
    return folder / "node_modules" / package.rpartition("@")[0]


def _run(command: Sequence[str], package: str) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{package} was not installed within {_SECONDS} s.") from None
    if ran.returncode:
        lines = (ran.stderr.strip() or ran.stdout.strip() or "nothing was said").splitlines()
        raise BenchError(f"{package} does not install here: {lines[-1][:200]}")
