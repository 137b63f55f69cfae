"""Opens the books at start, in the order that loses nothing, and closes them last."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from proxy.exchange.background.lookup import Lookups
from proxy.exchange.background.renamed_keys import RenamedKeys
from proxy.exchange.background.responses import Running
from proxy.exchange.held import Accounting
from proxy.exchange.reckoning import Unfinished, wait_for
from proxy.exchange.reporting.rows import interrupted_row
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.amounts import to_pusd
from proxy.policy.money.books import Books
from proxy.policy.money.budgets import GLOBAL, Budget
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import FREE_OF_CHARGE
from proxy.policy.money.settlement import Prices, Settlement
from proxy.policy.tenants import Accounts, scopes_of
from proxy.policy.values import Provider, Settings
from proxy.stores.configured import ConfiguredKey, keep_configured, with_owners
from proxy.stores.failures import JournalUnwritable, KeysLost, LedgerDamaged, LedgerUnavailable
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.records import Adjusted, Charge
from proxy.stores.journal.replay import OpenHold, replay
from proxy.stores.journal.segments import START, Position
from proxy.stores.keyset import KeySet, key_set
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.ledger.writer import Writer, WriterRules
from proxy.stores.lock import StateLock, refuse_unsafe
from proxy.stores.mark import mark_keyed
from proxy.stores.questions.queries import Files
from proxy.stores.secrets.hash_key import hash_key
from proxy.wire.usage import Usage

_CARRY_AGAIN_SECONDS = 1.0
_LONGEST_CALL_SECONDS = 4 * 3600.0

Told = Callable[[str, str], None]


class Bookkeeping:
    """The journal, the ledger behind it, and the counters before it. Raises the `StoreError`s of what it opens."""

    def __init__(self, settings: Settings, told: Told) -> None:
        """Lock the directory, read the ledger and the journal, count what is spent. `told` gets (event, reason)."""
        state_dir, money = Path(settings.state_dir), settings.money
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_unsafe(state_dir)
        self.files = Files(state_dir)
        self.ledger_problem = ""
        self.ledger_complete = False
        self.watch: Callable[[Iterable[Budget]], object] = _nobody_watches
        self._told = told
        self._gone: dict[str, tuple[Budget, float]] = {}
        self._lock = StateLock(state_dir)
        self.hash_key = hash_key(state_dir)
        self.keys, self._configured = key_set(settings, ()), list[ConfiguredKey]()
        spent, position = self._ledger(state_dir / "ledger.db", settings)
        self._close_door(settings)
        replayed = replay(state_dir / "journal", position)
        for problem in replayed.problems:
            told("journal_problem", str(problem))
        self.journal = Journal(state_dir / "journal", JournalRules(money.fsync, money.journal_max_bytes), replayed)
        keep_ms = None if money.keep_seconds is None else int(money.keep_seconds * 1000)
        self.writer = Writer(self.journal, state_dir / "ledger.db", WriterRules(keep_ms=keep_ms), _in_words(told))
        self.books = Books(self.keys.budgets)
        self._count(spent, replayed.spent)
        self.limiter = Limiter(self.keys.limits)
        self.renamed = RenamedKeys(self.books, self.journal)
        self.orphans = replayed.holds
        self._open_held()
        for orphan in self.orphans:
            hold = orphan.hold
            self.books.restore(hold.id, hold.key, hold.amount_pusd, hold.charges)
        self.writer.start(position)
        if self._configured:
            self.writer.do(lambda driver: keep_configured(driver, self._configured))

    def _ledger(self, path: Path, settings: Settings) -> tuple[dict[Charge, int], Position]:
        """What the ledger knows; one that cannot be read now stops nobody, the journal counts from its own start."""
        try:
            open_ledger(path)
            stored, known = self.files.stored_keys(), self.files.configured_keys()
            self.keys, self._configured = with_owners(key_set(settings, stored), stored, known, self.hash_key)
            return self.files.booked(budget.id for budget in self.keys.budgets)
        except (LedgerDamaged, LedgerUnavailable) as error:
            self.ledger_problem = str(error)
            self._told("ledger_unusable", str(error))
            return {}, START

    def _close_door(self, settings: Settings) -> None:
        """Closed stays closed: keys leave a mark, and a start that finds it wants a key, or to be told otherwise.

        Raises `KeysLost`. A ledger that cannot be read may have keys; then nobody may call.
        """
        if self.keys.callers:
            mark_keyed(settings)
        elif self.keys.is_lost and not self.keys.is_open and not self.ledger_problem:
            raise KeysLost

    def _count(self, ledger: dict[Charge, int], journal: dict[Charge, int]) -> None:
        for charge in ledger.keys() | journal.keys():
            self.books.load(charge[0], charge[1], ledger.get(charge, 0) + journal.get(charge, 0))

    async def open(self, ids: list[str]) -> None:
        """Bring budgets that are somebody's own into memory, with what they have spent."""
        self.books.open(ids, await asyncio.to_thread(self._spent, ids))

    def _spent(self, ids: list[str]) -> dict[Charge, int]:
        """As at a start: of a ledger that cannot be read now, the journal counts from its own beginning."""
        try:
            return self.files.spent(ids)
        except (LedgerDamaged, LedgerUnavailable):
            return replay(self.journal.directory).spent

    def _open_held(self) -> None:
        """Those of which something is held since before the start."""
        held = {budget for orphan in self.orphans for budget, _ in orphan.hold.charges}
        if missing := self.books.narrowed.missing(held):
            self.books.open(missing, self._spent(missing))

    def take_on(self, keys: KeySet) -> None:
        """Let these keys be in force, with their budgets and limits; what was spent and is held goes on. Calls under way of
        whoever is gone stay within the budgets there were."""
        known = {budget.scope for budget in keys.budgets}.union((GLOBAL,), *map(scopes_of, keys.callers))
        now, before = time.monotonic(), self.keys.budgets
        self._gone |= {budget.id: (budget, now) for budget in before if budget.scope not in known}
        for identity, (budget, since) in list(self._gone.items()):
            if budget.scope in known or now - since > _LONGEST_CALL_SECONDS:
                del self._gone[identity]
        gone = [budget for budget, _ in self._gone.values()]
        self.keys, self.books.hidden = keys, frozenset([budget.scope for budget in gone])
        self.books.heirs = self.renamed.heirs(known)
        self.books.replace((*keys.budgets, *gone))
        self.limiter.replace(keys.limits)
        self.watch(keys.budgets)

    def rename(self, old: str, new: str) -> list[str]:
        """Have the budgets of a key that is called `new` now go on with what it has spent; which ones do. Raises
        `JournalUnwritable`."""
        carried = self.renamed.carry(old, new, time.time())
        self.take_on(self.keys)
        return carried

    def carry_forward(self) -> None:
        """The journal was removed and is new: write down what budgets have spent and the files do not say any more.

        Belongs to whoever owns the books, so that nothing is settled meanwhile.
        """
        now = time.time()
        standings = self.books.state(now) + self.books.own_state(now)
        known = self.files.spent(standing.budget.id for standing in standings)
        try:
            for standing in standings:
                charge = standing.budget.id, standing.period
                if (lost := standing.spent_pusd - known.get(charge, 0)) > 0:
                    identity = f"carried_{secrets.token_hex(12)}"
                    reason = "carried forward: the journal was removed under the daemon"
                    self.journal.append(Adjusted(identity, int(now * 1000), *charge, lost, reason))
        except JournalUnwritable:  # new calls wait as well, and readyz says why
            asyncio.get_running_loop().call_later(_CARRY_AGAIN_SECONDS, self.carry_forward)

    def resolve_orphans(self, accounting: Accounting, accounts: Accounts, prices: PriceBook) -> None:
        """Settle what a crash interrupted: by asking where the upstream had begun, else at the hold. Responses in the
        background are waited for as before, be it a crash or an orderly end that came between."""
        for orphan in self.orphans:
            if orphan.hold.batch:  # whoever works on jobs knows more
                continue
            provider = accounts.find(orphan.hold.provider, orphan.hold.tenant)
            if provider is None or orphan.generation_id is None:
                interrupted(accounting, orphan, None)
            elif orphan.background:
                wait_for(accounting, *_unfinished(orphan, provider, prices))
            elif Lookups.possible(provider):
                accounting.lookups.start(provider, orphan.generation_id, _teller(accounting, orphan))
            else:
                interrupted(accounting, orphan, None)

    def close(self, seconds: float) -> None:
        """Bring the ledger up to date, then close; what it does not take in time stays in the journal."""
        self.ledger_complete = self.writer.stop(seconds)
        if not self.ledger_complete:
            self._told("ledger_behind", "the journal keeps what the ledger has not taken")
        self.journal.close()
        self._lock.close()


def _nobody_watches(_: Iterable[Budget]) -> None:
    """Nobody wants to know which budgets are in force."""


def interrupted(accounting: Accounting, orphan: OpenHold, usage: Usage | None) -> None:
    """Settle what a crash interrupted, by what its provider tells of it, else at its hold."""
    hold = orphan.hold
    if usage is not None and usage.cost_usd is not None:
        settlement = Settlement(to_pusd(usage.cost_usd), "looked_up")
    else:
        settlement = Settlement(hold.amount_pusd, "interrupted")
    accounting.book(interrupted_row(hold, settlement, usage, orphan.generation_id), hold.charges)


def _teller(accounting: Accounting, orphan: OpenHold) -> Callable[[Usage | None], None]:
    return lambda usage: interrupted(accounting, orphan, usage)


def _unfinished(orphan: OpenHold, provider: Provider, prices: PriceBook) -> tuple[Unfinished, Running]:
    """What is left of the provider's time counts from when the call was made; whether it ran, nobody remembers."""
    hold, response_id = orphan.hold, orphan.generation_id or ""
    names = hold.model, hold.upstream_model
    price = prices.price(provider, *names)
    row = interrupted_row(hold, Settlement(0, "none"), None, response_id)
    left = hold.at_ms / 1000 + provider.timeouts.total - time.time()
    running = Running(provider, response_id, left, True, hold.tenant)
    own = FREE_OF_CHARGE if isinstance(price, Free) else price
    paid_by = Prices(own, partial(prices.listed, provider), partial(prices.served_price, provider, names))
    return Unfinished(hold, row, paid_by), running


def _in_words(told: Told) -> Callable[[str], None]:
    return lambda sentence: told("ledger_trouble", sentence)
