"""What a call must take before it may go, and gives back after: its limits once, a hold for every attempt."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from math import floor

from msgspec.structs import replace

from proxy.errors import PolicyError
from proxy.exchange.attempt import tokens_used
from proxy.exchange.held import Accounting, Held
from proxy.exchange.hold_terms import NO_LIMITS, HoldTerms, terms_for
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
from proxy.stores.journal.records import Charge, Hold


class Admission:
    """Stands between a call and its provider. `prices` changes with the catalogue, and whenever `rules` do."""

    def __init__(self, accounting: Accounting, prices: PriceBook, rules: BudgetRules) -> None:
        self.prices = prices
        self.accounting = accounting
        self.rules = rules
        self.refused = RefusedCalls(accounting.journal)
        self.runaway: Runaway | None = None
        self._queue = accounting.queue
        self.pacing = Pacing()
        self.places = Places(accounting.limiter)

    def watch(self, loops: Loops | None) -> None:
        """Stop agents that run away, or do not."""
        before, self.runaway = self.runaway, watching(loops, self.runaway)
        if before is not None:
            self.accounting.resolved.remove(before.spent)
        if self.runaway is not None:
            self.accounting.resolved.append(self.runaway.spent)

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
        if self.rules.unpriced != "deny" or not self.accounting.books.is_bound(scopes):
            return
        if (near := self.prices.unlisted(provider, plan.label, model)) is not None:
            raise unlisted(near)

    def hold(self, job: Job, route: Route, lowered_to: int | None = None) -> Awaitable[Held | None] | Held | None:
        """Take the hold of an attempt from every budget it falls under, and with the first one what limits ask for: all in one
        step or nothing, waiting for others' holds if need be; where there is room for it, there is nothing to await.
        `lowered_to` is the maximum a repair has set.

        None for what leaves no row. Raises `PolicyError`.
        """
        prepared, now = job.prepared, time.time()
        terms = None if prepared is None else prepared.terms
        if prepared is not None and terms is not None and terms.route is not route:
            terms = prepared.terms_of(route)
        if (
            terms is None
            or lowered_to is not None
            or terms.prices is not self.prices
            or terms.requested is not job.requested
        ):
            terms = self.terms(job, route, lowered_to)
        elif now < terms.budget_set.ends and terms.is_plain and not self.pacing.paces:
            return self._take(job, terms, now) or self._hold_in_turn(job, terms)
        return self._hold_with_care(job, route, terms)

    def terms(self, job: Job, route: Route, lowered_to: int | None = None) -> HoldTerms | None:
        """What such an attempt holds; None for what leaves no row."""
        endpoint = job.call.endpoint
        if not (endpoint.counts or endpoint.is_free):
            return None
        if endpoint.is_free and job.limits is None:
            job.limits = NO_LIMITS
        job.under, terms = job.scopes, terms_for(self.accounting, (self.prices, self.rules), job, route, lowered_to)
        self._renew(job, terms, time.time())
        return terms

    def _renew(self, job: Job, terms: HoldTerms, now: float) -> None:
        """Find out what binds such attempts from now on, and who else has a say or is told of them: limits change when budgets
        do, and those of providers when prices do."""
        books, limiter = self.accounting.books, self.accounting.limiter
        terms.budget_set, terms.limits = books.budget_set(job.under, job.caller.name, now), limiter.of(job.scopes)
        terms.is_plain = terms.is_bounded and not (books.has_narrowed or self.places.names)
        terms.tells_more = bool(job.caller.tenant) or books.has_shadows or limiter.has_shadows

    async def _hold_with_care(self, job: Job, route: Route, terms: HoldTerms | None) -> Held | None:
        """`hold` where others have a say as well: whoever chose the target, the limits of its provider, its pace, budgets that
        bind some calls only."""
        if job.course is not None and job.record.target is not None:
            job.course.goes_to(job.record.target)
        if self.places.names:
            self.places.take(job, route.provider)
        if self.pacing.paces and job.call.endpoint.counts:
            where = route.provider.tenant, route.provider.name, route.names[1]
            await self.pacing.enter(job, where, self.rules.wait_seconds)
        return await self.hold_unpaced(job, terms)

    async def hold_unpaced(self, job: Job, terms: HoldTerms | None) -> Held | None:
        """`hold` for a call that needs no place at its target."""
        job.under, books = job.scopes, self.accounting.books
        if terms is None:
            return None
        if not books.has_narrowed:
            return await self._hold_in_turn(job, terms)
        names, marks, provider = terms.route.names, job.record.marks, terms.route.provider.name
        asked = job.requested.tools.asked
        here = [f"{provider}/{name}" for name in (names[1], *asked)]
        models = (*names, *here, *job.call.also_models, *asked, job.call.model or "")
        subject = Subject(job.caller.name, provider, models, marks.tags, marks.session, tenants_of(job.caller))
        job.under = books.under(job.scopes, subject)
        with books.narrowed.using(job.under):
            if missing := books.narrowed.missing(job.under):
                await self.accounting.open(missing)
            return await self._hold_in_turn(job, replace(terms))  # others have others

    async def _hold_in_turn(self, job: Job, terms: HoldTerms) -> Held:
        """Where there is not plenty of room, or others may have a say."""
        now = time.time()
        self._renew(job, terms, now)
        if terms.is_bounded and (held := self._take(job, terms, now)) is not None:
            return held
        quote = terms.quote(job.text_tokens)
        room = self._room(job, quote)
        if not isinstance(room, Go) or (room.hold_pusd and self._queue.is_before(job.caller.name, job.rank)):
            return await self._take_in_line(job, terms, quote)
        return self._take_what_fits(job, terms, room)  # nothing is awaited between the verdict and this

    def _take_what_fits(self, job: Job, terms: HoldTerms, go: Go) -> Held:
        """In the same step as the verdict."""
        now = time.time()
        self._renew(job, terms, now)
        held = self._take(job, terms, now, go)
        assert held is not None
        return held

    async def _take_in_line(self, job: Job, terms: HoldTerms, quote: Quote) -> Held:
        """Wait for others' holds to settle, no longer than the client itself does."""
        record, began = job.record, time.monotonic()
        record.phase = "waiting"
        until = min(began + self.rules.wait_seconds, began + PATIENCE * (job.until - began))
        at, may_go = self._queue.line.ahead(job.rank) + 1, lambda: not isinstance(self._decide(job, quote), Wait)
        with Place(self._queue, job.caller.name, may_go, job.rank) as place:
            room = await self._turn(job, quote, place, until)
            held = self._take_what_fits(job, terms, room)
        record.queued = Queued(at, time.monotonic() - began)
        record.waited_seconds += record.queued.seconds
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
        room = self.accounting.books.room(job.under, job.caller.name, time.time())
        if quote.is_free or room is None:
            return Go(quote.most_pusd or 0)
        if quote.bound is None:
            if quote.unbounded is not None and self.rules.unpriced == "deny":
                raise unbounded(job.call, job.plan.label, quote.unbounded)
            return Go(0)
        return decide(quote.bound, room, may_lower=quote.may_lower)

    def _in_the_way(self, job: Job, amount: int) -> Verdict:
        return self.accounting.books.judge(job.under, job.caller.name, amount, time.time())

    def _judge_limits(self, job: Job) -> None:
        """A call is limited once, however many attempts it takes."""
        if job.limits is not None:
            return
        denied = self.accounting.limiter.of(job.scopes).judge(job.likely_tokens, time.monotonic_ns())
        if denied is not None:
            raise self._refused(job, denied)

    def _refused(self, job: Job, denied: Denied | None) -> PolicyError:
        """What to raise where a limit is in the way."""
        assert denied is not None
        job.record.limit_headers = self._limits_told(job)
        return too_much(denied, job.caller)

    def _limits_told(self, job: Job) -> str:
        """What its caller may read of the limits."""
        return self.accounting.limiter.of(own_scopes(job.caller)).headers(time.monotonic_ns())

    def _take(self, job: Job, terms: HoldTerms, now: float, go: Go | None = None) -> Held | None:
        """Reserve in memory, in one synchronous step with a verdict (`go`), else if nobody waits and there is plenty of room; it
        is written down as the request goes out. The terms are as they are `now`."""
        accounting, record, budget_set = self.accounting, job.record, terms.budget_set
        if go is not None:
            amount, spare, maximum = go.hold_pusd, None, go.maximum
        elif self._queue.line.waiting:
            return None
        else:
            tokens, spare, maximum = job.text_tokens, terms.spare_pusd, None
            amount = terms.pusd + terms.pusd_per_token * (tokens if tokens < terms.window else terms.window)
        number, charges = record.calls + 1, budget_set.charges
        identity = record.request_id + (".1" if number == 1 else f".{number}")
        if not accounting.books.hold(identity, budget_set, amount, spare):
            return None
        if job.limits is None:
            limits, now_ns = terms.limits, time.monotonic_ns()
            told = limits.take(job.likely_tokens, now_ns)
            if told is None:
                accounting.books.void(identity)
                raise self._refused(job, limits.judge(job.likely_tokens, now_ns))
            job.limits, record.limit_headers = limits, told
            if terms.tells_more:
                self._tell_limits(job, limits)
        if terms.tells_more:
            charges += self._take_in_shadow(job, terms, identity, now)
        # its fields in their order, which is quicker than by name
        begins = identity, floor(now * 1000), record.request_id, number
        hold = Hold(*(begins + terms.named + (terms.streams, amount, charges) + terms.hold_marks))
        held = Held(terms, hold, job, accounting.waits, maximum)
        if terms.token_pusd and amount and charges:
            held.watch()
        return held

    def _tell_limits(self, job: Job, taken: Limits) -> None:
        """What its caller may read of the limits, and what those in shadow say."""
        limiter, tokens = self.accounting.limiter, job.likely_tokens
        if job.caller.tenant:
            job.record.limit_headers = self._limits_told(job)
        if not limiter.has_shadows:
            return
        job.limits, denied = limiter.take_in_shadow(taken, job.scopes, tokens, time.monotonic_ns())
        for limit in denied:
            job.record.pass_shadow(code_of(limit), limit.id)

    def _take_in_shadow(self, job: Job, terms: HoldTerms, identity: str, now: float) -> tuple[Charge, ...]:
        """Hold from budgets in shadow what each would have, were it the only one; none of them is in the way."""
        books, amounts, quote = self.accounting.books, {}, terms.quote(job.text_tokens)
        if not books.has_shadows:
            return ()
        for budget_id, room in books.shadow_rooms(job.under, job.caller.name, now):
            amounts[budget_id], code = judge_in_shadow(quote, room, self.rules)
            if code is not None:
                job.record.pass_shadow(code, budget_id)
        return books.take_in_shadow(identity, amounts, now)
