"""The ledger's rows, made of a call's record."""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

from proxy.exchange.record import Record
from proxy.exchange.times import InMs
from proxy.policy.money.settlement import Settlement
from proxy.stores.records import Hold, Row
from proxy.wire.usage import Usage


class Ended(Struct, frozen=True):
    """How one attempt ended, for its row. `at` and `first_byte_at` (of the reply) are monotonic seconds."""

    at: float
    status: int
    outcome: str
    error: str | None = None
    usage: Usage | None = None
    served: str | None = None
    upstream_id: str | None = None
    first_byte_at: float | None = None


_NOTHING = Usage()
SHADOWS = "; "  # between what budgets and limits in shadow would have refused an attempt with


def attempt_row(record: Record, hold: Hold, settlement: Settlement, ended: Ended) -> Row:
    """The row of an attempt that was sent upstream."""
    error = record.error.code if record.error else ended.error
    said = ", ".join(record.adjusted), SHADOWS.join(record.shadow_rejections) or None, error
    took = record.times.in_ms(ended.at, ended.first_byte_at)
    return _held_row((hold, settlement, ended), took, said, (record.use_case, record.arm))


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
        waited_ms=_ms(record.times.waited_seconds),
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
    ended = Ended(0.0, 0, "interrupted", usage=usage, upstream_id=upstream_id)
    return _held_row((hold, settlement, ended), (None, 0, None, None, None, None), ("", None, None), ("", ""))


def _held_row(
    attempt: tuple[Hold, Settlement, Ended], took: InMs, said: tuple[str, str | None, str | None], by: tuple[str, str]
) -> Row:
    """What the hold, the cost and the usage of an attempt say in its row, with how it ended and how long it `took`. `said`:
    what was adjusted, what entries in shadow said, the error; `by` the use case and the arm.

    In the order of the row's fields: by their names it takes four times as long.
    """
    hold, settlement, ended = attempt
    usage, (adjusted, message, error), (use_case, arm) = ended.usage or _NOTHING, said, by
    first_byte, total, first_token, waited, sent, connect = took
    return Row(
        hold.id, hold.request_id, hold.attempt, hold.at_ms, hold.key, hold.endpoint, hold.asked, hold.model,
        hold.provider, hold.upstream_model, ended.served, ended.status, ended.outcome, error, message, hold.stream,
        usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens,
        settlement.cost_pusd, hold.amount_pusd, settlement.source, first_byte, total, ended.upstream_id, adjusted,
        hold.attempt == 1, 1, first_token, waited, sent, connect, hold.session, hold.tags, hold.tenant, use_case,
        hold.decision, arm,
    )  # fmt: skip


def paid(row: Row, settlement: Settlement, usage: Usage | None) -> Row:
    """The row with what its attempt cost and used."""
    usage = usage or _NOTHING
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
