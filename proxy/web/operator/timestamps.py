"""What queries say, and moments as people write them: a day, a time of day, how many days ago."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import parse_qsl

from proxy.errors import InvalidValue

SEVERAL = frozenset({"by", "takes", "makes"})  # separated by commas
_DAY = "2026-11-21"
_AGO = {"h": timedelta(hours=1), "m": timedelta(minutes=1)}


def moment_ms(text: str, zone: tzinfo, *, is_end: bool) -> int:
    """UTC epoch milliseconds of `2026-11-21`, `2026-11-21T08:00`, `today`, `yesterday`, `7d`, `6h` or `30m` (ago).

    A day counts from its first moment, or to its last; an hour of a day is meant exactly. Raises ValueError.
    """
    try:
        if text[-1:] in _AGO and text[:-1].isdecimal():
            return int((datetime.now(UTC) - int(text[:-1]) * _AGO[text[-1]]).timestamp() * 1000)
        day = _day(text, zone)
        if day is None:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        else:
            after = day + timedelta(days=1) if is_end else day
            moment = datetime(after.year, after.month, after.day, tzinfo=zone)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError("must be a date such as 2026-11-21, 2026-11-21T08:00, today, yesterday, 7d or 6h") from None


def named_moment_ms(name: str, text: str, zone: tzinfo) -> int:
    """The same of a parameter, which a sentence of what is wrong begins with; `until` is an end."""
    try:
        return moment_ms(text, zone, is_end=name == "until")
    except ValueError as error:
        raise ValueError(f"'{name}' {error}") from None


def read_query(text: str, *, keep_blank: bool = False) -> dict[str, str]:
    """The parameters of a query. What holds several values may be said several times; anything else once.

    Raises `InvalidValue`.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(text.removeprefix("?"), keep_blank_values=keep_blank):
        if name in found and name not in SEVERAL:
            raise InvalidValue("The query says one thing twice.", param=name[:100])
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def usage_params(params: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """The parameters of a query about usage: its days as moments of a zone, what rows stand for as a list. Raises ValueError."""
    found = dict(params)
    if "by" in found:
        found["by"] = found["by"].split(",")
    for name in ("since", "until"):
        if name in found:
            found[f"{name}_ms"] = named_moment_ms(name, found.pop(name), zone)
    if "since_ms" in found and found.get("until_ms", found["since_ms"] + 1) <= found["since_ms"]:
        raise ValueError("'until' is before 'since': nothing lies between them")
    return found


def _day(text: str, zone: tzinfo) -> date | None:
    today = datetime.now(zone).date()
    ago = {"today": 0, "yesterday": 1}.get(text)
    if ago is None and text.endswith("d") and text[:-1].isdecimal():
        ago = int(text[:-1])
    if ago is not None:
        return today - timedelta(days=ago)
    return date.fromisoformat(text) if len(text) == len(_DAY) else None
