"""Alerts of budgets: which thresholds were passed is seen as the ledger takes in what was spent, and told once.

The look is part of the ledger's own transaction, and so are the mark of what was told and the messages to webhooks: a
kill at any instant loses none of them and repeats none. Calls have no part in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.background.webhooks import Over, Tried, Undelivered, Webhooks
from proxy.observe.metrics import Metrics
from proxy.policy.money.alerts import newly_passed, percent_text, threshold_pusd
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import Budget, key_of, tenant_of
from proxy.policy.money.periods import period_end, period_start
from proxy.policy.operators import Told
from proxy.policy.webhooks import DAY_SECONDS, meaning
from proxy.stores import outbox
from proxy.stores.journal.records import Charge
from proxy.stores.ledger.writer import Writer
from proxy.stores.outbox import Message
from proxy.web.operator.admin_api import instant
from proxy.web.operator.alerting import Sent
from proxy.web.operator.live.events import Events

log = structlog.get_logger()

TYPE = "budget.threshold_passed"
_LOOK_AGAIN_SECONDS = 10.0


class Passed(Struct, frozen=True):
    """A period of a budget has spent so much, and with that passed these thresholds, in hundredths of a percent. `tenant` is
    the one it binds, or whose key; "" none."""

    budget: Budget
    period: int
    spent_pusd: int
    thresholds: tuple[int, ...]
    tenant: str = ""


class Outbox:
    """The box of alerts, in the ledger; `hooks` are those of the configuration."""

    keep_seconds = 3 * DAY_SECONDS

    def __init__(self, writer: Writer) -> None:
        self.hooks: dict[str, Told] = {}
        self._writer = writer

    def hook(self, message: Message) -> Told | None:
        """As it is configured."""
        return self.hooks.get(message.hook)

    async def waiting(self) -> list[Message]:
        """All there are."""
        return await asyncio.wrap_future(self._writer.do(outbox.waiting))

    async def tried(self, message: Message, tries: int) -> None:
        """Counted as long as the daemon lives."""

    async def over(self, ended: Mapping[tuple[str, str], Over]) -> None:
        """They are removed."""
        await asyncio.wrap_future(self._writer.do(partial(outbox.remove, names=list(ended))))


class Alerts:
    """Owned by the daemon. `take_on` and `watch` belong to its event loop, the look to the thread of the ledger."""

    def __init__(self, hooks: Iterable[Told], books: Bookkeeping, told: tuple[Metrics, Events]) -> None:
        """Watch the budgets in force from now on, whichever they are. `told` hear of it, too."""
        self._metrics, self._events = told
        self._loop = asyncio.get_running_loop()
        self._books, self._writer = books, books.writer
        self._watched: dict[str, Budget] = {}
        self._tenants: dict[str, str] = {}
        self._outbox = Outbox(books.writer)
        self._webhooks = Webhooks(self._outbox, partial(tell_tried, self._metrics))
        self.take_on(hooks)
        books.watch = self.watch
        self.watch(books.keys.budgets)

    def take_on(self, hooks: Iterable[Told]) -> None:
        """From now on these are told as well."""
        self._outbox.hooks = {hook.id: hook for hook in hooks}
        if self._outbox.hooks:
            self._webhooks.load()

    def watch(self, budgets: Iterable[Budget]) -> None:
        """From now on these are looked at. Where thresholds or the cap are others than before, now as well."""
        before, self._watched = self._watched, {budget.id: budget for budget in budgets if budget.alerts}
        self._writer.watch(self._look, self._watched)
        self._tenants = {caller.name: caller.tenant for caller in self._books.keys.callers if caller.tenant}
        now = time.time()
        changed = [b for b in self._watched.values() if b != before.get(b.id)]
        if changed:  # a reload that brings other webhooks has done so when this is called
            self._loop.call_soon(self._look_at, [(b.id, period_start(b, now)) for b in changed])

    async def aclose(self) -> None:
        """What is not delivered waits for the next start."""
        await self._webhooks.close()

    def tell(
        self, type_: str, each: Iterable[dict[str, Any]], along: Callable[[sqlite3.Connection], object], *,
        to: Sequence[str] = (),
    ) -> Future[None]:  # fmt: skip
        """Tell of something else, a message of `type_` for each; kept in one transaction with `along`, which who must know it
        kept waits for. `to`: names of those who are told; none means all."""
        made_ms, hooks, news = int(time.time() * 1000), [one.id for one in self._named(to)], list(each)
        messages = [message for data in news for message in _message(type_, data, hooks, made_ms)]
        self._events.tell([("alert", {"type": type_, **data}, "") for data in news])

        def keep(driver: sqlite3.Connection) -> None:
            along(driver)
            outbox.put(driver, messages)

        def kept(done: Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("not_kept", reason=f"{type_}: {error}")
            elif messages:
                self._on_loop(self._webhooks.send, messages)

        keeping: Future[None] = self._writer.do(keep)
        keeping.add_done_callback(kept)
        return keeping

    async def try_out(self, type_: str, data: dict[str, Any], to: Sequence[str]) -> list[Sent]:
        """Send a message once, to each of those named, and say what became of it."""
        name, body = f"msg_{secrets.token_hex(12)}", message_body(type_, data, int(time.time() * 1000))
        return list(await asyncio.gather(*(self._try(one, name, body) for one in self._named(to))))

    async def _try(self, told: Told, name: str, body: str) -> Sent:
        try:
            status = (await self._webhooks.send_once(told, name, body)).status
        except Undelivered as error:
            return Sent(told.name, told.host, False, str(error))
        return Sent(told.name, told.host, meaning(status) == "delivered", f"answered {status}")

    def _named(self, names: Sequence[str]) -> list[Told]:
        return [one for one in self._outbox.hooks.values() if not names or one.name in names]

    def _look_at(self, charges: list[Charge]) -> None:
        look = partial(self._look, changed=charges)
        self._writer.do(look).add_done_callback(partial(self._looked, charges))

    def _looked(self, charges: list[Charge], done: Future[Callable[[], object]]) -> None:
        """In the ledger's thread. A ledger that cannot be written now is asked again."""
        if done.cancelled():
            return
        if done.exception() is None:
            done.result()()
        else:
            self._on_loop(self._loop.call_later, _LOOK_AGAIN_SECONDS, self._look_at, charges)

    def _look(self, driver: sqlite3.Connection, changed: Iterable[Charge]) -> Callable[[], object]:
        """Within the transaction; what it returns tells of it, once that is over."""
        watched = self._watched
        looked = [_passed(driver, watched[id_], period) for id_, period in changed if id_ in watched] if watched else []
        found = [replace(passed, tenant=self._tenant_of(passed.budget)) for passed in looked if passed is not None]
        if not found:
            return _nothing
        messages = [message for passed in found for message in _messages(passed, self._outbox.hooks)]
        outbox.put(driver, messages)
        return partial(self._told, found, messages)

    def _tenant_of(self, budget: Budget) -> str:
        return tenant_of(budget.scope) or self._tenants.get(key_of(budget.scope) or "", "")

    def _told(self, found: list[Passed], messages: list[Message]) -> None:
        for passed in found:
            data = passed_data(passed)
            log.warning("budget_alert", **data)
            self._on_loop(self._events.tell, [("alert", {"type": TYPE, **data}, passed.tenant)])
            for threshold in data["thresholds"]:
                self._metrics.budget_alert(passed.budget.id, passed.budget.per, threshold)
        if messages:
            self._on_loop(self._webhooks.send, messages)

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed; the next start goes on
            self._loop.call_soon_threadsafe(call, *arguments)


def tell_tried(metrics: Metrics, tried: Tried) -> None:
    """What became of a message, for the metric and the log."""
    metrics.webhook(tried.outcome)
    said = {name: value for name, value in msgspec.structs.asdict(tried).items() if value is not None}
    if tried.outcome == "delivered":
        log.info("webhook_delivered", **said)
    elif tried.again_in_seconds is not None:
        log.warning("webhook_failed", **said)
    else:
        log.error("webhook_undelivered", **said)


def _nothing() -> None:
    """Nobody has to be told."""


def _passed(driver: sqlite3.Connection, budget: Budget, period: int) -> Passed | None:
    """What nobody was told of yet; it counts as told from here on."""
    spent, told = outbox.standing(driver, (budget.id, period))
    thresholds = newly_passed(budget, spent, told)
    if not thresholds:
        return None
    outbox.told(driver, (budget.id, period), threshold_pusd(budget, thresholds[-1]))
    return Passed(budget, period, spent, thresholds)


def _messages(passed: Passed, hooks: Iterable[str]) -> list[Message]:
    """One to every webhook, under the same id."""
    return _message(TYPE, passed_data(passed), hooks, int(time.time() * 1000))


def _message(type_: str, data: dict[str, Any], hooks: Iterable[str], made_ms: int) -> list[Message]:
    name, body = f"msg_{secrets.token_hex(12)}", message_body(type_, data, made_ms)
    return [Message(name, hook, body, made_ms) for hook in list(hooks)]


def message_body(type_: str, data: dict[str, Any], made_ms: int) -> str:
    """What a webhook is sent, as docs/alerts.md has it."""
    return msgspec.json.encode({"type": type_, "timestamp": instant(made_ms), "data": data}).decode()


def passed_data(passed: Passed) -> dict[str, Any]:
    """What log and webhook say of it. `threshold` is the highest; one jump may pass several."""
    budget = passed.budget
    thresholds = [percent_text(part) for part in passed.thresholds]
    ends = period_end(budget, passed.period)
    return {
        "budget": budget.id,
        "key": key_of(budget.scope),
        "tenant": passed.tenant or None,
        "per": budget.per,
        "threshold": thresholds[-1],
        "thresholds": thresholds,
        "spent_usd": usd_text(passed.spent_pusd),
        "cap_usd": usd_text(budget.cap_pusd),
        "shadow": budget.shadow,
        "resets_at": None if ends is None else instant(ends * 1000),
    }
