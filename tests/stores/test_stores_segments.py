"""What is read back from segments, whatever happened to their bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from stores_samples import begun, hold, records_in, row, settled, voided

from proxy.stores.journal.frames import HEADER, checksum, unframed
from proxy.stores.journal.records import Adjusted, Begun, Corrected, Hold, Record, Refused, Settled, Voided
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segment_writer import framed, framed_in
from proxy.stores.journal.segments import Position, Reader, Scan, segment_path

RECORDS: list[Record] = [
    hold("a"),
    begun("a"),
    settled("a"),
    voided("b"),
    Refused(row("c", 0, provider="", source="none", message="the budget is used up")),
    Adjusted("adj-1", 1, "global:month", 0, -5, "a refund"),
]
FRAMES = [framed(record) for record in RECORDS]
WHOLE = b"".join(FRAMES)
ENDS = [sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)]


def written(directory: Path, *segments: bytes) -> Path:
    for number, content in enumerate(segments, 1):
        segment_path(directory, number).write_bytes(content)
    return directory


def test_a_file_cut_anywhere_gives_the_whole_records_before_the_cut(tmp_path: Path) -> None:
    for size in range(len(WHOLE) + 1):
        reader = Reader(written(tmp_path, WHOLE[:size]))
        whole = max(count for count, end in enumerate(ENDS) if end <= size)
        assert [record for _, record in reader] == RECORDS[:whole]
        assert reader.problems == []
        assert reader.last is not None
        assert reader.last.position == Position(1, ENDS[whole])
        assert reader.last.tail == ("" if size in ENDS else "torn")


@settings(max_examples=300)
@given(at=st.integers(0, len(WHOLE) * 8 - 1))
def test_a_flipped_bit_never_raises_and_never_gives_a_wrong_record(at: int) -> None:
    spoilt = bytearray(WHOLE)
    spoilt[at // 8] ^= 1 << (at % 8)
    with tempfile.TemporaryDirectory() as directory:
        found = records_in(written(Path(directory), bytes(spoilt)))
    hit = next(count for count, end in enumerate(ENDS[1:]) if at // 8 < end)
    assert found == RECORDS[:hit] + RECORDS[hit + 1 :]


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_journal_never_raise_and_the_next_segment_is_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert records_in(written(Path(directory), content, WHOLE)) == RECORDS


SPOILT = {
    "a byte": slice(ENDS[2] + HEADER.size + 3, ENDS[2] + HEADER.size + 4),
    "a length": slice(ENDS[2], ENDS[2] + 4),
    "a whole record and the half of the next": slice(ENDS[2], ENDS[3] + 20),
}


@pytest.mark.parametrize("byte", [b"\xff", b"\0", b"\x01"])
@pytest.mark.parametrize("where", SPOILT)
def test_what_is_spoilt_in_the_middle_is_reported_and_all_behind_it_is_read(
    tmp_path: Path, where: str, byte: bytes
) -> None:
    spoilt, place = bytearray(WHOLE), SPOILT[where]
    spoilt[place] = byte * (place.stop - place.start)
    reader = Reader(written(tmp_path, bytes(spoilt), WHOLE))
    behind = next(count for count, end in enumerate(ENDS) if end >= place.stop)
    assert [record for _, record in reader] == RECORDS[:2] + RECORDS[behind:] + RECORDS
    (problem,) = reader.problems
    lost = ENDS[behind] - ENDS[2]
    assert str(problem) == (
        f"journal segment 00000001.log at byte {ENDS[2]}: {lost} bytes that are no record; those behind them were read"
    )


def test_the_end_of_a_segment_that_was_spoilt_further_up_is_not_its_last_record_cut_short(tmp_path: Path) -> None:
    """Which a start would cut away, with all that stands behind it."""
    spoilt = bytearray(WHOLE)
    spoilt[1] = 0x7F  # a length that leads beyond the end
    replayed = replay(written(tmp_path, bytes(spoilt) + FRAMES[0][:-1]))
    assert (replayed.end, replayed.tail) == (Position(1, len(WHOLE)), "garbage")
    assert [problem.offset for problem in replayed.problems] == [0, len(WHOLE)]


def test_a_frame_within_a_clients_text_is_none(tmp_path: Path) -> None:
    """Reading goes on behind what is spoilt, and that may be where a record has what its client wrote."""
    forged = next(frame for number in range(1_000_000) if is_text(frame := forgery(number)))
    assert isinstance(unframed(forged[HEADER.size :]), Begun)
    whole = framed(hold("a", asked=f"x{forged.decode()}y"))
    reader = Reader(written(tmp_path, whole[whole.index(forged) - 1 :] + WHOLE))
    assert [record for _, record in reader] == RECORDS
    assert [problem.offset for problem in reader.problems] == [0]


@pytest.mark.parametrize("length", [1, 31, 32, 127, 128, 191, 192, 300])
def test_no_record_that_says_what_was_spent_can_be_a_text(length: int) -> None:
    long, short = "i" * length, replace(row("a"), id="i" * length, request_id="i" * length)
    for record in (hold(long), Settled(short, ()), Voided(short), Refused(short), Corrected(short, short, ()),
                   Adjusted(long, 1, "global:month", 0, -99, long)):  # fmt: skip
        payload = framed(record)[HEADER.size :]
        assert not any(is_text(b"\xe1" + payload[:end]) for end in range(len(payload) // 2, len(payload) + 1)), record


def is_text(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


def forgery(number: int) -> bytes:
    """The frame of what may be the beginning of an answer, a text in one of some hundred cases."""
    payload = b"\x93\xa5begun" + b"\xd9\x80%0128d" % number + b"\xd9\x80" + b"g" * 128
    return HEADER.pack(len(payload), checksum(payload)) + payload


def test_a_torn_record_that_is_not_in_the_last_segment_is_reported(tmp_path: Path) -> None:
    reader = Reader(written(tmp_path, WHOLE[:-1], WHOLE))
    assert [record for _, record in reader] == RECORDS[:-1] + RECORDS
    assert [problem.what for problem in reader.problems] == ["the last record is incomplete"]


def test_a_length_beyond_any_record_is_garbage_and_not_a_torn_tail(tmp_path: Path) -> None:
    scan = Scan(segment_path(written(tmp_path, WHOLE + b"\xff" * 20), 1), 1)
    assert [record for _, record in scan] == RECORDS
    assert scan.tail == "garbage"


@pytest.mark.parametrize("cut", [0, 1, HEADER.size, len(FRAMES[-1]) - 1])
def test_zeros_that_a_power_cut_left_are_a_torn_tail(tmp_path: Path, cut: int) -> None:
    content = WHOLE + FRAMES[0][:cut] + bytes(300_000)
    scan = Scan(segment_path(written(tmp_path, content), 1), 1)
    assert [record for _, record in scan] == RECORDS
    assert (scan.end, scan.tail) == (len(WHOLE), "torn")


def test_reading_goes_on_behind_any_position(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, WHOLE)
    everything = list(Reader(tmp_path))
    for count, (position, _) in enumerate(everything, 1):
        assert list(Reader(tmp_path, position)) == everything[count:]


def test_reading_stops_where_it_is_told_to(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, WHOLE)
    until = Position(1, ENDS[3])
    assert [record for _, record in Reader(tmp_path, until=until)] == RECORDS[:3]


def test_a_position_behind_the_end_of_its_segment_gives_what_comes_later(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, WHOLE)
    reader = Reader(tmp_path, Position(1, 10**6))
    assert [record for _, record in reader] == RECORDS
    assert reader.problems == []


def test_a_missing_segment_is_reported_and_the_later_ones_are_read(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, WHOLE, WHOLE)
    segment_path(tmp_path, 2).unlink()
    reader = Reader(tmp_path)
    assert [record for _, record in reader] == RECORDS * 2
    assert [problem.what for problem in reader.problems] == ["the segment is missing"]


def test_a_reader_says_when_the_segment_it_was_to_begin_in_is_gone(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, WHOLE)
    segment_path(tmp_path, 1).unlink()
    reader = Reader(tmp_path, Position(1, 0))
    assert [record for _, record in reader] == RECORDS
    assert not reader.from_start


def test_a_segment_that_cannot_be_read_at_all_is_reported(tmp_path: Path) -> None:
    written(tmp_path, WHOLE)
    segment_path(tmp_path, 2).mkdir()
    reader = Reader(tmp_path)
    assert [record for _, record in reader] == RECORDS
    assert "cannot be read" in reader.problems[0].what


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path, WHOLE)
    for name in (
        "reserve",
        "1.log",
        "aaaaaaaa.log",
        "00000002.log.bak",
        "\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661.log",
    ):
        (tmp_path / name).write_bytes(WHOLE)
    assert records_in(tmp_path) == RECORDS


def test_no_directory_is_an_empty_journal(tmp_path: Path) -> None:
    assert records_in(tmp_path / "none") == []


def test_a_record_of_a_later_version_is_skipped_and_reported(tmp_path: Path) -> None:
    payload = framed(hold("x"))[HEADER.size :].replace(b"\xa4hold", b"\xa4HOLD")
    stranger = HEADER.pack(len(payload), checksum(payload)) + payload
    reader = Reader(written(tmp_path, FRAMES[0] + stranger + FRAMES[2]))
    assert [record for _, record in reader] == [RECORDS[0], RECORDS[2]]
    assert "does not know" in reader.problems[0].what


def test_what_clients_and_upstreams_send_never_keeps_a_record_from_being_written(tmp_path: Path) -> None:
    odd = [hold("a", asked="\ud800gpt"), settled("b", cost_pusd=10**30), hold("c", asked="x" * 10**7)]
    first, second, third = records_in(written(tmp_path, b"".join(map(framed, odd))))
    assert isinstance(first, Hold)
    assert first.asked == "?gpt"
    assert isinstance(second, Settled)
    assert second.row.cost_pusd == 2**63 - 1
    assert second.charges == settled("b").charges
    assert isinstance(third, Hold)
    assert third.asked == "x" * 1000


ROWS = st.builds(
    row,
    st.text(max_size=40),
    served=st.none() | st.text(st.characters(codec=None), max_size=300),
    upstream_id=st.none() | st.text(max_size=90),
    session=st.text(max_size=5000),
    cost_pusd=st.integers(0, 2**66),
    hold_pusd=st.integers(0, 2**63),
    first_token_ms=st.none() | st.integers(0, 2**40),
    stream=st.booleans(),
)


@settings(max_examples=200)
@given(
    ends=st.lists(ROWS.map(lambda one: Settled(one, (("global:month", 0),))) | ROWS.map(Voided), min_size=1, max_size=6)
)
def test_a_frame_is_the_same_wherever_it_is_put_together(ends: list[Settled | Voided]) -> None:
    before = bytearray()
    for end in ends:
        frame = framed_in(end, before)
        payload = frame[HEADER.size :]
        assert frame == framed(end) == HEADER.pack(len(payload), checksum(payload)) + payload
        try:
            plain = msgspec.msgpack.encode(end)
        except (UnicodeEncodeError, OverflowError):
            continue
        assert payload == plain or len(plain) > 2**16 or max(end.row.cost_pusd, end.row.hold_pusd) >= 2**63
