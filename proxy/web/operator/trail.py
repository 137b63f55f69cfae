"""The audit as operators ask for it; deeds that no transaction of their own writes down; the head beside the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import structlog
from msgspec import Meta, Struct
from msgspec.structs import astuple

from proxy.stores.audit import AuditQuestion, AuditRow, Deed, Head, Verdict, anchor, append
from proxy.stores.failures import StoreError
from proxy.web.operator.admin_api import EpochMs, instant

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger()

_MOST_WAITING = 1000
_SECRET_WORDS = ("secret", "token", "password", "authorization", "cookie", "api_key", "credential", "master_key")


class AuditAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`before` and `after` are numbers of rows, exclusive. The newest come first unless `oldest_first`. `as_kept`: what
    it was before and after as the JSON text that the hash is made of."""

    since_ms: EpochMs | None = None
    until_ms: EpochMs | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    before: int | None = None
    after: int | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    oldest_first: bool = False
    as_kept: bool = False


class VerifyAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Hashes of rows, noted elsewhere, which the chain must hold."""

    heads: list[str] = []


class AuditEntry(Struct, frozen=True):
    """One row of the audit: who did what to what, when, from where and why; what it was before and after, secrets
    masked. `hash` is made of all of it and of `previous`, the hash of the row before."""

    seq: int
    at: str
    at_ms: int
    actor: str
    source: str
    action: str
    target: str
    before: Any
    after: Any
    reason: str
    tenant: str
    previous: str
    hash: str


class AuditAnswer(Struct, frozen=True):
    """Rows of the audit; `next`: for more of them, ask with this as `before` (or `after`, the oldest first)."""

    rows: list[AuditEntry]
    next: int | None


class NewestRow(Struct, frozen=True):
    """The newest row of the audit."""

    seq: int
    hash: str


class VerdictAnswer(Struct, frozen=True):
    """Whether the chain of the audit is whole; what is wrong with it, a sentence each."""

    ok: bool
    rows: int
    newest: NewestRow
    problems: list[str]


def question(ask: AuditAsk, tenants: tuple[str, ...] | None = None) -> AuditQuestion:
    """One row more than asked for tells whether there are more; `tenants` are those whose rows count, None: everybody's."""
    fields = {name: getattr(ask, name) for name in AuditQuestion.__struct_fields__ if hasattr(ask, name)}
    return AuditQuestion(**{**fields, "limit": ask.limit + 1, "tenants": tenants})


def audit_answer(ask: AuditAsk, rows: list[AuditRow]) -> AuditAnswer:
    """The rows as JSON has them."""
    shown = rows[: ask.limit]
    return AuditAnswer(
        [_entry(row, as_kept=ask.as_kept) for row in shown], shown[-1].seq if len(rows) > ask.limit else None
    )


def heads_of(ask: VerifyAsk) -> list[Head]:
    """Hashes that somebody noted."""
    return [Head(0, text.strip().lower()) for text in ask.heads]


def verdict_answer(found: Verdict) -> VerdictAnswer:
    """The same as JSON has it."""
    newest = NewestRow(found.newest.seq, found.newest.hash)
    return VerdictAnswer(not found.problems, found.rows, newest, list(found.problems))


def shown(params: Any) -> Any:
    """What an order was given, without what may be a secret by its name."""
    if isinstance(params, dict):
        return {
            name: "…" if isinstance(item, str) and any(word in name.lower() for word in _SECRET_WORDS) else shown(item)
            for name, item in params.items()
        }
    return [shown(item) for item in params] if isinstance(params, list) else params


def _entry(row: AuditRow, *, as_kept: bool) -> AuditEntry:
    seq, at_ms, actor, source, action, target, before, after, *rest = astuple(row)
    states = (before, after) if as_kept else (_decoded(before), _decoded(after))
    return AuditEntry(seq, instant(at_ms), at_ms, actor, source, action, target, *states, *rest)


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _log(row: AuditRow) -> None:
    told = {name: getattr(row, name) for name in ("seq", "actor", "source", "action", "target", "reason", "hash")}
    log.info("audited", **told)


def _nobody_listens(_: AuditRow) -> None:
    """Nobody wants to hear of it at once."""


class Trail:
    """What was written down is told in the log as well, and `told`; its hash there is one that nobody takes back who can write here.

    `run` works on the ledger in a transaction.
    """

    def __init__(self, run: Callable[[Callable[[Connection], Any]], Awaitable[Any]], state_dir: str) -> None:
        self.told: Callable[[AuditRow], object] = _nobody_listens
        self._run = run
        self._ledger = Path(state_dir) / "ledger.db"
        self._waiting: list[Deed] = []
        self._turn = asyncio.Lock()

    def note(self, deeds: Iterable[Deed]) -> None:
        """To be written down next time."""
        self._waiting = [*self._waiting, *deeds][-_MOST_WAITING:]

    async def catch_up(self) -> None:
        """Write down what waits, and have the head beside the ledger tell of the newest row. What cannot be written now
        waits on; nothing that was done is undone for it."""
        async with self._turn:
            try:
                if self._waiting:
                    deeds, self._waiting = self._waiting, []
                    await self._write(deeds)
                rows = await asyncio.to_thread(anchor, self._ledger)
            except (TimeoutError, StoreError, OSError) as error:
                log.warning("audit_waits", reason=str(error) or "the ledger cannot be written now")
                return
            for row in rows:
                _log(row)
                self.told(row)

    async def _write(self, deeds: list[Deed]) -> None:
        try:
            await self._run(lambda connection: append(connection, deeds))
        except BaseException:
            self._waiting = [*deeds, *self._waiting][-_MOST_WAITING:]
            raise
