"""The feed of finished calls: told from a thread, taken on the event loop, never waiting for who watches."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from proxy.exchange.record import Entry
from proxy.stores.segments import Position
from proxy.web.operator.events import REMEMBERED as EVENTS
from proxy.web.operator.events import Events
from proxy.web.operator.feed import MOST_WAITING, REMEMBERED, Feed


def entries(begin: int, end: int) -> list[Entry]:
    """Anything that can be told apart."""
    return [cast(Entry, SimpleNamespace(attempts=1, error=None, number=number)) for number in range(begin, end)]


async def test_who_catches_up_has_every_call_that_ended_before_and_once() -> None:
    ended = [entries(0, 3)]
    feed = Feed(lambda: feed.tell(ended.pop()) if ended else None)
    await feed.caught_up()
    assert list(feed.recent) == entries(0, 3)
    with feed.watched() as watched:
        ended.append(entries(3, 5))
        await feed.caught_up()
        assert [watched.get_nowait(), watched.get_nowait()] == entries(3, 5)
        assert watched.empty()
    assert list(feed.recent) == entries(0, 5)


async def test_a_watcher_that_does_not_keep_up_misses_calls_and_only_the_latest_are_remembered() -> None:
    feed = Feed(lambda: None)
    with feed.watched() as slow:
        for begin in range(0, 3 * MOST_WAITING, MOST_WAITING - 1):
            await asyncio.to_thread(feed.tell, entries(begin, begin + MOST_WAITING - 1))
        await feed.caught_up()
        assert [slow.get_nowait() for _ in range(slow.qsize())] == entries(0, MOST_WAITING)
    assert len(feed.recent) == REMEMBERED


async def test_who_was_away_too_long_or_before_a_restart_is_told_of_the_gap() -> None:
    events = Events(lambda: Position(3, 400))
    events.tell(("change", number) for number in range(EVENTS + 10))
    told = events.follow({"after": "3.400.5"})
    assert (await anext(told)).event == "gap"
    assert [(await anext(told)).data for _ in range(2)] == [10, 11]
    again = events.follow({"after": f"3.400.{EVENTS + 9}"})
    assert [(await anext(again)).event, (await anext(again)).data] == ["", EVENTS + 9]
    anew = Events(lambda: Position(3, 900)).follow({"after": f"3.400.{EVENTS + 10}"})
    assert (await anext(anew)).event == "gap"
    for following in (told, again, anew):
        await following.aclose()  # type: ignore[attr-defined]
