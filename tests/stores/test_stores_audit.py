"""The chain of the audit: what is changed, removed or cut off is found, and nothing is by itself."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.ledger import apply
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.audit import (
    HEAD_NAME,
    AuditQuestion,
    AuditRow,
    Deed,
    Head,
    Verdict,
    anchor,
    append,
    digest,
    rows_of,
    verified,
)
from proxy.stores.database import connect
from proxy.stores.journal.records import Adjusted
from proxy.stores.journal.segments import Position
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.questions.queries import Files


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    open_ledger(path)
    return path


@pytest.fixture
def driver(ledger: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(ledger)) as connection:
        yield connection


def do(driver: sqlite3.Connection, *names: str) -> None:
    """One transaction for each, as an order has it."""
    for name in names:
        append(driver, [Deed(1, "uid 7", "control socket", "key.create", f"keys.{name}", None, {"models": []}, "why")])


def all_of(driver: sqlite3.Connection) -> list[AuditRow]:
    return rows_of(driver, AuditQuestion(oldest_first=True))


def loosen(driver: sqlite3.Connection, *statements: str) -> None:
    """What somebody does who may write the file."""
    for name in ("update", "delete"):
        driver.execute(f"DROP TRIGGER IF EXISTS audit_{name}")
    for statement in statements:
        driver.execute(statement)


def test_rows_are_only_added(driver: sqlite3.Connection) -> None:
    do(driver, "a")
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="rows are only added"):
            driver.execute(statement)


def forge(driver: sqlite3.Connection) -> None:
    """Change a row, and make its hash fit."""
    row = rows_of(driver, AuditQuestion(before=3, limit=1))[0]
    fields = [row.seq, row.at_ms, "uid 0", *(getattr(row, name) for name in AuditRow.__struct_fields__[3:-1])]
    loosen(driver, f"UPDATE audit SET actor = 'uid 0', hash = '{digest(fields)}' WHERE seq = 2")


DAMAGES: list[tuple[Callable[[sqlite3.Connection], object], str]] = [
    (lambda driver: loosen(driver, "UPDATE audit SET reason = 'other' WHERE seq = 2"), "row 2 was changed"),
    (lambda driver: loosen(driver, "UPDATE audit SET after = NULL WHERE seq = 4"), "row 4 was changed"),
    (forge, "row 2 is not the one that row 3 was written behind"),
    (lambda driver: loosen(driver, "DELETE FROM audit WHERE seq = 1"), "row 1 is missing"),
    (lambda driver: loosen(driver, "DELETE FROM audit WHERE seq IN (2, 3)"), "rows 2 to 3 are missing"),
    (lambda driver: loosen(driver, "DELETE FROM audit WHERE seq = 4"), "the newest rows are missing: audit.head tells of"),
    (lambda driver: loosen(driver, "DELETE FROM audit"), "the newest rows are missing: audit.head tells of row 4"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_what_is_changed_removed_or_cut_off_is_found(
    ledger: Path, driver: sqlite3.Connection, damage: Callable[[sqlite3.Connection], object], says: str
) -> None:
    do(driver, "a", "b", "c", "d")
    assert [row.target for row in anchor(ledger)] == ["keys.a", "keys.b", "keys.c", "keys.d"]
    newest = verified(driver).newest
    assert verified(driver, [newest]) == Verdict(4, newest, ())
    damage(driver)
    assert says in " | ".join(Files(ledger.parent).audit_verdict().problems)


def test_an_end_cut_off_is_told_for_ever(ledger: Path, driver: sqlite3.Connection) -> None:
    do(driver, "a", "b", "c")
    anchor(ledger)
    loosen(driver, "DELETE FROM audit WHERE seq > 1")
    assert anchor(ledger) == []  # the head still tells of what was there
    do(driver, "d")
    assert [(row.action, row.target) for row in all_of(driver)][1:] == [("audit.gap", HEAD_NAME), ("key.create", "keys.d")]  # fmt: skip
    assert [row.seq for row in anchor(ledger)] == [2, 3]
    do(driver, "e")
    assert verified(driver).problems == ("row 2 tells of rows that were missing at the end when it was written",)


def test_a_lost_ledger_and_a_lost_head_are_found(ledger: Path, driver: sqlite3.Connection) -> None:
    do(driver, "a")
    anchor(ledger)
    head = ledger.with_name(HEAD_NAME)
    kept = head.read_text()
    head.unlink()
    assert "audit.head is missing" in verified(driver).problems[0]
    head.write_text(kept)
    ledger.rename(ledger.with_name("elsewhere"))
    assert "the newest rows are missing" in Files(ledger.parent).audit_verdict().problems[0]


def test_a_head_that_is_behind_is_no_fault(ledger: Path, driver: sqlite3.Connection) -> None:
    """As a kill leaves it: the row is there, and nobody had told the head yet."""
    do(driver, "a")
    anchor(ledger)
    do(driver, "b")
    assert verified(driver).problems == ()
    assert [row.target for row in anchor(ledger)] == ["keys.b"]
    assert anchor(ledger) == []


def test_a_hash_noted_elsewhere_must_be_there(driver: sqlite3.Connection) -> None:
    do(driver, "a", "b")
    noted = Head(0, all_of(driver)[0].hash)
    assert verified(driver, [noted]).problems == ()
    assert verified(driver, [Head(0, "f" * 64)]).problems == (f"no row has the hash {'f' * 64}",)


def test_rows_are_found_by_what_they_say(driver: sqlite3.Connection) -> None:
    do(driver, "a", "b", "c")
    append(driver, [Deed(9, "admin ops", "127.0.0.1", "reload", "file", tenant="acme")])
    for asked, seqs in (
        (AuditQuestion(actor="uid*"), [3, 2, 1]),
        (AuditQuestion(action="key.*", before=3, limit=1), [2]),
        (AuditQuestion(target="keys.b"), [2]),
        (AuditQuestion(tenants=("acme",)), [4]),
        (AuditQuestion(since_ms=9), [4]),
        (AuditQuestion(until_ms=9, after=1, oldest_first=True), [2, 3]),
    ):
        assert [row.seq for row in rows_of(driver, asked)] == seqs, asked


@given(st.lists(st.none() | st.text() | st.integers(0, 2**62), max_size=12))
def test_anybody_can_make_the_hash(fields: list[str | int | None]) -> None:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no column holds
        return
    assert digest(fields) == hashlib.sha256(data).hexdigest()


def test_a_correction_is_written_down_with_what_it_changes_once(driver: sqlite3.Connection) -> None:
    ordered = [
        Adjusted(f"adj-{n}", n, "key:a:day", 5, 10**12, "billed twice", "uid 7", "control socket") for n in (1, 2)
    ]
    follows = Adjusted("adj-3", 3, "key:a:day", 5, 1, "the key has another name")
    batch = [(Position(1, n), record) for n, record in enumerate([*ordered, follows])]
    for _ in range(2):  # as after a crash
        apply(driver, batch)
    rows = all_of(driver)
    assert [(row.action, row.target, row.reason) for row in rows] == 2 * [
        ("budget.adjust", "budgets.key:a:day", "billed twice")
    ]
    assert [(row.before, row.after) for row in rows] == [
        ('{"spent_usd":"0.000000000000"}', '{"spent_usd":"1.000000000000"}'),
        ('{"spent_usd":"1.000000000000"}', '{"spent_usd":"2.000000000000"}'),
    ]
