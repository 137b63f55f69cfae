"""What a call would hold, and what its budgets say to that, for `explain`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct

from proxy.errors import BudgetExceeded
from proxy.exchange.refusals import spent_up
from proxy.policy.money.account import Exceeded, InFlight
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.books import Books
from proxy.policy.money.bounds import Bound
from proxy.policy.money.prices import FREE_OF_CHARGE, Price
from proxy.policy.money.quote import Go, Quote, Refuse, decide, judge_in_shadow
from proxy.web.operator.admin_api import AdminApi

_PER_MILLION = Decimal(1_000_000)


class HoldSeen(Struct, frozen=True):
    """The hold a call would take, or the verdict that ends it before (`amount_pusd` None). `spent`: the code it is refused with,
    where that is what budgets have spent."""

    verdict: str
    amount_pusd: int | None = None
    maximum: int | None = None
    spent: str = ""


def hold_seen(admin_api: AdminApi, quote: Quote, whose: tuple[tuple[str, ...], str], now: float) -> HoldSeen:
    """What `Admission.hold` would decide, without waiting."""
    scopes, key = whose
    if quote.is_free:
        return HoldSeen("goes: it is free of charge", 0)
    if not admin_api.books.is_bound(scopes):
        return HoldSeen("goes: no budget applies", quote.most_pusd)
    if quote.bound is None:
        if admin_api.settings.money.rules.unpriced == "deny":
            return HoldSeen(_refused(quote))
        return HoldSeen("goes: it has no price, and budget_policy.unpriced allows that", 0)
    return _judged(admin_api.books, quote, quote.bound, (scopes, key), now)


def shadows_seen(
    admin_api: AdminApi, quote: Quote, whose: tuple[tuple[str, ...], str], now: float
) -> dict[str, tuple[int, str | None]]:
    """What each budget in shadow would hold, and what it would refuse the call with, by its id."""
    rules, rooms = admin_api.settings.money.rules, admin_api.books.shadow_rooms(*whose, now)
    return {budget_id: judge_in_shadow(quote, room, rules) for budget_id, room in rooms}


def _refused(quote: Quote) -> str:
    """Why a call that nothing bounds the cost of is refused."""
    near = None if quote.unbounded is None else quote.unbounded.near
    if near is None:
        return "refused with 402 model_not_priced: nothing bounds what it may cost"
    alike = f"; near it: {', '.join(near)}" if near else ""
    return f"refused with 404 model_not_found: no list of models has this name{alike}"


def _judged(books: Books, quote: Quote, bound: Bound, whose: tuple[tuple[str, ...], str], now: float) -> HoldSeen:
    scopes, key = whose
    room = books.room(scopes, key, now)
    assert room is not None
    decision = decide(bound, room, may_lower=quote.may_lower)
    if isinstance(decision, Go):
        lowered = "" if decision.maximum is None else f", its maximum of output tokens set to {decision.maximum}"
        return HoldSeen(f"goes{lowered}", decision.hold_pusd, decision.maximum)
    verdict = books.judge(scopes, key, decision.least_pusd, now)
    in_the_way = verdict.budget.id if isinstance(verdict, InFlight | Exceeded) else ""
    if isinstance(decision, Refuse):
        code = spent_up(verdict.budget).code if isinstance(verdict, Exceeded) else BudgetExceeded.code
        return HoldSeen(f"refused with 402 {code} by {in_the_way}", spent=code)
    return HoldSeen(f"waits, then 429 budget_in_flight: calls under way hold {in_the_way}", decision.least_pusd)


def bound_told(quote: Quote, hold: HoldSeen) -> dict[str, Any]:
    """The hold in numbers; a prompt adds its bytes, at the price of input."""
    bound = quote.bound
    return {
        "usd": None if hold.amount_pusd is None else usd_text(hold.amount_pusd),
        "most_usd": None if quote.most_pusd is None else usd_text(quote.most_pusd),
        "least_usd": usd_text(quote.least_pusd),
        "output_tokens": hold.maximum or (None if bound is None else bound.output_tokens),
    }


def price_told(quote: Quote) -> dict[str, Any] | None:
    """USD per million tokens, in as few digits as say it."""
    if quote.price is None:
        return None
    if quote.price == FREE_OF_CHARGE:
        return {"input_usd": "0", "output_usd": "0", "cached_input_usd": "0"}
    names = ("input_usd", "output_usd", "cached_input_usd")
    return {name: _per_million(quote.price, name) for name in names}


def _per_million(price: Price, name: str) -> str | None:
    usd = getattr(price, name)
    return None if usd is None else f"{(usd * _PER_MILLION).normalize():f}"
