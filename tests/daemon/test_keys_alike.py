"""Keys that send the same: what their calls have in common is worked out once, and nothing of one goes out for another."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.http import Connection, Reply, request_bytes
from harness.setting import PATIENT
from harness.steps import json_reply
from harness.upstream import Upstream

TOKEN = "admin-canary-77aa"
SHARED = "sk-or-shared-canary"
OWN = {"acme": "sk-or-acme-canary", "globex": "sk-or-globex-canary"}
TURNS = 4  # a head is known from the third on
KEYS: dict[str, dict[str, Any]] = {
    "ann": {"budgets": [{"usd": 10, "per": "day"}]},
    "ben": {"budgets": [{"usd": 20, "per": "day"}], "limits": [{"requests": 1000, "per": "minute"}]},
    "cat": {"privacy": {"zdr": True}},
    "dan": {"tenant": "acme"},
    "eve": {"tenant": "globex"},
    "fay": {"tenant": "globex", "privacy": {"zdr": True}},
    "gus": {"limits": [{"requests": 500, "per": "minute"}]},
}


def config(upstream: Upstream) -> dict[str, Any]:
    return {
        "providers": {
            "openrouter": {
                "kind": "openrouter", "base_url": f"{upstream.url}/api/v1", "api_key": SHARED, "timeouts": PATIENT,
            }
        },
        "tenants": {name: {"credentials": {"openrouter": own}} for name, own in OWN.items()},
        "keys": {name: {"key": f"sk-{name}-client", **terms} for name, terms in KEYS.items()},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 1},
    }  # fmt: skip


def test_each_key_goes_out_with_what_is_its_own(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    body = json.dumps(chat_body("openai/gpt-4o")).encode()
    with Daemon(config(upstream), tmp_path) as daemon:
        for _ in range(TURNS):
            for name, terms in KEYS.items():
                headers = [("Authorization", f"Bearer sk-{name}-client"), ("Content-Type", "application/json")]
                reply = daemon.ask("POST", "/v1/chat/completions", headers, body)
                sent = upstream.calls[-1]
                assert reply.status == 200
                assert sent.header("authorization") == f"Bearer {OWN.get(terms.get('tenant', ''), SHARED)}"
                assert ("provider" in sent.json) == ("privacy" in terms)
                told = reply.header("x-ratelimit-limit-requests")
                assert told == (str(terms["limits"][0]["requests"]) if "limits" in terms else None)
        used = {row["key"]: (row["calls"], row["tenant"]) for row in daemon.asked("/usage?by=key,tenant")["rows"]}
        spent = {row["budget"]: row["spent_usd"] for row in daemon.asked("/budgets")["budgets"]}
    assert used == {name: (TURNS, terms.get("tenant", "")) for name, terms in KEYS.items()}
    assert spent["key:ann:day"] == spent["key:ben:day"]
    assert float(spent["key:ann:day"]) > 0


def admin(daemon: Daemon, method: str, path: str, body: bytes | None = None) -> Reply:
    with Connection(daemon.admin_port) as connection:
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        connection.send(request_bytes(method, path, bearer, body, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def test_a_key_that_is_revoked_keeps_its_name_in_what_is_counted_of_its_calls(tmp_path: Path) -> None:
    made = {
        "providers": {"mock": {}},
        "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
        "keys": {"ann": {"key": "sk-ann-client"}},
    }
    with Daemon(made, tmp_path) as daemon, ThreadPoolExecutor(1) as beside:
        created = admin(daemon, "POST", "/keys", json.dumps({"name": "bob"}).encode())
        headers = [("Authorization", f"Bearer {created.json['secret']}"), ("Content-Type", "application/json")]
        ask = partial(daemon.ask, "POST", "/v1/chat/completions", headers)
        assert ask(json.dumps(chat_body("mock/echo")).encode()).status == 200
        assert 'key="bob"' in admin(daemon, "GET", "/metrics").body.decode()
        slow = beside.submit(ask, json.dumps(chat_body("mock/slow?ttft=1")).encode())
        daemon.wait_for_lines(lambda line: line.get("key") == "bob", 1)
        while not daemon.asked("/calls")["calls"]:
            pass
        assert admin(daemon, "DELETE", "/keys/bob").status == 200
        assert slow.result().status == 200
        daemon.wait_for_lines(lambda line: line.get("key") == "bob", 2)
        assert 'key="_other"' not in admin(daemon, "GET", "/metrics").body.decode()
