"""Where the time of a past call went, one stretch behind the other, as far as its rows say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.stores.journal.records import Row
from proxy.web.operator.calls.answers_past import SpanAnswer, Stretch


def waterfall(rows: Iterable[Row]) -> list[SpanAnswer]:
    """From the call's start to the end of its last attempt, without a gap. Nothing where a row does not say when its
    attempt began: one of an earlier version's, or one that a crash cut off."""
    spans: list[SpanAnswer] = []
    at_ms = waited_ms = 0
    for row in rows:
        sent_ms = row.sent_ms if row.provider else row.total_ms
        if sent_ms is None or row.waited_ms is None:
            return []
        for what, until_ms in _stretches(row, sent_ms, at_ms + row.waited_ms - waited_ms):
            until_ms = max(at_ms, until_ms)
            spans.append(SpanAnswer(row.attempt, what, at_ms, until_ms - at_ms))
            at_ms = until_ms
        waited_ms = row.waited_ms
    return spans


def _stretches(row: Row, sent_ms: int, waited_until_ms: int) -> Iterator[tuple[Stretch, int]]:
    """Each with its end, counted from the call's start."""
    yield "waiting", min(waited_until_ms, sent_ms)
    yield "ours", sent_ms
    if not row.provider:
        return
    if row.connect_ms is not None:
        yield "connect", sent_ms + row.connect_ms
    if row.first_byte_ms is None:
        yield "no_reply", row.total_ms
        return
    yield "first_byte", row.first_byte_ms
    if row.first_token_ms is not None:
        yield "first_token", row.first_token_ms
    yield "rest", row.total_ms
