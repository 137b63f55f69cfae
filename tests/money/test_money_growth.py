"""Streams that outgrow their hold: more is held while money is free, else they end there and then."""

from __future__ import annotations

import json
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, usage_chunk
from harness.setting import CLIENT_KEY, config_for
from harness.steps import LAST_CHUNK, chunk, hang, say, sse_apart, stream_head, then, wait_at
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream
from money_books import StartToll, books_of, eventually, settled

WORDS = 350
WORD = chunk(chat_chunk(" word"))


def config(upstream: Upstream, usd: float) -> dict[str, Any]:
    """An answer costs $0.001 a token, so that a maximum of 100 holds $0.10."""
    return config_for(
        upstream,
        keys={"alice": {"key": CLIENT_KEY, "budgets": [{"usd": usd, "per": "month"}]}},
        models={"m": {"target": "oai/house-model", "price": {"input": 0, "output": 1000}}},
        retries={"attempts": 1},
    )


def test_more_is_held_while_money_is_free_and_the_stream_goes_on(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**config(upstream, 1))
    gate = upstream.gate()
    usage = {"prompt_tokens": 1, "completion_tokens": WORDS, "total_tokens": WORDS + 1}
    end = chunk(chat_chunk(finish="stop") + usage_chunk(usage) + DONE) + LAST_CHUNK
    upstream.expect(then(say(stream_head() + WORD * WORDS), wait_at(gate), say(end)))
    with daemon.open_chat("m", max_tokens=100, stream=True) as call:
        books = eventually(daemon, lambda books: [hold.amount_pusd for hold in books.held] == [4 * 10**11])
        assert len(books.held) == 1
        gate.open()
        reply = call.read_reply()
    assert (reply.status, reply.complete) == (200, True)
    (row,) = settled(daemon).of(reply.request_id)
    assert (row.source, row.cost_pusd, row.hold_pusd) == ("computed", WORDS * 10**9, 4 * 10**11)


def test_where_none_is_free_it_ends_in_band_and_the_provider_is_closed(
    start_daemon: StartToll, upstream: Upstream
) -> None:
    daemon = start_daemon(**config(upstream, 0.25))
    upstream.expect(then(say(stream_head()), *[say(WORD)] * WORDS, hang))
    with daemon.open_chat("m", max_tokens=100, stream=True) as call:
        reply = call.read_reply()
    assert (reply.status, reply.complete) == (200, False)
    last = reply.body.rstrip().rpartition(b"data: ")[2]
    error = json.loads(last)["error"]
    assert error["code"] == "budget_exceeded" and "this key's budget per month" in error["message"]
    assert upstream.call.closed.wait(PATIENCE_SECONDS)
    books = settled(daemon)
    (row,) = books.of(reply.request_id)
    assert row.source == "counted"
    assert Decimal("0.2") < books.cost
    assert daemon.line_of(reply)["error"] == "budget_exceeded"


def test_a_stream_at_its_limit_is_not_taken_for_more(start_daemon: StartToll, upstream: Upstream) -> None:
    """Nothing is left but what it holds, and long words are several tokens to us that are one to the model."""
    daemon = start_daemon(**config(upstream, 0.1))
    usage = {"prompt_tokens": 1, "completion_tokens": 100, "total_tokens": 101}
    words = [chat_chunk(" internationalisation")] * 23  # 6 tokens each to us
    upstream.expect(sse_apart([*words, chat_chunk(finish="length") + usage_chunk(usage) + DONE]))
    reply = daemon.chat("m", max_tokens=100, stream=True)
    assert (reply.status, reply.complete) == (200, True)
    (row,) = settled(daemon).of(reply.request_id)
    assert (row.source, row.cost_pusd, row.hold_pusd) == ("computed", 10**11, 10**11)


def test_a_crash_charges_the_hold_it_had_grown_to(upstream: Upstream, tmp_path: Path) -> None:
    members = config(upstream, 1)
    upstream.expect(then(say(stream_head() + WORD * 160), hang))
    with Daemon(members, tmp_path, key=CLIENT_KEY) as daemon, daemon.open_chat("m", max_tokens=100, stream=True):
        eventually(daemon, lambda books: [hold.amount_pusd for hold in books.held] == [2 * 10**11])
        os.kill(daemon.pid, signal.SIGKILL)
    with Daemon(members, tmp_path, key=CLIENT_KEY) as daemon:
        books = settled(daemon)
        assert (books.sources, books.cost) == ({"interrupted": 1}, Decimal("0.2"))
        assert daemon.chat("m", max_tokens=801).status == 402
    assert books_of(daemon).cost == Decimal("0.2")
