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
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.held import Booked
from proxy.exchange.record import Ended, Record
from proxy.exchange.reporting.lines import Kinds
from proxy.exchange.reporting.metering import Metering
from proxy.exchange.reporting.observing import observe
from proxy.exchange.routing.trials import Trials
from proxy.observe.labels import Known
from proxy.observe.leftovers import Leftovers
from proxy.observe.logs import lines_dropped, log_calls
from proxy.observe.loop_lag import LoopLag
from proxy.observe.metrics import Metrics
from proxy.observe.page import MetricsPage
from proxy.observe.readings import BudgetState, Build, ReloadState, Sources
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import judge_scope
from proxy.policy.quality.values import JUDGED
from proxy.policy.routing.observing import Observed
from proxy.policy.values import Settings
from proxy.stores.flags import Flagged, keep_flags
from proxy.stores.journal.records import Row
from proxy.web.operator.live.events import Events
from proxy.web.operator.live.feed import Feed

log = structlog.get_logger()
WaitingT = TypeVar("WaitingT")


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
        self._counted: set[str] = set()
        self.finished: deque[Ended] = deque()
        self.settled: deque[Booked] = deque()
        self._judged: deque[str] = deque()
        self.drift: dict[tuple[str, str], float] = {}  # of bills, by provider and tenant
        self.metrics = Metrics(Known(models, self._is_key, self._tenants), self._sources(), gen_ai=settings.gen_ai)
        self._metering = Metering(self.metrics)
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
            self._metering.costs(settled)
            self._tell_calls(ended)
            self._metering.count_some(is_idle=not settled)
            self._leftovers.look(time.monotonic(), ended=bool(ended))
            for model in _all_of(self._judged):
                self.metrics.flagged(model, JUDGED)

    def _count_all(self) -> None:
        """The same, and let nothing wait that is to be counted."""
        self.catch_up()
        with self._turn:
            self._metering.count_all()

    def _tell_calls(self, ended: list[Ended]) -> None:
        if not ended:
            return
        told = self._kinds.told(ended, self._settings.credits)
        log_calls(told.lines, has_odd=told.has_odd)
        self._metering.calls(told.alike)
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
        """Whether a key of this name is in force, or was as calls of it were counted, or it stands for open mode, or for a judge."""
        if name in self._books.keys.names or name == "open":
            self._counted.add(name)
            return True
        if name in self._counted:
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


def _all_of(waiting: deque[WaitingT]) -> list[WaitingT]:
    """What is in it now, taken out; more may come meanwhile."""
    return list(map(deque.popleft, repeat(waiting, len(waiting))))
