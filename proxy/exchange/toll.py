"""What a call must take before it may go, and gives back after: its limits once, a hold for every attempt."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping

from msgspec.structs import replace

from proxy.errors import PolicyError
from proxy.exchange.fares import Fare, fare_for
from proxy.exchange.held import Held, Keeping, tokens_used
from proxy.exchange.job import Job
from proxy.exchange.pacing import PATIENCE, Pacing
from proxy.exchange.places import Places
from proxy.exchange.prepared import Route
from proxy.exchange.refusals import code_of, exceeded, in_flight, too_much, unbounded, unlisted
from proxy.exchange.refused import RefusedCalls
from proxy.exchange.runaway import Runaway, watching
from proxy.exchange.times import Queued
from proxy.exchange.waiting import Place
from proxy.policy.limits.limiter import Denied, Limits
from proxy.policy.limits.pace import BATCH
from proxy.policy.loops import Loops
from proxy.policy.money.account import Verdict
from proxy.policy.money.budgets import BudgetRules, Subject
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.quote import Decision, Go, Quote, Refuse, Wait, decide, judge_in_shadow
from proxy.policy.tenants import own_scopes, tenants_of
from proxy.policy.values import Plan, Provider
from proxy.stores.records import Charge, Hold


class Toll:
    """Stands between a call and its provider. `prices` changes with the catalogue, and whenever `rules` do."""

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
        self.keeping.resolved[1:] = [] if self.runaway is None else [self.runaway.spent]

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
        if (limits := job.limits) is not None:
            job.limits = None
            limits.give_back(job.likely_tokens, tokens_used(job.record), time.monotonic_ns())

    def check_listed(self, scopes: tuple[str, ...], provider: Provider, plan: Plan) -> None:
        """Raise `ModelNotFound` where a call to the plan's first target would be refused because no list has its name."""
        model = plan.targets[0].model
        if self.rules.unpriced != "deny" or not self.keeping.books.is_bound(scopes):
            return
        if (near := self.prices.unlisted(provider, plan.label, model)) is not None:
            raise unlisted(near)

    def hold(self, job: Job, route: Route, lowered_to: int | None = None) -> Awaitable[Held | None] | Held | None:
        """Take the hold of an attempt from every budget it falls under, and with the first one what limits ask for: all in one
        step or nothing, waiting for others' holds if need be; where there is room for it, there is nothing to await.
        `lowered_to` is the maximum a repair has set.

        None for what costs nothing by its nature. Raises `PolicyError`.
        """
        prepared, now = job.prepared, time.time()
        fare = None if prepared is None else prepared.fare
        if prepared is not None and fare is not None and fare.route is not route:
            fare = prepared.fare_of(route)
        if fare is None or lowered_to is not None or fare.prices is not self.prices or fare.asks is not job.asks:
            fare = self.fare(job, route, lowered_to)
        elif now < fare.together.ends and fare.is_plain and not self.pacing.paces:
            return self._take(job, fare, now) or self._hold_in_turn(job, fare)
        return self._hold_with_care(job, route, fare)

    def fare(self, job: Job, route: Route, lowered_to: int | None = None) -> Fare | None:
        """What such an attempt holds; None for what costs nothing by its nature."""
        if not job.call.endpoint.counts:
            return None
        job.under, fare = job.scopes, fare_for(self.keeping, (self.prices, self.rules), job, route, lowered_to)
        self._renew(job, fare, time.time())
        return fare

    def _renew(self, job: Job, fare: Fare, now: float) -> None:
        """Find out what binds such attempts from now on, and who else has a say or is told of them: limits change when budgets
        do, and those of providers when prices do."""
        books, limiter = self.keeping.books, self.keeping.limiter
        fare.together, fare.limits = books.together(job.under, job.caller.name, now), limiter.of(job.scopes)
        fare.is_plain = fare.is_bounded and not (books.has_narrowed or self.places.names)
        fare.tells_more = bool(job.caller.tenant) or books.has_shadows or limiter.has_shadows

    async def _hold_with_care(self, job: Job, route: Route, fare: Fare | None) -> Held | None:
        """`hold` where others have a say as well: whoever chose the target, the limits of its provider, its pace, budgets that
        bind some calls only."""
        if job.course is not None and job.record.target is not None:
            job.course.goes_to(job.record.target)
        if self.places.names:
            self.places.take(job, route.provider)
        if self.pacing.paces and fare is not None:
            where = route.provider.tenant, route.provider.name, route.names[1]
            await self.pacing.enter(job, where, self.rules.wait_seconds)
        return await self.hold_unpaced(job, fare)

    async def hold_unpaced(self, job: Job, fare: Fare | None) -> Held | None:
        """`hold` for a call that needs no place at its target."""
        job.under, books = job.scopes, self.keeping.books
        if fare is None:
            return None
        if not books.has_narrowed:
            return await self._hold_in_turn(job, fare)
        names, marks, provider = fare.route.names, job.record.marks, fare.route.provider.name
        models = (*names, f"{provider}/{names[1]}", *job.call.also_models, job.call.model or "")
        subject = Subject(job.caller.name, provider, models, marks.tags, marks.session, tenants_of(job.caller))
        job.under = books.under(job.scopes, subject)
        with books.narrowed.using(job.under):
            if missing := books.narrowed.missing(job.under):
                await self.keeping.open(missing)
            return await self._hold_in_turn(job, replace(fare))  # others have others

    async def _hold_in_turn(self, job: Job, fare: Fare) -> Held:
        """Where there is not plenty of room, or others may have a say."""
        now = time.time()
        self._renew(job, fare, now)
        if fare.is_bounded and (held := self._take(job, fare, now)) is not None:
            return held
        quote = fare.quote(job.text_tokens)
        room = self._room(job, quote)
        if not isinstance(room, Go) or (room.hold_pusd and self._queue.is_before(job.caller.name, job.rank)):
            return await self._take_in_line(job, fare, quote)
        return self._take_what_fits(job, fare, room)  # nothing is awaited between the verdict and this

    def _take_what_fits(self, job: Job, fare: Fare, go: Go) -> Held:
        """In the same step as the verdict."""
        now = time.time()
        self._renew(job, fare, now)
        held = self._take(job, fare, now, go)
        assert held is not None
        return held

    async def _take_in_line(self, job: Job, fare: Fare, quote: Quote) -> Held:
        """Wait for others' holds to settle, no longer than the client itself does."""
        record, began = job.record, time.monotonic()
        record.phase = "waiting"
        until = min(began + self.rules.wait_seconds, began + PATIENCE * (job.until - began))
        at, may_go = self._queue.line.ahead(job.rank) + 1, lambda: not isinstance(self._decide(job, quote), Wait)
        with Place(self._queue, job.caller.name, may_go, job.rank) as place:
            room = await self._turn(job, quote, place, until)
            held = self._take_what_fits(job, fare, room)
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
        if job.limits is not None:
            return
        denied = self.keeping.limiter.of(job.scopes).judge(job.likely_tokens, time.monotonic_ns())
        if denied is not None:
            raise self._refused(job, denied)

    def _refused(self, job: Job, denied: Denied | None) -> PolicyError:
        """What to raise where a limit is in the way."""
        assert denied is not None
        job.record.limit_headers = self._limits_told(job)
        return too_much(denied, job.caller)

    def _limits_told(self, job: Job) -> str:
        """What its caller may read of the limits."""
        return self.keeping.limiter.of(own_scopes(job.caller)).headers(time.monotonic_ns())

    def _take(self, job: Job, fare: Fare, now: float, go: Go | None = None) -> Held | None:
        """Reserve in memory, in one synchronous step with a verdict (`go`), else if nobody waits and there is plenty of room; it
        is written down as the request goes out. The fare is as it is `now`."""
        keeping, record, together = self.keeping, job.record, fare.together
        if go is not None:
            amount, spare, maximum = go.hold_pusd, None, go.maximum
        elif self._queue.line.waiting:
            return None
        else:
            tokens, spare, maximum = job.text_tokens, fare.spare_pusd, None
            amount = fare.pusd + fare.pusd_per_token * (tokens if tokens < fare.window else fare.window)
        number, charges = record.calls + 1, together.charges
        identity = f"{record.request_id}.{number}"
        if not keeping.books.hold(identity, together, amount, spare):
            return None
        if job.limits is None:
            limits, now_ns = fare.limits, time.monotonic_ns()
            told = limits.take(job.likely_tokens, now_ns)
            if told is None:
                keeping.books.void(identity)
                raise self._refused(job, limits.judge(job.likely_tokens, now_ns))
            job.limits, record.limit_headers = limits, told
            if fare.tells_more:
                self._tell_limits(job, limits)
        if fare.tells_more:
            charges += self._take_in_shadow(job, fare, identity, now)
        hold = Hold(  # in the order of its fields, which is quicker than by their names
            identity, int(now * 1000), record.request_id, number, *fare.named, fare.streams, amount, charges, *fare.hold_marks,
        )  # fmt: skip
        held = Held(fare, hold, job, keeping.waits, maximum)
        if fare.token_pusd and amount and charges:
            held.watch()
        return held

    def _tell_limits(self, job: Job, taken: Limits) -> None:
        """What its caller may read of the limits, and what those in shadow say."""
        limiter, tokens = self.keeping.limiter, job.likely_tokens
        if job.caller.tenant:
            job.record.limit_headers = self._limits_told(job)
        if not limiter.has_shadows:
            return
        job.limits, denied = limiter.take_in_shadow(taken, job.scopes, tokens, time.monotonic_ns())
        for limit in denied:
            job.record.pass_shadow(code_of(limit), limit.id)

    def _take_in_shadow(self, job: Job, fare: Fare, identity: str, now: float) -> tuple[Charge, ...]:
        """Hold from budgets in shadow what each would have, were it the only one; none of them is in the way."""
        books, amounts, quote = self.keeping.books, {}, fare.quote(job.text_tokens)
        if not books.has_shadows:
            return ()
        for budget_id, room in books.shadow_rooms(job.under, job.caller.name, now):
            amounts[budget_id], code = judge_in_shadow(quote, room, self.rules)
            if code is not None:
                job.record.pass_shadow(code, budget_id)
        return books.take_in_shadow(identity, amounts, now)
