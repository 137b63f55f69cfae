"""The ledger's rows of what was never sent, or was cut off."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from proxy.exchange.record import Record
from proxy.policy.money.settlement import Settlement
from proxy.stores.journal.records import Hold, Row
from proxy.wire.usage import NO_USAGE, Usage

SHADOWS = "; "  # between what budgets and limits in shadow would have refused an attempt with


def refused_row(record: Record) -> Row:
    """The row of a call that was never sent: kept so that `show` can say why."""
    return Row(
        id=f"{record.request_id}.0",
        request_id=record.request_id,
        attempt=0,
        at_ms=int(record.at * 1000),
        key=record.key or "",
        endpoint=record.endpoint,
        asked=record.model or "",
        model=record.label or "",
        provider="",
        status=record.status,
        outcome="refused",
        error=record.error.code if record.error else None,
        message=record.error.message if record.error else None,
        stream=record.stream,
        use_case=record.use_case,
        arm=record.arm,
        total_ms=_ms(time.monotonic() - record.started),
        waited_ms=_ms(record.waited_seconds),
        session=record.marks.session,
        tags=",".join(record.marks.tags),
        tenant=record.tenant,
        decision=record.decision,
    )


def shared_row(record: Record, status: int, of: tuple[str, str]) -> Row:
    """The row of a call that was never sent either: what another one got served it. `of`: that one's id, and a sentence."""
    is_good = 200 <= status < 300
    return msgspec.structs.replace(
        refused_row(record),
        status=status,
        outcome=record.cache,
        message=of[1],
        upstream_id=of[0],
        source="cached" if is_good else "none",
        saved_pusd=record.saved_pusd if is_good else 0,
        counts_call=False,
    )


def interrupted_row(
    hold: Hold, settlement: Settlement, usage: Usage | None = None, upstream_id: str | None = None
) -> Row:
    """The row of an attempt that a crash cut off; what is known of it is its hold."""
    known = {name: getattr(hold, name) for name in Hold.__struct_fields__ if name in Row.__struct_fields__}
    how: dict[str, Any] = {"outcome": "interrupted", "upstream_id": upstream_id, "counts_call": hold.attempt == 1}
    return paid(Row(**known, **how, hold_pusd=hold.amount_pusd), settlement, usage)


def paid(row: Row, settlement: Settlement, usage: Usage | None) -> Row:
    """The row with what its attempt cost and used."""
    usage = usage or NO_USAGE
    return msgspec.structs.replace(
        row,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_pusd=settlement.cost_pusd,
        source=settlement.source,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
