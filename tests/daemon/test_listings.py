"""The catalogue and the providers' lists, refreshed in the background of the real process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.commands import typed
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CLIENT_KEY
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]


def feed(*ids: str) -> dict[str, object]:
    """A list of models in OpenRouter's shape, long enough to be believed."""
    pricing = {"prompt": "0.000001", "completion": "0.000002"}
    names = [*ids, *(f"acme/model-{number}" for number in range(60))]
    return {"data": [{"id": name, "canonical_slug": name, "name": name, "pricing": pricing} for name in names]}


def eventually(happened: Callable[[], bool]) -> None:
    """Ask again and again; each asking is a call through the daemon."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"


def refreshed(daemon: Daemon, name: str) -> bool:
    return name in {entry["id"] for entry in daemon.ask("GET", "/v1/models").json["data"]}


def test_a_fresh_catalogue_is_used_and_kept_for_the_next_start(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.models["/or/api/v1/models"] = json.dumps(feed("newcomer/brand-new-1")).encode()
    daemon = start_daemon()
    eventually(lambda: refreshed(daemon, "newcomer/brand-new-1"))
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat("brand-new-1").header("x-tollkeeper-model") == "newcomer/brand-new-1"
    kept = json.loads((Path(daemon.folder) / "state" / "catalogue.json").read_text())
    assert kept["data"][0]["id"] == "newcomer/brand-new-1"


def test_a_shrunken_feed_changes_nothing_and_is_told(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.models["/or/api/v1/models"] = json.dumps({"data": feed("newcomer/brand-new-1")["data"][:3]}).encode()  # type: ignore[index]
    daemon = start_daemon()
    daemon.wait_for_log(lambda line: line.get("event") == "catalogue_refused")
    assert not refreshed(daemon, "newcomer/brand-new-1")
    assert refreshed(daemon, "openai/gpt-4o")


def test_a_name_only_one_direct_provider_lists_goes_there(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.models["/local/v1/models"] = b'{"object":"list","data":[{"id":"my-own-finetune:3b"}]}'
    daemon = start_daemon()
    eventually(lambda: refreshed(daemon, "my-own-finetune:3b"))
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.chat("my-own-finetune:3b")
    assert (reply.header("x-tollkeeper-provider"), reply.header("x-tollkeeper-model")) == (
        "local",
        "my-own-finetune:3b",
    )


def test_a_model_that_may_be_called_can_be_looked_up_by_that_name(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    """What only the provider can know (a fine-tune) is the provider's to answer."""
    only = {"openai": {"kind": "openai", "base_url": f"{upstream.url}/oai/v1", "api_key": "sk-oai"}}
    daemon = start_daemon(providers=only, routes=[], models={})
    for name in ("gpt-4o", "openai/gpt-4o"):
        reply = daemon.ask("GET", f"/v1/models/{name}")
        assert (reply.status, reply.json["id"], reply.json["object"]) == (200, name, "model")
    tuned = "ft:gpt-4o-mini:acme:suffix:abc123"
    upstream.expect(json_reply({"id": tuned, "object": "model", "owned_by": "acme"}))
    assert daemon.ask("GET", f"/v1/models/{tuned}").json["owned_by"] == "acme"
    assert upstream.call.target == f"/oai/v1/models/{tuned}"


BUDGETED = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "day"}]}}


def test_a_model_a_local_server_lists_is_known_everywhere(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.models["/local/v1/models"] = b'{"object":"list","data":[{"id":"llama9:latest"},{"id":"own/tuned-x"}]}'
    daemon = start_daemon(keys=BUDGETED)
    eventually(lambda: refreshed(daemon, "llama9:latest"))
    upstream.expect(json_reply(chat_reply()), again=True)
    for name, label in (
        ("llama9", "local/llama9"),
        ("llama9:latest", "local/llama9:latest"),
        ("own/tuned-x", "own/tuned-x"),
    ):
        assert daemon.chat(name).header("x-tollkeeper-provider") == "local", name
        eventually(lambda label=label: daemon.metric("tollkeeper_requests_total", model=label) == 1)
        (row,) = [row for row in command(daemon, "models", name) if row["name"] == name]
        told = command(daemon, "explain", name, "--key", "alice")
        targets = ", then ".join(f"{target['provider']}: {target['model']}" for target in told["targets"])
        assert (row["target"], row["problem"]) == (targets, None)
    assert daemon.metric("tollkeeper_requests_total", model="_other") == 0


def test_a_mistyped_name_is_told_the_near_ones_under_a_budget_too(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    upstream.models["/local/v1/models"] = b'{"object":"list","data":[{"id":"my-own-finetune:3b"}]}'
    daemon = start_daemon(keys=BUDGETED)
    eventually(lambda: refreshed(daemon, "my-own-finetune:3b"))
    for mistyped, near in (
        ("my-own-finetun:3b", "my-own-finetune:3b"),
        ("gtp-4o", "gpt-4o"),
        ("openai/gpt-4oo", "gpt-4o"),
    ):
        reply = daemon.chat(mistyped)
        assert (reply.status, reply.error["code"]) == (404, "model_not_found"), mistyped
        assert near in reply.error["message"]
        row = command(daemon, "models", mistyped)[0]
        assert near in row["problem"]
    assert upstream.calls == []


def test_what_a_server_of_ones_own_lists_is_without_a_price_and_what_it_does_not_list_is_not_found(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    upstream.models["/oai/v1/models"] = b'{"object":"list","data":[{"id":"house-model"},{"id":"llama9:latest"}]}'
    daemon = start_daemon(keys=BUDGETED)
    eventually(lambda: refreshed(daemon, "house-model"))
    for named, due in (
        ("oai/house-model", (402, "model_not_priced")),
        ("oai/llama9", (402, "model_not_priced")),
        ("oai/gpt-4o", (402, "model_not_priced")),
        ("oai/house-modle", (404, "model_not_found")),
    ):
        reply = daemon.chat(named)
        assert (reply.status, reply.error["code"]) == due, named
        assert "give it a `price:` under `models:`" in reply.error["message"].replace("Give", "give")
    assert "Near it: house-model." in reply.error["message"]
    assert upstream.calls == []


def test_a_server_of_ones_own_that_is_left_alone_says_when_to_come_back_whatever_it_lists(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    upstream.models["/oai/v1/models"] = b'{"object":"list","data":[{"id":"house-model"}]}'
    daemon = start_daemon(retries={"attempts": 1})
    eventually(lambda: refreshed(daemon, "house-model"))
    upstream.expect(json_reply({"error": {"message": "Who are you?"}}, 401), again=True)
    eventually(lambda: daemon.chat("oai/house-model").error["code"] == "no_healthy_upstream")
    for name in ("oai/house-model", "oai/not-listed"):
        reply = daemon.chat(name)
        assert (reply.status, reply.error["code"]) == (503, "no_healthy_upstream"), name
        assert reply.header("retry-after")


def command(daemon: Daemon, *words: str) -> Any:
    """What a command says, in a terminal of its own."""
    done = typed(daemon.folder, *words, "--json", "--config", str(daemon.folder / "config.yaml"))
    assert done.returncode == 0, done
    return json.loads(done.stdout)
