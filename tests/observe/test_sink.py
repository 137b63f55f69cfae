"""The log's own thread: lines in order, nobody held up by a sink that blocks, what is lost is counted."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness.faults import small_disk

from proxy.observe.sink import LineSink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Reading end, writing end."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with suppress(OSError):
            os.close(end)


def eventually(fits: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < until
        time.sleep(0.005)


def read_lines(reading: int, count: int) -> list[str]:
    data = b""
    while data.count(b"\n") < count:
        data += os.read(reading, 65536)
    return data.decode().splitlines()


def test_lines_arrive_in_order_whoever_writes_them(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LineSink(writing)
    writers = [
        threading.Thread(target=lambda n=n: [sink.write(f"{n} {i}\n") for i in range(200)])  # type: ignore[misc]
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    lines = read_lines(reading, 800)
    for number in range(4):
        own = [line for line in lines if line.startswith(f"{number} ")]
        assert own == [f"{number} {i}" for i in range(200)]
    assert sink.dropped == 0
    sink.close()


def test_a_sink_that_blocks_holds_up_nobody_and_what_is_lost_is_told(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lost: list[int] = []
    sink = LineSink(writing, most_lines=100)
    sink.healed = lost.append
    line = "x" * 1000 + "\n"
    began = time.monotonic()
    for _ in range(1000):
        sink.write(line)
    assert time.monotonic() - began < 30
    eventually(lambda: sink.dropped > 0)
    written = 1000 - sink.dropped
    assert read_lines(reading, written) == [line.rstrip()] * written
    sink.write("after\n")
    eventually(lambda: sum(lost) == sink.dropped)
    assert read_lines(reading, 1) == ["after"]
    sink.close()


def test_a_reader_that_has_gone_costs_its_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LineSink(writing)
    os.close(reading)
    sink.write("one\n")
    eventually(lambda: sink.dropped == 1)
    sink.write("two\n")
    eventually(lambda: sink.dropped == 2)
    sink.close()


def test_a_descriptor_somebody_made_non_blocking_still_gets_everything(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) | os.O_NONBLOCK)
    sink = LineSink(writing)
    for number in range(300):
        sink.write(f"{number:1000}\n")
    assert [int(line) for line in read_lines(reading, 300)] == list(range(300))
    sink.close()


def test_closing_writes_what_there_is_and_does_not_wait_for_ever(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LineSink(writing)
    sink.write("last\n")
    sink.close()
    assert os.read(reading, 100) == b"last\n"
    stuck = LineSink(writing)
    stuck.write("y" * 10**6 + "\n")
    began = time.monotonic()
    stuck.close(0.2)
    assert time.monotonic() - began < 30
    os.close(reading)
    stuck.close(5)


def test_half_an_emoji_is_written_as_an_escape(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LineSink(writing)
    sink.write("\ud83d\n")
    assert read_lines(reading, 1) == ["\\ud83d"]
    sink.close()


def test_of_many_lines_at_once_those_that_fit_are_written(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LineSink(writing, most_lines=3)
    sink.take(b"".join(b"%d\n" % number for number in range(10)), 10)
    assert read_lines(reading, 3) == ["0", "1", "2"]
    assert sink.dropped == 7
    sink.close()


def test_a_file_that_is_emptied_under_it_begins_anew(tmp_path: Path) -> None:
    """As logrotate's `copytruncate` does it; a shell's `2> log` does not append."""
    log = tmp_path / "log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    sink = LineSink(descriptor)
    sink.write("before\n")
    eventually(lambda: log.read_text() == "before\n")
    os.truncate(log, 0)
    sink.write("after\n")
    sink.close()
    os.close(descriptor)
    assert log.read_bytes() == b"after\n"


def test_a_line_that_a_full_disk_cut_is_no_part_of_the_next(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        descriptor = os.open(disk / "log", os.O_WRONLY | os.O_CREAT)
        sink = LineSink(descriptor)
        sink.write("x" * 100_000 + "\n")
        eventually(lambda: sink.dropped == 1)
        (disk / "log").write_bytes(b"cut")  # somebody makes room
        sink.write("after\n")
        sink.close()
        os.close(descriptor)
        assert (disk / "log").read_bytes() == b"cut\nafter\n"
