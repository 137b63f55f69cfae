"""What a call must take before it may go, and gives back after: its limits once, a hold for every attempt."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping

from msgspec import Struct

from proxy.errors import PolicyError
from proxy.exchange.held import Held
from proxy.exchange.job import Job
from proxy.exchange.keeping import Keeping
from proxy.exchange.pacing import PATIENCE, Pacing
from proxy.exchange.places import Places
from proxy.exchange.refusals import code_of, exceeded, in_flight, too_much, unbounded, unlisted
from proxy.exchange.refused import RefusedCalls
from proxy.exchange.runaway import Runaway, watching
from proxy.exchange.times import Queued
from proxy.exchange.waiting import Place
from proxy.policy.limits.limiter import Denied
from proxy.policy.limits.pace import BATCH
from proxy.policy.loops import Loops
from proxy.policy.money.account import Verdict
from proxy.policy.money.bounds import Bound
from proxy.policy.money.budgets import BudgetRules, Subject
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.quote import (
    Decision,
    Go,
    Quote,
    Refuse,
    Wait,
    ample_pusd,
    decide,
    judge_in_shadow,
    quote_for,
    with_maximum,
)
from proxy.policy.tenants import own_scopes, tenants_of
from proxy.policy.values import Plan, Provider
from proxy.stores.records import Charge, Hold


class Ask(Struct, frozen=True):
    """One attempt asking for its hold: the how-manieth, where to, the maximum a repair set.

    `names` are the label whose own price counts, and the model as the provider is sent it.
    """

    number: int
    provider: Provider
    names: tuple[str, str]
    lowered_to: int | None = None


class Toll:
    """Stands between a call and its provider. `prices` changes with the catalogue."""

    def __init__(self, keeping: Keeping, prices: PriceBook, rules: BudgetRules) -> None:
        self.prices = prices
        self.keeping = keeping
        self.rules = rules
        self.refused = RefusedCalls(keeping.journal)
        self.runaway: Runaway | None = None
        self._queue = keeping.queue
        self.pacing = Pacing()
        self.places = Places(keeping.limiter)

    def watch(self, loops: Loops | None) -> None:
        """Stop agents that run away, or do not."""
        self.runaway = watching(loops, self.runaway)
        self.keeping.watchers[:] = [] if self.runaway is None else [self.runaway.spent]

    def settled(self) -> None:
        """A hold was resolved, or a budget changed: the next in line that may go is called."""
        self._queue.look_again()

    def answered(self, job: Job, fields: Mapping[str, str]) -> None:
        """A call that was paced, or whose target was chosen among several, or that nobody waits for, has a reply with these
        headers: they may say how much is left there."""
        if job.leave is not None or job.rank == BATCH:
            self.pacing.answered(job, fields)
        if job.course is not None:
            job.course.answered(fields)

    def release(self, job: Job) -> None:
        """A call is over: what it took from its limits and did not use is given back."""
        if job.course is not None:
            job.over()
        if job.leave is not None:
            job.leave()
        if job.place is not None:
            self.places.leave(job)
        if (taken := job.taken) is not None:
            self.keeping.limiter.give_back(taken, job.record.tokens_used(), time.monotonic())

    def check_listed(self, scopes: tuple[str, ...], provider: Provider, plan: Plan) -> None:
        """Raise `ModelNotFound` where a call to the plan's first target would be refused because no list has its name."""
        model = plan.targets[0].model
        if self.rules.unpriced != "deny" or not self.keeping.books.is_bound(scopes):
            return
        if (near := self.prices.unlisted(provider, plan.label, model)) is not None:
            raise unlisted(near)

    def hold(self, job: Job, ask: Ask) -> Awaitable[Held | None] | Held | None:
        """Take the attempt's hold from every budget it falls under, and with the first one what limits ask for:
        all in one step or nothing, waiting for others' holds if need be; where there is room for it, there is nothing to await.

        None for what costs nothing by its nature. Raises `PolicyError`.
        """
        if job.course is not None and job.record.target is not None:
            job.course.goes_to(job.record.target)
        if self.places.names:
            self.places.take(job, ask.provider)
        if self.pacing.paces:
            return self._hold_paced(job, ask)
        job.under = job.scopes
        return self._hold_narrowed(job, ask) if self.keeping.books.has_narrowed else self._hold(job, ask)

    async def _hold_paced(self, job: Job, ask: Ask) -> Held | None:
        """The same, once it has a place at its target."""
        if job.call.endpoint.counts:
            where = ask.provider.tenant, ask.provider.name, ask.names[1]
            await self.pacing.enter(job, where, self.rules.wait_seconds)
        return await self.hold_unpaced(job, ask)

    async def hold_unpaced(self, job: Job, ask: Ask) -> Held | None:
        """`hold` for a call that needs no place at its target."""
        job.under = job.scopes
        held = self._hold_narrowed(job, ask) if self.keeping.books.has_narrowed else self._hold(job, ask)
        return held if held is None or isinstance(held, Held) else await held

    async def _hold_narrowed(self, job: Job, ask: Ask) -> Held | None:
        """The same, after it is known which of the narrowed budgets bind this attempt, and what these have spent."""
        narrowed, names, marks = self.keeping.books.narrowed, ask.names, job.record.marks
        models = (*names, f"{ask.provider.name}/{names[1]}", *job.call.also_models, job.call.model or "")
        subject = Subject(job.caller.name, ask.provider.name, models, marks.tags, marks.session, tenants_of(job.caller))
        job.under = self.keeping.books.under(job.scopes, subject)
        with narrowed.using(job.under):
            if missing := narrowed.missing(job.under):
                await self.keeping.open(missing)
            held = self._hold(job, ask)
            return held if held is None or isinstance(held, Held) else await held

    def _hold(self, job: Job, ask: Ask) -> Awaitable[Held] | Held | None:
        if not job.call.endpoint.counts:
            return None
        quote = self._quote(job, ask)
        if (bound := quote.bound) is not None and not self._queue.line.waiting:
            if (held := self._take_ample(job, ask, quote, bound)) is not None:
                return held
        return self._hold_in_turn(job, ask, quote)

    def _take_ample(self, job: Job, ask: Ask, quote: Quote, bound: Bound) -> Held | None:
        """The hold where nobody waits and there is plenty of room; None where more has to be thought of."""
        amount, books, now = bound.pusd, self.keeping.books, time.time()
        identity, ample = f"{job.record.request_id}.{ask.number}", ample_pusd(bound, quote.may_lower)
        charges = books.take_ample(identity, job.under, job.caller.name, (amount, ample), now)
        if charges is None:
            return None
        if job.taken is None:
            try:
                self._take_limits(job)
            except PolicyError:
                books.void(identity)
                raise
        return self._held(job, ask, quote, (identity, now, amount, charges))

    async def _hold_in_turn(self, job: Job, ask: Ask, quote: Quote) -> Held:
        room = self._room(job, quote)
        if isinstance(room, Go) and (not room.hold_pusd or not self._queue.is_before(job.caller.name, job.rank)):
            return self._take(job, ask, quote, room)  # nothing is awaited between the verdict and this
        return await self._take_in_line(job, ask, quote)

    async def _take_in_line(self, job: Job, ask: Ask, quote: Quote) -> Held:
        """Wait for others' holds to settle, no longer than the client itself does."""
        record, began = job.record, time.monotonic()
        record.phase = "waiting"
        until = min(began + self.rules.wait_seconds, began + PATIENCE * (job.until - began))
        at, may_go = self._queue.line.ahead(job.rank) + 1, lambda: not isinstance(self._decide(job, quote), Wait)
        with Place(self._queue, job.caller.name, may_go, job.rank) as place:
            room = await self._turn(job, quote, place, until)
            held = self._take(job, ask, quote, room)
        record.times.queued = Queued(at, time.monotonic() - began)
        record.times.waited_seconds += record.times.queued.seconds
        return held

    async def _turn(self, job: Job, quote: Quote, place: Place, until: float) -> Go:
        """Wait to be called until it can go. Raises `PolicyError` where it cannot any more, or not in time."""
        while True:
            was_called = await place.turn(until - time.monotonic())
            room = self._room(job, quote)
            if isinstance(room, Go) and (was_called or place.is_first):
                return room
            if not was_called:
                least = room.hold_pusd if isinstance(room, Go) else room.least_pusd
                raise in_flight(self._in_the_way(job, least), job.caller)
            place.answered()

    def _quote(self, job: Job, ask: Ask) -> Quote:
        weight, also = job.weight, job.call.also_models
        models = [ask.names, *[(name, name) for name in also]] if also else [ask.names]
        if ask.lowered_to is not None:
            weight = with_maximum(weight, ask.lowered_to)
        return quote_for(weight, ask.provider, models, self.prices, self.rules)

    def _room(self, job: Job, quote: Quote) -> Go | Wait:
        """What fits now, or has to come free first. Raises `PolicyError` where waiting does not help."""
        self._judge_limits(job)
        decision = self._decide(job, quote)
        if isinstance(decision, Refuse):
            raise exceeded(self._in_the_way(job, decision.least_pusd), decision.least_pusd, job.caller)
        return decision

    def _decide(self, job: Job, quote: Quote) -> Decision:
        """Raises `ModelNotPriced` where nothing bounds the cost and that is not allowed."""
        room = self.keeping.books.room(job.under, job.caller.name, time.time())
        if quote.is_free or room is None:
            return Go(quote.most_pusd or 0)
        if quote.bound is None:
            if quote.unbounded is not None and self.rules.unpriced == "deny":
                raise unbounded(job.call, job.plan.label, quote.unbounded)
            return Go(0)
        return decide(quote.bound, room, may_lower=quote.may_lower)

    def _in_the_way(self, job: Job, amount: int) -> Verdict:
        return self.keeping.books.judge(job.under, job.caller.name, amount, time.time())

    def _judge_limits(self, job: Job) -> None:
        """A call is limited once, however many attempts it takes."""
        if job.taken is not None:
            return
        limiter, scopes, now = self.keeping.limiter, job.scopes, time.monotonic()
        denied = limiter.judge(scopes, job.likely_tokens, now)
        if denied is not None:
            raise self._refused(denied, job, now)

    def _refused(self, denied: Denied, job: Job, now: float) -> PolicyError:
        job.record.limit_headers = self.keeping.limiter.headers(own_scopes(job.caller), now)
        return too_much(denied, job.caller)

    def _take_limits(self, job: Job) -> None:
        """In the same step in which they were judged, of a call that has taken nothing from them."""
        limiter, scopes, caller, now = self.keeping.limiter, job.scopes, job.caller, time.monotonic()
        taken = limiter.take(scopes, job.likely_tokens, now)
        if isinstance(taken, Denied):
            raise self._refused(taken, job, now)
        job.taken = taken
        job.record.limit_headers = limiter.headers(own_scopes(caller), now) if caller.tenant else taken.headers
        if limiter.has_shadows:
            for limit in limiter.take_in_shadow(taken, scopes, job.likely_tokens, now):
                job.record.pass_shadow(code_of(limit), limit.id)

    def _take(self, job: Job, ask: Ask, quote: Quote, go: Go) -> Held:
        """Reserve in memory, in one synchronous step with the verdict; it is written down as the request goes out."""
        if job.taken is None:
            self._take_limits(job)
        identity, now = f"{job.record.request_id}.{ask.number}", time.time()
        charges = self.keeping.books.take(identity, job.under, job.caller.name, go.hold_pusd, now)
        held = self._held(job, ask, quote, (identity, now, go.hold_pusd, charges))
        held.maximum = go.maximum
        return held

    def _take_in_shadow(self, job: Job, quote: Quote, identity: str, now: float) -> tuple[Charge, ...]:
        """Hold from budgets in shadow what each would have, were it the only one; none of them is in the way."""
        books, amounts = self.keeping.books, {}
        for budget_id, room in books.shadow_rooms(job.under, job.caller.name, now):
            amounts[budget_id], code = judge_in_shadow(quote, room, self.rules)
            if code is not None:
                job.record.pass_shadow(code, budget_id)
        return books.take_in_shadow(identity, amounts, now)

    def _held(self, job: Job, ask: Ask, quote: Quote, taken: tuple[str, float, int, tuple[Charge, ...]]) -> Held:
        """The hold under way, with what its settlement will want to know. `taken`: its id, when, how much, of which budgets."""
        identity, now, amount, charges = taken
        call, caller, record, price, keeping = job.call, job.caller, job.record, quote.price, self.keeping
        if keeping.books.has_shadows:
            charges += self._take_in_shadow(job, quote, identity, now)
        marks, names = record.marks, ask.names
        hold = Hold(  # in the order of its fields, which is quicker than by their names
            identity, int(now * 1000), record.request_id, ask.number, caller.name, call.endpoint.name, call.model or "",
            job.plan.label, ask.provider.name, names[1], call.stream, amount, charges, marks.session,
            ",".join(marks.tags), caller.tenant, record.decision,
        )  # fmt: skip
        tools = None if call.document is None else call.document.values.get("tools")
        held = Held(keeping, hold, record, caller, job.weight, quote, ask, self.prices, tools, keeping.waits)
        if hold.stream and price is not None and not price.makes_images:
            held.watch(price)
        return held
