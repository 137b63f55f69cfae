"""Another master key: what is stored opens whenever a rotation is killed, and an old key goes when nothing needs it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import REPOSITORY
from harness.surroundings import PATIENCE_SECONDS

from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.secrets.master_keys import VARIABLE, MasterKeysUnusable, read_master_keys
from proxy.stores.secrets.rotation import Rotated, RotationRefused, prune, rotate
from proxy.stores.secrets.vault import Change, Told, Vault, open_vault

SECRETS = {"local": "sk-canary-0123456789", "other": "sk-canary-9876543210"}
DAY = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    open_ledger(state / "ledger.db")
    for name, secret in SECRETS.items():
        store(state, "providers", name, {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": secret})
    store(state, "tenants", "acme", {"credentials": {"local": "sk-canary-acme-0001"}})
    return state


def store(folder: Path, section: str, name: str, value: Any) -> None:
    vault, asked = opened(folder), [Change(section, name, value)]
    vault.after(asked)
    rows = vault.sealed(asked, Told("uid 1", "", 1), 0.0)
    on(folder, lambda connection: vault.keep(connection, rows))


def opened(folder: Path, env: dict[str, str] | None = None) -> Vault:
    return open_vault(folder, folder / "master.key", env or {})


def on(folder: Path, work: Any) -> Any:
    link = Link(folder / "ledger.db", 1.0)
    try:
        return link.run(work)
    finally:
        link.close()


def turned(folder: Path, env: dict[str, str] | None = None, *, is_rehearsal: bool = False) -> Rotated:
    masters = read_master_keys(folder / "master.key", env or {})
    found: Rotated = on(folder, lambda connection: rotate(connection, masters, DAY, is_rehearsal=is_rehearsal))
    return found


def pruned(folder: Path) -> list[str]:
    masters = read_master_keys(folder / "master.key", {})
    found: list[str] = on(folder, lambda connection: prune(connection, masters, folder))
    return found


def secrets(vault: Vault) -> list[str]:
    """In clear, or why not."""
    return [entry.unreadable or next(iter(entry.value.get("credentials", {"": entry.value.get("api_key")}).values()))
            for entry in vault.entries]  # fmt: skip


ALL = [*SECRETS.values(), "sk-canary-acme-0001"]


def test_a_new_key_comes_first_the_old_one_only_decrypts_until_it_is_pruned(folder: Path) -> None:
    before = (folder / "master.key").read_text()
    done = turned(folder)
    assert (done.label, done.is_new, len(done.wrapped), done.unreadable) == ("k19700102", True, 2, ())
    assert (folder / "master.key").read_text().endswith(before)
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    assert secrets(opened(folder)) == ALL
    assert pruned(folder) == ["k19700101"]
    assert list(opened(folder).sealer.masters.keys) == ["k19700102"]
    assert secrets(opened(folder)) == ALL
    assert pruned(folder) == []


def test_a_rehearsal_changes_nothing(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    done = turned(folder, is_rehearsal=True)
    assert (done.label, done.is_new, len(done.wrapped)) == ("k19700102", True, 2)
    assert (folder / "master.key").read_bytes() == before["master.key"]
    assert {key.label for key in opened(folder).sealer.keys} == {"k19700101"}


def test_a_key_that_something_needs_is_not_pruned_and_what_needs_it_is_named(folder: Path) -> None:
    line = (folder / "master.key").read_text()
    (folder / "master.key").write_text(f"mine:{base64.b64encode(b'5' * 32).decode()}\n{line}")
    with pytest.raises(RotationRefused) as refused:
        pruned(folder)
    told = str(refused.value)
    assert "of everybody (providers.local, providers.other)" in told and "of acme (tenants.acme)" in told
    assert told.endswith("Type `tollkeeper secrets rotate` first")
    done = turned(folder)  # to the one that was put there by hand
    assert (done.label, done.is_new, len(done.wrapped)) == ("mine", False, 2)
    assert pruned(folder) == ["k19700101"]
    assert secrets(opened(folder)) == ALL


def test_killed_at_every_line_all_opens_and_the_next_rotation_goes_on(folder: Path) -> None:
    program = Path(__file__).with_name("kill_points.py")
    found = subprocess.run(
        [sys.executable, str(program), str(folder)],
        check=False, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        timeout=3 * PATIENCE_SECONDS,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(rows) > 40
    for row in rows:
        assert row["behind"] == row["again"] == [[secret] for secret in ALL], row
        assert set(row["labels"]) == {row["masters"][0]}
    # killed behind the file and before the ledger: the next one went on, and made no key of its own
    assert {len(row["masters"]) for row in rows} <= {2, 3}


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({VARIABLE: "{line}"}, f"the master keys stand in the environment variable {VARIABLE}, which"),
        ({"CREDENTIALS_DIRECTORY": "{folder}"}, "the master keys stand in the systemd credential master.key, which"),
    ],
)
def test_where_they_cannot_be_changed_by_us_it_says_what_to_do(folder: Path, env: dict[str, str], words: str) -> None:
    line = (folder / "master.key").read_text().strip()
    given = {name: value.format(line=line, folder=folder) for name, value in env.items()}
    with pytest.raises(RotationRefused) as refused:
        turned(folder, given)
    assert words in str(refused.value)
    assert """`printf 'k19700102:%s\\n' "$(openssl rand -base64 32)"`""" in str(refused.value)
    assert line.partition(":")[2] not in str(refused.value)
    # done so, the next one puts everything under it
    new = f"k19700102:{base64.b64encode(b'6' * 32).decode()}"
    if VARIABLE in given:
        given[VARIABLE] = f"{new},{line}"
    else:
        (folder / "master.key").write_text(f"{new}\n{line}\n")
    assert (turned(folder, given).is_new, secrets(opened(folder, given))) == (False, ALL)


def test_what_cannot_be_opened_is_left_and_told_and_hinders_no_other(folder: Path) -> None:
    lost = (folder / "master.key").read_text()
    (folder / "master.key").write_text(f"next:{base64.b64encode(b'7' * 32).decode()}\n")
    store(
        folder, "providers", "third", {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": "sk-third-1"}
    )
    done = turned(folder)
    assert (done.is_new, len(done.wrapped), len(done.unreadable)) == (True, 1, 2)
    assert "the master key k19700101 is not in the file" in done.unreadable[0]
    assert pruned(folder) == ["next"]
    (folder / "master.key").write_text((folder / "master.key").read_text() + lost)
    assert secrets(opened(folder)) == [*ALL, "sk-third-1"]


@pytest.mark.parametrize("harm", ["none", "broken"])
def test_without_a_key_that_can_be_read_nothing_is_done(tmp_path: Path, harm: str) -> None:
    open_ledger(tmp_path / "ledger.db")
    if harm == "broken":
        (tmp_path / "master.key").write_text("nonsense\n")
        (tmp_path / "master.key").chmod(0o600)
    with pytest.raises((RotationRefused, MasterKeysUnusable), match="there is no master key in|line 1 of the master"):
        turned(tmp_path)
