"""The command as a process: on a configuration of its own, with canaries in everything that is secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from harness.commands import Done, typed

PROVIDER_KEY = "sk-or-doctor-canary"
CLIENT_KEY = "sk-client-doctor-canary"
TOKEN = "token-doctor-canary"
PROXY_PASSWORD = "proxy-doctor-canary"
BODY = "body-doctor-canary"
CANARIES = (PROVIDER_KEY, CLIENT_KEY, TOKEN, PROXY_PASSWORD, BODY)
# a daemon's ports are free ones, and no test asks for 0.0.0.0
LOOPBACK = {"listen": {"host": "127.0.0.1", "port": 0}, "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN}}

Row = dict[str, Any]


def usual(folder: Path, **members: Any) -> dict[str, Any]:
    """A configuration without a network: the mock, one client key."""
    return {
        **LOOPBACK,
        "state_dir": str(folder / "state"),
        "providers": {"mock": {}},
        "keys": {"alice": {"key": CLIENT_KEY}},
        **members,
    }


@dataclass
class Visit:
    """What one run said. `rows` are the checks of its JSON."""

    status: int
    rows: list[Row] = field(default_factory=list)

    def one(self, group: str, name: str) -> Row:
        """The one check of that name."""
        [row] = [row for row in self.rows if (row["group"], row["name"]) == (group, name)]
        return row

    def status_of(self, group: str, name: str) -> str:
        found: str = self.one(group, name)["status"]
        return found

    @property
    def failed(self) -> list[tuple[str, str]]:
        return [(row["group"], row["name"]) for row in self.rows if row["status"] == "fail"]


def command(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run it; no secret may be in what it prints."""
    done = typed(folder, "doctor", *arguments, **{"TZ": "Europe/Berlin", **(env or {})})
    for canary in CANARIES:
        assert canary not in done.stdout + done.stderr
    assert done.stderr == "", done.stderr
    return done


def visit(
    folder: Path, config: Mapping[str, Any] | None = None, *arguments: str, env: Mapping[str, str] | None = None
) -> Visit:
    """Run it with --json; `config` None takes the one a daemon has left in the folder."""
    file = folder / "config.yaml"
    if config is not None:
        file.write_text(yaml.safe_dump(config))
        file.chmod(0o600)
    done = command(folder, "--config", str(file), "--json", *arguments, env=env)
    found = json.loads(done.stdout)
    assert set(found) == {"ok", "checks"}
    for row in found["checks"]:
        assert set(row) == {"group", "name", "status", "found", "next"}
        assert (row["next"] is None) == (row["status"] == "pass"), row
    statuses = {row["status"] for row in found["checks"]}
    assert statuses <= {"pass", "warn", "fail"}
    assert found["ok"] == ("fail" not in statuses)
    assert done.returncode == (0 if found["ok"] else 1)
    return Visit(done.returncode, found["checks"])
