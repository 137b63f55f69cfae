"""wire.md 6.5 on the real daemon: paths, queries, encodings, interim replies, connections and their reuse."""

from __future__ import annotations

import gzip
import json

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply, chat_stream
from harness.steps import chunk, close, head, json_reply, plain_reply, say, say_apart, sse, then
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

GOOD = json_reply(chat_reply())


def in_protocol(name: bytes) -> bytes:
    """A good reply, but for the protocol it names."""
    body = json.dumps(chat_reply()).encode()
    head_of_json = head(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return head_of_json.replace(b"HTTP/1.1", name) + body


def test_T86_an_absolute_target_never_chooses_the_upstream(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    body = json.dumps(chat_body()).encode()
    for target in ("http://evil.example/v1/chat/completions", f"http://127.0.0.1:{daemon.port}/v1/chat/completions"):
        reply = daemon.ask("POST", target, [], body)
        assert reply.status in (200, 400, 403)
    for call in upstream.calls:
        assert call.target == "/or/api/v1/chat/completions"
        assert call.header("host") == f"127.0.0.1:{upstream.port}"


@pytest.mark.parametrize(
    "target",
    [
        "/v1/../admin",
        "/v1/%2e%2e/x",
        "/v1/models/..%2f..%2fkey",
        "/v1/files/%2E%2E/%2e%2e/x",
        "/v1/files/..\\..\\x",
        "/api/v1/../../etc/passwd",
        "/../v1/files",
    ],
)
def test_T87_no_path_escapes_the_prefix(daemon: Daemon, upstream: Upstream, target: str) -> None:
    reply = daemon.ask("GET", target)
    assert reply.status in (400, 404)
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert upstream.calls == []


@pytest.mark.parametrize("target", ["/metrics", "/v1/metrics", "/favicon.ico", "//robots.txt"])
def test_what_scrapers_and_browsers_ask_for_goes_to_no_provider(
    daemon: Daemon, upstream: Upstream, target: str
) -> None:
    reply = daemon.ask("GET", target)
    assert (reply.status, reply.error["code"]) == (404, "unknown_endpoint")
    assert upstream.calls == []


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
@pytest.mark.parametrize("path", ["/nothing/known", "/engines/x/completions", "/v2/files", "/v1x/files", "/Files"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_in_no_row_is_the_same_with_every_prefix(
    daemon: Daemon, upstream: Upstream, method: str, path: str, prefix: str
) -> None:
    error = {"error": {"message": "Invalid URL", "type": "invalid_request_error", "param": None, "code": None}}
    upstream.expect(json_reply(error, 404))
    reply = daemon.ask(method, prefix + path)
    assert (reply.status, reply.json) == (404, error)
    assert upstream.call.request_line == f"{method} /or/api/v1{path} HTTP/1.1"


@pytest.mark.parametrize(
    "path",
    [
        "/models/openai%2Fgpt-4o:free/endpoints",
        "/models/openai/gpt-4o/endpoints",
        "/files/a~b@c:d%20e",
        "/generation",
    ],
)
def test_T87_T88_paths_and_queries_reach_the_upstream_as_sent(daemon: Daemon, upstream: Upstream, path: str) -> None:
    query = "?beta=true&x=%20a+b&y=%7e~%3A:&z=a/b?c&&empty="
    upstream.expect(json_reply({"ok": 1}), path=path)
    assert daemon.ask("GET", "/v1" + path + query).status == 200
    assert upstream.call.request_line == f"GET /or/api/v1{path}{query} HTTP/1.1"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
def test_every_prefix_leads_to_the_same_endpoint(daemon: Daemon, upstream: Upstream, prefix: str) -> None:
    upstream.expect(GOOD)
    reply = daemon.post(f"{prefix}/chat/completions", chat_body())
    assert reply.status == 200
    assert upstream.call.target == "/or/api/v1/chat/completions"
    assert daemon.line_of(reply)["endpoint"] == "chat/completions"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "POST"])
def test_methods_pass(daemon: Daemon, upstream: Upstream, method: str) -> None:
    upstream.expect(json_reply({"deleted": True}))
    body = None if method in ("GET", "DELETE") else b'{"a":1}'
    assert daemon.ask(method, "/v1/files/f1", [], body).status == 200
    assert upstream.call.request_line == f"{method} /or/api/v1/files/f1 HTTP/1.1"
    assert upstream.call.body == (body or b"")


def test_a_reply_without_content_passes(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(say(head(204, [("X-Kept", "1")])))
    reply = daemon.ask("DELETE", "/v1/files/f1")
    assert (reply.status, reply.body, reply.header("x-kept")) == (204, b"", "1")


def test_T89_the_size_is_checked_before_100_continue(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    body = json.dumps(chat_body()).encode()
    headers = [("Expect", "100-continue"), ("Content-Type", "application/json")]
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/v1/chat/completions", [*headers, ("Content-Length", str(len(body)))]))
        assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.read_reply().status == 200
    assert upstream.call.header("expect") is None
    for refused, status in (
        ([("Content-Length", str(10**9))], 413),
        ([("Content-Length", "9"), ("x-api-key", "wrong")], 401),
    ):
        with daemon.connect() as connection:
            connection.send(daemon.request("POST", "/v1/chat/completions", [*headers, *refused]))
            reply = connection.read_head()
            assert (reply.status, reply.interim) == (status, [])


def test_T89_a_client_that_has_gone_as_it_is_told_to_go_on_is_no_bug(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD, again=True)
    body = json.dumps(chat_body()).encode()
    headers = [("Expect", "100-continue"), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    for _ in range(40):
        with daemon.connect() as connection:
            connection.send(daemon.request("POST", "/v1/chat/completions", headers) + body)
            connection.reset()
    assert daemon.chat().status == 200
    assert '"crashed"' not in daemon.output


def test_T89_a_client_that_speaks_http_1_0_is_not_told_to_go_on(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    body = json.dumps(chat_body()).encode()
    headers = [("Expect", "100-continue"), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    with daemon.connect() as connection:
        request = daemon.request("POST", "/v1/chat/completions", headers) + body
        connection.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        reply = connection.read_reply()
    assert (reply.status, reply.interim) == (200, [])


def test_T89_another_expectation_is_refused(daemon: Daemon, upstream: Upstream) -> None:
    reply = daemon.post("/v1/chat/completions", chat_body(), [("Expect", "coffee")])
    assert (reply.status, reply.error["code"]) == (417, "expectation_failed")
    assert reply.header("connection") == "close", "nobody knows whether a body follows"
    assert upstream.calls == []


@pytest.mark.parametrize("target", ["/", "/v1/models"])
def test_T90_head_is_get_without_a_body(daemon: Daemon, target: str) -> None:
    get, without = daemon.ask("GET", target), daemon.ask("HEAD", target)
    assert (get.status, without.status, without.body) == (200, 200, b"")
    # RFC 9110 9.3.2: the length may be left out
    changing = {"date", "x-request-id", "x-tollkeeper-request-id", "content-length"}
    names = [[(n, v) for n, v in reply.headers if n.lower() not in changing] for reply in (get, without)]
    assert names[0] == names[1]


def test_T90_head_passes_upstream(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(say(head(200, [("Content-Type", "application/json"), ("Content-Length", "120")])))
    reply = daemon.ask("HEAD", "/v1/files/f1")
    assert (reply.status, reply.body) == (200, b"")
    assert upstream.call.request_line.startswith("HEAD ")


def test_T91_only_the_plain_encoding_is_asked_for(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    daemon.chat(headers=[("Accept-Encoding", "br, zstd, gzip")])
    assert upstream.call.header("accept-encoding") == "identity"


@pytest.mark.parametrize("body", [gzip.compress(json.dumps(chat_reply()).encode()), b"no gzip at all", b""])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
def test_T91_T92_encoded_replies_pass_untouched(
    daemon: Daemon, upstream: Upstream, body: bytes, content_type: str
) -> None:
    headers = [("Content-Encoding", "gzip"), ("Content-Type", content_type)]
    upstream.expect(plain_reply(body, headers=headers))
    reply = daemon.chat()
    assert (reply.status, reply.body, reply.complete) == (200, body, True)
    assert reply.header("content-encoding") == "gzip"
    assert reply.header("content-length") in (None, str(len(body)))


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
)
def test_T93_interim_replies_are_passed_over(daemon: Daemon, upstream: Upstream, interim: bytes) -> None:
    upstream.expect(then(say(interim * 3), GOOD), then(say(interim), sse(chat_stream())))
    assert daemon.chat().json == chat_reply()
    assert daemon.chat(stream=True).body == chat_stream()


def test_T94_a_websocket_is_refused(daemon: Daemon, upstream: Upstream) -> None:
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ]
    reply = daemon.ask("GET", "/v1/realtime?model=gpt-4o-realtime-preview", headers)
    assert (reply.status, reply.error["type"]) == (426, "invalid_request_error")
    assert upstream.calls == []


def test_T95_pipelined_requests_are_answered_in_order(daemon: Daemon, upstream: Upstream) -> None:
    for number in range(30):
        upstream.expect(json_reply(chat_reply(str(number))), model=f"openai/m{number}")
    requests = [
        daemon.request("POST", "/v1/chat/completions", [], json.dumps(chat_body(f"openai/m{number}")).encode())
        for number in range(30)
    ]
    with daemon.connect() as connection:
        connection.send(b"".join(requests))
        for number in range(30):
            assert connection.read_reply().json == chat_reply(str(number))


@pytest.mark.parametrize("bad", [b"{", b'{"model":"nothing-of-the-kind-7"}', b'{"model":1}'])
def test_T95_a_connection_is_good_after_an_error(daemon: Daemon, upstream: Upstream, bad: bytes) -> None:
    upstream.expect(GOOD)
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/v1/chat/completions", [], bad))
        assert connection.read_reply().status in (400, 404)
        connection.send(daemon.request("POST", "/v1/chat/completions", [], json.dumps(chat_body()).encode()))
        assert connection.read_reply().json == chat_reply()


def test_T95_a_refused_body_does_not_become_the_next_request(daemon: Daemon, upstream: Upstream) -> None:
    smuggled = daemon.request("DELETE", "/v1/files/important")
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/v1/chat/completions", [("x-api-key", "wrong")], smuggled))
        assert connection.read_reply().status == 401
        connection.send(daemon.request("GET", "/v1/models/openai%2Fgpt-4o"))
        assert connection.read_reply("GET").json["id"] == "openai/gpt-4o"
    assert upstream.calls == []


def test_a_reused_upstream_connection_that_was_closed_costs_no_call(daemon: Daemon, upstream: Upstream) -> None:
    for _ in range(5):
        upstream.expect(then(GOOD, close))
        assert daemon.chat().status == 200
        assert upstream.calls[-1].closed.wait(PATIENCE_SECONDS)
    assert len(upstream.calls) == 5


def test_extra_bytes_behind_a_reply_never_reach_the_next_call(daemon: Daemon, upstream: Upstream) -> None:
    poison = head(200, [("Content-Length", "6"), ("Content-Type", "application/json")]) + b'"evil"'
    upstream.expect(then(GOOD, say(poison)), json_reply(chat_reply("mine")))
    assert daemon.chat().status in (200, 502)
    assert upstream.calls[-1].closed.wait(PATIENCE_SECONDS)  # what comes later than the next request might be its reply
    reply = daemon.chat()
    assert reply.json == chat_reply("mine")


def test_T98_two_hundred_headers_and_a_long_one_pass(daemon: Daemon, upstream: Upstream) -> None:
    many = [(f"X-Many-{number}", "v") for number in range(200)]
    upstream.expect(json_reply(chat_reply(), headers=many), json_reply(chat_reply(), headers=[("X-Long", "l" * 9000)]))
    reply = daemon.chat()
    assert reply.status == 200
    assert [pair for pair in reply.headers if pair[0].startswith("X-Many-")] == many
    assert daemon.chat().header("x-long") == "l" * 9000


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00" * 800, b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_an_upstream_that_does_not_speak_http_is_a_502(daemon: Daemon, upstream: Upstream, rubbish: bytes) -> None:
    upstream.expect(then(say(rubbish), close))
    reply = daemon.chat()
    assert reply.status == 502
    assert reply.error["code"] in ("upstream_bad_response", "upstream_reset")
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("protocol", [b"RTSP/1.0", b"RTSP/1.1", b"ICE/1.0", b"HTTP/2.0", b"HTTP/0.9"])
@pytest.mark.parametrize("members", [{}, {"stream": True}])
def test_U08_a_reply_in_another_protocol_is_a_502(
    daemon: Daemon, upstream: Upstream, protocol: bytes, members: dict[str, bool]
) -> None:
    reply = in_protocol(protocol)
    upstream.expect(say(reply), say_apart([reply[at : at + 1] for at in range(len(reply))]))
    for _ in range(2):
        refused = daemon.chat(**members)
        assert (refused.status, refused.error["code"]) == (502, "upstream_bad_response")


@pytest.mark.parametrize("size", [1, 5, 7])
def test_a_reply_that_comes_in_pieces_passes(daemon: Daemon, upstream: Upstream, size: int) -> None:
    for _ in range(3):
        reply = in_protocol(b"HTTP/1.1")
        upstream.expect(say_apart([reply[at : at + size] for at in range(0, len(reply), size)]))
        assert daemon.chat().status == 200


@pytest.mark.parametrize(
    "framing",
    [
        [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "2"), ("Content-Length", "3")],
        [("Content-Length", "+2")],
        [("Transfer-Encoding", "chunked"), ("Bad Name", "x")],
    ],
)
def test_an_upstream_that_frames_its_reply_in_two_ways_is_a_502(
    daemon: Daemon, upstream: Upstream, framing: list[tuple[str, str]]
) -> None:
    upstream.expect(then(say(head(200, framing) + chunk(b"{}") + b"0\r\n\r\n"), close))
    reply = daemon.chat()
    assert (reply.status, reply.error["code"]) == (502, "upstream_bad_response")


@pytest.mark.parametrize("status", ["101 Switching Protocols", "099 X", "000 X", "600 X", "999 X"])
@pytest.mark.parametrize("members", [{}, {"stream": True}])
def test_a_status_that_is_none_is_a_502(
    daemon: Daemon, upstream: Upstream, status: str, members: dict[str, bool]
) -> None:
    upstream.expect(json_reply(chat_reply(), status), again=True)
    reply = daemon.chat(**members)
    assert (reply.status, reply.error["code"]) == (502, "upstream_bad_response")
    assert len(upstream.calls) == 1, "it may have been billed"


@pytest.mark.parametrize("status", [200, 299, 304, 405, 451, 499])
def test_any_other_status_passes(daemon: Daemon, upstream: Upstream, status: int) -> None:
    upstream.expect(say(head(status, [("X-Kept", "1")])) if status == 304 else json_reply({"a": 1}, status))
    reply = daemon.ask("GET", "/v1/files/f1")
    assert (reply.status, reply.header("x-kept" if status == 304 else "content-length")) in (
        (status, "1"),
        (status, "8"),
    )


def test_http_1_0_clients_are_served(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD, sse(chat_stream()))
    for members, expected in (({}, json.dumps(chat_reply()).encode()), ({"stream": True}, chat_stream())):
        request = daemon.request("POST", "/v1/chat/completions", [], json.dumps(chat_body(**members)).encode())
        with daemon.connect() as connection:
            connection.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            reply = connection.read_head()
            connection.read_body(reply)
            assert reply.header("transfer-encoding") is None
            assert reply.body == expected
