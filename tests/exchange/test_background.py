"""Asking for what runs on at a provider: gently, a bounded number at once, and never for ever."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from harness.clock import run
from structlog.testing import capture_logs

from proxy.errors import UpstreamUnreachable
from proxy.exchange.background.responses import (
    LONGEST_WAIT_SECONDS,
    MOST_AT_ONCE,
    MOST_HOMES,
    Background,
    Running,
    Watcher,
)
from proxy.exchange.upstream import Answered, Upstream
from proxy.policy.tenants import Accounts
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint
from proxy.wire.findings import Findings

PROVIDER = Provider("oai", "openai", "https://example.test/v1")
USAGE = {"input_tokens": 1, "output_tokens": 2}


class _Provider:
    """Every response ends at `ends` (seconds from its making); `status` is that of every answer, 0 for none."""

    def __init__(self, ends: float = 1e9, status: int = 200, takes: float = 0.1) -> None:
        self.times: list[float] = []
        self.paths: list[str] = []
        self.most = 0
        self.status = status
        self._began = asyncio.get_running_loop().time()
        self._ends = ends
        self._takes = takes
        self._now = 0

    async def get(self, provider: Provider, path: str, headers: list[tuple[str, str]]) -> Answered:
        at = asyncio.get_running_loop().time() - self._began
        self.times.append(at)
        self.paths.append(path)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(self._takes)
        finally:
            self._now -= 1
        if not self.status:
            raise UpstreamUnreachable("no answer")
        if path.endswith("_odd"):
            raise KeyError("odd")
        return Answered(self.status, None, body(path.rpartition("/")[2], "completed" if at >= self._ends else "queued"))


class _Ends:
    """Who waits: what was told of each response, once."""

    def __init__(self) -> None:
        self.told: list[tuple[str | None, bool]] = []

    def __call__(self, findings: Findings | None, ran: bool) -> None:
        self.told.append((findings.response.status if findings else None, ran))


def body(response_id: str, status: str) -> bytes:
    return json.dumps({"id": response_id, "status": status, "background": True, "usage": USAGE}).encode()


def said(response_id: str, status: str) -> Any:
    """A client's reply about a response, as far as watching looks at it."""

    class Outcome:
        judged_status = 200
        findings = Findings("responses")

    Outcome.findings.see(body(response_id, status))
    return Outcome


def call(path: str) -> Call:
    return Call(Endpoint("responses", "responses"), path, "", "GET", b"")


def watcher(background: Background, path: str, provider: Provider = PROVIDER) -> Watcher | None:
    return background.watcher(provider, call(path))


async def until_told(ends: _Ends, number: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while len(ends.told) < number:
        assert loop.time() - began < 10_000, ends.told
        await asyncio.sleep(0.05)
    return loop.time() - began


def test_it_asks_more_and_more_seldom() -> None:
    async def work() -> None:
        upstream, ends = _Provider(ends=200), _Ends()
        background = Background(cast("Upstream", upstream), Accounts({}, {}))
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=False), ends)
        await until_told(ends, 1)
        gaps = [after - before for before, after in zip([0.0, *upstream.times], upstream.times, strict=False)]
        for gap, wait in zip(gaps, [2, 4, 8, 16, *[LONGEST_WAIT_SECONDS] * len(gaps)], strict=False):
            assert 0.8 * wait <= gap <= 1.2 * wait + 0.2
        assert ends.told == [("completed", False)]
        assert set(upstream.paths) == {"/responses/resp_1"}

    run(work())


@pytest.mark.parametrize(("status", "seconds"), [(200, 100), (401, 100), (503, 100), (0, 100), (404, 3)])
def test_only_its_time_or_a_404_ends_it_unheard(status: int, seconds: float) -> None:
    async def work() -> None:
        upstream, ends = _Provider(status=status), _Ends()
        background = Background(cast("Upstream", upstream), Accounts({}, {}))
        background.keep(Running(PROVIDER, "resp_1", 100, ran=True), ends)
        assert seconds - 1.5 <= await until_told(ends, 1) <= seconds + 0.5
        assert ends.told == [(None, True)]
        await asyncio.sleep(600)
        assert len(ends.told) == 1

    run(work())


def test_a_provider_that_takes_for_ever_to_answer_is_given_up_at_the_deadline() -> None:
    async def work() -> None:
        ends = _Ends()
        background = Background(cast("Upstream", _Provider(takes=1e6)), Accounts({}, {}))
        background.keep(Running(PROVIDER, "resp_1", 20, ran=True), ends)
        assert await until_told(ends, 1) < 60

    run(work())


def test_what_is_overdue_is_asked_at_once_and_once() -> None:
    async def work() -> None:
        upstream, ends = _Provider(), _Ends()
        Background(cast("Upstream", upstream), Accounts({}, {})).keep(Running(PROVIDER, "resp_1", -5, ran=True), ends)
        assert await until_told(ends, 1) < 1
        assert len(upstream.times) == 1

    run(work())


def test_thousands_are_asked_for_a_bounded_number_at_once_by_one_task() -> None:
    async def work() -> None:
        upstream, ends = _Provider(ends=0), _Ends()
        background = Background(cast("Upstream", upstream), Accounts({}, {}))
        for n in range(2000):
            background.keep(Running(PROVIDER, f"resp_{n}", 3600, ran=True), ends)
        tasks = len(asyncio.all_tasks())
        assert await until_told(ends, 2000) < 20
        assert upstream.most <= MOST_AT_ONCE
        assert len(upstream.times) == 2000
        assert tasks <= 2

    run(work())


def test_a_clients_own_question_counts_as_ours() -> None:
    async def work() -> None:
        upstream, ends = _Provider(), _Ends()
        background = Background(cast("Upstream", upstream), Accounts({}, {}))
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=False), ends)
        for _ in range(100):
            seen = watcher(background, "/responses/resp_1")
            assert seen is not None
            assert seen.resolve(said("resp_1", "in_progress"), PROVIDER) is None
            await asyncio.sleep(1)
        assert upstream.times == []
        seen = watcher(background, "/responses/resp_1/cancel")
        assert seen is not None
        seen.resolve(said("resp_1", "cancelled"), PROVIDER)
        seen.resolve(said("resp_1", "cancelled"), PROVIDER)
        assert ends.told == [("cancelled", True)]
        await asyncio.sleep(600)
        assert (len(ends.told), upstream.times) == (1, [])

    run(work())


def test_other_responses_and_other_providers_are_nobodys_business() -> None:
    async def work() -> None:
        ends = _Ends()
        background = Background(cast("Upstream", _Provider()), Accounts({}, {}))
        assert watcher(background, "/responses/resp_1") is None
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=False), ends)
        for path in ("/responses", "/responses/", "/responses/resp_2", "/files/resp_1"):
            assert watcher(background, path) is None or path.startswith("/files")
        assert watcher(background, "/responses/resp_1", Provider("two", "openai", "https://two.test/v1")) is None
        seen = watcher(background, "/responses/resp_1/input_items")
        assert seen is not None
        seen.resolve(said("resp_2", "completed"), PROVIDER)
        assert ends.told == []

    run(work())


def test_closing_settles_nothing() -> None:
    async def work() -> None:
        ends = _Ends()
        background = Background(cast("Upstream", _Provider()), Accounts({}, {}))
        await background.close()
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=False), ends)
        await background.close()
        assert ends.told == []

    run(work())


def test_where_a_response_lives_is_known_after_its_end_and_forgotten_in_time() -> None:
    async def work() -> None:
        ends = _Ends()
        background = Background(cast("Upstream", _Provider()), Accounts({PROVIDER.name: PROVIDER}, {}))
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=False), ends)
        seen = watcher(background, "/responses/resp_1")
        assert seen is not None
        seen.resolve(said("resp_1", "completed"), PROVIDER)
        assert background.home_of(call("/responses/resp_1/input_items"), "") == PROVIDER.name
        assert background.home_of(call("/responses/resp_1"), "acme") is None
        assert background.home_of(call("/responses/resp_2"), "") is background.home_of(call("/responses"), "") is None
        for n in range(MOST_HOMES):
            background.keep(Running(PROVIDER, f"other_{n}", 3600, ran=False), ends)
        assert background.home_of(call("/responses/resp_1"), "") is None
        background.accounts = Accounts({}, {})
        assert background.home_of(call("/responses/other_9"), "") is None
        await background.close()

    run(work())


def test_an_end_that_is_not_understood_or_written_keeps_nobody_else_waiting() -> None:
    async def unwritten() -> None:
        raise ValueError("unwritten")

    def odd(findings: Findings | None, ran: bool) -> None:
        raise ValueError("odd")

    async def work() -> None:
        upstream, ends = _Provider(ends=1), _Ends()
        background = Background(cast("Upstream", upstream), Accounts({}, {}))
        background.keep(Running(PROVIDER, "resp_1", 3600, ran=True), lambda *_: unwritten)
        background.keep(Running(PROVIDER, "resp_2", 3600, ran=True), odd)
        background.keep(Running(PROVIDER, "resp_odd", 20, ran=True), ends)
        await until_told(ends, 1)
        assert ends.told == [(None, True)]
        background.keep(Running(PROVIDER, "resp_3", 3600, ran=True), ends)
        await until_told(ends, 2)
        assert ends.told[1:] == [("completed", True)]
        await background.close()

    with capture_logs() as logged:
        run(work())
    assert {line["event"] for line in logged} == {"crashed"}
    assert {line["response_id"] for line in logged} == {"resp_1", "resp_2", "resp_odd"}


def test_two_calls_with_the_same_response_both_hear_of_its_end() -> None:
    async def work() -> None:
        ends = _Ends()
        background = Background(cast("Upstream", _Provider(ends=10)), Accounts({}, {}))
        for ran in (True, False):
            background.keep(Running(PROVIDER, "resp_1", 3600, ran=ran), ends)
        await until_told(ends, 2)
        assert ends.told == [("completed", True)] * 2
        await background.close()

    run(work())
