"""SIGTERM with two hundred streams open: what ends within the window ends whole, the rest is cut, all of it is booked."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from harness.crowd import Answer, gather
from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from money_books import Books, StartToll, ask, books_of, eventually, priced

STREAMS = 200
WINDOW_SECONDS = 10
BEYOND_WINDOW_SECONDS = 60.0  # on a busy machine
# longer than it takes until all have begun, and well within the window
BRIEF = "openrouter/mock/slow?ttft=0.05&interval=2&tokens=4&cost=0.004"
ENDLESS = "openrouter/mock/slow?ttft=0.05&interval=2&tokens=400&cost=0.004&misses=0"
ALICE = {"budgets": [{"usd": 1000, "per": "total"}]}
MODELS = {
    "brief": priced(BRIEF),
    "endless": priced(ENDLESS),
    "late": priced(ENDLESS.replace("misses=0", "misses=9")),
}


async def all_begun(mock: Mock, number: int) -> None:
    """Wait until the provider has begun so many answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(await asyncio.to_thread(mock.bill)) < number:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


async def streams_cut(daemon: Daemon, mock: Mock, models: Sequence[str], signals: int) -> tuple[list[Answer], float]:
    """Open a stream of each model, end the daemon; what the clients saw, and how long the end took."""
    bodies = [ask(model, stream=True, max_tokens=1000) for model in models]
    reading = asyncio.ensure_future(gather(daemon, bodies))
    await all_begun(mock, len(models))
    began = time.monotonic()
    for _ in range(signals):
        daemon.signal_stop()
        await asyncio.to_thread(daemon.wait_for_log, lambda line: line["event"] == "stopping")
    assert await asyncio.to_thread(daemon.stop) == 0
    return await reading, time.monotonic() - began


def check_all_settled(books: Books, mock: Mock, number: int) -> None:
    """Every stream is booked once, at what the provider billed, and nothing is held."""
    assert books.held == []
    assert len(books.rows) == number
    assert books.cost == mock.billed()
    assert set(books.sources) <= {"reported", "looked_up"}


def stopped(daemon: Daemon) -> dict[str, Any]:
    line = daemon.wait_for_log(lambda line: line["event"] == "stopped")
    return {name: line[name] for name in ("finished", "cut", "refused", "ledger_complete")}


def is_cut(answer: Answer) -> bool:
    return not answer.framed and answer.body.rpartition(b"data: ")[2].find(b'"shutting_down"') > 0


def test_streams_shorter_than_the_window_end_whole_and_none_is_left_unsettled(
    start_toll: StartToll, mock: Mock
) -> None:
    daemon = start_toll(alice=ALICE, models=MODELS, shutdown={"drain": WINDOW_SECONDS})
    models = ["brief", "endless"] * (STREAMS // 2)
    answers, took = asyncio.run(streams_cut(daemon, mock, models, signals=1))
    assert WINDOW_SECONDS <= took <= WINDOW_SECONDS + BEYOND_WINDOW_SECONDS
    assert [answer.status for answer in answers] == [200] * STREAMS
    assert all(answer.whole for answer in answers[::2])
    assert all(map(is_cut, answers[1::2]))
    half = STREAMS // 2
    assert stopped(daemon) == {"finished": half, "cut": half, "refused": 0, "ledger_complete": True}
    check_all_settled(books_of(daemon), mock, STREAMS)


def test_a_second_sigterm_cuts_all_at_once_and_settles_them(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(alice=ALICE, models=MODELS, shutdown={"drain": 300})
    answers, took = asyncio.run(streams_cut(daemon, mock, ["endless"] * STREAMS, signals=2))
    assert took <= BEYOND_WINDOW_SECONDS
    # on a busy machine the provider may have begun an answer of which no byte has reached its client yet
    assert all(is_cut(answer) or (answer.status == 503 and b"shutting_down" in answer.body) for answer in answers)
    assert stopped(daemon) == {"finished": 0, "cut": STREAMS, "refused": 0, "ledger_complete": True}
    check_all_settled(books_of(daemon), mock, STREAMS)


@pytest.mark.parametrize("model", ["endless", "late"])
def test_a_locked_ledger_does_not_hold_up_the_end_and_loses_nothing(
    start_toll: StartToll, mock: Mock, model: str
) -> None:
    daemon = start_toll(alice=ALICE, models=MODELS, shutdown={"drain": 1})
    with closing(sqlite3.connect(daemon.folder / "state" / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers, took = asyncio.run(streams_cut(daemon, mock, [model], signals=1))
        assert took <= 1 + BEYOND_WINDOW_SECONDS
        assert is_cut(answers[0])
        assert stopped(daemon)["ledger_complete"] is False
        books = books_of(daemon)
        assert books.held == []
        assert books.of(answers[0].request_id)
        other.execute("ROLLBACK")
    again = start_toll(alice=ALICE, models=MODELS, folder=daemon.folder)
    assert again.stop() == 0
    assert stopped(again)["ledger_complete"] is True
    later = eventually(again, lambda books: not books.held)
    assert later.of(answers[0].request_id) == books.of(answers[0].request_id)
    assert (later.cost == mock.billed()) is (model == "endless")
