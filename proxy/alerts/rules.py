"""Looks at alert rules while calls go on: each is measured from time to time, what follows is kept and told in one step."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import asdict

from proxy.alerts.budgets import Alerts
from proxy.alerts.measuring import Asked, measured_now
from proxy.alerts.sources import SOURCES
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.observe.metrics import Metrics
from proxy.policy.alerting.rules import AlertRule
from proxy.policy.alerting.standing import Change, Notice, Standing, judge_all
from proxy.policy.values import Settings
from proxy.stores.alert_states import drop_rules, keep_states, kept_states
from proxy.stores.failures import StoreError
from proxy.web.operator.alerting import AlertOrders, Found, Sent, Values, notice_data
from proxy.web.operator.control_state import LiveState
from proxy.web.operator.live.events import Events
from proxy.web.operator.orders import Orders

log = structlog.get_logger()

LOOK_SECONDS = 1.0
_FLUSH_SECONDS = 5.0

Keeping = Callable[[sqlite3.Connection], object]


class Kept(Struct, frozen=True):
    """Where one stands, with the rule as it was, so that a daemon that knows it no more can tell that it is over."""

    standing: Standing
    rule: AlertRule | None


class _OfRule(Struct):
    rule: AlertRule | None = None  # an earlier version kept none


class Rules:
    """Owned by the daemon."""

    def __init__(self, alerts: Alerts, books: Bookkeeping, rules: Mapping[str, AlertRule], state: LiveState) -> None:
        self._state = state
        self.rules: dict[str, AlertRule] = {}
        self.values: dict[str, Values] = {}
        self.standings: dict[str, dict[str, Standing]] = {}
        self._alerts, self._books = alerts, books
        self._looked: dict[str, float] = {}
        self._dropped = set[str]()
        self._over: list[tuple[AlertRule, str]] = []  # of rules that are no more as they were: what fired
        self._is_open = False
        self._begun_ms = int(time.time() * 1000)
        self._task: asyncio.Task[None] | None = None
        self.take_on(rules)

    def take_on(self, rules: Mapping[str, AlertRule]) -> None:
        """From now on these; one that is another than before begins anew, and who was told that it fires is told that it does
        no more."""
        before, self.rules = self.rules, dict(rules)
        for name, rule in before.items():
            if rule != rules.get(name):
                self._dropped.add(name)
                self._over += [(rule, subject) for subject, one in self.standings.get(name, {}).items() if one.is_told]
                for known in (self.values, self.standings, self._looked):
                    known.pop(name, None)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="look at alert rules")

    def reload(self, settings: Settings) -> None:
        """From now on these are told, and these rules hold."""
        self._alerts.take_on(settings.alerts)
        self.take_on(settings.alert_rules)

    async def aclose(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self.rules or self._dropped or self._over or not self._is_open:
            try:
                await self.look()
            except (StoreError, sqlite3.Error, TimeoutError) as error:
                log.warning("alert_rules_wait", reason=str(error) or "the ledger does not answer")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """See to all that are due."""
        now = time.monotonic()
        await self._open()
        await self._tell_over()
        due = [rule for rule in self.rules.values() if rule.enabled and self._is_due(rule, now)]
        if not due:
            return
        await asyncio.to_thread(self._books.writer.flush, _FLUSH_SECONDS)
        for rule in due:
            self._looked[rule.name] = now
            await self._judge(rule, await self.measure(rule))

    def _is_due(self, rule: AlertRule, now: float) -> bool:
        looked = self._looked.get(rule.name)
        return looked is None or now - looked >= rule.look_seconds

    async def _open(self) -> None:
        """Where they stood when the daemon ended, asked for once; of those that are others by now it is over."""
        if self._is_open:
            return
        kept = await asyncio.wrap_future(self._books.writer.do(kept_states))
        self._dropped = set()
        for (name, subject), value in kept.items():
            one, rule = _read(value), self.rules.get(name)
            if one and rule and one.rule in (rule, None):
                self.standings.setdefault(name, {})[subject] = one.standing
                continue
            self._dropped.add(name)
            if one and one.rule and one.standing.is_told:
                self._over.append((one.rule, subject))
        self._is_open = True

    async def _tell_over(self) -> None:
        """Those who wait for the end of what no rule watches any more; where it stood is forgotten with that."""
        over, self._over = self._over, []
        for rule, subject in over:
            forget = partial(keep_states, kept={}, forgotten=[(rule.name, subject)])
            self._tell(rule, "resolved", notice_data(rule, subject, None), forget)
        if self._dropped:
            dropped, self._dropped = self._dropped, set()
            await asyncio.wrap_future(self._books.writer.do(partial(drop_rules, rules=dropped)))

    async def measure(self, rule: AlertRule) -> Found:
        """What it is about, now."""
        now = time.time()
        if rule.measure.source == "analytics":
            low = [name for name, one in self.standings.get(rule.name, {}).items() if one.state != "ok"]
            asked = Asked(self._books.files, int(now * 1000), self._begun_ms, low, self._known(rule))
            return Found(await asyncio.to_thread(measured_now, rule, asked))
        admin_api = self._state.admin_api()
        return await asyncio.to_thread(SOURCES[rule.measure.source], rule, admin_api, admin_api.books.state(now), now)

    def _known(self, rule: AlertRule) -> Callable[[str], bool]:
        """Whether a name of what it watches, each by itself, is one of what there is now. Of some nobody knows."""
        keys, settings = self._books.keys, self._state.admin_api().settings
        known: Mapping[str | None, Collection[str]] = {"provider": settings.providers, "tenant": settings.tenants}
        if not keys.is_open:
            known = {**known, "key": keys.names}
        names = known.get(rule.each)
        return lambda name: names is None or name in names

    async def _judge(self, rule: AlertRule, found: Found) -> None:
        values = found.values
        if self.rules.get(rule.name) != rule:  # it was changed meanwhile
            return
        before = self.standings.get(rule.name, {})
        changes = judge_all(rule, before, values, time.time())
        after = {**before, **{change.subject: change.standing for change in changes}}
        self.values[rule.name] = values
        self.standings[rule.name] = {subject: one for subject, one in after.items() if one is not None}
        if changes:
            await self._keep(rule, changes, found.why)

    async def _keep(self, rule: AlertRule, changes: list[Change], why: Mapping[str, str]) -> None:
        """Where they stand is kept with the messages about it."""
        kept = {(rule.name, one.subject): _written(rule, one.standing) for one in changes if one.standing}
        gone = [(rule.name, one.subject) for one in changes if one.standing is None]
        keep, told = partial(keep_states, kept=kept, forgotten=gone), [one for one in changes if one.notice]
        if not told:
            await asyncio.wrap_future(self._books.writer.do(keep))
        for number, one in enumerate(told):
            data = notice_data(rule, one.subject, one.value, why.get(one.subject))
            self._tell(rule, one.notice, data, _nothing if number else keep)

    def _tell(self, rule: AlertRule, notice: Notice | None, data: dict[str, Any], keep: Keeping) -> None:
        log.warning("alert_rule", state=notice, **data)
        self._alerts.tell(f"alert.{notice}", [data], keep, to=rule.to)

    async def try_out(self, rule: AlertRule, value: float | None) -> list[Sent]:
        """Send those it goes to a test, once, and say what became of it."""
        return await self._alerts.try_out("alert.test", notice_data(rule, "", value), rule.to)


async def open_alerts(
    stack: AsyncExitStack, settings: Settings, books: Bookkeeping, told: tuple[Metrics, Events], orders: Orders
) -> tuple[Alerts, Rules]:
    """Watch budgets and rules until the stack is closed, and take the orders about them."""
    alerts = await stack.enter_async_context(aclosing(Alerts(settings.alerts, books, told)))
    rules = await stack.enter_async_context(aclosing(Rules(alerts, books, settings.alert_rules, orders.state)))
    orders.by_name |= AlertOrders(rules, orders.by_name["put_setting"]).by_name
    return alerts, rules


def _written(rule: AlertRule, standing: Standing) -> bytes:
    return msgspec.json.encode({**asdict(standing), "rule": rule})


def _read(value: bytes) -> Kept | None:
    with contextlib.suppress(msgspec.MsgspecError):
        return Kept(msgspec.json.decode(value, type=Standing), msgspec.json.decode(value, type=_OfRule).rule)
    return None


def _nothing(_: sqlite3.Connection) -> None:
    """All is kept by then."""
