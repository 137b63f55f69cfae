"""A ledger with many rows or keys: what a daemon or command really made, copied many times."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
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
from proxy.stores import rollups
from proxy.stores.database import connect
from proxy.stores.hash_key import hash_key, keyed_hash
from proxy.stores.histogram import histogram_of
from proxy.stores.rollups import MEASURES, MINUTE_MS, MINUTES_PER_HOUR, NAMES, Place, Sums

KEYS, MODELS = 20, 50
_CALLS = KEYS * MODELS
_DAYS = 30
_QUARTERS = _DAYS * 96
_DAY_MS = 86_400_000
_SHIFTED = {"sums": ("quarter", _QUARTERS), "sums_by_quarter": ("quarter", _QUARTERS), "sums_by_day": ("day", _DAYS)}
_IN_SESSIONS, _FLAGGED = "m-0", "m-1"  # a model whose calls are those of agents, one whose replies are flagged
_TIMES = 16  # mixtures of how long calls took


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
    grown = Grown(KEYS, MODELS)
    add_keys(folder, bench.upstreams.plain, KEYS)
    with running(partial(tollkeeper.start, grown=grown), folder, bench.upstreams.plain) as contender:
        caller = Caller(contender.whole.port)
        doors = grown.doors(contender.whole)
        for number in range(_CALLS):
            # every key with every model: the two lists have a length in common
            door = doors[number % MODELS]._replace(key=doors[number // MODELS].key)
            caller.call(small_request(door))
        caller.close()
    with closing(sqlite3.connect(folder / "state" / "ledger.db")) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        _copy_attempts(database, copies=rows // _CALLS)
        _add_sessions_and_flags(database)
        for table, (column, most) in _SHIFTED.items():
            _copy_sums(database, table, column, min(most, rows // _CALLS))
    _roll_up(folder / "state" / "ledger.db", copies=rows // _CALLS)
    print(f"{rows:,} rows in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in database.execute(f"PRAGMA table_info({table})")]


def _copy_attempts(database: sqlite3.Connection, copies: int) -> None:
    """Every copy is earlier than the calls themselves, and has ids of its own; the oldest comes first."""
    changed = {
        "seq": "NULL",
        "id": "printf('%07d-', copy) || id",
        "request_id": "printf('%07d-', copy) || request_id",
        "at_ms": f"at_ms - ({copies} - copy) * {_step_ms(copies)}",
        "total_ms": "200 + abs(random()) % 6000",
        "first_token_ms": "100 + abs(random()) % 900",
        "session": f"CASE WHEN model = '{_IN_SESSIONS}' THEN 'agent-' || (copy / 10) ELSE '' END",
    }
    columns = _columns(database, "attempts")
    _copy(database, "attempts", ", ".join(changed.get(column, column) for column in columns), copies)


def _step_ms(copies: int) -> int:
    """How far a copy lies behind the one before it."""
    return _DAYS * _DAY_MS // max(1, copies)


def _add_sessions_and_flags(database: sqlite3.Connection) -> None:
    """Of some copied calls, as the daemon would have kept them."""
    columns = _columns(database, "sums_by_session")
    sums = {"quarter": "at_ms / 900000", "calls": "sum(counts_call)", "attempts": "count(*)"}
    values = [sums.get(c, f"sum({c})" if c in (*MEASURES, "saved_pusd") else f'"{c}"') for c in columns]
    names = ", ".join(
        str(number + 1) for number, value in enumerate(values) if "sum(" not in value and "count(" not in value
    )
    database.execute(
        f"INSERT OR IGNORE INTO sums_by_session SELECT {', '.join(values)} FROM attempts "
        f"WHERE model = '{_IN_SESSIONS}' AND session != '' GROUP BY {names}"
    )
    database.execute(
        f"INSERT OR IGNORE INTO flags SELECT request_id, 'refusal', at_ms FROM attempts WHERE model = '{_FLAGGED}'"
    )


def _roll_up(path: Path, copies: int) -> None:
    """Bring the copies into the roll-ups: by the minute as far back as these are kept, before that by the hour."""
    with closing(connect(path)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        names, sums = (", ".join(f'"{name}"' for name in NAMES)), ", ".join(f'sum("{name}")' for name in MEASURES)
        made = database.execute(f"SELECT {names}, {sums} FROM rollup_minutes GROUP BY {names}").fetchall()
        newest = database.execute("SELECT max(minute) FROM rollup_minutes").fetchone()[0]
        database.execute("UPDATE rollup_state SET folded = ?", (newest,))
        moments = Counter(
            _unit(newest - (copies - copy) * _step_ms(copies) // MINUTE_MS, newest) for copy in range(copies)
        )
        mixtures = {number: [_times(number) for _ in range(_TIMES)] for number in set(moments.values())}
        for moment, number in sorted(moments.items()):
            rollups.add(database, dict(_sums(made, moment, number, mixtures[number])))
        database.execute("COMMIT")


def _unit(minute: int, newest: int) -> int:
    return minute if minute >= newest - rollups.MINUTES_KEPT else minute - minute % MINUTES_PER_HOUR


def _times(number: int) -> tuple[int, int]:
    """Histograms of first tokens and of whole calls, of so many."""
    whole = [int(random.lognormvariate(7.5, 0.6)) for _ in range(number)]
    return sum(histogram_of(took // 4) for took in whole), sum(histogram_of(took) for took in whole)


def _sums(
    made: list[tuple[int | str, ...]], moment: int, number: int, times: list[tuple[int, int]]
) -> Iterator[tuple[Place, Sums]]:
    """What was made, so many times at this moment."""
    for at, row in enumerate(made):
        sums = Sums()
        sums.counts = [int(count) * number for count in row[len(NAMES) :]]
        sums.first_token, sums.total = times[at % len(times)]
        yield (moment, tuple(str(name) for name in row[: len(NAMES)])), sums


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
