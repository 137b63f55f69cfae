"""A call names its provider by the header or the body: who serves it, what that reads, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CLIENT_KEY
from harness.steps import json_reply
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

GOOD = json_reply(chat_reply())
CHAT = "/v1/chat/completions"
ROUTE = "x-tollkeeper-route"


@pytest.mark.parametrize(
    ("named", "path", "model"),
    [
        ("openrouter", "/or/api/v1/chat/completions", "anthropic/claude-3-sonnet"),
        ("anthropic", "/anthropic/v1/chat/completions", "claude-3-sonnet-20240229"),
        ("local", "/local/v1/chat/completions", "claude-3-sonnet"),
    ],
)
def test_the_body_names_who_serves_and_only_the_model_differs_there(
    daemon: Daemon, upstream: Upstream, named: str, path: str, model: str
) -> None:
    upstream.expect(GOOD)
    body = '{ "messages":[],"temperature":1.0, "tollkeeper" : {"provider":"%s"},"model": "claude-3-sonnet" }'
    reply = daemon.post(CHAT, (body % named).encode())
    assert (reply.status, reply.header("x-tollkeeper-provider")) == (200, named)
    assert upstream.call.target == path
    assert upstream.call.body.decode() == f'{{ "messages":[],"temperature":1.0,"model": "{model}" }}'
    line = daemon.line_of(reply)
    assert (line["provider"], line["tried"][0]["model"]) == (named, model)


def test_the_header_goes_no_further(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD, again=True)
    for _ in range(3):  # the third comes by the quick lane
        reply = daemon.chat("gpt-4o", headers=[(ROUTE.title(), "oai"), ("X-Tollkeeper-Tags", "a")])
        assert (reply.status, reply.header("x-tollkeeper-provider")) == (200, "oai")
    assert all(call.target == "/oai/v1/chat/completions" for call in upstream.calls)
    assert not any(name.lower().startswith("x-tollkeeper") for call in upstream.calls for name, _ in call.headers)


def test_the_header_works_for_forms_and_for_what_carries_no_model(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"text": "hi"}), json_reply({"id": "f"}), json_reply({"id": "c"}))
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai/whisper-1\r\n--x--\r\n'
    headers = [("Content-Type", "multipart/form-data; boundary=x"), (ROUTE, "oai")]
    replies = [
        daemon.ask("POST", "/v1/audio/transcriptions", headers, form),
        daemon.ask("GET", "/v1/files/f", [(ROUTE, "oai")]),
        daemon.ask("POST", "/v1/conversations", [], b'{"items":[],"tollkeeper":{"provider":"oai"}}'),
    ]
    assert [reply.header("x-tollkeeper-provider") for reply in replies] == ["oai"] * 3
    assert upstream.calls[2].body == b'{"items":[]}'


def test_another_provider_is_no_fallback(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "no"}}, 503), again=True)
    reply = daemon.chat("two-homes", headers=[(ROUTE, "oai")])
    assert reply.status == 503
    assert {call.target for call in upstream.calls} == {"/oai/v1/chat/completions"}


REFUSED = [
    ({"tollkeeper": {"provider": "open-router"}}, [], "invalid_value", "The nearest name is openrouter."),
    ({}, [(ROUTE, "xyz")], "invalid_value", "There are: anthropic, brief, local, oai, openrouter."),
    ({}, [(ROUTE, "oai"), (ROUTE, "oai")], "duplicate_key", "The header x-tollkeeper-route stands twice."),
    ({"tollkeeper": {"provider": "oai"}}, [(ROUTE, "local")], "invalid_value", "keep one."),
    ({"model": "local/x"}, [(ROUTE, "oai")], "invalid_value", "begins with another provider than the call names."),
    ({"tollkeeper": {"route": "oai"}}, [], "invalid_value", "known are: provider, variables, fallback."),
]


@pytest.mark.parametrize(("more", "headers", "code", "ending"), REFUSED)
def test_what_names_no_one_provider_is_refused_before_anything_is_sent(
    daemon: Daemon, upstream: Upstream, more: dict[str, object], headers: list[tuple[str, str]], code: str, ending: str
) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": [], **more}).encode()
    reply = daemon.post(CHAT, body, headers=headers)
    assert (reply.status, reply.error["code"], reply.header("x-should-retry")) == (400, code, "false")
    assert reply.error["message"].endswith(ending)
    assert upstream.calls == []


def test_a_key_names_a_provider_within_what_it_may_use(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    mine = start_daemon(keys={"alice": {"key": CLIENT_KEY, "models": ["openai/*", "local/*"]}})
    upstream.expect(GOOD, again=True)
    assert mine.chat("gpt-4o", headers=[(ROUTE, "oai")]).status == 200
    assert mine.chat("llama3.1", headers=[(ROUTE, "local")]).status == 200
    assert mine.chat("claude-3-sonnet", headers=[(ROUTE, "local")]).status == 200, "local/* is what will be served"
    assert mine.chat("claude-3-sonnet", headers=[(ROUTE, "anthropic")]).error["code"] == "model_not_found"
    elsewhere = mine.ask("GET", "/v1/files", [(ROUTE, "anthropic")])
    assert (elsewhere.status, elsewhere.error["code"]) == (404, "endpoint_not_served")
    assert len(upstream.calls) == 3
