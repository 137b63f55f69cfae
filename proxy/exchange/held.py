"""One attempt's hold: taken before a byte goes out, resolved exactly once, whatever happened in between."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.errors import BudgetExceeded
from proxy.exchange.background import Running
from proxy.exchange.keeping import Booked, Unfinished, attempt_row
from proxy.exchange.lookup import Lookups
from proxy.exchange.refusals import outgrown
from proxy.exchange.rows import paid
from proxy.exchange.tool_use import NOT_COUNTED, ToolUse, tool_use
from proxy.policy.money.account import Exceeded
from proxy.policy.money.amounts import told_pusd
from proxy.policy.money.settlement import Ending, Prices, Settlement, Source, has_failed, is_worth_asking, settle
from proxy.policy.retries.retry import Trouble
from proxy.policy.values import Provider
from proxy.stores.failures import JournalUnwritable
from proxy.stores.records import Begun, Hold, Row
from proxy.wire.endpoints import DRAWING
from proxy.wire.findings import Findings
from proxy.wire.usage import Usage

if TYPE_CHECKING:
    from proxy.exchange.failure import Failure
    from proxy.exchange.fares import Fare
    from proxy.exchange.job import Job
    from proxy.exchange.record import Record
    from proxy.exchange.reply import Reply


class Held(Struct, eq=False):
    """A hold that is under way, first in memory alone. `maximum` is the output limit it was lowered to.

    `look_at`: at how many tokens of output `afford` has something to say. `is_over`: it is settled, and all have heard of it.
    `waits`: it is to be on disk before the request goes out.
    """

    fare: Fare
    hold: Hold
    job: Job
    waits: bool
    maximum: int | None = None
    look_at: int | None = None
    is_over: bool = False
    _is_written: bool = False
    _begun: bool = False
    _closed: bool = False
    _events: int = 0
    _booked: Booked | None = None
    _step: int = 0
    _tool_use: ToolUse = NOT_COUNTED

    def note(self) -> None:
        """Have it written down, before the request goes out in this turn."""
        if not self._is_written:
            self.fare.keeping.journal.soon(self.hold)

    def sending(self) -> None:
        """See to it that it is written, in the step in which the request goes out. Raises `JournalUnwritable` where the call may
        cost anything."""
        if self._is_written or self._closed:
            return
        journal = self.fare.keeping.journal
        if journal.turn:
            journal.flush()
        error = journal.refused.pop(self.hold.id, None) if journal.refused else None
        if error is not None and not self.fare.is_free:
            raise error
        self._is_written = error is None
        times = self.job.record.times
        if times.opened_at is None:  # over a connection that stood, it begins with that
            times.sent_at = time.monotonic()

    async def durable(self) -> None:
        """Write it down, and wait until it is on disk."""
        self.note()
        self.sending()
        if self._is_written:
            await self.fare.keeping.journal.durable(self.fare.keeping.journal.end)

    def withdraw(self) -> None:
        """Nothing was sent, and nothing is to be written of it."""
        self._closed = True
        self.fare.keeping.books.void(self.hold.id)
        self.fare.keeping.queue.look_again()

    def begun(self, outcome: Reply | Failure) -> None:
        """The first byte came; after a crash the cost can be asked for, or the response waited for."""
        response_id = self._running_on(outcome)
        generation_id = response_id or outcome.generation_id
        if generation_id is None or self._begun or self._closed:
            return
        self._begun = True
        with contextlib.suppress(JournalUnwritable):  # without it a crash settles at the hold
            self.fare.keeping.journal.soon(Begun(self.hold.id, generation_id, background=response_id is not None))

    def so_far_pusd(self, findings: Findings) -> int:
        """What it would cost if it ended now, as far as that can be told; nothing once it is settled."""
        if self._closed:
            return 0
        ending = Ending(
            status=200, complete=False, streamed=True, countable=True, stops_billing=True, usage=findings.usage,
            input_tokens=self.job.weight.likely_input_tokens, counted_output=findings.counted_output, terms=findings.terms,
        )  # fmt: skip
        return settle(ending, self._prices_of(findings), 0).cost_pusd

    def watch(self) -> None:
        """From now on, see whether a stream of text outgrows its hold."""
        self._step = self.hold.amount_pusd
        self.look_at = self._next_look(0, 0)

    def afford(self, findings: Findings) -> None:
        """Hold as much again, and again, for a stream that has cost more than its hold; asked at every event, it looks
        ever closer as the hold fills up.

        Raises `BudgetExceeded` where no money is free for that.
        """
        if self.look_at is None or findings.counted_output < self.look_at or self._closed:
            return
        so_far = self.so_far_pusd(findings)
        while so_far > self.hold.amount_pusd:
            verdict = self.fare.keeping.books.grow(self.hold.id, self._step)
            if isinstance(verdict, Exceeded):
                raise outgrown(verdict, self.fare.caller)
            if self.fare.keeping.books.has_shadows:
                for budget_id in self.fare.keeping.books.overdrawn(self.hold.id):
                    self.job.record.pass_shadow(BudgetExceeded.code, budget_id)
            self.hold = msgspec.structs.replace(self.hold, amount_pusd=self.hold.amount_pusd + self._step)
            with contextlib.suppress(JournalUnwritable):  # without it a crash settles at the smaller hold
                self.fare.keeping.journal.append(self.hold)
        self.look_at = self._next_look(findings.counted_output, so_far)

    def _next_look(self, counted: int, so_far_pusd: int) -> int:
        """At how many tokens to look again: half of what the hold still pays for, and one more token at least."""
        return counted + max(1, (self.hold.amount_pusd - so_far_pusd) // self.fare.token_pusd // 2)

    def resolve(self, outcome: Reply | Failure, provider: Provider) -> Awaitable[None] | None:
        """Settle, once: have it charged and written down. All hear of it now where nothing comes behind that could tell of
        another cost. Synchronous; what comes back (with `fsync: always`) is to be awaited before the call ends."""
        if self._closed:
            return None
        fare, findings = self.fare, outcome.findings
        if fare.may_run_on and (response_id := self._running_on(outcome)) is not None:
            self._keep_open(outcome, provider, response_id)
            return None
        self._closed = True
        if fare.tools is not None:
            self._tool_use = tool_use(fare.tools, outcome)
        usage, is_told = None if findings is None else findings.usage, self._is_written and outcome.trouble == "none"
        source: Source = "reported"
        if is_told and usage is not None and (cost_pusd := told_pusd(usage)) is not None:
            doubts = usage.doubts
        elif (settlement := self._reckoned(outcome, provider)) is None:
            return None
        else:
            cost_pusd, source, doubts = settlement.cost_pusd, settlement.source, settlement.doubts
            usage = settlement.usage or usage
        row = attempt_row(self, outcome, cost_pusd, source, usage)
        charge(self.job.record, cost_pusd, source, usage)
        self.is_over = is_over = outcome.whole or findings is None
        booked, durable = fare.keeping.book(row, self.hold.charges, doubts, self._tool_use, is_over)
        if not is_over and findings is not None:
            self._events, self._booked = findings.events, booked
        return durable

    def _reckoned(self, outcome: Reply | Failure, provider: Provider) -> Settlement | None:
        """What it came to, as far as that can be told; None where that is not certain, and the provider is asked."""
        ending, asked = self._ending(outcome), outcome.generation_id
        settlement = settle(ending, self._prices_of(outcome.findings), self.hold.amount_pusd)
        if asked is None or not is_worth_asking(settlement, ending) or not Lookups.possible(provider):
            return settlement
        usage = settlement.usage or ending.usage
        row = attempt_row(self, outcome, settlement.cost_pusd, settlement.source, usage)
        self.job.record.unsettled += 1
        self.fare.keeping.lookups.start(
            provider, asked, lambda told: self._looked_up(told, row, (settlement.doubts, usage))
        )
        return None

    def _trouble(self, outcome: Reply | Failure) -> Trouble:
        """What kept an answer away; what was never written down was never sent."""
        return outcome.trouble if self._is_written or self.fare.is_free else "unreachable"

    def _prices_of(self, findings: Findings | None) -> Prices:
        return self.fare.reckoning().by(None if findings is None else findings.served_model)

    def _running_on(self, outcome: Reply | Failure) -> str | None:
        """The id of a response the provider goes on with after this reply: one asked for in the background."""
        findings = outcome.findings
        if not self.fare.may_run_on or findings is None or (outcome.judged_status or 0) >= 400:
            return None
        return findings.generation_id if findings.response.runs_on(streamed=self.hold.stream) else None

    def _keep_open(self, outcome: Reply | Failure, provider: Provider, response_id: str) -> None:
        """Leave the hold to whoever sees the response's end: the call is over, its cost is not known yet."""
        self.begun(outcome)
        findings, self._closed, self.job.record.pending = outcome.findings, True, True
        assert findings is not None
        row = attempt_row(self, outcome, 0, "none", findings.usage)
        row = msgspec.structs.replace(row, upstream_id=response_id)
        ran = findings.response.status != "queued"
        running = Running(provider, response_id, provider.timeouts.total, ran, self.hold.tenant)
        self.fare.keeping.wait_for(Unfinished(self.hold, row, self._prices_of(findings)), running)

    def close(self, outcome: Reply | Failure | None = None) -> None:
        """Nothing more comes of the attempt. A usage that came behind the settlement corrects it, once; then all hear."""
        booked, self._booked = self._booked, None
        if booked is None:
            return
        findings = None if outcome is None else outcome.findings
        has_news = findings is not None and findings.events != self._events
        if has_news and outcome is not None and (late := self._late(booked[0], outcome)) is not None:
            charge(self.job.record, late.cost_pusd - booked[0].cost_pusd, late.source, late.usage)
            booked = self.fare.keeping.correct(booked[0], self.hold, late, self._tool_use[0])
        for hear in self.fare.keeping.resolved:
            hear(booked)

    def listen(self, outcome: Reply) -> bool:
        """Have a settled reply read on for a late usage; False where nobody does."""
        if self._booked is None or not self.fare.keeping.lookups.listen(
            outcome.read_on(), lambda: self._heard(outcome)
        ):
            return False
        self.job.record.unsettled += 1
        return True

    def _heard(self, outcome: Reply) -> None:
        outcome.release()
        self.close(outcome)
        self.job.record.settled_late()

    def _late(self, row: Row, outcome: Reply | Failure) -> Settlement | None:
        """What the attempt cost after all; None where that is what was charged."""
        settlement = settle(self._ending(outcome), self.fare.reckoning(), self.hold.amount_pusd)
        is_news = (settlement.cost_pusd, settlement.source) != (row.cost_pusd, row.source)
        return settlement if is_news and settlement.source in ("reported", "computed") else None

    def _ending(self, outcome: Reply | Failure) -> Ending:
        findings, now, came = outcome.findings, datetime.now(UTC), outcome.came_as_events
        draws = self.hold.endpoint in DRAWING
        return Ending(
            trouble=self._trouble(outcome),
            status=outcome.judged_status,
            failed=findings is not None and has_failed(findings, draws=draws),
            complete=outcome.complete,
            streamed=self.hold.stream if came is None else came,
            countable=findings is not None and findings.countable,
            binary=findings is not None and not findings.events,
            stops_billing=not outcome.complete and self.job.record.closing_stops_billing(),
            makes_images=draws,
            pictures=outcome.pictures if draws else 0,
            copies=self.job.weight.asks.copies or 1,
            usage=findings.usage if findings else None,
            input_tokens=self.job.weight.likely_input_tokens,
            counted_output=findings.counted_output if findings else 0,
            characters=self.job.weight.asks.characters or None,
            hhmm=now.hour * 100 + now.minute,
            terms=findings.terms if findings else (),
        )

    def _looked_up(self, told: Usage | None, row: Row, else_known: tuple[tuple[str, ...], Usage | None]) -> None:
        """The provider has told, or will not tell; then it stays at the row, with these doubts about this usage."""
        doubts, usage = else_known
        if told is not None and told.cost_usd is not None:
            usage, settlement = (
                told,
                settle(Ending(status=200, usage=told), self.fare.reckoning(), self.hold.amount_pusd),
            )
            row, doubts = paid(row, Settlement(settlement.cost_pusd, "looked_up"), told), settlement.doubts
        self.is_over = True
        charge(self.job.record, row.cost_pusd, row.source, usage)
        self.fare.keeping.book(row, self.hold.charges, doubts, self._tool_use)
        self.job.record.settled_late()


def charge(record: Record, pusd: int, source: str, usage: Usage | None) -> None:
    """An attempt was settled; a call costs what its attempts cost."""
    record.cost_pusd += pusd
    if source != "none":
        record.cost_source = source
        record.usage = usage or record.usage


def tokens_used(record: Record) -> int | None:
    """What a call counts against limits on tokens: None where it was sent, and nobody knows."""
    if (usage := record.usage) is not None:
        return usage.input_tokens + usage.output_tokens
    return None if record.calls else 0
