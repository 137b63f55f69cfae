"""`journal: {fsync: always}`: a hold is on disk before its request goes out. What was not sent costs nothing, whatever the disk does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.daemon import Daemon
from harness.events import chat_reply
from harness.faults import attach, detach, needs_strace
from harness.http import Connection, request_bytes
from harness.setting import CLIENT_KEY
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream
from money_books import KEY, ask, eventually, priced, settled, toll_config
from money_calls import TOKENS, sources_config

ALWAYS = {"fsync": "always"}
LONG_MICROSECONDS = 5_000_000

pytestmark = needs_strace


def config(mock: Any) -> dict[str, Any]:
    return toll_config(
        mock, {"budgets": [{"usd": 50, "per": "total"}]}, models={"m": priced("openrouter/mock/echo")}, journal=ALWAYS
    )


@contextmanager
def syncing(daemon: Daemon, how: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let every sync of a segment end like this: `error=EIO`, or `delay_enter=` microseconds."""
    segments = [daemon.folder / "state" / "journal" / f"{number:08}.log" for number in range(1, 50)]
    places = [option for segment in segments for option in ("-P", str(segment))]
    tracer = attach(daemon.pid, *places, "-e", "trace=fdatasync", "-e", f"inject=fdatasync:{how}")
    try:
        yield tracer
    finally:
        if tracer.poll() is None:
            detach(tracer)


def wait_until_sent(daemon: Daemon) -> None:
    """Wait until a call has been prepared, and waits for the disk."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        with Connection(daemon.admin_port) as connection:
            connection.send(request_bytes("GET", "/calls", (), None, f"127.0.0.1:{daemon.admin_port}"))
            calls = connection.read_reply("GET").json["calls"]
        if [call["phase"] for call in calls] == ["sent"]:
            return
        assert time.monotonic() < until, calls
        time.sleep(0.01)


def test_a_call_refused_because_its_hold_did_not_reach_the_disk_is_not_charged_after_a_kill(
    mock: Any, tmp_path: Path
) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        with syncing(daemon, "error=EIO"):
            refused = daemon.post("/v1/chat/completions", ask("m"))
            assert (refused.status, refused.error["code"]) == (503, "ledger_unavailable")
        os.kill(daemon.pid, signal.SIGKILL)
    assert len(mock.bill()) == 1
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        books = eventually(daemon, lambda books: not books.held and bool(books.of(refused.request_id)))
        assert books.cost == mock.billed()
        assert [row.source for row in books.of(refused.request_id)] == ["none"]


def test_a_client_that_leaves_while_its_hold_is_on_its_way_to_the_disk_pays_nothing(mock: Any, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        with syncing(daemon, f"delay_enter={LONG_MICROSECONDS}"), daemon.open_chat("m", max_tokens=100):
            wait_until_sent(daemon)
        books = eventually(daemon, lambda books: bool(books.rows) and not books.held)
        assert [(row.source, row.cost_pusd) for row in books.rows.values()] == [("none", 0)]
        assert mock.bill() == []
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        assert settled(daemon).cost == mock.billed()


def test_a_connection_that_is_closed_while_the_disk_is_waited_for_is_replaced(
    upstream: Upstream, tmp_path: Path
) -> None:
    with Daemon({**sources_config(upstream), "journal": ALWAYS}, tmp_path, key=CLIENT_KEY) as daemon:
        upstream.expect(json_reply(chat_reply(usage=TOKENS)), again=True)
        assert daemon.chat("direct", max_tokens=100).status == 200
        with syncing(daemon, "delay_enter=1000000"), daemon.open_chat("direct", max_tokens=100) as call:
            wait_until_sent(daemon)
            upstream.hang_up()
            reply = call.read_reply("POST")
        assert reply.status == 200
        rows = settled(daemon).of(reply.request_id)
        assert [(row.source, row.outcome) for row in rows] == [("none", "stale_connection"), ("computed", "200")]


def test_an_answer_is_given_even_where_its_settlement_does_not_reach_the_disk(mock: Any, tmp_path: Path) -> None:
    """It is paid for. Its hold is on disk."""
    slow = {"models": {"m": priced("openrouter/mock/slow?ttft=1&tokens=1&interval=0.01")}}
    with Daemon({**config(mock), **slow}, tmp_path, key=KEY) as daemon:
        with daemon.open_chat("m", max_tokens=100) as call:
            wait_until_sent(daemon)
            while not mock.bill():
                time.sleep(0.01)
            with syncing(daemon, "error=EIO"):
                assert call.read_reply("POST").status == 200
        assert settled(daemon).cost == mock.billed()
