"""Questions about what was spent, for commands and for the start: answered from the files, daemon or not.

What the journal has and the ledger has not yet is part of every answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from proxy.stores.audit import AuditQuestion, AuditRow, Head, Verdict, nothing_left, rows_of, verified
from proxy.stores.configured import ConfiguredKey, configured_keys
from proxy.stores.database import reading
from proxy.stores.failures import LedgerTooOld
from proxy.stores.feedback import Feedback, feedback_of
from proxy.stores.flags import flag_totals
from proxy.stores.journal.records import Charge, Corrected, Record, Refused, Row, Settled, Voided
from proxy.stores.journal.replay import added_spending
from proxy.stores.journal.segments import START, Position, Reader
from proxy.stores.keys import StoredKey, stored_keys
from proxy.stores.ledger import known
from proxy.stores.ledger.rollups import by_minute, rows_in
from proxy.stores.ledger.sums import behind
from proxy.stores.ledger.tally import session_of, tally
from proxy.stores.model_news import News, newest_news
from proxy.stores.questions.analytics import (
    AnalyticsQuestion,
    AnalyticsReport,
    Found,
    Key,
    costs,
    count_minutes,
    count_rows,
)
from proxy.stores.questions.analytics import report as analytics_report
from proxy.stores.questions.analytics_ledger import ledger_found
from proxy.stores.questions.past import PastQuestion, answered
from proxy.stores.questions.past import with_tail as with_past_tail
from proxy.stores.questions.sessions import KnownSession, SessionsQuestion, keys_of_session, latest_sessions, with_tail
from proxy.stores.questions.usage import Totals, UsageQuestion, UsageReport, add_tail, report
from proxy.stores.questions.usage_totals import ledger_totals
from proxy.stores.settings import DataKey, StoredSetting, data_keys, setting_history

if TYPE_CHECKING:
    from proxy.policy.analysis.bills import BillDay
    from proxy.policy.analysis.savings import Held, Repeated, Unused
    from proxy.stores.questions.bills import KeptCorrection
    from proxy.stores.questions.past_calls import CallsQuestion, Place
    from proxy.stores.secrets.rotation import Use

_TRIES = 3
AnswerT = TypeVar("AnswerT")
TailT = TypeVar("TailT")


class Files:
    """The ledger and the journal of one state directory, read only.

    Methods raise `LedgerDamaged`, `LedgerTooNew`, `LedgerTooOld`, and `LedgerUnavailable` for a ledger that cannot be read now.
    """

    def __init__(self, state_dir: Path) -> None:
        """Nothing is opened before a question is asked."""
        self.state_dir = state_dir
        self._path = state_dir / "ledger.db"
        self._journal = state_dir / "journal"

    def usage(self, question: UsageQuestion) -> UsageReport:
        """Calls, tokens and cost, by day, month, model, key or provider, or several of them."""
        if question.dimensions == ("flag",):
            return report(self._ask_ledger(lambda driver: flag_totals(driver, question), Totals())[0], question)
        of_tail = partial(tally, spender_of=session_of) if question.is_by_session else tally
        totals, tail = self._ask_sums(partial(ledger_totals, question=question), Totals(), of_tail)
        add_tail(totals, tail, question)
        return report(totals, question)

    def analytics(self, question: AnalyticsQuestion) -> AnalyticsReport:
        """The same and how long it took, by time and by names. Raises `TooMuch`, too, for what is not kept so."""
        found, complete = self._found(question)
        return analytics_report(found, question, complete=complete)

    def costs(self, question: AnalyticsQuestion) -> dict[Key, int]:
        """What each row of that cost, 1e-12 USD."""
        return costs(self._found(replace(question, with_times=False))[0])

    def _found(self, question: AnalyticsQuestion) -> tuple[Found, bool]:
        nothing: tuple[Found, bool] = {}, True
        ask = self._ask_sums if question.is_rolled_up or question.label == "session" else self._ask
        (found, complete), tail = ask(lambda driver: ledger_found(driver, question), nothing, list[Record])
        if question.is_rolled_up:
            count_minutes(found, by_minute(tail).items(), question)
        elif "flag" not in question.names:  # what a flag was told of is in the ledger
            count_rows(found, ((row, "", sign) for row, sign in rows_in(tail)), question)
        return found, complete

    def holds(self, since_ms: int, endpoints: frozenset[str], tenants: tuple[str, ...] | None) -> list[Held]:
        """What the newest calls held of budgets, beside what they came to."""
        from proxy.stores.questions.holds import holds

        nothing: list[Held] = []
        return self._ask_ledger(lambda driver: holds(driver, since_ms, endpoints, tenants), nothing)[0]

    def repeats(self, since_ms: int, endpoints: frozenset[str], tenants: tuple[str, ...] | None) -> list[Repeated]:
        """Which of the newest calls were as long as one that their key had sent shortly before."""
        from proxy.stores.questions.repeats import repeats

        nothing: list[Repeated] = []
        return self._ask_ledger(lambda driver: repeats(driver, since_ms, endpoints, tenants), nothing)[0]

    def unused_tools(self, since_ms: int, tenants: tuple[str, ...] | None) -> list[Unused]:
        """Which tools calls defined that nobody who did ever called, since the day of this moment."""
        from proxy.stores.questions.unused_tools import unused_tools

        nothing: list[Unused] = []
        return self._ask_ledger(lambda driver: unused_tools(driver, since_ms, tenants), nothing)[0]

    def find(self, request_id: str) -> list[Row]:
        """The attempts of one call, or why it was refused; first one first."""
        from proxy.stores.ledger.ledger import rows_of

        def late(records: Iterable[Record]) -> list[Row]:
            rows = (record.row for record in records if isinstance(record, Settled | Corrected | Voided | Refused))
            return [row for row in rows if row.request_id == request_id]

        rows, tail = self._ask(partial(rows_of, request_id=request_id), list[Row](), late)
        return sorted({row.id: row for row in rows + tail}.values(), key=lambda row: row.attempt)

    def answered(self, question: PastQuestion) -> list[Row]:
        """The newest calls that were answered, the oldest of them first."""
        return with_past_tail(*self._ask(partial(answered, question=question), list[Row](), list), question)

    def past_calls(self, question: CallsQuestion) -> tuple[list[list[Row]], Place | None]:
        """The rows of past calls, the newest first, and where to go on; without what the journal alone has."""
        from proxy.stores.questions.past_calls import past_calls

        nothing: tuple[list[list[Row]], Place | None] = ([], None)
        return self._ask_ledger(lambda driver: past_calls(driver, question), nothing)[0]

    def picture_times(self) -> dict[str, list[int]]:
        """How long calls for pictures took that went well, by model, in milliseconds; of the newest there are."""
        times: dict[str, list[int]] = {}
        for model, total_ms in self._ask_ledger(known.picture_times, list[tuple[str, int]]())[0]:
            times.setdefault(model, []).append(total_ms)
        return times

    def spent(self, budgets: Iterable[str]) -> dict[Charge, int]:
        """What the newest periods of each budget have spent."""
        wanted = list(budgets)
        nothing = dict[Charge, int]()
        found, tail = self._ask(lambda driver: known.spent(driver, wanted), nothing, added_spending)
        for charge, amount in tail.items():
            if charge[0] in wanted:
                found[charge] = found.get(charge, 0) + amount
        return found

    def sessions(self, question: SessionsQuestion) -> list[KnownSession]:
        """The sessions of agents used last."""
        found = self._ask_sums(
            lambda driver: latest_sessions(driver, question),
            list[KnownSession](),
            lambda records: list(records),
        )
        return with_tail(*found, question)[: question.most]

    def keys_of_session(self, session: str) -> list[str]:
        """The keys under which a session of this id has called, as far as the ledger knows."""
        return self._ask_ledger(lambda driver: keys_of_session(driver, session), list[str]())[0]

    def booked(self, budgets: Iterable[str]) -> tuple[dict[Charge, int], Position]:
        """What the ledger alone has of these budgets, and up to which position of the journal: for the start."""
        return self._ask_ledger(lambda driver: known.spent(driver, budgets), dict[Charge, int]())

    def stored_keys(self) -> list[StoredKey]:
        """Every key that was ever made here."""
        return self._ask_ledger(stored_keys, list[StoredKey]())[0]

    def configured_keys(self) -> list[ConfiguredKey]:
        """Every key that ever stood in the configuration."""
        return self._ask_ledger(configured_keys, list[ConfiguredKey]())[0]

    def setting_history(self) -> list[StoredSetting]:
        """Every change of a stored setting, the newest first."""
        return self._ask_ledger(setting_history, list[StoredSetting]())[0]

    def data_keys_and_uses(self) -> tuple[list[DataKey], dict[str, Use]]:
        """Every key that seals secrets, and what it seals, by its id."""
        from proxy.stores.secrets.rotation import Use, uses

        def found(driver: sqlite3.Connection) -> tuple[list[DataKey], dict[str, Use]]:
            return data_keys(driver), uses(driver, self.state_dir)

        return self._ask_ledger(found, (list[DataKey](), dict[str, Use]()))[0]

    def audit(self, question: AuditQuestion) -> list[AuditRow]:
        """What operators did."""
        return self._ask_ledger(lambda driver: rows_of(driver, question), list[AuditRow]())[0]

    def audit_verdict(self, heads: Iterable[Head] = ()) -> Verdict:
        """Whether the chain of it is whole."""
        return self._ask_ledger(lambda driver: verified(driver, heads), nothing_left(self._path))[0]

    def model_news(self, since_ms: int, most: int) -> list[News]:
        """What was new in the providers' lists of models since then, the newest first."""
        return self._ask_ledger(lambda driver: newest_news(driver, since_ms, most), list[News]())[0]

    def bills(self, day: str) -> tuple[list[BillDay], list[KeptCorrection]]:
        """What providers billed on days from this UTC one on, beside what is booked, and the corrections; the newest first."""
        from proxy.stores.questions.bills import days_since

        nothing: tuple[list[BillDay], list[KeptCorrection]] = ([], [])
        return self._ask_ledger(lambda driver: days_since(driver, day), nothing)[0]

    def newest_bills(self) -> list[BillDay]:
        """The newest day of every key."""
        from proxy.stores.questions.bills import newest_days

        nothing: dict[tuple[str, str], BillDay] = {}
        return list(self._ask_ledger(newest_days, nothing)[0].values())

    def feedback(self, request_id: str) -> list[Feedback]:
        """What people and judges think of a call."""
        return self._ask_ledger(lambda driver: feedback_of(driver, request_id), list[Feedback]())[0]

    @property
    def is_of_older_version(self) -> bool:
        """Whether its tables have to be brought up to date before anything is asked."""
        try:
            self.stored_keys()
        except LedgerTooOld:
            return True
        return False

    def _ask(
        self,
        question: Callable[[sqlite3.Connection], AnswerT],
        nothing: AnswerT,
        of_tail: Callable[[Iterable[Record]], TailT],
    ) -> tuple[AnswerT, TailT]:
        """The ledger's answer and the tail's. A daemon may remove segments between the two: then once more."""
        for left in reversed(range(_TRIES)):
            answer, position = self._ask_ledger(question, nothing)
            reader = Reader(self._journal, position)
            tail = of_tail(_once(reader))
            if reader.from_start or not left:
                break
        return answer, tail

    def _ask_sums(
        self,
        question: Callable[[sqlite3.Connection], AnswerT],
        nothing: AnswerT,
        of_tail: Callable[[Iterable[Record]], TailT],
    ) -> tuple[AnswerT, TailT]:
        """The same of its sums: to the tail belong the ledger's rows that are not in them yet."""
        unsummed: list[Record] = []

        def found(driver: sqlite3.Connection) -> AnswerT:
            unsummed[:] = behind(driver)
            return question(driver)

        return self._ask(found, nothing, lambda records: of_tail(chain(unsummed, records)))

    def _ask_ledger(
        self, question: Callable[[sqlite3.Connection], AnswerT], nothing: AnswerT
    ) -> tuple[AnswerT, Position]:
        if not self._path.exists():
            return nothing, START
        with reading(self._path) as driver:
            revision = known.revision_of(driver, self._path)
            if not revision:
                return nothing, START
            if revision != known.REVISIONS[-1]:
                raise LedgerTooOld(str(self._path))
            position = known.position(driver)
            return question(driver), position


def _once(reader: Reader) -> Iterator[Record]:
    """Each attempt's end once, as the ledger takes it."""
    ended: set[str] = set()
    for _, record in reader:
        if isinstance(record, Settled | Voided | Refused):
            if record.row.id in ended:
                continue
            ended.add(record.row.id)
        yield record
