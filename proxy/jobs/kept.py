"""Replies that are kept for calls to come, sealed on disk as everything here is; and what was saved by them."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxy.exchange.record import Record
from proxy.exchange.reporting.rows import shared_row
from proxy.exchange.stand_ins import Reply
from proxy.jobs.work import Work
from proxy.policy.sharing import Wish
from proxy.stores.failures import JournalUnwritable, StoreError
from proxy.stores.jobs.cached import CacheStore, Entry
from proxy.stores.journal.journal import Journal
from proxy.stores.journal.records import Refused
from proxy.stores.secrets.sealed_files import seal, unseal
from proxy.stores.secrets.sealing import Unreadable

_KEEP_ALIVES = re.compile(rb"(?:\A|(?<=\n\n)): keep-alive\n\n")
_TROUBLE = (StoreError, Unreadable, sqlite3.Error, OSError, msgspec.DecodeError)

log = structlog.get_logger()


class Sought(Struct, frozen=True):
    """What is sought for a call: an answer to what has this digest, for this owner, whose largest output is `cap`."""

    owner: str
    digest: bytes
    wish: Wish
    cap: int | None = None


class Kept(Struct, frozen=True):
    """A reply, the call it was made for, when (UTC epoch milliseconds), and what that cost as far as was known then."""

    request_id: str
    at_ms: int
    cost_pusd: int
    reply: Reply


class KeptReplies:
    """Where the disk is in trouble, calls go their way."""

    def __init__(self, work: Work, journal: Journal, beside: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Nothing is opened or made before there is something to keep."""
        self._work = work
        self._journal = journal
        self._beside = beside
        self._fresh: dict[tuple[str, bytes], Kept] = {}  # on their way to the disk
        self._store: CacheStore | None = None
        self._is_in_trouble = False

    async def find(self, sought: Sought) -> Kept | None:
        """What there is, if it is not too old for this call."""
        if (fresh := self._fresh.get((sought.owner, sought.digest))) is not None:
            return fresh if _is_young(sought, fresh.at_ms) else None
        if not self._work.was_used:
            return None
        with self._without_trouble():
            await self._work.make_small_key()
            return await self._work.ask(self._found, sought)
        return None

    def keep(self, sought: Sought, kept: Kept) -> None:
        """Give it to whoever asks from now on."""
        if kept.reply.headers.get("content-type", "").startswith("text/event-stream"):
            kept = replace(kept, reply=replace(kept.reply, body=_KEEP_ALIVES.sub(b"", kept.reply.body)))
        self._fresh[sought.owner, sought.digest] = kept
        self._beside(self._keep(sought, kept))

    def note(self, record: Record, status: int, of: tuple[str, str]) -> None:
        """Put the call down that was served with another's reply; `of`: that one's id, and a sentence about it."""
        row = shared_row(record, status, of)
        record.cost_source = "cached" if row.source == "cached" else None
        with contextlib.suppress(JournalUnwritable):
            self._journal.append(Refused(row))

    async def _keep(self, sought: Sought, kept: Kept) -> None:
        try:
            with self._without_trouble():
                await self._work.make_small_key()
                await self._work.ask(self._write, sought, kept)
        finally:
            if self._fresh.get((sought.owner, sought.digest)) is kept:
                del self._fresh[sought.owner, sought.digest]

    def _found(self, sought: Sought) -> Kept | None:
        found = self._opened().find(sought.owner, sought.digest)
        if found is None or not _is_young(sought, found.at_ms):
            return None
        data = unseal(self._work.small_key(), _name(sought), found.sealed)
        return msgspec.msgpack.decode(data, type=Kept)

    def _write(self, sought: Sought, kept: Kept) -> None:
        rules = sought.wish.cache
        assert rules is not None
        sealed = seal(self._work.small_key(), _name(sought), msgspec.msgpack.encode(kept))
        expires_ms = kept.at_ms + int(1000 * rules.ttl_seconds)
        entry = Entry(sought.owner, sought.digest, rules.scope, kept.at_ms, expires_ms, len(sealed), sealed)
        self._opened().keep(entry, rules.max_bytes)

    def _opened(self) -> CacheStore:
        if self._store is None:
            self._store = CacheStore(self._work.store)
        return self._store

    @contextlib.contextmanager
    def _without_trouble(self) -> Iterator[None]:
        try:
            yield
            self._is_in_trouble = False
        except _TROUBLE as error:
            if not self._is_in_trouble:
                log.warning("cache_trouble", reason=str(error))
            self._is_in_trouble = True


def _is_young(sought: Sought, at_ms: int) -> bool:
    rules = sought.wish.cache
    most = min(sought.wish.max_age, 0.0 if rules is None else rules.ttl_seconds)
    return time.time() - at_ms / 1000 < most


def _name(sought: Sought) -> str:
    return f"cache.{sought.owner}.{sought.digest.hex()}"
