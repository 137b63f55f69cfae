"""Writing segments: records as frames, whole or not at all, in files of bounded size."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EBADF, ENOSPC
from os import write
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from proxy.stores.journal.frames import HEADER, LENGTH, checksum
from proxy.stores.journal.records import MOST_INT, Hold, Record, Settled
from proxy.stores.journal.replay import Replayed
from proxy.stores.journal.segments import Position, segment_numbers, segment_path
from proxy.stores.journal.sync import Syncer

_STRIDE = 2**20  # so much is put without a look
_USUAL_PAYLOAD = 2**12  # and no longer
_LONG_PAYLOAD = 2**16
_LONG_TEXT = 1000
_HEADED = HEADER.pack
_ENCODE_INTO = msgspec.msgpack.Encoder().encode_into


class OverLimit(OSError):
    """The journal has taken all it may."""


class SegmentRules(Struct, frozen=True):
    """How large one segment gets, and what all of them may take without a look at what is allowed to whom."""

    segment_bytes: int
    usual_bytes: int


class SegmentWriter:
    """Not safe for threads: the journal's lock is around every call. Nothing is opened before the first frame.

    `segment` is the one that is written, up to `offset`; before another is begun, and now and then, `note` is called.
    """

    def __init__(self, directory: Path, rules: SegmentRules, replayed: Replayed, syncer: Syncer) -> None:
        """Go on where `replayed` ended, in the same segment if that can be trusted."""
        self.note: Callable[[], object] = _nobody
        self.segment, self.offset = max(replayed.end, replayed.after)
        self._sizes = {n: segment_path(directory, n).stat().st_size for n in segment_numbers(directory)}
        self._others_bytes = sum(self._sizes.values())
        self._directory = directory
        self._rules = rules
        self._syncer = syncer
        self._resume = replayed.end if _can_go_on(replayed, rules.segment_bytes) else None
        self._fd = -1
        self._is_closed = False
        self._room = -1  # the offset up to which frames can be put without a further look
        self._trouble = OSError()  # why the last one was not

    @property
    def end(self) -> Position:
        """The place behind the last frame."""
        return Position(self.segment, self.offset)

    @property
    def size_bytes(self) -> int:
        """What all segments take."""
        return self._others_bytes + (self.offset if self._fd >= 0 else 0)

    @property
    def segments(self) -> list[int]:
        """All there are, oldest first."""
        return list(self._sizes)

    def put(self, frame: bytes) -> int:
        """One write, or none: what came out short is cut back, else its segment is left. How long it is; 0, and none, also
        where that takes a further look."""
        length = len(frame)
        end = self.offset + length
        if end > self._room:
            return 0
        try:
            if write(self._fd, frame) < length:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError as error:
            self._trouble = error
            self._cut_back()
            return 0
        syncer = self._syncer
        self.offset = syncer.offset = end
        if syncer.is_asleep:
            syncer.wake()
        return length

    def put_with_care(self, frame: bytes, most_bytes: int | None = None) -> None:
        """The same with that look: whether all segments take no more than `most_bytes`, or the usual. Raises OSError."""
        length = len(frame)
        self.check_room(length, most_bytes)
        if self._fd < 0 or (self.offset and self.offset + length > self._rules.segment_bytes):
            self._next_segment()
        else:
            self.note()
        room = min(self._rules.segment_bytes, self._rules.usual_bytes - self._others_bytes, self.offset + _STRIDE)
        self._room = max(room, self.offset + length)
        if not self.put(frame):
            raise self._trouble

    def check_room(self, length: int, most_bytes: int | None = None) -> None:
        """Raise `OverLimit` where so much more would be more than `most_bytes`, or the usual."""
        if self.size_bytes + length > (self._rules.usual_bytes if most_bytes is None else most_bytes):
            raise OverLimit

    def leave(self, number: int) -> bool:
        """Go on in a new segment; False if `number` is not the one being written."""
        if self._fd < 0 or self.segment != number:
            return False
        self._retire()
        return True

    def gone(self) -> list[int]:
        """The segments that were removed, or replaced under us; in the one being written nothing is kept any more."""
        return [] if self._is_closed else [number for number in self._sizes if not self._is_there(number)]

    def _is_there(self, number: int) -> bool:
        try:
            found = os.stat(segment_path(self._directory, number), follow_symlinks=False)
        except OSError:
            return False
        ours = os.fstat(self._fd) if self._fd >= 0 and number == self.segment else found
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def drop(self, number: int) -> None:
        """A segment was removed."""
        self._others_bytes -= self._sizes.pop(number)

    def close(self) -> None:
        """Write nothing more and miss nothing: what is removed or made from now on may be by the next daemon."""
        self._is_closed = True
        self._retire()

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.offset)
        except OSError:
            self._retire()

    def _next_segment(self) -> None:
        if self._is_closed:
            raise OSError(EBADF, os.strerror(EBADF))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        resume, self._resume = self._resume, None
        fd = self._created() if resume is None else self._reopened(resume)
        self._retire()
        self.note()
        self._fd, (self.segment, self.offset) = fd, resume or (max(self._sizes), 0)
        self._others_bytes -= self._sizes[self.segment]
        self._syncer.opened(fd, self.end)

    def _reopened(self, resume: Position) -> int:
        fd = os.open(segment_path(self._directory, resume.segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, resume.offset)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _created(self) -> int:
        number = max(self.segment, *segment_numbers(self._directory), 0) + 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(segment_path(self._directory, number), flags, 0o600)
        self._sizes[number] = 0
        return fd

    def _retire(self) -> None:
        if self._fd >= 0:
            self._syncer.retired(self._fd)
            self._sizes[self.segment] = self.offset
            self._others_bytes += self.offset
            self._fd = self._room = -1


def _nobody() -> None:
    """Nobody has asked to be told."""


def _can_go_on(replayed: Replayed, segment_bytes: int) -> bool:
    """A last segment with garbage is left as it is; one the ledger is ahead of lost its end in a power cut."""
    end = replayed.end
    return end.segment > 0 and end >= replayed.after and replayed.tail != "garbage" and end.offset < segment_bytes


_of_lengths: dict[int, int] = {}  # the checksum of each, worked out once


def framed(record: Record) -> bytes:
    """The record as it stands in a segment. Never fails for what a client or an upstream may have sent."""
    return framed_in(record, bytearray())


def framed_in(record: Record, payload: bytearray) -> bytes:
    """The same, put together in a place that is not made anew for each: where it was as long before, it need not grow."""
    try:
        _ENCODE_INTO(record, payload)
    except (UnicodeEncodeError, OverflowError):
        _ENCODE_INTO(_tamed(record), payload)
    length, is_too_much = len(payload), False
    if type(record) is Hold:
        is_too_much = record.amount_pusd > MOST_INT  # readers take no larger amount for one
    elif type(record) is Settled:
        row = record.row
        is_too_much = row.cost_pusd > MOST_INT or row.hold_pusd > MOST_INT
    if is_too_much or length > _USUAL_PAYLOAD:
        if is_too_much or length > _LONG_PAYLOAD:
            _ENCODE_INTO(_tamed(record), payload)
        return _HEADED(len(payload), checksum(payload)) + payload
    try:
        of_length = _of_lengths[length]
    except KeyError:
        of_length = _of_lengths[length] = crc32(LENGTH.pack(length))
    return _HEADED(length, crc32(payload, of_length)) + payload


def _tamed(value: object) -> object:
    """The same value without lone surrogates, endless texts and numbers no database column holds."""
    if isinstance(value, str):
        return value[:_LONG_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-MOST_INT, min(value, MOST_INT))
    if isinstance(value, tuple):
        return tuple(_tamed(item) for item in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _tamed(getattr(value, name)) for name in value.__struct_fields__})
    return value
