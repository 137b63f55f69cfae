"""Installing: what the wheel brings along, and what `make` says of a Python that is too old."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY
from harness.surroundings import PATIENCE_SECONDS, surroundings

OLD_PYTHON = """#!/bin/sh
[ "$1" = -c ] || { echo "made something with it: $*"; exit 9; }
exec %s -c 'import sys; sys.version_info = (3, 10, 13, "final", 0); sys.version = "3.10.13 (main)"
exec(sys.argv[1])' "$2"
"""


def test_the_wheel_installs_one_package_and_one_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True, timeout=PATIENCE_SECONDS)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        commands = archive.read(entry_points).decode().split("\n")
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"proxy"}
    assert commands == ["[console_scripts]", "tollkeeper = proxy.cli:main", ""]
    for needed in ("proxy/cli/clients.toml", "proxy/config/starter.yaml", "proxy/data/openrouter.json"):
        assert needed in names


@pytest.mark.parametrize("target", ["run", "test"])
def test_a_python_that_is_too_old_is_told_so_by_name_at_once(tmp_path: Path, target: str) -> None:
    python = tmp_path / "python3"
    python.write_text(OLD_PYTHON % sys.executable)
    python.chmod(0o755)
    variables = [f"PYTHON={python}", f"RUN={tmp_path}/run", f"DEV={tmp_path}/dev"]
    done = subprocess.run(
        ["make", target, *variables], check=False, cwd=REPOSITORY, env=surroundings(tmp_path), capture_output=True,
        text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    first, *_ = done.stderr.splitlines()
    assert first.startswith("Tollkeeper needs Python 3.11 or newer, and ")
    assert first.endswith(f" is Python 3.10.13. Try: make {target} PYTHON=python3.12")
