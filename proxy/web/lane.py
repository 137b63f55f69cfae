"""The quick lane: requests as nearly all clients send them, framed here and answered past the HTTP library.

Quick is what is plain: a head that the library has read twice before, byte for byte but for its credential, the length of its
body and what only passes, and a body in hand within a second, or too large for that. The library reads everything else; what is
then done is the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any, Protocol

from proxy.exchange.io.stepper import Outbox
from proxy.web.upload import Upload
from proxy.wire.request_head import HeadParts, parted

# Larger bodies are read once their call has its turn, within the bounds on all that are read at once.
LARGEST_BODY = 64 * 1024
LARGEST_HEAD = 16 * 1024
PATIENCE_SECONDS = 1.0
_MOST_DIGITS = 16

_LENGTHS = b"\r\nContent-Length: ", b"\r\ncontent-length: ", b"\r\nContent-length: "  # the last one by urllib and ab
_LENGTH_BEGINS = len(_LENGTHS[0])
_NOTHING = b"", 0, 0
_PLAIN = re.compile(rb"[A-Z]{3,7} /[!-~]* HTTP/1\.[01]\r\n")
_PRINTED = re.compile(rb"[\t -~\x80-\xff]*")
_LAST = re.compile(rb"\r\nConnection:[^\r]*close", re.IGNORECASE)
_FRAMED_OTHERWISE = re.compile(rb"\r\n(?:Transfer-Encoding|Expect|Upgrade|Content-Length)[ \t]*:", re.IGNORECASE)


class Ahead(Protocol):
    """What is to be written down before anything goes out to clients (stores/journal/journal.py): in this `turn` of the loop."""

    @property
    def turn(self) -> Sequence[object]:
        """What is not yet."""

    def flush(self) -> None:
        """Write it down."""


class Line(Protocol):
    """What answers requests (web/client/api.py). `hasher` has the key of the digests, by which heads are known without anything
    of them being kept; a copy of one that has it is quicker than a new one."""

    hasher: blake2b
    ahead: Ahead
    outbox: Outbox

    def next_id(self) -> str:
        """The id of a request, which no other has."""

    def known(self, digest: bytes, body_bytes: int) -> Any:
        """Who sends the head of this digest, credential and all, if a request of theirs with so much of a body may be
        answered; else None."""

    def recognised(self, digest: bytes, of_all: bytes, parts: HeadParts, body_bytes: int, begins: bool) -> Any:
        """The same by the digest of the outline of a head with these parts. Where it came before with the same values, it is `known` by
        that `of_all` the next time; that a call `begins` makes it one that came."""

    def begin(self, connection: Any, sender: Any, body: bytes | Upload) -> None:
        """Answer."""


class HttpConnection(Protocol):
    """The connection (web/connection.py)."""

    transport: asyncio.Transport | None

    def pass_on(self, data: bytes) -> None:
        """Let the HTTP library read it."""


class State(Enum):
    """Who has what comes: this lane, waiting for the rest of a request or not, a call of it under way, the library for one
    request, the library for good."""

    OPEN = 1
    WAITING = 2
    BUSY = 3
    LENT = 4
    CLOSED = 5


_OPEN, _BUSY = State.OPEN, State.BUSY  # every call looks, and an enumeration's members are slow to get at


class Lane:
    """Of one connection. `outline`: that of the head of the plain request that the library has, as a digest, and the values it lacks;
    None where it has another."""

    __slots__ = (
        "_behind", "_connection", "_digest", "_expected", "_hasher", "_late", "_left", "_length", "_line", "_mark", "_state", "_until",
        "_upload", "_waiting", "outline"
    )  # fmt: skip

    def __init__(self, connection: HttpConnection, line: Line) -> None:
        self.outline: tuple[bytes, tuple[bytes, ...]] | None = None
        self._connection = connection
        self._line = line
        self._hasher = line.hasher
        self._state = _OPEN
        self._length = _LENGTHS[0] + b"%d\r\n"  # as this client spells it
        # Of the last head, and its digest, which takes ten times as long: a key of the interpreter's own is in the mark, and whoever
        # is on this connection has been let in by that head.
        self._mark, self._digest = 0, b""
        self._waiting = b""
        self._behind = b""
        self._left = 0
        self._expected = _NOTHING
        self._until = 0.0  # so long the rest of the request that has begun to come is waited for
        self._late: asyncio.TimerHandle | None = None
        self._upload: Upload | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether part of a request has come."""
        return bool(self._waiting or self._behind)

    def receive(self, data: bytes) -> None:
        """Bytes have come: mostly all of a request whose head is known."""
        if self._state is not _OPEN:
            self._receive_more(data)
            return
        end = data.find(b"\r\n\r\n") + 4
        body_bytes = len(data) - end
        head = data[:end].replace(self._length % body_bytes, b"\r\n", 1)
        if len(head) < end:
            if (mark := hash(head)) != self._mark:
                self._mark, self._digest = mark, self._digest_of(head)
            sender = self._line.known(self._digest, body_bytes)
            if sender is not None:
                self._state = _BUSY
                self._line.begin(self._connection, sender, data[end:])
                return
        self._read(data)

    def _receive_more(self, data: bytes) -> None:
        if self._state is State.WAITING:
            data, self._waiting, self._state = self._waiting + data, b"", _OPEN
            digest, end, length = self._expected
            sender = self._line.known(digest, length) if len(data) == end + length else None
            if sender is None:
                self._read(data)
            else:
                self._begin(sender, data[end:], b"")
        elif self._state is _BUSY:
            self._behind += data
            if len(self._behind) > LARGEST_BODY and self._connection.transport is not None:
                self._connection.transport.pause_reading()
        else:
            self._left -= len(data)
            if self._left < 0:  # more than the request it was lent for
                self._state = State.CLOSED
            self._connection.pass_on(data)

    def let_pass(self) -> bool:
        """The connection is to end; False where nothing of a body is still to come."""
        if self._upload is None or not self._upload.unread:
            return False
        self._upload.let_pass()
        return True

    def go_on(self) -> None:
        """The call under way is over."""
        if self._upload is not None:
            if self.let_pass():
                return
            self._upload = None
        if self._behind:  # in a turn of its own, as there may be many
            asyncio.get_running_loop().call_soon(self._catch_up)
        else:
            self._state = _OPEN

    def returned(self) -> None:
        """The library has served a request; the next may be plain again where it was read to its end, and no further."""
        self.outline = None
        if self._state is State.LENT:
            self._state = State.CLOSED if self._left else _OPEN

    def _catch_up(self) -> None:
        data, self._behind = self._behind, b""
        self._state = _OPEN
        if self._connection.transport is not None:
            self._connection.transport.resume_reading()
            self.receive(data)

    def _read(self, data: bytes) -> None:
        """A request of any other kind, or part of one."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._wait(data)
            return
        head, length = self._split_length(data, end)
        if (mark := hash(head)) != self._mark:
            self._mark, self._digest = mark, self._digest_of(head)
        digest, left = self._digest, end + length - len(data)
        begins = left <= 0 or length > LARGEST_BODY
        sender = self._line.known(digest, length) or self._recognised(head, digest, length, begins)
        if sender is None or (left < 0 and _LAST.search(head)):  # nothing may stand behind the last one
            self._lend(data, head, left)
        elif left == 0:
            self._begin(sender, data[end:], b"")
        elif left < 0:
            self._begin(sender, data[end:left], data[left:])
        elif length > LARGEST_BODY:
            self._upload = Upload(self._connection, length, data[end:])
            self._begin(sender, self._upload, b"")
        else:
            self._wait(data, (digest, end, length))

    def _begin(self, sender: Any, body: bytes | Upload, behind: bytes) -> None:
        self._state, self._behind, self._until = _BUSY, behind, 0.0
        self._line.begin(self._connection, sender, body)

    def _split_length(self, data: bytes, end: int) -> tuple[bytes, int]:
        """The head up to `end` less the length of its body, as it is usually spelled, and the length; 0 where none is told.

        What is spelled otherwise stays in the head, which is then not plain.
        """
        for spelled in _LENGTHS:
            at = data.find(spelled, 0, end)
            if at >= 0:
                begins = at + _LENGTH_BEGINS
                line_end = data.find(b"\r\n", begins)
                digits = data[begins:line_end]
                if not digits.isdigit() or line_end - begins >= _MOST_DIGITS:
                    break
                self._length = spelled + b"%d\r\n"
                return data[:at] + data[line_end:end], int(digits)
        return data[:end], 0

    def _recognised(self, head: bytes, digest: bytes, length: int, begins: bool) -> Any:
        """The sender of a head whose outline is known; `digest` is that of all of it."""
        parts = parted(head)
        if not _PRINTED.fullmatch(parts.credential):  # nobody has read it yet, and the library refuses what controls
            return None
        return self._line.recognised(self._digest_of(parts.outline), digest, parts, length, begins)

    def _digest_of(self, head: bytes) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(head)
        return hasher.digest()

    def _lend(self, data: bytes, head: bytes, left: int) -> None:
        """The library is to read this request, of whose body so many bytes are still to come."""
        self._until = 0.0
        is_plain = _PLAIN.match(head) and not _FRAMED_OTHERWISE.search(head) and left >= 0
        self._state = State.LENT if is_plain else State.CLOSED
        self.outline, self._left = None, left
        if is_plain:
            parts = parted(head)
            self.outline = self._digest_of(parts.outline), parts.values
        self._connection.pass_on(data)

    def _wait(self, data: bytes, expected: tuple[bytes, int, int] = _NOTHING) -> None:
        """For the rest: `expected` is the digest of a head that is known, where it ends, and how long the body is."""
        if not data:  # so the library asks for more when it has made room, which may be after its request
            return
        if len(data) > LARGEST_HEAD + LARGEST_BODY:
            self._give_up(data)
            return
        self._waiting, self._expected, self._state = data, expected, State.WAITING
        loop = asyncio.get_running_loop()
        self._until = self._until or loop.time() + PATIENCE_SECONDS
        if self._late is None:
            self._late = loop.call_at(self._until, self._look)

    def _look(self) -> None:
        """A second after a wait began: one timer serves many of them, one after the other."""
        self._late, loop = None, asyncio.get_running_loop()
        if self._state is State.WAITING and self._connection.transport is not None:
            if loop.time() >= self._until:
                self._give_up(self._waiting)
            else:
                self._late = loop.call_at(self._until, self._look)

    def _give_up(self, data: bytes) -> None:
        """What takes so long is the library's."""
        self._waiting, self._state = b"", State.CLOSED
        self._connection.pass_on(data)
