"""One attempt's hold: taken before a byte goes out, resolved exactly once, whatever happened in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from proxy.exchange.lookup import Lookups
from proxy.exchange.record import Record
from proxy.exchange.rows import Ended, attempt_row
from proxy.policy.books import Books
from proxy.policy.limiter import Limiter, Taken
from proxy.policy.prices import Price
from proxy.policy.retry import Trouble
from proxy.policy.settlement import Ending, Settlement, settle
from proxy.policy.values import Provider
from proxy.stores.journal import Journal, JournalUnwritable, Position
from proxy.stores.records import Begun, Hold, Settled, Voided
from proxy.wire.findings import Findings
from proxy.wire.usage import Usage


class Keeping(Struct, frozen=True):
    """Where money is counted and written down. `resolved` is called after every settlement."""

    books: Books
    limiter: Limiter
    journal: Journal
    lookups: Lookups
    resolved: Callable[[Settlement, Hold, int], None]


class Outcome(Protocol):
    """What settling needs of an attempt's outcome."""

    @property
    def label(self) -> str:
        """The outcome in one word."""

    @property
    def trouble(self) -> Trouble:
        """What kept an answer away."""

    @property
    def judged_status(self) -> int | None:
        """The status, or what an error inside a 200 stands for."""

    @property
    def findings(self) -> Findings | None:
        """What the reply said of itself."""

    @property
    def complete(self) -> bool:
        """Whether the whole reply came."""

    @property
    def generation_id(self) -> str | None:
        """The id the provider knows this call by."""


class Held:
    """A hold that is under way. `maximum` is the output limit it was lowered to, if it was."""

    def __init__(self, keeping: Keeping, hold: Hold, price: Price | None, record: Record) -> None:
        self.hold = hold
        self.maximum: int | None = None
        self.input_estimate = 0
        self.taken: Taken | None = None
        self.settlement: Settlement | None = None
        self._keeping = keeping
        self._price = price
        self._record = record
        self._begun = False
        self._closed = False

    def begun(self, generation_id: str | None) -> None:
        """The first byte came; a crash from here on can be looked up."""
        if generation_id is not None and not self._begun:
            self._begun = True
            try:
                self._keeping.journal.append(Begun(self.hold.id, generation_id))
            except JournalUnwritable:
                pass  # the hold itself is written; after a crash it settles at its amount

    def resolve(self, outcome: Outcome, provider: Provider, *, final: bool) -> Awaitable[None] | None:
        """Settle, once. Synchronous; the awaitable (with `fsync: always`) is durability, for what must not precede it."""
        if self._closed:
            return None
        self._closed = True
        ending = self._ending(outcome)
        settlement = settle(ending, self._price, self.hold.amount_pusd)
        ended = _ended(outcome, self._record, final)
        if _worth_asking(settlement, ending) and Lookups.possible(provider, outcome.generation_id):
            self._record.settling = self
            self._keeping.lookups.start(
                provider, outcome.generation_id or "", lambda usage: self._looked_up(usage, settlement, ended)
            )
            return None
        return self._write(settlement, ended)

    def _ending(self, outcome: Outcome) -> Ending:
        findings = outcome.findings
        now = datetime.now(UTC)
        return Ending(
            trouble=outcome.trouble,
            status=outcome.judged_status,
            failed=findings is not None and findings.failed,
            complete=outcome.complete,
            streamed=self.hold.stream,
            stops_billing=self._record.closing_stops_billing(),
            usage=findings.usage if findings else None,
            input_tokens=self.input_estimate,
            counted_output=findings.counted_output if findings else 0,
            hhmm=now.hour * 100 + now.minute,
        )

    def _looked_up(self, usage: Usage | None, fallback: Settlement, ended: Ended) -> None:
        """The provider has told, or will not tell."""
        if usage is None or usage.cost_usd is None:
            self._write(fallback, ended)
        else:
            told = settle(Ending(status=200, usage=usage), self._price, self.hold.amount_pusd)
            looked_up = Settlement(told.cost_pusd, "looked_up", doubts=told.doubts)
            self._write(looked_up, Ended(ended.status, ended.outcome, usage, ended.served, ended.upstream_id, ended.final))
        self._record.settled()

    def _write(self, settlement: Settlement, ended: Ended) -> Awaitable[None] | None:
        keeping, hold = self._keeping, self.hold
        self.settlement = settlement
        self._record.charge(settlement.cost_pusd, settlement.source, ended.usage)
        row = attempt_row(self._record, hold, settlement, ended)
        if settlement.void:
            keeping.books.void(hold.id)
            over = 0
        else:
            over = keeping.books.settle(hold.id, settlement.cost_pusd)
        try:
            position: Position | None = keeping.journal.append(
                Voided(row) if settlement.void else Settled(row, hold.charges)
            )
        except JournalUnwritable:
            position = None  # the journal keeps settlements it could not write and writes them first when it heals
        keeping.resolved(settlement, hold, over)
        return keeping.journal.durable(position) if position is not None and keeping.journal.waits else None


def _ended(outcome: Outcome, record: Record, final: bool) -> Ended:
    findings = outcome.findings
    left = record.client_left is not None and not outcome.complete
    return Ended(
        status=499 if left else (outcome.judged_status or 0),
        outcome=outcome.label,
        usage=findings.usage if findings else None,
        served=findings.served_model if findings else None,
        upstream_id=outcome.generation_id,
        final=final,
    )


def _worth_asking(settlement: Settlement, ending: Ending) -> bool:
    """Only an answer that began and did not say its price (cut, or binary) can be asked for."""
    return settlement.source in ("counted", "held", "unknown") and ending.status == 200
