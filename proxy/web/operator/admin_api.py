"""What commands ask about money, answered alike by a running daemon and from a stopped one's files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from proxy.exchange.reporting.rows import SHADOWS
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import Limit, Subject, key_scope
from proxy.policy.money.periods import LAST_START
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.resolution import Names
from proxy.policy.sharing import Sharing
from proxy.policy.values import Caller, Settings
from proxy.stores.journal.records import Row
from proxy.stores.keys import StoredKey
from proxy.stores.keyset import KeySet
from proxy.stores.questions.queries import Files
from proxy.stores.questions.usage import Dimensions, UsageQuestion, UsageReport
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.answers import (
    BudgetAnswer,
    BudgetsAnswer,
    CacheAnswer,
    KeyAnswer,
    KeysAnswer,
)
from proxy.web.operator.calls.answers_past import (
    AttemptAnswer,
    OpinionAnswer,
    PastCallAnswer,
    RefusalAnswer,
    ServedAnswer,
)
from proxy.web.operator.calls.waterfall import waterfall

if TYPE_CHECKING:
    from proxy.exchange.routing.router import Router
    from proxy.exchange.routing.trials import Trials

_MOST_OWN = 20


class Declined(Exception):
    """What was asked cannot be done; the message is one line for the operator."""


class InFile(Declined):
    """What is to be changed stands in the configuration file."""


class Unknown(Declined):
    """What was asked for is not there."""


FILTERS = ("key", "model", "provider", "tenant", "session")
EpochMs = Annotated[int, Meta(ge=-1000 * LAST_START, le=1000 * LAST_START)]  # UTC epoch milliseconds


class UsageAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`tz` None is the machine's zone of the configuration; `key`, `model`, `provider`, `tenant` and `session` are names or
    patterns."""

    by: Dimensions = "day"
    since_ms: EpochMs | None = None
    until_ms: EpochMs | None = None
    tz: str | None = None
    key: str | None = None
    model: str | None = None
    provider: str | None = None
    session: str | None = None
    tenant: str | None = None


class AdminApi(Struct, frozen=True):
    """Everything an answer may need. `limiter` is that of a running daemon; `used` says when each caller last called (UTC epoch ms), where that is fresher.
    Answers hold what is within `bounds`."""

    settings: Settings
    files: Files
    books: Books
    names: Names
    prices: PriceBook
    keys: KeySet
    used: dict[str, int] = {}
    limiter: Limiter | None = None
    router: Router | None = None
    trials: Trials | None = None
    bounds: Bounds = Bounds()

    def usage(self, ask: UsageAsk) -> UsageReport:
        """Calls, tokens and cost. Raises as `Files` does, and `Declined` for a zone nobody knows."""
        try:
            zone = ZoneInfo(ask.tz) if ask.tz else self.settings.money.zone
        except (ValueError, OSError, KeyError):
            raise Declined("--tz must be a time zone such as Europe/Berlin") from None
        only = {name: text for name in FILTERS if (text := getattr(ask, name)) is not None}
        wanted = UsageQuestion(ask.by or "day", zone, ask.since_ms, ask.until_ms, only, self.bounds.tenants)
        return self.files.usage(wanted)

    def show(self, request_id: str) -> PastCallAnswer:
        """The rows of one call. Raises `Unknown` where there is none."""
        rows = self.files.find(request_id)
        if not rows or not self.bounds.has(rows[0].tenant):
            raise Unknown(f"no call {request_id!r} is known here; x-tollkeeper-request-id of a reply names its call")
        first, attempts = rows[0], [row for row in rows if row.provider]
        return PastCallAnswer(
            request_id=request_id,
            at=instant(first.at_ms),
            key=first.key,
            endpoint=first.endpoint,
            asked=first.asked,
            model=first.model,
            stream=first.stream,
            refused=next((_refusal(row) for row in rows if not row.provider and row.source != "cached"), None),
            attempts=[_attempt(row) for row in attempts],
            cost_usd=usd_text(sum(row.cost_pusd for row in attempts)),
            waterfall=waterfall(rows),
            session=first.session or None,
            decision=first.decision or None,
            tags=first.tags.split(",") if first.tags else [],
            tenant=first.tenant or None,
            use_case=first.use_case,
            arm=first.arm,
            served=next((_served(row) for row in rows if row.source == "cached"), None),
            feedback=[OpinionAnswer(one.score_milli / 1000, one.label) for one in self.files.feedback(request_id)],
        )

    def has_model(self, name: str) -> bool:
        """Whether what all who use this name do is within bounds."""
        return self.bounds.has_model(name, self.names, self.keys)

    def under(self, scopes: tuple[str, ...], subject: Subject) -> tuple[str, ...]:
        """The budgets that bind an attempt, all of them in memory. It may ask files; what belongs to the loop is opened
        before by whoever has one."""
        under = self.books.under(scopes, subject)
        if missing := self.books.narrowed.missing(under):
            self.books.open(missing, self.files.spent(missing))
        return under

    def budgets(self, now: float) -> BudgetsAnswer:
        """Where every budget in force stands; of those that are somebody's own, those in memory that have spent most."""
        own = sorted(self.books.own_state(now), key=lambda standing: standing.spent_pusd, reverse=True)
        found = [*self._within(self.books.state(now)), *self._within(own)[:_MOST_OWN]]
        return BudgetsAnswer([standing_row(standing) for standing in found])

    def _within(self, standings: list[Standing]) -> list[Standing]:
        return [standing for standing in standings if self.bounds.has_budget(standing.budget)]

    def key_list(self, standings: list[Standing], now: float) -> KeysAnswer:
        """Every key in force or expired.

        It asks files and may run in a thread; the books may not, so that where they stand is an argument.
        """
        stored = {key.name: key for key in self.files.stored_keys() if key.revoked_ms is None}
        report = self.files.usage(UsageQuestion("key", self.settings.money.zone))
        spent: dict[str, str] = {row["key"]: row["cost_usd"] for row in report.rows}
        own = {caller.name for caller in self.settings.callers}
        terms, former = terms_of(self.keys.limits, standings), self._former_until(now)
        rows = []
        for caller in self.keys.each:
            if self.bounds.has_key(caller.name):
                known, (limits, budgets) = stored.get(caller.name), terms[key_scope(caller.name)]
                about = {
                    "spent_usd": spent.get(caller.name, usd_text(0)),
                    "expired": caller.expires_ms is not None and now * 1000 >= caller.expires_ms,
                    "old_secret_until": _instant_or_none(former.get(caller.name)),
                    "limits": [limit_text(limit) for limit in limits],
                    "budgets": [standing_row(standing) for standing in budgets],
                }
                rows.append(self._key(caller, None if caller.name in own else known, about))
        return KeysAnswer(rows, self.keys.is_open)

    def _key(self, caller: Caller, known: StoredKey | None, about: dict[str, Any]) -> KeyAnswer:
        used_ms = self.used.get(caller.name) or (known.last_used_ms if known else None)
        return KeyAnswer(
            **about,
            name=caller.name,
            origin="store" if known else "configuration",
            models=list(caller.models),
            created_at=_instant_or_none(known.created_ms if known else None),
            expires_at=_instant_or_none(known.expires_ms if known else None),
            last_used_at=_instant_or_none(used_ms),
            timing=caller.timing,
            tenant=caller.tenant or None,
            lossy=caller.lossy,
            uid=caller.uid,
            coalesce=None if caller.sharing is None else caller.sharing.coalesce,
            cache=_cache(caller.sharing),
        )

    def _former_until(self, now: float) -> dict[str, int]:
        """Until when secrets that keys had before go on, by key."""
        newest = {id(caller) for caller in self.keys.each}
        former = [caller for caller in self.keys.callers if id(caller) not in newest]
        found: dict[str, int] = {}
        for caller in former:
            if (until := caller.expires_ms or 0) > now * 1000:
                found.setdefault(caller.name, until)
        return found


Terms = defaultdict[str, tuple[list[Limit], list[Standing]]]


def terms_of(limits: Iterable[Limit], standings: Iterable[Standing]) -> Terms:
    """What bounds each scope."""
    found: Terms = defaultdict(lambda: ([], []))
    for limit in limits:
        found[limit.scope][0].append(limit)
    for standing in standings:
        found[standing.budget.scope][1].append(standing)
    return found


def _cache(sharing: Sharing | None) -> CacheAnswer | None:
    rules = None if sharing is None else sharing.cache
    return None if rules is None else CacheAnswer(rules.ttl_seconds, rules.when, rules.max_bytes)


def standing_row(standing: Standing) -> BudgetAnswer:
    """One budget, as JSON has it."""
    budget = standing.budget
    return BudgetAnswer(
        budget=budget.id,
        scope=budget.scope,
        per=budget.per,
        cap_usd=usd_text(budget.cap_pusd),
        spent_usd=usd_text(standing.spent_pusd),
        held_usd=usd_text(standing.held_pusd),
        left_usd=usd_text(standing.left_pusd),
        resets_at=None if standing.resets_at is None else instant(standing.resets_at * 1000),
        shadow=budget.shadow,
    )


def instant(at_ms: int) -> str:
    """A moment in ISO 8601, UTC; one that no calendar has, by an odd row, is the nearest there is."""
    at_ms = max(0, min(at_ms, 1000 * LAST_START))
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attempt(row: Row) -> AttemptAnswer:
    same: dict[str, Any] = {name: getattr(row, name) for name in AttemptAnswer.__struct_fields__ if hasattr(row, name)}
    return AttemptAnswer(
        **same,
        at=instant(row.at_ms),
        hold_usd=usd_text(row.hold_pusd),
        cost_usd=usd_text(row.cost_pusd),
        shadow_rejections=row.message.split(SHADOWS) if row.message else [],
    )


def _served(row: Row) -> ServedAnswer:
    return ServedAnswer(row.outcome, row.upstream_id, row.message, row.status, usd_text(row.saved_pusd), row.total_ms)


def _refusal(row: Row) -> RefusalAnswer:
    return RefusalAnswer(row.status, row.error, row.message, row.total_ms, row.times)


def limit_text(limit: Limit) -> str:
    """The limit as `keys create --limit` takes it."""
    shadow = "shadow:" if limit.shadow else ""
    if limit.per is None:
        return f"{shadow}{limit.of}:{limit.amount}"
    return f"{shadow}{'' if limit.of == 'requests' else f'{limit.of}:'}{limit.amount}/{limit.per}"


def _instant_or_none(at_ms: int | None) -> str | None:
    """None, and a moment beyond any calendar, is never."""
    return None if at_ms is None or at_ms > 1000 * LAST_START else instant(at_ms)
