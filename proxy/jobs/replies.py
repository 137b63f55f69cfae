"""`Idempotency-Key`: the same request is answered once and billed once, whoever sends it again and however often.

The first one goes its way, and what its client reads is kept; it goes on though that client leaves. Others with its
key wait for that reply, without a hold, and get it byte for byte. A failure frees the key.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from proxy.exchange.client import Client
from proxy.exchange.record import Record
from proxy.exchange.stand_ins import Reading, Reply
from proxy.jobs.faults import IdempotencyMismatch, IdempotencyResultGone
from proxy.jobs.flights import Flight, Recording
from proxy.jobs.work import Work
from proxy.policy.tenants import owner_of
from proxy.stores.jobs.replies import ReplyStore
from proxy.stores.secrets.sealed_files import seal, unseal
from proxy.web.client.heads import Asked

MOST_BYTES_ALL = 256 * 2**20
_OWN_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "date", "server-timing"})
REPLAYED = ("x-tollkeeper-idempotent", "replayed")

Place = tuple[str, str]  # whose key, and the Idempotency-Key


class _Flight(Flight):
    """`reply`: once it is there."""

    def __init__(self, place: Place, digest: bytes, request_id: str) -> None:
        super().__init__(request_id)
        self.place = place
        self.digest = digest
        self.reply: Reply | None = None
        self.is_gone = self.has_failed = False


class Replies:
    """Those of the last 24 hours, over restarts as well; `was_sent` tells of calls that an earlier daemon made."""

    def __init__(
        self, work: Work, was_sent: Callable[[str], bool], beside: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._work = work
        self._was_sent = was_sent
        self._beside = beside
        self._under_way: dict[Place, _Flight] = {}
        self._store: ReplyStore | None = None

    async def claim(self, asked: Asked, client: Client) -> bool:
        """Answer a request that came before; False where it is the first, which is to be made now.

        Raises `IdempotencyMismatch`, `IdempotencyResultGone`, `StoreError`.
        """
        apart = asked.head.apart
        assert apart is not None
        place, digest = (owner_of(asked.caller), apart.once or ""), _digest(asked)
        while (flight := self._under_way.get(place)) is not None:
            if not flight.has_failed:
                _same(flight.digest, digest)
            if flight.reply is None and not flight.is_gone:
                await flight.news()
            if flight.is_gone:
                raise gone(flight.request_id)
            if flight.reply is not None:
                _replay(client, flight.reply)
                return True
        flight = self._under_way[place] = _Flight(place, digest, client.record.request_id)
        try:
            await self._work.make_small_key()
            kept = await self._work.ask(self._claimed, flight)
        except BaseException:
            self._over(flight)
            raise
        if kept is None:
            self._record(flight, client)
            return False
        flight.reply = kept
        self._over(flight)
        _replay(client, kept)
        return True

    def _claimed(self, flight: _Flight) -> Reply | None:
        """What the disk has of this request; None where it is ours to make, which the disk knows then. In the thread."""
        store, now_ms = self._opened(), int(time.time() * 1000)
        kept = store.claim(*flight.place, flight.digest, (flight.request_id, now_ms))
        if kept is None:
            return None
        _same(kept.digest, flight.digest)
        if kept.state == "pending" and not self._was_sent(kept.request_id):
            store.take_over(*flight.place, flight.request_id, now_ms)
            return None
        if kept.state != "kept":
            store.lose(*flight.place)
            raise gone(kept.request_id)
        data = unseal(self._work.small_key(), _name(flight.place), kept.sealed)
        return msgspec.msgpack.decode(data, type=Reply)

    def _record(self, flight: _Flight, client: Client) -> None:
        """From now on what this client reads is kept, and its leaving changes nothing."""
        recording = Recording(client.connection, _always, lambda: self._ended(flight, recording.reading, client.record))
        client.connection, client.takers = recording, (*client.takers, recording)

    def _ended(self, flight: _Flight, reading: Reading, record: Record) -> None:
        """The call is over: others get its reply at once, and the disk has it in a moment."""
        has_told = record.error is not None or record.failure is not None  # inside a 200 as well
        if has_told or not reading.is_whole or not 200 <= reading.status < 300:
            flight.has_failed = True  # the disk will know in a moment; whoever comes waits for that
        elif reading.dropped:
            flight.is_gone = True
        else:
            flight.reply = reading.reply()
        if not flight.has_failed:
            flight.wake()
        self._beside(self._kept(flight))

    async def _kept(self, flight: _Flight) -> None:
        try:
            await self._work.ask(self._write, flight)
        finally:
            self._over(flight)

    def _write(self, flight: _Flight) -> None:
        store = self._opened()
        if flight.reply is not None:
            data = msgspec.msgpack.encode(flight.reply)
            store.keep(*flight.place, seal(self._work.small_key(), _name(flight.place), data), MOST_BYTES_ALL)
        elif flight.is_gone:
            store.lose(*flight.place)
        else:
            store.free(*flight.place)

    def _over(self, flight: _Flight) -> None:
        self._under_way.pop(flight.place, None)
        flight.wake()

    def _opened(self) -> ReplyStore:
        if self._store is None:
            self._store = ReplyStore(self._work.store)
        return self._store


def _always() -> bool:
    return True


def gone(request_id: str) -> IdempotencyResultGone:
    """What is said where a request was made and its reply is not there any more."""
    return IdempotencyResultGone(
        f"The request with this Idempotency-Key was made as {request_id}, and its reply is not kept (too large, too long "
        f"ago, or interrupted); `tollkeeper show {request_id}` says what became of it. To make it again, use another key.",
        param="Idempotency-Key",
    )


def _same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise IdempotencyMismatch(
            "Another request was made with this Idempotency-Key within the last 24 hours; use a new one for a new request.",
            param="Idempotency-Key",
        )


def _digest(asked: Asked) -> bytes:
    head = asked.head
    found = hashlib.blake2b(digest_size=32)
    for part in (head.method, head.path, head.query):
        found.update(part.encode("utf-8", "surrogateescape") + b"\0")
    assert isinstance(asked.body, bytes)
    found.update(asked.body)
    return found.digest()


def _name(place: Place) -> str:
    return "\0".join(place)


def _replay(client: Client, reply: Reply) -> None:
    """The same status, headers and bytes again."""
    headers = [(name, value) for name, value in reply.headers.items() if name not in _OWN_FRAMING]
    client.record.phase = "done"
    client.whole(reply.status, [*headers, REPLAYED], reply.body)
