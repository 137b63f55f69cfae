"""Budgets and limits that are tried out: the calls of a real daemon go, and everything that tells of calls says what
would have refused them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.daemon import Daemon
from harness.http import Reply
from money_commands import KEY, Desk

TRIED = "key:alice:total#2"
RATE = "key:alice:requests:month#2"
CALL = {"target": "mock/echo?cost=0.03", "price": {"input": 0, "output": 300}}  # holds $0.03 for 100 tokens
ALICE: dict[str, Any] = {
    "key": KEY,
    "budgets": [{"usd": 0.05, "per": "total", "shadow": True}, {"usd": 5, "per": "total"}],
    "limits": [{"requests": 600, "per": "month"}, {"requests": 2, "per": "month", "shadow": True}],
}
BUDGET_SAYS, LIMIT_SAYS = f"budget_exceeded by {TRIED}", f"rate_limit_exceeded by {RATE}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Commands beside a daemon before which three calls were made, each for three cents."""
    yield Desk(tmp_path, models={"m": CALL}, keys={"alice": ALICE}, budgets=[])


def calls(daemon: Daemon, number: int = 3) -> list[Reply]:
    return [daemon.chat("m", max_tokens=100) for _ in range(number)]


def rejections(daemon: Daemon) -> dict[str, float]:
    name = "tollkeeper_shadow_rejections_total"
    reasons = ("budget_exceeded", "rate_limit_exceeded")
    return {reason: daemon.metric(name, key="alice", reason=reason) for reason in reasons}


def test_calls_go_and_log_metric_and_show_name_what_would_have_refused_them(desk: Desk) -> None:
    with desk.daemon() as daemon:
        replies = calls(daemon)
        told = [daemon.line_of(reply)["shadow_rejections"] for reply in replies]
        counted, refused = rejections(daemon), daemon.metric("tollkeeper_rejections_total")
        shown = desk.json("show", replies[2].request_id)["attempts"][0]
        text = desk.run("show", replies[2].request_id).stdout
        quiet = desk.json("show", replies[0].request_id)["attempts"][0]["shadow_rejections"]
    assert told == [[], [BUDGET_SAYS], [BUDGET_SAYS, LIMIT_SAYS]]
    assert (counted, refused) == ({"budget_exceeded": 2, "rate_limit_exceeded": 1}, 0)
    assert (shown["shadow_rejections"], quiet) == ([BUDGET_SAYS, LIMIT_SAYS], [])
    assert f"would be refused with {BUDGET_SAYS}" in text and f"would be refused with {LIMIT_SAYS}" in text
    for left, reply in zip((599, 598, 597), replies, strict=True):
        assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, None)
        assert reply.header("x-ratelimit-limit-requests") == "600"
        assert reply.header("x-ratelimit-remaining-requests") == str(left)


def test_where_budgets_are_listed_one_in_shadow_is_marked(desk: Desk) -> None:
    with desk.daemon() as daemon:
        calls(daemon)
        rows = {row["budget"]: row for row in desk.json("budgets")["budgets"]}
        explained, said = desk.json("explain", "m", "--key", "alice", "--max-tokens", "100"), desk.run("budgets").stdout
        sentences = desk.run("explain", "m", "--key", "alice", "--max-tokens", "100").stdout
        (alice,) = desk.json("keys", "list")["keys"]
        top = desk.json("top")["budgets"]["budgets"]
        gauges = {
            name: (
                daemon.metric("tollkeeper_budget_shadow", budget=name),
                daemon.metric("tollkeeper_budget_limit_usd", budget=name),
                round(daemon.metric("tollkeeper_budget_spent_usd", budget=name), 9),
            )
            for name in (TRIED, "key:alice:total")
        }
    assert {name: (row["shadow"], row["spent_usd"][:5], row["left_usd"][:5]) for name, row in rows.items()} == {
        TRIED: (True, "0.090", "0.000"),
        "key:alice:total": (False, "0.090", "4.910"),
    }
    assert gauges == {TRIED: (1, 0.05, 0.09), "key:alice:total": (0, 5, 0.09)}
    assert [line.split()[:2] for line in said.splitlines() if TRIED in line] == [[TRIED, "(shadow)"]]
    assert (explained["verdict"], explained["shadow_rejections"]) == ("goes", [LIMIT_SAYS, BUDGET_SAYS])
    assert f"in shadow: would be refused with {BUDGET_SAYS}" in sentences and f"{TRIED} (shadow)" in sentences
    assert alice["limits"] == ["600/month", "shadow:2/month"]
    assert [row["shadow"] for row in alice["budgets"]] == [row["shadow"] for row in top] == [True, False]


def test_in_force_it_goes_on_with_what_it_counted_also_after_a_restart(desk: Desk) -> None:
    """The same file without `shadow`: by a reload, and by a start."""
    alone = {"key": KEY, "budgets": [{"usd": 0.1, "per": "total", "shadow": True}]}
    desk.config["keys"] = {"alice": alone}
    with desk.daemon() as daemon:
        calls(daemon)
        file = desk.folder / "config.yaml"
        written = yaml.safe_load(file.read_text())
        alone["budgets"] = [{"usd": 0.1, "per": "total"}]
        file.write_text(yaml.safe_dump({**written, "keys": {"alice": alone}}))
        assert desk.run("reload").returncode == 0
        (refused,) = calls(daemon, 1)
        assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
        assert "has $0.01 left of $0.10" in refused.error["message"]
        assert (rejections(daemon)["budget_exceeded"], daemon.metric("tollkeeper_rejections_total")) == (0, 1)
        verdict = desk.json("explain", "m", "--key", "alice", "--max-tokens", "100")
        assert (verdict["verdict"], verdict["shadow_rejections"]) == (
            "refused with 402 budget_exceeded by key:alice:total",
            [],
        )
    with desk.daemon() as daemon:
        assert calls(daemon, 1)[0].status == 402


def test_a_key_is_made_and_changed_with_terms_to_try_out(desk: Desk) -> None:
    terms = ("--budget", "5/day", "--budget", "shadow:3/day", "--limit", "shadow:concurrent:2")
    with desk.daemon():
        assert desk.run("keys", "create", "bob", *terms).returncode == 0
        table = desk.run("keys", "list").stdout
        assert desk.run("keys", "update", "bob", "--budget", "shadow:1/day").returncode == 0
        bob = next(key for key in desk.json("keys", "list")["keys"] if key["name"] == "bob")
    assert "0% of $5.00/day " in table and "0% of $3.00/day (shadow)" in table
    assert (bob["limits"], [row["budget"] for row in bob["budgets"]]) == (["shadow:concurrent:2"], ["key:bob:day"])
    assert bob["budgets"][0]["shadow"] is True
