"""What a daemon would know right after its start, of the files of one that does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.exchange.background.kept_lists import cached_images, kept_catalogue
from proxy.exchange.background.pricing import price_book
from proxy.policy.money.books import Books
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.resolution import Names
from proxy.policy.values import Settings
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.replay import replay
from proxy.stores.keyset import key_set
from proxy.stores.ledger.link import Link
from proxy.stores.ledger.opening import open_ledger
from proxy.stores.lock import StateLock
from proxy.stores.questions.queries import Files
from proxy.web.operator.admin_api import AdminApi

if TYPE_CHECKING:
    from sqlalchemy import Connection

Params = dict[str, Any]
_BUSY_SECONDS = 5.0


def admin_api_of(settings: Settings) -> AdminApi:
    """What a daemon would know right after its start."""
    files = Files(Path(settings.state_dir))
    keys = key_set(settings, files.stored_keys())
    books = Books(keys.budgets)
    for (budget, period), amount in files.spent(budget.id for budget in keys.budgets).items():
        books.load(budget, period, amount)
    holds = [orphan.hold for orphan in replay(Path(settings.state_dir) / "journal").holds]
    if missing := books.narrowed.missing({budget for hold in holds for budget, _ in hold.charges}):
        books.open(missing, files.spent(missing))
    for hold in holds:
        books.restore(hold.id, hold.key, hold.amount_pusd, hold.charges)
    return AdminApi(settings, files, books, *names_of(settings), keys)


def names_of(settings: Settings) -> tuple[Names, PriceBook]:
    catalogue = kept_catalogue(settings.state_dir)
    names = Names(settings, catalogue, {})
    return names, price_book(settings, names, catalogue, cached_images(settings.state_dir))


@contextmanager
def journal_of(settings: Settings) -> Iterator[Journal]:
    """The journal, to be written behind what the ledger has. The lock is the caller's."""
    state_dir = Path(settings.state_dir)
    _, position = Files(state_dir).booked(())
    rules = JournalRules("always", settings.money.journal_max_bytes)
    journal = Journal(state_dir / "journal", rules, replay(state_dir / "journal", position))
    try:
        yield journal
    finally:
        journal.close()


def on_ledger(state_dir: Path, work: Callable[[Connection], Any]) -> Any:
    """Work on the ledger, made where there is none."""
    with StateLock(state_dir):
        open_ledger(state_dir / "ledger.db")
        link = Link(state_dir / "ledger.db", _BUSY_SECONDS)
        try:
            return link.run(work)
        finally:
            link.close()
