"""A coroutine stepped by hand: what it may wait for, and how it is ended from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from proxy.exchange.io.deadlines import Deadlines
from proxy.exchange.io.stepper import Signal, Stepper


async def stepped(line: Callable[[], Any]) -> Stepper:
    """Start a line; it may not have ended yet."""
    stepper = Stepper(Deadlines(asyncio.get_running_loop()))
    stepper.run(line(), lambda: None)
    return stepper


async def test_it_runs_to_its_first_wait_at_once_and_on_when_that_is_over() -> None:
    signal, said = Signal(asyncio.get_running_loop()), list[str]()

    async def line() -> None:
        said.append("begun")
        await signal
        said.append("woken")

    stepper = await stepped(line)
    assert (said, stepper.done) == (["begun"], False)
    signal.fire()
    assert (said, stepper.done) == (["begun", "woken"], True)


async def test_a_signal_serves_every_wait_of_a_task_as_well() -> None:
    signal, turns = Signal(asyncio.get_running_loop()), 0

    async def task() -> None:
        nonlocal turns
        for _ in range(3):
            await signal
            turns += 1

    waiting = asyncio.create_task(task(), name="waits")
    for _ in range(3):
        await asyncio.sleep(0)
        signal.fire()
    await waiting
    assert turns == 3


async def test_a_task_that_waits_for_a_signal_can_be_cancelled() -> None:
    waiting = asyncio.create_task(forever(Signal(asyncio.get_running_loop())), name="waits")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def forever(what: Awaitable[None]) -> None:
    await what


async def test_it_waits_for_futures_tasks_and_turns_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    future, over = loop.create_future(), loop.create_future()

    async def line() -> None:
        await asyncio.sleep(0)
        assert await future == 7
        assert await loop.create_task(asyncio.sleep(0, 8), name="eight") == 8
        over.set_result(None)

    stepper = await stepped(line)
    loop.call_soon(future.set_result, 7)
    await over
    assert stepper.done


async def test_what_a_future_raises_is_raised_where_it_is_awaited() -> None:
    future = asyncio.get_running_loop().create_future()
    over = asyncio.get_running_loop().create_future()

    async def line() -> None:
        with pytest.raises(ValueError, match="its own"):
            await future
        over.set_result(None)

    await stepped(line)
    future.set_exception(ValueError("its own"))
    await over


@pytest.mark.parametrize("kind", ["signal", "future"])
async def test_an_interruption_is_raised_where_it_waits_and_what_it_waited_for_wakes_it_no_more(kind: str) -> None:
    loop = asyncio.get_running_loop()
    signal, future, second = Signal(loop), loop.create_future(), loop.create_future()
    seen: list[str] = []

    async def line() -> None:
        try:
            await (signal if kind == "signal" else future)
        except TimeoutError:
            seen.append("late")
        await second
        seen.append("second")

    stepper = await stepped(line)
    assert stepper.interrupt(TimeoutError())
    assert seen == ["late"]
    signal.fire()
    await asyncio.sleep(0)
    assert seen == ["late"]
    assert kind == "signal" or future.cancelled()
    second.set_result(None)
    await asyncio.sleep(0)
    assert (seen, stepper.done) == (["late", "second"], True)


async def test_one_that_runs_hears_of_an_interruption_at_its_next_wait() -> None:
    signal = Signal(asyncio.get_running_loop())

    async def line() -> None:
        await signal
        stepper.cancel()
        await signal

    stepper = await stepped(line)
    signal.fire()
    assert stepper.done


async def test_what_has_ended_cannot_be_interrupted() -> None:
    async def line() -> None:
        """Ends at once."""

    stepper = await stepped(line)
    assert stepper.done
    assert not stepper.cancel()


async def test_an_error_nobody_catches_passes_and_ends_it() -> None:
    ends: list[str] = []

    async def line() -> None:
        raise RuntimeError("a bug")

    stepper = Stepper(Deadlines(asyncio.get_running_loop()))
    with pytest.raises(RuntimeError, match="a bug"):
        stepper.run(line(), lambda: ends.append("ended"))
    assert (stepper.done, ends) == (True, ["ended"])


async def test_one_runs_a_line_after_the_other_and_an_interruption_is_of_one_of_them_only() -> None:
    signal, ends = Signal(asyncio.get_running_loop()), list[str]()

    async def line() -> None:
        await signal

    stepper = Stepper(Deadlines(asyncio.get_running_loop()))
    for name in ("first", "second"):
        stepper.run(line(), partial(ends.append, name))
        assert not stepper.done
        signal.fire()
        signal.fire()  # nobody waits any more
    stepper.run(line(), partial(ends.append, "third"))
    assert stepper.cancel()
    signal.fire()
    assert (ends, stepper.done) == (["first", "second", "third"], True)


async def test_an_interruption_that_comes_as_a_line_ends_is_not_the_next_ones() -> None:
    stepper, signal, said = await stepped(_none), Signal(asyncio.get_running_loop()), list[str]()

    async def first() -> None:
        stepper.cancel()

    async def second() -> None:
        await signal
        said.append("woken")

    stepper.run(first(), lambda: None)
    stepper.run(second(), lambda: None)
    signal.fire()
    assert said == ["woken"]


async def _none() -> None:
    """Of a stepper that is to run others."""
