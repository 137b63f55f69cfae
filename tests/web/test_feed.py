"""The feed of finished calls: told from a thread, taken on the event loop, never waiting for who watches; its minutes."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import asdict

from proxy.exchange.entry import Entry
from proxy.exchange.record import Record, record_of
from proxy.exchange.reporting.lines import Alike, OddLine, Told
from proxy.policy.money.amounts import to_pusd
from proxy.stores.journal.segments import Position
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.live.events import REMEMBERED as EVENTS
from proxy.web.operator.live.events import Events
from proxy.web.operator.live.feed import MOST_WAITING, REMEMBERED, Feed
from proxy.web.operator.live.pulse import MINUTES, Pulse, summed

ALL = Bounds()
ACME = Bounds(("acme",))


def entries(begin: int, end: int) -> list[Entry]:
    """Told apart by their numbers, with what the minutes count."""
    return [entry(request_id=f"call {number}") for number in range(begin, end)]


def entry(**fields: Any) -> Entry:
    whole: dict[str, Any] = dict.fromkeys(Entry.__struct_fields__)
    usual = {"attempts": 1, "request_id": "", "status": 200, "cost_usd": "0.5", "first_token_seconds": 0.1}
    return Entry(**{**whole, **usual, **fields})


def alike(calls: list[Entry]) -> list[Alike]:
    """Each is a kind of its own."""
    return [Alike(one, [(_record(one), 0.0)], [OddLine(**asdict(one))]) for one in calls]


def told(calls: list[Entry]) -> Told:
    return Told([OddLine(**asdict(one)) for one in calls], alike(calls), has_odd=True)


def _record(one: Entry) -> Record:
    record = record_of(one.request_id)
    record.tenant = one.tenant or ""
    record.cost_pusd = to_pusd(Decimal(one.cost_usd or 0))
    return record


async def test_who_catches_up_has_every_call_that_ended_before_and_once() -> None:
    ended = [entries(0, 3)]
    feed = Feed(lambda: feed.tell(told(ended.pop())) if ended else None)
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
            await asyncio.to_thread(feed.tell, told(entries(begin, begin + MOST_WAITING - 1)))
        await feed.caught_up()
        assert [slow.get_nowait() for _ in range(slow.qsize())] == entries(0, MOST_WAITING)
    assert len(feed.recent) == REMEMBERED


@pytest.mark.parametrize("at_once", [1, 7, EVENTS, EVENTS + 10])
async def test_who_was_away_too_long_or_before_a_restart_is_told_of_the_gap(at_once: int) -> None:
    events = Events(lambda: Position(3, 400))
    for begin in range(0, EVENTS + 10, at_once):
        events.tell(("change", number, "") for number in range(begin, min(begin + at_once, EVENTS + 10)))
    told = events.follow({"after": "3.400.5"}, ALL)
    assert (await anext(told)).event == "gap"
    assert [(await anext(told)).data for _ in range(2)] == [10, 11]
    just = events.follow({"after": "3.400.10"}, ALL)
    assert [(await anext(just)).event, (await anext(just)).data] == ["", 10]
    await just.aclose()  # type: ignore[attr-defined]
    again = events.follow({"after": f"3.400.{EVENTS + 9}"}, ALL)
    assert [(await anext(again)).event, (await anext(again)).data] == ["", EVENTS + 9]
    anew = Events(lambda: Position(3, 900)).follow({"after": f"3.400.{EVENTS + 10}"}, ALL)
    assert (await anext(anew)).event == "gap"
    for following in (told, again, anew):
        await following.aclose()  # type: ignore[attr-defined]


async def test_a_place_in_it_is_found_again_by_whoever_was_there_and_nobody_else() -> None:
    feed = Feed(lambda: None)
    feed.tell(told(entries(0, 3)))
    await asyncio.sleep(0)
    place = feed.place()
    feed.tell(told(entries(3, 5)))
    await asyncio.sleep(0)
    number = feed.number(place)
    assert number == 3
    assert feed.after(number, ALL) == entries(3, 5)
    assert feed.after(feed.told, ALL) == []
    feed.tell(told([entry(tenant="acme"), entry(tenant="globex")]))
    await asyncio.sleep(0)
    assert [one.tenant for one in feed.after(number, ACME)] == ["acme"]
    assert (feed.count(ACME), feed.count(ALL)) == (1, 7)
    for foreign in ("", place.replace("-", ""), "other-3", Feed(lambda: None).place(), place + "x", place + "9" * 20):
        assert feed.number(foreign) is None, foreign
    feed.tell(told(entries(5, 5 + 2 * REMEMBERED)))
    await asyncio.sleep(0)
    assert feed.after(number, ALL) == entries(5 + REMEMBERED, 5 + 2 * REMEMBERED)


def test_the_last_hour_is_kept_by_minutes() -> None:
    pulse = Pulse()
    assert pulse.minutes(0.0, ALL) == []
    pulse.take(summed(alike([entry(first_token_seconds=number / 100) for number in range(1, 101)])), 60.0)
    pulse.take(summed(alike([entry(status=500, cost_usd=None, first_token_seconds=None)])), 119.9)
    pulse.take(summed(alike([entry(status=402, first_token_seconds=None)])), 180.0)
    first, second = pulse.minutes(180.0, ALL)
    assert (first.at, first.calls, first.errors, first.cost_usd) == (
        "1970-01-01T00:01:00.000Z",
        101,
        1,
        "50.000000000000",
    )
    assert first.first_token_ms == {"p50": 500, "p95": 950}
    assert (second.calls, second.errors, second.first_token_ms) == (1, 1, None)
    assert [one.calls for one in pulse.minutes(180.0, ALL, 1)] == [1]
    assert [one.calls for one in pulse.minutes(3600.0 + 61, ALL)] == [1]
    pulse.take(summed(alike([entry(tenant="acme"), entry(tenant="globex", status=500)])), 3600.0)
    assert [(one.calls, one.errors) for one in pulse.minutes(3600.0, ACME)] == [(1, 0)]
    for minute in range(4, 4 + 2 * MINUTES):
        pulse.take(summed(alike([entry()])), 60.0 * minute)
    assert len(pulse.minutes(60.0 * (3 + 2 * MINUTES), ALL)) == MINUTES
