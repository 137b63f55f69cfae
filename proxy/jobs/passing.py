"""One call's reply, given to another: as it comes, or once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.errors import UpstreamReset
from proxy.exchange.client import Client
from proxy.exchange.stand_ins import Reading, Reply
from proxy.policy.money.amounts import usd_text
from proxy.wire.headers import Headers

if TYPE_CHECKING:
    from proxy.jobs.sharing import Leader

Note = Callable[[int], None]  # of the status, before what ends the reply goes out

# framing, and what is of one call or one client alone
OWN_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "date", "server-timing"})
_OWN = OWN_FRAMING | {"age", "retry-after", "server", "set-cookie", "x-request-id", "request-id", "x-generation-id"}
_OWN_PREFIXES = (
    "access-control-",
    "anthropic-ratelimit-",
    "x-ratelimit-",
    "x-tollkeeper-attempts",
    "x-tollkeeper-ca",
    "x-tollkeeper-cost-",
    "x-tollkeeper-request-id",
)


async def pass_on(leader: Leader, client: Client, note: Note) -> bool:
    """Give the client what the leader's gets; False where that failed before anything was passed on."""
    reading, record, at = leader.reading, client.record, 0
    while True:
        if client.started or _comes_in_pieces(reading):
            at = await _caught_up(client, reading, at)
        if leader.is_over or at < reading.dropped:
            break
        began = time.monotonic()
        await leader.news()
        record.waited_seconds += 0.0 if client.started else time.monotonic() - began
    if not client.started:
        reply = reading.reply()
        if not 200 <= reply.status < 300 or leader.record.failure is not None:
            return False
        note(reply.status)
        say_again(client, reply)
    elif reading.is_whole and at == reading.end:
        note(reading.status)
        record.phase = "done"
        client.end()
    else:
        record.error = leader.record.error or _BROKEN
        client.break_off()
    return True


def say_again(client: Client, reply: Reply, more: Headers | None = None) -> None:
    """A reply that is there, to another call; a stream as its events."""
    headers = [*_shared_headers(client, reply.headers), *(more or [])]
    client.record.phase = "done"
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        client.begin(reply.status, headers)
        client.record.first_byte_at = time.monotonic()
        client.say(reply.body)
        client.end()
    else:
        client.whole(reply.status, headers, reply.body)


def tell_failure(leader: Leader, client: Client, note: Note) -> None:
    """What the leader failed with is what this call has failed with. Raises `ProxyError` where it was an error of ours."""
    reply, record = leader.reading.reply(), client.record
    if leader.record.error is not None or not reply.status:
        raise leader.record.error or _BROKEN
    record.failure, record.failure_status = leader.record.failure, leader.record.failure_status
    note(reply.status)
    say_again(client, reply)


def _comes_in_pieces(reading: Reading) -> bool:
    return 200 <= reading.status < 300 and not reading.is_whole


async def _caught_up(client: Client, reading: Reading, at: int) -> int:
    """How far the client has got, which is all there is, unless it fell too far behind."""
    record = client.record
    if not client.started:
        length = reading.headers.get("content-length")
        framing = [] if length is None else [("Content-Length", length)]
        client.begin(reading.status, _shared_headers(client, reading.headers) + framing)
        record.phase, record.first_byte_at = "streaming", time.monotonic()
    while reading.dropped <= at < reading.end:
        data = bytes(reading.body[at - reading.dropped :])
        at += len(data)
        client.say(data)
        await client.room()
    return at


def _shared_headers(client: Client, headers: dict[str, str]) -> Headers:
    kept = [pair for pair in headers.items() if pair[0] not in _OWN and not pair[0].startswith(_OWN_PREFIXES)]
    return [*kept, *client.own_headers(), ("x-tollkeeper-cost-usd", usd_text(0))]


_BROKEN = UpstreamReset("The call under way that this one was to share the reply of broke off.")
