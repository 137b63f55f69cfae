"""`doctor` where systemd runs: what its unit's state is taken for. A mount namespace stands for such a machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from doctor_visits import Visit, usual, visit
from harness.daemon import REPOSITORY
from harness.surroundings import PATIENCE_SECONDS, surroundings

# what exists where systemd is process 1, and only for the command that follows
BOOTED = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"'
INSIDE = ("unshare", "--mount", "sh", "-ec", BOOTED, "sh")
ENABLED = ["LoadState=loaded", "UnitFileState=enabled"]


@pytest.fixture(autouse=True, scope="module")
def allowed() -> None:
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("making a mount namespace is not permitted here")


def seen(folder: Path, systemctl: str, name: str = "unit") -> Mapping[str, str]:
    """One row about the unit, with this shell script in the place of systemctl."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "systemctl"
    program.write_text(f"#!/bin/sh\n{systemctl}\n")
    program.chmod(0o755)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(usual(folder)))
    file.chmod(0o600)
    done = subprocess.run(
        [*INSIDE, sys.executable, "-m", "proxy", "doctor", "--config", str(file), "--json"],
        check=False,
        cwd=REPOSITORY,
        env=surroundings(folder, PATH=f"{folder / 'bin'}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.stderr == ""
    return Visit(done.returncode, json.loads(done.stdout)["checks"]).one("systemd", name)


def test_the_systems_unit_is_asked_first(tmp_path: Path) -> None:
    row = seen(
        tmp_path, "\n".join(f"echo {line}" for line in [*ENABLED, "ActiveState=failed", "Result=exit-code"]), "active"
    )
    assert (row["status"], row["found"]) == ("fail", "failed (exit-code)")


def test_a_unit_of_the_user_is_asked_of_the_users_manager(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    (folder / "tollkeeper.service").write_text("")
    asked = 'case "$*" in *--user*) echo LoadState=masked;; *) echo LoadState=not-found;; esac'
    row = seen(tmp_path, asked)
    assert (row["status"], "masked" in row["found"]) == ("fail", True)


@pytest.mark.parametrize(("systemctl", "said"), [("exit 4", "status 4"), ("exec sleep 30", "nothing within 5 s")])
def test_a_systemctl_without_an_answer_is_a_warning(tmp_path: Path, systemctl: str, said: str) -> None:
    row = seen(tmp_path, systemctl)
    assert row["status"] == "warn"
    assert f"systemctl gave no answer ({said})" in row["found"]


def test_sockets_where_the_daemon_would_listen_are_looked_at(tmp_path: Path) -> None:
    """A file that is no socket, one nobody listens on any more, one that is taken, and a folder that is not there."""
    (tmp_path / "file").write_text("")
    left, taken = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with left, taken:
        left.bind(str(tmp_path / "left"))
        taken.bind(str(tmp_path / "taken"))
        taken.listen()
        left.close()
        expected = {"file": "fail", "left": "pass", "taken": "fail", "nowhere/sock": "fail"}
        found = {}
        for name in expected:
            config = usual(tmp_path, listen={"socket": str(tmp_path / name)})
            found[name] = visit(tmp_path, config).status_of("ports", "data port")
    assert found == expected
