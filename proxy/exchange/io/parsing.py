"""Replies of one connection, parsed as they come: llhttp, and the states around it. Nothing is decoded but heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.exchange.io.response import NotHttp, Response
from proxy.wire.chunks import END

if TYPE_CHECKING:
    from proxy.exchange.io.http1 import Connection

LARGEST_HEAD_BYTES = 256 * 1024
MOST_HEADERS = 512
MOST_INTERIM_REPLIES = 64

_STATUSES = range(200, 600)
_BEGINNINGS = b"HTTP/1.1 ", b"HTTP/1.0 "
_HEAD_END = b"\r\n\r\n"


class Parsing:
    """Reads one reply after the other. `head_bytes`: what has come of a head; `has_news`: there is something for its reader."""

    __slots__ = (
        "_begun",
        "_connection",
        "_headers",
        "_in_interim",
        "_interim",
        "_parser",
        "has_news",
        "head_bytes",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._begun = bytearray()  # from where the head begins that is not whole yet
        self._interim = self.head_bytes = 0
        self._in_interim = self.has_news = False

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        connection = self._connection
        connection.streaming = None
        if connection.response is None:
            self._begun += data
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail()
        if not data.endswith(END):  # another chunk has begun
            connection.streaming = None
        if connection.response is None:
            self.head_bytes += len(data)
            if self.head_bytes > LARGEST_HEAD_BYTES:
                self._fail()

    def _fail(self) -> None:
        """This is no reply."""
        self.has_news = True
        self._connection.fail(NotHttp())

    def on_message_begin(self) -> None:
        """A head begins: the first, one after an interim reply, or one nobody asked for."""
        if self._connection.response is not None:
            self._connection.free = None
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if self._connection.response is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole. Interim replies (RFC 9110 15.2) are passed over; 101 is an answer to nothing we ask.

        llhttp takes other versions for replies as well, and RTSP and ICE.
        """
        connection = self._connection
        if connection.response is not None:
            return
        if not self._begun.startswith(_BEGINNINGS):
            raise NotHttp
        status = self._parser.get_status_code()
        self._in_interim = 100 <= status < 200 and status != 101
        if self._in_interim:
            self._interim += 1
            self._begun = self._begun.partition(_HEAD_END)[2]
            if self._interim > MOST_INTERIM_REPLIES:
                raise NotHttp
            return
        if status not in _STATUSES or len(self._headers) > MOST_HEADERS:
            raise NotHttp
        head, self.has_news = connection.heads.read(self._headers, status), True
        if head.fields.get("transfer-encoding", "chunked").strip().lower() != "chunked":  # nobody asked for any other
            raise NotHttp
        connection.response = Response(connection, status, head)
        self._headers, self._begun = [], bytearray()  # of no more use, however long the stream
        if connection.method == "HEAD":
            self._end(connection.response)

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which may pass, but not by bytes that wait. A reader that lags stops us reading."""
        response = self._connection.response
        if response is not None and (sink := response.sink) is not None and sink.body(body):
            return
        self.has_news = True
        if response is None or response.ended:
            self._connection.free = None
        elif response.receive(body):
            self._connection.lag()

    def on_chunk_header(self) -> None:
        """A chunk has begun."""
        self._connection.streaming = None

    def on_chunk_complete(self) -> None:
        """It has ended."""
        self._connection.streaming = self._connection.response

    def on_message_complete(self) -> None:
        """The reply is whole, or an interim one has passed."""
        response, self._connection.streaming = self._connection.response, None
        if response is not None and not self._in_interim:
            self.has_news = True
            self._end(response)

    def _end(self, response: Response) -> None:
        response.ended = True
        self.head_bytes = self._interim = 0
        if not self._parser.should_keep_alive():
            self._connection.free = None
