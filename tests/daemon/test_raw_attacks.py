"""trust.md appendix B on the real daemon: broken heads get a JSON 400 and a closed connection, and nothing is echoed."""

from __future__ import annotations

import contextlib
import json

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.http import Connection, Ended
from harness.setting import CLIENT_KEY
from harness.steps import json_reply
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

AUTH = f"Authorization: Bearer {CLIENT_KEY}\r\n".encode()
START = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + AUTH
BODY = b'{"model":"openai/gpt-4o"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

ATTACKS = {
    "T82 two framings": START + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "T82 two lengths": START + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    "T82 the same length twice": START + LENGTH + LENGTH + b"\r\n" + BODY,
    "T82 a length with a sign": START + b"Content-Length: +25\r\n\r\n" + BODY,
    "T82 a hexadecimal length": START + b"Content-Length: 0x19\r\n\r\n" + BODY,
    "T82 a negative length": START + b"Content-Length: -1\r\n\r\n" + BODY,
    "T82 a list of lengths": START + b"Content-Length: 25, 25\r\n\r\n" + BODY,
    "T82 an unknown transfer coding": START + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "T82 chunked twice": START + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    "T82 identity and a length": START + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 no transfer coding and a length": START + b"Transfer-Encoding:\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 an empty transfer coding before the last": START + b"Transfer-Encoding: ,chunked\r\n\r\n" + CHUNKS,
    "T82 chunked in HTTP/1.0": START.replace(b"/1.1", b"/1.0") + CHUNKED + b"\r\n" + CHUNKS,
    "T82 chunked in HTTP/1.0 that is to stay": START.replace(b"/1.1", b"/1.0")
    + b"Connection: keep-alive\r\n"
    + CHUNKED
    + b"\r\n"
    + CHUNKS,
    "a user in the target": START.replace(b" /v1", b" http://user:word@localhost/v1")
    + b"Connection: close\r\n"
    + LENGTH
    + b"\r\n"
    + BODY,
    "T82 a blank before the colon": START + b"X-A : b\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 a folded line": START + b"X-A: b\r\n c\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 a leading tab": START + b"\tX-A: b\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 bare line feeds": (START + LENGTH).replace(b"\r\n", b"\n") + b"\n" + BODY,
    "T82 a NUL in a value": START + b"X-A: b\x00c\r\n" + LENGTH + b"\r\n" + BODY,
    "T82 a carriage return in a value": START + b"X-A: b\rc\r\n" + LENGTH + b"\r\n" + BODY,
    "no host": b"POST /v1/chat/completions HTTP/1.1\r\n" + AUTH + LENGTH + b"\r\n" + BODY,
    "two hosts": START + b"Host: localhost\r\n" + LENGTH + b"\r\n" + BODY,
    "a method in small letters": b"post /v1/x HTTP/1.1\r\nHost: localhost\r\n" + AUTH + b"\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + CLIENT_KEY.encode() + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "rubbish": b"\x00\x01" + CLIENT_KEY.encode() + b"\r\n\r\n",
    "version 2.0": START.replace(b"HTTP/1.1", b"HTTP/2.0") + LENGTH + b"\r\n" + BODY,
    "version 1.2": START.replace(b"HTTP/1.1", b"HTTP/1.2") + LENGTH + b"\r\n" + BODY,
    "RTSP": START.replace(b"HTTP/1.1", b"RTSP/1.0") + LENGTH + b"\r\n" + BODY,
    "RTSP behind more blanks": START.replace(b" HTTP/1.1", b"   RTSP/1.1") + LENGTH + b"\r\n" + BODY,
    "ICE": b"GET /v1/models ICE/1.0\r\nHost: localhost\r\n" + AUTH + b"\r\n",
    "no version": b"GET /v1/models\r\n" + b"\r\n",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_broken_head_is_refused_and_nothing_is_echoed(daemon: Daemon, upstream: Upstream, name: str) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    with daemon.connect() as connection:
        connection.send(ATTACKS[name])
        raw = connection.read_to_end()
    head, _, body = raw.partition(b"\r\n\r\n")
    if raw or name not in ("TLS", "HTTP/2", "rubbish", "no version"):
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), raw
        assert b"application/json" in head
        assert head.count(b"request-id: req_") == 2
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert CLIENT_KEY.encode() not in raw
    assert b"X-A" not in raw
    assert upstream.calls == []


KEYED = b"Host: localhost\r\n" + AUTH
HEADERS_TOO_LARGE = {
    "a value of nine kilobytes": b"X-A: " + b"a" * 9000 + b"\r\n",
    "a name of nine kilobytes": b"X-A" * 3000 + b": v\r\n",
    "a value of a megabyte": b"X-A: " + b"a" * 2**20 + b"\r\n",
    "two hundred headers": b"".join(b"X-A%d: v\r\n" % n for n in range(200)),
    "ten thousand headers": b"".join(b"X-A%d: v\r\n" % n for n in range(10_000)),
}


@pytest.mark.parametrize("name", HEADERS_TOO_LARGE)
def test_C08_headers_too_large(daemon: Daemon, upstream: Upstream, name: str) -> None:
    with daemon.connect() as connection:
        with contextlib.suppress(ConnectionError):  # refused before all of it was sent
            connection.send(START + HEADERS_TOO_LARGE[name] + LENGTH + b"\r\n" + BODY)
        raw = connection.read_to_end()
    assert_refused(raw, 431, "headers_too_large", large=len(HEADERS_TOO_LARGE[name]) > 65536)
    assert upstream.calls == []


@pytest.mark.parametrize("size", [8180, 9000, 65536, 2**20])
@pytest.mark.parametrize("before", [b"", b"?q="])
def test_C08_a_target_too_long(daemon: Daemon, upstream: Upstream, size: int, before: bytes) -> None:
    with daemon.connect() as connection, contextlib.suppress(ConnectionError):
        connection.send(b"GET /v1/files/x" + before + b"a" * size + b" HTTP/1.1\r\n" + KEYED + b"\r\n")
        raw = connection.read_to_end()
    assert_refused(raw, 414, "uri_too_long", large=size > 60_000)
    assert upstream.calls == []


def assert_refused(raw: bytes, status: int, code: str, *, large: bool) -> None:
    """A refusal that repeats nothing. What a client goes on sending may reset the connection before it has read it."""
    if not raw and large:
        return
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status)), raw[:200]
    assert json.loads(body)["error"]["code"] == code
    assert head.count(b"request-id: req_") == 2
    assert b"X-A" not in raw
    assert b"aaaa" not in raw


@pytest.mark.parametrize("size", [b"zz", b"-1", b"0x19", b"1_9", b"19 19", b"ffffffffffffffffffff", b""])
def test_T82_a_bad_chunk_size_is_refused(daemon: Daemon, upstream: Upstream, size: bytes) -> None:
    with daemon.connect() as connection:
        connection.send(START + CHUNKED + b"\r\n" + size + b"\r\n" + BODY + b"\r\n0\r\n\r\n")
        raw = connection.read_to_end()
    assert b" 400 " in raw.partition(b"\r\n")[0], raw
    assert set(json.loads(raw.partition(b"\r\n\r\n")[2])["error"]) == {"message", "type", "param", "code"}
    assert upstream.calls == []


@pytest.mark.parametrize("line", [b"CONNECT evil.example:443 HTTP/1.1", b"TRACE /v1/files HTTP/1.1", b"GET * HTTP/1.1"])
def test_methods_for_proxies_lead_nowhere(daemon: Daemon, upstream: Upstream, line: bytes) -> None:
    with daemon.connect() as connection:
        connection.send(line + b"\r\nHost: localhost\r\n" + AUTH + b"X-Probe: echo-canary\r\n\r\n")
        reply = connection.read_reply()
    assert 400 <= reply.status < 500
    assert b"echo-canary" not in reply.raw
    assert CLIENT_KEY.encode() not in reply.raw
    assert upstream.calls == []


def test_options_are_answered_without_the_upstream(daemon: Daemon, upstream: Upstream) -> None:
    for target in ("*", "/v1/chat/completions"):
        reply = daemon.ask("OPTIONS", target)
        assert reply.status in (200, 204, 400, 405)
        assert reply.header("access-control-allow-origin") is None
    assert upstream.calls == []


def test_half_a_head_and_a_close_harm_nobody(daemon: Daemon) -> None:
    for size in (1, 10, 40, len(START)):
        connection = daemon.connect()
        connection.send((START + LENGTH + b"\r\n" + BODY)[:size])
        connection.leave()


@pytest.mark.parametrize("leave", [Connection.leave, Connection.reset])
def test_half_a_body_and_a_close_send_nothing_upstream(daemon: Daemon, upstream: Upstream, leave: object) -> None:
    connection = daemon.connect()
    connection.send(START + LENGTH + b"\r\n" + BODY[:9])
    leave(connection)  # type: ignore[operator]
    upstream.expect(json_reply(chat_reply()))
    assert daemon.post("/v1/chat/completions", BODY).status == 200
    assert len(upstream.calls) == 1


def test_what_follows_a_refused_head_is_not_served(daemon: Daemon, upstream: Upstream) -> None:
    smuggled = b"DELETE /v1/files/important HTTP/1.1\r\nHost: localhost\r\n" + AUTH + b"\r\n"
    with daemon.connect() as connection:
        connection.send(START + LENGTH + CHUNKED + b"\r\n" + b"0\r\n\r\n" + smuggled)
        raw = connection.read_to_end()
    assert raw.count(b" 400 Bad Request\r\n") == raw.count(b"\r\n\r\n") == 1
    assert upstream.calls == []


def test_a_connection_that_is_refused_can_no_longer_be_used(daemon: Daemon) -> None:
    with daemon.connect() as connection:
        connection.send(START + b"X-A : b\r\n\r\n")
        assert connection.read_reply().status == 400
        with pytest.raises((Ended, ConnectionError)):
            connection.send(daemon.request("GET", "/v1/models"))
            connection.read_reply("GET")


GOOD_GET = b"GET /v1/models HTTP/1.1\r\n" + KEYED + b"\r\n"
TWO_HOSTS = GOOD_GET.replace(b"\r\n", b"\r\nHost: localhost\r\n", 1)
NO_HOST = b"GET /v1/models HTTP/1.1\r\n" + AUTH + b"\r\n"


@pytest.mark.parametrize("size", [2**20, 1000, 200, 100, 7])
@pytest.mark.parametrize("ahead", [1, 2, 40])
def test_a_bad_request_takes_none_with_it_that_came_before_it(daemon: Daemon, size: int, ahead: int) -> None:
    # in pieces nothing is to come behind what is refused, which would reset the connection
    sent = GOOD_GET * ahead + (TWO_HOSTS + GOOD_GET if size == 2**20 else NO_HOST)
    with daemon.connect() as connection:
        for at in range(0, len(sent), size):
            connection.send(sent[at : at + size])
        assert [connection.read_reply("GET").status for _ in range(ahead + 1)] == [200] * ahead + [400]
        assert connection.read_to_end() == b""


@pytest.mark.parametrize("behind", [GOOD_GET, b"x", b"\r\n" + GOOD_GET, TWO_HOSTS])
@pytest.mark.parametrize("calls_before", [0, 3])
def test_the_last_request_is_answered_whatever_stands_behind_it(
    daemon: Daemon, upstream: Upstream, behind: bytes, calls_before: int
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    last = START + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY
    for _ in range(calls_before):
        with daemon.connect() as connection:
            connection.send(last)
            assert connection.read_reply().status == 200
    with daemon.connect() as connection:
        connection.send(last + behind)
        assert connection.read_reply().status == 200
        assert connection.read_to_end() == b""


@pytest.mark.parametrize("size", [2**20, 40, 1])
def test_a_request_in_another_protocol_behind_a_good_one_is_refused(
    daemon: Daemon, upstream: Upstream, size: int
) -> None:
    upstream.expect(json_reply(chat_reply()))
    sent = START + CHUNKED + b"\r\n" + CHUNKS + GOOD_GET.replace(b"HTTP/1.1", b"RTSP/1.0")
    with daemon.connect() as connection:
        for at in range(0, len(sent), size):
            connection.send(sent[at : at + size])
        assert [connection.read_reply().status for _ in range(2)] == [200, 400]
        assert connection.read_to_end() == b""


@pytest.mark.parametrize("size", [2**20, 4000])
@pytest.mark.parametrize("before", ["body", "chunks", "requests"])
def test_a_request_in_another_protocol_behind_many_bytes_is_refused(
    daemon: Daemon, upstream: Upstream, before: str, size: int
) -> None:
    big = BODY[:-1] + b" " * 300_000 + b"}"
    first, calls = {
        "body": (START + b"X-Odd: 1\r\nContent-Length: %d\r\n\r\n" % len(big) + big, 1),
        "chunks": (START + CHUNKED + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(big), big), 1),
        "requests": (GOOD_GET.replace(b"\r\n\r\n", b"\r\nX-Pad: " + b"x" * 3000 + b"\r\n\r\n") * 12, 12),
    }[before]
    upstream.expect(json_reply(chat_reply()))
    sent = first + GOOD_GET.replace(b"HTTP/1.1", b"RTSP/1.0")
    with daemon.connect() as connection:
        for at in range(0, len(sent), size):
            connection.send(sent[at : at + size])
        assert [connection.read_reply().status for _ in range(calls + 1)] == [200] * calls + [400]
        assert connection.read_to_end() == b""


@pytest.mark.parametrize(
    "body", [b"19\r\n" + BODY + b"XX0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n"]
)
def test_a_body_framed_wrongly_that_comes_behind_its_head_is_refused_at_once(daemon: Daemon, body: bytes) -> None:
    with daemon.connect() as connection:
        connection.send(START + b"Expect: 100-continue\r\n" + CHUNKED + b"\r\n")
        connection.read_until(b"100 Continue\r\n\r\n")
        connection.send(body)
        assert connection.read_reply().status == 400
        assert connection.read_to_end() == b""
