"""A large body, read by the loop straight into the memory in which it stays: nothing is put together from pieces.

Memory is reserved as bytes come, sixteen times as much as there are at most, and not touched before it is written to.
"""

from __future__ import annotations

import asyncio
import importlib
import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from proxy.errors import InvalidValue, ProxyError
from proxy.exchange.io.stepper import Signal
from proxy.web.body import Room, patience_seconds, too_slow

FIRST_BYTES = 256 * 1024
GROWTH = 16
LINGER_SECONDS = 2.0
_SCRATCH_BYTES = 64 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MOST_FREE_BYTES = 16 * 2**20
_LARGEST_KEPT_BYTES = 8 * 2**20


class Upload(asyncio.BufferedProtocol):
    """Has the connection's bytes until all of the body have come, and not one more; whatever else happens there is `connection`'s.

    Nothing is read before `read`, nor after it has failed: then it stays `unread`, and `let_pass` or the end of the
    connection is due.
    """

    __slots__ = ("_came", "_connection", "_error", "_late", "_loop", "_memory", "_news", "_passes", "_room",
                 "_transport", "_view", "content_length", "size", "unread")  # fmt: skip

    def __init__(self, connection: Any, content_length: int, begun: bytes) -> None:
        """`connection` is the connection's protocol, `begun` what came with the head."""
        self.content_length = content_length
        self.size = len(begun)
        self.unread = True
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._transport: asyncio.Transport = connection.transport
        self._memory = io.BytesIO()
        self._view = memoryview(begun)
        self._room: Room | None = None
        self._error: Exception | None = None
        self._passes = False
        self._news = Signal(self._loop)
        self._late: asyncio.TimerHandle | None = None
        self._came = 0.0
        self._transport.pause_reading()
        self._transport.set_protocol(self)

    async def read(self, room: Room) -> bytes:
        """The body. Raises `RequestTimeout`, `InvalidValue` where the client goes, and what `room` raises."""
        self._room, began = room, self._loop.time()
        self._came = began
        try:
            room.grow(self.size)
            self._watch(began)
            self._transport.resume_reading()
            while self.unread and self._error is None:
                await self._news
            if self._error is not None:
                raise self._error
            return self._memory_taken()
        except BaseException:
            self._transport.pause_reading()
            raise
        finally:
            self._room = None
            self._memory, self._view = io.BytesIO(), memoryview(b"")
            if self._late is not None:
                self._late.cancel()

    def let_pass(self) -> None:
        """Read on for two seconds at most, so that the client comes to read its answer, and close."""
        self._connection.go()
        if self.size >= self.content_length:
            self._transport.close()
            return
        self._passes, self._view = True, memoryview(bytearray(_SCRATCH_BYTES))
        self._loop.call_later(LINGER_SECONDS, self._transport.close)
        self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._passes:
            return self._view
        if self.size == len(self._view):
            self._grow()
        return self._view[self.size :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self.size += nbytes
        self._came = self._loop.time()
        try:
            if self._room is not None:
                self._room.grow(self.size)
        except ProxyError as error:
            self._fail(error)
            return
        if self.size >= self.content_length:
            self._transport.pause_reading()
            self._loop.call_soon(self._whole)  # until it returns, the loop holds on to the memory

    def eof_received(self) -> bool | None:
        """The client says no more."""
        return self._connection.eof_received()  # type: ignore[no-any-return]

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has gone."""
        self._connection.connection_lost(exc)
        self._fail(InvalidValue("The request body is not framed as HTTP/1.1 has it."))

    def pause_writing(self) -> None:
        """Of a reply, which is the connection's."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Of a reply, which is the connection's."""
        self._connection.resume_writing()

    def _whole(self) -> None:
        if self._passes:
            self._transport.close()
            return
        self.unread = False
        self._transport.set_protocol(self._connection)
        self._transport.resume_reading()
        self._news.fire()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._transport.pause_reading()
        self._news.fire()

    def _grow(self) -> None:
        reserved = min(self.content_length, max(FIRST_BYTES, GROWTH * self.size))
        memory = io.BytesIO(_allocator()(reserved))  # which becomes its own, and is not copied
        view = memory.getbuffer()
        view[: self.size] = self._view
        self._view.release()
        self._memory, self._view = memory, view

    def _memory_taken(self) -> bytes:
        self._view.release()
        return self._memory.getvalue()

    def _watch(self, began: float) -> None:
        """See to it that the body keeps coming."""
        now = self._loop.time()
        left = self._came + patience_seconds(self.size, self._came - began) - now
        if left > 0:
            self._late = self._loop.call_later(left, self._watch, began)
        else:
            self._fail(too_slow())


@cache
def _allocator() -> Callable[[int], bytes]:
    """Makes bytes of a length without writing to them, which would be a pass more over memory that is full a moment
    later; zeros in a Python built without ctypes."""
    try:
        ctypes = importlib.import_module("ctypes")
    except ImportError:
        return bytes
    _keep_memory(ctypes)
    make = ctypes.pythonapi.PyBytes_FromStringAndSize
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.c_ssize_t]
    return partial(make, None)


def _keep_memory(ctypes: Any) -> None:
    """Have glibc keep what a large body was in for the next one: by itself it hands it back and asks for it anew with each,
    page by page. Once none has come for a while, all of it is handed back (observe/leftovers.py)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MOST_FREE_BYTES)
