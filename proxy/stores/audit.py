"""Who did what, as a chain of rows: each holds the hash of the one before it, so that none is changed or removed
unnoticed. A file beside the ledger holds the newest hash, so that an end cut off is noticed as well.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from proxy.stores.database import raw, reading
from proxy.stores.ledger.known import REVISIONS, revision_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD_NAME = "audit.head"
GAP = "audit.gap"
_MOST_PROBLEMS = 20
_MOST_PASSED = 1000
_FILTERS = {
    "since_ms": "at_ms >= ?",
    "until_ms": "at_ms < ?",
    "actor": "actor GLOB ?",
    "action": "action GLOB ?",
    "target": "target GLOB ?",
    "tenants": "tenant IN (SELECT value FROM json_each(?))",
    "before": "seq < ?",
    "after": "seq > ?",
}


class Deed(Struct, frozen=True):
    """What somebody did at `at_ms` (UTC epoch milliseconds). `actor` is a token's name, a uid, or what else gave the
    order; `source` the way it came; `before` and `after` are of the target, as JSON has it, without secrets. `tenant` is
    that of who did it, else that of the key it was done to, "" none."""

    at_ms: int
    actor: str
    source: str
    action: str
    target: str
    before: Any = None
    after: Any = None
    reason: str = ""
    tenant: str = ""


class Head(Struct, frozen=True):
    """The number of a row and its hash; the chain begins behind 0."""

    seq: int = 0
    hash: str = 64 * "0"


class AuditRow(Struct, frozen=True):
    """A row of the chain; `before` and `after` are JSON text. `hash` is the SHA-256 of all that stands before it here,
    as a JSON array; `previous` is the hash of the row before."""

    seq: int
    at_ms: int
    actor: str
    source: str
    action: str
    target: str
    before: str | None
    after: str | None
    reason: str
    tenant: str
    previous: str
    hash: str


class AuditQuestion(Struct, frozen=True):
    """Which rows: `actor`, `action` and `target` are names or patterns; `before` and `after` numbers of rows; `tenants`
    the only ones that count, None: all. At most `limit` of them, the newest first unless `oldest_first`."""

    since_ms: int | None = None
    until_ms: int | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    tenants: tuple[str, ...] | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 100
    oldest_first: bool = False


class Verdict(Struct, frozen=True):
    """How many rows there are, which is the newest, and what is wrong with them, a sentence each."""

    rows: int = 0
    newest: Head = Head()
    problems: tuple[str, ...] = ()


_COLUMNS = ", ".join(AuditRow.__struct_fields__)
_ADD = f"INSERT INTO audit ({_COLUMNS}) VALUES ({', '.join('?' * len(AuditRow.__struct_fields__))})"  # noqa: S608


def append(connection: Connection | sqlite3.Connection, deeds: Iterable[Deed]) -> None:
    """Add rows, in the caller's transaction. Where the chain is not what it was, a first row says so."""
    driver = raw(connection)
    found, known = _newest(driver), _head_beside(_file_of(driver))
    for deed in [*_gap(driver, known, found), *deeds]:
        told = replace(deed, before=_text(deed.before), after=_text(deed.after))
        fields = [found.seq + 1, *astuple(told), found.hash]
        hashed = digest(fields)
        driver.execute(_ADD, (*fields, hashed))
        found = Head(found.seq + 1, hashed)


def digest(fields: list[Any]) -> str:
    """The hash of a row: of its fields in order, without the last."""
    return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()


def rows_of(driver: sqlite3.Connection, question: AuditQuestion) -> list[AuditRow]:
    """The rows asked for."""
    given = {name: getattr(question, name) for name in _FILTERS if getattr(question, name) is not None}
    if question.tenants is not None:
        given["tenants"] = _text(question.tenants)
    where = " AND ".join(["1", *(_FILTERS[name] for name in given)])
    order = "ASC" if question.oldest_first else "DESC"
    asked = f"SELECT {_COLUMNS} FROM audit WHERE {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608
    return [AuditRow(*row) for row in driver.execute(asked, (*given.values(), question.limit))]


def verified(driver: sqlite3.Connection, heads: Iterable[Head] = ()) -> Verdict:
    """Read the whole chain, and look for the head beside the ledger and for `heads` noted elsewhere (`seq` 0: any)."""
    problems: list[str] = []
    rows, newest, hashes = 0, Head(), {Head().hash: 0}
    for row in _all(driver):
        rows += 1
        problems += _troubles(newest, row)
        newest = Head(row.seq, row.hash)
        hashes[row.hash] = row.seq
    known = _head_beside(_file_of(driver))
    if known is None and rows:
        problems.append(f"{HEAD_NAME} is missing, so that nobody can tell whether rows were cut off at the end")
    elif known is not None and _place(driver, known) is None:
        problems.append(_lost(known, newest))
    problems += [f"no row has the hash {head.hash}" for head in heads if head.hash not in hashes]
    return Verdict(rows, newest, tuple(problems[:_MOST_PROBLEMS]))


def nothing_left(ledger: Path) -> Verdict:
    """What is to be said where there is no ledger, or an empty one."""
    known = _head_beside(ledger) or Head()
    return Verdict(problems=(_lost(known, Head()),) if known.seq else ())


def anchor(ledger: Path) -> list[AuditRow]:
    """Move the head beside the ledger on to the newest row, and return the rows it has passed.

    One that does not fit is left for the next row to tell of. Raises a `StoreError` or OSError.
    """
    if not ledger.exists():
        return []
    with reading(ledger) as driver:
        if revision_of(driver, ledger) != REVISIONS[-1]:
            return []
        known, newest = _head_beside(ledger), _newest(driver)
        place = (None if newest.seq else 0) if known is None else _place(driver, known)
        if known == newest or place is None:
            return []
        passed = rows_of(driver, AuditQuestion(after=place, limit=_MOST_PASSED, oldest_first=True))
    _write_head(ledger.with_name(HEAD_NAME), newest)
    return passed


def _troubles(before: Head, row: AuditRow) -> Iterator[str]:
    """What is wrong with a row, or between it and the one before."""
    if row.seq > before.seq + 1:
        first, last = before.seq + 1, row.seq - 1
        yield f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
    elif row.previous != before.hash:
        yield f"row {before.seq} is not the one that row {row.seq} was written behind"
    if digest(list(astuple(row)[:-1])) != row.hash:
        yield f"row {row.seq} was changed"
    if row.action == GAP:
        yield f"row {row.seq} tells of rows that were missing at the end when it was written"


def _gap(driver: sqlite3.Connection, known: Head | None, found: Head) -> Iterator[Deed]:
    """What is to be said first where the head beside the ledger is not of this chain."""
    if known is None:
        _write_head(_file_of(driver).with_name(HEAD_NAME), found)
    if (known is None and found.seq) or (known is not None and _place(driver, known) is None):
        (at_ms,) = driver.execute("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)").fetchone()
        told = None if known is None else msgspec.to_builtins(known)
        yield Deed(at_ms, "the daemon", "", GAP, HEAD_NAME, told, msgspec.to_builtins(found))


def _place(driver: sqlite3.Connection, head: Head) -> int | None:
    """Behind which row this head stands; None where the chain neither holds it nor says that it was lost."""
    if head == Head():
        return 0
    asked = "SELECT seq FROM audit WHERE seq = ? AND hash = ? UNION SELECT seq - 1 FROM audit WHERE action = ? AND before = ?"
    told = _text(msgspec.to_builtins(head))
    found = driver.execute(asked, (head.seq, head.hash, GAP, told)).fetchone()
    return None if found is None else int(found[0])


def _lost(known: Head, newest: Head) -> str:
    if known.seq > newest.seq:
        return f"the newest rows are missing: {HEAD_NAME} tells of row {known.seq}, and row {newest.seq} is the last"
    return f"row {known.seq} is not the one that {HEAD_NAME} tells of"


def _newest(driver: sqlite3.Connection) -> Head:
    found = driver.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return Head() if found is None else Head(*found)


def _all(driver: sqlite3.Connection) -> Iterator[AuditRow]:
    return (AuditRow(*row) for row in driver.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"))  # noqa: S608


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _file_of(driver: sqlite3.Connection) -> Path:
    return Path(driver.execute("PRAGMA database_list").fetchone()[2])


def _head_beside(ledger: Path) -> Head | None:
    """What the file says; None where there is none, or it says nothing."""
    try:
        seq, _, hashed = ledger.with_name(HEAD_NAME).read_text().strip().partition(" ")
        return Head(int(seq), hashed)
    except (OSError, ValueError):
        return None


def _write_head(path: Path, head: Head) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f".{HEAD_NAME}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{head.seq} {head.hash}\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
