"""A ledger with many rows or keys: what a daemon or command really made, copied many times."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.calls import Caller
from bench.contenders import tollkeeper
from bench.contenders.tollkeeper import Grown
from bench.measure import Bench, running
from bench.payloads import small_request
from bench.processes import run_ours
from bench.upstreams import Upstream
from proxy.stores.hash_key import hash_key, keyed_hash

_KEYS, _MODELS = 20, 50
_CALLS = _KEYS * _MODELS
_DAYS = 30
_QUARTERS = _DAYS * 96
_SHIFTED = {"sums": ("quarter", _QUARTERS), "sums_by_quarter": ("quarter", _QUARTERS), "sums_by_day": ("day", _DAYS)}


def add_keys(folder: Path, upstream: Upstream, count: int) -> None:
    """Keys with limits and budgets of their own, in the ledger of the daemons that will be started in `folder`."""
    command = ["keys", "create", "made", "--config", str(tollkeeper.write_config(folder, upstream, 0))]
    for option, value in (("limit", "tokens:1000000000000/minute"), ("limit", "concurrent:100000")):
        command += [f"--{option}", value]
    for period in ("day", "week"):
        command += ["--budget", f"1000000/{period}"]
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    run_ours(*command)
    key = hash_key(folder / "state")
    with closing(sqlite3.connect(folder / "state" / "ledger.db")) as database, database:
        names = _columns(database, "keys")
        changed = {"seq": "NULL", "name": "?", "key_hmac": "?"}
        values = ", ".join(changed.get(name, name) for name in names)
        hashes = [(f"k{number}", keyed_hash(key, tollkeeper.secret_of(number))) for number in range(count)]
        database.executemany(f"INSERT INTO keys SELECT {values} FROM keys WHERE name = 'made'", hashes)


def fill(bench: Bench, rows: int, folder: Path | None = None) -> None:
    """Bring the ledger of the daemons started in `folder` to about so many rows, of 20 keys and 50 models."""
    folder = folder or bench.folder
    began = time.monotonic()
    grown = Grown(_KEYS, _MODELS)
    add_keys(folder, bench.upstreams.plain, _KEYS)
    with running(partial(tollkeeper.start, grown=grown), folder, bench.upstreams.plain) as contender:
        caller = Caller(contender.whole.port)
        doors = grown.doors(contender.whole)
        for number in range(_CALLS):
            # every key with every model: the two lists have a length in common
            door = doors[number % _MODELS]._replace(key=doors[number // _MODELS].key)
            caller.call(small_request(door))
        caller.close()
    with closing(sqlite3.connect(folder / "state" / "ledger.db")) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        _copy_attempts(database, copies=rows // _CALLS)
        for table, (column, most) in _SHIFTED.items():
            _copy_sums(database, table, column, min(most, rows // _CALLS))
    print(f"{rows:,} rows in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in database.execute(f"PRAGMA table_info({table})")]


def _copy_attempts(database: sqlite3.Connection, copies: int) -> None:
    """Every copy is earlier than the calls themselves, and has ids of its own; the oldest comes first."""
    step_ms = _DAYS * 86_400_000 // max(1, copies)
    changed = {
        "seq": "NULL",
        "id": "printf('%07d-', copy) || id",
        "request_id": "printf('%07d-', copy) || request_id",
        "at_ms": f"at_ms - ({copies} - copy) * {step_ms}",
    }
    columns = _columns(database, "attempts")
    _copy(database, "attempts", ", ".join(changed.get(column, column) for column in columns), copies)


def _copy_sums(database: sqlite3.Connection, table: str, shifted: str, copies: int) -> None:
    columns = _columns(database, table)
    values = ", ".join(f"{column} - copy" if column == shifted else column for column in columns)
    _copy(database, table, values, copies)


def _copy(database: sqlite3.Connection, table: str, values: str, copies: int) -> None:
    database.execute(f"CREATE TEMP TABLE made_{table} AS SELECT * FROM {table}")
    database.execute(
        f"WITH RECURSIVE copies(copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM copies WHERE copy < ?) "
        f"INSERT OR IGNORE INTO {table} SELECT {values} FROM copies CROSS JOIN made_{table}",
        (copies,),
    )
