"""What the metrics are told of calls that ended and attempts that are paid for: summed up first, and counted when somebody looks.

To find the place of each takes long where many keys or models are called: what comes to one place is counted together.
"""

from __future__ import annotations

import time
from typing import ClassVar

import structlog
from msgspec import Struct

from proxy.exchange.entry import Entry
from proxy.exchange.held import Booked
from proxy.exchange.reporting.lines import Alike as Same
from proxy.exchange.reporting.lines import Kind
from proxy.observe.metrics import Metrics
from proxy.observe.seen import Alike, CallSeen, CostSeen, Meter, Tokens
from proxy.policy.money.amounts import usd_text
from proxy.stores.journal.records import Row

log = structlog.get_logger()
_MOST, _LONGEST_SECONDS = 20_000, 30.0  # what waits to be counted, and while calls go on, how long
_QUIET_SECONDS = 2.0  # in which nothing comes: then nothing waits
_MOST_CALLS, _FEW = 20_000, 8  # that wait, as fewer than so many of their kind ended together


class _Waits(Struct, frozen=True, gc=False):
    """What is left of a call that waits to be counted with others of its kind, which is no stream, and nothing else that the
    metrics tell more of."""

    first_token_seconds: ClassVar[None] = None
    input_tokens: ClassVar[None] = None
    output_tokens: ClassVar[None] = None

    kind: Kind
    key: str | None
    tenant: str
    total_seconds: float
    overhead_seconds: float


class Metering:
    """One thread at a time is at it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._spent: dict[tuple[str, ...], list[int]] = {}  # pusd and tokens, and of whom
        self._waiting: list[_Waits] = []
        self._count_at = self._quiet_at = 0.0

    def costs(self, settled: list[Booked]) -> None:
        """To their sums, by what the metrics tell them apart by; and tell what is odd about their figures."""
        newest: tuple[str, ...] = ()
        costs, pusd, read, wrote = [0, 0, 0, 0, 0, 0], 0, 0, 0
        for row, doubts, over_pusd in settled:
            if doubts or over_pusd:
                self._tell_odd(row, doubts, over_pusd)
            whose = (row.provider, row.model, row.key, row.source, row.tenant)
            if whose != newest:  # as few are where few keys call, and found out in half the time
                costs[0] += pusd
                costs[1] += read
                costs[2] += wrote
                newest, costs, pusd, read, wrote = whose, self._spent.get(whose) or self._begun(whose), 0, 0, 0
            pusd += row.cost_pusd
            read += row.input_tokens
            wrote += row.output_tokens
            if row.cached_input_tokens or row.cache_write_tokens or row.reasoning_tokens:
                costs[3] += row.cached_input_tokens
                costs[4] += row.cache_write_tokens
                costs[5] += row.reasoning_tokens
        costs[0] += pusd
        costs[1] += read
        costs[2] += wrote

    def _begun(self, whose: tuple[str, ...]) -> list[int]:
        """Of what cost nothing for sure they are not kept."""
        costs = [0, 0, 0, 0, 0, 0]
        if whose[3] != "none":
            self._spent[whose] = costs
        return costs

    def calls(self, alike: list[Same]) -> None:
        """Calls are over: those wait of whose kind there are few."""
        at_once: list[Same] = []
        waiting = self._waiting
        for same in alike:
            kind, lines = same.kind, same.lines
            if kind is None or kind.meter is None or kind.meter.is_more or len(lines) >= _FEW:
                at_once.append(same)
                continue
            for (record, _), line in zip(same.ended, lines, strict=True):
                waiting.append(_Waits(kind, record.key, record.tenant, line.total_seconds, line.overhead_seconds))
        self._metrics.finished_alike(map(self._metered, at_once))

    def count_some(self, *, is_idle: bool) -> None:
        """Have the metrics count what has waited long enough, or is too much; all of it where nothing else comes for a while."""
        now, waiting = time.monotonic(), len(self._spent) + self._metrics.uncounted
        if not is_idle:
            self._quiet_at = now + _QUIET_SECONDS
        if waiting > _MOST or now >= min(self._count_at, self._quiet_at):
            self.count_all()
        elif len(self._waiting) >= _MOST_CALLS:
            self._count_waiting()

    def count_all(self) -> None:
        """Have the metrics count what was summed up."""
        self._count_waiting()
        spent, self._spent = self._spent, {}
        self._count_at = time.monotonic() + _LONGEST_SECONDS
        self._metrics.settled(
            *[
                CostSeen(provider, model, key, costs[0], source, Tokens(*costs[1:]), tenant)
                for (provider, model, key, source, tenant), costs in spent.items()
            ]
        )
        self._metrics.count_callers()

    def _count_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        kinds: dict[Kind, list[_Waits]] = {}
        for one in waiting:
            kinds.setdefault(one.kind, []).append(one)
        self._metrics.finished_alike(
            Alike(self._meter(kind), same, [(one.key, one.tenant or None) for one in same])
            for kind, same in kinds.items()
        )

    def _metered(self, same: Same) -> Alike:
        ended, kind = same.ended, same.kind
        assert kind is not None
        if same.has_seldom:
            whose = [(record.key, record.tenant or None) for record, _ in ended]
        else:
            keys = [record.key for record, _ in ended]
            is_one = keys.count(keys[0]) == len(keys)
            whose = [(keys[0], None)] * len(keys) if is_one else [(key, None) for key in keys]
        saved_pusd = sum([record.saved_pusd for record, _ in ended]) if same.entry.cache else 0
        return Alike(self._meter(kind, same), same.lines, whose, saved_pusd)

    def _meter(self, kind: Kind, same: Same | None = None) -> Meter:
        """Where calls of a kind are counted, which is looked up once, with the first of them that ended."""
        if kind.meter is None:
            assert same is not None
            kind.meter = self._metrics.meter(_seen(same))
        else:
            kind.meter = self._metrics.meter(kind.meter.call, kind.meter)
        return kind.meter

    def _tell_odd(self, row: Row, doubts: tuple[str, ...], over_pusd: int) -> None:
        for doubt in doubts:
            self._metrics.anomaly(doubt)
            log.warning("cost_anomaly", reason=f"{doubt} in the usage of {row.id}")
        if over_pusd:
            self._metrics.anomaly("over_hold")
            log.warning("cost_anomaly", reason=f"over_hold by {usd_text(over_pusd)} USD in {row.id}")


def _seen(same: Same) -> CallSeen:
    """What the metrics are told of calls of one kind."""
    entry, record = same.entry, same.ended[0][0]
    return CallSeen(  # in the order of its fields, which is quicker than by their names
        entry.endpoint, entry.status, entry.total_seconds, entry.overhead_seconds, entry.provider,
        entry.target or (record.label if entry.cache else None),
        record.key, entry.error_type, entry.stream, entry.first_token_seconds, entry.input_tokens, entry.output_tokens,
        tuple([(tried.provider, tried.outcome) for tried in entry.tried]),
        None if len(entry.tried) < 2 else _fallback(entry),
        record.losses, entry.client_left,
        entry.error if not entry.attempts and (entry.error_type or "").startswith("policy_") else None,
        entry.shadow_rejections and _codes(entry.shadow_rejections),
        record.tenant, entry.flags, entry.cache, record.saved_pusd,
    )  # fmt: skip


def _fallback(entry: Entry) -> tuple[str, str] | None:
    """The model that was asked first and the one that came last, where several were asked."""
    models = list(dict.fromkeys(tried.model for tried in entry.tried))
    return (models[0], models[-1]) if len(models) > 1 else None


def _codes(rejections: tuple[str, ...]) -> tuple[str, ...]:
    """What a call would have been refused with, each code once, whichever entries in shadow said so."""
    return tuple(dict.fromkeys(rejection.partition(" ")[0] for rejection in rejections))
