"""Whether a provider's bill says what the ledger says, day by day of UTC: what was read of both, and what follows.

A day takes in stretches between two readings of both running totals, so that what is settled late belongs to the stretch it
came in, and nothing is counted twice. Amounts are 1e-12 USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.money.amounts import PUSD_PER_USD, to_pusd

State = Literal["open", "provisional", "matched", "explained"]
Cause = Literal["foreign use", "late settlement", "lower price", "higher price", "another key", "rounding", "unknown"]

CLOSED: tuple[State, ...] = ("matched", "explained")
IN_A_ROW = 2  # readings that are too far apart, until somebody is told
LEAST_DRIFT_PUSD = PUSD_PER_USD // 20  # $0.05
_PART = 100  # of what was billed: 1 %
_LATE_MS = 3_600_000  # after midnight a day ends, whatever is still under way
_TWICE = 2
_MOST_USD = 10**9


class Reading(Struct, frozen=True):
    """Both totals at one moment, since ever: what the key was billed and what the ledger has for it, in how many calls.

    `pending` are calls under way and costs not known yet, `label` is how the provider calls the key, `left_pusd` what its
    limit leaves (None: it has none).
    """

    at_ms: int
    label: str
    billed_pusd: int
    booked_pusd: int
    calls: int
    pending: int = 0
    left_pusd: int | None = None


class BillDay(Struct, frozen=True, kw_only=True):
    """One day of one key: `tenant` is whose it is, "" everybody's. `foreign_pusd` of what was billed came while nothing of
    ours was under way. `over` readings in a row were too far apart; whether somebody was
    `told` of that, and of its credit (`told_credit`). Of `sampled` calls the provider said another cost by
    `sampled_off_pusd` in all. `seen` is the newest reading, `source` where what was billed is known from."""

    provider: str
    tenant: str
    day: str
    seen: Reading
    since_ms: int
    state: State = "open"
    source: Literal["key", "report"] = "key"
    billed_pusd: int = 0
    booked_pusd: int = 0
    foreign_pusd: int = 0
    calls: int = 0
    pending_first: int = 0
    keys: int = 1
    over: int = 0
    told: bool = False
    told_credit: bool = False
    sampled: int = 0
    sampled_off_pusd: int = 0
    causes: tuple[Cause, ...] = ()

    @property
    def drift_pusd(self) -> int:
        """What was billed for our own use beyond what the ledger has; below zero where it has more."""
        return self.billed_pusd - self.foreign_pusd - self.booked_pusd

    @property
    def drift_ratio(self) -> float:
        """The same as a part of what was billed for our own use."""
        whole = max(self.billed_pusd - self.foreign_pusd, self.booked_pusd)
        return self.drift_pusd / whole if whole > 0 else 0.0

    @property
    def known_causes(self) -> tuple[Cause, ...]:
        """What explains it, of a day that goes on as far as is known by now."""
        return tuple(_causes(self)) if self.state not in CLOSED and _is_apart(self) else self.causes

    @property
    def is_over(self) -> bool:
        """Whether that, or foreign use, is above 1 % and above $0.05, and above what is under way may cost."""
        slack = _TWICE * (self.pending_first + self.seen.pending) * self.booked_pusd // max(1, self.calls)
        least = max(LEAST_DRIFT_PUSD, max(self.billed_pusd, self.booked_pusd) // _PART)
        return abs(self.drift_pusd) > least + slack or self.foreign_pusd > least


class Correction(Struct, frozen=True):
    """What the ledger's sum of a closed day lacks (or has too much) beside the bill; it stands beside the rows, which stay."""

    provider: str
    tenant: str
    day: str
    delta_pusd: int
    cause: Cause


def begin(account: tuple[str, str], reading: Reading) -> BillDay:
    """The first day of a key, or the next one: it takes in what comes after the reading."""
    provider, tenant = account
    return BillDay(
        provider=provider,
        tenant=tenant,
        day=day_of(reading.at_ms),
        seen=reading,
        since_ms=reading.at_ms,
        pending_first=reading.pending,
    )


def follow(day: BillDay, reading: Reading) -> list[BillDay]:
    """The day with what was read now; behind it the next one, where this is over.

    It is over with the first reading after midnight at which nothing was under way, an hour later at the latest.
    """
    found = _taken(day, reading)
    if day_of(reading.at_ms) == day.day:
        return [found]
    if reading.pending and reading.at_ms - midnight_after(day.day) < _LATE_MS:
        return [replace(found, state="provisional")]
    return [closed(found), begin((day.provider, day.tenant), reading)]


def closed(day: BillDay) -> BillDay:
    """The day as it is for ever: matched, or explained by what is known of it."""
    return replace(day, state="explained" if _is_apart(day) else "matched", causes=tuple(_causes(day)))


def correction(day: BillDay) -> Correction | None:
    """What makes the ledger's sum that of the bill; None where it is, or the bill tells of others' use as well."""
    own = [cause for cause in day.causes if cause != "foreign use"]
    if not day.drift_pusd:
        return None
    return Correction(day.provider, day.tenant, day.day, day.drift_pusd, own[0] if own else "rounding")


def sampled(day: BillDay, booked_pusd: int, said_pusd: int) -> BillDay:
    """With what the provider says one call cost."""
    return replace(day, sampled=day.sampled + 1, sampled_off_pusd=day.sampled_off_pusd + said_pusd - booked_pusd)


def day_of(at_ms: int) -> str:
    """The UTC day of a moment: 2026-11-27."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def midnight_after(day: str) -> int:
    """When a day ends, UTC epoch milliseconds."""
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1000 + 86_400_000


def key_reading(data: Mapping[str, Any]) -> tuple[str, int, int | None] | None:
    """Of OpenRouter's `/key`: the key's label, what it was billed in all, with its own providers' share (byok), and what its
    limit leaves. None where the answer is another one."""
    used, byok = _usd(data.get("usage")), _usd(data.get("byok_usage", 0))
    if used is None or byok is None:
        return None
    left = _usd(data.get("limit_remaining"))
    return str(data.get("label")), to_pusd(used + byok), None if left is None else to_pusd(left)


def with_credit(found: tuple[str, int, int | None], data: Mapping[str, Any]) -> tuple[str, int, int | None]:
    """The same with what OpenRouter's `/credits` leaves, where that is less than the key's limit or it has none."""
    label, billed, left = found
    bought, used = _usd(data.get("total_credits")), _usd(data.get("total_usage"))
    if bought is None or used is None:
        return found
    credit = to_pusd(max(Decimal(0), bought - used))
    return label, billed, credit if left is None else min(left, credit)


def _taken(day: BillDay, reading: Reading) -> BillDay:
    """With the stretch that ends here. Another key, or one whose total was set back, begins a stretch of its own."""
    seen = day.seen
    if reading.label != seen.label or reading.billed_pusd < seen.billed_pusd:
        return replace(day, seen=reading, keys=day.keys + 1)
    calls = reading.calls - seen.calls
    found = replace(
        day,
        seen=reading,
        billed_pusd=day.billed_pusd + reading.billed_pusd - seen.billed_pusd,
        booked_pusd=day.booked_pusd + reading.booked_pusd - seen.booked_pusd,
        calls=day.calls + calls,
    )
    is_idle = not calls and not seen.pending and not reading.pending
    if is_idle and (stray := min(reading.billed_pusd - seen.billed_pusd, found.drift_pusd)) > 0:
        found = replace(found, foreign_pusd=found.foreign_pusd + stray)
    return replace(found, over=found.over + 1 if found.is_over else 0)


def _is_apart(day: BillDay) -> bool:
    whole = max(day.billed_pusd - day.foreign_pusd, day.booked_pusd)
    return abs(day.drift_pusd) > max(LEAST_DRIFT_PUSD, whole // _PART) or day.foreign_pusd > LEAST_DRIFT_PUSD


def _causes(day: BillDay) -> list[Cause]:
    """The surest first; none where there is nothing to explain."""
    found: list[Cause] = ["foreign use"] if day.foreign_pusd else []
    drift = day.drift_pusd
    if not drift:
        return found
    if abs(drift) <= LEAST_DRIFT_PUSD // 100:
        return [*found, "rounding"]
    if day.sampled_off_pusd * drift > 0:
        found.append("lower price" if drift < 0 else "higher price")
    if day.pending_first or day.seen.pending:
        found.append("late settlement")
    if day.keys > 1:
        found.append("another key")
    return found if set(found) - {"foreign use"} else [*found, "unknown"]


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and abs(amount) < _MOST_USD else None
