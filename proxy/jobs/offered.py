"""The lines of a batch as a provider's own batch gets them: each planned and held like every other call, all or none; and
what each has cost, once its answer is there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from proxy.errors import ProxyError
from proxy.exchange.attempt import prepare
from proxy.exchange.held import Accounting
from proxy.exchange.job import Job as CallJob
from proxy.exchange.record import record_of
from proxy.exchange.reporting.rows import interrupted_row, paid
from proxy.jobs.calls import head_of_line
from proxy.jobs.provider import Batches
from proxy.jobs.shapes import Answered
from proxy.policy.limits.limiter import Limits
from proxy.policy.money.pricebook import Free
from proxy.policy.money.prices import FREE_OF_CHARGE, Price
from proxy.policy.money.settlement import NOTHING, Ending, Prices, Settlement, has_failed, settle
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import check_asked
from proxy.policy.retries.retry import Attempt
from proxy.policy.tenants import most_output, scopes_of
from proxy.policy.values import ApiName, Caller, Plan, Provider, Target
from proxy.stores.jobs.job_rows import Job
from proxy.stores.journal.records import Hold
from proxy.web.client.api import Api
from proxy.web.client.heads import Head
from proxy.web.client.planning import plan_for
from proxy.wire.call import Call, read_call
from proxy.wire.findings import Findings
from proxy.wire.marks import marks_of
from proxy.wire.ours import NOTHING_OURS

# what batches of a kind of provider may be of, less what costs nothing: the path, and the protocol that is
_OF_KIND: dict[str, dict[str, ApiName]] = {
    "openai": {
        "/chat/completions": "chat",
        "/completions": "completions",
        "/responses": "responses",
        "/embeddings": "embeddings",
    },
    "anthropic": {"/messages": "messages"},
}
_ONE_MODEL = frozenset({"openai"})  # kinds whose batches are of one
_LOST = "The provider's batch is over, and has no answer to this line; what it may have cost is booked."


class Unfit(Exception):
    """These lines are not for a provider's own batch."""


class Offer(Struct):
    """The lines of one batch, that came with this head, for one provider: what is held for each, and what would be sent of it.
    `target` is that of the first. `taken`: from which limits, and with how many tokens."""

    head: Head
    target: Target | None = None
    provider: Provider | None = None
    holds: list[Hold] = []
    lines: list[bytes] = []
    taken: list[tuple[Limits, int]] = []


class Billed(Struct, frozen=True):
    """What one line has cost, and by how much less than on its own."""

    settlement: Settlement
    findings: Findings
    saved_pusd: int


class Offers:
    """Holds for lines, and settles them."""

    def __init__(self, api: Api, there: Mapping[str, Batches]) -> None:
        """`there`: by kinds of providers."""
        self._api = api
        self._there = there

    @property
    def accounting(self) -> Accounting:
        """The books, as they are in force."""
        return self._api.parts.exchange.admission.accounting

    async def add(self, offer: Offer, job: Job, caller: Caller, body: bytes) -> None:
        """One more line. Raises `Unfit` where it had to go another way, or could not go now."""
        try:
            await self._add(offer, job, caller, body)
        except ProxyError as error:
            raise Unfit(str(error)) from None

    async def _add(self, offer: Offer, job: Job, caller: Caller, body: bytes) -> None:
        parts, head, record = self._api.parts, offer.head, record_of(self._api.next_id())
        record.shape, record.endpoint = head.endpoint.shape, head.endpoint.name
        record.key, record.tenant = caller.name, caller.tenant
        call = read_call(head.endpoint, "POST", (head.path, ""), (head.content_type, body))
        record.model, record.marks = call.model, marks_of(head.marks, call.document)
        plan = plan_for(parts, caller, call, head, record)
        target, provider = self._to(caller, plan, call, head)
        if offer.target is None:
            offer.target, offer.provider = target, provider
        if provider != offer.provider or (target != offer.target and provider.kind in _ONE_MODEL):
            raise Unfit("its lines go to different models or providers")
        weight, cap, scopes = weigh(call, plan.defaults), None, scopes_of(caller)
        check_asked(caller, parts.names, weight.requested.tools.asked)
        if caller.max_output is not None:
            weight, cap = most_output(caller, call, weight, plan.use)
        asking = CallJob(
            call, weight.requested, weight.text_tokens, weight.likely_tokens, caller, plan, head.incoming, record,
            record.started, scopes, scopes, head.rank, None, weight, cap=cap,
        )  # fmt: skip
        admission, attempt = parts.exchange.admission, Attempt()
        route = parts.exchange.routes.route_to(asking, 0, admission.prices)
        held = await admission.hold_unpaced(asking, admission.terms(asking, route))
        if held is None:
            raise Unfit("its lines cost nothing")
        if asking.limits is not None:  # nothing of it is under way here
            offer.taken.append((asking.limits, asking.likely_tokens))
            asking.limits.leave()
        offer.holds.append(replace(held.hold, batch=job.id))
        asking.route = route
        body = b"".join(prepare(asking, attempt, parts.exchange.maximum(asking, held, attempt))[1])
        offer.lines.append(self._there[provider.kind].line(record.request_id, job.endpoint, body))

    def _to(self, caller: Caller, plan: Plan, call: Call, head: Head) -> tuple[Target, Provider]:
        """Where a line goes, if nothing but that provider has a say in it, and its batches are cheaper."""
        target = plan.targets[0]
        provider = caller.own.get(target.provider) or self._api.parts.exchange.providers[target.provider]
        if not provider.batches or provider.shut or caller.zdr:
            raise Unfit("its provider has no batches for this key")
        api = _OF_KIND[provider.kind].get(head.path)
        if api is None or (provider.speaks is not None and api not in provider.speaks):
            raise Unfit("its provider's batches are of other endpoints")
        asks_more = head.variables is not None or head.apart is not None
        if (
            asks_more
            or plan.use is not None
            or plan.pool is not None
            or plan.experiment
            or plan.sharing
            or caller.sharing
        ):
            raise Unfit("more is to be done for its lines than to send them")
        told = call.document.values if call.document is not None else {}
        if call.ours is not NOTHING_OURS or "background" in told or not plan.rewrite:
            raise Unfit("a line wants more than an answer")
        price = self._api.parts.exchange.admission.prices.price(provider, plan.label, target.model)
        if price is None or isinstance(price, Free) or price.in_batch() == price:
            raise Unfit("it would not be cheaper")
        return target, provider

    def write_down(self, holds: Iterable[Hold]) -> None:
        """In the step before the lines go. Raises `JournalUnwritable`."""
        for hold in holds:
            self.accounting.journal.append(hold)

    def withdraw(self, offer: Offer) -> None:
        """Nothing was sent, and nothing is written of it."""
        for limits, tokens in offer.taken:
            limits.withdraw(tokens, time.monotonic_ns())
        self.free(offer.holds)

    def free(self, holds: Iterable[Hold]) -> None:
        """The same of holds alone."""
        for hold in holds:
            self.accounting.books.void(hold.id)
        self.accounting.queue.look_again()

    def void(self, hold: Hold) -> None:
        """What was held for a line that was not answered there, and has cost nothing."""
        row = replace(interrupted_row(hold, NOTHING), outcome="withdrawn", counts_call=False)
        self.accounting.book(row, hold.charges)

    def billed(self, provider: Provider, hold: Hold, answered: Answered) -> Billed:
        """What an answer says of its cost."""
        findings = Findings(head_of_line(f"/v1/{hold.endpoint}").endpoint.shape)
        if answered.body:
            findings.see(answered.body)
        if answered.code:
            lost = Settlement(hold.amount_pusd, "held" if hold.amount_pusd else "unknown")
            return Billed(lost if answered.code == "interrupted" else NOTHING, findings, 0)
        prices, now = self._prices(provider, hold).by(findings.served_model), datetime.now(UTC)
        failed = has_failed(findings, draws=False)
        ending = Ending(status=answered.status, failed=failed, usage=findings.usage, hhmm=now.hour * 100 + now.minute)
        alone = settle(ending, prices, hold.amount_pusd)
        cheaper = replace(prices, own=None if prices.own is None else prices.own.in_batch())
        there = settle(ending, cheaper, hold.amount_pusd)
        saved = alone.cost_pusd - there.cost_pusd if there.source == "computed" else 0
        return Billed(there, findings, max(0, saved))

    def settle(self, hold: Hold, answered: Answered, billed: Billed, batch_id: str) -> None:
        """Book it, once: a line that was settled before is passed over."""
        usage, row = billed.settlement.usage or billed.findings.usage, interrupted_row(hold, billed.settlement)
        row = replace(
            paid(row, billed.settlement, usage),
            served=billed.findings.served_model,
            status=answered.status,
            outcome=answered.code or str(answered.status),
            error=answered.code or (str(answered.status) if answered.status >= 400 else None),
            upstream_id=billed.findings.generation_id,
            adjusted=f"batch={batch_id}",
            saved_pusd=billed.saved_pusd,
            total_ms=max(0, int(time.time() * 1000) - hold.at_ms),
        )
        self.accounting.book(row, hold.charges, billed.settlement.doubts)
        self.accounting.ended(row)

    def _prices(self, provider: Provider, hold: Hold) -> Prices:
        book, names = self._api.parts.exchange.admission.prices, (hold.model, hold.upstream_model)
        price = book.price(provider, *names)
        own: Price | None = FREE_OF_CHARGE if isinstance(price, Free) else price
        return Prices(own, partial(book.listed, provider), partial(book.served_price, provider, names))


def unanswered(status: str) -> Answered:
    """How a line ended that a provider's batch says nothing of, by how that ended."""
    if status == "cancelled":
        return Answered(code="batch_cancelled", message="The batch was cancelled before this request was answered.")
    if status == "expired":
        return Answered(code="batch_expired", message="This request could not be executed before the batch expired.")
    return Answered(code="interrupted", message=_LOST)
