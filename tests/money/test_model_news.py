"""Lists of models: fetched on demand, what is new in them told once, models switched off and on, by the real process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.hooks import Receiver
from harness.http import Connection, Reply, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream

from proxy.cli import main

TOKEN = "admin-canary-72"
LIST = "/or/api/v1/models"
MANY = 1000


def row(number: int, prompt: str = "0.000001", **more: Any) -> dict[str, Any]:
    name = f"acme/model-{number}"
    pricing = {"prompt": prompt, "completion": "0.000002"}
    return {"id": name, "canonical_slug": name, "name": name, "pricing": pricing, "context_length": 8000, **more}


def listed(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"data": rows}).encode()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has seen a list of 1,000 models."""
    upstream_server.reset()
    config = config_for(
        upstream_server,
        models={
            "fast": {"target": "acme/model-2", "fallbacks": ["acme/model-9"]},
            "either": {"candidates": ["acme/model-20", "acme/model-21", "acme/model-22"], "strategy": "speed"},
        },
        keys={"alice": {"key": CLIENT_KEY}, "bob": {"key": "sk-bob"}},
        alerts=[receiver.hook],
        admin={"host": "127.0.0.1", "port": 0, "token": TOKEN},
        catalogue={"refresh": "never"},
    )
    with Daemon(config, tmp_path_factory.mktemp("news"), key=CLIENT_KEY) as running:
        yield running


def command(daemon: Daemon, *words: str) -> str:
    """What a command says."""
    return (
        CliRunner(env={"COLUMNS": "180"}).invoke(main, [*words, "--config", str(daemon.folder / "config.yaml")]).output
    )


def admin(daemon: Daemon, method: str, path: str, body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    headers = [("Authorization", f"Bearer {TOKEN}")]
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method)


def synced(daemon: Daemon) -> list[dict[str, Any]]:
    """Fetch the lists; the events."""
    reply = admin(daemon, "POST", "/models/sync")
    assert reply.header("content-type") == "text/event-stream"
    events = [block.split("\n") for block in reply.body.decode().strip().split("\n\n")]
    found = [json.loads(data.removeprefix("data: ")) for _, data in events]
    assert [name.removeprefix("event: ") for name, _ in events] == [data["event"] for data in found]
    return found


def test_what_is_new_in_a_list_is_one_event_each_and_an_alert_where_a_name_is_concerned(
    daemon: Daemon, upstream: Upstream, receiver: Receiver
) -> None:
    upstream.models[LIST] = listed(*map(row, range(MANY)))
    first = synced(daemon)[-1]
    assert first["models"] == MANY and first["news"] == "nothing new"
    assert first["seconds"] < 10
    # one gone, one new, one dearer (behind a name), one cheaper, one that ends
    changed = [row(n) for n in range(5, MANY)]
    changed += [row(MANY), row(2, "0.000004"), row(3, "0.0000001"), row(4, expiration_date="2027-01-31"), row(1)]
    upstream.models[LIST] = listed(*changed)
    told = command(daemon, "models", "sync")
    assert f"openrouter: {MANY:,} models, 1 new, 1 gone, 1 dearer, 1 cheaper, 1 deprecated" in told
    assert "  dearer     openrouter: acme/model-2 1 in, 2 out -> 4 in, 2 out" in told
    assert f"{MANY:,} models of 5 providers in " in told
    lines = daemon.wait_for_lines(lambda line: line.get("event") == "model_changed", 5)
    assert Counter(line["kind"] for line in lines) == dict.fromkeys(
        ("new", "gone", "dearer", "cheaper", "deprecated"), 1
    )
    (message,) = receiver.wait_for(1)
    assert (message["type"], message["data"]["kind"], message["data"]["aliases"]) == (
        "model.changed",
        "dearer",
        ["fast"],
    )
    kept = admin(daemon, "GET", "/models/changes?since=today").json["changes"]
    assert {(one["kind"], one["model"].rpartition("-")[2]) for one in kept} == {
        ("new", "1000"), ("gone", "0"), ("dearer", "2"), ("cheaper", "3"), ("deprecated", "4"),
    }  # fmt: skip
    assert "acme/model-4" in command(daemon, "models", "diff") and "ends 2027-01-31" in command(
        daemon, "models", "diff"
    )
    seen = command(daemon, "doctor", "--offline")
    words = " ".join(seen.split())
    assert "acme/model-2 at openrouter is dearer, behind fast" in words and "next: tollkeeper models diff" in words


def test_the_admin_port_tells_how_far_it_is(daemon: Daemon, upstream: Upstream) -> None:
    upstream.models[LIST] = listed(*map(row, range(MANY)))
    events = synced(daemon)
    assert [event["event"] for event in events].count("provider") == 5 and events[-1]["event"] == "done"
    assert (events[-1]["done"], events[-1]["of"], events[-1]["models"]) == (5, 5, MANY)


def test_models_are_switched_off_and_on_for_everybody_and_for_one_key(daemon: Daemon, upstream: Upstream) -> None:
    upstream.models[LIST] = listed(*map(row, range(MANY)))
    synced(daemon)
    upstream.expect(json_reply(chat_reply()), again=True)

    def asked(model: str, key: str = CLIENT_KEY) -> tuple[int, str | None]:
        reply = daemon.chat(model, [("Authorization", f"Bearer {key}")])
        return reply.status, reply.header("x-tollkeeper-model")

    unknown = daemon.chat("nobody-knows-this").error
    assert "model_switches: acme/model-2 added\n1 of the names" in command(daemon, "models", "disable", "acme/model-2")
    off = daemon.chat("acme/model-2").error
    assert (off["code"], off["type"]) == (unknown["code"], unknown["type"])
    assert asked("fast") == (200, "acme/model-9")  # what is left of the name
    assert asked("acme/model-2:nitro")[0] == 404
    switched = admin(daemon, "PATCH", "/models", {"pattern": "acme/*", "enabled": False, "key": "bob"})
    assert switched.json["changes"] == ["model_switches: acme/* added"]
    assert (asked("acme/model-7")[0], asked("acme/model-7", "sk-bob")[0]) == (200, 404)
    listed_for_bob = daemon.ask("GET", "/v1/models", [("Authorization", "Bearer sk-bob")]).json["data"]
    assert listed_for_bob == []
    told = command(daemon, "models", "disable", "acme/*")
    assert "1,002 of the names" in told and asked("fast")[0] == 404
    assert json.loads(command(daemon, "models", "--off", "--limit", "3", "--json"))[0]["name"] == "either"
    command(daemon, "models", "enable", "acme/*")  # the narrower one with it
    assert (asked("fast"), asked("acme/model-2", "sk-bob")[0]) == ((200, "acme/model-2"), 404)
    command(daemon, "models", "undo")
    assert asked("fast")[0] == 404
    command(daemon, "models", "undo")
    assert asked("fast") == (200, "acme/model-2")


def test_the_list_is_filtered_and_sorted(daemon: Daemon, upstream: Upstream) -> None:
    pictures = {"architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}}
    rows = [row(n, "0.00000" + str(n % 9 + 1), **(pictures if n % 2 else {})) for n in range(MANY)]
    upstream.models[LIST] = listed(*rows)
    synced(daemon)
    found = daemon.asked("/models?takes=images&max_input_usd=3&sort=input&author=acme&limit=4")["models"]
    assert [(one["name"], one["input_usd"]) for one in found] == [
        ("acme/model-117", "1"), ("acme/model-135", "1"), ("acme/model-153", "1"), ("acme/model-171", "1"),
    ]  # fmt: skip
    assert daemon.asked("/models?takes=images&min_context=9000")["models"] == []
    wrong = admin(daemon, "GET", "/models?takes=picures")
    assert (wrong.status, "pictures" in wrong.json["error"]["message"]) == (400, True)
    table = command(daemon, "models", "--takes", "images", "--max-input", "1", "--limit", "1")
    assert "acme/model-9 " in table and "pictures" in table
    compared = command(daemon, "models", "compare", "acme/model-1", "fast")
    assert "openrouter: acme/model-1" in compared and "8,000" in compared


def test_what_openrouter_publishes_of_speeds_counts_until_calls_here_have_shown_better(
    daemon: Daemon, upstream: Upstream
) -> None:
    def published(number: int, first_ms: float, rate: float) -> None:
        host = {"status": 0, "latency_last_30m": {"p50": first_ms}, "throughput_last_30m": {"p50": rate}}
        said = {"data": {"id": f"acme/model-{number}", "endpoints": [host]}}
        upstream.models[f"/or/api/v1/models/acme/model-{number}/endpoints"] = json.dumps(said).encode()

    def chosen() -> tuple[str, str]:
        body = {"model": "either", "messages": [{"role": "user", "content": "hi"}]}
        told = admin(daemon, "POST", "/routing/recommend", body).json
        return told["selected_model"], next(one for one in told["reasons"] if one.startswith("first token"))

    upstream.models[LIST] = listed(*map(row, range(MANY)))
    published(20, 900, 30)
    published(21, 400, 120)
    synced(daemon)
    assert chosen() == (
        "acme/model-21",
        "first token after 0.40 s, then 120 tokens a second (as its provider published of the last half hour)",
    )
    wrong = admin(daemon, "POST", "/routing/recommend", {"model": "either", "ceilings": {"first_token": "soon"}})
    assert (wrong.status, "Of `ceilings`, first_token: must be a duration" in wrong.json["error"]["message"]) == (
        400,
        True,
    )
    by_command = json.loads(command(daemon, "route", "hi", "--model", "either", "--first-token", "500ms", "--json"))
    assert (by_command["selected_model"], by_command["fallback_models"]) == ("acme/model-21", [])
    assert {one["model"]: one["reason"] for one in by_command["dropped"]} == {
        "acme/model-20": "first token after 0.9 s (published), above the ceiling of 0.5 s",
        "acme/model-22": "first token after 2.0 s (guessed), above the ceiling of 0.5 s",
    }
    quick = daemon.asked("/models?max_first_token=1&sort=first_token&author=acme")["models"]
    assert [(one["name"], one["first_token_seconds"], one["tokens_per_second"]) for one in quick] == [
        ("acme/model-21", 0.4, 120.0), ("acme/model-20", 0.9, 30.0), ("either", 0.9, 30.0),
    ]  # fmt: skip
    assert [one["name"] for one in daemon.asked("/models?min_speed=100")["models"]] == ["acme/model-21"]
    assert "0.40 s" in command(daemon, "models", "compare", "acme/model-21", "acme/model-3")
    table = command(daemon, "models", "--max-first-token", "0.5", "--sort", "speed")
    assert "First token" in table and "acme/model-21" in table and "acme/model-20" not in table
    published(20, 100, 200)
    upstream.models["/or/api/v1/models/acme/model-21/endpoints"] = b'{"data": {"endpoints": null}}'
    synced(daemon)  # what cannot be read leaves what was known
    assert chosen()[0] == "acme/model-20"
    line = daemon.wait_for_log(lambda line: line.get("event") == "speeds_not_refreshed")
    assert "of acme/model-21 cannot be read" in line["reason"]
    assert not [call for call in upstream.calls if "/endpoints" in call.target]


def test_a_daemon_knows_what_the_one_before_it_saw(daemon: Daemon, upstream: Upstream, tmp_path: Path) -> None:
    upstream.models[LIST] = listed(*map(row, range(MANY)))
    upstream.models["/local/v1/models"] = b'{"data":[{"id":"llama8"}]}'
    command(daemon, "models", "sync")
    kept = json.loads((daemon.folder / "state" / "listed.json").read_text())
    assert set(kept) >= {"local"}
    upstream.models["/local/v1/models"] = b'{"data":[{"id":"llama9"}]}'
    told = command(daemon, "models", "sync")
    assert "  new        local: llama9" in told


def test_a_list_longer_than_any_is_not_read(daemon: Daemon, upstream: Upstream) -> None:
    upstream.models["/local/v1/models"] = b'{"data":[{"id":"llama7"}]}'
    command(daemon, "models", "sync")
    upstream.models["/local/v1/models"] = listed(*({"id": f"model-{number}"} for number in range(120_000)))
    assert "its list of models is too long to be one" in command(daemon, "models", "sync")
    assert "llama7" in (daemon.folder / "state" / "listed.json").read_text()
