"""The journal's disk full or unwritable, the ledger locked: paid calls wait for the journal and for nothing else."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.crowd import crowd
from harness.daemon import Daemon
from harness.http import Connection, Reply, request_bytes
from harness.mock import Mock
from money_books import KEY, ask, books_of, eventually, priced, toll_config

QUICK = "openrouter/mock/echo?tokens=1&cost=0.001"
LONG = "openrouter/mock/slow?ttft=0.05&interval=0.05&tokens=40&cost=0.02"
HEALS_SECONDS = 10.0
LONGEST_BLOCK_SECONDS = 0.25
PAGE = 4096


def config(mock: Mock, **members: Any) -> dict[str, Any]:
    providers = {"openrouter": mock.provider(), "free": mock.provider("openai", free=True)}
    return toll_config(
        mock,
        {"budgets": [{"usd": 50, "per": "total"}]},
        providers=providers,
        models={"quick": priced(QUICK, 10), "long": priced(LONG, 300)},
        **members,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A state directory of 6 MB."""
    disk = tmp_path / "state"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield tmp_path
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            return filler


def quick(daemon: Daemon) -> Reply:
    return daemon.post("/v1/chat/completions", ask("quick"))


def until_refused(daemon: Daemon) -> tuple[list[Reply], Reply]:
    """Calls until one is refused: what fits into the page under way is still taken."""
    served = []
    for _ in range(4000):
        reply = quick(daemon)
        if reply.status != 200:
            return served, reply
        served.append(reply)
    raise AssertionError("a journal that cannot be written refuses nothing")


def ready(daemon: Daemon) -> int:
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes("GET", "/readyz", (), None, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply("GET").status


def healed(daemon: Daemon) -> Reply:
    until = time.monotonic() + HEALS_SECONDS
    while (reply := quick(daemon)).status != 200:
        assert time.monotonic() < until, reply.raw
        time.sleep(0.05)
    return reply


def outage(daemon: Daemon, mock: Mock, breaks: Callable[[], Callable[[], None]]) -> None:
    """Break the disk while a stream is under way; nothing settled is lost, and it heals by itself."""
    served = [quick(daemon) for _ in range(5)]
    with daemon.open_chat("long", max_tokens=100, stream=True) as stream:
        head = stream.read_head()
        mend = breaks()
        more, refused = until_refused(daemon)
        served += more
        assert (refused.status, refused.error["code"]) == (503, "ledger_unavailable")
        assert refused.header("retry-after")
        assert ready(daemon) == 503
        assert daemon.chat("free/echo").status == 200
        stream.read_body(head)
        assert head.complete
        assert head.body.endswith(b"data: [DONE]\n\n")
    sent = len(mock.bill())
    assert quick(daemon).status == 503
    assert len(mock.bill()) == sent
    mend()
    served.append(healed(daemon))
    assert ready(daemon) == 200
    assert daemon.stop() == 0
    books = books_of(daemon)
    for reply in served:
        assert [row.source for row in books.of(reply.request_id)] == ["reported"]
    (row,) = books.of(head.request_id)
    assert (row.source, row.cost_pusd) == ("reported", 20_000_000_000)
    assert not books.held
    paid = sum((bill["cost"] for bill in mock.bill() if "cost=" in bill["model"]), Decimal(0))
    assert books.cost == paid == len(served) * Decimal("0.001") + Decimal("0.02")


def test_a_full_disk_refuses_paid_calls_loses_nothing_and_heals(small_disk: Path, mock: Mock) -> None:
    def breaks() -> Callable[[], None]:
        return fill(small_disk / "state").unlink

    with Daemon(config(mock, journal={"max_bytes": "1MiB"}), small_disk, key=KEY) as daemon:
        outage(daemon, mock, breaks)


def test_a_disk_that_takes_no_writes_refuses_paid_calls_loses_nothing_and_heals(tmp_path: Path, mock: Mock) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:

        def breaks() -> Callable[[], None]:
            unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return lambda: resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited) and None

        outage(daemon, mock, breaks)


@contextmanager
def longest_round_trip(daemon: Daemon) -> Iterator[list[float]]:
    """Ask /healthz all the time; the list holds how long each answer took."""
    took: list[float] = []
    ended = threading.Event()
    request = request_bytes("GET", "/healthz", (), None, f"127.0.0.1:{daemon.admin_port}")

    def probe() -> None:
        with Connection(daemon.admin_port) as connection:
            while not ended.wait(0.01):
                began = time.monotonic()
                connection.send(request)
                assert connection.read_reply("GET").status == 200
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def test_a_ledger_locked_from_outside_stops_nobody(tmp_path: Path, mock: Mock) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        served = [quick(daemon)]
        eventually(daemon, lambda books: len(books.rows) == 1)
        with closing(sqlite3.connect(tmp_path / "state" / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = time.monotonic() + 2
            with longest_round_trip(daemon) as took:
                while time.monotonic() < until:
                    served.append(quick(daemon))
                    crowd(daemon, [ask("quick", stream=bool(n % 2)) for n in range(10)])
            rows = other.execute("SELECT count(*) FROM attempts").fetchone()[0]
            assert {reply.status for reply in served} == {200}
            assert ready(daemon) == 200
            assert rows <= 1
            assert len(took) > 20
            assert max(took) < LONGEST_BLOCK_SECONDS
            assert books_of(daemon).cost == mock.billed()
            other.execute("ROLLBACK")
        assert daemon.stop() == 0
        with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
            assert ledger.execute("SELECT count(*) FROM attempts").fetchone()[0] == len(mock.bill())


def test_a_damaged_ledger_is_kept_and_stops_nobody(tmp_path: Path, mock: Mock) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert quick(daemon).status == 200
        assert daemon.stop() == 0
    ledger = tmp_path / "state" / "ledger.db"
    damaged = b"no database at all" * 1000
    ledger.write_bytes(damaged)
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert quick(daemon).status == 200
        assert ready(daemon) == 503
        assert daemon.stop() == 0
    assert ledger.read_bytes() == damaged
