"""The newest calls that were answered, for questions about what else could have answered them. The caller's transaction, plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from proxy.stores.journal.records import Corrected, Record, Row, Settled

# those whose answer is text, by tokens
_ENDPOINTS = ("chat/completions", "completions", "responses", "messages")
_FIELDS = (
    "id", "request_id", "attempt", "at_ms", "key", "endpoint", "asked", "model", "provider", "upstream_model", "status", "stream",
    "input_tokens", "output_tokens", "cached_input_tokens", "cost_pusd", "total_ms", "sent_ms", "session",
)  # fmt: skip
_NEWEST = (
    f"SELECT {', '.join(_FIELDS)} FROM attempts WHERE status BETWEEN 200 AND 299 AND output_tokens > 0 "
    f"AND endpoint IN ({', '.join('?' for _ in _ENDPOINTS)}) AND asked GLOB ? AND key GLOB ? ORDER BY seq DESC LIMIT ?"
)


class PastQuestion(Struct, frozen=True):
    """The newest so many; `asked` and `key` are patterns of the name that was asked for and of the client key."""

    most: int
    asked: str = "*"
    key: str = "*"


def answered(driver: sqlite3.Connection, question: PastQuestion) -> list[Row]:
    """The attempts that answered, the newest first."""
    found = driver.execute(_NEWEST, (*_ENDPOINTS, question.asked, question.key, question.most))
    return [
        Row(**{**(row := dict(zip(_FIELDS, columns, strict=True))), "stream": bool(row["stream"])}) for columns in found
    ]


def with_tail(known: list[Row], records: Iterable[Record], question: PastQuestion) -> list[Row]:
    """The same with what the journal has and the ledger has not, the oldest first."""
    rows = (record.row for record in records if isinstance(record, Settled | Corrected))
    fresh = [row for row in rows if _is_meant(row, question)]
    every = {row.id: row for row in (*reversed(known), *fresh)}
    return list(every.values())[-question.most :]


def _is_meant(row: Row, question: PastQuestion) -> bool:
    return (
        200 <= row.status < 300
        and row.output_tokens > 0
        and row.endpoint in _ENDPOINTS
        and fnmatchcase(row.asked, question.asked)
        and fnmatchcase(row.key, question.key)
    )
