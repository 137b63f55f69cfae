"""The way through, on one screen. What is decided here is decided elsewhere, by pure functions."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime

from msgspec.structs import replace

from proxy.dialects import DIALECTS
from proxy.errors import ModelNotFound, PolicyError
from proxy.exchange.attempt import (
    Ending,
    abandoned,
    fill_empty_error,
    headers_for,
    is_near,
    news_of,
    prepare,
    reply_or_raise,
    rounds,
    unhealthy,
)
from proxy.exchange.client import Client
from proxy.exchange.failure import Failure
from proxy.exchange.held import Held
from proxy.exchange.job import Job
from proxy.exchange.record import Tried
from proxy.exchange.relay import relay
from proxy.exchange.reply import Reply
from proxy.exchange.toll import Ask, Toll
from proxy.exchange.upstream import Upstream, Wait
from proxy.policy.retries.breaker import Breakers
from proxy.policy.retries.retry import Again, Attempt, Stop, judge
from proxy.policy.values import Provider, RetryRules
from proxy.stores.failures import JournalUnwritable


class Exchange:
    """Carries calls to providers and their replies back."""

    def __init__(self, providers: dict[str, Provider], rules: RetryRules, upstream: Upstream, toll: Toll) -> None:
        """Breakers stand before every provider but the built-in mock, whose failures are ordered."""
        self.toll = toll
        self.providers = providers
        self._rules = rules
        self._upstream = upstream
        self.aside = upstream.aside
        self.breakers = Breakers(name for name, p in providers.items() if p.kind != "mock")

    async def serve(self, client: Client, job: Job) -> None:
        """Serve one call. Raises `ProxyError` for every way it can fail."""
        try:
            with await self._first_good_outcome(client, job) as outcome:
                reply = await self._in_order(outcome, job)
                await relay(client, reply, job.record, headers_for(reply, job))
        finally:
            self.toll.release(job)

    async def _first_good_outcome(self, client: Client, job: Job) -> Ending:
        """Walk targets and tries until an outcome is worth passing on, good or not. Closing an outcome settles it."""
        attempt, outcome = Attempt(), None
        while True:
            try:
                latest = await self._try(client, job, attempt)
            except (PolicyError, ModelNotFound):  # the next hold does not fit: the answer there was says more
                if outcome is None:
                    raise
                break
            outcome = latest if outcome is None or not _passed_over(latest) else outcome
            verdict = self._judge(latest, job, attempt)
            if isinstance(verdict, Stop):
                break
            latest.close()
            client.drop_held()
            await self._pause(verdict.wait, job)
            attempt = verdict.attempt
        return Ending(outcome, job.record)

    async def _in_order(self, outcome: Reply | Failure, job: Job) -> Reply:
        """The reply to pass on, settled where all of it is in hand. Raises where the client must read ours instead."""
        reply = reply_or_raise(outcome)
        fill_empty_error(reply, job)
        if reply.whole and (durable := reply.settle()) is not None:
            await durable
        job.let_go()
        return reply

    async def _try(self, client: Client, job: Job, attempt: Attempt) -> Reply | Failure:
        """Make one attempt, unless a breaker is open."""
        record, target = job.record, job.plan.targets[attempt.target]
        provider, breakers = self.providers[target.provider], self.breakers
        record.target = target
        if seconds := breakers.seconds_closed_to(target, time.monotonic()):
            is_whole = breakers.by_provider[target.provider].is_open
            outcome: Reply | Failure = unhealthy(provider, seconds, is_whole=is_whole)
        else:
            try:
                label = job.plan.label if attempt.target == 0 else self.toll.prices.label_for(target)
                ask = Ask(record.calls + 1, provider, (label, target.model), attempt.lowered_to)
                outcome = await self._send(client, job, attempt, await self.toll.hold(job, ask))
            except BaseException:
                breakers.tell(target, "nothing", time.monotonic())
                raise
            now = time.monotonic()
            breakers.tell(target, news_of(outcome, provider, now >= job.until), now)
        record.tried.append(Tried(target.provider, target.model, outcome.label))
        return outcome

    async def _send(self, client: Client, job: Job, attempt: Attempt, held: Held | None) -> Reply | Failure:
        """Send under a hold. Whatever happens, the hold is resolved: by the outcome's end, or here."""
        record = job.record
        provider = self.providers[job.plan.targets[attempt.target].provider]
        maximum = held.maximum if held is not None and held.maximum is not None else attempt.lowered_to
        request, reader = prepare(job, attempt, provider, maximum)
        record.calls += 1
        times = record.times
        record.phase, times.sent_at, times.opened_at = "sent", time.monotonic(), None
        client.sent()
        record.findings, record.held, record.asked_of = reader.findings, held, provider
        try:
            outcome = await self._upstream.send(
                provider, request, reader, job.call, Wait(job.until, client, held, attempt.resent)
            )
        except JournalUnwritable:
            record.calls -= 1
            if held is not None:
                held.withdraw()
            raise
        except BaseException:
            if held is not None:
                held.resolve(abandoned(provider), provider)
                held.close()
            raise
        times.upstream_seconds += time.monotonic() - times.sent_at
        settler = held or self.toll.keeping.background.watcher(provider, job.call)
        if settler is not None:
            outcome.settler, outcome.provider = settler, provider
            if isinstance(outcome, Failure) or not outcome.whole:  # a reply in hand is settled in a moment
                settler.begun(outcome)
        return outcome

    def _judge(self, outcome: Reply | Failure, job: Job, attempt: Attempt) -> Stop | Again:
        if outcome.judged_status is not None and outcome.judged_status < 400:
            return _GOOD
        provider = self.providers[job.plan.targets[attempt.target].provider]
        seen = outcome.seen(DIALECTS[provider.kind], datetime.now(UTC))
        if seen.trouble == "unreachable":
            seen = replace(seen, is_near=is_near(provider))
        bounds = rounds(job, self._rules, time.monotonic())
        return judge(seen, attempt, bounds, random.uniform(0.8, 1.2))

    async def _pause(self, seconds: float, job: Job) -> None:
        """Wait before the next attempt; nothing is on its way meanwhile."""
        job.record.asked_of = None
        job.record.phase = "waiting"
        job.record.times.waited_seconds += seconds
        await asyncio.sleep(seconds)


_GOOD = Stop()


def _passed_over(outcome: Reply | Failure) -> bool:
    """Whether nothing was sent: an earlier answer is worth more to the client."""
    return isinstance(outcome, Failure) and outcome.trouble == "unhealthy"
