"""Stored settings and their secrets: sealed, bound to their place, opened only with their master key."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.database import connect
from proxy.stores.ledger.known import REVISIONS
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.secrets.master_keys import VARIABLE, MasterKeys, MasterKeysUnusable, new_key, read_master_keys
from proxy.stores.secrets.sealing import Sealer, Unreadable
from proxy.stores.secrets.vault import Change, Told, Vault, open_vault
from proxy.stores.settings import setting_history

SECRET = "sk-canary-0123456789"
LOCAL = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": SECRET}
TOLD = Told("uid 1", "because", 1)
KEYS = MasterKeys(None, {"k1": b"1" * 32})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    open_ledger(tmp_path / "ledger.db")
    return tmp_path


def opened(folder: Path, env: dict[str, str] | None = None) -> Vault:
    return open_vault(folder, folder / "master.key", env or {})


def change(folder: Path, section: str, name: str, value: Any) -> Vault:
    """As a daemon does it."""
    vault = opened(folder)
    asked = [Change(section, name, value)]
    entries, rows = vault.after(asked), vault.sealed(asked, TOLD, 0.0)
    link = Link(folder / "ledger.db", 1.0)
    link.run(lambda connection: vault.keep(connection, rows))
    link.close()
    vault.taken(entries, rows)
    return vault


def test_what_is_stored_comes_back_with_its_secret_and_the_files_hold_none(folder: Path) -> None:
    change(folder, "providers", "local", LOCAL)
    (entry,) = opened(folder).entries
    assert (entry.value, entry.version, entry.unreadable) == (LOCAL, 1, "")
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    for file in folder.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in repr(entry)


def test_each_change_is_a_version_and_what_was_removed_is_gone(folder: Path) -> None:
    change(folder, "models", "fast", "a/b")
    change(folder, "models", "fast", "a/c")
    assert [(entry.value, entry.version) for entry in opened(folder).entries] == [("a/c", 2)]
    gone = change(folder, "models", "fast", None)
    assert (
        (gone.entries, gone.versions)
        == ((), {("models", "fast"): 3})
        == (opened(folder).entries, opened(folder).versions)
    )
    with closing(connect(folder / "ledger.db", "ro")) as driver:
        history = [(row.version, row.value, row.actor, row.reason) for row in setting_history(driver)]
    assert history == [(3, None, "uid 1", "because"), (2, "a/c", "uid 1", "because"), (1, "a/b", "uid 1", "because")]


def test_what_an_older_version_has_stored_is_there_at_the_first_start(folder: Path) -> None:
    """Which reads it before it brings the tables up to date; they are the same since there are any."""
    change(folder, "providers", "local", LOCAL)
    for revision in REVISIONS[REVISIONS.index("0006") :]:
        with closing(connect(folder / "ledger.db")) as driver:
            driver.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        assert [entry.value for entry in opened(folder).entries] == [LOCAL], revision


def other_key(folder: Path) -> str:
    (folder / "master.key").write_text(f"k19700101:{base64.b64encode(b'2' * 32).decode()}\n")
    return "the master key k19700101 in the file {folder}/master.key is another than the one used"


def no_key(folder: Path) -> str:
    (folder / "master.key").unlink()
    return "the master key k19700101 is not in the file {folder}/master.key; put it back there"


def readable_key(folder: Path) -> str:
    (folder / "master.key").chmod(0o644)
    return "others can read the master keys in {folder}/master.key (mode 0644): chmod 600 {folder}/master.key"


def broken_key(folder: Path) -> str:
    (folder / "master.key").write_text("# mine\nk19700101:abc\n")
    return "line 2 of the master keys in {folder}/master.key is no `label:base64 of 32 bytes`"


@pytest.mark.parametrize("harm", [other_key, no_key, readable_key, broken_key])
def test_a_credential_whose_master_key_is_wrong_is_unreadable_never_absent(folder: Path, harm: Any) -> None:
    change(folder, "providers", "local", LOCAL)
    sentence = harm(folder).replace("{folder}", str(folder))
    (entry,) = opened(folder).entries
    assert entry.unreadable == sentence
    assert entry.value["api_key"] not in ("", None, SECRET)  # a text that nobody knows


def test_a_missing_master_key_is_not_made_anew_over_secrets_there_are(folder: Path) -> None:
    change(folder, "providers", "local", LOCAL)
    (folder / "master.key").unlink()
    with pytest.raises(Unreadable, match="there is no master key in the file"):
        change(folder, "providers", "other", LOCAL)
    assert not (folder / "master.key").exists()


def test_first_secrets_at_once_hang_on_one_master_key(folder: Path) -> None:
    """The start makes the first key while the first call seals what it keeps; and two commands may do so at once."""
    path = folder / "master.key"
    sealers = [Sealer(read_master_keys(path, {}), ()) for _ in range(2)]  # of two processes, each with four threads
    together = threading.Barrier(8)

    def seal(number: int) -> tuple[Sealer, str]:
        sealer = sealers[number % 2]
        together.wait(30)
        sealer.begin(0.0)
        return sealer, sealer.seal("", "place", SECRET, number)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(seal, range(8)))
    for sealer, sealed in found:
        again = Sealer(read_master_keys(path, {}), sealer.fresh())
        assert again.open("", "place", sealed) == SECRET
    for sealer in sealers:
        (key,) = sealer.fresh()
        sealer.kept([key])
        assert not sealer.fresh()


def test_the_environment_may_hold_the_master_keys(folder: Path) -> None:
    line = f"env:{base64.b64encode(b'3' * 32).decode()}"
    keys = read_master_keys(folder / "master.key", {VARIABLE: f"{line},older:{base64.b64encode(b'4' * 32).decode()}"})
    assert (keys.active, list(keys.keys), keys.source) == (
        "env",
        ["env", "older"],
        f"the environment variable {VARIABLE}",
    )
    with pytest.raises(MasterKeysUnusable, match=VARIABLE):
        keys.write({})


@given(text=st.text(max_size=200), tenant=st.text(max_size=8), place=st.text(max_size=20))
def test_sealed_text_opens_where_it_was_sealed_and_nowhere_else(text: str, tenant: str, place: str) -> None:
    sealer = Sealer(KEYS, ())
    sealed = sealer.seal(tenant, place, text, 1)
    again = Sealer(KEYS, sealer.fresh())
    assert again.open(tenant, place, sealed) == text
    for elsewhere in ((tenant, place + "x"), (tenant + "x", place), (place + "y", tenant)):
        with pytest.raises(Unreadable):
            again.open(*elsewhere, sealed)


@pytest.mark.parametrize(
    "sealed", ["", "v1", "v1.nobody.a.b", "v0.x.y.z", "v1...", "{key}.AAAA", "{key}..", "{key}.é.é"]
)
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    sealer = Sealer(KEYS, ())
    known = ".".join(sealer.seal("", "p", "x", 1).split(".")[:2])
    with pytest.raises(Unreadable):
        sealer.open("", "p", sealed.replace("{key}", known))


def test_a_new_master_key_has_a_label_of_its_own() -> None:
    first, key = new_key({}, 86_400.0)
    assert (first, len(key)) == ("k19700102", 32)
    assert new_key({first: key}, 86_400.0)[0] == "k19700102-2"
    assert new_key({"k19700102-7": key, "mine": key}, 86_400.0)[0] == "k19700102-8", "not that of one taken out before"
    assert new_key({"k19700102-x": key}, 86_400.0)[0] == "k19700102"
