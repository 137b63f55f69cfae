"""Timeouts under a clock that jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from harness.clock import JumpingLoop, run

from proxy.exchange.io.deadlines import TICK_SECONDS, Deadlines
from proxy.exchange.io.stepper import STALLED_SECONDS, Stepper, Timeout

Wait = Callable[[float, float], Timeout]
Line = Callable[[Wait], Awaitable[None]]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000.0


def ended(seconds: float) -> bool:
    """Deadlines are looked at every so often; the first look is a little late for what began just before."""
    return seconds - 0.001 <= now() <= seconds + 3 * TICK_SECONDS + 0.001


async def silence() -> None:
    await asyncio.get_running_loop().create_future()


async def pause(seconds: float) -> None:
    """Let the clock of the loop go on."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over


async def nothing_is_looked_at() -> None:
    """From a second on, no timer is set but our own."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    await pause(1.0)
    before = loop.timers_set
    await pause(1000.0)
    assert loop.timers_set == before + 1


def step(line: Line) -> None:
    """Run a line by hand to its end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, over = Deadlines(loop), loop.create_future()
        wrong: list[BaseException] = []  # what a line raises, its loop would only log

        async def call() -> None:
            try:
                await line(stepper.within)
            except BaseException as error:
                wrong.append(error)

        stepper = Stepper(deadlines)
        stepper.run(call(), lambda: over.set_result(None))
        await over
        if wrong:
            raise wrong[0]

    run(main())


@pytest.mark.parametrize(
    ("silence_seconds", "until", "ends"),
    [(30.0, math.inf, 30.0), (30.0, 1100.0, 30.0), (30.0, 1010.0, 10.0), (30.0, 1000.0, 0.0), (30.0, 900.0, 0.0)],
)
def test_it_ends_with_the_silence_or_at_the_deadline(silence_seconds: float, until: float, ends: float) -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(TimeoutError), wait(silence_seconds, until):
            await silence()
        assert ended(ends)

    step(line)


@pytest.mark.parametrize(
    ("until", "signs", "ends"), [(math.inf, 3, 75.0), (1050.0, 3, 50.0), (math.inf, 0, 30.0), (1061.0, 4, 61.0)]
)
def test_every_sign_of_life_starts_the_silence_anew_but_moves_no_deadline(
    until: float, signs: int, ends: float
) -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(TimeoutError), wait(30.0, until) as patience:
            for _ in range(signs):
                await pause(15.0)
                patience.heard()
            await silence()
        assert ended(ends)

    step(line)


def test_a_block_that_ends_in_time_ends_well_and_is_looked_at_no_more() -> None:
    async def line(wait: Wait) -> None:
        with wait(30.0, math.inf) as patience:
            await pause(29.0)
            patience.heard()
            await pause(29.0)
        await nothing_is_looked_at()

    step(line)


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0), (0.3, 0.3)])
def test_one_block_after_another_is_borne_as_the_first_and_then_nothing_is_looked_at(
    pauses: tuple[float, float],
) -> None:
    async def line(wait: Wait) -> None:
        within, between = pauses
        for _ in range(3):
            with wait(300.0, math.inf):
                await pause(within)
            await pause(between)
        began = now()
        with pytest.raises(TimeoutError), wait(30.0, math.inf):
            await silence()
        assert ended(began + 30.0)
        with wait(300.0, math.inf):
            await pause(within)
        await nothing_is_looked_at()

    step(line)


@pytest.mark.parametrize(("excused", "ends"), [(True, 30.0 + STALLED_SECONDS), (False, 30.0)])
def test_silence_that_is_not_theirs_is_borne_for_longer(excused: bool, ends: float) -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(TimeoutError), wait(30.0, math.inf) as patience:
            patience.excuse(excused=excused)
            await silence()
        assert ended(ends)

    step(line)


@pytest.mark.parametrize("is_there", [True, False])
def test_while_we_were_paused_nobody_was_silent_of_whom_something_waits_to_be_read(is_there: bool) -> None:
    """As after SIGSTOP and SIGCONT, or on a machine that slept: timers go off before sockets are read."""

    async def line(wait: Wait) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)
        with pytest.raises(TimeoutError), wait(30.0, math.inf) as patience:
            await pause(1.0)
            loop.now += 100.0
            if is_there:
                loop.call_later(TICK_SECONDS / 2, patience.heard)
            await silence()
        assert ended(131.0 if is_there else 101.0)

    step(line)


def test_a_loop_that_is_late_all_the_time_still_ends_what_is_over() -> None:
    async def line(wait: Wait) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)

        def late() -> None:
            loop.now += 2.0
            loop.call_soon(late)

        late()
        with pytest.raises(TimeoutError), wait(30.0, math.inf):
            await silence()
        assert now() < 60.0

    step(line)


def test_a_longer_patience_counts_from_the_last_sign_of_life() -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(TimeoutError), wait(30.0, math.inf) as patience:
            await pause(10.0)
            patience.heard()
            patience.expect(100.0)
            await silence()
        assert ended(110.0)

    step(line)


def test_a_shorter_patience_counts_at_once() -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(TimeoutError), wait(300.0, math.inf) as patience:
            await pause(10.0)
            patience.heard()
            patience.expect(5.0)
            await silence()
        assert ended(15.0)

    step(line)


def test_errors_of_the_block_pass_through() -> None:
    async def line(wait: Wait) -> None:
        with pytest.raises(ValueError, match="mine"), wait(30.0, math.inf):
            raise ValueError("mine")

    step(line)


def test_hearing_a_chunk_sets_no_timer() -> None:
    async def line(wait: Wait) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, JumpingLoop)
        with wait(30.0, math.inf) as patience:
            before = loop.timers_set
            for _ in range(1000):
                patience.heard()
            assert loop.timers_set == before

    step(line)


class Bell:
    """Is due every so many seconds, and notes when it was told so; `fails` then."""

    def __init__(self, seconds: float, *, fails: bool = False) -> None:
        self.rang: list[float] = []
        self._seconds = seconds
        self._fails = fails
        self._since = asyncio.get_running_loop().time()

    def due(self) -> float:
        return self._since + self._seconds

    def expire(self) -> None:
        self.rang.append(now())
        self._since = asyncio.get_running_loop().time()
        if self._fails:
            raise ValueError("a bug")


def test_who_goes_on_is_told_again_and_again_until_forgotten() -> None:
    async def main() -> None:
        deadlines, bell = Deadlines(asyncio.get_running_loop()), Bell(15.0)
        deadlines.watch(bell)
        await pause(47.0)
        assert [round(at / 15) for at in bell.rang] == [1, 2, 3]
        deadlines.watch(bell)  # said again without need
        await pause(15.0)
        assert len(bell.rang) == 4
        deadlines.forget(bell)
        await pause(60.0)
        assert len(bell.rang) == 4
        assert not deadlines.is_ticking

    run(main())


def test_a_deadline_that_comes_nearer_counts_once_that_is_said() -> None:
    async def main() -> None:
        deadlines, bell = Deadlines(asyncio.get_running_loop()), Bell(3000.0)
        deadlines.watch(bell)
        await pause(5.0)
        bell._seconds = 10.0  # noqa: SLF001 - of this file
        deadlines.watch(bell)
        await pause(7.0)
        assert len(bell.rang) == 1
        assert 9.999 <= bell.rang[0] <= 10.0 + 2 * TICK_SECONDS + 0.001
        deadlines.forget(bell)

    run(main())


def test_a_bug_in_what_follows_from_one_deadline_is_nothing_to_the_others() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        deadlines = Deadlines(asyncio.get_running_loop())
        bells = [Bell(1.0, fails=number == 0) for number in range(3)]
        for bell in bells:
            deadlines.watch(bell)
        await pause(1.5)
        assert [len(bell.rang) for bell in bells] == [1, 1, 1]
        for bell in bells:
            deadlines.forget(bell)

    run(main())
