"""The sessions of agents, as operators see them: what each has spent and may still, and letting one go on."""

from __future__ import annotations

import secrets
from decimal import Decimal, InvalidOperation
from typing import Annotated

from msgspec import Meta, Struct

from proxy.policy.money.amounts import to_pusd, usd_text
from proxy.policy.money.books import Books
from proxy.policy.money.narrowed import OF
from proxy.policy.money.periods import period_start
from proxy.policy.values import Settings
from proxy.stores.journal.records import Adjusted, Charge
from proxy.stores.questions.sessions import KnownSession, SessionsQuestion
from proxy.web.operator.access.actor import ACTOR
from proxy.web.operator.admin_api import AdminApi, Declined, EpochMs, Unknown, instant

_MOST_SHOWN = 100
_MOST_USD = Decimal(10**6)


class SessionsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Those that did anything since then (UTC epoch milliseconds), the latest first."""

    since_ms: EpochMs = 0
    most: Annotated[int, Meta(ge=1, le=10_000)] = _MOST_SHOWN


class RaiseAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`usd` more for a session; `key` where its id is known under several."""

    session: str
    usd: str
    key: str | None = None


class SessionAnswer(Struct, frozen=True):
    """One session. `first_at` and `last_at` are rounded down to the quarter-hour. `left_usd` is what its tightest budget
    leaves it, None where it has none."""

    session: str
    key: str
    first_at: str
    last_at: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    left_usd: str | None


class SessionsAnswer(Struct, frozen=True):
    """The sessions that were used last."""

    sessions: list[SessionAnswer]


class RaisedAnswer(Struct, frozen=True):
    """A session may spend so much more; `budgets` are those of its own, and what they leave it now."""

    session: str
    key: str
    usd: str
    budgets: dict[str, str]
    left_usd: str | None


class Raising(Struct, frozen=True):
    """What raising a session comes to: a correction for each budget of its own, to be written and counted."""

    key: str
    session: str
    pusd: int
    records: tuple[Adjusted, ...]


Known = tuple[list[KnownSession], dict[Charge, int]]


def known_sessions(admin_api: AdminApi, ask: SessionsAsk) -> Known:
    """The sessions asked for, and what their own budgets have spent by the files. It may run in a thread."""
    known = admin_api.files.sessions(SessionsQuestion(ask.since_ms, ask.most, admin_api.bounds.tenants))
    own = [budget for one in known for budget in own_budgets(admin_api.books, one.key, one.session)]
    return known, admin_api.files.spent(own) if own else {}


def session_list(found: Known, books: Books, now: float) -> SessionsAnswer:
    """The same with what is in memory, which knows better."""
    known, spent = found

    def left(key: str, session: str) -> str | None:
        amounts = []
        for id_ in own_budgets(books, key, session):
            budget = books.narrowed.budget_of(id_)
            assert budget is not None
            standing = books.standing(id_, now)
            period = period_start(budget, now)
            rest = budget.cap_pusd - spent.get((id_, period), 0) if standing is None else standing.left_pusd
            amounts.append(max(0, rest))
        return usd_text(min(amounts)) if amounts else None

    return SessionsAnswer(
        [
            SessionAnswer(
                session=one.session,
                key=one.key,
                first_at=instant(one.first_ms),
                last_at=instant(one.last_ms),
                calls=one.calls,
                input_tokens=one.input_tokens,
                output_tokens=one.output_tokens,
                cost_usd=usd_text(one.cost_pusd),
                left_usd=left(one.key, one.session),
            )
            for one in known
        ]
    )


def own_budgets(books: Books, key: str, session: str) -> list[str]:
    """The budgets that a session has of its own, whatever else they are narrowed to."""
    return [f"{budget.id}{OF}{key}/{session}" for budget in books.narrowed.templates() if budget.each == "session"]


def key_of_session(known: list[str], admin_api: AdminApi, ask: RaiseAsk, now: float) -> str:
    """The key that a session belongs to; `known` are those that the ledger knows of. Raises `Unknown` where there is no such session, `Declined` where there are several."""
    if ask.key is not None and admin_api.bounds.has_key(ask.key):
        return ask.key
    ending = f"/{ask.session}"
    of = [standing.budget.of for standing in admin_api.books.own_state(now) if standing.budget.each == "session"]
    keys = {name.removesuffix(ending) for name in of if name.endswith(ending)} | set(known)
    keys = {key for key in keys if admin_api.bounds.has_key(key)}
    if not keys or ask.key is not None:
        raise Unknown(f"no session {ask.session!r} is known here; `tollkeeper sessions list` names those there are")
    if len(keys) > 1:
        raise Declined(f"several keys have a session of this id; say which with --key: {', '.join(sorted(keys))}")
    return keys.pop()


def raising(settings: Settings, books: Books, ask: RaiseAsk, key: str, now: float) -> Raising:
    """What is to be written and counted; the session's own budgets are in memory. Raises `Declined`."""
    try:
        usd = Decimal(ask.usd)
    except InvalidOperation:
        raise Declined("the amount must be in US dollars such as 5 or 0.50") from None
    if not usd.is_finite() or not 0 < usd <= _MOST_USD:
        raise Declined("the amount must be more than zero, and at most a million dollars")
    ids = own_budgets(books, key, ask.session)
    if not ids and settings.loops is None:
        raise Declined(
            "no session has a budget here, and none is watched for loops: see `sessions:` in the configuration"
        )
    pusd, records, actor = to_pusd(usd), [], ACTOR.get()
    for id_ in ids:
        standing = books.standing(id_, now)
        assert standing is not None
        identity = f"raise_{secrets.token_hex(12)}"
        what = (id_, standing.period, -pusd, actor.reason or "the session was raised")
        records.append(Adjusted(identity, int(now * 1000), *what, actor.name, actor.source, actor.tenant or ""))
    return Raising(key, ask.session, pusd, tuple(records))


def raised(books: Books, raising: Raising, now: float) -> RaisedAnswer:
    """What is so now."""
    left = {}
    for record in raising.records:
        standing = books.standing(record.budget, now)
        assert standing is not None
        left[record.budget] = usd_text(standing.left_pusd)
    least = min(left.values(), key=Decimal) if left else None
    return RaisedAnswer(raising.session, raising.key, usd_text(raising.pusd), left, least)
