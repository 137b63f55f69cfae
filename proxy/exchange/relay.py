"""Passes a reply on to its client: whole, event by event, or as it comes."""

from __future__ import annotations

import asyncio
import sys
import time

from proxy.errors import UpstreamError, UpstreamReset, UpstreamTimeout
from proxy.exchange.client import Client
from proxy.exchange.client_connection import never
from proxy.exchange.io.deadlines import TICK_SECONDS
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.io.stepper import Timeout
from proxy.exchange.record import Record
from proxy.exchange.reply import Reply
from proxy.wire.alike import NOTHING_ALIKE
from proxy.wire.chunks import parted
from proxy.wire.endpoints import DRAWING
from proxy.wire.error_objects import kind_of
from proxy.wire.findings import Findings
from proxy.wire.first_token import has_first_token
from proxy.wire.media_events import is_last

FOLLOWS_SECONDS = 0.2


async def relay(client: Client, reply: Reply, record: Record, headers: bytes) -> None:
    """Pass the reply on, behind a head of these lines. Raises `ProviderError` when it breaks off under way."""
    if client.started and not reply.is_event_stream:
        raise _told_within(reply)
    if reply.whole:
        record.phase = "done"
        client.whole(reply.status, headers, reply.first)
        return
    record.phase = "streaming"
    if reply.is_event_stream:
        client.begin(reply.status, headers, reply.interpreter or reply.reader)
        record.limit_headers = ""  # they are out, too
        client.watch()
    else:
        size = None if reply.interpreter is not None else reply.fields.get("content-length")
        length = b"" if size is None else f"Content-Length: {size}\r\n".encode()
        client.rest()
        client.begin(reply.status, headers + length)
    reply.forget_headers()
    timeouts, stream = reply.provider.timeouts, reply.is_event_stream
    whole = timeouts.whole_call(stream=stream, draws=record.endpoint in DRAWING)
    until = asyncio.get_running_loop().time() + whole
    try:
        with client.stepper.within(timeouts.idle, until) as timeout:
            passing = _pass_events if stream else _pass_bytes if reply.interpreter is None else _pass_said
            await passing(client, reply, record, timeout)
    except (TimeoutError, UpstreamReset) as error:
        # what befalls the connection after the terminal event is no longer the client's concern
        if not (reply.is_event_stream and _is_over(reply.findings, record)):
            raise _out_of_time(reply, whole, until) if isinstance(error, TimeoutError) else error from None
    finally:
        reply.show(None)
    record.phase = "done"
    if (durable := reply.settle()) is not None:
        await durable()
    if reply.interpreter is not None:
        client.say(reply.interpreter.finish())
    client.end()


def _is_over(findings: Findings, record: Record) -> bool:
    """Whether nothing is missing though a stream broke off; of one without a protocol only its last event can say so."""
    is_said = findings.terminal or findings.error is not None or is_last(findings.latest_type)
    return findings.complete and (record.shape != "other" or is_said)


def _told_within(reply: Reply) -> UpstreamError:
    """What a stream that silence has begun says of a reply that is none: its error, which stands for the same status as ever."""
    if reply.is_good:
        return UpstreamError(f"{reply.provider.name} answered in one piece, and late, what was to be a stream.")
    error, status = UpstreamError(reply.error_message()), reply.judged_status
    if status >= 400:
        error.status, error.kind = status, kind_of(status, reply.missing)
    return error


def _out_of_time(reply: Reply, whole: float, until: float) -> UpstreamTimeout:
    name = reply.provider.name
    if asyncio.get_running_loop().time() < until:
        return UpstreamTimeout(f"{name} fell silent in the middle of its answer.")
    return UpstreamTimeout(f"{name} was still answering after {whole:g} seconds, the most its `timeouts` give a call.")


async def _pass_events(client: Client, reply: Reply, record: Record, timeout: Timeout) -> None:
    """Events as they come; a stream that stops without saying that it is complete is an error."""
    reader, settler, interpreter = reply.reader, reply.settler, reply.interpreter
    findings, is_silent = reader.findings, True  # until the first token
    ready, reply.first = client.take_held() + reply.first, b""
    passing = _Passing(client, reply, timeout)
    while True:
        if ready:
            if interpreter is not None:
                ready = interpreter.feed(ready)
            if is_silent:
                is_silent = not _note_first(record, ready)
            is_complete = findings.complete
            record.phase = "done" if is_complete else record.phase
            if findings.terminal and (durable := reply.settle()) is not None:
                await durable()
            client.say(ready)
            if client.is_slow:
                await _room(client, timeout)
            if settler is not None and not is_complete:
                settler.afford(findings)
        ready, chunk = b"", None  # nothing is kept while nothing comes
        if findings.terminal:
            chunk = await _what_follows(reply, timeout)
        else:
            while (chunk := reply.take()) is None:
                reply.show(None if is_silent else passing.ready())
                await reply.news()
            reply.show(None)
        if not chunk:
            break
        timeout.heard()
        size = len(chunk) + reader.held
        ready = reader.feed(chunk) if size <= LARGE else await reply.off_loop(size, reader.feed, chunk)
    rest = reader.finish()
    client.say(rest if interpreter is None or not rest else interpreter.feed(rest))
    if not findings.complete:
        record.phase = "streaming"
        raise UpstreamReset(f"{reply.provider.name} ended its answer in the middle.")


class _Passing:
    """Passes on what can be nothing but one more piece of text, for a client that keeps up, in the step in which it came."""

    __slots__ = (
        "_alike", "_before_tokens", "_client", "_connection", "_deadlines", "_findings", "_heard_at", "_interpreter",
        "_reader", "_send", "_settler", "_timeout"
    )  # fmt: skip

    def __init__(self, client: Client, reply: Reply, timeout: Timeout) -> None:
        self._client, self._connection, self._deadlines = client, client.connection, client.deadlines
        self._reader = reader = reply.reader
        self._findings, self._alike = reader.findings, NOTHING_ALIKE
        self._interpreter, self._settler, self._timeout = reply.interpreter, reply.settler, timeout
        self._send = client.sends_chunks() if reply.interpreter is None else never
        self._heard_at = 0.0  # by the latest look at deadlines
        self._before_tokens = 0

    def ready(self) -> _Passing | None:
        """Itself, where what comes next may be such a piece."""
        if not self._reader.knows:
            return None
        self._alike = self._reader.alike
        look_at = None if self._settler is None else self._settler.look_at
        self._before_tokens = sys.maxsize if look_at is None else look_at
        return self

    def chunk(self, data: bytes, beginning: bytes) -> bool:
        """Whether it was a chunk with such a piece alone; the client gets it framing and all."""
        findings, tokens = self._findings, self._alike.tokens_in_chunk(data, beginning)
        counted = findings.counted_output + tokens
        if not tokens or counted >= self._before_tokens or not self._send(data):
            return False
        findings.events += 1
        findings.counted_output = counted
        now = self._deadlines.now
        if self._heard_at is not now:
            self._heard_at = self._client.spoke = now
            self._timeout.heard()
        return True

    def chunks(self, data: bytes) -> bool:
        """Whether they were nothing but chunks with such a piece each."""
        pieces = [self._alike.tokens_in_chunk(*chunk) for chunk in parted(data)]
        counted = self._findings.counted_output + sum(pieces)
        if not pieces or not all(pieces) or counted >= self._before_tokens or not self._send(data):
            return False
        self._findings.events += len(pieces)
        self._findings.counted_output = counted
        self._client.spoke = self._deadlines.now
        self._timeout.heard()
        return True

    def body(self, data: bytes) -> bool:
        """Whether it was such a piece, whatever its framing."""
        client, interpreter = self._client, self._interpreter
        if client.gone or self._connection.writing_paused:
            return False
        findings, tokens = self._findings, self._alike.tokens_in(data)
        if not tokens or findings.counted_output + tokens >= self._before_tokens:
            return False
        findings.see_more(tokens)
        self._timeout.heard()
        client.say(data if interpreter is None else interpreter.feed(data))
        return True


def _note_first(record: Record, events: bytes) -> bool:
    """Note when the first event came, and when the first token did; whether it has."""
    now = time.monotonic()
    if record.first_byte_at is None:
        record.first_byte_at = now
    if not has_first_token(events, record.shape):
        return False
    record.first_token_at = now
    return True


async def _what_follows(reply: Reply, timeout: Timeout) -> bytes:
    """What comes at once behind the end of a stream; mostly nothing does, and the client is not kept waiting for it."""
    timeout.heard()
    timeout.expect(FOLLOWS_SECONDS + TICK_SECONDS)  # as the latest sign of life may be so much older
    try:
        return await reply.next_chunk()
    except TimeoutError:
        return b""
    finally:
        timeout.expect(reply.provider.timeouts.idle)


async def _pass_bytes(client: Client, reply: Reply, record: Record, timeout: Timeout) -> None:
    """Anything else, untouched."""
    left = int(reply.fields.get("content-length") or 0)
    chunk = reply.first or await reply.next_chunk()
    record.first_byte_at = time.monotonic()
    while chunk:
        left -= len(chunk)
        if left == 0:
            reply.end()
            if (durable := reply.settle()) is not None:
                await durable()
        client.say(chunk)
        if client.is_slow:
            await _room(client, timeout)
        chunk = await reply.next_chunk()
        timeout.heard()


async def _pass_said(client: Client, reply: Reply, record: Record, timeout: Timeout) -> None:
    """The rest of a reply that is said otherwise, as it comes; its beginning was said before."""
    assert reply.interpreter is not None
    record.first_byte_at = time.monotonic()
    ready, reply.first = reply.first, b""
    while True:
        client.say(ready)
        if client.is_slow:
            await _room(client, timeout)
        if not (chunk := await reply.next_chunk()):
            return
        timeout.heard()
        ready = reply.interpreter.feed(chunk)


async def _room(client: Client, timeout: Timeout) -> None:
    """A client that is slow to take what it is sent is not the upstream's silence."""
    timeout.excuse(excused=True)
    try:
        await client.room()
    finally:
        timeout.excuse(excused=False)
    timeout.heard()
