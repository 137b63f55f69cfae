"""wire.md appendix A on the real daemon: every header of the matrix, in both directions."""

from __future__ import annotations

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply, chat_stream
from harness.http import Headers
from harness.setting import CLIENT_KEY, UPSTREAM_KEY
from harness.steps import json_reply, sse
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

UPWARDS = [
    ("Accept", "application/json"),
    ("User-Agent", "OpenAI/Python 3.3.1"),
    ("HTTP-Referer", "https://app.example"),
    ("X-Title", "My app"),
    ("X-OpenRouter-Categories", "cli-agent"),
    ("X-OpenRouter-Cache", "true"),
    ("x-session-id", "s1"),
    ("x-anthropic-beta", "b1"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "a,b"),
    ("OpenAI-Beta", "assistants=v2"),
    ("Idempotency-Key", "idem-1"),
    ("X-Stainless-Retry-Count", "1"),
    ("x-stainless-LANG", "python"),
    ("X-Unheard-Of", "a b  c"),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
    ("X-Empty", ""),
]
NEVER_UPWARDS = [
    ("Cookie", "session=secret"),
    ("Origin", "http://localhost:9"),
    ("Referer", "http://localhost/private"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("Via", "1.1 evil"),
    ("CF-Connecting-IP", "10.0.0.1"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authorization", "Basic eDp5"),
    ("Proxy-Connection", "keep-alive"),
    ("TE", "trailers"),
    ("Trailer", "X-T"),
    ("Upgrade", "h2c"),
    ("X-Hop", "named by Connection"),
    ("Connection", "keep-alive, X-Hop"),
    ("api-key", CLIENT_KEY),
]


def lowered(headers: Headers) -> list[tuple[str, str]]:
    """Names compare without their case; the library has spellings of its own for known ones."""
    return [(name.lower(), value) for name, value in headers]


def test_T84_T85_headers_that_pass_upstream_and_those_that_do_not(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    dropped = [pair for pair in NEVER_UPWARDS if pair[0] != "Origin"]
    assert daemon.chat(headers=[*UPWARDS, *dropped]).status == 200
    sent, passing = lowered(upstream.call.headers), lowered(UPWARDS)
    assert [pair for pair in sent if pair in passing] == passing
    names = [name for name, _ in sent]
    for name, _ in dropped:
        assert name.lower() not in names, f"{name} went upstream"
    assert dict(pair for pair in sent if pair not in passing) == {
        "host": f"127.0.0.1:{upstream.port}",
        "authorization": f"Bearer {UPSTREAM_KEY}",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(upstream.call.body)),
    }
    assert len(names) == len(set(names)) + 1, "only X-Twice stands twice"


@pytest.mark.parametrize(
    "header", [("Authorization", f"Bearer {CLIENT_KEY}"), ("x-api-key", CLIENT_KEY), ("api-key", CLIENT_KEY)]
)
@pytest.mark.parametrize("model", ["openai/gpt-4o", "local/llama3.1", "oai/gpt-4o", "anthropic/claude-3.5-sonnet"])
@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/messages"])
def test_T85_the_clients_key_stays_and_the_providers_goes(
    daemon: Daemon, upstream: Upstream, header: tuple[str, str], model: str, target: str
) -> None:
    upstream.expect(json_reply(chat_reply()))
    assert daemon.post(target, {"model": model, "messages": []}, [header]).status == 200
    assert CLIENT_KEY.encode() not in upstream.call.head + upstream.call.body
    native = model.startswith("anthropic/") and target == "/v1/messages"
    keyless = model.startswith("local/")
    assert upstream.call.header("authorization") == (None if keyless or native else f"Bearer {UPSTREAM_KEY}")
    assert upstream.call.header("x-api-key") == (UPSTREAM_KEY if native else None)
    assert upstream.call.header("anthropic-version") == ("2023-06-01" if native else None)


def test_T85_in_open_mode_a_clients_key_still_stays(open_daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    headers = [("Authorization", "Bearer sk-somebodys-own"), ("x-api-key", "sk-another"), ("api-key", "sk-third")]
    headers.append(("x-goog-api-key", "sk-somebodys-google"))
    reply = open_daemon.chat(headers=headers)
    assert reply.status == 200
    assert b"sk-somebodys" not in upstream.call.head
    assert upstream.call.header("x-api-key") is None
    assert open_daemon.line_of(reply)["key"] == "open"


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-3.5-sonnet", "oai/gpt-4o"])
def test_openais_account_headers_go_only_to_openai(daemon: Daemon, upstream: Upstream, model: str) -> None:
    upstream.expect(json_reply(chat_reply()))
    daemon.chat(model, [("OpenAI-Organization", "org-1"), ("OpenAI-Project", "proj-1")])
    expected = ("org-1", "proj-1") if model.startswith("oai/") else (None, None)
    assert (upstream.call.header("openai-organization"), upstream.call.header("openai-project")) == expected


def test_headers_nobody_sent_are_not_invented(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    daemon.chat()
    names = [name.lower() for name, _ in upstream.call.headers]
    assert sorted(names) == ["accept-encoding", "authorization", "content-length", "content-type", "host"]


def test_the_entrys_own_headers_win(start_daemon: object, upstream: Upstream) -> None:
    provider = {
        "kind": "openrouter",
        "base_url": f"{upstream.url}/or/api/v1",
        "headers": {"X-Title": "Ours", "X-Extra": "1"},
    }
    mine: Daemon = start_daemon(providers={"openrouter": provider}, routes=[], models={})  # type: ignore[operator]
    upstream.expect(json_reply(chat_reply()))
    mine.chat(headers=[("x-title", "Theirs")])
    assert (upstream.call.header("x-title"), upstream.call.header("x-extra")) == ("Ours", "1")


def test_T83_a_transfer_coding_never_reaches_the_upstream(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    body = b'{"model":"openai/gpt-4o"}'
    for coding in ("gzip, chunked", "chunked", "Chunked"):
        upstream.calls.clear()
        with daemon.connect() as connection:
            connection.send(daemon.request("POST", "/v1/chat/completions", [("Transfer-Encoding", coding)]))
            connection.send(
                b"5\r\n" + body[:5] + b"\r\n%x;ext=1\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\nX-T: 1\r\n\r\n"
            )
            reply = connection.read_reply()
        if reply.status == 200:
            assert (upstream.call.body, upstream.call.header("content-length")) == (body, str(len(body)))
            assert upstream.call.header("transfer-encoding") is None
        else:
            assert (coding, reply.status) == ("gzip, chunked", 415)


VALUES = ["caf\xe9 \xff", "\xff\xfe", "caf\xc3\xa9", "\xed\xa0\x80", "\x80", "a\tb\xff", "\xc2\x85x", "\xf5" * 4000]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
@pytest.mark.parametrize("way", ["whole", "stream", "reading", "error"])
def test_T96_values_that_are_no_utf8_pass_both_ways(daemon: Daemon, upstream: Upstream, way: str, value: str) -> None:
    back = [("X-Back", value), ("X-Plain", "x")]
    scripts = {
        "whole": json_reply(chat_reply(), headers=back),
        "stream": sse(chat_stream(), headers=back),
        "reading": json_reply({"ok": 1}, headers=back),
        "error": json_reply({"error": {"message": "m"}}, 400, headers=back),
    }
    upstream.expect(scripts[way])
    headers = [("X-Title", value), ("X-Plain", "y")]
    if way == "reading":
        reply = daemon.ask("GET", "/v1/files/f?x=1", headers)
    else:
        reply = daemon.chat(headers=headers, stream=way == "stream")
    assert reply.status == (400 if way == "error" else 200)
    assert upstream.call.header("x-title") == value
    assert upstream.call.header("x-plain") == "y"
    assert upstream.call.request_line.startswith("GET /or/api/v1/files/f?x=1 " if way == "reading" else "POST ")
    assert (reply.header("x-back"), reply.header("x-plain")) == (value, "x")
    assert reply.complete


@pytest.mark.parametrize("stream", [False, True])
def test_ids_that_are_no_text_pass_and_are_noted_as_text(daemon: Daemon, upstream: Upstream, stream: bool) -> None:
    ids = [("X-Request-Id", "req-\xff"), ("X-Generation-Id", "gen-\xfe"), ("Content-Language", "\xfd")]
    upstream.expect(sse(chat_stream(), headers=ids) if stream else json_reply(chat_reply(), headers=ids))
    reply = daemon.chat(stream=stream)
    assert (reply.status, reply.header("x-request-id"), reply.header("x-generation-id")) == (
        200,
        "req-\xff",
        "gen-\xfe",
    )
    assert daemon.line_of(reply)["upstream_request_id"] == "req-?"


@pytest.mark.parametrize("control", ["\x00", "\x01", "\x0b", "\x1f", "\x7f", "\r"])
def test_control_characters_are_still_refused(daemon: Daemon, upstream: Upstream, control: str) -> None:
    assert daemon.chat(headers=[("X-Title", f"\xff{control}x")]).status == 400
    assert upstream.calls == []


DOWNWARDS = [
    ("x-request-id", "upstream-id-1"),
    ("request-id", "upstream-id-2"),
    ("X-Generation-Id", "gen-9"),
    ("X-OpenRouter-Cache-Status", "HIT"),
    ("x-ratelimit-remaining-requests", "59"),
    ("anthropic-ratelimit-requests-limit", "50"),
    ("Retry-After", "3"),
    ("retry-after-ms", "2500"),
    ("x-should-retry", "true"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("CF-RAY", "abc-FRA"),
    ("X-Unheard-Of", "v"),
    ("Cache-Control", "max-age=1"),
    ("Vary", "Accept"),
    ("Link", "</a>; rel=x"),
    ("Link", "</b>; rel=y"),
]
NEVER_DOWNWARDS = [
    ("Set-Cookie", "__cf_bm=secret; path=/"),
    ("Alt-Svc", 'h3=":443"'),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Report-To", "{}"),
    ("NEL", "{}"),
    ("Content-Security-Policy", "default-src 'none'"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "X"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic"),
    ("Trailer", "X-T"),
    ("Upgrade", "h2"),
    ("X-Hop", "v"),
    ("Connection", "keep-alive, X-Hop"),
    ("x-tollkeeper-cost-usd", "0"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_T84_T97_headers_that_pass_to_the_client_and_those_that_do_not(
    daemon: Daemon, upstream: Upstream, stream: bool
) -> None:
    headers = [*DOWNWARDS, *NEVER_DOWNWARDS, ("Server", "cloudflare"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT")]
    upstream.expect(sse(chat_stream(), headers=headers) if stream else json_reply(chat_reply(), headers=headers))
    reply = daemon.chat(stream=stream)
    got = lowered(reply.headers)
    assert [pair for pair in got if pair in lowered(DOWNWARDS)] == lowered(DOWNWARDS)
    for pair in lowered(NEVER_DOWNWARDS):
        assert pair not in got, f"{pair[0]} reached the client"
    names = [name for name, _ in got]
    assert {"set-cookie", "alt-svc", "nel", "x-hop"}.isdisjoint(names)
    assert names.count("date") == names.count("x-request-id") == 1
    assert "2024" not in (reply.header("date") or "")
    assert reply.header("server") != "cloudflare"
    assert reply.request_id.startswith("req_")
    assert daemon.line_of(reply)["upstream_request_id"] == "upstream-id-1"
    assert daemon.line_of(reply)["request_id"] == reply.request_id


def test_streams_tell_middle_boxes_not_to_hold_them_back(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(chat_stream()))
    reply = daemon.chat(stream=True)
    assert (reply.header("cache-control"), reply.header("x-accel-buffering")) == ("no-cache", "no")
    assert reply.header("transfer-encoding") == "chunked"


def test_our_own_headers_tell_who_served(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.chat("gpt-4o")
    assert reply.header("x-request-id") == reply.request_id
    assert reply.header("x-tollkeeper-provider") == "openrouter"
    assert reply.header("x-tollkeeper-model") == "openai/gpt-4o"
    assert reply.header("x-tollkeeper-attempts") == "1"
    assert reply.header("x-tollkeeper-adjusted") is None


def test_cookies_of_one_caller_never_come_back_for_another(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply(), headers=[("Set-Cookie", "who=first; path=/")]), json_reply(chat_reply()))
    daemon.chat()
    daemon.chat()
    assert [call.header("cookie") for call in upstream.calls] == [None, None]
