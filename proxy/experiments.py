"""Looks after experiments while calls go on: every few seconds their guards and ramps are seen to, what follows is written
down and told, and where they stand is kept."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterable
from functools import partial

import structlog

from proxy.alerts.budgets import Alerts
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.routing.trials import Step, Trials, read_kept
from proxy.policy.experiments.sums import Moments
from proxy.policy.experiments.values import Metric, switched_on
from proxy.policy.values import Settings
from proxy.stores.experiments import Opinion, keep_experiments, kept_experiments, opinions
from proxy.stores.failures import StoreError
from proxy.web.operator.access.actor import Actor
from proxy.web.operator.access.trail import Trail
from proxy.web.operator.experiments import deed_of, step_data

log = structlog.get_logger()

TYPE = "experiment.changed"
LOOK_SECONDS = 2.0
_ASK_EVERY = 15  # looks, for what people and judges think
_LEDGER_SECONDS = 2.0  # within which it says where experiments stood
_JUDGES = frozenset(("compare", "judge"))
_THOUSANDTHS = 1000
_OURSELVES = Actor("the daemon", "experiments")


class Experiments:
    """Owned by the daemon; `trail` writes down what was done."""

    def __init__(self, trials: Trials, books: Bookkeeping, alerts: Alerts, trail: Trail) -> None:
        self._trials = trials
        self._writer = books.writer
        self._alerts = alerts
        self._trail = trail
        self._settings: Settings | None = None
        self._looks = 0
        self._found: dict[str, dict[Metric, Moments]] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self, settings: Settings) -> None:
        """Begin with these."""
        await self.take_on(settings)
        self._task = asyncio.create_task(self._run(), name="see to experiments")

    async def take_on(self, settings: Settings) -> None:
        """From now on these; where the ledger does not say in time how they stood, they begin once it does."""
        wanted = switched_on(settings.experiments, settings.features)
        self._settings = None
        kept: dict[str, bytes] = {}
        if wanted:
            try:
                kept = await asyncio.wait_for(asyncio.wrap_future(self._writer.do(kept_experiments)), _LEDGER_SECONDS)
            except (TimeoutError, StoreError) as error:
                log.warning("experiments_wait", reason=str(error) or "the ledger does not answer")
                self._settings = settings
                return
        self._trials.take_on(wanted, read_kept(kept), time.time())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._settings is not None:
                await self.take_on(self._settings)
            if self._trials.each:
                await self.look()

    async def look(self) -> None:
        """See to all of them once."""
        try:
            if self._looks % _ASK_EVERY == 0:
                self._found = _by_arm(await asyncio.wrap_future(self._writer.do(partial(opinions, since_ms=0))))
            self._looks += 1
            steps = self._trials.look(self._found, time.time())
            await self.tell(steps)
        except StoreError as error:
            log.warning("experiments_wait", reason=str(error))

    async def tell(self, steps: Iterable[Step], actor: Actor = _OURSELVES) -> None:
        """Keep where all stand; tell the log, the audit and the webhooks of each step."""
        told = list(steps)
        for step in told:
            log.warning("experiment_changed", **step_data(step))
        self._trail.note([deed_of(step, actor) for step in told])
        kept = self._trials.news()
        keep = partial(_keep, kept=kept, at_ms=int(time.time() * 1000))
        if told:
            self._alerts.tell(TYPE, [step_data(step) for step in told], keep)
            await self._trail.catch_up()
        elif kept:
            await asyncio.wrap_future(self._writer.do(keep))

    async def aclose(self) -> None:
        """Keep what was seen since the last look."""
        if self._task is not None:
            self._task.cancel()
        if self._trials.each:  # hear of the last calls
            await asyncio.to_thread(self._writer.flush, _LEDGER_SECONDS)
        if kept := self._trials.news():
            keep = self._writer.do(partial(_keep, kept=kept, at_ms=int(time.time() * 1000)))
            with contextlib.suppress(TimeoutError, StoreError):
                await asyncio.wait_for(asyncio.wrap_future(keep), _LEDGER_SECONDS)


def _keep(driver: sqlite3.Connection, kept: dict[str, bytes], at_ms: int) -> None:
    keep_experiments(driver, kept, at_ms)


def _by_arm(found: Iterable[Opinion]) -> dict[str, dict[Metric, Moments]]:
    """What is thought of the calls of each arm, from -1 to 1."""
    arms: dict[str, dict[Metric, Moments]] = {}
    for arm, label, count, mean, squares in found:
        metric: Metric = "judge" if label in _JUDGES else "feedback"
        spread = max(0.0, squares - mean**2) * count / _THOUSANDTHS**2
        own = arms.setdefault(arm, {})
        own[metric] = own.get(metric, Moments()) + Moments(count, mean / _THOUSANDTHS, spread)
    return arms
