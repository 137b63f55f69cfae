"""Clients that leave in the middle: what they got is paid for, what is billed is booked, and nothing stays held."""

from __future__ import annotations

import json
import os
import random
from decimal import Decimal
from typing import Any

import pytest
from harness.crowd import Leave, crowd
from harness.daemon import Daemon
from harness.mock import Mock
from money_books import USD, Books, StartToll, ask, books_of, eventually, priced

LEAVERS = int(os.environ.get("FAULTS", "20")) * 5 // 2
AT_ONCE = 60
SLOW = "mock/slow?ttft=0.05&interval=0.02&tokens=30&misses=0"
UNHURRIED = "mock/slow?ttft=0.05&interval=3&tokens=4&misses=0"
STREAM_BYTES = 9_000
CAP = {"usd": 40, "per": "total"}
WORD = Decimal("0.000002")
SAID = [1, 2, 3, 5, 8, 13, 21, 34]  # words after which clients leave


def leave(daemon: Daemon, bodies: list[dict[str, Any]], *, first_byte: int) -> None:
    """Each client goes after so many bytes as chance has it; some only when they have everything."""
    dice = random.Random(20_260_101)
    leaves = [
        Leave(dice.randrange(first_byte, STREAM_BYTES), dice.uniform(0.5, 1), begun=bool(first_byte and body["stream"]))
        if dice.random() < 0.9
        else None
        for body in bodies
    ]
    for start in range(0, len(bodies), AT_ONCE):
        some = leaves[start : start + AT_ONCE]
        crowd(daemon, bodies[start : start + AT_ONCE], leave_after=some.__getitem__)


def all_resolved(daemon: Daemon, mock: Mock) -> Books:
    """The books once every call that was sent is in them; a client that goes before its request is read has none."""
    return eventually(daemon, lambda books: not books.held and len(books.rows) == len(mock.bill()) > 0)


def whole_rest_fits(daemon: Daemon, books: Books) -> bool:
    """Whether a call that holds all that is not spent gets through: nothing is held any more."""
    left = CAP["usd"] - books.cost
    reply = daemon.post("/v1/chat/completions", ask("rest", max_tokens=int(left * 1_000_000)))
    return reply.status == 200


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("bills_on", [False, True])
def test_openrouter_tells_what_a_call_cost_that_was_left(
    start_toll: StartToll, mock: Mock, stream: bool, bills_on: bool
) -> None:
    target = f"openrouter/{SLOW}&cost=0.03&bills_after_disconnect={int(bills_on)}"
    daemon = start_toll(
        alice={"budgets": [CAP]},
        models={"m": priced(target, 1), "rest": priced("openrouter/mock/echo?cost=0", 1)},
    )
    # whoever leaves before the first byte leaves no id to ask for
    leave(daemon, [ask("m", stream=stream, max_tokens=40_000)] * LEAVERS, first_byte=1)
    books = all_resolved(daemon, mock)
    billed = mock.billed()
    assert abs(books.cost - billed) <= billed / 100
    assert set(books.sources) <= {"reported", "looked_up"}
    if bills_on or not stream:
        assert books.cost == billed == len(books.rows) * Decimal("0.03")
    assert whole_rest_fits(daemon, books)


@pytest.mark.parametrize("stream", [True, False])
def test_a_provider_that_bills_to_the_end_is_read_to_the_end(start_toll: StartToll, mock: Mock, stream: bool) -> None:
    daemon = start_toll(
        alice={"budgets": [CAP]},
        providers={"groq": mock.provider("openai")},
        models={"m": {"target": f"groq/{SLOW}&bills_after_disconnect=1", "price": {"input": 1, "output": 2}}},
    )
    leave(daemon, [ask("m", stream=stream, max_tokens=1000)] * LEAVERS, first_byte=0)
    books = all_resolved(daemon, mock)
    assert books.cost == mock.billed() > 0
    assert set(books.sources) == {"computed"}
    assert all(not row["cancelled"] for row in mock.bill())


def said(row: dict[str, Any]) -> Decimal:
    """What a row of the bill charges for its output."""
    return row["output_tokens_emitted"] * WORD


@pytest.mark.parametrize(("kind", "input_price"), [("openai", 0), ("anthropic", 1)])
def test_a_provider_that_stops_billing_is_paid_what_it_has_said(
    start_toll: StartToll, mock: Mock, kind: str, input_price: int
) -> None:
    """The ledger is the bill to the last token, where nothing is on its way when the client leaves.

    Anthropic says at the start what it has read. At others nobody does before the end, and without the model's
    tokenizer a prompt is an estimate (3.5 bytes a token), so that only what was said is compared there.
    """
    before = {"openai": 1, "anthropic": 3}[kind]  # events without a word
    target = "direct/mock/hang?tokens=40&after="
    daemon = start_toll(
        alice={"budgets": [CAP]},
        providers={"direct": mock.provider(kind)},
        models={
            f"m{words}": {"target": f"{target}{words + before}", "price": {"input": input_price, "output": 2}}
            for words in SAID
        },
    )
    path = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[kind]
    for words in SAID * (LEAVERS // len(SAID)):
        with daemon.connect() as connection:
            body = json.dumps(ask(f"m{words}", stream=True, max_tokens=100)).encode()
            connection.send(daemon.request("POST", path, (), body))
            connection.read_until(b'token%d"' % words)
            connection.leave()
    bill = {row["id"]: row for row in mock.bill()}
    books = all_resolved(daemon, mock)
    assert books.sources == {"counted": len(bill)}
    for row in books.rows.values():
        billed = bill[row.upstream_id or ""]
        assert Decimal(row.cost_pusd) / USD == (billed["cost"] if input_price else said(billed))
    assert {row["output_tokens_emitted"] for row in bill.values()} == set(SAID)


def test_a_provider_that_stops_billing_is_left_at_once(start_toll: StartToll, mock: Mock) -> None:
    """Clients leave a stream that goes on: never above the bill, and below it by what was on its way.

    What a provider had sent and we had not read when the connection closed is billed and was seen by nobody: no word
    at all on a machine at rest, one where it is busy; two would be a connection left open for the time of a word, which
    is seconds.
    """
    daemon = start_toll(
        alice={"budgets": [CAP]},
        providers={"direct": mock.provider("openai")},
        models={"m": {"target": f"direct/{UNHURRIED}", "price": {"input": 0, "output": 2}}},
    )
    leave(daemon, [ask("m", stream=True, max_tokens=1000)] * LEAVERS, first_byte=1)
    books = all_resolved(daemon, mock)
    assert set(books.sources) <= {"counted", "computed"}
    bill = {row["id"]: said(row) for row in mock.bill()}
    for row in books.rows.values():
        assert 0 <= bill[row.upstream_id or ""] - Decimal(row.cost_pusd) / USD <= WORD
    assert max(bill.values()) == 4 * WORD  # who stays hears all of it
    assert sum(row["cancelled"] for row in mock.bill()) > LEAVERS / 2


def test_a_client_that_leaves_before_the_first_byte_of_openrouter_pays_what_is_billed(
    start_toll: StartToll, mock: Mock
) -> None:
    slow = "openrouter/mock/slow?ttft=0.3&interval=0&tokens=3&cost=0.03&bills_after_disconnect=1&misses=0"
    daemon = start_toll(alice={"budgets": [CAP]}, models={"m": priced(slow, 1)})
    with daemon.open_chat("m", max_tokens=40_000, stream=True) as connection:
        while not mock.bill():
            continue
        connection.leave()
    books = eventually(daemon, lambda books: len(books.rows) == 1)
    assert books.cost >= mock.billed() > 0


def test_more_leavers_than_drains_cost_their_holds(start_toll: StartToll, mock: Mock) -> None:
    slow = "groq/slow?ttft=10&interval=0&tokens=1&bills_after_disconnect=1"
    daemon = start_toll(
        alice={"budgets": [CAP]},
        providers={"groq": mock.provider("openai")},
        models={"m": {"target": slow, "price": {"input": 1, "output": 2}}},
    )
    connections = [daemon.open_chat("m", max_tokens=1000) for _ in range(80)]
    while len(mock.bill()) < 80:
        continue
    for connection in connections:
        connection.leave()
    books = all_resolved(daemon, mock)
    assert books.sources == {"computed": 64, "held": 16}
    assert books.cost >= mock.billed()


def test_calls_that_were_left_hold_nothing_back_once_they_are_settled(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [{"usd": 0.04, "per": "total"}], "limits": [{"concurrent": 1}]},
        models={
            "m": priced("openrouter/mock/slow?ttft=1&tokens=1&cost=0.001"),
            "n": priced("openrouter/mock/echo?cost=0"),
        },
    )
    connection = daemon.open_chat("m", max_tokens=100, stream=True)
    while not mock.bill():
        continue
    connection.leave()
    eventually(daemon, lambda books: len(books.rows) == 1 and not books.held)
    assert daemon.post("/v1/chat/completions", ask("n")).status == 200
    assert books_of(daemon).cost == mock.billed()
