"""`GET /v1/models/NAME`: every name a call would be sent by has an entry, in the envelope of whoever asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

BUDGET = [{"usd": 100, "per": "total"}]
KEYS = {
    "alice": {"key": CLIENT_KEY},
    "narrow": {"key": "sk-narrow", "models": ["anthropic/*", "two-homes"]},
    "bounded": {"key": "sk-bounded", "budgets": BUDGET},
}
ALIASES = {"two-homes": {"target": "openai/gpt-4o", "fallbacks": ["local/x"]}, "team/story": "brand/new-1"}
LISTED = b'{"object":"list","data":[{"id":"llama9:8b"},{"id":"qwen9:latest"},{"id":"own/tuned-x"}]}'
ANTHROPIC = [("anthropic-version", "2023-06-01")]

# name as it is asked for -> who owns it
NAMES = {
    "two-homes": "tollkeeper",
    "team/story": "team",
    "team%2Fstory": "team",
    "local/whatever": "local",
    "oai/gpt-4o": "oai",
    "openrouter/openai/gpt-4o": "openai",
    "openai/gpt-4o": "openai",
    "openai%2Fgpt-4o": "openai",
    "openai%2fgpt-4o%3Anitro": "openai",
    "brand/new-1": "brand",
    "@preset/mine": "@preset",
    "gpt-4o": "openai",
    "gpt-99-turbo": "openai",
    "claude-3-5-sonnet-20241022": "anthropic",
    "gemini-2.5-flash": "google",
    "llama9:8b": "local",
    "qwen9": "qwen",
    "qwen9:latest": "local",
    "own/tuned-x": "own",
    "own%2Ftuned-x": "own",
}


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    upstream_server.models["/local/v1/models"] = LISTED
    config = config_for(upstream_server, keys=KEYS, models=ALIASES)
    with Daemon(config, tmp_path_factory.mktemp("lookup"), key=CLIENT_KEY) as running:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"llama9" not in running.ask("GET", "/v1/models").body:
            assert time.monotonic() < end, "the list of the local server was never read"
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_call_has_an_entry(daemon: Daemon, upstream: Upstream, name: str) -> None:
    plain = name.replace("%2F", "/").replace("%2f", "/").replace("%3A", ":")
    entry = {"id": plain, "object": "model", "created": 0, "owned_by": NAMES[name]}
    for path in (f"/v1/models/{name}", f"/models/{name}", f"/api/v1/models/{name}"):
        assert (reply := daemon.ask("GET", path)).status == 200
        assert reply.json == entry | {"created": reply.json["created"]}
    theirs = daemon.ask("GET", f"/v1/models/{name}", ANTHROPIC)
    assert (theirs.status, theirs.json["type"], theirs.json["id"]) == (200, "model", plain)
    assert set(theirs.json) == {"type", "id", "display_name", "created_at"}
    head = daemon.ask("HEAD", f"/v1/models/{name}")
    assert (head.status, head.body, head.header("content-type")) == (200, b"", "application/json")
    assert upstream.calls == []


def test_a_bare_name_is_told_what_the_catalogue_knows_of_it(daemon: Daemon) -> None:
    assert daemon.ask("GET", "/v1/models/gpt-4o", ANTHROPIC).json["display_name"] == "GPT-4o"


def test_what_nobody_has_is_404_with_the_near_names_in_the_envelope_of_the_asker(
    daemon: Daemon, upstream: Upstream
) -> None:
    ours = daemon.ask("GET", "/v1/models/lama9-8b")
    assert (ours.status, ours.error["code"], ours.error["param"]) == (404, "model_not_found", "model")
    assert "nearest names are llama9:8b" in ours.error["message"]
    theirs = daemon.ask("GET", "/v1/models/lama9-8b", ANTHROPIC)
    assert (theirs.status, theirs.json["type"], theirs.json["request_id"]) == (404, "error", theirs.request_id)
    assert theirs.json["error"] == {
        "type": "not_found_error",
        "message": ours.error["message"],
        "code": "model_not_found",
    }
    assert daemon.ask("HEAD", "/v1/models/lama9-8b").status == 404
    assert upstream.calls == []


def test_anthropics_list_may_be_read_in_pages(daemon: Daemon) -> None:
    def asked(query: str) -> dict[str, Any]:
        return dict(daemon.ask("GET", f"/v1/models{query}", ANTHROPIC).json)

    def ids(page: dict[str, Any]) -> list[str]:
        found = [entry["id"] for entry in page["data"]]
        assert (page["first_id"], page["last_id"]) == (found[0], found[-1])
        return found

    whole = asked("")
    assert whole["has_more"] is False
    names = ids(whole)
    first, second = asked("?limit=3"), asked(f"?limit=2&after_id={names[2]}")
    assert (ids(first), first["has_more"]) == (names[:3], True)
    assert (ids(second), second["has_more"]) == (names[3:5], True)
    last, before = asked(f"?limit=1000&after_id={names[-2]}"), asked(f"?limit=2&before_id={names[4]}")
    assert (ids(last), last["has_more"]) == (names[-1:], False)
    assert (ids(before), before["has_more"]) == (names[2:4], True)
    for query in (f"?after_id={names[-1]}", "?after_id=nobody", "?before_id=nobody&limit=1", "?after_id=a&before_id=b"):
        nothing = asked(query)
        assert (nothing["data"], nothing["has_more"], nothing["first_id"], nothing["last_id"]) == (
            [],
            False,
            None,
            None,
        )
    for query in ("?limit=0", "?limit=1001", "?limit=x", "?limit=-1", "?limit=0&after_id=nobody"):
        reply = daemon.ask("GET", f"/v1/models{query}", ANTHROPIC)
        assert (reply.status, reply.error["code"]) == (400, "invalid_value")
    assert len(daemon.ask("GET", "/v1/models?limit=0").json["data"]) == len(names)


def test_what_a_key_may_not_use_is_unknown_to_it(daemon: Daemon) -> None:
    def asked(name: str) -> int:
        return daemon.ask("GET", f"/v1/models/{name}", [("x-api-key", "sk-narrow")]).status

    assert [asked(name) for name in ("two-homes", "claude-sonnet-4", "anthropic/claude-sonnet-4")] == [200] * 3
    assert [asked(name) for name in ("gpt-4o", "openai/gpt-4o", "llama9:8b", "team/story")] == [404] * 4


def test_under_a_budget_a_mistyped_name_is_as_unknown_as_a_call_would_be_told(daemon: Daemon) -> None:
    headers = [("x-api-key", "sk-bounded")]
    reply = daemon.ask("GET", "/v1/models/openai/gpt-4o-minni", headers)
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert "openai/gpt-4o-mini" in reply.error["message"]
    for name in ("openai/gpt-4o-mini", "llama9:8b", "two-homes"):
        assert daemon.ask("GET", f"/v1/models/{name}", headers).status == 200


def test_names_that_pass_are_passed_to_whoever_would_be_called(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    """The first provider, though calls without a model go to OpenRouter."""
    providers = config_for(upstream)["providers"]
    order = {name: providers[name] for name in ("oai", "openrouter")}
    daemon = start_daemon(providers=order, routes=[], models={}, unknown_models="pass")
    entry = {"id": "house-brand 7", "object": "model", "owned_by": "house"}
    upstream.expect(json_reply(entry))
    assert daemon.ask("GET", "/v1/models/house-brand%207").json == entry
    assert upstream.call.request_line == "GET /oai/v1/models/house-brand%207 HTTP/1.1"
    missing = {"error": {"message": "The model 'nope-7' does not exist", "code": "model_not_found"}}
    upstream.expect(json_reply(json.dumps(missing).encode(), 404))
    reply = daemon.ask("GET", "/v1/models/nope-7")
    assert (reply.status, reply.json) == (404, missing)
