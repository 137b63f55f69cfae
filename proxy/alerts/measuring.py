"""What alert rules measure of analytics: what is there, and what is not where too little of it is told of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC
from typing import Any

from msgspec import Struct

from proxy.policy.alerting.rules import NOTHING, AlertRule, measured
from proxy.stores.ledger.alike import MINUTE_MS
from proxy.stores.questions.analytics import HOUR_MS, AnalyticsQuestion
from proxy.stores.questions.queries import Files
from proxy.web.operator.alerting import Values

MOST_WATCHED = 1000  # by one rule: there is no end to what some names may be

Rows = Iterator[tuple[str, dict[str, Any]]]


class Asked(Struct, frozen=True):
    """Who is asked, when (UTC epoch ms), and since when somebody has counted, at least. `low` are those that have too little
    already; `is_known` says whether a name of what a rule watches is one still."""

    files: Files
    now_ms: int
    begun_ms: int
    low: Collection[str]
    is_known: Callable[[str], bool]


def measured_now(rule: AlertRule, asked: Asked) -> Values:
    """By what it watches. Too little of what is counted is only told of what was counted as long as the rule looks back; and
    what was there before, and is no more, has nothing of it."""
    span_ms = int(rule.over_seconds * 1000)
    since_ms = _floor(asked.now_ms - span_ms, MINUTE_MS if rule.is_exact else HOUR_MS)
    values = {name: measured(rule, row) for name, row in _rows(rule, asked, since_ms, None)}
    nothing = measured(rule, NOTHING)
    if rule.below is None or nothing is None:
        return values
    if rule.each is None:
        return values if asked.begun_ms <= since_ms or _is_counted(asked, since_ms) else {"": None}
    earlier = {name for name, _ in _rows(rule, asked, since_ms - span_ms, since_ms)} | set(asked.low)
    gone = {name: nothing for name in earlier - set(values) if asked.is_known(name)}
    return {**{name: value if name in earlier else None for name, value in values.items()}, **gone}


def _rows(rule: AlertRule, asked: Asked, since_ms: int, until_ms: int | None) -> Rows:
    by = () if rule.each is None else (rule.each,)
    question = AnalyticsQuestion(by, UTC, None, since_ms, until_ms, rule.only, to_the_minute=rule.is_exact)
    report = asked.files.analytics(question)
    if rule.each is None:
        yield "", report.total
    else:
        yield from ((row[rule.each], row) for row in report.rows[:MOST_WATCHED] if row[rule.each])


def _is_counted(asked: Asked, until_ms: int) -> bool:
    """Whether the ledger has anything from before that."""
    question = AnalyticsQuestion((), UTC, until_ms=_floor(until_ms, HOUR_MS), with_times=False)
    total = asked.files.analytics(question).total
    return bool(total["attempts"] or total["refused"])


def _floor(at_ms: int, step_ms: int) -> int:
    return at_ms - at_ms % step_ms
