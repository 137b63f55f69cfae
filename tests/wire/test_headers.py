"""Appendix A of wire.md, both ways, as tables."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from proxy.wire.headers import HOP_BY_HOP, Headers, head_bytes, replaced, to_upstream
from proxy.wire.reply_head import read_reply_head

HOPS = (
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade",
)  # fmt: skip

UP = (
    "Content-Type", "Accept", "User-Agent", "HTTP-Referer", "X-Title", "X-OpenRouter-Title",
    "X-OpenRouter-Metadata", "x-session-id", "x-anthropic-beta", "anthropic-version", "anthropic-beta", "OpenAI-Beta",
    "Idempotency-Key", "X-Stainless-Lang", "x-stainless-retry-count", "X-Anything-Else", "traceparent",
)  # fmt: skip
NEVER_UP = (
    *HOPS, "Authorization", "x-api-key", "api-key", "x-goog-api-key", "Host", "Content-Length", "Accept-Encoding", "Cookie", "Origin",
    "Referer", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "Via", "CF-Ray", "CF-Connecting-IP",
    "Content_Length", "Transfer_Encoding",
)  # fmt: skip
DOWN = (
    "Content-Type", "Content-Encoding", "x-request-id", "request-id", "X-Generation-Id", "X-OpenRouter-Cache-Status",
    "x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-reset", "Retry-After", "retry-after-ms",
    "x-should-retry", "openai-organization", "openai-processing-ms", "cf-ray", "Vary", "Link", "X-Anything-Else",
)  # fmt: skip
NEVER_DOWN = (
    *HOPS, "Set-Cookie", "Set-Cookie2", "Alt-Svc", "Strict-Transport-Security", "Report-To", "NEL",
    "Content-Security-Policy", "Content-Security-Policy-Report-Only", "Content-Length", "Server", "Date",
    "Access-Control-Allow-Origin", "Access-Control-Allow-Private-Network", "x-tollkeeper-cost-usd",
)  # fmt: skip


def spellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper()]


def to_client(incoming: Iterable[tuple[str, str]]) -> Headers:
    """What reaches the client of headers as they came over the wire."""
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in incoming]
    return read_reply_head(raw).passing


@pytest.mark.parametrize("name", UP)
def test_these_go_upstream_as_they_came(name: str) -> None:
    for spelled in spellings(name):
        assert to_upstream([(spelled, "v")], openai=False) == [(spelled, "v")]


@pytest.mark.parametrize("name", NEVER_UP)
@pytest.mark.parametrize("openai", [True, False])
def test_these_never_go_upstream(name: str, openai: bool) -> None:
    for spelled in spellings(name):
        assert to_upstream([(spelled, "v"), ("X-Kept", "1")], openai=openai) == [("X-Kept", "1")]


@pytest.mark.parametrize("name", ["OpenAI-Organization", "OpenAI-Project"])
def test_account_routing_goes_to_openai_only(name: str) -> None:
    for spelled in spellings(name):
        assert to_upstream([(spelled, "v")], openai=True) == [(spelled, "v")]
        assert to_upstream([(spelled, "v")], openai=False) == []


@pytest.mark.parametrize("name", DOWN)
def test_these_reach_the_client_as_they_came(name: str) -> None:
    for spelled in spellings(name):
        assert to_client([(spelled, "v")]) == [(spelled, "v")]


@pytest.mark.parametrize("name", NEVER_DOWN)
def test_these_never_reach_the_client(name: str) -> None:
    for spelled in spellings(name):
        assert to_client([(spelled, "v"), ("X-Kept", "1")]) == [("X-Kept", "1")]


def test_every_name_that_connection_lists_is_dropped_both_ways() -> None:
    listed = [("connection", "close, X-Secret ,,x-other"), ("Connection", "X-Third"), ("X-Secret", "1")]
    headers = [*listed, ("x-OTHER", "2"), ("X-Third", "3"), ("X-Kept", "4"), ("x-kept", "5")]
    assert to_upstream(headers, openai=True) == [("X-Kept", "4"), ("x-kept", "5")]
    assert to_client(headers) == [("X-Kept", "4"), ("x-kept", "5")]


def test_hop_by_hop_is_the_list_of_the_rfc_and_one_more() -> None:
    assert {name.lower() for name in HOPS} == HOP_BY_HOP


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        ("plain; text=1", "plain; text=1"),
        ("", ""),
        ("tab\there", "tab\there"),
        ("a\r\nSet-Cookie: x\x00\x7f\x1b[31m", "aSet-Cookie: x[31m"),
        ("caf\udce9", "caf\udce9"),
        ("é\x01", "é"),
    ],
)
def test_control_characters_are_taken_out_of_what_the_client_gets(value: str, passed: str) -> None:
    assert to_client([("X-Title", value)]) == [("X-Title", passed)]


def test_order_case_and_repeats_survive() -> None:
    headers = [("B", "1"), ("a", "2"), ("B", "3")]
    assert to_upstream(iter(headers), openai=False) == headers
    assert to_client(iter(headers)) == headers


def test_replacing_takes_every_header_of_that_name() -> None:
    headers = [("X-A", "1"), ("x-a", "2"), ("X-B", "3")]
    assert replaced(headers, [("x-A", "new"), ("X-C", "4")]) == [("X-B", "3"), ("x-A", "new"), ("X-C", "4")]
    assert replaced(headers, iter([])) == headers


def test_a_head_is_the_bytes_it_was_made_of() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: caf\xe9 \xff\r\nX-B: caf\xc3\xa9\r\n\r\n"
    values = (b"caf\xe9 \xff".decode("utf-8", "surrogateescape"), "caf\xe9")
    assert head_bytes("HTTP/1.1 200 OK", zip(("X-A", "X-B"), values, strict=True)) == raw
