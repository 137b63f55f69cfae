"""Design 6: every error code reached over raw HTTP, with its status, envelope and hints; the next call works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.http import Connection, Ended, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY, UPSTREAM_KEY
from harness.steps import Script, close, hang, json_reply, plain_reply, reset, say, then, wait_at
from harness.surroundings import PATIENCE_SECONDS, held_port
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

GOOD = json_reply(chat_reply())
CHAT = "/v1/chat/completions"


def assert_error(reply: Reply, status: int, code: str, *, kind: str, retry: str | None) -> None:
    """The envelope of design 6, ours alone, with both ids."""
    assert (reply.status, reply.error["code"]) == (status, code), reply.body
    assert set(reply.json) == {"error"}
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert reply.error["type"] == kind
    assert reply.error["message"].endswith((".", "?")), "a sentence a stranger can act on"
    assert reply.header("content-type") == "application/json"
    assert reply.header("x-should-retry") == retry
    assert reply.header("x-request-id") == reply.request_id


def openai_error(message: str, param: str | None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


CALLERS: dict[str, tuple[int, Headers, Any]] = {
    "invalid_json": (400, [], b'{"model":'),
    "duplicate_key": (400, [], b'{"model":"a","model":"b"}'),
    "json_too_deep": (400, [], b'{"model":"a","x":' + b"[" * 9000 + b"]" * 9000 + b"}"),
    "invalid_value": (400, [], {"model": 7}),
    "model_not_found": (404, [], {"model": "nothing-of-the-kind-7"}),
    "unsupported_encoding": (415, [("Content-Encoding", "gzip")], {"model": "a"}),
    "origin_not_allowed": (403, [("Origin", "https://evil.example")], {"model": "a"}),
}


@pytest.mark.parametrize("code", CALLERS)
def test_the_callers_mistakes(daemon: Daemon, upstream: Upstream, code: str) -> None:
    status, headers, body = CALLERS[code]
    reply = daemon.post(CHAT, body, headers)
    assert_error(reply, status, code, kind="invalid_request_error", retry="false")
    line = daemon.line_of(reply)
    assert (line["status"], line["attempts"]) == (status, 0)
    assert upstream.calls == []


@pytest.mark.parametrize("code", CALLERS)
def test_the_callers_mistakes_on_messages_wear_anthropics_envelope(daemon: Daemon, code: str) -> None:
    status, headers, body = CALLERS[code]
    reply = daemon.post("/v1/messages", body, headers)
    assert (reply.status, reply.json["type"]) == (status, "error")
    assert set(reply.json["error"]) >= {"type", "message"}
    assert reply.json["error"]["type"] == ANTHROPICS[status]


ANTHROPICS = {
    **dict.fromkeys((400, 405, 414, 415, 417, 426, 431), "invalid_request_error"),
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}


MESSAGES = [
    "/v1/messages",
    "/messages",
    "//api/v1//m%65ssages/",
    "/v1/messages/count_tokens",
    "/messages/batches/b/cancel",
]
ALICE = ("Authorization", f"Bearer {CLIENT_KEY}")
LINE = b" HTTP/1.1\r\nHost: localhost\r\n"
# what is wrong before anybody knows the endpoint: what follows the path -> status
BROKEN = {
    "a bad key": (b"%b" + LINE + b"x-api-key: no\r\n\r\n", 401),
    "no key": (b"%b" + LINE + b"\r\n", 401),
    "a foreign host": (b"%b HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "no host": (b"%b HTTP/1.1\r\n\r\n", 400),
    "a path refused": (b"%b/../x" + LINE + b"\r\n", 400),
    "an upgrade": (b"%b" + LINE + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 426),
    "a version of HTTP": (b"%b HTTP/3.0\r\nHost: localhost\r\n\r\n", 400),
    "a bad head": (b"%b HTTP/1.1\r\nno header\r\n\r\n", 400),
    "a line too long": (b"%b?q=" + b"a" * 9000 + LINE + b"\r\n", 414),
    "a header too long": (b"%b" + LINE + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("path", [*MESSAGES, "/v1/messagesx", "/v1/files"])
@pytest.mark.parametrize("name", BROKEN)
def test_whoever_asks_for_messages_reads_every_error_in_anthropics_envelope(
    daemon: Daemon, upstream: Upstream, name: str, path: str
) -> None:
    rest, status = BROKEN[name]
    with daemon.connect() as connection:
        connection.send(b"POST " + rest % path.encode())
        reply = connection.read_reply()
    assert reply.status == status
    if status in (414, 431) or name == "a bad head":
        assert reply.header("connection") == "close"
    if path in MESSAGES:
        assert (reply.json["type"], reply.json["error"]["type"]) == ("error", ANTHROPICS[status])
    else:
        assert set(reply.error) == {"message", "type", "param", "code"}
    assert upstream.calls == []


def test_so_do_errors_of_a_call_to_any_of_them(daemon: Daemon, upstream: Upstream) -> None:
    large = [ALICE, ("Content-Length", str(65 * 2**20))]
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"):
        for method, headers, body, status in (
            ("TRACE", [ALICE], None, 405),
            ("POST", large, None, 413),
            ("POST", [ALICE, ("Content-Encoding", "gzip")], b"{}", 415),
            ("POST", [ALICE, ("Expect", "coffee")], b"{}", 417),
        ):
            with daemon.connect() as connection:
                connection.send(daemon.request(method, path, headers, body))
                reply = connection.read_reply()
            assert (reply.status, reply.json["error"]["type"]) == (status, ANTHROPICS[status]), (path, method)
    upstream.expect(plain_reply(b"", 404), plain_reply(b"", 529, [("Retry-After", "99")]))
    for path, kind in (("/v1/messages/batches/b/cancel", "not_found_error"), ("/v1/messages", "overloaded_error")):
        reply = daemon.post(path, {"model": "claude-sonnet-4", "max_tokens": 1, "messages": []})
        assert (reply.json["error"]["type"], reply.json["error"]["code"]) == (kind, "upstream_error")
        assert reply.json["request_id"] == reply.request_id


def test_a_client_that_names_anthropics_version_reads_its_envelope_elsewhere_too(daemon: Daemon) -> None:
    version = ("anthropic-version", "2023-06-01")
    assert daemon.ask("POST", "/v1/files", [("x-api-key", "no"), version]).json["type"] == "error"
    assert "type" not in daemon.post(CHAT, b"{", [version]).json, "that endpoint is OpenAI's alone"


def test_413_request_too_large(daemon: Daemon) -> None:
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", CHAT, [("Content-Length", str(65 * 2**20))]))
        reply = connection.read_reply()
        assert_error(reply, 413, "request_too_large", kind="invalid_request_error", retry="false")


def test_426_for_a_websocket(daemon: Daemon) -> None:
    reply = daemon.ask("GET", "/v1/realtime", [("Connection", "Upgrade"), ("Upgrade", "websocket")])
    assert_error(reply, 426, "websocket_unsupported", kind="invalid_request_error", retry="false")
    assert (reply.header("upgrade"), reply.header("connection")) == ("HTTP/1.1", "Upgrade"), "RFC 9110 15.5.22"


@pytest.mark.parametrize("method", ["TRACE", "QUERY", "PURGE"])
def test_405_says_what_is_allowed(daemon: Daemon, method: str) -> None:
    reply = daemon.ask(method, CHAT)
    assert_error(reply, 405, "method_not_supported", kind="invalid_request_error", retry="false")
    assert reply.header("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def test_401_is_one_message_for_every_reason(daemon: Daemon, upstream: Upstream) -> None:
    wrong: list[Headers] = [
        [("Authorization", "Bearer sk-wrong")],
        [("Authorization", f"Bearer {UPSTREAM_KEY}")],
        [("Authorization", f"Basic {CLIENT_KEY}")],
        [("Authorization", f"Bearer {CLIENT_KEY[:-1]}")],
        [("Authorization", f"Bearer {CLIENT_KEY}x")],
        [("Authorization", "Bearer ")],
        [("x-api-key", "nonsense")],
        [("api-key", "\xff\xfe")],
    ]
    replies = [daemon.post(CHAT, chat_body(), headers) for headers in wrong]
    with daemon.connect() as connection:
        body = b'{"model":"gpt-4o"}'
        connection.send(request_bytes("POST", CHAT, [], body, f"127.0.0.1:{daemon.port}"))
        replies.append(connection.read_reply())
    for reply in replies:
        assert reply.header("www-authenticate") == "Bearer"
        assert_error(reply, 401, "invalid_api_key", kind="invalid_request_error", retry="false")
    assert len({reply.body for reply in replies}) == 1
    assert upstream.calls == []


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:8655", "127.0.0.1.nip.io", "10.0.0.1", "localhost.evil.example", "[::2]"],
)
def test_T99_403_for_a_foreign_host(daemon: Daemon, upstream: Upstream, host: str) -> None:
    with daemon.connect() as connection:
        connection.send(request_bytes("POST", CHAT, [("Authorization", f"Bearer {CLIENT_KEY}")], b"{}", host))
        reply = connection.read_reply()
    assert_error(reply, 403, "host_not_allowed", kind="invalid_request_error", retry="false")
    assert upstream.calls == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8655", "localhost."])
def test_T99_local_hosts_are_welcome(daemon: Daemon, upstream: Upstream, host: str) -> None:
    upstream.expect(GOOD)
    with daemon.connect() as connection:
        headers = [("Authorization", f"Bearer {CLIENT_KEY}")]
        connection.send(request_bytes("POST", CHAT, headers, b'{"model":"gpt-4o"}', host))
        assert connection.read_reply().status == 200


def test_T99_configured_hosts_and_origins_are_welcome(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    listen = {"host": "127.0.0.1", "port": 0, "hosts": ["proxy.example"], "origins": ["https://app.example"]}
    mine = start_daemon(listen=listen)
    upstream.expect(GOOD)
    with mine.connect() as connection:
        headers = [("Authorization", f"Bearer {CLIENT_KEY}"), ("Origin", "https://app.example")]
        connection.send(request_bytes("POST", CHAT, headers, b'{"model":"gpt-4o"}', "proxy.example:80"))
        assert connection.read_reply().status == 200
    assert mine.chat(headers=[("Origin", "https://app.example.evil")]).error["code"] == "origin_not_allowed"
    assert mine.chat(headers=[("Origin", "null")]).error["code"] == "origin_not_allowed"


TROUBLES: dict[str, tuple[Script, int, str, str | None]] = {
    "reset": (reset, 502, "upstream_reset", "false"),
    "closed": (close, 502, "upstream_reset", "false"),
    "garbage": (then(say(b"\x00\x01garbage\r\n\r\n" * 50), close), 502, "upstream_bad_response", "false"),
    "redirect": (plain_reply(b"", 307, [("Location", "http://127.0.0.1:1/")]), 502, "upstream_bad_response", "false"),
    "silent": (hang, 504, "upstream_timeout", "false"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_an_upstream_in_trouble(daemon: Daemon, upstream: Upstream, name: str) -> None:
    script, status, code, retry = TROUBLES[name]
    upstream.hang_up()  # a connection that was kept would be replaced
    upstream.expect(script)
    provider = "brief" if script is hang else "oai"
    reply = daemon.chat(f"{provider}/x")
    assert_error(reply, status, code, kind="upstream_error", retry=retry)
    assert len(upstream.calls) == 1
    assert provider in reply.error["message"], "the sentence names the provider"
    line = daemon.line_of(reply)
    assert line["status"] == status
    assert line["error_type"] is not None


@pytest.mark.parametrize("status", [401, 403])
def test_our_own_key_refused_is_told_without_the_upstreams_words(
    daemon: Daemon, upstream: Upstream, status: int
) -> None:
    upstream.expect(json_reply({"error": {"message": f"Invalid API key {UPSTREAM_KEY}", "code": status}}, status))
    reply = daemon.chat()
    assert_error(reply, 502, "upstream_auth_error", kind="upstream_error", retry="false")
    assert "openrouter" in reply.error["message"]
    assert "api_key" in reply.error["message"], "it says where the key comes from"
    assert UPSTREAM_KEY.encode() not in reply.raw


@pytest.mark.parametrize(("status", "members"), [(400, {}), (403, {}), (500, {}), (422, {"stream": True})])
def test_T18_an_error_that_repeats_our_key_is_not_passed_on(
    daemon: Daemon, upstream: Upstream, status: int, members: dict[str, bool]
) -> None:
    body = {"error": {"message": f"Unexpected header: Authorization: Bearer {UPSTREAM_KEY}", "code": "odd"}}
    upstream.expect(json_reply(body, status), again=True)
    reply = daemon.chat(**members)
    assert_error(reply, 502, "upstream_auth_error", kind="upstream_error", retry="false")
    assert UPSTREAM_KEY.encode() not in reply.raw
    upstream.reset()


def test_a_403_about_the_request_passes(daemon: Daemon, upstream: Upstream) -> None:
    body = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}}
    upstream.expect(json_reply(body, 403))
    reply = daemon.chat()
    assert (reply.status, reply.json) == (403, body)


OBJECTS = {
    "a stored item": openai_error("Item with id 'rs_68' not found.", "input"),
    "a file": {"type": "error", "error": {"type": "not_found_error", "message": "File not found: file_011CNha8iCJc"}},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_404_about_something_stored_is_the_callers_and_no_reason_to_go_elsewhere(
    daemon: Daemon, upstream: Upstream, name: str
) -> None:
    upstream.expect(json_reply(OBJECTS[name], 404), again=True)
    replies = [daemon.chat("two-homes") for _ in range(6)]
    assert [(reply.status, reply.json) for reply in replies] == [(404, OBJECTS[name])] * 6
    assert [call.target for call in upstream.calls] == ["/or/api/v1/chat/completions"] * 6
    line = daemon.line_of(replies[-1])
    assert (line["error_type"], line["attempts"]) == ("caller_invalid_request", 1)


@pytest.mark.parametrize("path", ["/v1/files/file-abc", "/v1/responses/resp_1", "/v1/batches/batch_1"])
def test_a_404_of_something_fetched_is_not_told_as_a_missing_model(
    daemon: Daemon, upstream: Upstream, path: str
) -> None:
    body = openai_error(f"No such object: {path.rpartition('/')[2]}", "id")
    upstream.expect(json_reply(body, 404))
    reply = daemon.ask("GET", path)
    assert (reply.status, reply.json) == (404, body)
    assert daemon.line_of(reply)["error_type"] == "caller_invalid_request"


NO_MODEL = {
    404: openai_error("The model `gpt-4o` does not exist or you do not have access to it.", None, "model_not_found"),
    400: {"error": {"message": "openai/gpt-4o is not a valid model ID", "code": 400}},
}


@pytest.mark.parametrize("status", NO_MODEL)
def test_a_model_that_is_not_there_is_told_so_and_its_fallback_asked(
    daemon: Daemon, upstream: Upstream, status: int
) -> None:
    upstream.expect(json_reply(NO_MODEL[status], status), path="/or/", again=True)
    upstream.expect(GOOD, path="/local/")
    assert daemon.chat("two-homes").header("x-tollkeeper-provider") == "local"
    reply = daemon.chat()
    assert (reply.status, daemon.line_of(reply)["error_type"]) == (status, "caller_model_not_available")


def test_an_unreachable_upstream_is_retried_and_then_a_502(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    live = {"kind": "openai", "base_url": f"{upstream.url}/local/v1"}
    models = {"both": {"target": "dead/x", "fallbacks": ["live/y"]}}
    with held_port() as nobody:
        dead = {"kind": "openai", "base_url": f"http://127.0.0.1:{nobody}/v1"}
        mine = start_daemon(providers={"dead": dead, "live": live}, routes=[], models=models)
        reply = mine.chat("dead/x")
        assert_error(reply, 502, "upstream_unreachable", kind="upstream_error", retry="false")
        assert reply.header("x-tollkeeper-attempts") == "3"
        upstream.expect(GOOD)
        both = mine.chat("both")
    assert (both.header("x-tollkeeper-provider"), both.header("x-tollkeeper-attempts")) == ("live", "2")


def test_five_failures_open_the_breaker_and_fallbacks_go_on(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    mine = start_daemon(retries={"attempts": 1, "first_wait": 0.05, "longest_wait": 1})
    upstream.expect(json_reply({"error": {"message": "m", "code": 503}}, 503), path="/or/", again=True)
    upstream.expect(GOOD, path="/local/", again=True)
    for number in range(1, 6):
        assert mine.chat().status == 503
        assert len(upstream.calls) == number
    reply = mine.chat()
    assert_error(reply, 503, "no_healthy_upstream", kind="upstream_error", retry=None)
    assert 1 <= int(reply.header("retry-after") or 0) <= 10
    assert 1 <= int(reply.header("retry-after-ms") or 0) <= 10_000
    assert len(upstream.calls) == 5, "nothing was sent"
    assert mine.chat("two-homes").header("x-tollkeeper-provider") == "local"
    assert mine.chat("local/x").status == 200, "another provider is not concerned"
    upstream.reset()
    upstream.expect(GOOD, again=True)
    assert [mine.chat("openai/gpt-4.1").status for _ in range(30)] == [200] * 30, "nor is another of its models"
    assert mine.chat().status == 503
    assert "This model at openrouter" in mine.chat().error["message"]


def test_a_refused_key_leaves_the_whole_provider_alone(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    mine = start_daemon(retries={"attempts": 1, "first_wait": 0.05, "longest_wait": 1})
    upstream.expect(json_reply({"error": {"message": "no", "code": 401}}, 401), again=True)
    assert [mine.chat(f"openai/gpt-4o{tail}").status for tail in ("", "", "-mini", "-mini", "")] == [502] * 5
    assert_error(mine.chat("openai/gpt-4.1"), 503, "no_healthy_upstream", kind="upstream_error", retry=None)
    mistyped = mine.chat("openai/gpt-4.11")
    assert (mistyped.status, mistyped.error["code"]) == (404, "model_not_found")
    assert mistyped.header("x-should-retry") == "false"
    assert "openrouter has failed several times in a row" in mistyped.error["message"]
    assert "Near it: openai/gpt-4.1" in mistyped.error["message"]
    assert len(upstream.calls) == 5, "nothing was sent"


def test_a_success_between_failures_keeps_the_breaker_closed(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    mine = start_daemon(retries={"attempts": 1, "first_wait": 0.05, "longest_wait": 1})
    bad = json_reply({"error": {"message": "m"}}, 500)
    upstream.expect(bad, bad, bad, bad, GOOD, bad, bad, bad, bad, GOOD)
    assert [mine.chat().status for _ in range(10)] == [500, 500, 500, 500, 200] * 2


def test_429s_never_open_the_breaker(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "m"}}, 429, [("Retry-After", "60")]), again=True)
    assert [daemon.chat().status for _ in range(8)] == [429] * 8


def test_stopping_refuses_new_calls_and_lets_running_ones_finish(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    mine = start_daemon()
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), GOOD))
    with mine.connect() as idle, mine.open_chat() as running:
        idle.send(mine.request("GET", "/v1/models/openai%2Fgpt-4o"))
        assert idle.read_reply("GET").status == 200
        upstream.wait_for_calls(1)
        mine.signal_stop()
        idle.set_timeout(PATIENCE_SECONDS)
        late = _refusal(mine, idle)
        gate.open()
        reply = running.read_reply()
        assert (reply.status, reply.json) == (200, chat_reply())
    if late is not None:
        assert_error(late, 503, "shutting_down", kind="server_error", retry=None)


def _refusal(daemon: Daemon, idle: Connection) -> Reply | None:
    """Ask until the daemon refuses; None when it closed the connection instead."""
    try:
        while True:
            idle.send(daemon.request("GET", "/v1/models/openai%2Fgpt-4o"))
            reply = idle.read_reply("GET")
            if reply.status != 200:
                return reply
    except (Ended, ConnectionError):
        return None
