"""What providers report of an account's costs by day, read with an admin key: OpenRouter's `/activity`, OpenAI's
`/organization/costs`, Anthropic's `/organizations/cost_report`. Amounts are 1e-12 USD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace

from proxy.policy.analysis.bills import IN_A_ROW, BillDay, Reading, closed, midnight_after
from proxy.policy.money.amounts import to_pusd
from proxy.policy.values import Kind

ACCOUNT = "/account"  # behind a provider's name: the bill of all its keys
DAYS = 3  # of those that are over; the newest of them may still grow
_DAY_MS = 86_400_000
_CENTS = 100
_MOST_USD = 10**9

Costs = dict[str, dict[str, int]]  # by UTC day and by what was used; "" where the report does not say
_Piece = tuple[str, str, Decimal]


class NotAReport(ValueError):
    """The answer is another one than documented; the message says in what."""


def paths(kind: Kind, days: Sequence[str]) -> list[str]:
    """What to ask for these days, oldest first; nothing of a provider that reports no costs."""
    begin, end = midnight_after(days[0]) - _DAY_MS, midnight_after(days[-1])
    if kind == "openrouter":
        return [f"/activity?date={day}" for day in days]
    if kind == "openai":
        span = f"start_time={begin // 1000}&end_time={end // 1000}"
        return [f"/organization/costs?{span}&bucket_width=1d&group_by=line_item&limit={len(days)}"]
    if kind == "anthropic":
        span = f"starting_at={_instant(begin)}&ending_at={_instant(end)}"
        return [f"/organizations/cost_report?{span}&bucket_width=1d&group_by%5B%5D=description&limit={len(days)}"]
    return []


def read_costs(kind: Kind, bodies: Iterable[Mapping[str, Any]]) -> Costs:
    """What the answers say. Raises `NotAReport`."""
    found: Costs = {}
    for body in bodies:
        if body.get("has_more") is True:
            raise NotAReport("it has more pages than a report of so few days should")
        try:
            for day, what, usd in _READ[kind](body):
                by_what = found.setdefault(day, {})
                by_what[what] = by_what.get(what, 0) + to_pusd(usd)
        except (KeyError, TypeError, AttributeError, InvalidOperation, OverflowError, ValueError) as error:
            raise NotAReport(f"it cannot be read ({type(error).__name__})") from None
    return found


def account_day(
    provider: str, day: str, costs: Mapping[str, int], booked: Mapping[str, tuple[int, int]], at_ms: int
) -> BillDay:
    """The account's bill of one day beside what the ledger has: `booked` is the amount and the calls of each of our models. What
    no model of ours was called for is others' use. Final a day after its end."""
    billed, own = sum(costs.values()), sum(pusd for pusd, _ in booked.values())
    calls = sum(count for _, count in booked.values())
    end = midnight_after(day)
    made = BillDay(
        provider=f"{provider}{ACCOUNT}",
        tenant="",
        day=day,
        seen=Reading(at_ms, "account", billed, own, calls),
        since_ms=end - _DAY_MS,
        state="provisional",
        source="report",
        billed_pusd=billed,
        booked_pusd=own,
        foreign_pusd=sum(pusd for what, pusd in costs.items() if not _is_ours(what, booked)),
        calls=calls,
    )
    if at_ms - end < _DAY_MS:
        return made
    return replace(closed(made), over=IN_A_ROW if made.is_over else 0)


def days_over(at_ms: int) -> list[str]:
    """The latest UTC days that are over, oldest first."""
    return [_day(at_ms // 1000 - back * _DAY_MS // 1000) for back in range(DAYS, 0, -1)]


def _activity(body: Mapping[str, Any]) -> Iterator[_Piece]:
    for row in body["data"]:
        yield row["date"][:10], str(row["model"]), _usd(row["usage"]) + _usd(row.get("byok_usage_inference") or 0)


def _openai(body: Mapping[str, Any]) -> Iterator[_Piece]:
    for bucket in body["data"]:
        for result in bucket["results"]:
            amount = result["amount"]
            if str(amount["currency"]).lower() != "usd":
                raise NotAReport(f"it is in {str(amount['currency'])[:8]}, not in USD")
            yield _day(int(bucket["start_time"])), str(result.get("line_item") or ""), _usd(amount["value"])


def _anthropic(body: Mapping[str, Any]) -> Iterator[_Piece]:
    """Its amounts are texts, in cents."""
    for bucket in body["data"]:
        for result in bucket["results"]:
            if result["currency"] != "USD":
                raise NotAReport(f"it is in {str(result['currency'])[:8]}, not in USD")
            yield bucket["starting_at"][:10], str(result.get("model") or ""), _usd(result["amount"]) / _CENTS


_READ: dict[str, Callable[[Mapping[str, Any]], Iterator[_Piece]]] = {
    "openrouter": _activity,
    "openai": _openai,
    "anthropic": _anthropic,
}


def _is_ours(what: str, booked: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a name of the report is one of our models, with a date or a kind of token behind it, maybe."""
    slugs = [model.rpartition("/")[2].partition(":")[0].lower() for model in booked]
    return not what or any(slug and slug in what.lower() for slug in slugs)


def _usd(value: Any) -> Decimal:
    amount = Decimal(value)
    if isinstance(value, bool) or not amount.is_finite() or abs(amount) >= _MOST_USD:
        raise NotAReport("an amount in it cannot be believed")
    return amount


def _day(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d")


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
