"""What a call must take before it may go, and gives back after: its limits once, a hold for every attempt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial

from msgspec import Struct

from proxy.exchange.held import Held
from proxy.exchange.job import Job
from proxy.exchange.keeping import Keeping
from proxy.exchange.record import Record
from proxy.exchange.refusals import exceeded, in_flight, not_priced, too_much
from proxy.exchange.rows import refused_row
from proxy.policy.books import Exceeded, InFlight
from proxy.policy.budgets import GLOBAL, BudgetRules, key_scope
from proxy.policy.limiter import Denied, Limiter
from proxy.policy.pricebook import PriceBook
from proxy.policy.quote import Quote, quote_for, with_maximum
from proxy.policy.settlement import Prices
from proxy.policy.values import Provider
from proxy.policy.weight import likely_tokens
from proxy.stores.failures import JournalUnwritable
from proxy.stores.records import Hold, Refused


class Ask(Struct, frozen=True):
    """One attempt asking for its hold: the how-manieth, where to, the maximum a repair set.

    `names` are the label whose own price counts, and the model as the provider is sent it.
    """

    number: int
    provider: Provider
    names: tuple[str, str]
    lowered_to: int | None = None


class Admitted:
    """`with Toll.admitted(job):` gives back the place among calls at once and the tokens that were not used."""

    __slots__ = ("_job", "_limiter")

    def __init__(self, limiter: Limiter, job: Job) -> None:
        self._limiter = limiter
        self._job = job

    def __enter__(self) -> None:
        """Nothing is taken before the first attempt is about to go."""

    def __exit__(self, *_: object) -> None:
        taken, record = self._job.admission.taken, self._job.record
        if taken is not None:
            self._limiter.give_back(taken)
            if record.usage is not None or not record.calls:
                self._limiter.correct(taken, record.tokens_used(), time.monotonic())


class Toll:
    """Stands between a call and its provider. `prices` changes with the catalogue."""

    def __init__(self, keeping: Keeping, prices: PriceBook, rules: BudgetRules) -> None:
        self.prices = prices
        self.keeping = keeping
        self.rules = rules
        self._next_settlement: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settled(self) -> None:
        """A hold was resolved: whoever waits for room looks again, in the order they came."""
        done, self._next_settlement = self._next_settlement, asyncio.get_running_loop().create_future()
        done.set_result(None)

    def admitted(self, job: Job) -> Admitted:
        """Frames a call: at its end, what it took from its limits and did not use is given back."""
        return Admitted(self.keeping.limiter, job)

    async def hold(self, job: Job, ask: Ask) -> Held | None:
        """Take the attempt's hold from every budget it falls under, and with the first one what limits ask for:
        all in one step or nothing, waiting for others' holds if need be.

        None for what costs nothing by its nature. Raises `PolicyError`, or `JournalUnwritable`.
        """
        if not job.call.endpoint.counts:
            return None
        quote = self._quote(job, ask)
        until = time.monotonic() + self.rules.wait_seconds
        while isinstance(room := self._room(job, quote), InFlight):
            if time.monotonic() >= until:
                raise in_flight(room)
            await asyncio.wait([self._next_settlement], timeout=max(0.0, until - time.monotonic()))
        held = self._take(job, ask, quote, room[0])  # nothing is awaited between the verdict and this
        held.maximum = room[1]
        if self.keeping.waits:
            await self.keeping.journal.durable(self.keeping.journal.end)
        return held

    def refused(self, record: Record) -> None:
        """Keep what was refused, so that `show` can say why."""
        with contextlib.suppress(JournalUnwritable):
            self.keeping.journal.append(Refused(refused_row(record)))

    def _quote(self, job: Job, ask: Ask) -> Quote:
        models = [ask.names, *((name, name) for name in job.call.also_models)]
        weight, maximum = job.weight, ask.lowered_to
        if maximum is not None:
            weight = with_maximum(weight, maximum)
        return quote_for(weight, ask.provider, models, self.prices)

    def _room(self, job: Job, quote: Quote) -> tuple[int, int | None] | InFlight:
        """The hold that fits now, with the output maximum where spending leaves less than the model's most; or whose
        holds are in the way. Raises `PolicyError` where waiting does not help."""
        self._judge_limits(job)
        books, scopes, now = self.keeping.books, scopes_of(job), time.time()
        if quote.is_free or not books.is_bound(scopes):
            return quote.most_pusd or 0, None
        if quote.bound is None:
            if self.rules.unpriced == "deny":
                raise not_priced(job.plan.label)
            return 0, None
        fitting = quote.within(books.affordable(scopes, now) or 0)
        amount, maximum = fitting if fitting is not None else (quote.least_pusd, None)
        verdict = books.judge(scopes, job.caller.name, amount, now)
        if fitting is None or isinstance(verdict, Exceeded):
            raise exceeded(verdict, books.state(now), scopes, amount)
        return verdict if isinstance(verdict, InFlight) else (amount, maximum)

    def _judge_limits(self, job: Job) -> None:
        """A call is limited once, however many attempts it takes."""
        if job.admission.taken is not None:
            return
        limiter, scopes, now = self.keeping.limiter, scopes_of(job), time.monotonic()
        denied = limiter.judge(scopes, likely_tokens(job.weight), now)
        if denied is not None:
            job.record.limit_headers = list(limiter.headers(scopes, now).items())
            raise too_much(denied)

    def _take_limits(self, job: Job) -> None:
        limiter, scopes, now = self.keeping.limiter, scopes_of(job), time.monotonic()
        if job.admission.taken is None:
            taken = limiter.take(scopes, likely_tokens(job.weight), now)
            job.admission.taken = None if isinstance(taken, Denied) else taken
            job.record.limit_headers = list(limiter.headers(scopes, now).items())

    def _take(self, job: Job, ask: Ask, quote: Quote, amount: int) -> Held:
        """Reserve in memory and write it down, in one synchronous step."""
        keeping, record, now = self.keeping, job.record, time.time()
        identity = f"{record.request_id}.{ask.number}"
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
            upstream_model=ask.names[1],
            stream=job.call.stream,
            amount_pusd=amount,
            charges=keeping.books.take(identity, scopes_of(job), job.caller.name, amount, now),
        )
        try:
            keeping.journal.append(hold)
        except JournalUnwritable:
            keeping.books.void(identity)
            if not quote.is_free:
                raise
        self._take_limits(job)
        held = Held(keeping, hold, Prices(quote.price, partial(self.prices.listed, ask.provider)), record)
        held.input_tokens = likely_tokens(with_maximum(job.weight, 0))
        held.characters = job.weight.asks.characters or None
        return held


def scopes_of(job: Job) -> tuple[str, ...]:
    """Whose budgets and limits a call falls under."""
    return (key_scope(job.caller.name), GLOBAL)
