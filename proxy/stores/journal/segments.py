"""The journal's files: their names, and reading them whatever state they are in.

Behind bytes that are no frame, reading goes on at the next one that is whole and a record of ours. Payloads hold texts of
clients, who could write something that looks like one: within a text all is UTF-8, and so is no record of ours that says what
was spent. Whatever is UTF-8 throughout is passed over, and what begins in a text and ends behind it can be none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

from msgspec import Struct

from proxy.stores.journal.frames import HEADER, MOST_PAYLOAD, Unreadable, checksum, unframed
from proxy.stores.journal.records import Record

Tail = Literal["", "torn", "garbage"]

_INCOMPLETE = "the last record is incomplete"
_BUFFER = 256 * 1024
_TAGS = "|".join(str(kind.__struct_config__.tag) for kind in get_args(Record))
_BEGIN = re.compile(rb"(?:[\x91-\x9f]|\xdc..)[\xa1-\xbf](?:%b)" % _TAGS.encode(), re.DOTALL)  # an array's, with its tag
_NAME = re.compile(r"(?:[0-9]{8}|[1-9][0-9]{8,17})\.log", re.ASCII)  # as `segment_path` spells a number below 2**63


class Position(NamedTuple):
    """The place after a record: everything before it is covered."""

    segment: int
    offset: int


START = Position(0, 0)


class Problem(Struct, frozen=True):
    """Something in the journal that could not be read, and where."""

    segment: int
    offset: int
    what: str

    def __str__(self) -> str:
        """One line for the log."""
        return f"journal segment {self.segment:08d}.log at byte {self.offset}: {self.what}"


def segment_path(directory: Path, number: int) -> Path:
    """Where segment `number` is kept."""
    return directory / f"{number:08d}.log"


def segment_numbers(directory: Path) -> list[int]:
    """The segments on disk, oldest first; none where there is no directory yet."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if _NAME.fullmatch(name))


class Scan:
    """Reads one segment. Afterwards `end` is the offset behind the last whole frame and `tail` what is there besides.

    "torn" is what a write that was cut short leaves at the very end; "garbage" is everything else, wherever it stands.
    """

    def __init__(self, path: Path, number: int, offset: int = 0, until: int | None = None) -> None:
        """Read from `offset`, at most to the offset `until`."""
        self.end = offset
        self.tail: Tail = ""
        self.problems: list[Problem] = []
        self._path = path
        self._number = number
        self._until = until

    @property
    def position(self) -> Position:
        """The place behind the last whole frame."""
        return Position(self._number, self.end)

    def __iter__(self) -> Iterator[tuple[Position, Record]]:
        """The records, each with the position behind it."""
        try:
            with self._path.open("rb", buffering=_BUFFER) as file:
                yield from self._records(file)
        except OSError as error:
            self._spoilt("garbage", f"cannot be read ({error.strerror})")

    def _records(self, file: BinaryIO) -> Iterator[tuple[Position, Record]]:
        size = os.fstat(file.fileno()).st_size
        size = size if self._until is None else min(size, self._until)
        file.seek(self.end)
        while (payload := self._payload(file, size)) is not None:
            self.end += HEADER.size + len(payload)
            try:
                record = unframed(payload)
            except Unreadable as error:
                self.problems.append(Problem(self._number, self.end, f"a record this version does not know ({error})"))
                if error.hold is None:
                    continue
                record = error.hold
            yield self.position, record

    def _payload(self, file: BinaryIO, size: int) -> bytes | None:
        """That of the next frame, also where bytes lie before it that are none."""
        found = self._here(file, size)
        if not isinstance(found, tuple):
            return found
        further = _next_frame(file, self.end + 1, size)
        if further is None:
            self._spoilt(*found)
            return None
        at, payload = further
        self._spoilt("garbage", f"{at - self.end} bytes that are no record; those behind them were read")
        self.end = at
        file.seek(at + HEADER.size + len(payload))
        return payload

    def _here(self, file: BinaryIO, size: int) -> bytes | tuple[Tail, str] | None:
        """The payload of the frame that begins here, or what is wrong with it; None at the end."""
        left = size - self.end - HEADER.size
        if left <= 0:
            return ("torn", _INCOMPLETE) if left > -HEADER.size else None
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:  # it was cut back while we read
            return "torn", _INCOMPLETE
        length, expected = HEADER.unpack(header)
        payload = file.read(min(length, left)) if length <= MOST_PAYLOAD else b""
        if length <= min(left, MOST_PAYLOAD) and checksum(payload) == expected:
            return payload
        if length <= MOST_PAYLOAD and (length >= left or _only_zeros(file)):
            return "torn", _INCOMPLETE
        return "garbage", "bytes that are no record"

    def _spoilt(self, tail: Tail, what: str) -> None:
        self.tail = self.tail if self.tail == "garbage" else tail
        self.problems.append(Problem(self._number, self.end, what))


def _next_frame(file: BinaryIO, start: int, size: int) -> tuple[int, bytes] | None:
    """Where the first whole record behind `start` has its frame, and its payload."""
    file.seek(start)
    rest = file.read(max(0, size - start))
    for begin in _BEGIN.finditer(rest, HEADER.size):
        at = begin.start() - HEADER.size
        length, expected = HEADER.unpack_from(rest, at)
        payload = rest[begin.start() : begin.start() + min(length, MOST_PAYLOAD)]
        if len(payload) == length and checksum(payload) == expected and _is_record(rest[at : begin.start() + length]):
            return start + at, payload
    return None


def _is_record(frame: bytes) -> bool:
    """Whether it is one of ours, and not such as a client may have written into a text."""
    try:
        unframed(frame[HEADER.size :])
    except Unreadable:
        return False
    try:
        frame.decode()
    except UnicodeDecodeError:
        return True
    return False


def _only_zeros(file: BinaryIO) -> bool:
    """What a file system may leave behind the last whole write after a power cut."""
    while block := file.read(_BUFFER):
        if block.count(0) != len(block):
            return False
    return True


class Reader:
    """Every readable record behind `after`, up to `until`. Never raises for what it reads.

    `problems` has what was not readable; `last` is the scan of the newest segment, once it is reached;
    `from_start` is False when the segment of `after` is gone, and with it what else it had.
    A torn tail of the newest segment is no problem: it was never acknowledged.
    """

    def __init__(self, directory: Path, after: Position = START, until: Position | None = None) -> None:
        """Nothing is read before the first record is asked for."""
        self.problems: list[Problem] = []
        self.last: Scan | None = None
        self.from_start = True
        self._directory = directory
        self._after = after
        self._until = until

    def __iter__(self) -> Iterator[tuple[Position, Record]]:
        """The records, oldest first, each with the position behind it."""
        expected = self._after.segment
        numbers = self._numbers()
        self.from_start = not expected or expected in numbers
        for number in numbers:
            if number > expected + 1 and expected > 0:
                self.problems.append(Problem(expected + 1, 0, "the segment is missing"))
            if self.last is not None:
                self.problems.extend(self.last.problems)
            self.last = self._scan(number)
            yield from self.last
            expected = number
        if self.last is not None:
            self.problems.extend(self.last.problems[: -1 if self.last.tail == "torn" else None])

    def _numbers(self) -> list[int]:
        numbers = segment_numbers(self._directory)
        return [n for n in numbers if n >= self._after.segment and (self._until is None or n <= self._until.segment)]

    def _scan(self, number: int) -> Scan:
        offset = self._after.offset if number == self._after.segment else 0
        until = self._until.offset if self._until is not None and number == self._until.segment else None
        return Scan(segment_path(self._directory, number), number, offset, until)
