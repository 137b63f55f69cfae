"""What the books of a state directory say, read as `tollkeeper` itself reads them: ledger, then the journal's tail."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS

from proxy.stores.journal.records import Corrected, Refused, Row, Settled, Voided
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segments import START, Position, Reader

USD = 10**12
KEY = "sk-alice-money-test"
StartToll = Callable[..., Daemon]


class Books:
    """One look at the files. `rows`: every attempt sent upstream, by id; `refused`: calls that were not."""

    def __init__(self, state: Path) -> None:
        self.seen = Counter[str]()
        self.rows: dict[str, Row] = {}
        self.refused: list[Row] = []
        self.spent = Counter[tuple[str, int]]()
        position = self._read_ledger(state / "ledger.db")
        self.segment = position.segment
        replayed = replay(state / "journal", position)
        self.spent.update(replayed.spent)
        self.held = [hold.hold for hold in replayed.holds]
        for end, record in Reader(state / "journal", position):
            if end > replayed.end:  # written since, by the daemon that runs
                break
            if isinstance(record, Settled | Voided | Refused):
                self._take(record.row)
            elif isinstance(record, Corrected):
                self.rows[record.row.id] = record.row

    def _read_ledger(self, path: Path) -> Position:
        if not path.exists():
            return START
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = sqlite3.Row
            ledger.execute("BEGIN")
            for columns in ledger.execute("SELECT * FROM attempts"):
                told = {name: columns[name] for name in Row.__struct_fields__}
                self._take(Row(**{**told, "stream": bool(told["stream"]), "counts_call": bool(told["counts_call"])}))
            for budget, period, spent in ledger.execute("SELECT budget, period, spent_pusd FROM budget_spent"):
                self.spent[budget, period] += spent
            found = ledger.execute("SELECT segment, offset FROM journal_position").fetchone()
        return START if found is None else Position(*found)

    def _take(self, row: Row) -> None:
        if row.provider:
            self.seen[row.id] += 1
            self.rows[row.id] = row
        else:
            self.refused.append(row)

    @property
    def cost(self) -> Decimal:
        """USD of all attempts."""
        return Decimal(sum(row.cost_pusd for row in self.rows.values())) / USD

    def spent_by(self, budget: str) -> Decimal:
        """USD a budget's periods have been charged."""
        return Decimal(sum(spent for (name, _), spent in self.spent.items() if name == budget)) / USD

    def of(self, request_id: str) -> list[Row]:
        """The attempts of one call, first one first."""
        return sorted((r for r in self.rows.values() if r.request_id == request_id), key=lambda row: row.attempt)

    @property
    def sources(self) -> Counter[str]:
        return Counter(row.source for row in self.rows.values())

    def check(self) -> None:
        """What always holds: each attempt once, nothing negative, every budget charged what the rows say."""
        twice = {name: times for name, times in self.seen.items() if times != 1}
        assert not twice, f"written more than once: {twice}"
        assert all(row.cost_pusd >= 0 for row in self.rows.values())
        budgets = {name for name, _ in self.spent}
        for budget in budgets:
            assert self.spent_by(budget) <= self.cost


def books_of(daemon: Daemon) -> Books:
    """The books of a daemon, running or not, as they are now."""
    state = daemon.folder / "state"
    books = Books(state)
    while books.segment != (now := Books(state)).segment:  # what the ledger took in meanwhile, the journal forgot
        books = now
    books.check()
    return books


def eventually(daemon: Daemon, fits: Callable[[Books], bool], seconds: float = PATIENCE_SECONDS) -> Books:
    """The books once they fit: look-ups and drains end some time after their client has gone."""
    until = time.monotonic() + seconds
    while not fits(books := books_of(daemon)):
        assert time.monotonic() < until, f"after {seconds} s: {books.sources}, held {books.held}, cost {books.cost}"
        time.sleep(0.1)
    return books


def settled(daemon: Daemon) -> Books:
    """The books once nothing is held."""
    return eventually(daemon, lambda books: not books.held)


def priced(target: str, dollars: int = 300) -> dict[str, Any]:
    """An alias that costs so much per million output tokens and nothing to read, so that its hold is exact."""
    return {"target": target, "price": {"input": 0, "output": dollars}}


def ask(model: str, **members: Any) -> dict[str, Any]:
    """The body of a chat request whose hold is $0.03 under `priced`."""
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100, **members}


def toll_config(mock: Mock, alice: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A daemon before the mock with one client key, which `alice` gives budgets and limits."""
    return {
        "providers": {"openrouter": mock.provider()},
        "keys": {"alice": {"key": KEY, **(alice or {})}},
        "retries": {"attempts": 1, "first_wait": 0.01, "longest_wait": 1},
        "budget_policy": {"wait": 0},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 3},
        **members,
    }
