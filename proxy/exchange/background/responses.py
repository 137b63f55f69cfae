"""Responses that run on at their provider (`background: true`): whoever sees the end first, a client's GET or our own,
has the hold settled by it.

One task asks for all of them, in the order they are due.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog
from msgspec import Struct

from proxy.dialects import DIALECTS, Incoming
from proxy.errors import ProviderError
from proxy.exchange.upstream import Upstream
from proxy.policy.tenants import Accounts
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint
from proxy.wire.findings import Findings

FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 30.0
MOST_AT_ONCE = 16
ASK_SECONDS = 15.0
MOST_HOMES = 10_000
_TICK_SECONDS = 0.01  # a timer may go off this much early

# Told once: the end as the provider reports it, or None where it will not say; and whether it was ever seen to run.
# What comes back waits until that is on disk: called, and awaited, before a client learns of the end.
OnDisk = Callable[[], Awaitable[None]]
Done = Callable[[Findings | None, bool], OnDisk | None]

log = structlog.get_logger()

_RETRIEVAL = Endpoint("responses", "responses")


Key = tuple[str, str, str]  # the provider's name, whose key of it was used, the response's id


class Running(Struct, frozen=True):
    """A response without an end: at whom, its id, how many seconds it may still take, and whether it has begun to run;
    `tenant` asked for it."""

    provider: Provider
    response_id: str
    seconds: float
    ran: bool
    tenant: str = ""

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.provider.name, self.provider.tenant, self.response_id


class _Open:
    """One that is asked for. Times are the loop's, in seconds; `due` is infinite while it is being asked."""

    __slots__ = ("due", "provider", "ran", "told", "until", "wait")

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.until = -math.inf
        self.told: list[Done] = []
        self.ran = False
        self.due = math.inf
        self.wait = FIRST_WAIT_SECONDS


class Background:
    """Keeps open what the provider has not finished. `accounts` are those of the configuration in force."""

    def __init__(self, upstream: Upstream, accounts: Accounts) -> None:
        """Nothing runs before there is something to ask for."""
        self.accounts = accounts
        self._upstream = upstream
        self._open: dict[Key, _Open] = {}
        self._homes: dict[tuple[str, str], str] = {}  # of a response, by the tenant that asked for it, and its id
        self._queue: list[tuple[float, Key]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def keep(self, running: Running, done: Done) -> None:
        """Ask after 2, 4, 8 … 30 s until it has ended, or its time is up; then a last time. Where a provider gives two calls
        the same response, its end is that of both."""
        now = asyncio.get_running_loop().time()
        entry = self._open.setdefault(running.key, _Open(running.provider))
        entry.until = max(entry.until, now + max(0.0, running.seconds))
        entry.ran = entry.ran or running.ran
        entry.told.append(done)
        if len(self._homes) >= MOST_HOMES:
            del self._homes[next(iter(self._homes))]
        self._homes[running.tenant, running.response_id] = running.provider.name
        self._put_off(running.key, entry, now)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._ask_all(), name="ask for background responses")

    def watcher(self, provider: Provider, call: Call) -> Watcher | None:
        """Who is to be told of the reply to a client's own GET, or its cancelling; None for every other call."""
        if not self._open or call.endpoint.name != "responses":
            return None
        key = (provider.name, provider.tenant, _response_id(call))
        return Watcher(self, key) if key in self._open else None

    def home_of(self, call: Call, tenant: str) -> str | None:
        """The provider of the response a call is about, ended or not; None where this tenant asked for none such.

        Such a call names no model, and only that provider can answer it.
        """
        home = self._homes.get((tenant, _response_id(call))) if call.endpoint.name == "responses" else None
        return home if home in self.accounts.providers else None

    def heard(self, key: Key, findings: Findings) -> OnDisk | None:
        """A reply has told how the response stands, to whomever."""
        entry = self._open.get(key)
        if entry is None or findings.generation_id != key[-1]:
            return None
        entry.ran = entry.ran or findings.response.status == "in_progress"
        if findings.response.has_ended:
            return self._end(key, findings)
        if findings.response.status is not None:
            self._put_off(key, entry, asyncio.get_running_loop().time())
        return None

    async def close(self) -> None:
        """Stop asking. What is open stays open in the journal, and the next daemon goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _end(self, key: Key, findings: Findings | None) -> OnDisk | None:
        entry = self._open.pop(key)
        durable = [wait for done in entry.told if (wait := done(findings, entry.ran)) is not None]
        return partial(_all_of, durable) if durable else None

    def _put_off(self, key: Key, entry: _Open, now: float) -> None:
        """Ask a while from now, but not later than at its deadline."""
        entry.due = min(now + entry.wait * random.uniform(0.8, 1.2), max(entry.until, now))
        entry.wait = min(2 * entry.wait, LONGEST_WAIT_SECONDS)
        heapq.heappush(self._queue, (entry.due, key))
        self._news.set()

    async def _ask_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            due = self._take_due(loop.time() + _TICK_SECONDS)
            if due:
                await asyncio.gather(*(self._ask(key, self._open[key]) for key in due))
                continue
            wait = self._queue[0][0] - loop.time() if self._queue else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)

    def _take_due(self, now: float) -> list[Key]:
        """What is to be asked now; entries of the queue that were put off since, or have ended, are passed over."""
        taken: list[Key] = []
        while self._queue and self._queue[0][0] <= now and len(taken) < MOST_AT_ONCE:
            due, key = heapq.heappop(self._queue)
            entry = self._open.get(key)
            if entry is not None and entry.due == due:
                entry.due = math.inf
                taken.append(key)
        return taken

    async def _ask(self, key: Key, entry: _Open) -> None:
        """Ask once. A 404 is an end that nobody can tell more of; trouble of any other kind may pass. Whatever comes of it,
        the others are asked for."""
        loop = asyncio.get_running_loop()
        is_last = loop.time() + _TICK_SECONDS >= entry.until
        status, findings = await self._answer(self._asked_of(entry.provider), key[-1])
        if key not in self._open:  # a client's own GET was quicker
            return
        try:
            durable = self.heard(key, findings)
            if key in self._open and (is_last or status == 404):
                durable = self._end(key, None)
            elif key in self._open and entry.due == math.inf:
                self._put_off(key, entry, loop.time())
            if durable is not None:
                await durable()
        except Exception:
            log.exception("crashed", response_id=key[-1])

    async def _answer(self, provider: Provider, response_id: str) -> tuple[int, Findings]:
        """The status (0: none came), and what the reply says."""
        findings = Findings("responses")
        call = Call(_RETRIEVAL, f"/responses/{quote(response_id, safe='')}", "", "GET", b"")
        headers = DIALECTS[provider.kind].headers(call, provider, Incoming(()))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answered = await self._upstream.get(provider, call.path, headers)
            if answered.status == 200:
                findings.see(answered.body)
        except (ProviderError, TimeoutError):
            return 0, findings
        except Exception:
            log.exception("crashed", response_id=response_id)
            return 0, findings
        return answered.status, findings

    def _asked_of(self, provider: Provider) -> Provider:
        """The provider the call went to, by its newest credentials; one that moved elsewhere is another."""
        now = self.accounts.find(provider.name, provider.tenant)
        is_same = now is not None and (now.base_url, now.tenant) == (provider.base_url, provider.tenant)
        return now if now is not None and is_same else provider


async def _all_of(durable: list[OnDisk]) -> None:
    for one in durable:
        await one()


def _response_id(call: Call) -> str:
    parts = call.path.split("/")
    return parts[2] if len(parts) > 2 else ""


class Watcher:
    """Stands where a call's hold would, for a call that costs nothing itself."""

    look_at: int | None = None
    is_over = False

    def __init__(self, background: Background, key: Key) -> None:
        self._background = background
        self._key = key

    def begun(self, outcome: Any) -> None:
        """The first byte came; nothing is held for it."""

    def afford(self, findings: Findings) -> None:
        """What it tells of was held for by another call."""

    def resolve(self, outcome: Any, provider: Provider) -> OnDisk | None:
        """The reply has come, or all of it that will."""
        findings: Findings | None = outcome.findings
        if findings is None or outcome.judged_status >= 400:
            return None
        return self._background.heard(self._key, findings)

    def close(self, outcome: Any) -> None:
        """Nothing was charged, so there is nothing to correct."""

    def listen(self, outcome: Any) -> bool:
        """Nobody reads on."""
        return False
