"""The sender of webhooks over a real outbox: what has no end by an answer ends otherwise, and the outbox is empty then."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness.surroundings import PATIENCE_SECONDS

from proxy.alerts.budgets import Outbox
from proxy.exchange.background.webhooks import MOST_WAITING, Tried, Webhooks
from proxy.policy.operators import Hook
from proxy.secret import Secret
from proxy.stores import outbox
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.replay import replay
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.writer import Writer, WriterRules
from proxy.stores.outbox import Message

NOBODY = Hook(Secret("http://127.0.0.1:1/token-canary"), Secret("whsec_AAEC"))


def messages(number: int, hook: str, age_seconds: float = 0.0) -> list[Message]:
    made_ms = int((time.time() - age_seconds) * 1000)
    return [Message(f"msg_{index}", hook, "{}", made_ms) for index in range(number)]


@contextlib.asynccontextmanager
async def sending(
    folder: Path, hook: Hook, waiting: list[Message]
) -> AsyncIterator[tuple[Webhooks, Writer, list[Tried]]]:
    """A sender of what an earlier daemon left, and what it tells."""
    open_ledger(folder / "ledger.db")
    journal = Journal(folder / "journal", JournalRules(), replay(folder / "journal"))
    writer = Writer(journal, folder / "ledger.db", WriterRules(), print)
    writer.start()
    told: list[Tried] = []
    box = Outbox(writer)
    sender = Webhooks(box, told.append)
    try:
        await asyncio.wrap_future(writer.do(lambda driver: outbox.put(driver, waiting)))
        box.hooks = {hook.id: hook}
        sender.load()
        yield sender, writer, told
    finally:
        await sender.close()
        await asyncio.to_thread(writer.stop)
        journal.close()


async def left(writer: Writer) -> list[str]:
    return [message.id for message in await asyncio.wrap_future(writer.do(outbox.waiting))]


async def ended(folder: Path, waiting: list[Message], outcomes: int) -> tuple[list[Tried], list[str]]:
    """What was told of messages that an earlier daemon left, once so many were given up; and what still waits."""
    async with sending(folder, NOBODY, waiting) as (_, writer, told):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(one.again_in_seconds is None for one in told) < outcomes:
                await asyncio.sleep(0.01)
        return [one for one in told if one.again_in_seconds is None], await left(writer)


@pytest.mark.process
async def test_what_an_address_takes_as_the_daemon_ends_does_not_wait_for_the_next_one(tmp_path: Path) -> None:
    asked, ends = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await ends.wait()
        answer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await answer.drain()
        answer.close()

    async with asyncio.timeout(PATIENCE_SECONDS), await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hook = Hook(Secret(f"http://127.0.0.1:{port}/"), Secret("whsec_AAEC"))
        async with sending(tmp_path, hook, messages(1, hook.id)) as (sender, writer, told):
            await asked.wait()
            closing = asyncio.create_task(sender.close())
            await asyncio.sleep(0)
            ends.set()
            await closing
            assert ([one.outcome for one in told], await left(writer)) == (["delivered"], [])


async def test_of_too_many_that_wait_the_oldest_are_dropped(tmp_path: Path) -> None:
    over, waiting = await ended(tmp_path, messages(MOST_WAITING + 3, NOBODY.id), 3)
    assert [(one.message_id, one.outcome) for one in over] == [(f"msg_{index}", "dropped") for index in range(3)]
    assert len(waiting) == MOST_WAITING and waiting[0] == "msg_3"


@pytest.mark.parametrize(
    ("hook", "age", "outcome", "reason"),
    [
        ("another", 0.0, "dropped", "its address is not in the configuration any more"),
        (NOBODY.id, Outbox.keep_seconds, "given_up", "no connection"),
    ],
)
async def test_what_nobody_will_take_any_more_leaves_the_outbox(
    tmp_path: Path, hook: str, age: float, outcome: str, reason: str
) -> None:
    ((one,), waiting) = await ended(tmp_path, messages(1, hook, age), 1)
    assert (one.outcome, one.reason, one.tries, waiting) == (outcome, reason, 1, [])
