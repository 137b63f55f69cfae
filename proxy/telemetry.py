"""Tells the operator of calls, many at once and beside the event loop: log lines, metrics, the feed of those who watch.

A call that ends is only put down here. The thread that fills the ledger comes round and makes the line of each, and
everything else by their kinds; who asks a question before that catches up first.
"""

from __future__ import annotations

import asyncio
import platform
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Mapping
from functools import partial
from itertools import repeat
from typing import TypeVar

import structlog

from proxy import __version__
from proxy.exchange.bookkeeping import Bookkeeping
from proxy.exchange.held import Booked
from proxy.exchange.lines import Alike as Same
from proxy.exchange.lines import Ended, Kinds
from proxy.exchange.observing import observe
from proxy.exchange.record import Entry, Record
from proxy.exchange.trials import Trials
from proxy.observe.labels import Known
from proxy.observe.leftovers import Leftovers
from proxy.observe.logs import lines_dropped, log_calls
from proxy.observe.loop_lag import LoopLag
from proxy.observe.metrics import Metrics
from proxy.observe.page import MetricsPage
from proxy.observe.readings import BudgetState, Build, ReloadState, Sources
from proxy.observe.seen import Alike, CallSeen, CostSeen, Tokens
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import judge_scope
from proxy.policy.quality.values import JUDGED
from proxy.policy.routing.observing import Observed
from proxy.policy.values import Settings
from proxy.stores.flags import Flagged, keep_flags
from proxy.stores.records import Row
from proxy.web.operator.events import Events
from proxy.web.operator.feed import Feed

log = structlog.get_logger()
WaitingT = TypeVar("WaitingT")
_MOST, _LONGEST_SECONDS = 20_000, 10.0  # what waits to be counted by the metrics, and while calls go on, how long


class Telemetry:
    """Owned by the daemon. `models` says which names are configured or listed, asked anew at every call.

    What is to be told is put down in `finished`, calls that are over, whose records nobody changes any more, and in `settled`,
    attempts that are paid for, as the ledger will have them.
    """

    def __init__(self, settings: Settings, books: Bookkeeping, models: Callable[[str], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._books = books
        self._observed = Observed()
        self._live: Callable[[], list[Record]] = list
        self._trials = Trials()
        self._reload = ReloadState(successful=True, success_at=time.time())
        self._lag = LoopLag(loop)
        self._lag.start()
        self._turn = threading.Lock()
        self._leftovers = Leftovers()
        self._kinds = Kinds()
        self.finished: deque[Ended] = deque()
        self.settled: deque[Booked] = deque()
        self._judged: deque[str] = deque()
        self.drift: dict[tuple[str, str], float] = {}  # of bills, by provider and tenant
        self.metrics = Metrics(Known(models, self._is_key, self._tenants), self._sources(), gen_ai=settings.gen_ai)
        self._spent: dict[tuple[str, ...], list[int]] = {}  # pusd and tokens the metrics have not counted, and of whom
        self._count_at = 0.0
        self.page = MetricsPage(self.metrics, self._count_all)
        self.feed = Feed(self.catch_up, lambda: books.journal.end)

    @property
    def told(self) -> tuple[Metrics, Events]:
        """Where alerts are counted, and told as they happen."""
        return self.metrics, self.feed.events

    def watch(self, live: Callable[[], list[Record]], observed: Observed, trials: Trials) -> None:
        """Know which calls are under way; tell what finished ones say of their targets, and of their arms."""
        self._live, self._observed, self._trials = live, observed, trials

    def judged(self, model: str) -> None:
        """A reply of this name was found out of character, some time after its call was told of."""
        self._judged.append(model)

    def catch_up(self) -> None:
        """Tell of all that has ended until now. From any thread but the event loop's; never waits for the log or the ledger."""
        with self._turn:
            settled, ended = _all_of(self.settled), _all_of(self.finished)
            self._add_costs(settled)
            self._tell_calls(ended)
            waiting = len(self._spent) + self.metrics.uncounted
            if not settled or waiting > _MOST or time.monotonic() >= self._count_at:
                self._count()
            self._leftovers.look(time.monotonic(), ended=bool(ended))
            for model in _all_of(self._judged):
                self.metrics.flagged(model, JUDGED)

    def _count_all(self) -> None:
        """The same, and let nothing wait that is to be counted."""
        self.catch_up()
        with self._turn:
            self._count()

    def _tell_calls(self, ended: list[Ended]) -> None:
        if not ended:
            return
        told = self._kinds.told(ended, self._settings.credits)
        log_calls(told.lines, has_odd=told.has_odd)
        self.metrics.finished_alike(map(self._metered, told.alike))
        self.feed.tell(told)
        flagged = [
            Flagged(record.request_id, same.entry.flags, int(record.at * 1000))
            for same in told.alike
            for record, _ in (same.ended if same.entry.flags else ())
        ]
        flags = {one.request_id: one.flags for one in flagged}
        if any(same.entry.arm for same in told.alike):
            of_arms = [(record, at) for record, at in ended if record.arm]
            self._trials.saw((r, at, r.request_id in flags if r.listener is not None else None) for r, at in of_arms)
        if flagged:
            self._books.writer.do(partial(keep_flags, flagged=flagged))
        if self._observed.is_wanted:
            for record, at in ended:
                observe(self._observed, record, at, flags.get(record.request_id, ()))

    def _metered(self, same: Same) -> Alike:
        """Calls of one kind, and where they are counted, which is looked up once for the kind."""
        kind, ended = same.kind, same.ended
        assert kind is not None
        meter = kind.meter
        meter = kind.meter = self.metrics.meter(_seen(same) if meter is None else meter.call, meter)
        whose = [(record.key, record.tenant or None) for record, _ in ended]
        return Alike(
            meter, same.lines, whose, sum([record.saved_pusd for record, _ in ended]) if same.entry.cache else 0
        )

    def _add_costs(self, settled: list[Booked]) -> None:
        """To their sums, by what the metrics tell them apart by; and tell what is odd about their figures."""
        spent = self._spent
        newest: tuple[str, ...] = ()
        costs = [0, 0, 0, 0, 0, 0]
        for row, doubts, over_pusd in settled:
            if doubts or over_pusd:
                self._tell_odd(row, doubts, over_pusd)
            if row.source == "none":
                continue
            whose = (row.provider, row.model, row.key, row.source, row.tenant)
            if whose != newest:  # as few are where few keys call, and found out in half the time
                newest, known = whose, spent.get(whose)
                if known is None:
                    known = spent[whose] = [0, 0, 0, 0, 0, 0]
                costs = known
            costs[0] += row.cost_pusd
            costs[1] += row.input_tokens
            costs[2] += row.output_tokens
            if row.cached_input_tokens or row.cache_write_tokens or row.reasoning_tokens:
                costs[3] += row.cached_input_tokens
                costs[4] += row.cache_write_tokens
                costs[5] += row.reasoning_tokens

    def _count(self) -> None:
        """Have the metrics count what was summed up."""
        spent, self._spent = self._spent, {}
        self._count_at = time.monotonic() + _LONGEST_SECONDS
        self.metrics.settled(
            *[
                CostSeen(provider, model, key, costs[0], source, Tokens(*costs[1:]), tenant)
                for (provider, model, key, source, tenant), costs in spent.items()
            ]
        )
        self.metrics.count_callers()

    def _tell_odd(self, row: Row, doubts: tuple[str, ...], over_pusd: int) -> None:
        for doubt in doubts:
            self.metrics.anomaly(doubt)
            log.warning("cost_anomaly", reason=f"{doubt} in the usage of {row.id}")
        if over_pusd:
            self.metrics.anomaly("over_hold")
            log.warning("cost_anomaly", reason=f"over_hold by {usd_text(over_pusd)} USD in {row.id}")

    def ended(self, row: Row) -> None:
        """A response in the background has ended, some time after the line of its call was written."""
        log.info(
            "background_ended",
            request_id=row.request_id,
            upstream_request_id=row.upstream_id,
            key=row.key,
            target=row.model,
            provider=row.provider,
            outcome=row.outcome,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost_usd=usd_text(row.cost_pusd),
            cost_source=row.source,
            seconds=round(time.time() - row.at_ms / 1000, 3),
        )

    def _is_key(self, name: str) -> bool:
        """Whether a key of this name is in force, or it stands for open mode, or for a judge."""
        if name in self._books.keys.names or name == "open":
            return True
        return name.startswith(judge_scope("")) and name.removeprefix(judge_scope("")) in self._settings.aliases

    def _tenants(self) -> Container[str]:
        return self._settings.tenants

    def reloaded(self, settings: Settings | None) -> None:
        """A configuration was taken on, or (None) refused."""
        if settings is None:
            self._reload = ReloadState(successful=False, success_at=self._reload.success_at)
        else:
            self._settings = settings
            self._reload = ReloadState(successful=True, success_at=time.time())

    def close(self) -> None:
        """Stop sampling."""
        self._lag.stop()

    def _sources(self) -> Sources:
        books = self._books
        return Sources(
            build=Build(__version__, platform.python_version()),
            budgets=self._budgets,
            in_flight=self.in_flight,
            drift=self.drift.copy,
            journal_bytes=lambda: books.journal.size_bytes,
            ledger_lag_seconds=lambda: books.writer.lag_seconds,
            ledger_errors=lambda: books.writer.errors,
            log_lines_dropped=lines_dropped,
            loop_lag_seconds=self._lag.seconds,
            reload=lambda: self._reload,
        )

    def _budgets(self) -> list[BudgetState]:
        return [
            BudgetState(
                budget=standing.budget.id,
                per=standing.budget.per,
                limit_pusd=standing.budget.cap_pusd,
                spent_pusd=standing.spent_pusd,
                held_pusd=standing.held_pusd,
                reset=standing.resets_at,
                shadow=standing.budget.shadow,
            )
            for standing in self._books.books.state(time.time())
        ]

    def in_flight(self) -> Mapping[str, int]:
        """Calls under way, by provider."""
        counted = Counter(record.target.provider for record in self._live() if record.target is not None)
        return {name: counted[name] for name in self._settings.providers}


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


def _all_of(waiting: deque[WaitingT]) -> list[WaitingT]:
    """What is in it now, taken out; more may come meanwhile."""
    return list(map(deque.popleft, repeat(waiting, len(waiting))))
