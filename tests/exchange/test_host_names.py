"""Names whose servers do not answer, beside others: nobody else waits for them, and neither does the end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from harness.surroundings import PATIENCE_SECONDS

from proxy.exchange.background.hook_names import HookNames
from proxy.exchange.io.names import MOST_AT_ONCE, Names

QUICK_SECONDS = 5.0
HERE = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class Machine:
    """Finds every name at once, but for those that begin with `slow`, and knows how often each was asked for."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.hang = Counter[str]()
        self.answers = threading.Event()

    def __call__(self, host: str, port: int) -> list[Any]:
        self.asked[host] += 1
        if host.startswith("slow"):
            self.hang[host] += 1
            self.answers.wait(2 * PATIENCE_SECONDS)
            self.hang[host] -= 1
        if host.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if host.startswith(".."):
            host.encode("idna")
        return HERE


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.answers.set()


def test_names_that_hang_hold_up_neither_others_nor_the_end(machine: Machine) -> None:
    async def look() -> None:
        names = Names(machine)
        slow = [asyncio.create_task(names.addresses(f"slow{number % 30}", 80)) for number in range(90)]
        while machine.hang.total() < 30:
            await asyncio.sleep(0.01)
        assert await names.addresses("quick", 80) == HERE
        assert max(machine.asked.values()) == 1, "who asks for the same waits for the same answer"
        for task in slow:
            task.cancel()

    asyncio.run(look())
    assert machine.hang.total() == 30, "nobody waited for them"


def test_who_leaves_takes_nothing_from_who_waits_on_and_what_was_found_is_asked_for_anew(machine: Machine) -> None:
    async def look() -> None:
        names = Names(machine)
        leaves, waits = (asyncio.create_task(names.addresses("slow", 80)) for _ in range(2))
        await asyncio.sleep(0.05)
        leaves.cancel()
        machine.answers.set()
        assert await waits == HERE
        assert await names.addresses("slow", 80) == HERE
        assert machine.asked["slow"] == 2

    asyncio.run(look())


def test_what_is_no_name_and_one_too_many_are_told(machine: Machine) -> None:
    async def look() -> None:
        names = Names(machine)
        for host in ("nowhere", "..a"):
            with pytest.raises(socket.gaierror):
                await names.addresses(host, 80)
        slow = [asyncio.create_task(names.addresses(f"slow{number}", 80)) for number in range(MOST_AT_ONCE)]
        await asyncio.sleep(0.1)
        with pytest.raises(socket.gaierror, match="too many"):
            await names.addresses("quick", 80)
        assert (await names.addresses("127.0.0.1", 80))[0][4] == ("127.0.0.1", 80), "an address is looked up nowhere"
        machine.answers.set()
        await asyncio.gather(*slow)
        assert await names.addresses("quick", 80) == HERE

    asyncio.run(look())


def test_they_are_what_webhooks_ask_as_well() -> None:
    found = asyncio.run(HookNames().resolve("localhost", 80, socket.AF_INET))
    assert [(one["host"], one["port"], one["family"]) for one in found] == [("127.0.0.1", 80, socket.AF_INET)]
