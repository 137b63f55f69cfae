"""`tollkeeper secrets` as somebody types it, with a daemon and without one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from money_commands import Desk

SECRET = "sk-stored-canary-0042"
PROVIDER = f'{{kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: {SECRET}}}'
ACME = "{credentials: {mock: sk-acme-canary-77}}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def said(desk: Desk, *words: str, status: int = 0) -> str:
    done = desk.run(*words)
    assert done.returncode == status, done.stderr + done.stdout
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def standing(desk: Desk) -> tuple[bool, dict[str, tuple[str, int]]]:
    found: dict[str, Any] = desk.json("secrets", "status")
    return found["ok"], {row["label"]: (row["state"], row["data_keys"]) for row in found["master_keys"]}


def walk(desk: Desk) -> str:
    """Store, look, rehearse, rotate, prune; the label that is active."""
    assert "Nothing is sealed yet." in said(desk, "secrets", "status")
    file = desk.folder / "state" / "master.key"  # the first start has made it
    assert file.stat().st_mode & 0o777 == 0o600
    said(desk, "settings", "set", "providers.gpu1", PROVIDER)
    said(desk, "settings", "set", "tenants.acme", ACME)
    ok, before = standing(desk)
    (old,) = before
    assert (ok, before[old]) == (True, ("active", 2))
    assert said(desk, "secrets", "rotate", "--dry-run").splitlines() == [
        f"Would make the master key {old}-2, and put it first.",
        "Would put 2 data keys under it.",
    ]
    assert standing(desk)[1] == before
    assert "Put 2 data keys under it." in said(desk, "secrets", "rotate", "--reason", "every spring")
    shown = said(desk, "secrets", "status")
    assert f"Nothing needs {old} any more" in shown and "providers.gpu1" in shown and "tenants.acme" in shown
    assert said(desk, "secrets", "prune").startswith(f"Taken out: {old}.")
    assert standing(desk) == (True, {f"{old}-2": ("active", 2)})
    rows = desk.json("audit", "--action", "secrets.*")["rows"]
    assert [(row["action"], row["reason"], row["after"]["master_keys"]) for row in rows] == [
        ("secrets.prune", "", [f"{old}-2"]),
        ("secrets.rotate", "every spring", [f"{old}-2", old]),
    ]
    return f"{old}-2"


def test_beside_a_daemon_which_takes_the_new_key_at_once_and_loses_none(desk: Desk) -> None:
    with desk.daemon():
        active = walk(desk)
        said(desk, "settings", "set", "tenants.late", ACME)  # its data key is made now
        assert standing(desk) == (True, {active: ("active", 3)})
        file = desk.folder / "state" / "master.key"
        away = file.rename(desk.folder / "away")
        shown = said(desk, "secrets", "status", status=1)
        assert shown.count("red: data key d") == 3 and "missing" in shown
        assert desk.run("reload").returncode == 0
        assert "red: providers.gpu1" in said(desk, "secrets", "status", status=1)
        away.rename(file)
        assert "`tollkeeper reload` has the daemon take them" in said(desk, "secrets", "status", status=1)
        assert "gpu1 changed" in said(desk, "reload")
        assert standing(desk)[0] is True
    assert standing(desk) == (True, {active: ("active", 3)})


def test_without_a_daemon_and_the_next_one_has_it(desk: Desk) -> None:
    active = walk(desk)
    with desk.daemon() as daemon:
        assert standing(desk) == (True, {active: ("active", 2)})
        assert "cannot be opened" not in daemon.output


def test_a_file_that_cannot_be_written_is_said_to_be_changed_by_hand(desk: Desk) -> None:
    said(desk, "settings", "set", "providers.gpu1", PROVIDER)
    line = (desk.folder / "state" / "master.key").read_text().strip()
    given = {"TOLLKEEPER_MASTER_KEYS": line}
    done = desk.run("secrets", "status", env=given)
    assert done.stdout.startswith("Master keys stand in the environment variable TOLLKEEPER_MASTER_KEYS, which is")
    refused = desk.run("secrets", "rotate", env=given)
    assert refused.returncode == 1 and "Put a new line first there, as `printf 'k" in refused.stderr
    assert "openssl rand -base64 32" in refused.stderr
    assert os.listdir(desk.folder / "state").count("master.key") == 1
