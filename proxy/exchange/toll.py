"""What a call must take before it may go, and gives back after: its limits once, a hold for every attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from proxy.dialects import DIALECTS
from proxy.errors import (
    BudgetExceeded,
    BudgetInFlight,
    LedgerUnavailable,
    ModelNotPriced,
    RateLimitExceeded,
    TooManyConcurrent,
)
from proxy.exchange.held import Held, Keeping
from proxy.exchange.job import Job
from proxy.policy.books import Exceeded, InFlight
from proxy.policy.budgets import GLOBAL, BudgetRules, key_scope
from proxy.policy.limiter import Denied
from proxy.policy.money import usd_text
from proxy.policy.pricebook import PriceBook
from proxy.policy.quote import Quote, quote_for
from proxy.policy.values import Provider
from proxy.stores.journal import JournalUnwritable
from proxy.stores.records import Hold

RETRY_IN_FLIGHT_SECONDS = 1.0


class Ask(Struct, frozen=True):
    """One attempt asking for its hold: the how-manieth, where to, and the output limit a repair set."""

    number: int
    provider: Provider
    upstream_model: str
    lowered_to: int | None = None


class Toll:
    """Stands between a call and its provider. Prices change with the catalogue; the rest lives as long as the daemon."""

    def __init__(self, keeping: Keeping, prices: PriceBook, rules: BudgetRules) -> None:
        self.prices = prices
        self._keeping = keeping
        self._rules = rules
        self._next_settlement: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resettle(self) -> None:
        """A hold was resolved: whoever waits for room looks again, in the order they came."""
        self._next_settlement.set_result(None)
        self._next_settlement = asyncio.get_running_loop().create_future()

    @contextmanager
    def admitted(self, job: Job) -> Iterator[None]:
        """Take what rate limits ask for; give slots back and correct tokens at the end. Raises `RateLimitExceeded`."""
        call, record, limiter = job.call, job.record, self._keeping.limiter
        if not call.endpoint.counts:
            yield
            return
        scopes = _scopes(job)
        taken = limiter.take(scopes, estimated_tokens(call), time.monotonic())
        record.limit_headers = limiter.headers(scopes, time.monotonic())
        if isinstance(taken, Denied):
            raise _too_much(taken)
        try:
            yield
        finally:
            used = None if record.usage is None else record.usage.input_tokens + record.usage.output_tokens
            limiter.settle(taken, used, time.monotonic())

    async def hold(self, job: Job, ask: Ask) -> Held | None:
        """Take the attempt's hold from every budget it falls under, all or nothing, waiting for others' holds if need be.

        None for what costs nothing by nature. Raises `PolicyError`, or `LedgerUnavailable`.
        """
        if not job.call.endpoint.counts:
            return None
        quote = quote_for(job.call, ask.provider, (job.plan.label, ask.upstream_model), self.prices, ask.lowered_to)
        scopes = _scopes(job)
        if not self._keeping.books.binds(scopes):
            return self._take(job, ask, quote, quote.most_pusd or 0)
        if quote.most_pusd is None and not quote.can_be_lowered and self._rules.unpriced == "deny":
            raise _not_priced(quote)
        amount = await self._room(job, quote, scopes)
        return self._take(job, ask, quote, amount)

    async def _room(self, job: Job, quote: Quote, scopes: tuple[str, ...]) -> int:
        """Wait until the hold fits; return its amount, lowered where spending leaves less than the model's most."""
        books = self._keeping.books
        until = time.monotonic() + self._rules.wait_seconds
        while True:
            left = books.left_by_spending(scopes, time.time())
            amount = quote.amount_within(left)
            if amount is None:
                raise _exceeded(books.judge(scopes, job.caller.name, quote.least_pusd(left), time.time()), quote)
            verdict = books.judge(scopes, job.caller.name, amount, time.time())
            if isinstance(verdict, Exceeded):
                raise _exceeded(verdict, quote)
            if not isinstance(verdict, InFlight):
                return amount
            if time.monotonic() >= until:
                raise _in_flight(verdict)
            await self._wait(until)

    async def _wait(self, until: float) -> None:
        """Until the next settlement or `until`, whichever comes first."""
        waiter = self._next_settlement
        await asyncio.wait([waiter], timeout=max(0.0, until - time.monotonic()))

    def _take(self, job: Job, ask: Ask, quote: Quote, amount: int) -> Held:
        """Reserve in memory and write it down, in one synchronous step."""
        books, record, now = self._keeping.books, job.record, time.time()
        identity = f"{record.request_id}.{ask.number}"
        charges = books.take(identity, _scopes(job), job.caller.name, amount, now)
        hold = Hold(
            id=identity,
            at_ms=int(now * 1000),
            request_id=record.request_id,
            attempt=ask.number,
            key=job.caller.name,
            endpoint=job.call.endpoint.name,
            asked=job.call.model or "",
            model=job.plan.label,
            provider=ask.provider.name,
            upstream_model=ask.upstream_model,
            stream=job.call.stream,
            amount_pusd=amount,
            charges=charges,
        )
        held = Held(self._keeping, hold, quote, record)
        try:
            held.position = self._keeping.journal.append(hold)
        except JournalUnwritable as error:
            books.void(identity)
            if not quote.is_free:
                raise LedgerUnavailable(f"The journal cannot be written ({error}); paid calls wait.", retry_after=5) from None
        return held
