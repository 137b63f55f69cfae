"""Heads of replies: an upstream's, read field by field or known again by the one before it; ours, written.

A provider's replies begin as its last one did, but for a few values: the date, the length, an id. What has been read
once with all care is kept, and whoever comes with the same lines but for such values says the same but for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from msgspec import Struct

from proxy.wire.headers import RATE_LIMITS, Headers, content_kind, lines_of, reaches_client
from proxy.wire.structs import often_set

# As this is spelled, no two readers can differ on it.
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([2-5][0-9][0-9]) [ -~]*")
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)")
_NEVER_KNOWN = frozenset({"proxy-connection", "trailer", "transfer-encoding", "upgrade"})
# A reply in which one of these differs is another kind of reply.
_FIXED = frozenset({"content-type", "content-encoding", "connection"})
_ASKED_LATER = ("x-generation-id", "content-length")
_LARGEST_KNOWN = 16 * 1024
_MOST_KNOWN = 16
_MOST_TRIES = 16
# a head alone, whatever stands there (RFC 9112 6.3)
WITHOUT_BODY = frozenset({204, 304})
_MOST_LENGTHS = 4096
LENGTH_LINES: dict[int, bytes] = {}
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


@often_set
class ReplyHead(Struct, eq=False):
    """`fields` are the first values by lower-case name, `passing` those headers that reach the client.

    `kind` says what can be read of the body ("events", "json" or ""), `encoding` how that is encoded. `has_end`: the body does
    not go on until the connection ends. `tells_limits`: it has headers of the provider's own limits. Of a head that was known
    its `size` in bytes, with the blank line.
    """

    fields: dict[str, str]
    passing: Headers
    kind: str = ""
    encoding: str = ""
    has_end: bool = True
    lines: bytes | None = None
    status: int = 0
    size: int = 0
    tells_limits: bool = False

    @property
    def block(self) -> bytes:
        """Those that reach the client as lines, each with its end."""
        if self.lines is None:
            self.lines = lines_of(self.passing)
        return self.lines

    def rest(self) -> ReplyHead:
        """What is asked for once it is out: a long stream need not keep more."""
        kept: dict[str, str] = {name: self.fields[name] for name in _ASKED_LATER if name in self.fields}
        return ReplyHead(kept, [], has_end=self.has_end) if kept or not self.has_end else _NOTHING_MORE


_NOTHING_MORE = ReplyHead({}, [])


def read_reply_head(raw: Iterable[tuple[bytes, bytes]], status: int = 0) -> ReplyHead:
    """Headers as they came over the wire, read once. Control characters are taken out of the values that pass."""
    fields, passing = reaches_client(raw)
    encoding = fields.get("content-encoding", "").strip().lower()
    kind = "" if encoding not in ("identity", "") else content_kind(fields.get("content-type", ""))
    has_end = "content-length" in fields or "transfer-encoding" in fields
    tells_limits = not RATE_LIMITS.isdisjoint(fields)
    return ReplyHead(fields, passing, kind, encoding, has_end, None, status, 0, tells_limits)


# A line whose value varies: which it is, the length of what stands before the value, its field (None: not the first of
# its name), and its place among those that pass (-1: none).
_Varying = tuple[int, int, str | None, int]


class _Known(Struct, frozen=True):
    """A head that has been read; of the lines that vary, `lines` has what stands before the value."""

    status: int
    lines: list[str]
    pairs: list[tuple[str, str]]
    varying: list[_Varying]
    head: ReplyHead

    def read(self, lines: list[str], size: int, body_size: int) -> ReplyHead | None:
        """The head of these lines, of so many bytes, where it says the same but for what varies, and that so many bytes of body
        follow. They are changed."""
        fields, passing = self.head.fields.copy(), self.head.passing
        told = ""
        for line, length, name, place in self.varying:
            value = lines[line][length:]
            lines[line] = lines[line][:length]
            told += value
            if name is not None:
                fields[name] = value
            if place >= 0:
                passing = passing[:]
                passing[place] = passing[place][0], value
        if (
            lines != self.lines
            or fields["content-length"] != str(body_size)
            or not (told.isascii() and told.isprintable())
        ):
            return None
        head = self.head
        block = head.block if passing is head.passing else None
        return ReplyHead(fields, passing, head.kind, head.encoding, True, block, self.status, size, head.tells_limits)


class _LastRead:
    """The headers that were read with all care last, and what was made of them."""

    __slots__ = ("_head", "_places", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]], head: ReplyHead) -> None:
        self._raw = raw
        self._head = head
        self._places: list[tuple[str | None, int]] = []  # of each header, as with what varies; worked out when one does

    def again(self, raw: list[tuple[bytes, bytes]], status: int) -> ReplyHead | None:
        """The head of these, where they are the same but for plain values of headers that decide nothing."""
        head = self._head
        if len(raw) != len(self._raw) or status != head.status:
            return None
        if raw == self._raw:
            return head
        fields, passing, at = head.fields, head.passing, -1
        for pair, before in zip(raw, self._raw, strict=True):
            at += 1
            if pair == before:
                continue
            value = pair[1].decode("latin-1")
            if pair[0] != before[0] or not (value.isascii() and value.isprintable()):
                return None
            fields = fields.copy() if fields is head.fields else fields
            name, place = self._place(at)
            if name in _FIXED:
                return None
            if name is not None:
                fields[name] = value
            if place >= 0:
                passing = passing[:]
                passing[place] = passing[place][0], value
        block = head.block if passing is head.passing else None
        return ReplyHead(fields, passing, head.kind, head.encoding, head.has_end, block, status, 0, head.tells_limits)

    def _place(self, at: int) -> tuple[str | None, int]:
        if not self._places:
            seen, passed = set[str](), 0
            for name, _ in self._raw:
                low, passes = name.decode("latin-1").lower(), bool(reaches_client([(name, b"")])[1])
                self._places.append((None if low in seen and low not in _FIXED else low, passed if passes else -1))
                seen.add(low)
                passed += passes
            if passed != len(self._head.passing):  # `Connection` names some of them
                self._places = [("connection", -1)] * len(self._raw)
        return self._places[at]


class KnownHeads:
    """The heads of one origin's replies that say how long their body is, by how many lines they have; and of others the last one.

    Of the reply that was known last: how it `begins`, the size of its body, and its head. One with the same bytes in front and a
    body of the same size has that head.
    """

    __slots__ = ("_known", "_last_read", "_tries", "begins", "body_size", "last")

    def __init__(self) -> None:
        self._last_read = _LastRead([], _NOTHING_MORE)
        self._known: dict[int, _Known] = {}
        self._tries = self.body_size = 0
        self.begins = b""
        self.last = _NOTHING_MORE

    def of(self, data: bytes) -> ReplyHead | None:
        """The head of the reply that `data` is, where that is known and all of its body is there, and nothing else."""
        end = data.find(b"\r\n\r\n") if self._known else -1
        if end < 0:
            return None
        text = data[:end].decode("latin-1")
        lines = text.split("\r\n")
        known = self._known.get(len(lines))
        if (
            known is None or " \r\n" in text or ":  " in text or text[-1] == " "
        ):  # spaces around a value are not its own
            return None
        head = known.read(lines, end + 4, len(data) - end - 4)
        if head is not None:
            self._tries -= self._tries > 0
            self.begins, self.body_size, self.last = data[: end + 4], len(data) - end - 4, head
        return head

    def read(self, raw: list[tuple[bytes, bytes]], status: int) -> ReplyHead:
        """The head of these headers, as they came over the wire."""
        head = self._last_read.again(raw, status)
        if head is None:
            head = read_reply_head(raw, status)
            if sum([len(name) + len(value) for name, value in raw]) <= _LARGEST_KNOWN:
                self._last_read = _LastRead(raw, head)
        return head

    def learn(self, data: bytes) -> None:
        """Take a reply that was read with all care and ended where `data` does."""
        end = data.find(b"\r\n\r\n")
        if self._tries >= _MOST_TRIES or not 0 < end <= _LARGEST_KNOWN:
            return
        self._tries += 1
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        status, found = _STATUS_LINE.fullmatch(first), [_LINE.fullmatch(line) for line in lines]
        pairs = [(match[1], match[2]) for match in found if match is not None]
        if status is None or len(pairs) < len(lines) or not _is_plain(int(status[1]), pairs, len(data) - end - 4):
            return
        before = self._known.get(1 + len(lines))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[1 + len(lines)] = _known(int(status[1]), [first, *lines], pairs, before)


def _is_plain(status: int, pairs: list[tuple[str, str]], size: int) -> bool:
    """Whether its framing is a length, told once, and the connection stays."""
    names = [name.lower() for name, _ in pairs]
    told = dict(zip(names, [value for _, value in pairs], strict=True))
    if status in WITHOUT_BODY or names.count("content-length") != 1 or not _NEVER_KNOWN.isdisjoint(names):
        return False
    stays = names.count("connection") <= 1 and told.get("connection", "keep-alive").lower() == "keep-alive"
    return stays and told["content-length"] == str(size)


def _known(status: int, lines: list[str], pairs: list[tuple[str, str]], before: _Known | None) -> _Known:
    """What is known after this head and the one before it: what has differed once, varies."""
    names = [name.lower() for name, _ in pairs]
    varies = {names.index("content-length")}
    if before is not None and before.lines[0] == lines[0] and [n for n, _ in before.pairs] == [n for n, _ in pairs]:
        differ = {at for at, line in enumerate(before.lines[1:]) if line != lines[at + 1]}
        if _FIXED.isdisjoint(names[at] for at in differ):
            varies |= differ
    head = read_reply_head([(name.encode(), value.encode()) for name, value in pairs])
    passed = [at for at, name in enumerate(names) if reaches_client([(name.encode(), b"")])[1]]
    varying: list[_Varying] = []
    for at in sorted(varies):
        field = names[at] if names.index(names[at]) == at else None
        varying.append((at + 1, len(names[at]) + 2, field, passed.index(at) if at in passed else -1))
    kept = [f"{pairs[at - 1][0]}: " if at - 1 in varies else line for at, line in enumerate(lines)]
    return _Known(status, kept, pairs, varying, head)


def reply_head(status: int, lines: bytes, now: int) -> bytes:
    """The head of a reply at the UTC epoch second `now`, of its other lines. Statuses without a name of their own have an
    empty one."""
    first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"".join((first, lines, _date_and_end(now)))


def whole_reply(status: int, lines: bytes, body: bytes, now: int) -> bytes:
    """The same with its body, the length of which it says."""
    first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    size = len(body)
    length = LENGTH_LINES.get(size) or length_line(size)
    return b"".join((first, lines, length, _date_and_end(now), body))  # a format takes twice as long


def length_line(size: int) -> bytes:
    """The line that says how long a body is; kept in `LENGTH_LINES`, as one of them takes a third of what it takes to write it."""
    if len(LENGTH_LINES) >= _MOST_LENGTHS:
        LENGTH_LINES.clear()
    line = LENGTH_LINES[size] = b"Content-Length: %d\r\n" % size
    return line


@lru_cache(maxsize=2)
def _date_and_end(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
