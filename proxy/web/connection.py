"""One client connection: deadlines on heads, news of its end, errors that repeat nothing of the input.

aiohttp answers a broken head with text that quotes it, and logs it; both may hold a key. And by
default it neither limits how long a head may take nor tells a handler that its client left.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.errors import Overloaded
from proxy.exchange.client import Client
from proxy.exchange.io.stepper import Stepper
from proxy.web.closing import end_bad_body, holds_part_of_a_head, say_goodbye
from proxy.web.errors import error_bytes, head_refused
from proxy.web.faults import LONGEST_TARGET, BadRequest, fault_of
from proxy.web.lane import Lane

if TYPE_CHECKING:
    from proxy.web.server import Server

HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0
HIGH_WATER_BYTES = 256 * 1024  # that wait for a client
_LONGEST_BEGINNING = 16 * 1024
_MOST_UNNAMED = 2**20  # heads that stand in line behind a call
MOST_UNSENT_BYTES = 64 * 1024  # that wait for the end of the loop's turn

_ANOTHER = re.compile(rb" *(?:RTSP|ICE)/")
_TOO_MANY = Overloaded("Too many connections are open here; try again in a moment.", retry_after=1)


class Connection(RequestHandler):
    """`client` is there during a call, `stepper` from the first one on; `is_last`: it takes no other request, whatever we
    answer."""

    __slots__ = (
        "_ahead", "_begun", "_head_timer", "_idle_since", "_in_call", "_lane", "_outbox", "_unnamed", "_unsent", "client", "data_received",
        "is_last", "speaks_http_1", "stepper"
    )  # fmt: skip

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._unsent = b""  # goes out at the end of this turn
        self.client: Client | None = None
        self.stepper: Stepper | None = None
        self._head_timer: Any = None
        self._in_call = False
        self._begun = b""  # how the head that came last begins
        self._unnamed = bytearray()  # came since a protocol was named
        self._idle_since = self._loop.time()
        self.speaks_http_1 = True
        self.is_last = False
        self._lane = None if manager.line is None else Lane(self, manager.line)
        self._ahead = None if manager.line is None else manager.line.ahead
        self._outbox = manager.outbox if manager.line is None else manager.line.outbox
        # what is plain goes the quick lane
        self.data_received = self.pass_on if self._lane is None else self._lane.receive  # type: ignore[method-assign]

    @property
    def outline(self) -> tuple[bytes, tuple[bytes, ...]] | None:
        """What the head of the request under way is known by, and the values it may differ in; None where it is not to be known
        again."""
        return None if self._lane is None else self._lane.outline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turn the client away where there are too many.

        Without the library's own, which makes a task for every connection (only those need it that come to the library), and
        sets options again that the loop has set.
        """
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        manager = cast("Server", self._manager)
        manager.connection_made(self, transport)
        self._keepalive_handle = self._loop.call_later(HEAD_SECONDS, self._process_keepalive)
        self.is_last = manager.ending
        if not manager.has_room():
            transport.write(error_bytes(_TOO_MANY, manager.next_id()))
            self.force_close()

    def begin(self, client: Client | None) -> None:
        """The library has read a request off the wire; None for a client whose leaving is nothing to anybody."""
        self._in_call, self.client = True, client
        self._disarm()

    def finish(self) -> None:
        """The call is over; what arrives next is a new head. The library, which has it now, writes past us."""
        self.go()
        self._in_call, self.client = False, None
        self._read_on()
        if not self._messages:
            self._begun = b""
            del self._unnamed[:-LONGEST_TARGET]  # a head may have begun
        self._idle_since = self._loop.time()
        if self._lane is not None:
            self._lane.returned()

    def answered(self) -> None:
        """A call of the quick lane is over."""
        self._idle_since = self._loop.time()
        client, lane = self.client, self._lane
        if client is None or lane is None:  # it has gone
            return
        self.client = None
        if client.keeps and not client.gone:
            lane.go_on()
            return
        self.go()
        if self.transport is not None and (client.gone or not lane.let_pass()):
            self.transport.close()

    def send(self, data: bytes) -> bool:
        """Send bytes, in this turn of the loop, and at once where they are many: only what has been written is known to wait
        for the client. False where that has gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if self._unsent:
            data = self._unsent + data
        else:
            self._outbox.put(self)
        self._unsent = data
        if len(data) > MOST_UNSENT_BYTES:
            self.go()
        return True

    def send_now(self, data: bytes) -> bool:
        """Send bytes that no record has to go ahead of, in this step. False where other bytes wait, or the client is slow or gone."""
        transport = self.transport
        if self._unsent or self._paused or transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    def go(self) -> None:
        """Send now what is to be sent in this turn."""
        data, self._unsent = self._unsent, b""
        if data and (transport := self.transport) is not None and not transport.is_closing():
            if self._ahead is not None and self._ahead.turn:
                self._ahead.flush()
            transport.write(data)

    def force_close(self) -> None:
        """Close, once what was sent is out."""
        self.go()
        super().force_close()

    def drained(self) -> Awaitable[None]:
        """Until the client has caught up. Raises ConnectionError where it goes instead."""
        return self._drain_helper()

    def hang_up(self, last_words_seconds: float) -> None:
        """Close: at once, or once what was sent is out, so many seconds later at most."""
        self.go()
        transport = self.transport
        if transport is None:
            return
        if last_words_seconds:
            transport.close()
            self._loop.call_later(last_words_seconds, transport.abort)
        else:
            transport.abort()

    @property
    def is_sending(self) -> bool:
        """Whether its client has not taken all of a reply."""
        return bool(self._unsent or (self.transport is not None and self.transport.get_write_buffer_size()))

    def close_if_idle(self, seconds: float) -> None:
        """Close once no request has come for so long, unless bytes are on their way in or out."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.is_sending:
            return
        if self._is_busy() or self._loop.time() - self._idle_since < seconds:
            return
        if say_goodbye(transport.get_extra_info("socket").fileno()):
            self.force_close()

    def _is_busy(self) -> bool:
        """Whether a request is under way, or has begun to come."""
        return (
            self._in_call
            or self.client is not None
            or self._head_timer is not None
            or (self._lane is not None and self._lane.is_waiting)
        )

    def pass_on(self, data: bytes) -> None:
        """Let the HTTP library read it, which answers past us what is no request, and has ten seconds to be one otherwise."""
        self.go()
        if self._task_handler is None and not (self._close or self._force_close):
            self._parser = self._patient_parser()
            self._task_handler = self._loop.create_task(self.start())
        if self._reads_a_body() or len(self._unnamed) > _MOST_UNNAMED:
            self._unnamed.clear()
        self._unnamed += data
        super().data_received(data)
        self._read_on()
        end_bad_body(self._messages, self._current_request, self.client)
        if self._in_call or self._head_timer is not None:
            self._begun += data[: _LONGEST_BEGINNING - len(self._begun)]
        else:
            self._begun = data[:_LONGEST_BEGINNING]
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._too_slow)

    def _reads_a_body(self) -> bool:
        """Whether what comes next is of the body of the request under way, at least how it begins."""
        request = self._current_request
        return request is not None and not self._messages and not request.content.is_eof()

    def _patient_parser(self) -> HttpRequestParser:
        """One that stops behind each request: the library's own loses those it has read when a bad one follows in the same bytes."""
        return HttpRequestParser(
            self, self._loop, self._read_bufsize, max_line_size=self.max_line_size, max_field_size=self.max_field_size,
            max_headers=self.max_headers, payload_exception=RequestPayloadError, auto_decompress=False, max_msg_queue_size=1,
        )  # fmt: skip

    def _read_on(self) -> None:
        """Have the requests read that stand behind the first."""
        messages, count = self._messages, -1
        while count != len(messages) and not (self._reading_paused or self._buffer_paused):
            count = len(messages)
            if messages and not isinstance(messages[-1][0], RawRequestMessage):  # nothing can be read behind a bad one
                return
            super().data_received(b"")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the call under way that its client has gone."""
        client, self.client = self.client, None
        self._disarm()
        self._begun, self._unnamed = (
            b"",
            bytearray(),
        )  # we and the lane know each other: it may be a while until we are gone
        super().connection_lost(exc)
        if client is not None:
            client.left(client)

    def _process_keepalive(self) -> None:
        """Ten seconds without a call: what has begun a head is too slow; else there is time until the connection is idle.

        The parser alone knows whether a head came behind the last request, in the same bytes.
        """
        self._keepalive_handle = None
        if self._force_close or self._parser is None:
            return
        if self._is_busy():
            self._keepalive_handle = self._loop.call_later(KEEP_ALIVE_SECONDS, self._process_keepalive)
            return
        idle_until = self._idle_since + KEEP_ALIVE_SECONDS
        if self._loop.time() >= idle_until or holds_part_of_a_head(self._parser):
            self.force_close()
        else:
            self._keepalive_handle = self._loop.call_at(idle_until, self._process_keepalive)

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self._in_call:
            self.force_close()

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def is_http(self, target: str) -> bool:
        """Whether a request for this target came as HTTP; the library's parser knows RTSP and ICE by name as well, and lets them pass
        as HTTP of the same version."""
        words = f" {target} ".encode("utf-8", "surrogateescape")
        at = self._unnamed.find(words)
        if at < 0:  # what was read is no head, or came too long ago
            return True
        named = at + len(words)
        is_another = _ANOTHER.match(self._unnamed, named) is not None
        del self._unnamed[:named]
        return not is_another

    def check_version(self) -> None:
        """Raise `BadRequest` when the head named a version of HTTP we do not speak; aiohttp lets some through."""
        if not self.speaks_http_1:
            raise BadRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """Answer what never became a call: a broken head. Nothing of it is repeated or logged."""
        if request.writer.output_size > 0:
            raise ConnectionError("a reply is under way already")
        return head_refused(fault_of(exc), self._begun, cast("Server", self._manager).next_id())
