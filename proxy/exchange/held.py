"""One attempt's hold: taken before a byte goes out, resolved exactly once, whatever happened in between; and where that is
counted and written down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import floor
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.errors import BudgetExceeded
from proxy.exchange.background.lookup import Lookups
from proxy.exchange.background.responses import Background, OnDisk
from proxy.exchange.reckoning import corrected, keep_open, reckoned, running_on, so_far_pusd
from proxy.exchange.refusals import outgrown
from proxy.exchange.reporting.rows import SHADOWS
from proxy.exchange.tool_use import ToolUse, tool_use
from proxy.exchange.waiting import Queue
from proxy.policy.limits.limiter import Limiter
from proxy.policy.money.account import Exceeded
from proxy.policy.money.amounts import told_pusd
from proxy.policy.money.books import Books
from proxy.policy.money.settlement import Source
from proxy.policy.values import Provider
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Begun, Charge, Hold, Row, Settled, Voided
from proxy.stores.journal.segments import Position
from proxy.wire.findings import Findings
from proxy.wire.structs import often_set
from proxy.wire.usage import NO_USAGE, Usage

if TYPE_CHECKING:
    from proxy.exchange.failure import Failure
    from proxy.exchange.hold_terms import HoldTerms
    from proxy.exchange.job import Job
    from proxy.exchange.reply import Reply

# what was written of an attempt that is settled, to be told once it is final: its row, doubts about its figures, and by
# how much it passed its hold
Booked = tuple[Row, tuple[str, ...], int]


class Accounting(Struct, frozen=True):
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
        tools: ToolUse | None = None,
        is_final: bool = True,
    ) -> tuple[Booked, OnDisk | None]:
        """Resolve the hold of a row: memory, then the journal; and tell, where the cost `is_final`. What comes back second waits
        until that is on disk: called, and awaited, before the client learns of it."""
        booked, durable, journal = (row, doubts, self.books.settle(row.id, row.cost_pusd) or 0), None, self.journal
        if row.source == "none":
            journal.soon(Voided(row))
        else:
            journal.soon(Settled(row, charges) if tools is None else Settled(row, charges, *tools))
        if journal.refused:
            journal.refused.pop(row.id, None)
        if self.waits:
            journal.flush()
            durable = partial(self._on_disk, journal.end)
        if self.queue.line.waiting:
            self.queue.look_again()
        if is_final:
            for hear in self.resolved:
                hear(booked)
        return booked, durable

    async def _on_disk(self, position: Position) -> None:
        """Where that cannot be, the client has its answer all the same, which is paid for."""
        with contextlib.suppress(JournalUnwritable):
            await self.journal.durable(position)


_REPORTED: Source = "reported"


@often_set
class Held(Struct, eq=False):
    """A hold that is under way, first in memory alone. `maximum` is the output limit it was lowered to.

    `look_at`: at how many tokens of output `afford` has something to say. `is_over`: it is settled, and all have heard of it.
    `waits`: it is to be on disk before the request goes out. `is_written`, `is_sent`: so far it came. `is_closed`: it is settled, or left to others. `tools`: which of
    those that its request defined were called.
    """

    terms: HoldTerms
    hold: Hold
    job: Job
    waits: bool
    maximum: int | None = None
    look_at: int | None = None
    is_over: bool = False
    is_written: bool = False
    is_sent: bool = False
    is_closed: bool = False
    tools: ToolUse | None = None
    _begun: bool = False
    _events: int = 0
    _booked: Booked | None = None
    _step: int = 0

    def note(self) -> None:
        """Have it written down, before the request goes out in this turn."""
        if not self.is_written:
            self.terms.accounting.journal.soon(self.hold)

    def sending(self) -> None:
        """See to it that it is written, in the step in which the request goes out. Raises `JournalUnwritable` where the call may
        cost anything."""
        if self.is_closed:
            return
        if not self.is_written:
            journal = self.terms.accounting.journal
            if journal.turn or journal.refused:
                self._write()
            else:  # by another of this turn
                self.is_written = True
        self.is_sent = True
        record = self.job.record
        if record.opened_at is None:  # over a connection that stood, it begins with that
            record.sent_at = time.monotonic()

    def _write(self) -> None:
        journal = self.terms.accounting.journal
        if journal.turn:
            journal.flush()
        error = journal.refused.pop(self.hold.id, None) if journal.refused else None
        if error is not None and (self.hold.amount_pusd or not self.terms.is_bounded):
            raise error
        self.is_written = error is None

    async def durable(self) -> None:
        """Write it down, and wait until it is on disk. Raises `JournalUnwritable` as `sending` does."""
        self.note()
        self._write()
        if self.is_written:
            await self.terms.accounting.journal.durable(self.terms.accounting.journal.end)

    def withdraw(self) -> None:
        """Nothing was sent, and nothing is to be written of it."""
        self.is_closed = True
        self.terms.accounting.books.void(self.hold.id)
        self.terms.accounting.queue.look_again()

    def begun(self, outcome: Reply | Failure) -> None:
        """The first byte came; after a crash the cost can be asked for, or the response waited for."""
        response_id = running_on(self, outcome)
        generation_id = response_id or outcome.generation_id()
        if generation_id is None or self._begun or self.is_closed:
            return
        self._begun = True
        with contextlib.suppress(JournalUnwritable):  # without it a crash settles at the hold
            self.terms.accounting.journal.soon(Begun(self.hold.id, generation_id, background=response_id is not None))

    def so_far_pusd(self, findings: Findings) -> int:
        """What it would cost if it ended now, as far as that can be told; nothing once it is settled."""
        return 0 if self.is_closed else so_far_pusd(self, findings)

    def watch(self) -> None:
        """From now on, see whether a stream of text outgrows its hold."""
        self._step = self.hold.amount_pusd
        self.look_at = self._next_look(0, 0)

    def afford(self, findings: Findings) -> None:
        """Hold as much again, and again, for a stream that has cost more than its hold; asked at every event, it looks
        ever closer as the hold fills up.

        Raises `BudgetExceeded` where no money is free for that.
        """
        if self.look_at is None or findings.counted_output < self.look_at or self.is_closed:
            return
        so_far = self.so_far_pusd(findings)
        while so_far > self.hold.amount_pusd:
            verdict = self.terms.accounting.books.grow(self.hold.id, self._step)
            if isinstance(verdict, Exceeded):
                raise outgrown(verdict, self.terms.caller)
            if self.terms.accounting.books.has_shadows:
                for budget_id in self.terms.accounting.books.overdrawn(self.hold.id):
                    self.job.record.pass_shadow(BudgetExceeded.code, budget_id)
            self.hold = msgspec.structs.replace(self.hold, amount_pusd=self.hold.amount_pusd + self._step)
            with contextlib.suppress(JournalUnwritable):  # without it a crash settles at the smaller hold
                self.terms.accounting.journal.append(self.hold)
        self.look_at = self._next_look(findings.counted_output, so_far)

    def _next_look(self, counted: int, so_far_pusd: int) -> int:
        """At how many tokens to look again: half of what the hold still pays for, and one more token at least."""
        return counted + max(1, (self.hold.amount_pusd - so_far_pusd) // self.terms.token_pusd // 2)

    def resolve(self, outcome: Reply | Failure, provider: Provider) -> OnDisk | None:
        """Settle, once: have it charged and written down. All hear of it now where nothing comes behind that could tell of
        another cost. Synchronous; what comes back (with `fsync: always`) is to be called and awaited before the call ends."""
        if self.is_closed:
            return None
        terms, findings = self.terms, outcome.findings
        if terms.may_run_on and (response_id := running_on(self, outcome)) is not None:
            keep_open(self, outcome, provider, response_id)
            return None
        self.is_closed = True
        if terms.tools is not None:
            self.tools = tool_use(terms.tools, outcome)
        usage, is_whole = None if findings is None else findings.usage, self.is_written and outcome.trouble == "none"
        if usage is not None and is_whole and (cost_pusd := told_pusd(usage)) is not None:
            source, doubts = _REPORTED, usage.doubts
        elif (settlement := reckoned(self, outcome, provider)) is None:
            return None
        else:
            cost_pusd, source, doubts = settlement.cost_pusd, settlement.source, settlement.doubts
            usage = settlement.usage or usage
        row = self.row(outcome, cost_pusd, source, usage)
        self.charge(cost_pusd, source, usage)
        self.is_over = is_over = outcome.whole or findings is None
        booked, durable = terms.accounting.book(row, self.hold.charges, doubts, self.tools, is_over)
        if not is_over and findings is not None:
            self._events, self._booked = findings.events, booked
        return durable

    def row(self, outcome: Reply | Failure, cost_pusd: int, source: Source, usage: Usage | None) -> Row:
        """The row of an attempt that was sent upstream and ends now, in the order of the row's fields: by their names it takes
        four times as long. So would `round`, and a function for each of the times; `int` takes half as long again."""
        hold, terms, record, findings = self.hold, self.terms, self.job.record, outcome.findings
        used, error, began = usage or NO_USAGE, record.error, record.started
        status, label = 200, "200"
        code: str | None = None
        if not outcome.is_good or outcome.broken_by is not None:
            is_left = record.client_left is not None and not outcome.complete
            status, (label, code) = 499 if is_left else outcome.judged_status or 0, outcome.verdict()
        return Row(*((hold.id, hold.request_id, hold.attempt, hold.at_ms) + terms.named + (
            None if findings is None else findings.served_model, status, label, code if error is None else error.code,
            SHADOWS.join(record.shadow_rejections) if record.shadow_rejections else None, terms.streams,
            used.input_tokens, used.output_tokens, used.cached_tokens, used.cache_write_tokens, used.reasoning_tokens,
            cost_pusd, hold.amount_pusd, source,
            None if outcome.first_byte_at is None else floor((outcome.first_byte_at - began) * 1000 + 0.5),
            floor((time.monotonic() - began) * 1000 + 0.5),
            outcome.generation_id(), ", ".join(record.adjusted) if record.adjusted else "", hold.attempt == 1, 1,
            None if record.first_token_at is None else floor((record.first_token_at - began) * 1000 + 0.5),
            floor(record.waited_seconds * 1000 + 0.5) if record.waited_seconds else 0,
            floor((record.sent_at - began) * 1000 + 0.5),
            None if record.opened_at is None else floor((record.opened_at - record.sent_at) * 1000 + 0.5),
        ) + terms.row_marks))  # fmt: skip

    def charge(self, pusd: int, source: str, usage: Usage | None) -> None:
        """A call costs what its attempts cost."""
        record = self.job.record
        record.cost_pusd += pusd
        if source != "none":
            record.cost_source = source
            record.usage = usage or record.usage

    def close(self, outcome: Reply | Failure | None = None) -> None:
        """Nothing more comes of the attempt. A usage that came behind the settlement corrects it, once; then all hear."""
        booked, self._booked = self._booked, None
        if booked is None:
            return
        findings = None if outcome is None else outcome.findings
        has_news = findings is not None and findings.events != self._events
        if has_news and outcome is not None:
            booked = corrected(self, booked, outcome)
        for hear in self.terms.accounting.resolved:
            hear(booked)

    def listen(self, outcome: Reply) -> bool:
        """Have a settled reply read on for a late usage; False where nobody does."""
        if self._booked is None or not self.terms.accounting.lookups.listen(
            outcome.read_on(), lambda: self._heard(outcome)
        ):
            return False
        self.job.record.unsettled += 1
        return True

    def _heard(self, outcome: Reply) -> None:
        outcome.release()
        self.close(outcome)
        self.job.record.settled_late()
