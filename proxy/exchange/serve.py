"""The way through, on one screen. What is decided here is decided elsewhere, by pure functions."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Literal

from msgspec.structs import replace

from proxy.dialects import DIALECTS, UpstreamRequest
from proxy.errors import ModelNotFound, NoHealthyUpstream, PolicyError, ProxyError
from proxy.exchange.admission import Admission
from proxy.exchange.attempt import (
    TranslationOptions,
    end,
    fill_empty_error,
    is_near,
    lines_for,
    news_of,
    prepare,
    raised_to,
    reply_or_raise,
    rounds,
    translate,
    translate_images,
)
from proxy.exchange.client import Client
from proxy.exchange.entry import Tried
from proxy.exchange.failure import Failure, abandoned
from proxy.exchange.held import Held
from proxy.exchange.image_calls import ImageInterpreter, image_call
from proxy.exchange.job import Job
from proxy.exchange.prepared import Route
from proxy.exchange.quality_fallback import flagged, hold_back, passed_over
from proxy.exchange.relay import relay
from proxy.exchange.reply import Reply
from proxy.exchange.results import Absent
from proxy.exchange.routing.routes import Routes, barred
from proxy.exchange.spoken_apis import SpokenApis
from proxy.exchange.translating import UNSAID, Interpreter, estimate_instead
from proxy.exchange.upstream import Upstream
from proxy.policy.apis import Said
from proxy.policy.limits.pace import BATCH, CROWDED
from proxy.policy.money.credits import Credits
from proxy.policy.retries.retry import TIMEOUTS, Again, Attempt, Stop, cause_of, judge, past_budget
from proxy.policy.tenants import Accounts, owner_of
from proxy.policy.values import RetryRules
from proxy.stores.failures import JournalUnwritable
from proxy.translate.values import Protocol
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings


class Exchange:
    """Carries calls to providers and their replies back."""

    def __init__(
        self, accounts: Accounts, rules: RetryRules, upstream: Upstream, admission: Admission, spoken_apis: SpokenApis
    ) -> None:
        self.admission = admission
        self.accounts = accounts
        self.providers = accounts.providers
        self.spoken_apis = spoken_apis
        self._rules = rules
        self.upstream = upstream
        self.off_loop = upstream.off_loop
        self.credits: Credits | None = None  # the operator's own unit, beside USD
        self.routes = Routes(accounts)

    async def serve(self, client: Client, job: Job) -> None:
        """Serve one call. Raises `ProxyError` for every way it can fail."""
        try:
            if self.admission.runaway is not None:
                await self.admission.runaway.judge(job, self.off_loop)
            outcome = await self._first_good_outcome(client, job)
            try:
                await self._pass_on(client, reply_or_raise(outcome), job)
            except ProxyError as error:
                outcome.broken_by = error
                raise
            finally:
                end(outcome, job.record)  # which settles it
        finally:
            self.admission.release(job)

    async def _first_good_outcome(self, client: Client, job: Job) -> Reply | Failure:
        """Walk targets and tries until an outcome is worth passing on, good or not."""
        attempt, outcome = Attempt(job.plan.start) if job.plan.start else _FIRST, None
        while True:
            try:
                latest = await self._try(client, job, attempt)
            except (PolicyError, ModelNotFound) as error:  # the next hold does not fit: the answer there was says more
                has_failed, bounds = outcome is not None, rounds(job, self._rules, time.monotonic())
                if (onward := past_budget(error.code, attempt, bounds, has_failed=has_failed)) is not None:
                    job.record.fallback = job.record.fallback if has_failed and attempt.target else "budget"
                    attempt = onward
                    continue
                if outcome is None:
                    raise
                return outcome
            if job.is_answered and job.plan.use is None:
                return latest
            outcome = latest if outcome is None or not passed_over(latest) else outcome
            verdict = self._judge(latest, job, attempt)
            if isinstance(verdict, Stop):
                return outcome
            latest.close()
            if job.is_answered and not latest.complete:  # a stream that was left is no answer any more
                outcome = None
            client.drop_held()
            await self._pause(verdict.wait, job)
            attempt = verdict.attempt

    async def _pass_on(self, client: Client, reply: Reply, job: Job) -> None:
        """The reply, settled before where all of it is in hand."""
        record, is_good = job.record, reply.is_good
        if not is_good:
            fill_empty_error(reply, job)
        if reply.whole and (durable := reply.settle()) is not None:
            await durable()
        if record.client_left is not None or not (is_good or (reply.status < 400 and reply.interpreter is None)):
            await self._see(reply, job, client)
        if job.leave is not None or job.rank == BATCH or job.course is not None:
            self.admission.answered(job, reply.fields)
        lines = lines_for(reply, job, self.credits)
        if reply.whole and not client.started:
            record.phase = "done"
            client.whole(reply.status, lines, reply.first)
        else:
            job.let_go()
            await relay(client, reply, record, lines)

    async def _see(self, reply: Reply, job: Job, client: Client) -> None:
        """What a reply says to others than its client, or in other words."""
        if reply.interpreter is not None:
            await self.off_loop(len(reply.first), reply.interpreter.say_again, reply)
            if not reply.is_event_stream:
                reply.interpreter.note()
        elif reply.status >= 400:
            estimate_instead(reply, job)
        if job.record.client_left is not None and job.call.endpoint.draws and reply.status < 300:
            client.keep(Absent(self.spoken_apis.results, job.record.request_id, owner_of(job.caller)))

    async def _try(self, client: Client, job: Job, attempt: Attempt) -> Reply | Failure:
        """Make one attempt, unless a breaker is open."""
        record, prepared = job.record, job.prepared
        route = None if prepared is None else prepared.routes.get(attempt.target)
        job.route = route = self.routes.route_to(job, attempt.target, self.admission.prices) if route is None else route
        record.target, job.is_answered = route.target, False
        way = None if route.api is None else self.spoken_apis.way(route.provider, route.api, attempt, time.monotonic())
        if route.is_barred or way == "refused":
            outcome: Reply | Failure = barred(job, route, self.providers.values())
        elif not route.breakers.are_calm and (
            seconds := route.breakers.seconds_closed_to(route.target, time.monotonic())
        ):
            outcome = self.routes.closed(job, route, seconds, self.admission.prices)
        else:
            try:
                if way == "pictures":
                    about = job.call, job.plan.defaults, route.provider, route.target, self.admission.prices
                    job.image_call = await self.off_loop(len(job.call.body), image_call, *about)
                held = self.admission.hold(
                    job, route, attempt.lowered_to or (None if way is None else raised_to(job, way))
                )
                held = held if isinstance(held, Held) or held is None else await held
                outcome = await self._send(client, job, attempt, held, way)
                if job.plan.use is not None:
                    await hold_back(client, outcome, job)
            except (*UNSAID, NoHealthyUpstream) as error:
                outcome = Failure(error, "unhealthy")
            except BaseException:
                route.breakers.tell(route.target, "nothing", time.monotonic())
                raise
            self._learn_from(job, route, outcome, way)
            return outcome
        record.tried += (Tried(route.target.provider, route.target.model, outcome.verdict()[0]),)
        return outcome

    def _learn_from(self, job: Job, route: Route, outcome: Reply | Failure, way: Said) -> None:
        """What an outcome says of where it comes from."""
        target, breakers = route.target, route.breakers
        if outcome.is_good and breakers.are_calm:
            job.is_answered, tried = True, route.answered
        else:
            now, job.is_answered = time.monotonic(), (outcome.judged_status or 500) < 400
            is_well = job.is_answered and type(outcome) is Reply
            is_late, tried = now >= job.until, (Tried(target.provider, target.model, outcome.verdict()[0]),)
            breakers.tell(target, "answered" if is_well else news_of(outcome, route.provider, is_late), now)
        job.record.tried += tried
        if route.provider.speaks is None:
            translated, now = way is not None, time.monotonic()
            self.spoken_apis.learn(outcome, job.call, route.provider, translated=translated, now=now)

    async def _send(self, client: Client, job: Job, attempt: Attempt, held: Held | None, way: Said) -> Reply | Failure:
        """Send under a hold. Whatever happens, the hold is resolved: by the outcome's end, or here."""
        record, route, shape = job.record, job.route, job.call.endpoint.shape
        assert route is not None
        provider = route.provider
        interpreter: Interpreter | ImageInterpreter | None = None
        try:
            if way is None:
                request, pieces = prepare(job, attempt, self.maximum(job, held, attempt))
            else:
                request, shape, interpreter = await self._translate(job, attempt, held, way)
                request.is_anew, pieces = attempt.resent, request.pieces
        except BaseException:
            if held is not None:
                held.withdraw()
            raise
        record.calls, record.held, record.asked_of = record.calls + 1, held, provider
        record.phase, record.sent_at, record.opened_at = "sent", time.monotonic(), None
        record.findings = Findings(shape, way is not None and attempt.target + 1 < len(job.plan.targets))
        try:
            outcome = await self.upstream.send(job, request, pieces, held, client)
        except BaseException as error:
            if held is not None and isinstance(error, JournalUnwritable) and not held.is_written:
                record.calls -= 1
                held.withdraw()
            elif held is not None:
                held.resolve(abandoned(provider), provider)
                held.close()
            raise
        finally:
            record.upstream_seconds += time.monotonic() - record.sent_at
        if interpreter is not None and isinstance(outcome, Reply):
            outcome.interpreter, outcome.is_good = interpreter, False
        settler = held or self.admission.accounting.background.watcher(provider, job.call)
        if settler is not None:
            outcome.settler, outcome.provider = settler, provider
            if not outcome.whole:  # a reply in hand is settled in a moment
                settler.begun(outcome)
        return outcome

    async def _translate(
        self, job: Job, attempt: Attempt, held: Held | None, way: Protocol | Literal["pictures"]
    ) -> tuple[UpstreamRequest, Shape, Interpreter | ImageInterpreter]:
        """The request of an attempt in another protocol, made beside the loop. Raises `CallerError`s."""
        spoken_apis, target, size = self.spoken_apis, job.plan.targets[attempt.target], len(job.call.body)
        provider = self.routes.provider_of(job, target)
        if way == "pictures":
            return await self.off_loop(size, translate_images, job, provider, spoken_apis.results)
        prices, rules = self.admission.prices, self.admission.rules
        largest, assumed = prices.sizes(provider, target.model).max_output, rules.unknown_maximum
        options = TranslationOptions(
            way, self.maximum(job, held, attempt), largest, assumed, spoken_apis.lossy_for(job.caller)
        )
        return await self.off_loop(size, translate, job, attempt, provider, options, spoken_apis.kept)

    def _judge(self, outcome: Reply | Failure, job: Job, attempt: Attempt) -> Stop | Again:
        if job.is_answered:
            return _GOOD if job.plan.use is None else flagged(outcome, job, attempt, self._rules.most_calls) or _GOOD
        provider = self.routes.provider_of(job, job.plan.targets[attempt.target])
        if self.spoken_apis.may_not_speak(outcome, job.call, provider, attempt):
            return Again(replace(attempt, calls=attempt.calls + 1, translated=True))
        seen = outcome.seen(DIALECTS[provider.kind], datetime.now(UTC))
        if job.course is not None and seen.status == 429 and seen.retry_after:
            job.course.rest(seen.retry_after, is_whole=seen.is_of_account)
        if seen.trouble == "unreachable":
            seen = replace(seen, is_near=is_near(provider))
        if job.call.endpoint.draws and seen.status in TIMEOUTS:  # of OpenRouter, what was not received is not billed
            seen = replace(seen, may_be_made=provider.kind not in ("openrouter", "mock"))
        if seen.status in CROWDED:
            self.admission.pacing.refused(job, seen)
        bounds = rounds(job, self._rules, time.monotonic())
        verdict = judge(seen, attempt, bounds, random.uniform(0.8, 1.2))
        if bounds.elsewhere is not None and isinstance(verdict, Again) and verdict.attempt.target > attempt.target:
            job.record.fallback = cause_of(seen)
        return verdict

    def maximum(self, job: Job, held: Held | None, attempt: Attempt) -> int | None:
        """The limit of output tokens that a budget, a repair or a tenant has set."""
        found = attempt.lowered_to if held is None or held.maximum is None else held.maximum
        if job.cap is None:
            return found
        target = job.plan.targets[attempt.target]
        largest = self.admission.prices.sizes(self.routes.provider_of(job, target), target.model).max_output
        return min(most for most in (found, job.cap, largest) if most is not None)

    async def _pause(self, seconds: float, job: Job) -> None:
        """Wait before the next attempt; nothing is on its way meanwhile. Counted as it was: a timer can be early."""
        job.record.asked_of, job.record.phase, began = None, "waiting", time.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            job.record.waited_seconds += time.monotonic() - began


_GOOD, _FIRST = Stop(), Attempt()
