"""What heads of requests are told apart by, and what of them only passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.request_head import is_heeded, parted, places_of, with_values

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\ntraceparent: 00-1-1\r\n"
    b"Content-Type: application/json\r\nX-Request-Id:7 \r\n\r\n"
)


def test_a_head_has_three_parts() -> None:
    outline, credential, values = parted(HEAD)
    assert credential == b"Authorization: Bearer k"
    assert values == (b"00-1-1", b"7 ")
    assert outline == (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\ntraceparent: \r\nContent-Type: application/json\r\nX-Request-Id:\r\n\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        "Host", "Content-Type", "content-length", "Content-Encoding", "Transfer-Encoding", "Connection", "Expect", "Origin",
        "x-api-key", "X-Tollkeeper-Route", "x-tollkeeper-tags", "Idempotency-Key", "Prefer", "Cache-Control", "session_id",
        "X-Claude-Code-Session-Id", "anthropic-version", "X-Stainless-Read-Timeout", "Access-Control-Request-Method", "cookie",
    ],
)  # fmt: skip
def test_what_somebody_reads_stays_in_the_outline(name: str) -> None:
    line = f"\r\n{name}: one\r\n".encode()
    assert (
        parted(HEAD.replace(b"\r\nHost: x\r\n", line)).outline
        != parted(HEAD.replace(b"\r\nHost: x\r\n", line.replace(b"one", b"two"))).outline
    )


NAMES = st.sampled_from(
    ["A", "b-c", "traceparent", "Host", "Prefer", "X-Request-Id", "content-type", "A:", "A ", " A", ""]
)
VALUES = st.text(st.sampled_from("ab:, \t\r\n\x00\xe4"), max_size=6)


def head_of(lines: list[tuple[str, str]]) -> bytes:
    return "".join(["GET / HTTP/1.1", *[f"\r\n{name}: {value}" for name, value in lines], "\r\n\r\n"]).encode("latin-1")


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_heads_are_the_same_whose_parts_are(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    """Nothing is lost: of two heads that differ, so do the outlines or the values."""
    first, second = head_of(one), head_of(other)
    assert (parted(first) == parted(second)) == (first == second)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.lists(VALUES, min_size=5, max_size=5))
def test_only_values_of_lines_that_nobody_reads_differ_where_the_outline_does_not(
    lines: list[tuple[str, str]], others: list[str]
) -> None:
    changed = [(name, other) for (name, _), other in zip(lines, others, strict=False)]
    first, second = head_of(lines), head_of(changed)
    if parted(first).outline != parted(second).outline:
        return
    kept = [
        [line for line in head.split(b"\r\n") if is_heeded(line.partition(b":")[0].decode("latin-1"))]
        for head in (first, second)
    ]
    assert kept[0] == kept[1]
    assert first.count(b"\r\n") == second.count(b"\r\n")


HEADERS = [("Host", "x"), ("traceparent", "00-1-1"), ("Content-Type", "application/json"), ("X-Request-Id", "7")]


def test_values_have_their_places_among_the_headers() -> None:
    values = parted(HEAD).values
    assert places_of(HEADERS, values) == (1, 3)
    changed = with_values(HEADERS, (1, 3), (b"00-2-2", b" 8\t"))
    assert changed == (HEADERS[0], ("traceparent", "00-2-2"), HEADERS[2], ("X-Request-Id", "8"))


@pytest.mark.parametrize("headers", [HEADERS[:3], [*HEADERS, ("A", "b")], [*HEADERS[:3], ("X-Request-Id", "other")]])
def test_they_have_none_where_who_read_them_with_care_says_otherwise(headers: list[Any]) -> None:
    assert places_of(headers, parted(HEAD).values) is None
