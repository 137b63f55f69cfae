"""What the attempts of calls have in common that differ in nothing but the length of their prompts: worked out by the first."""

from __future__ import annotations

from functools import partial
from math import inf
from sys import intern

from msgspec import Struct

from proxy.exchange.held import Accounting
from proxy.exchange.job import Job
from proxy.exchange.prepared import Route
from proxy.policy.limits.limiter import Limiter, Limits
from proxy.policy.money.account import BudgetSet
from proxy.policy.money.amounts import to_pusd_up
from proxy.policy.money.bounds import Slope
from proxy.policy.money.budgets import BudgetRules
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.money.prices import Price
from proxy.policy.money.quote import FREE_QUOTE, Quote, ample_pusd, quote_for, slope_for, with_maximum
from proxy.policy.money.requested import Requested
from proxy.policy.money.settlement import Prices
from proxy.policy.values import Caller
from proxy.wire.json_object import Text

_COMMON = (
    "price", "pusd", "pusd_per_token", "window", "spare_pusd", "token_pusd", "hold_marks", "row_marks", "slope", "fixed"
)  # fmt: skip
_UNKNOWN = BudgetSet("", [])
_UNKNOWN.ends = -inf  # binds at no time: it is found out who does before a hold is taken
NO_LIMITS = Limiter(()).of(())


class HoldTerms(Struct, eq=False):
    """What an attempt holds: `pusd`, and for each token of its prompt, up to `window` of them, `pusd_per_token`; where
    `spare_pusd` more is free, nothing else has to be thought of. Of what is no plain chat it is all in `pusd`; where nothing
    bounds the cost, it `is_bounded` not. `may_run_on`: at its provider, behind the reply.

    `price` is the asked model's own, None where nobody knows it; `requested` is what it asks for, with a repair's maximum.
    `token_pusd`: of a stream that may outgrow its hold, what a token of output costs; 0 of all else. `named`: whose
    call it is, of which endpoint, what was asked for, the target, the provider and what that is sent, as records have it;
    `hold_marks` are the last fields of holds, `row_marks` those of rows; `tools` the member of the request. `budget_set` is what binds
    them now, beside `limits`; while it does, `is_plain` says that nobody else has a say, `tells_more` that more is counted or told of them.
    """

    accounting: Accounting
    prices: PriceBook
    route: Route
    caller: Caller
    requested: Requested
    price: Price | None
    is_bounded: bool
    may_run_on: bool
    pusd: int
    pusd_per_token: int
    window: int
    spare_pusd: int
    token_pusd: int
    named: tuple[str, str, str, str, str, str]
    streams: bool
    hold_marks: tuple[str, str, str, str]
    row_marks: tuple[str, str, str, str, str, str]
    tools: Text | None
    slope: Slope | None
    fixed: Quote
    budget_set: BudgetSet = _UNKNOWN
    limits: Limits = NO_LIMITS
    is_plain: bool = False
    tells_more: bool = False

    def quote(self, text_tokens: int) -> Quote:
        """What such an attempt is quoted at whose prompt has so many tokens, for judging it by."""
        slope, requested = self.slope, self.requested
        if slope is None:
            return self.fixed
        return Quote(slope.price, slope.bound(text_tokens, requested.maximum), requested.may_lower)

    def reckoning(self) -> Prices:
        """What it is paid by: as the lists have it that were in force when it was taken."""
        if self.fixed is FREE_QUOTE:
            return Prices(self.price)
        provider, book = self.route.provider, self.prices
        return Prices(
            self.price, partial(book.listed, provider), partial(book.served_price, provider, self.route.names)
        )


def terms_for(
    accounting: Accounting, lists: tuple[PriceBook, BudgetRules], job: Job, route: Route, lowered_to: int | None
) -> HoldTerms:
    """What the attempt holds that goes this way. It is kept for the next where it is worth it. `lowered_to` is the maximum a
    repair has set."""
    call, record, (prices, rules) = job.call, job.record, lists
    weight = job.weight if lowered_to is None else with_maximum(job.weight, lowered_to)
    about = route.provider, [route.names, *[(name, name) for name in call.also_models]], prices, rules
    slope, quote = (
        (None, FREE_QUOTE) if call.endpoint.is_free else (slope_for(weight, *about), quote_for(weight, *about))
    )
    requested, price = weight.requested, quote.price
    bound = quote.bound if slope is None else slope.bound(0, requested.maximum)
    marks = record.marks.session, ",".join(record.marks.tags), job.caller.tenant
    terms = HoldTerms(
        accounting, prices, route, job.caller, requested, price,
        is_bounded=bound is not None,
        may_run_on=call.endpoint.name == "responses",
        pusd=0 if bound is None else bound.pusd,
        pusd_per_token=0 if slope is None else slope.pusd_per_input_token,
        window=0 if slope is None else slope.window,
        spare_pusd=0 if bound is None else ample_pusd(bound, quote.may_lower) - bound.pusd,
        token_pusd=_token_pusd(price, requested) if call.stream and price is not None else 0,
        named=(
            job.caller.name, call.endpoint.name, intern(call.model or ""), job.plan.label, route.provider.name, route.names[1],
        ),
        streams=call.stream,
        hold_marks=(*marks, record.decision),
        row_marks=(*marks, record.use_case, record.decision, record.arm),
        tools=None if call.document is None else call.document.values.get("tools"),
        slope=slope,
        fixed=quote,
    )  # fmt: skip
    if slope is not None and job.prepared is not None and lowered_to is None:
        _use_the_same(terms, route)
        job.prepared.keep(terms)
    return terms


def _use_the_same(terms: HoldTerms, route: Route) -> None:
    """What is equal in what others hold who go this way is the same: the fewer values each has, the more are in reach."""
    if route.like is None:
        route.like = terms
    for name in _COMMON:
        common = getattr(route.like, name)
        if getattr(terms, name) == common:
            setattr(terms, name, common)


def _token_pusd(price: Price, requested: Requested) -> int:
    """Where text alone streams, what a token of it costs."""
    is_text = not (price.makes_images or requested.makes_images or requested.makes_audio)
    return to_pusd_up(price.output_usd) if is_text else 0
