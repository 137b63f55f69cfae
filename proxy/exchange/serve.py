"""The way through, on one screen. What is decided here is decided elsewhere, by pure functions."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from proxy.dialects import DIALECTS
from proxy.exchange.attempt import (
    Job,
    fill_empty_error,
    headers_for,
    prepare,
    remember,
    reply_or_raise,
    rounds,
    tell,
    unhealthy,
)
from proxy.exchange.record import Tried
from proxy.exchange.relay import Client, relay
from proxy.exchange.reply import Failure, Reply
from proxy.exchange.upstream import Upstream, Wait
from proxy.policy.billing import closing_stops_billing
from proxy.policy.breaker import Breaker
from proxy.policy.retry import Again, Attempt, Stop, judge
from proxy.policy.values import Provider, RetryRules


class Exchange:
    """Carries calls to providers and their replies back."""

    def __init__(self, providers: dict[str, Provider], rules: RetryRules, upstream: Upstream) -> None:
        """A breaker stands before every provider but the built-in mock, whose failures are ordered."""
        self._providers = providers
        self._rules = rules
        self._upstream = upstream
        self._breakers = {name: Breaker() for name, p in providers.items() if p.kind != "mock"}

    async def serve(self, client: Client, job: Job) -> web.StreamResponse:
        """Serve one call. Raises `ProxyError` for every way it can fail."""
        async with self._first_good_reply(client, job) as reply:
            return await relay(client, reply, job.record, headers_for(reply, job))

    @asynccontextmanager
    async def _first_good_reply(self, client: Client, job: Job) -> AsyncIterator[Reply]:
        """Walk targets and tries until one is worth passing on, good or not."""
        attempt, outcome = Attempt(), None
        while True:
            latest = await self._try(client, job, attempt)
            outcome = latest if outcome is None or not _passed_over(latest) else outcome
            verdict = self._judge(latest, job, attempt)
            if isinstance(verdict, Stop):
                break
            latest.close()
            client.drop_held()
            await self._pause(verdict.wait, job)
            attempt = verdict.attempt
        try:
            reply = reply_or_raise(outcome)
            fill_empty_error(reply, job)
            yield reply
        finally:
            outcome.close()
            if isinstance(outcome, Reply):
                remember(outcome, job.record)

    async def _try(self, client: Client, job: Job, attempt: Attempt) -> Reply | Failure:
        """Make one attempt, unless the provider's breaker is open."""
        record, target = job.record, job.plan.targets[attempt.target]
        provider, breaker = self._providers[target.provider], self._breakers.get(target.provider)
        now = time.monotonic
        record.target = target
        if breaker is not None and (seconds := breaker.seconds_closed_to(now())):
            outcome: Reply | Failure = unhealthy(provider, seconds)
        else:
            request, reader = prepare(job, attempt, provider)
            record.calls += 1
            record.phase, began = "sent", now()
            record.closing_stops_billing = lambda: closing_stops_billing(
                provider, streamed=job.call.stream, served_by=reader.findings.served_by
            )
            try:
                outcome = await self._upstream.send(provider, request, reader, job.call, Wait(job.until, client))
            except asyncio.CancelledError:
                if breaker is not None:
                    breaker.abandoned()
                raise
            record.upstream_seconds += now() - began
            if breaker is not None:
                tell(breaker, outcome, now(), job.until)
        record.tried.append(Tried(target.provider, target.model, outcome.label))
        return outcome

    def _judge(self, outcome: Reply | Failure, job: Job, attempt: Attempt) -> Stop | Again:
        provider = self._providers[job.plan.targets[attempt.target].provider]
        seen = outcome.seen(DIALECTS[provider.kind], datetime.now(UTC))
        bounds = rounds(job, self._rules, time.monotonic())
        return judge(seen, attempt, bounds, random.uniform(0.8, 1.2))

    async def _pause(self, seconds: float, job: Job) -> None:
        """Wait before the next attempt; nothing is on its way meanwhile."""
        job.record.closing_stops_billing = lambda: True
        job.record.phase = "waiting"
        job.record.upstream_seconds += seconds
        await asyncio.sleep(seconds)


def _passed_over(outcome: Reply | Failure) -> bool:
    """Whether nothing was sent: an earlier answer is worth more to the client."""
    return isinstance(outcome, Failure) and outcome.trouble == "unhealthy"
