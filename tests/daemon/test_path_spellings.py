"""However a path is spelled: what is judged is what is sent, and no key gets past its list of models or its budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.http import Reply
from harness.setting import config_for
from harness.steps import json_reply
from harness.upstream import Upstream

ROLES = ("open", "plain", "listed", "budgeted")
KEYS = {
    "plain": {"key": "sk-plain"},
    "listed": {"key": "sk-listed", "models": ["local/*"]},
    "budgeted": {"key": "sk-budgeted", "budgets": [{"usd": 100, "per": "total"}]},
}
CHAT = "/v1/chat/completions"

# Spellings of POST /v1/chat/completions, which is what all of them are judged as and sent as.
PLAIN = [
    CHAT,
    "/api/v1/chat/completions",
    "/chat/completions",
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/v1/chat//completions",
    "//chat//completions",
    "/v1///chat///completions///",
    "/v1/chat/completions/",
    "/v1/chat/completions//",
    "/chat/completions/",
    "/v1/./chat/completions",
    "/./v1/chat/./completions/.",
    "/v1/%2e/chat/completions/%2E",
    "/v1/%63hat/completions",
    "/v1/ch%61t/completion%73",
    "/%761/chat/completions",
    "/%61pi/v1/chat/completions",
    "http://evil.example//v1//chat/completions/",
]

# No server is to read these in its own way: they are refused before a key is looked at.
REFUSED = [
    ("POST", target)
    for target in (
        "/v1/chat%2fcompletions",
        "/v1/chat%2Fcompletions",
        "/v1%2fchat/completions",
        "/v1/chat%5ccompletions",
        "/v1/chat\\completions",
        "/v1/chat/completions%00",
        "/v1/chat/%00completions",
        "/v1/chat/completions%0a",
        "/v1/chat/completions%0d%0aX:y",
        "/v1/chat/completions%7F",
        "/v1/chat/completions%",
        "/v1/chat/completions%6",
        "/v1/chat/completions%zz",
        "/v1/x/../chat/completions",
        "/v1/x/%2e%2e/chat/completions",
        "/v1/x/.%2E/chat/completions",
        "/v1/x/%252e%252e/chat/completions",
        "/v1/models/..%2fchat/completions",
        "/v1/chat/completions/..",
        "/v1/c%c0%afhat/completions",
        "/v1/chat/completions#",
        "/v1/chat/completions?x=1#y",
        "/v1/chat/completions\xa0",
    )
]

# In no row: for callers whom nothing bounds only. The path it goes upstream with follows where it differs.
UNKNOWN: list[tuple[str, str, str]] = [
    ("POST", "/v1/Chat/Completions", "/Chat/Completions"),
    ("POST", "/v1/CHAT/COMPLETIONS", "/CHAT/COMPLETIONS"),
    ("POST", "/v1/chat/completions/x", "/chat/completions/x"),
    ("POST", "/v1/chat/completions//x/", "/chat/completions/x"),
    ("POST", "/v1/chat/completions;x", "/chat/completions;x"),
    ("POST", "/v1/chat/completions%20", "/chat/completions%20"),
    ("POST", "/v1/chat/completions.json", "/chat/completions.json"),
    ("POST", "/v1/chat%252fcompletions", "/chat%252fcompletions"),
    ("POST", "/v1/v1/chat/completions", "/v1/chat/completions"),
    ("POST", "/Chat/Completions", "/Chat/Completions"),
    ("POST", "/v2/chat/completions", "/v2/chat/completions"),
    ("PUT", "/openai/v1/messages/", "/openai/v1/messages"),
    ("POST", "/v1/engines/gpt-4o/completions", "/engines/gpt-4o/completions"),
    ("POST", "/v1/models/openai/gpt-4o", "/models/openai/gpt-4o"),
    ("POST", "/v1/embeddings/x", "/embeddings/x"),
    ("POST", "/v1/videos", "/videos"),
    ("POST", "/v1/fine_tuning/jobs", "/fine_tuning/jobs"),
    ("PUT", "/v1/chat/completions", "/chat/completions"),
    ("PATCH", "/v1/chat/completions/", "/chat/completions"),
    ("DELETE", "/v1/chat/completions", "/chat/completions"),
    ("PUT", "/v1/responses", "/responses"),
    ("PUT", "//v1//messages", "/messages"),
]

Daemons = tuple[Daemon, Daemon]


@pytest.fixture(scope="module")
def daemons(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """One with a key of each role, and one in open mode."""
    keyed = Daemon(config_for(upstream_server, keys=KEYS), tmp_path_factory.mktemp("keyed"))
    unkeyed = Daemon(config_for(upstream_server, keys={}), tmp_path_factory.mktemp("open"))
    with keyed, unkeyed:
        yield keyed, unkeyed


def ask(daemons: Daemons, role: str, method: str, target: str) -> Reply:
    keyed, unkeyed = daemons
    daemon = unkeyed if role == "open" else keyed
    credentials: list[tuple[str, str]] = [] if role == "open" else [("Authorization", f"Bearer sk-{role}")]
    body: dict[str, Any] = chat_body(max_tokens=10)
    return daemon.ask(method, target, [*credentials, ("Content-Type", "application/json")], json.dumps(body).encode())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("target", PLAIN)
def test_a_plain_path_in_any_spelling(daemons: Daemons, upstream: Upstream, target: str, role: str) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    if target.startswith("http"):
        target = target.replace("evil.example", f"127.0.0.1:{daemons[role == 'open'].port}")
    reply = ask(daemons, role, "POST", target)
    if role == "listed":
        assert (reply.status, reply.error["code"]) == (404, "model_not_found"), reply.body
        assert upstream.calls == []
        return
    assert reply.status == 200, reply.body
    assert reply.header("x-tollkeeper-cost-usd") is not None, "it was metered"
    assert upstream.call.target == "/or/api/v1/chat/completions"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "target"), REFUSED)
def test_a_spelling_servers_disagree_on(
    daemons: Daemons, upstream: Upstream, method: str, target: str, role: str
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = ask(daemons, role, method, target)
    assert (reply.status, reply.error["code"]) in ((400, "invalid_value"), (400, "bad_request")), reply.body
    assert upstream.calls == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "target", "sent"), UNKNOWN)
def test_what_is_in_no_row(
    daemons: Daemons, upstream: Upstream, method: str, target: str, sent: str, role: str
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = ask(daemons, role, method, target)
    refused = {"listed": (404, "endpoint_not_served"), "budgeted": (402, "model_not_priced")}
    if role in refused:
        assert (reply.status, reply.error["code"]) == refused[role], reply.body
        assert upstream.calls == []
        return
    assert reply.status == 200, reply.body
    assert reply.header("x-tollkeeper-cost-usd") is not None, "it is charged from the usage of the reply"
    assert (upstream.call.request_line) == f"{method} /or/api/v1{sent} HTTP/1.1"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "target", ["/v1/nothing/known", "/nothing/known", "/v1/chat/completions/x", "/v1/videos/v/content", "/v1//x/"]
)
def test_reading_is_free_for_everybody(daemons: Daemons, upstream: Upstream, target: str, role: str) -> None:
    upstream.expect(json_reply({"ok": 1}), again=True)
    reply = ask(daemons, role, "GET", target)
    assert reply.status == 200, reply.body
    assert upstream.call.target == "/or/api/v1" + target.removeprefix("/v1").replace("//", "/").rstrip("/")


def test_the_query_goes_as_it_came(daemons: Daemons, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    query = "?a=//x/./y/../%2f%00%63&b=%zz&c=caf%e9&d=\\"
    assert ask(daemons, "plain", "POST", f"//v1/chat/completions/{query}").status == 200
    assert upstream.call.target == f"/or/api/v1/chat/completions{query}"


def test_a_video_is_refused_by_name(daemons: Daemons, upstream: Upstream) -> None:
    reply = ask(daemons, "listed", "POST", "/v1/videos")
    assert "'videos'" in reply.error["message"]
    assert "`models:`" in reply.error["message"]
    assert upstream.calls == []
