"""Where the ends of attempts are counted and written down, whoever brings them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from proxy.exchange.background import Background, Running
from proxy.exchange.lookup import Lookups
from proxy.exchange.rows import paid
from proxy.exchange.tool_use import NOT_COUNTED, ToolUse
from proxy.exchange.waiting import Queue
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.books import Books
from proxy.policy.money.settlement import Ending, Prices, Settlement, settle
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal import Journal
from proxy.stores.records import Corrected, Hold, Row, Settled, Voided
from proxy.wire.findings import Findings

# what was written of an attempt that is settled, to be told once it is final: its row, doubts about its figures, and by
# how much it passed its hold
Booked = tuple[Row, tuple[str, ...], int]


class Keeping(Struct, frozen=True):
    """Where money is counted and written down. `queue`: who waits for holds to be resolved; `resolved` hear of every attempt's
    end once its cost is final; `ended` of the end of a background
    response; `open` brings budgets that are somebody's own into memory, with what they have spent; `waits`: replies wait until their settlement is on disk."""

    books: Books
    limiter: Limiter
    journal: Journal
    lookups: Lookups
    background: Background
    queue: Queue
    resolved: list[Callable[[Booked], object]]
    ended: Callable[[Row], None]
    open: Callable[[list[str]], Awaitable[None]]
    waits: bool = False

    def book(
        self, row: Row, hold: Hold, settlement: Settlement, tools: ToolUse = NOT_COUNTED, is_final: bool = True
    ) -> tuple[int, Awaitable[None] | None]:
        """Resolve a hold: memory, then the journal; and tell, where the cost `is_final`. By how much it was passed, and what is
        to be awaited before the client learns of it: that it is on disk."""
        record: Voided | Settled
        if settlement.void:
            self.books.void(hold.id)
            over_pusd, record = 0, Voided(row)
        else:
            over_pusd = self.books.settle(hold.id, settlement.cost_pusd) or 0
            record = Settled(row, hold.charges, *tools)
        durable = None
        try:
            self.journal.write(record)
            if self.waits:
                durable = self.journal.durable(self.journal.end)
        except JournalUnwritable:  # it keeps ends of calls, and writes them when it heals
            pass
        if self.queue.line.waiting:
            self.queue.look_again()
        if is_final:
            for hear in self.resolved:
                hear((row, settlement.doubts, over_pusd))
        return over_pusd, durable

    def correct(self, was: Row, hold: Hold, settlement: Settlement, offered: str) -> Booked:
        """Charge what an attempt cost after all, once it is known that `was` is wrong."""
        record = Corrected(was, paid(was, settlement, settlement.usage), hold.charges, offered)
        for budget, period in hold.charges:
            self.books.adjust(budget, period, record.delta_pusd)
        with contextlib.suppress(JournalUnwritable):
            self.journal.append(record)
        self.queue.look_again()
        return record.row, settlement.doubts, max(0, record.row.cost_pusd - hold.amount_pusd)

    def settle(
        self, row: Row, hold: Hold, settlement: Settlement, tools: ToolUse = NOT_COUNTED
    ) -> Awaitable[None] | None:
        """`book` what is final. What comes back is to be awaited before the client learns of it."""
        return self.book(row, hold, settlement, tools)[1]

    def wait_for(self, unfinished: Unfinished, running: Running) -> None:
        """Keep a hold open until the end of its response is seen."""
        self.background.keep(running, lambda findings, ran: unfinished.ended(self, findings, ran=ran))


class Unfinished(Struct, frozen=True):
    """An attempt whose response runs on at the provider: its hold, its row so far, and the prices it will be paid at."""

    hold: Hold
    row: Row
    prices: Prices

    def ended(self, keeping: Keeping, findings: Findings | None, *, ran: bool) -> Awaitable[None] | None:
        """Settle by what the provider says of the end, at the hold where it says nothing.

        `ran`: it may have run, so that one cancelled without a word about its usage is not known to be free.
        """
        told = findings or Findings("responses")
        status = told.response.status
        if status == "cancelled" and told.usage is None and not ran and not told.response.has_output:
            settlement = _NEVER_RAN
        else:
            settlement = settle(_ending(told), self.prices, self.hold.amount_pusd)
        row = msgspec.structs.replace(
            paid(self.row, settlement, settlement.usage or told.usage),
            served=told.served_model or self.row.served,
            outcome=_OUTCOMES.get(status or "", "unfinished"),
            error=None if told.error is None else told.error_code,
        )
        durable = keeping.settle(row, self.hold, settlement)
        keeping.ended(row)
        return durable


_NEVER_RAN = Settlement(0, "none", void=True)
_OUTCOMES = {"completed": "200", "incomplete": "200", "failed": "failed", "cancelled": "cancelled"}


def _ending(told: Findings) -> Ending:
    now = datetime.now(UTC)
    return Ending(status=200, usage=told.usage, hhmm=now.hour * 100 + now.minute, terms=told.terms)
