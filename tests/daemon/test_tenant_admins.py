"""Admins bound to a tenant: over every path of the admin port, nothing of anybody else's is seen or changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_chunk, chat_reply
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import PATIENT
from harness.steps import chunk, json_reply, say, stream_head, then, wait_at
from harness.upstream import Upstream

from proxy.web.operator.access.rights import ROLES, may, right_of
from proxy.web.operator.admin_table import ROUTES

OWNER = "admin-canary-51b7"
KEYS = {"alice": "acme", "bob": "globex", "carol": None}
OTHERS = ("globex", "bob", "carol", "umbrella", "everybodys")
BODIES = {
    "adjust": {"usd": "-1", "reason": "r"},
    "raise_session": {"session": "ses-bob", "usd": "5"},
    "create": {"name": "new", "tenant": "globex"},
    "update": {"models": ["x"]},
}


def ask(daemon: Daemon, method: str, path: str, token: str = OWNER, body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    headers: Headers = [("Authorization", f"Bearer {token}")]
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    total = [{"usd": 100, "per": "total"}]
    provider = {"kind": "openrouter", "base_url": f"{upstream_server.url}/or/api/v1", "api_key": "sk-canary"}
    config = {
        "admin": {"port": 0, "token": OWNER},
        "providers": {"openrouter": {**provider, "timeouts": PATIENT}},
        "models": {"acme-story": "openai/gpt-4o", "globex-story": "openai/gpt-4o"},
        "tenants": {
            "umbrella": {"budgets": total},
            "acme": {"parent": "umbrella", "models": ["acme-*"], "budgets": total},
            "globex": {"parent": "umbrella", "models": ["globex-*"], "budgets": total},
        },
        "keys": {
            name: {
                "key": f"sk-{name}",
                "budgets": [{"usd": 0.2, "per": "total"}],
                **({"tenant": tenant} if tenant else {"models": ["globex-*"]}),
            }
            for name, tenant in KEYS.items()
        },
        "budgets": [{"usd": 1000, "per": "total", "name": "everybodys"}],
        "budget_alerts": ["0.01%"],
        "sessions": {"budget": 5},
        "webhooks": {"allow_private": True},
        "experiments": {
            f"{tenant}-try": {
                "model": f"{tenant}-story",
                "arms": [{"target": target, "share": 50} for target in ("openai/gpt-4o", "openai/gpt-4o-mini")],
            }
            for tenant in ("acme", "globex")
        },
        "admins": {
            **{role: {"token": f"acme-{role}", "role": role, "tenant": "acme"} for role in ROLES},
            "above": {"token": "umbrella-owner", "role": "owner", "tenant": "umbrella"},
        },
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path_factory.mktemp("admins")) as running:
        yield running


@pytest.fixture(scope="module")
def calls(daemon: Daemon, upstream_server: Upstream) -> dict[str, str]:
    """The ids of one past call of every key."""
    upstream_server.reset()
    upstream_server.expect(json_reply(chat_reply()), again=True)
    ids = {}
    for key, tenant in KEYS.items():
        body = json.dumps(chat_body(f"{tenant or 'globex'}-story")).encode()
        more = [("Authorization", f"Bearer sk-{key}"), ("x-session-id", f"ses-{key}")]
        reply = daemon.ask("POST", "/v1/chat/completions", more, body)
        assert reply.status == 200, reply.body
        ids[key] = reply.header("x-tollkeeper-request-id") or ""
        assert ask(daemon, "GET", f"/calls/{ids[key]}").json["key"] == key
        more += [("Prefer", "respond-async"), ("x-tollkeeper-webhook", f"{upstream_server.url}/hooks/{key}")]
        more += [("x-tollkeeper-webhook-secret", f"whsec_{'QUJD' * 8}")]
        assert daemon.ask("POST", "/v1/chat/completions", more, body).status == 202
    daemon.wait_for_lines(lambda line: line["event"] == "webhook_delivered", len(KEYS))
    for name in KEYS:  # so that the audit has rows of each, too
        body = {"name": f"second-{name}", **({"tenant": KEYS[name]} if KEYS[name] else {"models": ["globex-*"]})}
        assert ask(daemon, "POST", "/keys", body=body).status == 200
    return ids


def whole(daemon: Daemon) -> list[Any]:
    """All that admins of a tenant might change."""
    return [ask(daemon, "GET", path).json for path in ("/keys", "/budgets", "/sessions", "/tenants")]


def told_since_the_start(daemon: Daemon, path: str, token: str) -> str:
    """All that a stream has told up to a call of alice's, behind one of everybody else's."""
    with Connection(daemon.admin_port) as connection:
        headers: Headers = [("Authorization", f"Bearer {token}"), ("Last-Event-ID", "0.0.0")]
        connection.send(request_bytes("GET", path, headers, None, f"127.0.0.1:{daemon.admin_port}"))
        assert connection.read_head().status == 200
        for key, tenant in reversed(KEYS.items()):
            body = json.dumps(chat_body(f"{tenant or 'globex'}-story")).encode()
            last = daemon.ask("POST", "/v1/chat/completions", [("Authorization", f"Bearer sk-{key}")], body)
            assert last.status == 200, last.body
        told, late = "", "event: alert" if path == "/events" else ""  # which comes when the ledger has it
        while last.request_id not in told or late not in told:
            told += connection.read_until(b"\n\n").decode()
        return told


def path_of(route: str, **names: str) -> str:
    path = "/".join(names.get(part[1:-1], "x") if part.startswith("{") else part for part in route.split("/"))
    return f"{path}?model=acme-story" if path == "/what-if" else path


def test_no_path_shows_or_changes_anything_of_others(daemon: Daemon, calls: dict[str, str]) -> None:
    before = whole(daemon)
    (hook,) = [row["id"] for row in ask(daemon, "GET", "/webhooks").json["webhooks"] if row["key"] == "globex/bob"]
    (job,) = [row["id"] for row in ask(daemon, "GET", "/jobs").json["jobs"] if row["key"] == "globex/bob"]
    theirs = {"key": "second-bob", "budget": "key:bob:total", "request_id": calls["bob"], "tenant": "globex"}
    for route in ROUTES:
        if route.streams and right_of(route.order, {}).by_tenant:
            continue  # they never end: the next test
        theirs["name"] = {"webhooks": hook, "jobs": job}.get(route.path.split("/")[1], "globex-try")
        said = [*theirs.values(), "ses-bob"]
        body = BODIES.get(route.order, {}) if route.body else None
        reply = ask(daemon, route.method, path_of(route.path, section="keys", **theirs), "acme-owner", body)
        told, where = reply.body.decode(), f"{route.method} {route.path}: {reply.status} {reply.body!r}"
        for name in said:  # what the asker said is no news
            told = told.replace(name, "")
        assert [word for word in OTHERS if word in told] == [], where
        if not right_of(route.order, {"section": "keys"}).by_tenant:
            assert (reply.status, reply.error["code"]) == (403, "role_not_sufficient"), where
            assert "bound to the tenant acme" in reply.error["message"]
        elif "{" in route.path or route.changes:
            assert reply.status in (403, 404), where
        else:
            assert reply.status == 200, where
    assert whole(daemon) == before


STREAMS = [route for route in ROUTES if route.streams and right_of(route.order, {}).by_tenant]


@pytest.mark.parametrize("path", [route.path for route in STREAMS])
def test_no_stream_tells_anything_of_others(
    daemon: Daemon, upstream: Upstream, calls: dict[str, str], path: str
) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    mine, everything = (told_since_the_start(daemon, path, token) for token in ("acme-owner", OWNER))
    assert [word for word in OTHERS if word in mine] == []
    for word in ("bob", "carol", "globex-story", *(["key:bob:total"] if path == "/events" else ())):
        assert word in everything, "a test that can fail"
    assert calls["alice"] in mine
    if path == "/events":
        assert ("event: alert" in mine, "key.create" in mine) == (True, True)
    else:
        lines = [json.loads(line[6:]) for line in mine.splitlines() if line.startswith("data: ")]
        assert {line["missed"] for line in lines} == {0}
        assert max(minute["calls"] for line in lines for minute in line["minutes"]) <= sum(
            row["calls"] for row in ask(daemon, "GET", "/usage?by=key&key=alice").json["rows"]
        )


def test_what_is_theirs_is_all_there(daemon: Daemon, calls: dict[str, str]) -> None:
    def seen(path: str, token: str = "acme-owner") -> Any:
        return ask(daemon, "GET", path, token).json

    for path, member in (
        ("/keys", "name"), ("/tenants", "name"), ("/budgets", "budget"), ("/sessions", "session"), ("/models", "name"),
    ):  # fmt: skip
        mine = {row[member] for row in seen(path)[path[1:]]}
        above = {row[member] for row in seen(path, "umbrella-owner")[path[1:]]}
        everything = {row[member] for row in seen(path, OWNER)[path[1:]]}
        assert mine and mine < above <= everything, path
    assert {row["tenant"] for row in seen("/usage?by=tenant")["rows"]} == {"acme"}
    assert {row["tenant"] for row in seen("/usage?by=tenant", "umbrella-owner")["rows"]} == {"acme", "globex"}
    by_owner, by_admin = seen("/usage?key=alice", OWNER)["total"], seen("/usage")["total"]
    assert by_owner == by_admin == seen("/usage?by=session,key")["total"] and by_owner["calls"] >= 2
    assert seen("/usage?tenant=globex")["total"]["calls"] == 0
    for name in ("usage", "performance", "costs"):
        whole, own = seen(f"/analytics/{name}?by=tenant,key", OWNER), seen(f"/analytics/{name}?by=tenant,key")
        assert own["rows"] == [row for row in whole["rows"] if row["tenant"] == "acme"] and len(own["rows"]) == 1
        assert (
            own["total"]["calls"] == own["rows"][0]["calls"] == seen(f"/analytics/{name}?by=session")["total"]["calls"]
        )
        assert seen(f"/analytics/{name}?by=model&interval=minute&since=1h")["total"]["calls"] == own["total"]["calls"]
        assert seen(f"/analytics/{name}?tenant=globex")["total"]["calls"] == 0
    assert seen("/savings")["spent_usd"] == by_owner["cost_usd"] != seen("/savings", OWNER)["spent_usd"]
    assert seen("/what-if?model=acme-story")["was_usd"] == by_owner["cost_usd"]
    for unknown in ("globex-story", "openai/gpt-4o", "nobodys"):
        assert ask(daemon, "GET", f"/what-if?model={unknown}", "acme-owner").status == 404, unknown
    mine = {"request_id": calls["alice"], "tenant": "acme", "name": "acme-try"}
    for route in ROUTES:
        if route.method == "GET" and "{" in route.path and right_of(route.order, {}).by_tenant:
            assert ask(daemon, "GET", path_of(route.path, **mine), "acme-owner").status == 200, route.path
    for path, member, found in (
        ("/calls/past", "calls", "alice"), ("/webhooks", "webhooks", "acme/alice"),
        ("/jobs", "jobs", "acme/alice"), ("/experiments", "experiments", "acme-try"),
    ):  # fmt: skip
        assert {row.get("key", row.get("name")) for row in seen(path)[member]} == {found}, path
    (hook,) = (row["id"] for row in seen("/webhooks")["webhooks"])
    assert ask(daemon, "POST", f"/webhooks/{hook}/replay", "acme-owner").status == 200
    (job,) = (row["id"] for row in seen("/jobs")["jobs"])
    assert ask(daemon, "DELETE", f"/jobs/{job}", "acme-owner").error["message"].startswith(f"The job {job} is over")
    assert seen(f"/calls/{calls['alice']}")["key"] == "alice"
    assert {call["key"] for call in seen("/calls")["recent"]} == {"alice"}
    made = [row["target"] for row in seen("/audit?action=key.create")["rows"] if row["target"] != "keys.fresh"]
    assert made == ["keys.second-alice"], "and what the next test makes, where it came first"


def test_changes_stay_within_the_tenant(daemon: Daemon, calls: dict[str, str]) -> None:
    def told(method: str, path: str, body: Any = None, token: str = "acme-operator") -> Reply:
        return ask(daemon, method, path, token, body)

    assert told("POST", "/keys", {"name": "fresh"}).status == 200
    mine = {row["name"]: row["tenant"] for row in told("GET", "/keys").json["keys"]}
    assert mine["fresh"] == "acme"
    for tenant in ("globex", None, "umbrella"):
        assert told("PATCH", "/keys/fresh", {"tenant": tenant}).error["code"] == "role_not_sufficient"
    assert told("PATCH", "/keys/fresh", {"timing": True}).status == 200
    assert told("POST", "/keys/fresh/rotations", {}).status == 200
    assert told("DELETE", "/keys/fresh").status == 200
    back = {"usd": "-0.01", "reason": "billed twice"}
    assert told("POST", "/budgets/key:alice:total/adjustments", back).status == 200
    own = told("POST", "/budgets/tenant:acme:total/adjustments", back)  # which bounds themselves
    assert (own.status, own.error["code"]) == (403, "role_not_sufficient")
    assert told("POST", "/budgets/tenant:acme:total/adjustments", back, "umbrella-owner").status == 200
    assert told("POST", "/budgets/tenant:umbrella:total/adjustments", back).status == 404
    raised = {"session": "ses-alice", "usd": "1"}
    assert told("POST", "/sessions/raise", raised).status == 200
    assert told("POST", "/sessions/raise", {**raised, "key": "bob"}).status == 404
    rows = told("GET", "/audit", token="acme-auditor").json["rows"]
    assert {row["actor"] for row in rows} >= {"admin operator"}
    assert {row["action"] for row in rows} >= {"key.create", "key.update", "key.rotate", "key.revoke", "budget.adjust"}


def test_a_call_under_way_is_its_tenants(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(say(stream_head()), say(chunk(chat_chunk("word"))), wait_at(gate)))
    with daemon.open_chat("globex-story", [("Authorization", "Bearer sk-bob")], stream=True) as connection:
        head = connection.read_head()
        ids = [
            [call["request_id"] for call in ask(daemon, "GET", "/calls", token).json["calls"]]
            for token in ("acme-owner", "umbrella-owner")
        ]
        assert ids == [[], [head.request_id]]
        path = f"/calls/{head.request_id}"
        assert [ask(daemon, "DELETE", path, token).status for token in ("acme-owner", "umbrella-owner")] == [404, 200]
        connection.read_body(head)
    gate.open()


@pytest.mark.parametrize("role", list(ROLES))
def test_a_role_in_a_tenant_may_no_more_than_elsewhere(daemon: Daemon, calls: dict[str, str], role: Any) -> None:
    for route in ROUTES:
        if route.method == "GET":
            right = right_of(route.order, {"section": "keys"})
            method = "HEAD" if route.streams else "GET"  # which would never end
            reply = ask(daemon, method, path_of(route.path, section="keys", tenant="acme"), f"acme-{role}")
            assert (reply.status == 403) is not (may(role, right) and right.by_tenant), (role, route.path, reply.body)
