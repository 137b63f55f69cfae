"""A ledger with many rows or keys: what a daemon or command really made, copied many times."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections import Counter
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
from proxy.stores.ledger import asked_quarters, label_rollups
from proxy.stores.ledger.alike import MINUTE_MS, NAMES
from proxy.stores.ledger.histogram import histogram_of, merged, text_of
from proxy.stores.ledger.rollups import CUBES, MEASURES, MINUTES_KEPT, MINUTES_PER_DAY, MINUTES_PER_HOUR
from proxy.stores.secrets.hash_key import hash_key, keyed_hash

KEYS, MODELS = 20, 50
_CALLS = KEYS * MODELS
_DAYS = 30
_QUARTERS = _DAYS * 96
_DAY_MS = 86_400_000
_SHIFTED = {"sums": ("quarter", _QUARTERS), "sums_by_quarter": ("quarter", _QUARTERS), "sums_by_day": ("day", _DAYS)}
_IN_SESSIONS, _FLAGGED = "m-0", "m-1"  # a model whose calls are those of agents, one whose replies are flagged
_MIXTURES = 16  # mixtures of how long calls took


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
        database.create_function("merged", 2, merged, deterministic=True)
        _copy_attempts(database, copies=rows // _CALLS)
        _add_sessions_and_flags(database)
        _roll_up(database, copies=rows // _CALLS)
        _roll_up_labels(database)
        for table, (column, most) in _SHIFTED.items():
            _copy_sums(database, table, column, min(most, rows // _CALLS))
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


def _roll_up(database: sqlite3.Connection, copies: int) -> None:
    """Bring the copies into the roll-ups, as folding would have."""
    begun = database.execute("SELECT min(minute) FROM rollup_minutes").fetchone()[0]
    measures = ", ".join(f'sum("{name}") AS "{name}"' for name in MEASURES)
    for cube, of_cube in enumerate(CUBES):
        names = ", ".join(f'"{name}"' if name in of_cube else f"'' AS \"{name}\"" for name in NAMES)
        grouped = ", ".join(str(number + 2) for number in range(len(NAMES)))
        made = f"SELECT {cube} AS cube, {names}, {measures} FROM rollup_minutes GROUP BY {grouped}"
        database.execute(f"INSERT INTO made {made}" if cube else f"CREATE TEMP TABLE made AS {made}")
    ages = [(copies - copy) * _step_ms(copies) // MINUTE_MS for copy in range(copies)]
    for unit, minutes in (("minute", 1), ("hour", MINUTES_PER_HOUR), ("day", MINUTES_PER_DAY)):
        moments = Counter((begun - age) // minutes for age in ages if minutes > 1 or age < MINUTES_KEPT)
        mixtures = {number: [_times(number) for _ in range(_MIXTURES)] for number in set(moments.values())}
        for moment, number in sorted(moments.items()):
            _add_made(database, unit, moment, number, mixtures[number][moment % _MIXTURES])
    database.execute("UPDATE rollup_state SET folded = ?", (begun,))


def _roll_up_labels(database: sqlite3.Connection) -> None:
    """Bring the copies into the sums by session and flag, and what was asked when, as a daemon does after an upgrade. The
    other sums have them."""
    database.execute("DELETE FROM rollup_labels")
    newest = "(SELECT max(seq) FROM attempts)"
    database.execute(
        f"UPDATE rollup_state SET labels_until_seq = {newest}, asked_until_seq = {newest}, summed_seq = {newest}"  # noqa: S608
    )
    while label_rollups.fill(database) or asked_quarters.fill(database):
        pass


def _add_made(database: sqlite3.Connection, unit: str, moment: int, number: int, times: tuple[str, str]) -> None:
    """What was made, so many times at this moment."""
    names = ", ".join(f'"{name}"' for name in (*(() if unit == "minute" else ("cube",)), *NAMES))
    measures, sums = (", ".join(f'"{name}"{of}' for name in MEASURES) for of in ("", f" * {number}"))
    database.execute(
        f"INSERT INTO rollup_{unit}s ({unit}, {names}, {measures}, first_token_ms, total_ms) "
        f"SELECT ?, {names}, {sums}, ?, ? FROM made {'WHERE cube = 0' if unit == 'minute' else ''}",
        (moment, *times),
    )


def _times(number: int) -> tuple[str, str]:
    """Histograms of first tokens and of whole calls, of so many."""
    whole = [int(random.lognormvariate(7.5, 0.6)) for _ in range(number)]
    return text_of(sum(histogram_of(took // 4) for took in whole)), text_of(sum(map(histogram_of, whole)))


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
