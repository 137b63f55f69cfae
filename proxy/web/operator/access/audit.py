"""The audit as operators ask for it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

from proxy.stores.audit import AuditQuestion, AuditRow, Head, Verdict
from proxy.web.operator.admin_api import EpochMs, instant

_Row = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # as SQLite can hold it


class AuditAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`before` and `after` are numbers of rows, exclusive. The newest come first unless `oldest_first`. `as_kept`: what
    it was before and after as the JSON text that the hash is made of."""

    since_ms: EpochMs | None = None
    until_ms: EpochMs | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    before: _Row | None = None
    after: _Row | None = None
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


def _entry(row: AuditRow, *, as_kept: bool) -> AuditEntry:
    seq, at_ms, actor, source, action, target, before, after, *rest = astuple(row)
    states = (before, after) if as_kept else (_decoded(before), _decoded(after))
    return AuditEntry(seq, instant(at_ms), at_ms, actor, source, action, target, *states, *rest)


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
