"""Finished calls as rows: what `tail` prints, and the lower part of `top`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from proxy.cli.screen.columns import Column, Span, in_unit
from proxy.cli.screen.numbers import count, seconds
from proxy.cli.tables import in_units
from proxy.exchange.entry import Entry
from proxy.policy.money.amounts import dollars

_CLIENT_LEFT = 499
_NOBODYS_FAILURE = "caller_cancelled"

UNIT_FROM = 122
COLUMNS = (
    Column("Ended", 8),
    Column("St", 3, is_number=True),
    Column("Key", 8, most=16),
    Column("Model", 8, most=40),
    Column("Provider", 10, most=16, shown_from=100),
    Column("In/out", 9, is_number=True, shown_from=70),
    Column("Cost", 9, is_number=True),
    Column("First", 6, is_number=True, shown_from=112),
    Column("Total", 6, is_number=True, shown_from=60),
    Column("Note", 12, most=22, shown_from=53),
    Column("Request", 28, shown_from=140),
)


def cells(entry: Entry, zone: tzinfo) -> dict[str, Span]:
    """By heading; the time is when it ended, in `zone`."""
    tone = _tone(entry)
    amount, _, unit = (entry.cost_credits or "").partition(" ")
    return {
        "Ended": (f"{ended(entry).astimezone(zone):%H:%M:%S}", "dim"),
        "St": (str(entry.status or "-"), tone),
        "Key": (f"{entry.tenant}/{entry.key}" if entry.tenant else entry.key or "-", ""),
        "Model": (entry.model or entry.endpoint, ""),
        "Provider": (entry.provider or "-", ""),
        "In/out": (_tokens(entry), ""),
        "Cost": (dollars(entry.cost_usd), ""),
        **({in_unit(unit): (in_units(amount), "")} if unit else {}),
        "First": (seconds(entry.first_token_seconds), "dim"),
        "Total": (seconds(entry.total_seconds), ""),
        "Note": (note(entry), tone if is_failure(entry) else "dim"),
        "Request": (entry.request_id, "dim"),
    }


def ended(entry: Entry) -> datetime:
    """When it was over, UTC."""
    return datetime.fromisoformat(entry.at) + timedelta(seconds=entry.total_seconds)


def is_failure(entry: Entry) -> bool:
    """A client that left is nobody's failure."""
    return entry.error_type is not None and entry.error_type != _NOBODYS_FAILURE


def note(entry: Entry) -> str:
    """What was not as usual: an error's code, that the client left, a fallback, tries, what refuses nothing yet."""
    if is_failure(entry):
        return entry.error or entry.error_type or ""
    if entry.client_left is not None:
        return "client left"
    last = entry.tried[-1] if entry.tried else None
    if last is not None and any((t.provider, t.model) != (last.provider, last.model) for t in entry.tried):
        return "fallback"
    if entry.attempts > 1:
        return f"{entry.attempts} tries"
    return "in shadow" if entry.shadow_rejections else ""


def error_share(entries: Sequence[Entry]) -> float | None:
    """How many of them failed, from 0 to 1."""
    return sum(map(is_failure, entries)) / len(entries) if entries else None


def per_minute(entries: Sequence[Entry], now: datetime, most: int) -> float:
    """Calls that ended in the last minute; where only the latest `most` are known and all are younger, their pace."""
    ages = [(now - ended(entry)).total_seconds() for entry in entries]
    young = [age for age in ages if age < 60]
    if len(young) < most:
        return float(len(young))
    return len(young) * 60 / max(1.0, *young)


def _tokens(entry: Entry) -> str:
    if entry.input_tokens is None and entry.output_tokens is None:
        return "-"
    return f"{count(entry.input_tokens)}/{count(entry.output_tokens)}"


def _tone(entry: Entry) -> str:
    """Colours for those lines only that deserve a look."""
    if entry.status == _CLIENT_LEFT:
        return "dim"
    if not is_failure(entry):
        return "green"
    return "yellow" if 400 <= entry.status < 500 else "red"
