"""Web pages: refused by default, served with CORS headers where their origin is configured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.steps import json_reply
from harness.upstream import Upstream

PAGE = "https://app.example"


def test_a_configured_origin_may_ask_and_read(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    daemon = start_daemon(listen={"host": "127.0.0.1", "port": 0, "origins": [PAGE]})
    upstream.expect(json_reply(chat_reply(), headers=[("Access-Control-Allow-Origin", "*")]))
    reply = daemon.chat(headers=[("Origin", PAGE)])
    assert (reply.status, reply.header("access-control-allow-origin"), reply.header("vary")) == (200, PAGE, "Origin")
    wrong_key = daemon.chat(headers=[("Origin", PAGE), ("Authorization", "Bearer wrong")])
    assert (wrong_key.status, wrong_key.header("access-control-allow-origin")) == (401, PAGE), "errors are readable too"


def test_a_preflight_is_answered_here_and_needs_no_key(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    daemon = start_daemon(listen={"host": "127.0.0.1", "port": 0, "origins": [PAGE]})
    asked = [("Origin", PAGE), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "a, b")]
    with daemon.connect() as connection:
        connection.send(daemon.request("OPTIONS", "/v1/chat/completions", asked))
        reply = connection.read_reply()
    assert reply.status == 204
    assert reply.header("access-control-allow-origin") == PAGE
    assert reply.header("access-control-allow-headers") == "a, b"
    assert "POST" in (reply.header("access-control-allow-methods") or "")
    assert reply.header("access-control-allow-private-network") is None
    assert upstream.calls == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://localhost"]
)
def test_other_origins_are_refused_before_anything_happens(daemon: Daemon, upstream: Upstream, origin: str) -> None:
    reply = daemon.chat(headers=[("Origin", origin)])
    assert (reply.status, reply.json["error"]["code"]) == (403, "origin_not_allowed")
    assert reply.header("access-control-allow-origin") is None
    assert upstream.calls == []


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]:1"])
def test_a_page_this_machine_serves_may_ask(daemon: Daemon, upstream: Upstream, origin: str) -> None:
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.chat(headers=[("Origin", origin)])
    assert (reply.status, reply.header("access-control-allow-origin")) == (200, origin)
