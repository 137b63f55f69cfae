"""What commands ask about money, answered alike by a running daemon and from a stopped one's files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from proxy.policy.books import Books, Standing
from proxy.policy.budgets import Limit, key_scope
from proxy.policy.money import usd_text
from proxy.policy.names import Names
from proxy.policy.pricebook import PriceBook
from proxy.policy.values import Settings
from proxy.stores.keys import StoredKey
from proxy.stores.keyset import KeySet
from proxy.stores.queries import Files
from proxy.stores.records import Row
from proxy.stores.usage import By, UsageQuestion

Answer = dict[str, Any]


class Declined(Exception):
    """What was asked cannot be done; the message is one line for the operator."""


class UsageAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`tz` None is the machine's zone of the configuration."""

    by: By = "day"
    since_ms: int | None = None
    until_ms: int | None = None
    tz: str | None = None


class Desk(Struct, frozen=True):
    """Everything an answer may need. `used` says when each caller last called (UTC epoch ms), where that is fresher."""

    settings: Settings
    files: Files
    books: Books
    names: Names
    prices: PriceBook
    keys: KeySet
    used: dict[str, int] = {}

    def usage(self, ask: UsageAsk) -> Answer:
        """Calls, tokens and cost. Raises as `Files` does, and `Declined` for a zone nobody knows."""
        try:
            zone = ZoneInfo(ask.tz) if ask.tz else self.settings.money.zone
        except (ValueError, OSError, KeyError):
            raise Declined("--tz must be a time zone such as Europe/Berlin") from None
        question = UsageQuestion(ask.by, zone, ask.since_ms, ask.until_ms)
        return msgspec.structs.asdict(self.files.usage(question))

    def show(self, request_id: str) -> Answer:
        """The rows of one call. Raises `Declined` where there is none."""
        rows = self.files.find(request_id)
        if not rows:
            raise Declined(f"no call {request_id!r} is known here; x-tollkeeper-request-id of a reply names its call")
        first = msgspec.structs.asdict(rows[0])
        attempts = [row for row in rows if row.provider]
        return {
            "request_id": request_id,
            "at": instant(rows[0].at_ms),
            **{name: first[name] for name in ("key", "endpoint", "asked", "model", "stream")},
            "refused": next((_refusal(row) for row in rows if not row.provider), None),
            "attempts": [_attempt(row) for row in attempts],
            "cost_usd": usd_text(sum(row.cost_pusd for row in attempts)),
        }

    def budgets(self, now: float) -> Answer:
        """Where every budget in force stands."""
        return {"budgets": [standing_row(standing) for standing in self.books.state(now)]}

    def key_list(self, standings: list[Standing], now: float) -> Answer:
        """Every key in force or expired: what it may, what it spent, when it was last used.

        It asks files and may run in a thread; the books may not, so that where they stand is an argument.
        """
        stored = {key.name: key for key in self.files.stored_keys() if key.revoked_ms is None}
        report = self.files.usage(UsageQuestion("key", self.settings.money.zone))
        spent = {row["key"]: row["cost_usd"] for row in report.rows}
        own = {caller.name for caller in self.settings.callers}
        rows = []
        for caller in self.keys.callers:
            known = None if caller.name in own else stored.get(caller.name)
            scope = key_scope(caller.name)
            rows.append(
                {
                    "name": caller.name,
                    "from": "configuration" if caller.name in own else "store",
                    "models": list(caller.models),
                    "limits": [_limit_text(limit) for limit in self.keys.limits if limit.scope == scope],
                    "budgets": [standing_row(s) for s in standings if s.budget.scope == scope],
                    "spent_usd": spent.get(caller.name, usd_text(0)),
                    "expired": caller.expires_ms is not None and now * 1000 >= caller.expires_ms,
                    **_times(known, self.used.get(caller.name)),
                }
            )
        return {"keys": rows, "open": self.keys.is_open}


def standing_row(standing: Standing) -> Answer:
    """One budget, as JSON has it."""
    budget = standing.budget
    return {
        "budget": budget.id,
        "scope": budget.scope,
        "per": budget.per,
        "cap_usd": usd_text(budget.cap_pusd),
        "spent_usd": usd_text(standing.spent_pusd),
        "held_usd": usd_text(standing.held_pusd),
        "left_usd": usd_text(standing.left_pusd),
        "resets_at": None if standing.resets_at is None else instant(standing.resets_at * 1000),
    }


def instant(at_ms: int) -> str:
    """A moment in ISO 8601, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attempt(row: Row) -> Answer:
    fields = msgspec.structs.asdict(row)
    names = ("attempt", "provider", "upstream_model", "served", "status", "outcome", "error")
    tokens = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    return {
        **{name: fields[name] for name in (*names, *tokens)},
        "hold_usd": usd_text(row.hold_pusd),
        "cost_usd": usd_text(row.cost_pusd),
        "source": row.source,
        "at": instant(row.at_ms),
        "first_byte_ms": row.first_byte_ms,
        "total_ms": row.total_ms,
        "upstream_id": row.upstream_id,
        "adjusted": row.adjusted,
    }


def _refusal(row: Row) -> Answer:
    return {"status": row.status, "error": row.error, "message": row.message, "total_ms": row.total_ms}


def _limit_text(limit: Limit) -> str:
    """The limit as `keys create --limit` takes it."""
    if limit.per is None:
        return f"{limit.of}:{limit.amount}"
    return f"{'' if limit.of == 'requests' else f'{limit.of}:'}{limit.amount}/{limit.per}"


def _times(key: StoredKey | None, used_ms: int | None) -> Answer:
    """When a key was made, ends, and was last used, as far as that is kept."""
    return {
        "created_at": _instant_or_none(key.created_ms if key else None),
        "expires_at": _instant_or_none(key.expires_ms if key else None),
        "last_used_at": _instant_or_none(used_ms or (key.last_used_ms if key else None)),
    }


def _instant_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else instant(at_ms)
