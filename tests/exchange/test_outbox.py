"""What goes out in one turn of the loop goes out at its end, in order, whatever becomes of one of them."""

from __future__ import annotations

import asyncio

from proxy.exchange.io.stepper import MOST_WAITING, Outbox


class Sender:
    """Notes its name when it is to go; `fails` once it has."""

    def __init__(self, name: str, went: list[str], *, fails: bool = False) -> None:
        self._name, self._went, self._fails = name, went, fails

    def go(self) -> None:
        self._went.append(self._name)
        if self._fails:
            raise ValueError(self._name)


async def test_nothing_goes_before_the_end_of_the_turn_and_all_of_it_then() -> None:
    went: list[str] = []
    box = Outbox(asyncio.get_running_loop())
    for name in "abc":
        box.put(Sender(name, went))
    assert went == []
    await asyncio.sleep(0)
    assert went == ["a", "b", "c"]


async def test_many_do_not_wait_for_the_end_of_the_turn() -> None:
    went: list[str] = []
    box = Outbox(asyncio.get_running_loop())
    for number in range(MOST_WAITING + 1):
        box.put(Sender(str(number), went))
    assert went == [str(number) for number in range(MOST_WAITING)]
    await asyncio.sleep(0)
    assert went[-1] == str(MOST_WAITING)


async def test_a_bug_in_one_keeps_nobody_else_back() -> None:
    went: list[str] = []
    told: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    box = Outbox(loop)
    for name in "abc":
        box.put(Sender(name, went, fails=name == "a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert went == ["a", "b", "c"]
    assert [str(error) for error in told] == ["a"]
