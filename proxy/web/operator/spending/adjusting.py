"""Correcting what a budget has spent, alike by a running daemon and on a stopped one's files."""

from __future__ import annotations

import secrets
from decimal import Decimal, InvalidOperation

from msgspec import Struct
from msgspec.structs import asdict

from proxy.config.problems import suggestion
from proxy.policy.money.amounts import to_pusd, usd_text
from proxy.policy.money.books import Books
from proxy.stores.journal.records import Adjusted
from proxy.web.operator.access.actor import ACTOR
from proxy.web.operator.admin_api import AdminApi, Declined, Unknown, standing_row
from proxy.web.operator.answers import AdjustedAnswer

_MOST_USD = Decimal(10**6)
_MOST_NAMES = 20


class AdjustAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`usd` is added to what the budget's current period has spent; below zero it gives back."""

    budget: str
    usd: str
    reason: str


def adjustment(admin_api: AdminApi, ask: AdjustAsk, now: float) -> Adjusted:
    """The record of an operator's correction. Raises `Declined`, or `RoleNotSufficient`."""
    standing = admin_api.books.standing(ask.budget, now)
    if standing is None or not admin_api.bounds.has_budget(standing.budget):
        raise _no_such_budget(
            ask.budget, [s.budget.id for s in admin_api.books.state(now) if admin_api.bounds.has_budget(s.budget)]
        )
    admin_api.bounds.refuse_own(standing.budget)
    try:
        usd = Decimal(ask.usd)
    except InvalidOperation:
        raise Declined("the amount must be in US dollars such as 0.25 or -0.25") from None
    if not usd.is_finite() or abs(usd) > _MOST_USD or not to_pusd(usd):
        raise Declined("the amount must not be zero, and at most a million dollars either way")
    if not ask.reason.strip():
        raise Declined("the reason must say why")
    identity, actor = f"adj_{secrets.token_hex(12)}", ACTOR.get()
    what = (ask.budget, standing.period, to_pusd(usd), ask.reason.strip())
    return Adjusted(identity, int(now * 1000), *what, actor.name, actor.source, actor.tenant or "")


def adjusted(books: Books, record: Adjusted, now: float) -> AdjustedAnswer:
    """What became of the budget."""
    standing = books.standing(record.budget, now)
    assert standing is not None
    return AdjustedAnswer(**asdict(standing_row(standing)), id=record.id, delta_usd=usd_text(record.delta_pusd))


def _no_such_budget(name: str, known: list[str]) -> Unknown:
    """The near name, and those there are; of many the first."""
    more = f" and {len(known) - _MOST_NAMES} more (`tollkeeper budgets`)" if len(known) > _MOST_NAMES else ""
    there = f"there is: {', '.join(known[:_MOST_NAMES]) or 'none'}{more}"
    return Unknown(f"there is no budget {name!r}{suggestion(name, known)}; {there}")
