"""The journal's files: their names, and reading them whatever state they are in.

A bad frame ends the reading of its segment, and reading goes on with the next one. It never
searches for the next good frame inside: payloads hold texts of clients, who could write
something that looks like one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from msgspec import Struct

from proxy.stores.frames import HEADER, MOST_PAYLOAD, Unreadable, checksum, unframed
from proxy.stores.records import Record

Tail = Literal["", "torn", "garbage"]

_BUFFER = 256 * 1024
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
    """Reads one segment. Afterwards `end` is the offset behind the last whole frame and `tail` what follows it.

    "torn" is what a write that was cut short leaves at the very end; "garbage" is everything else.
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
        left = size - self.end - HEADER.size
        if left <= 0:
            if left > -HEADER.size:
                self._spoilt("torn", "the last record is incomplete")
            return None
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:  # it was cut back while we read
            self._spoilt("torn", "the last record is incomplete")
            return None
        length, expected = HEADER.unpack(header)
        payload = file.read(min(length, left)) if length <= MOST_PAYLOAD else b""
        if length <= min(left, MOST_PAYLOAD) and checksum(payload) == expected:
            return payload
        if length <= MOST_PAYLOAD and (length >= left or _only_zeros(file)):
            self._spoilt("torn", "the last record is incomplete")
        else:
            self._spoilt("garbage", "bytes that are no record")
        return None

    def _spoilt(self, tail: Tail, what: str) -> None:
        self.tail = tail
        self.problems.append(Problem(self._number, self.end, what))


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


def read(directory: Path, after: Position = START) -> Iterator[tuple[Position, Record]]:
    """Every readable record behind `after`, for callers who can do nothing about the others."""
    return iter(Reader(directory, after))
