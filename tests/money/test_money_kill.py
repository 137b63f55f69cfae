"""Killed at any instant: what a client has seen the end of is booked once, and nothing stays held."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.crowd import Answer, crowd, gather
from harness.daemon import Daemon
from harness.faults import attach, needs_strace
from harness.http import Connection, request_bytes
from harness.mock import Mock
from money_books import KEY, USD, Books, ask, books_of, eventually, priced, settled, toll_config

KILLS = int(os.environ.get("FAULTS", "20"))
RUNS = 2
CLIENTS = 16
STREAMS = 300
CAP = {"usd": 1000, "per": "total"}
BUSY = "openrouter/mock/slow?ttft=0.02&interval=0.005&tokens=8&cost=0.004&misses=0"
RESOLVED_SECONDS = 60.0


def config(mock: Mock) -> dict[str, Any]:
    models = {"m": priced(BUSY), "rest": priced("openrouter/mock/echo?cost=0", 1)}
    return toll_config(mock, {"budgets": [CAP]}, models=models)


async def load_until_killed(daemon: Daemon, seconds: float, least: int) -> list[Answer]:
    """Clients call one after the other, streamed and not, until SIGKILL ends the daemon, after so long and so many answers
    at the least; what they saw."""
    seen: list[Answer] = []

    async def client(number: int) -> None:
        while True:
            (answer,) = await gather(daemon, [ask("m", stream=bool(number % 2))])
            seen.append(answer)
            if not answer.framed:
                return

    clients = [asyncio.ensure_future(client(number)) for number in range(CLIENTS)]
    await asyncio.sleep(seconds)
    while len(seen) < least:
        await asyncio.sleep(0.01)
    os.kill(daemon.pid, signal.SIGKILL)
    await asyncio.gather(*clients)
    return seen


def check_acknowledged(books: Books, seen: list[Answer]) -> None:
    """Whose end was seen is in the books once, at its price."""
    ended = [answer for answer in seen if answer.whole]
    assert all(answer.status == 200 for answer in ended)
    for answer in ended:
        assert [(row.source, row.cost_pusd) for row in books.of(answer.request_id)] == [("reported", 4 * USD // 1000)]


def check_against_bill(books: Books, mock: Mock) -> None:
    """Each call the provider knows is booked at what it billed, or at its hold where nobody could tell which it was."""
    bill = {row["id"]: row["cost"] for row in mock.bill()}
    known = {row.upstream_id: Decimal(row.cost_pusd) / USD for row in books.rows.values() if row.upstream_id}
    assert {name: cost for name, cost in known.items() if cost != bill[name]} == {}
    nameless = [row for row in books.rows.values() if not row.upstream_id]
    unknown = Counter(cost for name, cost in bill.items() if name not in known)
    asked = Counter(Decimal(row.cost_pusd) / USD for row in nameless if row.source == "looked_up")
    assert asked <= unknown
    at_hold = [row for row in nameless if row.source != "looked_up"]
    assert {row.source for row in at_hold} <= {"interrupted"}
    assert all(row.cost_pusd == row.hold_pusd for row in at_hold)
    assert (unknown - asked).total() <= len(at_hold)
    assert books.cost >= mock.billed()


def check_counters(daemon: Daemon, books: Books) -> None:
    """The budget has spent what the rows say, in the files and in the running daemon: the rest fits, a token more does not."""
    assert all(books.spent_by(name) == books.cost for name, _ in books.spent)
    left = int((CAP["usd"] - books.cost) * 1_000_000)
    assert daemon.post("/v1/chat/completions", ask("rest", max_tokens=left + 1)).status == 402
    assert daemon.post("/v1/chat/completions", ask("rest", max_tokens=left)).status == 200


@pytest.mark.timeout(300 + 3 * KILLS)
@pytest.mark.parametrize("run", range(RUNS))
def test_random_kills_under_load_lose_nothing_and_hold_nothing(mock: Mock, tmp_path: Path, run: int) -> None:
    dice = random.Random(run)
    seen: list[Answer] = []
    for number in range(KILLS // RUNS):
        least = 6 * (number % 2)  # every other time, however early it is, and however slow the machine
        with Daemon(config(mock), tmp_path, key=KEY) as daemon:
            seen += asyncio.run(load_until_killed(daemon, dice.uniform(0.02, 0.6), least))
        check_acknowledged(books_of(daemon), seen)
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        books = eventually(daemon, lambda books: not books.held, RESOLVED_SECONDS)
        check_acknowledged(books, seen)
        check_against_bill(books, mock)
        check_counters(daemon, books)
        assert daemon.stop() == 0
    assert len([answer for answer in seen if answer.whole]) > KILLS
    assert set(books.sources) <= {"reported", "looked_up", "interrupted"}


def test_a_kill_charges_nothing_of_what_had_not_been_sent(mock: Mock, tmp_path: Path) -> None:
    """A hold is written as its request goes out: calls that still wait for a connection are charged nothing."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # accepts nobody: what it has no room for gets no answer at all
        address = full.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        far = {"kind": "openrouter", "api_key": "sk-or", "base_url": f"http://127.0.0.1:{address[1]}/api/v1"}
        settings = toll_config(mock, {"budgets": [CAP]}, models={"m": priced("far/openai/gpt-4o")})
        settings["providers"]["far"] = {**far, "timeouts": {"connect": 60}}
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            for _ in range(5):
                stack.enter_context(daemon.open_chat("m", max_tokens=100))
            wait_until_sent(daemon, 5)
            os.kill(daemon.pid, signal.SIGKILL)
        with Daemon(settings, tmp_path, key=KEY) as daemon:
            books = settled(daemon)
            assert (books.cost, books.rows, books.held) == (0, {}, [])


def wait_until_sent(daemon: Daemon, calls: int) -> None:
    """Wait until so many calls are on their way."""
    end = time.monotonic() + RESOLVED_SECONDS
    while True:
        with Connection(daemon.admin_port) as connection:
            connection.send(request_bytes("GET", "/calls", (), None, f"127.0.0.1:{daemon.admin_port}"))
            live = connection.read_reply("GET").json
        if [call["phase"] for call in live["calls"]].count("sent") == calls:
            return
        assert time.monotonic() < end, live
        time.sleep(0.05)


SWEEP = {"write": range(1, 41, 5), "pwrite64": range(1, 7, 3), "fdatasync": range(1, 3)}
POINTS = [(call, at) for call, places in SWEEP.items() for at in places]
ALL_POINTS = [(call, at) for call, places in SWEEP.items() for at in range(1, places.stop)]


@needs_strace
@pytest.mark.parametrize(("call", "at"), ALL_POINTS if KILLS > 20 else POINTS)
def test_a_kill_at_any_write_loses_nothing_a_client_has_seen(mock: Mock, tmp_path: Path, call: str, at: int) -> None:
    seen: list[Answer] = []
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        tracer = attach(daemon.pid, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={at}")
        for number in range(12):
            seen += crowd(daemon, [ask("m", stream=bool(number % 2))])
            if not seen[-1].framed:
                break
        tracer.kill()  # it waits for threads whose end only their parent may see
        tracer.wait()
    assert not seen[-1].framed, "the script never came to that write"
    check_acknowledged(books_of(daemon), seen)
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        books = eventually(daemon, lambda books: not books.held, RESOLVED_SECONDS)
        check_acknowledged(books, seen)
        check_against_bill(books, mock)
        check_counters(daemon, books)


def test_more_streams_than_anybody_is_asked_about_at_once_are_all_looked_up(mock: Mock, tmp_path: Path) -> None:
    slow = "openrouter/mock/slow?ttft=0&interval=60&tokens=2&cost=0.004&misses=0&bills_after_disconnect=1"
    settings = toll_config(mock, {"budgets": [CAP]}, models={"m": priced(slow)})
    with Daemon(settings, tmp_path, key=KEY) as daemon, ExitStack() as stack:
        streams = [stack.enter_context(daemon.open_chat("m", max_tokens=100, stream=True)) for _ in range(STREAMS)]
        for stream in streams:
            stream.read_until(b"token1")
        os.kill(daemon.pid, signal.SIGKILL)
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        books = settled(daemon)
    assert books.sources == {"looked_up": STREAMS}
    assert books.cost == mock.billed() == STREAMS * Decimal("0.004")
