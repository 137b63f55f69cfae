"""Experiments in a real daemon: arms by session and call, a guard that acts by itself, orders, what is kept, switched off."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml
from harness.commands import typed
from harness.daemon import Daemon
from harness.http import Connection, Reply, request_bytes
from harness.setting import CLIENT_KEY
from harness.surroundings import PATIENCE_SECONDS

TOKEN = "admin-canary-3e91"
CONFIG: dict[str, Any] = {
    # nobody listens on the port of "dead": its arm fails, and the name's usual model answers
    "providers": {"mock": {}, "dead": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "free": True}},
    "routes": [{"match": "openai/*", "provider": "mock"}],
    "models": {"smart": "openai/gpt-4o", "calm": "openai/gpt-4o"},
    "keys": {"alice": {"key": CLIENT_KEY, "models": ["smart", "calm"]}},
    "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
    "retries": {"attempts": 1},
    "experiments": {
        "newer": {
            "model": "smart",
            "arms": [{"target": "openai/gpt-4o", "share": 50}, {"target": "dead/llama", "share": 50}],
            "sticky": "call",
            "guard": {"errors": "5%"},
            "min_calls": 20,
        },
        "steady": {
            "model": "calm",
            "arms": [{"target": "openai/gpt-4o", "share": 50}, {"target": "openai/gpt-4o-mini", "share": 50}],
            "shadows": [
                {"target": "mock/echo", "share": 100},
                {"target": "mock/other", "share": 100, "budget": {"usd": 0.000000001, "per": "total"}},
            ],
        },
    },
}


def admin(daemon: Daemon, method: str, path: str, body: Any = None) -> Reply:
    sent = None if body is None else json.dumps(body).encode()
    with Connection(daemon.admin_port) as connection:
        connection.send(
            request_bytes(method, path, [("Authorization", f"Bearer {TOKEN}")], sent, f"127.0.0.1:{daemon.admin_port}")
        )
        return connection.read_reply(method)


def arm_of(daemon: Daemon, reply: Reply) -> str | None:
    assert reply.status == 200, reply.body
    arm: str | None = daemon.line_of(reply)["arm"]
    return arm


def test_an_arm_that_fails_is_sent_back_by_itself_and_stays_so(tmp_path: Path) -> None:
    with Daemon(CONFIG, tmp_path, key=CLIENT_KEY) as daemon:
        replies = [daemon.chat("smart") for _ in range(80)]
        assert {reply.status for reply in replies} == {200}, "whoever calls notices nothing"
        told = daemon.wait_for_log(lambda line: line["event"] == "experiment_changed")
        assert (told["state"], told["share"], told["by"]) == ("rolled_back", 0, "guard")
        assert told["reason"].startswith("dead/llama: 100.0% of its ")
        arms = [arm_of(daemon, reply) for reply in replies]
        assert {*arms} == {"newer/openai/gpt-4o", "newer/dead/llama"}
        found = admin(daemon, "GET", "/experiments/newer").json
        assert set(found) == {"name", "state", "arms", "winner", "reason"} and found["state"] == "rolled_back"
        first, dead = found["arms"]
        assert (dead["share"], dead["calls"], dead["errors"]) == (0, arms.count("newer/dead/llama"), dead["calls"])
        assert first["share"] == 100 and first["errors"] == 0 and first["metric"]["low"] <= first["metric"]["mean"]
        assert arm_of(daemon, daemon.chat("smart")) == "newer/openai/gpt-4o"
        (row,) = admin(daemon, "GET", "/audit?action=experiment.*").json["rows"]
        assert (row["actor"], row["action"], row["target"]) == (
            "the daemon", "experiment.rollback", "experiments.newer",
        )  # fmt: skip
        lost = replies[arms.index("newer/dead/llama")].header("x-tollkeeper-request-id")
        assert admin(daemon, "GET", f"/calls/{lost}").json["arm"] == "newer/dead/llama"
        assert daemon.stop() == 0
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        again = admin(daemon, "GET", "/experiments/newer").json
        assert (again["state"], again["arms"][1]["calls"]) == ("rolled_back", dead["calls"])
        orders_and_switches(daemon)
        assert daemon.stop() == 0, daemon.output


def test_an_arm_that_refuses_its_calls_is_not_the_cheaper_one(tmp_path: Path) -> None:
    arms = [{"target": "mock/echo", "share": 50}, {"target": "mock/error?status=400", "share": 50}]
    experiments = {"newer": {"model": "smart", "arms": arms, "sticky": "call"}}
    with Daemon({**CONFIG, "experiments": experiments}, tmp_path, key=CLIENT_KEY) as daemon:
        assert {daemon.chat("smart").status for _ in range(40)} == {200, 400}
        refusing: dict[str, Any] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not refusing.get("errors"):
            refusing = admin(daemon, "GET", "/experiments/newer").json["arms"][1]
        assert refusing["errors"] == refusing["calls"] > 0 and refusing["metric"]["samples"] == 0
        # in no list, but written in the configuration
        counted = [
            line for line in admin(daemon, "GET", "/metrics").body.decode().splitlines() if "requests_total{" in line
        ]
        told = {line.partition('model="')[2].partition('"')[0] for line in counted}
        assert told == {"mock/echo", "mock/error?status=400"}


def test_an_arm_costs_what_the_price_of_its_name_says(tmp_path: Path) -> None:
    models = {"smart": {"target": "mock/model-x", "price": {"input": 0, "output": 1000}}}
    arms = [{"target": "mock/model-x", "share": 100}, {"target": "dead/llama", "share": 0}]
    config = {
        **CONFIG,
        "models": models,
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 0.5, "per": "day"}]}},
        "experiments": {"newer": {"model": "smart", "arms": arms, "sticky": "key"}},
    }
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        refused = daemon.chat("smart", max_tokens=501)
        assert (refused.status, refused.error["code"]) == (402, "budget_exceeded"), "at a tenth of a cent a token"
        done = typed(
            tmp_path, "explain", "smart", "--key", "alice", "--json", "--config", str(tmp_path / "config.yaml")
        )
        assert json.loads(done.stdout)["price"]["output_usd"] == "1000"


def test_the_last_calls_before_an_end_count(tmp_path: Path) -> None:
    arms = [{"target": "mock/echo", "share": 50}, {"target": "mock/other", "share": 50}]
    experiments = {"newer": {"model": "smart", "arms": arms, "sticky": "call"}}
    with Daemon({**CONFIG, "experiments": experiments}, tmp_path, key=CLIENT_KEY) as daemon:
        assert {daemon.chat("smart").status for _ in range(60)} == {200}
        assert daemon.stop() == 0
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        assert sum(arm["calls"] for arm in admin(daemon, "GET", "/experiments/newer").json["arms"]) == 60


def orders_and_switches(daemon: Daemon) -> None:
    sessions = [[("x-session-id", f"s{n}")] for n in range(8)]
    arms = [arm_of(daemon, daemon.chat("calm", headers)) for headers in sessions]
    assert len({*arms}) == 2 and arms == [arm_of(daemon, daemon.chat("calm", headers)) for headers in sessions]
    copies = daemon.wait_for_lines(lambda line: str(line.get("key")).startswith("shadow:steady/mock/"), 32)
    told = {(line["key"], line["arm"], line["status"], line["error"]) for line in copies}
    assert told == {
        ("shadow:steady/mock/echo", "steady/mock/echo", 200, None),
        ("shadow:steady/mock/other", "steady/mock/other", 402, "budget_exceeded"),
    }, "each within a budget of its own"
    steady = admin(daemon, "GET", "/experiments/steady").json
    assert [one["calls"] for one in steady["shadows"]] == [16, 0] and sum(arm["calls"] for arm in steady["arms"]) == 16
    ramped = admin(daemon, "POST", "/experiments/steady/ramp", {"share": 100}).json
    assert [arm["share"] for arm in ramped["arms"]] == [0, 100]
    assert {arm_of(daemon, daemon.chat("calm", headers)) for headers in sessions} == {"steady/openai/gpt-4o-mini"}
    assert admin(daemon, "POST", "/experiments/steady/hold").json["state"] == "held"
    refused = admin(daemon, "POST", "/experiments/steady/finish")
    assert (refused.status, refused.error["code"]) == (400, "invalid_value")
    assert "no arm has won" in refused.error["message"]
    finished = admin(
        daemon, "POST", "/experiments/steady/finish", {"winner": "openai/gpt-4o", "reason": "dearer is worse"}
    )
    assert (finished.json["state"], finished.json["winner"]) == ("finished", "openai/gpt-4o")
    assert [row["action"] for row in admin(daemon, "GET", "/audit?target=experiments.steady").json["rows"]] == [
        "experiment.finish", "experiment.hold", "experiment.ramp",
    ]  # fmt: skip
    assert admin(daemon, "POST", "/experiments/none/hold").status == 404
    assert admin(daemon, "GET", "/experiments/newer?metric=total").json["arms"][0]["metric"]["samples"] > 0
    off = admin(daemon, "PUT", "/settings/features/experiments", {"value": {"keys": {"alice": False}}})
    assert off.status == 200, off.body
    assert arm_of(daemon, daemon.chat("calm")) is None
    asked = daemon.ask("GET", "/tollkeeper/jobs/none")
    assert admin(daemon, "PUT", "/settings/features/jobs", {"value": {"keys": {"alice": False}}}).status == 200
    without = daemon.ask("GET", "/tollkeeper/jobs/none")
    assert (asked.status, without.status) == (404, 404) and "no job" in asked.error["message"].lower()
    assert without.error["code"] == "unknown_endpoint"
    off = admin(daemon, "PUT", "/settings/features/dashboard", {"value": False})
    assert off.status == 200 and "switched off" in admin(daemon, "GET", "/").error["message"]
    off = admin(daemon, "PUT", "/settings/features/experiments", {"value": False})
    assert off.status == 200 and admin(daemon, "GET", "/experiments").json == {"experiments": []}
    assert admin(daemon, "DELETE", "/settings/features/experiments").status == 200
    kept = admin(daemon, "GET", "/experiments/steady").json
    assert (kept["state"], kept["winner"]) == ("finished", "openai/gpt-4o"), "it stands where it stood"
    third = {**CONFIG["experiments"]["steady"], "model": "third"}
    stored = admin(daemon, "PUT", "/experiments/third", third)
    assert stored.status == 200, stored.body
    assert stored.json["source"] == "store"
    assert [one["name"] for one in admin(daemon, "GET", "/experiments").json["experiments"]] == [
        "newer",
        "steady",
        "third",
    ]


def test_without_a_daemon_explain_knows_where_experiments_stand(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, "state_dir": str(tmp_path / "state")}))

    def asked(*options: str) -> Any:
        done = typed(tmp_path, "explain", "calm", *options, "--json", "--config", str(config))
        return json.loads(done.stdout)

    begun = asked()["experiment"]
    assert (begun["name"], begun["state"], begun["arm"]) == ("steady", "running", None), (
        "which arm hangs on the session"
    )
    winner = ["--winner", "openai/gpt-4o-mini"]
    done = typed(tmp_path, "experiments", "finish", "steady", *winner, "--config", str(config))
    assert done.returncode == 0, done.stderr
    over = asked()
    assert (over["experiment"]["arm"], over["target"]) == ("openai/gpt-4o-mini", "openai/gpt-4o-mini"), "all calls do"
