"""A start over a journal that holds what nobody expects: it is told, the worst is booked, and calls go on."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import msgspec
from harness.daemon import Daemon
from harness.mock import Mock
from money_books import KEY, USD, ask, books_of, priced, settled, toll_config

from proxy.stores.journal.frames import HEADER, checksum
from proxy.stores.journal.records import Settled
from proxy.stores.journal.segments import Reader, segment_numbers, segment_path

SLOW = "openrouter/mock/slow?ttft=0&interval=60&tokens=2&cost=0&misses=1"
CAP = {"usd": 10, "per": "total"}


def kill(daemon: Daemon) -> None:
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.stop()


def test_calls_of_nothing_in_flight_survive_a_kill(mock: Mock, tmp_path: Path) -> None:
    free = {"target": SLOW, "price": {"input": 0, "output": 0}}
    settings = toll_config(mock, {"budgets": [CAP]}, models={"m": free, "rest": priced("openrouter/mock/echo", 1)})
    with Daemon(settings, tmp_path, key=KEY) as daemon, ExitStack() as stack:
        streams = [stack.enter_context(daemon.open_chat("m", max_tokens=100, stream=True)) for _ in range(3)]
        for stream in streams:
            stream.read_until(b"token1")
        kill(daemon)
    assert [hold.amount_pusd for hold in books_of(daemon).held] == [0, 0, 0]
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        books = settled(daemon)
        assert len(books.rows) == 3 and books.cost == 0
        assert daemon.post("/v1/chat/completions", ask("rest")).status == 200
        assert daemon.stop() == 0


def test_a_settlement_that_cannot_be_read_is_booked_at_its_hold_and_told(mock: Mock, tmp_path: Path) -> None:
    settings = toll_config(mock, {"budgets": [CAP]}, models={"m": priced("openrouter/mock/echo?cost=0.001")})
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        asked = [daemon.post("/v1/chat/completions", ask("m")) for _ in range(2)]
        kill(daemon)
    journal, state = tmp_path / "state" / "journal", tmp_path / "state"
    (state / "ledger.db").unlink(missing_ok=True)
    for side in ("-wal", "-shm"):
        (state / f"ledger.db{side}").unlink(missing_ok=True)
    spoil(journal, asked[0].request_id)
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        told = daemon.wait_for_log(lambda line: line.get("event") == "journal_problem")
        assert "does not know" in told["reason"]
        books = settled(daemon)
        costs = {reply.request_id: [row.cost_pusd for row in books.of(reply.request_id)] for reply in asked}
        assert list(costs.values()) == [[3 * USD // 100], [USD // 1000]]
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        assert daemon.stop() == 0


def test_a_block_of_the_journal_that_is_lost_costs_the_calls_whose_ends_were_there_and_no_others(
    mock: Mock, tmp_path: Path
) -> None:
    """The rest of its segment is read: before, all that came behind was charged what it had held, or not at all."""
    settings = toll_config(mock, {"budgets": [CAP]}, models={"m": priced("openrouter/mock/echo?cost=0.001")})
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        asked = [daemon.post("/v1/chat/completions", ask("m")) for _ in range(8)]
        kill(daemon)
    state = tmp_path / "state"
    for file in state.glob("ledger.db*"):
        file.unlink()
    (segment,) = (state / "journal").glob("*.log")
    places = [place for place, record in Reader(state / "journal") if isinstance(record, Settled)]
    with segment.open("r+b") as file:
        file.seek(places[2].offset - 40)
        file.write(bytes(80))
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        told = daemon.wait_for_log(lambda line: line.get("event") == "journal_problem")
        assert "bytes that are no record; those behind them were read" in told["reason"]
        books = settled(daemon)
        sources = [[row.source for row in books.of(reply.request_id)] for reply in asked]
        assert sources[:2] + sources[4:] == [["reported"]] * 6
        assert sources[2] == ["interrupted"]
        assert daemon.stop() == 0
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        assert books_of(daemon).cost == books.cost
        assert daemon.stop() == 0


def spoil(journal: Path, request_id: str) -> None:
    """Make the end of one call a record of a version that does not exist."""
    (number,) = segment_numbers(journal)
    frames = []
    for _, record in Reader(journal):
        payload = msgspec.msgpack.encode(record)
        if isinstance(record, Settled) and record.row.request_id == request_id:
            payload = payload.replace(b"settled", b"paid-up", 1)
        frames.append(HEADER.pack(len(payload), checksum(payload)) + payload)
    segment_path(journal, number).write_bytes(b"".join(frames))
