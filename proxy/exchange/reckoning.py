"""What an attempt has cost where its reply does not say it at once: reckoned, asked for, waited for, corrected."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.exchange.background.lookup import Lookups
from proxy.exchange.background.responses import OnDisk, Running
from proxy.exchange.reporting.rows import paid
from proxy.policy.money.settlement import NOTHING, Ending, Prices, Settlement, has_failed, is_worth_asking, settle
from proxy.policy.retries.retry import Trouble
from proxy.policy.values import Provider
from proxy.stores.failures import JournalUnwritable
from proxy.stores.journal.records import Corrected, Hold, Row
from proxy.wire.endpoints import DRAWING, HEARING
from proxy.wire.error_objects import code_of, status_of
from proxy.wire.findings import Findings
from proxy.wire.transcripts import heard
from proxy.wire.usage import NO_USAGE, Usage

# Of recorded streams that went to their limit, what was counted was 1.26 times it at most.
_WRONG_AT_MOST = 1.5
_A_FAULT_OF_ITS_OWN = 500

if TYPE_CHECKING:
    from proxy.exchange.failure import Failure
    from proxy.exchange.held import Accounting, Booked, Held
    from proxy.exchange.reply import Reply


def reckoned(held: Held, outcome: Reply | Failure, provider: Provider) -> Settlement | None:
    """What it came to, as far as that can be told; None where that is not certain, and the provider is asked."""
    ending, asked = _ending(held, outcome), outcome.generation_id()
    settlement = settle(ending, _prices_of(held, outcome.findings), held.hold.amount_pusd)
    if asked is None or not is_worth_asking(settlement, ending) or not Lookups.possible(provider):
        return settlement
    usage = settlement.usage or ending.usage
    row = held.row(outcome, settlement.cost_pusd, settlement.source, usage)
    held.job.record.unsettled += 1
    held.terms.accounting.lookups.start(
        provider, asked, lambda told: _looked_up(held, told, row, (settlement.doubts, usage))
    )
    return None


def so_far_pusd(held: Held, findings: Findings) -> int:
    """What it would cost if it ended now, as far as that can be told."""
    ending = Ending(
        status=200, complete=False, streamed=True, countable=True, stops_billing=True, usage=findings.usage,
        input_tokens=held.job.weight.likely_input_tokens, counted_output=_counted(held, findings), terms=findings.terms,
        ran=findings.ran,
    )  # fmt: skip
    return settle(ending, _prices_of(held, findings), 0).cost_pusd


def running_on(held: Held, outcome: Reply | Failure) -> str | None:
    """The id of a response the provider goes on with after this reply: one asked for in the background."""
    findings = outcome.findings
    if not held.terms.may_run_on or findings is None or (outcome.judged_status or 0) >= 400:
        return None
    return findings.generation_id if findings.response.runs_on(streamed=held.hold.stream) else None


def keep_open(held: Held, outcome: Reply | Failure, provider: Provider, response_id: str) -> None:
    """Leave the hold to whoever sees the response's end: the call is over, its cost is not known yet."""
    held.begun(outcome)
    findings, held.is_closed, held.job.record.pending = outcome.findings, True, True
    assert findings is not None
    row = held.row(outcome, 0, "none", findings.usage)
    row = msgspec.structs.replace(row, upstream_id=response_id)
    ran = findings.response.status != "queued"
    running = Running(provider, response_id, provider.timeouts.total, ran, held.hold.tenant)
    wait_for(held.terms.accounting, Unfinished(held.hold, row, held.terms.reckoning()), running)


def wait_for(accounting: Accounting, unfinished: Unfinished, running: Running) -> None:
    """Keep a hold open until the end of its response is seen."""
    accounting.background.keep(running, lambda findings, ran: unfinished.ended(accounting, findings, ran=ran))


class Unfinished(Struct, frozen=True):
    """An attempt whose response runs on at the provider: its hold, its row so far, and the prices it will be paid at."""

    hold: Hold
    row: Row
    prices: Prices

    def ended(self, accounting: Accounting, findings: Findings | None, *, ran: bool) -> OnDisk | None:
        """Settle by what the provider says of the end, at the hold where it says nothing.

        `ran`: it may have run, so that one cancelled without a word about its usage is not known to be free.
        """
        told = findings or Findings("responses")
        status, served = told.response.status, told.served_model or self.row.served
        if status == "cancelled" and told.usage is None and not ran and not told.response.has_output:
            settlement = NOTHING
        else:
            settlement = settle(_ending_of(told), self.prices.by(served), self.hold.amount_pusd)
        row = msgspec.structs.replace(
            paid(self.row, settlement, settlement.usage or told.usage),
            served=served,
            outcome=_OUTCOMES.get(status or "", "unfinished"),
            error=None if told.error is None else code_of(told.error),
        )
        _, durable = accounting.book(row, self.hold.charges, settlement.doubts)
        accounting.ended(row)
        return durable


_OUTCOMES = {"completed": "200", "incomplete": "200", "failed": "failed", "cancelled": "cancelled"}


def _was_refused(told: Findings) -> bool:
    """Whether it failed, and made nothing, by what a provider answers 4xx where nobody waits in the background."""
    failed = told.response.status == "failed" and not told.response.has_output
    return failed and told.error is not None and status_of(told.error) < _A_FAULT_OF_ITS_OWN


def _ending_of(told: Findings) -> Ending:
    now, failed = datetime.now(UTC), _was_refused(told)
    return Ending(status=200, failed=failed, usage=told.usage, hhmm=now.hour * 100 + now.minute, terms=told.terms)


def corrected(held: Held, booked: Booked, outcome: Reply | Failure) -> Booked:
    """What stands in the books once a usage has come behind the settlement: what the attempt cost after all is charged."""
    was, hold, accounting = booked[0], held.hold, held.terms.accounting
    late = settle(_ending(held, outcome), _prices_of(held, outcome.findings), hold.amount_pusd)
    is_news = (late.cost_pusd, late.source) != (was.cost_pusd, was.source)
    if not is_news or late.source not in ("reported", "computed"):
        return booked
    held.charge(late.cost_pusd - was.cost_pusd, late.source, late.usage)
    record = Corrected(was, paid(was, late, late.usage), hold.charges, held.tools[0] if held.tools is not None else "")
    for budget, period in hold.charges:
        accounting.books.adjust(budget, period, record.delta_pusd)
    with contextlib.suppress(JournalUnwritable):
        accounting.journal.append(record)
    accounting.queue.look_again()
    over_pusd = max(0, late.cost_pusd - hold.amount_pusd) if hold.amount_pusd or hold.charges else 0
    return record.row, late.doubts, over_pusd


def _looked_up(held: Held, told: Usage | None, row: Row, else_known: tuple[tuple[str, ...], Usage | None]) -> None:
    """The provider has told, or will not tell; then it stays at the row, with these doubts about this usage."""
    doubts, usage = else_known
    if told is not None and told.cost_usd is not None:
        usage, found = told, settle(Ending(status=200, usage=told), held.terms.reckoning(), held.hold.amount_pusd)
        row, doubts = paid(row, Settlement(found.cost_pusd, "looked_up"), told), found.doubts
    held.is_over = True
    held.charge(row.cost_pusd, row.source, usage)
    held.terms.accounting.book(row, held.hold.charges, doubts, held.tools)
    held.job.record.settled_late()


def _ending(held: Held, outcome: Reply | Failure) -> Ending:
    findings, now, came = outcome.findings, datetime.now(UTC), outcome.came_as_events
    draws = held.hold.endpoint in DRAWING
    return Ending(
        trouble=_trouble(held, outcome),
        status=outcome.judged_status,
        failed=findings is not None and has_failed(findings, draws=draws),
        complete=outcome.complete,
        told_all=findings is not None and findings.has_told_all,
        streamed=held.hold.stream if came is None else came,
        countable=findings is not None and findings.countable,
        binary=findings is not None and not findings.events,
        stops_billing=not outcome.complete and held.job.record.closing_stops_billing(),
        makes_images=draws,
        makes_speech=held.hold.endpoint == "audio/speech",
        pictures=outcome.pictures if draws else 0,
        copies=held.job.weight.requested.copies or 1,
        usage=_usage(held, outcome, findings),
        ran=findings.ran if findings else NO_USAGE,
        input_tokens=held.job.weight.likely_input_tokens,
        counted_output=_counted(held, findings) if findings else 0,
        characters=held.job.weight.requested.characters or None,
        hhmm=now.hour * 100 + now.minute,
        terms=findings.terms if findings else (),
    )


def _counted(held: Held, findings: Findings) -> int:
    """Tokens that streamed past: no more than the request allows its answers, where it is the estimate that may be wrong
    by so much, and not the provider that heeds no limit."""
    requested, counted = held.job.weight.requested, findings.counted_output
    most = (held.maximum or requested.maximum or 0) * (requested.copies or 0)
    return most if most < counted <= _WRONG_AT_MOST * most else counted


def _usage(held: Held, outcome: Reply | Failure, findings: Findings | None) -> Usage | None:
    """What it used, as far as that is told; of a transcript at least how long it was."""
    usage = None if findings is None else findings.usage
    if usage is None and held.hold.endpoint in HEARING and outcome.judged_status == 200:
        return heard(outcome.first)
    return usage


def _trouble(held: Held, outcome: Reply | Failure) -> Trouble:
    """What kept an answer away."""
    return outcome.trouble if held.is_sent else "unreachable"


def _prices_of(held: Held, findings: Findings | None) -> Prices:
    return held.terms.reckoning().by(None if findings is None else findings.served_model)
