"""The journal's disk full or unwritable, the ledger locked: paid calls wait for the journal and for nothing else."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.crowd import crowd
from harness.daemon import Daemon
from harness.faults import attach, detach, needs_strace, small_disk, take_all_space
from harness.http import Connection, Reply, request_bytes
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, OwnTime
from money_books import KEY, ask, books_of, eventually, priced, toll_config

QUICK = "openrouter/mock/echo?tokens=1&cost=0.001"
LONG = "openrouter/mock/slow?ttft=0.05&interval=0.05&tokens=40&cost=0.02"
LONGEST_BLOCK_SECONDS = 0.5
ENOUGH = 20
Breaks = Callable[[], Callable[[], None]]  # breaks something, and gives back what mends it


def config(mock: Mock, **members: Any) -> dict[str, Any]:
    providers = {
        "openrouter": mock.provider(), "zero": mock.provider("openai"), "free": mock.provider("openai", free=True)
    }  # fmt: skip
    nothing = {"target": "zero/echo", "price": {"input": 0, "output": 0}}
    return toll_config(
        mock,
        {"budgets": [{"usd": 50, "per": "total"}]},
        providers=providers,
        models={"quick": priced(QUICK, 10), "long": priced(LONG, 300), "nothing": nothing},
        **members,
    )


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose state directory is a disk of 6 MB."""
    with small_disk(tmp_path / "state", "6m"):
        yield tmp_path


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
    until = time.monotonic() + PATIENCE_SECONDS
    while (reply := quick(daemon)).status != 200:
        assert time.monotonic() < until, reply.raw
        time.sleep(0.05)
    return reply


@contextmanager
def longest_round_trip(daemon: Daemon) -> Iterator[list[float]]:
    """Ask /healthz all the time; the list holds how long each answer took, without what the machine made it wait."""
    took: list[float] = []
    ended = threading.Event()
    request = request_bytes("GET", "/healthz", (), None, f"127.0.0.1:{daemon.admin_port}")

    def probe() -> None:
        with Connection(daemon.admin_port) as connection:
            while not ended.wait(0.01):
                own_time = OwnTime(daemon.pid)
                connection.send(request)
                assert connection.read_reply("GET").status == 200
                took.append(own_time.seconds)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def enough(took: list[float]) -> None:
    """Wait until so many more answers have been measured that no block of the loop falls between them."""
    last = len(took) + ENOUGH
    until = time.monotonic() + PATIENCE_SECONDS
    while len(took) < last:
        assert time.monotonic() < until, "the admin port does not answer"
        time.sleep(0.01)


def live_through(daemon: Daemon, mock: Mock, breaks: Breaks, took: list[float]) -> tuple[list[Reply], Reply]:
    """Break the disk while a stream is under way, and mend it; every reply that was served, and the stream's."""
    served = [quick(daemon) for _ in range(5)]
    with daemon.open_chat("long", max_tokens=100, stream=True) as stream:
        head = stream.read_head()
        mend = breaks()
        more, refused = until_refused(daemon)
        served += more
        assert (refused.status, refused.error["code"]) == (503, "ledger_unavailable")
        assert refused.header("retry-after")
        assert ready(daemon) == 503
        assert daemon.chat("free/echo").status == daemon.chat("nothing").status == 200
        stream.read_body(head)
        assert head.complete
        assert head.body.endswith(b"data: [DONE]\n\n")
    enough(took)
    sent = len(mock.bill())
    assert quick(daemon).status == 503
    assert len(mock.bill()) == sent
    mend()
    served.append(healed(daemon))
    assert ready(daemon) == 200
    return served, head


def outage(daemon: Daemon, mock: Mock, breaks: Breaks) -> None:
    """Break the disk under load: nothing settled is lost, it heals by itself, and nobody waits for the disk."""
    with longest_round_trip(daemon) as took:
        served, streamed = live_through(daemon, mock, breaks, took)
    assert max(took) < LONGEST_BLOCK_SECONDS
    assert daemon.stop() == 0
    books = books_of(daemon)
    for reply in served:
        assert [row.source for row in books.of(reply.request_id)] == ["reported"]
    (row,) = books.of(streamed.request_id)
    assert (row.source, row.cost_pusd) == ("reported", 20_000_000_000)
    assert not books.held
    paid = sum((bill["cost"] for bill in mock.bill() if "cost=" in bill["model"]), Decimal(0))
    assert books.cost == paid == len(served) * Decimal("0.001") + Decimal("0.02")


def test_a_full_disk_refuses_paid_calls_loses_nothing_and_heals(on_small_disk: Path, mock: Mock) -> None:
    """Somebody reads the ledger meanwhile: whoever closes it last removes its log, and the disk would not stay full."""
    state = on_small_disk / "state"

    def breaks() -> Callable[[], None]:
        return take_all_space(state).unlink

    with (
        Daemon(config(mock, journal={"max_bytes": "1MiB"}), on_small_disk, key=KEY) as daemon,
        closing(sqlite3.connect(state / "ledger.db")) as reader,
    ):
        assert reader.execute("SELECT count(*) FROM attempts").fetchone() == (0,)
        outage(daemon, mock, breaks)


def test_a_disk_that_takes_no_writes_refuses_paid_calls_loses_nothing_and_heals(tmp_path: Path, mock: Mock) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:

        def breaks() -> Callable[[], None]:
            unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return lambda: resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited) and None

        outage(daemon, mock, breaks)


# A disk under open files is not remounted read-only, so that its answers are put in the kernel's mouth.
WRITES = "write,pwrite64,ftruncate,fallocate,fdatasync,fsync"


def failing(daemon: Daemon, places: Iterable[Path], calls: str, error: str) -> Callable[[], None]:
    """Let these system calls on these files fail from now on; what ends it."""
    named = [option for place in places for option in ("-P", str(place))]
    tracer = attach(daemon.pid, *named, "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}")
    return lambda: detach(tracer)


@needs_strace
def test_a_disk_that_becomes_read_only_refuses_paid_calls_loses_nothing_and_heals(tmp_path: Path, mock: Mock) -> None:
    journal = tmp_path / "state" / "journal"
    places = [journal, journal / "reserve", *(journal / f"{number:08}.log" for number in range(1, 50))]
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        outage(daemon, mock, lambda: failing(daemon, places, f"{WRITES},openat", "EROFS"))


def ledger_rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "state" / "ledger.db")) as ledger:
        found: int = ledger.execute("SELECT count(*) FROM attempts").fetchone()[0]
        return found


def spend(daemon: Daemon, mock: Mock, seconds: float) -> None:
    """Calls while the ledger takes nothing: each is served and in the journal, and none waits."""
    until = time.monotonic() + seconds
    served = []
    with longest_round_trip(daemon) as took:
        while time.monotonic() < until:
            served.append(quick(daemon))
            crowd(daemon, [ask("quick", stream=bool(n % 2)) for n in range(10)])
        enough(took)
    assert {reply.status for reply in served} == {200}
    assert ready(daemon) == 200
    assert max(took) < LONGEST_BLOCK_SECONDS
    assert books_of(daemon).cost == mock.billed()


@needs_strace
@pytest.mark.parametrize(("error", "calls"), [("ENOSPC", "pwrite64,fallocate"), ("EROFS", f"{WRITES},openat")])
def test_a_ledger_that_takes_no_writes_stops_nobody_and_catches_up(
    tmp_path: Path, mock: Mock, error: str, calls: str
) -> None:
    state = tmp_path / "state"
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert quick(daemon).status == 200
        eventually(daemon, lambda _: ledger_rows(tmp_path) == 1)
        mend = failing(daemon, [state / f"ledger.db{end}" for end in ("", "-wal", "-shm")], calls, error)
        spend(daemon, mock, 2)
        assert ledger_rows(tmp_path) == 1
        mend()
        eventually(daemon, lambda books: ledger_rows(tmp_path) == len(books.rows) == len(mock.bill()))
        assert daemon.stop() == 0


def test_a_ledger_locked_from_outside_stops_nobody(tmp_path: Path, mock: Mock) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert quick(daemon).status == 200
        eventually(daemon, lambda books: len(books.rows) == 1)
        with closing(sqlite3.connect(tmp_path / "state" / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            spend(daemon, mock, 2)
            assert other.execute("SELECT count(*) FROM attempts").fetchone()[0] <= 1
            other.execute("ROLLBACK")
        assert daemon.stop() == 0
        assert ledger_rows(tmp_path) == len(mock.bill())


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
