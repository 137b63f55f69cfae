"""Where the ends of attempts are counted and written down, whoever brings them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.exchange.background import Background, Running
from proxy.exchange.lookup import Lookups
from proxy.exchange.rows import SHADOWS, paid
from proxy.exchange.tool_use import NOT_COUNTED, ToolUse
from proxy.exchange.waiting import Queue
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.books import Books
from proxy.policy.money.settlement import NOTHING, Ending, Prices, Settlement, Source, settle
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal import Journal
from proxy.stores.records import Charge, Corrected, Hold, Row, Settled, Voided
from proxy.wire.findings import Findings
from proxy.wire.usage import NO_USAGE, Usage

if TYPE_CHECKING:
    from proxy.exchange.failure import Failure
    from proxy.exchange.held import Held
    from proxy.exchange.reply import Reply

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
        self,
        row: Row,
        charges: tuple[Charge, ...],
        doubts: tuple[str, ...] = (),
        tools: ToolUse = NOT_COUNTED,
        is_final: bool = True,
    ) -> tuple[Booked, Awaitable[None] | None]:
        """Resolve the hold of a row: memory, then the journal; and tell, where the cost `is_final`. What comes back second is to
        be awaited before the client learns of it: that it is on disk."""
        booked, durable = (row, doubts, self.books.settle(row.id, row.cost_pusd) or 0), None
        self.journal.soon(Voided(row) if row.source == "none" else Settled(row, charges, tools[0], tools[1]))
        if self.journal.refused:
            self.journal.refused.pop(row.id, None)
        if self.waits:
            self.journal.flush()
            durable = self.journal.durable(self.journal.end)
        if self.queue.line.waiting:
            self.queue.look_again()
        if is_final:
            for hear in self.resolved:
                hear(booked)
        return booked, durable

    def correct(self, was: Row, hold: Hold, settlement: Settlement, offered: str) -> Booked:
        """Charge what an attempt cost after all, once it is known that `was` is wrong."""
        record = Corrected(was, paid(was, settlement, settlement.usage), hold.charges, offered)
        for budget, period in hold.charges:
            self.books.adjust(budget, period, record.delta_pusd)
        with contextlib.suppress(JournalUnwritable):
            self.journal.append(record)
        self.queue.look_again()
        return record.row, settlement.doubts, max(0, record.row.cost_pusd - hold.amount_pusd)

    def wait_for(self, unfinished: Unfinished, running: Running) -> None:
        """Keep a hold open until the end of its response is seen."""
        self.background.keep(running, lambda findings, ran: unfinished.ended(self, findings, ran=ran))


def attempt_row(held: Held, outcome: Reply | Failure, cost_pusd: int, source: Source, usage: Usage | None) -> Row:
    """The row of an attempt that was sent upstream and ends now, in the order of the row's fields: by their names it takes
    four times as long. So would `round`, and a function for each of the times."""
    hold, record, fare, findings, used = held.hold, held.job.record, held.fare, outcome.findings, usage or NO_USAGE
    error, times = record.error, record.times
    began, opened_at, token_at, first_byte_at = (
        times.started,
        times.opened_at,
        times.first_token_at,
        outcome.first_byte_at,
    )
    status, label = 200, "200"
    code: str | None = None
    if not outcome.is_good or outcome.broken_by is not None:
        is_left = record.client_left is not None and not outcome.complete
        status, (label, code) = 499 if is_left else outcome.judged_status or 0, outcome.verdict()
    return Row(*((hold.id, hold.request_id, hold.attempt, hold.at_ms) + fare.named + (
        None if findings is None else findings.served_model, status, label, code if error is None else error.code,
        SHADOWS.join(record.shadow_rejections) if record.shadow_rejections else None, fare.streams,
        used.input_tokens, used.output_tokens, used.cached_tokens, used.cache_write_tokens, used.reasoning_tokens,
        cost_pusd, hold.amount_pusd, source,
        None if first_byte_at is None else int((first_byte_at - began) * 1000 + 0.5),
        int((time.monotonic() - began) * 1000 + 0.5),
        outcome.generation_id, ", ".join(record.adjusted) if record.adjusted else "", hold.attempt == 1, 1,
        None if token_at is None else int((token_at - began) * 1000 + 0.5),
        int(times.waited_seconds * 1000 + 0.5) if times.waited_seconds else 0,
        int((times.sent_at - began) * 1000 + 0.5),
        None if opened_at is None else int((opened_at - times.sent_at) * 1000 + 0.5),
    ) + fare.row_marks))  # fmt: skip


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
            settlement = NOTHING
        else:
            settlement = settle(_ending(told), self.prices, self.hold.amount_pusd)
        row = msgspec.structs.replace(
            paid(self.row, settlement, settlement.usage or told.usage),
            served=told.served_model or self.row.served,
            outcome=_OUTCOMES.get(status or "", "unfinished"),
            error=None if told.error is None else told.error_code,
        )
        _, durable = keeping.book(row, self.hold.charges, settlement.doubts)
        keeping.ended(row)
        return durable


_OUTCOMES = {"completed": "200", "incomplete": "200", "failed": "failed", "cancelled": "cancelled"}


def _ending(told: Findings) -> Ending:
    now = datetime.now(UTC)
    return Ending(status=200, usage=told.usage, hhmm=now.hour * 100 + now.minute, terms=told.terms)
