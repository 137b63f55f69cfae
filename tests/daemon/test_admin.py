"""The admin port's API on the real daemon: answers, what wants the token, what is refused, and its own description."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from harness.daemon import Daemon
from harness.events import chat_chunk, chat_reply
from harness.http import Connection, Headers, Reply, request_bytes
from harness.setting import CLIENT_KEY
from harness.steps import chunk, json_reply, say, stream_head, then, wait_at
from harness.upstream import Upstream
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from proxy.errors import InvalidApiKey
from proxy.policy.values import Listen, Settings
from proxy.secret import Secret
from proxy.web.operator.access.admin_auth import AdminAuth
from proxy.web.operator.access.cookies import Sessions
from proxy.web.operator.access.logins import LOGIN_PATHS
from proxy.web.operator.access.rights import Right
from proxy.web.operator.admin_table import ROUTES, openapi

StartDaemon = Callable[..., Daemon]
TOKEN = "admin-canary-51b7"
ARMS = ("openai/gpt-4o", "openai/gpt-4o-mini")
READ = Right("read", "usage")
WITH_TOKEN: Headers = [("Authorization", f"Bearer {TOKEN}")]
DOCS = Path(__file__).parents[2] / "docs"


def admin(daemon: Daemon, method: str, path: str, headers: Headers = (), body: Any = None, **source: str) -> Reply:
    """One request to the admin port."""
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port, **source) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


# a token for the admin port, and a budget to look at
MEMBERS: dict[str, Any] = {
    "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
    "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "total"}]}},
    "tenants": {"acme": {"budgets": [{"usd": 50, "per": "month"}]}},
    "models": {"smart": "openai/gpt-4o"},
    "experiments": {"newer": {"model": "smart", "arms": [{"target": name, "share": 50} for name in ARMS]}},
    "alert_rules": {"busy": {"metric": "calls", "above": 5}},
}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """One to change."""
    return start_daemon(**MEMBERS)


@pytest.fixture(scope="module")
def refusing(start_shared: StartDaemon) -> Daemon:
    """One that is only asked for what it refuses."""
    return start_shared(**MEMBERS)


def described(daemon: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = admin(daemon, "GET", "/openapi.json").json
    return document


def fits(document: dict[str, Any], path: str, method: str, reply: Reply) -> None:
    """The reply is what the document says of it."""
    content = document["paths"][path][method.lower()]["responses"][str(reply.status)]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(reply.json)


def test_every_question_is_answered_as_described(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    call, document = daemon.chat(), described(daemon)
    paths = {"/usage": "/usage?by=key&since=7d", "/calls/{request_id}": f"/calls/{call.request_id}"}
    paths |= {"/settings/{section}": "/settings/keys", "/settings/{section}/{name}": "/settings/keys/alice"}
    paths |= {"/tenants/{tenant}": "/tenants/acme", "/experiments/{name}": "/experiments/newer"}
    paths |= {"/routing/strategies/{name}": "/routing/strategies/balanced"}
    paths |= {"/what-if": "/what-if?model=openai/gpt-4o", "/alerts/rules/{name}": "/alerts/rules/busy"}
    for route in ROUTES:
        if route.method == "GET" and not route.streams:
            reply = admin(daemon, "GET", paths.get(route.path, route.path))
            assert reply.status == 200, (route.path, reply.body)
            fits(document, route.path, "GET", reply)
    for path in ("/healthz", "/readyz"):
        fits(document, path, "GET", admin(daemon, "GET", path))
    usage = admin(daemon, "GET", "/usage?by=key").json
    assert [(row["key"], row["calls"]) for row in usage["rows"]] == [("alice", 1)]
    past = admin(daemon, "GET", f"/calls/{call.request_id}").json
    assert [attempt["status"] for attempt in past["attempts"]] == [200]
    assert admin(daemon, "GET", "/calls").json["recent"][0]["request_id"] == call.request_id
    assert admin(daemon, "GET", "/keys").json["keys"][0]["budgets"][0]["budget"] == "key:alice:total"


CHANGES = [(route.method, route.path) for route in ROUTES if route.changes]
STRANGERS: dict[str, Headers] = {
    "nothing": [],
    "wrong": [("Authorization", "Bearer wrong")],
    "client": [("Authorization", f"Bearer {CLIENT_KEY}")],
}


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_changes_something_wants_the_token_on_loopback_too(
    refusing: Daemon, method: str, path: str, stranger: str
) -> None:
    # each from an address of its own, as one that guesses has to wait
    source = f"127.0.{list(STRANGERS).index(stranger) + 1}.{CHANGES.index((method, path)) + 1}"
    before = admin(refusing, "GET", "/keys").json, admin(refusing, "GET", "/budgets").json
    reply = admin(
        refusing, method, path.replace("{name}", "alice"), STRANGERS[stranger], {"name": "eve"}, source=source
    )
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert (admin(refusing, "GET", "/keys").json, admin(refusing, "GET", "/budgets").json) == before


def test_without_a_token_nothing_can_be_changed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    for method, path in CHANGES:
        reply = admin(daemon, method, path, WITH_TOKEN, {})
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key"), path
        assert "admin: token:" in reply.error["message"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gateway.example"])
@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", *(r.path for r in ROUTES if r.method == "GET")])
def test_off_loopback_everything_but_health_wants_the_token(host: str, path: str) -> None:
    # a test listens on loopback only, so that the door is asked by itself
    settings = Settings(Listen(), Listen(host=host), "", {}, admin_token=Secret(TOKEN))
    auth = AdminAuth(settings, Sessions())
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        with pytest.raises(InvalidApiKey):
            auth.check(make_mocked_request("GET", path, {"Host": "localhost", **headers}), READ)
    auth.check(make_mocked_request("GET", path, {"Host": "localhost", **dict(WITH_TOKEN)}), READ)
    for health in ("/healthz", "/readyz"):
        auth.check(make_mocked_request("GET", health, {"Host": "localhost"}), READ)


OUT_OF_RANGE = [
    {"expires_ms": 10**17},
    {"expires_ms": -1},
    {"expires_ms": 2**80},
    {"budgets": [{"usd": 10**15, "per": "day"}]},
    {"budgets": [{"usd": "1e400", "per": "day"}]},
    {"budgets": [{"usd": 1, "per": "day", "share": 2}]},
    {"limits": [{"requests": 2**63, "per": "day"}]},
    {"limits": [{"concurrent": 0}]},
]


def test_no_number_out_of_range_enters_the_store(daemon: Daemon) -> None:
    for terms in OUT_OF_RANGE:
        refused = admin(daemon, "POST", "/keys", WITH_TOKEN, {"name": "bob", **terms})
        assert (refused.status, refused.error["code"]) == (400, "invalid_value"), terms
    for usd in ("1e400", "nan", "-inf", "1000001", "0"):
        body = {"usd": usd, "reason": "test"}
        refused = admin(daemon, "POST", "/budgets/key:alice:total/adjustments", WITH_TOKEN, body)
        assert refused.status == 400, usd
    for since in ("99999999999999d", "0000-01-01", "10000-01-01", "1e400"):
        assert admin(daemon, "GET", f"/usage?since={since}", WITH_TOKEN).status == 400, since
    assert [key["name"] for key in admin(daemon, "GET", "/keys").json["keys"]] == ["alice"]
    assert admin(daemon, "GET", "/usage").status == admin(daemon, "GET", "/budgets").status == 200


def test_keys_are_made_and_ended(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    document = described(daemon)
    terms = {"name": "bob", "models": ["openai/*"], "budgets": [{"usd": 2, "per": "day"}]}
    made = admin(daemon, "POST", "/keys", WITH_TOKEN, terms)
    fits(document, "/keys", "POST", made)
    for method, path, seconds in (("POST", "/keys", 1_795_900_000), ("PATCH", "/keys/bob", 1)):
        over = admin(daemon, method, path, WITH_TOKEN, {"name": "eve", "expires_ms": seconds})
        assert (over.status, over.error["code"]) == (400, "invalid_value"), "seconds for milliseconds"
        assert over.error["message"].startswith("expires_ms: is over already")
    twice = admin(daemon, "POST", "/keys", WITH_TOKEN, {"name": "bob"})
    assert (twice.status, twice.error["code"]) == (400, "invalid_value")
    assert twice.error["message"].startswith("There is a key named 'bob' already")
    bob = [("Authorization", f"Bearer {made.json['secret']}")]
    assert daemon.chat(headers=bob).status == 200
    listed = {key["name"]: key for key in admin(daemon, "GET", "/keys").json["keys"]}
    assert (listed["bob"]["from"], listed["bob"]["budgets"][0]["cap_usd"]) == ("store", "2.000000000000")
    assert made.json["secret"] not in daemon.output
    changed = admin(daemon, "PATCH", "/keys/bob", WITH_TOKEN, {"budgets": [{"usd": 3, "per": "day"}], "expires_ms": 0})
    fits(document, "/keys/{key}", "PATCH", changed)
    assert changed.json == {"name": "bob", "changed": ["budgets", "expires"], "carried": []}
    assert admin(daemon, "PATCH", "/keys/bob", WITH_TOKEN, {}).status == 400
    rotated = admin(daemon, "POST", "/keys/bob/rotations", WITH_TOKEN, {"grace_seconds": 60})
    fits(document, "/keys/{key}/rotations", "POST", rotated)
    assert daemon.chat(headers=bob).status == 200
    bob = [("Authorization", f"Bearer {rotated.json['secret']}")]
    assert daemon.chat(headers=bob).status == 200
    assert admin(daemon, "GET", "/usage?by=key,month&key=bob", WITH_TOKEN).json["by"] == ["key", "month"]
    fits(document, "/keys/{key}", "DELETE", admin(daemon, "DELETE", "/keys/bob", WITH_TOKEN))
    assert daemon.chat(headers=bob).status == 401
    again = admin(daemon, "DELETE", "/keys/bob", WITH_TOKEN)
    assert (again.status, again.error["code"]) == (404, "not_found")


def test_a_key_of_the_file_is_changed_in_the_file(daemon: Daemon) -> None:
    document = described(daemon)
    asked: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
        ("PATCH", "", {"models": []}),
        ("POST", "/rotations", {}),
        ("DELETE", "", None),
    )
    for method, more, body in asked:
        reply = admin(daemon, method, f"/keys/alice{more}", WITH_TOKEN, body)
        fits(document, f"/keys/{{key}}{more}", method, reply)
        assert (reply.status, reply.error["code"]) == (409, "defined_in_file")
        assert reply.error["message"].startswith("The key 'alice' stands in the configuration")


def test_a_budget_is_corrected_with_a_reason(daemon: Daemon) -> None:
    body = {"usd": "1.25", "reason": "billed elsewhere"}
    reply = admin(daemon, "POST", "/budgets/key:alice:total/adjustments", WITH_TOKEN, body)
    fits(described(daemon), "/budgets/{budget}/adjustments", "POST", reply)
    assert admin(daemon, "GET", "/budgets").json["budgets"][0]["spent_usd"] == "1.250000000000"
    for wrong, status in (({"usd": "x", "reason": "y"}, 400), ({"usd": "1"}, 400), ({**body, "more": 1}, 400)):
        assert admin(daemon, "POST", "/budgets/key:alice:total/adjustments", WITH_TOKEN, wrong).status == status
    assert admin(daemon, "POST", "/budgets/nobody/adjustments", WITH_TOKEN, body).status == 404


def test_a_call_under_way_is_seen_and_can_be_ended(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    begun = chat_chunk("word " * 8) * 5
    upstream.expect(then(say(stream_head()), say(chunk(begun)), wait_at(gate)))
    with daemon.open_chat(stream=True, max_tokens=1000) as connection:
        head = connection.read_head()
        while not (call := admin(daemon, "GET", "/calls").json["calls"][0])["output_tokens"]:
            continue
        assert (call["request_id"], call["key"], call["phase"]) == (head.request_id, "alice", "streaming")
        assert float(call["cost_usd"]) > 0 and call["tokens_per_second"] > 0
        ended = admin(daemon, "DELETE", f"/calls/{head.request_id}", WITH_TOKEN)
        fits(described(daemon), "/calls/{request_id}", "DELETE", ended)
        connection.read_body(head)
        assert not head.complete
        assert b'"code":"call_ended"' in head.body
    gate.open()
    line = daemon.line_of(head)
    assert (line["error"], line["error_type"]) == ("call_ended", "dropped")
    assert admin(daemon, "GET", "/calls").json["calls"] == []
    assert admin(daemon, "DELETE", f"/calls/{head.request_id}", WITH_TOKEN).status == 404


def test_a_call_that_waits_for_its_answer_is_ended_with_a_status(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate)))
    with daemon.open_chat() as connection:
        while not (calls := [c for c in admin(daemon, "GET", "/calls").json["calls"] if c["attempts"]]):
            continue
        assert admin(daemon, "DELETE", f"/calls/{calls[0]['request_id']}", WITH_TOKEN).status == 200
        reply = connection.read_reply("POST")
    gate.open()
    assert (reply.status, reply.error["code"], reply.header("x-should-retry")) == (503, "call_ended", "false")


def test_a_reload_answers_what_changed_or_what_is_wrong(daemon: Daemon) -> None:
    file = daemon.folder / "config.yaml"
    text = file.read_text()
    file.write_text(text.replace("attempts: 3", "attempts: 2"))
    reply = admin(daemon, "POST", "/reload", WITH_TOKEN)
    fits(described(daemon), "/reload", "POST", reply)
    assert reply.json == {"changes": ["retries: changed"]}
    file.write_text(text + "nonsense: 1\n")
    refused = admin(daemon, "POST", "/reload", WITH_TOKEN)
    assert (refused.status, refused.error["code"]) == (409, "config_refused")
    assert f"config.yaml:{len(text.splitlines()) + 1}:1: nonsense: unknown field" in refused.error["message"]
    assert "tollkeeper_config_last_reload_successful 0.0" in admin(daemon, "GET", "/metrics").body.decode()


def test_a_provider_that_fails_is_seen_to(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "no"}}, 501), again=True)
    for _ in range(5):
        daemon.chat()
    providers = {row["provider"]: row for row in admin(daemon, "GET", "/providers").json["providers"]}
    assert (providers["openrouter"]["breaker"], providers["openrouter"]["failures"]) == ("closed", 0)
    (alone,) = providers["openrouter"]["models"]
    assert (alone["model"], alone["failures"]) == ("openai/gpt-4o", 5)
    assert 0 < alone["retry_in_seconds"] <= 10
    assert (providers["local"]["breaker"], providers["local"]["retry_in_seconds"]) == ("closed", None)


BAD = [
    ("GET", "/nothing", None, 404, "unknown_endpoint"),
    ("GET", "/calls/req_unknown", None, 404, "not_found"),
    ("POST", "/metrics", None, 405, "method_not_supported"),
    ("PUT", "/keys", None, 405, "method_not_supported"),
    ("GET", "/reload", None, 405, "method_not_supported"),
    ("GET", "/routing/recommend", None, 405, "method_not_supported"),
    ("POST", "/nothing", None, 404, "unknown_endpoint"),
    ("GET", "/usage?by=moon", None, 400, "invalid_value"),
    ("GET", "/usage?since=never", None, 400, "invalid_value"),
    ("GET", "/usage?tz=Mars/Base", None, 400, "invalid_value"),
    ("GET", "/usage?colour=red", None, 400, "invalid_value"),
    ("POST", "/keys", {"name": "bob", "budgets": [{"usd": -1, "per": "day"}]}, 400, "invalid_value"),
    ("POST", "/keys", {"name": "alice"}, 409, "defined_in_file"),
    ("DELETE", "/keys/alice", None, 409, "defined_in_file"),
]


def test_a_body_that_does_not_fit_is_told_in_words(refusing: Daemon) -> None:
    for path, body, sentence, param in (
        ("/keys", {"name": "bob", "models": "openai/*"}, "'models' must be a list.", "models"),
        ("/keys", {"name": "bob", "models": [5]}, "each of 'models' must be text.", "models"),
        (
            "/keys",
            {"name": "bob", "lossy": "warm"},
            "'lossy' must be allow, warn or reject (did you mean warn?).",
            "lossy",
        ),
        ("/keys", {"nam": "bob"}, "it has the unknown field `nam` (did you mean name?).", "nam"),
        ("/keys", [], "it is a list.", None),
        ("/budgets/key:alice:total/adjustments", {"usd": 1, "reason": "x"}, "'usd' must be text.", "usd"),
        ("/budgets/key:alice:total/adjustments", {"usd": "1"}, "'reason' is missing.", "reason"),
    ):
        reply = admin(refusing, "POST", path, WITH_TOKEN, body)
        assert (reply.status, reply.error["message"]) == (400, f"The body must be a JSON object: {sentence}")
        assert reply.error["param"] == param


def test_a_refusal_names_the_parameter_or_member_it_is_about(refusing: Daemon) -> None:
    for method, path, body, param in (
        ("GET", "/usage?by=moon", None, "by"),
        ("GET", "/usage?since=never", None, "since"),
        ("GET", "/calls/past?limit=0", None, "limit"),
        ("GET", "/audit?before=99999999999999999999", None, "before"),
        ("GET", "/audit?before=9223372036854775808", None, "before"),
        *[
            ("GET", f"/models?{name}={odd}", None, name)
            for name in ("max_input_usd", "max_output_usd", "max_first_token", "min_speed")
            for odd in ("NaN", "sNaN", "Infinity", "-Infinity")
        ],
        ("POST", "/keys", {"name": "bob", "limits": [{"requests": "a"}]}, "limits.0.requests"),
        ("PUT", "/settings/alert_rules/odd", {"metric": "moon", "above": 1}, None),
    ):
        refused = admin(refusing, method, path, WITH_TOKEN, body)
        assert (refused.status, refused.error["param"]) == (400, param), refused.body


def test_a_body_that_is_no_json_is_told_without_a_word_of_a_library(refusing: Daemon) -> None:
    host = f"127.0.0.1:{refusing.admin_port}"
    for raw, words in ((b"nope", "it is no JSON from byte"), (b'{"name": "x', "it ends in the middle.")):
        with Connection(refusing.admin_port) as connection:
            connection.send(request_bytes("POST", "/keys", [*WITH_TOKEN], raw, host))
            told = connection.read_reply("POST").error["message"]
        assert words in told and "malformed" not in told


@pytest.mark.parametrize("path", ["/routing/recommend", "/routing/simulate", "/keys", "/settings/rollback"])
def test_a_body_that_nests_too_deep_is_refused(refusing: Daemon, path: str) -> None:
    with Connection(refusing.admin_port) as connection:
        body, host = b'{"a":' * 5000, f"127.0.0.1:{refusing.admin_port}"
        connection.send(request_bytes("POST", path, WITH_TOKEN, body, host))
        reply = connection.read_reply()
    assert (reply.status, reply.error["code"]) == (400, "invalid_value")


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD)
def test_what_cannot_be_answered_says_why(
    refusing: Daemon, method: str, path: str, body: Any, status: int, code: str
) -> None:
    reply = admin(refusing, method, path, WITH_TOKEN, body)
    allowed = {"/metrics": "GET, HEAD", "/keys": "GET, HEAD, POST", "/reload": "POST", "/routing/recommend": "POST"}
    assert reply.header("allow") == (allowed[path] if status == 405 else None)
    assert (reply.status, reply.error["code"]) == (status, code), reply.body
    assert reply.error["message"].endswith((".", "?"))


@pytest.mark.parametrize(
    ("headers", "code"),
    [([("Host", "evil.example")], "host_not_allowed"), ([("Origin", "https://evil.example")], "origin_not_allowed")],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/healthz"), ("GET", "/calls"), ("POST", "/reload")])
def test_foreign_hosts_and_pages_are_refused_whatever_they_know(
    refusing: Daemon, headers: Headers, code: str, method: str, path: str
) -> None:
    host = dict(headers).get("Host", f"127.0.0.1:{refusing.admin_port}")
    others = [pair for pair in headers if pair[0] != "Host"]
    with Connection(refusing.admin_port) as connection:
        connection.send(request_bytes(method, path, [*WITH_TOKEN, *others], None, host))
        reply = connection.read_reply(method)
    assert (reply.status, reply.error["code"]) == (403, code)


def test_the_document_is_openapi() -> None:
    validate(json.loads(json.dumps(openapi())))  # as it is sent


@pytest.mark.parametrize(
    "path", [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path and not route.streams]
)
def test_a_query_that_is_not_known_is_refused_as_the_document_says(refusing: Daemon, path: str) -> None:
    reply = admin(refusing, "GET", f"{path}?colour=red", WITH_TOKEN)
    assert (reply.status, reply.error["code"]) == (400, "invalid_value")
    assert "400" in openapi()["paths"][path]["get"]["responses"]


def test_the_page_of_paths_is_complete() -> None:
    lines = [line.split("|")[1].strip() for line in (DOCS / "admin.md").read_text().splitlines() if "| `" in line]
    documented = {line.strip("`") for line in lines if " /" in line}
    plain = {f"GET {path}" for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json")}
    plain |= {f"{method} {path}" for method, path in LOGIN_PATHS}
    assert documented == plain | {f"{route.method} {route.path}" for route in ROUTES}


def test_a_body_that_is_too_large_is_told_what_is_allowed_here(daemon: Daemon) -> None:
    with Connection(daemon.admin_port) as connection:
        head = request_bytes("POST", "/keys", WITH_TOKEN, None, f"127.0.0.1:{daemon.admin_port}")
        connection.send(head.removesuffix(b"\r\n") + b"Content-Length: 1048577\r\n\r\n")
        reply = connection.read_reply()
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert reply.error["message"] == "The request body is larger than the 1 MiB allowed here."
