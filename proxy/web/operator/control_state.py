"""The running daemon as commands see it: its books, its keys, and the orders that change them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.background.renamed_keys import unopened
from proxy.policy.values import Settings
from proxy.stores.audit import append
from proxy.stores.configured import configured_keys, keep_configured, with_owners
from proxy.stores.database import raw
from proxy.stores.journal.records import Charge
from proxy.stores.keys import (
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
    touch_keys,
    update_key,
)
from proxy.stores.keyset import KeySet, changes_of, key_set, make_key, new_secret
from proxy.stores.ledger import known
from proxy.stores.ledger.backup import backup
from proxy.stores.ledger.writer import Writer
from proxy.stores.mark import mark_keyed
from proxy.stores.questions.queries import Files
from proxy.web.client.keys import Keyring
from proxy.web.client.parts import Parts
from proxy.web.client.senders import Heads
from proxy.web.operator.access.actor import ACTOR, Work
from proxy.web.operator.access.bounds import bounds_of
from proxy.web.operator.admin_api import AdminApi
from proxy.web.operator.answers import (
    AdjustedAnswer,
    BackupAnswer,
    KeyChangedAnswer,
    KeyMadeAnswer,
    KeyRevokedAnswer,
    KeyRotatedAnswer,
)
from proxy.web.operator.calls.sessions import RaiseAsk, RaisedAnswer, key_of_session, own_budgets, raised, raising
from proxy.web.operator.key_orders import (
    RotateAsk,
    changed,
    key_work,
    made,
    no_such_key,
    refuse_configured,
    refuse_loss,
    refuse_terms,
    rotated,
)
from proxy.web.operator.spending.adjusting import AdjustAsk, adjusted, adjustment

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from proxy.config.new_key import KeyChangesSection, NewKeySection

_FLUSH_SECONDS = 5.0


class LiveState:
    """Reads and changes what the daemon works with; nothing here is touched by calls."""

    def __init__(self, settings: Settings, books: Bookkeeping, parts: Parts) -> None:
        self._settings = settings
        self._books = books
        self._parts = parts
        self._known = {budget.id for budget in books.keys.budgets}
        self._turn = asyncio.Lock()

    @property
    def keys(self) -> KeySet:
        """The keys in force."""
        return self._books.keys

    def admin_api(self) -> AdminApi:
        """Where answers come from, as things are now."""
        parts, books = self._parts, self._books
        return AdminApi(
            settings=self._settings,
            files=books.files,
            books=books.books,
            names=parts.names,
            prices=parts.exchange.admission.prices,
            keys=self.keys,
            used=parts.keys.used,
            limiter=books.limiter,
            router=parts.router,
            trials=parts.trials,
            bounds=bounds_of(ACTOR.get().tenant, self._settings.tenants, self.keys.each),
        )

    def zone(self, name: str | None) -> tzinfo:
        """A time zone by name; the machine's where there is none. Raises ValueError."""
        try:
            return ZoneInfo(name) if name else self._settings.money.zone
        except (ValueError, OSError, KeyError):
            raise ValueError("'tz' must be a time zone such as Europe/Berlin") from None

    @property
    def files(self) -> Files:
        """The ledger and the journal."""
        return self._books.files

    @property
    def writer(self) -> Writer:
        """Who works on the ledger."""
        return self._books.writer

    async def flushed(self) -> None:
        """Bring the ledger up to date, as far as it can be written; the journal has the rest."""
        self._parts.exchange.admission.refused.write()
        await asyncio.to_thread(self._books.writer.flush, _FLUSH_SECONDS)

    async def adjust(self, ask: AdjustAsk) -> AdjustedAnswer:
        """Correct what a budget has spent: written first, then counted; who waits for room looks again."""
        books, now = self._books.books, time.time()
        if missing := books.narrowed.missing([ask.budget]):
            await self._books.open(missing)
        record = adjustment(self.admin_api(), ask, now)
        position = self._books.journal.append(record)
        books.adjust(record.budget, record.period, record.delta_pusd)
        self._parts.exchange.admission.settled()
        await self._books.journal.durable(position)
        return adjusted(books, record, now)

    async def raise_session(self, ask: RaiseAsk) -> RaisedAnswer:
        """Let a session of an agent spend more, and go on where it was stopped for a loop."""
        books, admission, now = self._books.books, self._parts.exchange.admission, time.time()
        await self.flushed()
        keys = await asyncio.to_thread(self.files.keys_of_session, ask.session)
        key = key_of_session(keys, self.admin_api(), ask, now)
        own = tuple(own_budgets(books, key, ask.session))
        with books.narrowed.using(own):
            if missing := books.narrowed.missing(own):
                await self._books.open(missing)
            wanted = raising(self._settings, books, ask, key, now)
            for record in wanted.records:
                position = self._books.journal.append(record)
                books.adjust(record.budget, record.period, record.delta_pusd)
                await self._books.journal.durable(position)
            if admission.runaway is not None:
                admission.runaway.release(key, ask.session, wanted.pusd)
            admission.settled()
            return raised(books, wanted, now)

    async def create(self, asked: NewKeySection) -> KeyMadeAnswer:
        """Make a key; it works from now on."""
        async with self._turn:
            refuse_terms(self._settings, self.keys, asked.name, asked)
            key, secret = make_key(asked, int(time.time() * 1000), self._books.hash_key)
            was_open = self.keys.is_open
            await self._change(key_work("create", asked.name, lambda connection: create_key(connection, key)))
            return made(key, secret, was_open=was_open)

    async def update(self, name: str, asked: KeyChangesSection) -> KeyChangedAnswer:
        """Give a key other terms or another name; calls under way keep what they have."""
        async with self._turn:
            refuse_configured(self._settings, name)
            refuse_terms(self._settings, self.keys, name, asked)
            at_ms, changes, new = int(time.time() * 1000), changes_of(asked), asked.name or name
            if new != name and (missing := unopened(self._books.books, (name, new), time.time())):
                await self._books.open(missing)
            work = key_work("update", name, lambda connection: update_key(connection, name, changes, at_ms), asked.name)
            if not await self._change(work):
                raise no_such_key(name, self.keys.each)
            carried = self._rename(name, new) if new != name else []
            self._parts.exchange.admission.settled()
            return changed(name, asked, carried)

    def _rename(self, name: str, new: str) -> list[str]:
        """Which budgets go on under the new name; calls begun under the former one are looked after from now on."""
        resolved, saw = self._parts.exchange.admission.accounting.resolved, self._books.renamed.saw
        if saw not in resolved:
            resolved.append(saw)
        return self._books.rename(name, new)

    async def rotate(self, ask: RotateAsk) -> KeyRotatedAnswer:
        """Give a key another secret; the one it had goes on for a while."""
        async with self._turn:
            refuse_configured(self._settings, ask.key)
            (secret, key_hmac), times_ms = new_secret(self._books.hash_key), ask.times_ms(time.time())
            work = key_work("rotate", ask.key, lambda connection: rotate_key(connection, ask.key, key_hmac, times_ms))
            if not await self._change(work):
                raise no_such_key(ask.key, self.keys.each)
            return rotated(ask, secret, times_ms)

    async def revoke(self, name: str) -> KeyRevokedAnswer:
        """End a key; calls under way go on to their end."""
        async with self._turn:
            refuse_configured(self._settings, name)
            at_ms = int(time.time() * 1000)
            if not await self._change(key_work("revoke", name, lambda connection: revoke_key(connection, name, at_ms))):
                raise no_such_key(name, self.keys.each)
            return KeyRevokedAnswer(name)

    async def note_use(self) -> None:
        """Write down when keys were last used."""
        used = self._parts.keys.used
        times = {c.key_hmac: used[c.name] for c in self.keys.callers if c.key_hmac and c.name in used}
        if times:
            await self.run(lambda connection: touch_keys(connection, times))

    async def backup(self, target: Path) -> BackupAnswer:
        """Copy the ledger, with everything that is in the journal now. Raises `BackupRefused`."""
        await self.flushed()
        await asyncio.to_thread(backup, Path(self._settings.state_dir) / "ledger.db", target)
        return BackupAnswer(str(target))

    async def reload(self, settings: Settings, changes: list[str] | None) -> None:
        """Take on the keys, budgets and limits of another configuration; what was spent and is held goes on. `changes`
        are written down; None: somebody else does.

        Raises `Declined` where no key would be left, and TimeoutError or a `StoreError` where the stored keys cannot be
        read; then nothing has changed.
        """
        async with self._turn:
            work: Work = _nothing
            if changes is not None:
                told = ACTOR.get().deed("reload", settings.source or "environment", after={"changes": changes})
                work = partial(append, deeds=[told])
            await self._change(work, settings)

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Work on the ledger, in the thread that has it. Raises TimeoutError or a `StoreError`."""
        return await asyncio.wait_for(asyncio.wrap_future(self._books.writer.submit(work)), 2 * _FLUSH_SECONDS)

    async def _change(self, work: Callable[[Connection], Any], settings: Settings | None = None) -> Any:
        """Change the stored keys and put all keys as they are then in force, in one transaction."""
        here = self._settings.state_dir  # another one takes effect after a restart
        wanted = self._settings if settings is None else replace(settings, state_dir=here)

        def job(connection: Connection) -> tuple[Any, KeySet, dict[Charge, int]]:
            result = work(connection)
            driver, stored = raw(connection), list_keys(connection)
            known_before = configured_keys(driver)
            keys, configured = with_owners(key_set(wanted, stored), stored, known_before, self._books.hash_key)
            keep_configured(driver, configured)
            fresh = [budget.id for budget in keys.budgets if budget.id not in self._known]
            return result, keys, known.spent(driver, fresh)

        result, keys, spent = await self.run(job)
        if settings is not None:
            refuse_loss(self.keys, keys)
        if keys.callers:
            mark_keyed(wanted)
        self._settings = wanted
        self._install(keys)
        for (budget, period), amount in spent.items():  # by a key of the same name, before this start
            self._books.books.load(budget, period, amount)
        self._known.update(budget.id for budget in keys.budgets)
        return result

    def _install(self, keys: KeySet) -> None:
        self._books.take_on(keys)
        ring = Keyring(keys.callers, self._books.hash_key, is_open=keys.is_open)
        ring.used.update(self._parts.keys.used)
        self._parts.keys = ring
        self._parts.heads = Heads()


def _nothing(_: Connection) -> None:
    """The keys are read again, and nothing else."""
