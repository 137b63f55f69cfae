"""The sender of webhooks over a real outbox: what has no end by an answer ends otherwise, and the outbox is empty then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from harness.surroundings import PATIENCE_SECONDS

from proxy.exchange.background.webhooks import MOST_WAITING, Outbox, Tried, Webhooks
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


async def ended(folder: Path, waiting: list[Message], outcomes: int) -> tuple[list[Tried], list[str]]:
    """What was told of messages that an earlier daemon left, once so many were given up; and what still waits."""
    open_ledger(folder / "ledger.db")
    journal = Journal(folder / "journal", JournalRules(), replay(folder / "journal"))
    writer = Writer(journal, folder / "ledger.db", WriterRules(), print)
    writer.start()
    told: list[Tried] = []
    box = Outbox(writer)
    sender = Webhooks(box, told.append)
    try:
        await asyncio.wrap_future(writer.do(lambda driver: outbox.put(driver, waiting)))
        box.hooks = {NOBODY.id: NOBODY}
        sender.load()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(one.again_in_seconds is None for one in told) < outcomes:
                await asyncio.sleep(0.01)
        left = await asyncio.wrap_future(writer.do(outbox.waiting))
    finally:
        await sender.close()
        await asyncio.to_thread(writer.stop)
        journal.close()
    return [one for one in told if one.again_in_seconds is None], [message.id for message in left]


async def test_of_too_many_that_wait_the_oldest_are_dropped(tmp_path: Path) -> None:
    over, left = await ended(tmp_path, messages(MOST_WAITING + 3, NOBODY.id), 3)
    assert [(one.message_id, one.outcome) for one in over] == [(f"msg_{index}", "dropped") for index in range(3)]
    assert len(left) == MOST_WAITING and left[0] == "msg_3"


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
    ((one,), left) = await ended(tmp_path, messages(1, hook, age), 1)
    assert (one.outcome, one.reason, one.tries, left) == (outcome, reason, 1, [])
