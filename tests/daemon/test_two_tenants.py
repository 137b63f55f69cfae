"""Two tenants side by side: each with its own keys, models, budgets and failures, and nothing of the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import PATIENT
from harness.steps import json_reply
from harness.upstream import Upstream

from proxy.wire.endpoints import FREE_ROWS, MODEL_ROWS, NAMES

TOKEN = "admin-canary-tenants"
KEYS = {"acme": "sk-acme-client", "globex": "sk-globex-client"}
OWN = {"acme": "sk-or-acme-canary", "globex": "sk-or-globex-canary"}
SHARED = "sk-or-shared-canary"
# what must never be read in an answer to the other
MARKS = {
    "acme": ["acme", "alice", OWN["acme"]],
    "globex": ["globex", "bob", OWN["globex"]],
}
OTHER = {"acme": "globex", "globex": "acme"}


def config(upstream: Upstream) -> dict[str, Any]:
    provider = {"api_key": SHARED, "timeouts": PATIENT}
    tenants = {
        "umbrella": {"budgets": [{"usd": 1000, "per": "month"}], "limits": [{"requests": 100000, "per": "minute"}]},
        "acme": {
            "parent": "umbrella",
            "credentials": {"openrouter": OWN["acme"]},
            "models": ["acme-story", "acme-long", "openai/*"],
            "default_model": "acme-story",
            "max_output": 4000,
            "limits": [{"requests": 50000, "per": "minute"}],
            "budgets": [{"usd": 100, "per": "month"}],
        },
        "globex": {
            "parent": "umbrella",
            "credentials": {"openrouter": OWN["globex"]},
            "models": ["globex-story", "anthropic/*"],
            "default_model": "globex-story",
            "budgets": [{"usd": 100, "per": "month"}],
        },
    }
    return {
        "admin": {"port": 0, "token": TOKEN},
        "providers": {
            "openrouter": {"kind": "openrouter", "base_url": f"{upstream.url}/or/api/v1", **provider},
            "oai": {"kind": "openai", "base_url": f"{upstream.url}/oai/v1", **provider},
        },
        "models": {
            "acme-story": "openai/gpt-4o",
            "acme-long": {"target": "openai/gpt-4o", "overrides": {"max_tokens": 6000}},
            "globex-story": "anthropic/claude-sonnet-4.5",
        },
        "tenants": tenants,
        "keys": {
            "alice": {"key": KEYS["acme"], "tenant": "acme"},
            "bob": {"key": KEYS["globex"], "tenant": "globex", "privacy": {"zdr": True}},
        },
        "retries": {"attempts": 1},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 1},
    }


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(upstream_server), tmp_path_factory.mktemp("tenants")) as running:
        yield running
        assert running.stop() == 0
        for secret in (*OWN.values(), *KEYS.values(), SHARED):
            assert secret not in running.output


@pytest.fixture
def apart(upstream: Upstream, tmp_path: Path) -> Iterator[Daemon]:
    """Another, for what others would feel."""
    with Daemon(config(upstream), tmp_path) as running:
        yield running


def asked(daemon: Daemon, tenant: str, method: str, path: str, body: bytes | None = None, more: Headers = ()) -> Reply:
    return daemon.ask(method, path, [("Authorization", f"Bearer {KEYS[tenant]}"), *more], body)


def chat(daemon: Daemon, tenant: str, **members: Any) -> Reply:
    body = {**chat_body(f"{tenant}-story"), **members}
    return asked(daemon, tenant, "POST", "/v1/chat/completions", json.dumps(body).encode())


def admin(daemon: Daemon, method: str, path: str, body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    headers = [("Authorization", f"Bearer {TOKEN}")]
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def endpoints() -> Iterator[tuple[str, str, bytes | None]]:
    """Every row of the data port, every kind of path that passes, and what is ours."""
    for path in MODEL_ROWS:
        for model in (
            "{own}-story",
            "{other}-story",
            "{other}-stori",
            "anthropic/claude-sonnet-4.5",
            "openai/gpt-4o",
            None,
        ):
            named = {} if model is None else {"model": model}
            yield "POST", f"/v1{path}", json.dumps({**chat_body(), **named, "input": "x", "prompt": "x"}).encode()
            if model is None:
                silent = {name: value for name, value in chat_body().items() if name != "model"}
                yield "POST", f"/v1{path}", json.dumps(silent).encode()
    for method, row in FREE_ROWS:
        yield method, f"/v1/{row.replace('*', 'x1')}", b"{}" if method == "POST" else None
    for kind in sorted(NAMES):
        for path in (f"/v1/{kind}", f"/v1/{kind}/x1"):
            yield "GET", path, None
            yield "PUT", path, b"{}"
    for path in ("/v1/models", "/models", "/api/v1/models", "/v1/models/{other}-story", "/v1/models/{own}-story"):
        yield "GET", path, None
    for path in (
        "/tollkeeper/usage",
        "/tollkeeper/usage?by=key,tenant",
        "/tollkeeper/usage?key={other}",
        "/tollkeeper/x",
    ):
        yield "GET", path, None
    yield "POST", "/v1/videos", b'{"model":"{other}-story"}'
    for model in ("{own}-story", "{other}-story", "openai/gpt-image-1"):
        yield "POST", "/tollkeeper/images/estimate", json.dumps({"model": model, "prompt": "x"}).encode()
    yield "GET", "/tollkeeper/results/req_0123456789abcdef", None
    yield "GET", "/tollkeeper/jobs", None
    yield "GET", "/nobody/knows", None
    yield "OPTIONS", "/v1/models", None


def filled(template: str, tenant: str) -> str:
    return template.replace("{own}", tenant).replace("{other}", OTHER[tenant])


def test_no_endpoint_shows_one_tenant_anything_of_the_other(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    seen = 0
    for method, path, body in [*endpoints(), *endpoints()]:  # a head that comes again is known by its bytes
        for tenant, other in OTHER.items():
            sent = None if body is None else filled(body.decode(), tenant).encode()
            before = len(upstream.calls)
            reply = asked(daemon, tenant, method, filled(path, tenant), sent, [("x-n", "1")])
            told = reply.raw.decode().replace(filled(path, tenant), "")
            where = f"{tenant}: {method} {path} {sent!r} -> {reply.status}"
            assert [mark for mark in MARKS[other] if mark in told] == [], where
            for call in upstream.calls[before:]:
                seen += 1
                keys = {OWN[tenant]} if call.target.startswith("/or/") else {SHARED}
                assert call.header("authorization") in {f"Bearer {key}" for key in keys}, where
                assert MARKS[other][0] not in call.head.decode() + call.body.decode(), where
                assert call.target.startswith("/or/") or call.target.split("/")[3] == "models", (
                    where
                )  # no own account there
    assert seen > 100


def test_each_lists_its_models_and_the_near_names_are_its_own(daemon: Daemon) -> None:
    for tenant, other in OTHER.items():
        names = [row["id"] for row in asked(daemon, tenant, "GET", "/v1/models").json["data"]]
        assert f"{tenant}-story" in names and f"{other}-story" not in names
        for typo, near in ((f"{tenant}-stori", True), (f"{other}-stori", False)):
            refused = chat(daemon, tenant, model=typo)
            assert (refused.status, refused.error["code"]) == (404, "model_not_found")
            assert (f"{tenant}-story" in refused.error["message"]) is near
            assert other not in refused.error["message"]


def test_a_call_without_a_model_goes_to_the_tenants_default(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    for tenant, model in (("acme", "openai/gpt-4o"), ("globex", "anthropic/claude-sonnet-4.5")):
        assert asked(daemon, tenant, "POST", "/v1/chat/completions", body).status == 200
        assert upstream.calls[-1].json["model"] == model


def test_the_largest_output_is_put_in_and_what_is_above_is_refused(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = chat(daemon, "acme")
    assert upstream.calls[-1].json["max_tokens"] == 4000
    assert reply.header("x-tollkeeper-adjusted") == "max_tokens=4000"
    refused = chat(daemon, "acme", max_tokens=4001)
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "invalid_value", "max_tokens")
    assert "`tenants.acme.max_output`" in refused.error["message"]
    chat(daemon, "globex")
    assert "max_tokens" not in upstream.calls[-1].json
    for asked_for in ({}, {"max_tokens": 5}, {"max_tokens": 9000}):
        long = chat(daemon, "acme", model="acme-long", **asked_for)
        assert (long.status, upstream.calls[-1].json["max_tokens"]) == (200, 6000), "an override is the operator's word"
        assert long.header("x-tollkeeper-adjusted") == "max_tokens=6000"


def test_privacy_is_promised_by_openrouter_and_refused_elsewhere(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = chat(daemon, "globex", provider={"order": ["google-vertex"]})
    preference = {"order": ["google-vertex"], "zdr": True, "data_collection": "deny"}
    assert upstream.calls[-1].json["provider"] == preference
    assert reply.header("x-tollkeeper-adjusted") == "provider.zdr=true"
    chat(daemon, "acme")
    assert "provider" not in upstream.calls[-1].json
    before = len(upstream.calls)
    body = json.dumps(
        {"model": "anthropic/claude-sonnet-4.5", "messages": [], "tollkeeper": {"provider": "oai"}}
    ).encode()
    refused = asked(daemon, "globex", "POST", "/v1/chat/completions", body)
    assert (refused.status, refused.error["code"]) == (400, "unsupported_model")
    assert "oai cannot promise that" in refused.error["message"]
    assert len(upstream.calls) == before


def test_one_tenants_refused_key_closes_nothing_to_the_other(apart: Daemon, upstream: Upstream) -> None:
    for _ in range(5):
        upstream.expect(json_reply({"error": {"message": "No auth", "code": 401}}, status="401 Unauthorized"))
        refused = chat(apart, "acme")
        assert (refused.status, refused.error["code"]) == (502, "upstream_auth_error")
        assert "tenants.acme.credentials.openrouter" in refused.error["message"]
    assert chat(apart, "acme").error["code"] == "no_healthy_upstream"
    upstream.expect(json_reply(chat_reply()))
    assert chat(apart, "globex").status == 200
    (alone,) = [row for row in apart.asked("/providers")["providers"] if row["breaker"] == "open"]
    assert (alone["provider"], alone["tenant"]) == ("openrouter", "acme")


def test_usage_log_and_metrics_say_whose_a_call_was(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    elsewhere = asked(daemon, "globex", "GET", "/v1/files", None, [("x-tollkeeper-route", "oai")])
    assert elsewhere.error["code"] == "endpoint_not_served"
    reply = chat(daemon, "globex")
    assert daemon.line_of(reply)["tenant"] == "globex"
    assert daemon.asked(f"/calls/{reply.request_id}")["tenant"] == "globex"
    by_tenant = {row["tenant"]: row["calls"] for row in daemon.asked("/usage?by=tenant")["rows"]}
    own = asked(daemon, "globex", "GET", "/tollkeeper/usage?by=model").json
    assert own["total"]["calls"] == by_tenant["globex"]
    assert daemon.asked("/usage?by=key&tenant=globex")["rows"][0]["key"] == "bob"
    for name, more in (
        ("tollkeeper_requests_total", {}),
        ("tollkeeper_tokens_total", {}),
        ("tollkeeper_cost_usd_total", {}),
        ("tollkeeper_rejections_total", {"reason": "endpoint_not_served"}),
    ):
        assert daemon.metric(name, tenant="globex", key="bob", **more) > 0, name
        assert daemon.metric(name, tenant="acme", key="bob", **more) == 0, name


def test_budgets_hold_over_all_keys_of_a_tenant_and_over_all_children(apart: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    assert [chat(apart, tenant).status for tenant in KEYS] == [200, 200]
    scopes = {row["scope"]: row for row in apart.asked("/budgets")["budgets"]}
    spent = {scope: float(row["spent_usd"]) for scope, row in scopes.items()}
    assert spent["tenant:acme"] > 0 and spent["tenant:umbrella"] == pytest.approx(
        spent["tenant:acme"] + spent["tenant:globex"]
    )
    made = admin(apart, "POST", "/keys", {"name": "second", "tenant": "globex"}).json["secret"]
    admin(apart, "POST", "/budgets/tenant:globex:month/adjustments", {"usd": "100", "reason": "all"})
    body = json.dumps(chat_body("globex-story")).encode()
    headers = [("Authorization", f"Bearer {made}")]
    refused = apart.ask("POST", "/v1/chat/completions", headers, body)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    assert "the budget of the tenant globex per month has $" in refused.error["message"]
    admin(apart, "POST", "/budgets/tenant:globex:month/adjustments", {"usd": "-100", "reason": "back"})
    admin(apart, "POST", "/budgets/tenant:umbrella:month/adjustments", {"usd": "1000", "reason": "all"})
    refused = apart.ask("POST", "/v1/chat/completions", headers, body)
    told = refused.error["message"]
    assert "the budget of umbrella, which the tenant of this key belongs to, per month has too little left" in told
    estimate = json.dumps({"models": ["globex-story", "anthropic/claude-sonnet-4.5"], "prompt": "x"}).encode()
    row = apart.ask("POST", "/tollkeeper/images/estimate", headers, estimate).json["rows"][0]
    assert [budget["name"] for budget in row["budgets"]] == ["tenant:globex:month"]
    assert "1000" not in told  # what others spend is nobody else's to read
    admin(apart, "POST", "/budgets/tenant:umbrella:month/adjustments", {"usd": "-1000", "reason": "back"})
    assert apart.ask("POST", "/v1/chat/completions", headers, body).status == 200
    refused = admin(apart, "POST", "/keys", {"name": "third", "tenant": "glopex"})
    assert "there is no tenant 'glopex' (did you mean globex?)" in refused.error["message"].lower()
