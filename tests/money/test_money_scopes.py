"""Budgets for models, providers, tags and sessions before a real daemon: who is refused, and what they outlive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.crowd import crowd
from harness.daemon import REPOSITORY, Daemon
from harness.http import Headers
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, surroundings
from money_books import KEY, ask, eventually, priced, settled, toll_config

ONCE = {"usd": 0.35, "per": "total"}  # a call holds $0.30 and costs $0.10
DIME = "mock/echo?cost=0.1"
BOB = [("Authorization", "Bearer sk-bob-money-test")]


def tagged(*tags: str) -> Headers:
    return [("x-tollkeeper-tags", ",".join(tags))]


def session(name: str) -> Headers:
    return [("x-claude-code-session-id", name)]


def config(mock: Mock, *budgets: dict[str, Any]) -> dict[str, Any]:
    models = {name: priced(f"openrouter/{DIME}", 3000) for name in ("dime", "by-name", "by-tag")}
    models["other-dime"] = priced(f"openrouter/{DIME}&ttft=0", 3000)
    return toll_config(
        mock,
        providers={"openrouter": mock.provider(), "other": mock.provider("mock")},
        models={
            **models,
            "elsewhere": priced("other/echo?cost=0.1", 3000),
            "chosen": {"candidates": ["dime", "other-dime"], "strategy": "cost"},
        },
        keys={"alice": {"key": KEY}, "bob": {"key": "sk-bob-money-test"}},
        budgets=list(budgets),
    )


@pytest.fixture(scope="module")
def daemon(mock_server: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    budgets = [
        {**ONCE, "name": "model", "for": {"model": "by-n*"}},
        {**ONCE, "name": "chosen", "for": {"model": "chosen"}},
        {**ONCE, "for": {"provider": "other"}},
        {**ONCE, "name": "pair", "for": {"tag": "nightly", "key": "alice"}},
        {**ONCE, "name": "tags", "for": {"model": "by-tag"}, "each": "tag"},
        {**ONCE, "name": "sessions", "each": "session"},
    ]
    with Daemon(config(mock_server, *budgets), tmp_path_factory.mktemp("scopes"), key=KEY) as running:
        yield running


@pytest.mark.parametrize(
    ("model", "headers", "named", "other"),
    [
        ("by-name", [], "the budget of everything together for model by-n*", ("dime", [])),
        ("chosen", [], "the budget of everything together for model chosen", ("dime", [])),
        ("elsewhere", [], "the budget of everything together for provider other", ("dime", [])),
        (
            "dime",
            tagged("daily", "nightly"),
            "the budget of everything together for key alice and tag nightly",
            ("dime", [*tagged("nightly"), *BOB]),
        ),
        ("by-tag", tagged("a", "b"), "the budget of the tag a for model by-tag", ("by-tag", tagged("c"))),
        ("dime", session("s-1"), "the budget of the session s-1", ("dime", [*session("s-1"), *BOB])),
    ],
)
def test_the_second_call_is_refused_by_name_and_others_go_on(
    daemon: Daemon, model: str, headers: Headers, named: str, other: tuple[str, Headers]
) -> None:
    first, second = (daemon.post("/v1/chat/completions", ask(model), headers) for _ in range(2))
    assert (first.status, second.status) == (200, 402), second.body
    expected = f"This call may cost up to $0.30, and {named} has $0.25 left of $0.35. It never starts anew."
    assert second.error["message"].startswith(expected)
    assert daemon.post("/v1/chat/completions", ask(other[0]), other[1]).status == 200


def test_tags_stay_here_and_are_kept(daemon: Daemon, mock_server: Mock) -> None:
    reply = daemon.post("/v1/chat/completions", ask("dime"), [*tagged("kept", "too"), ("session-id", "s-2")])
    line = daemon.line_of(reply)
    assert (line["tags"], line["session"]) == (["kept", "too"], "s-2")
    (row,) = eventually(daemon, lambda books: bool(books.of(reply.request_id))).of(reply.request_id)
    assert (row.tags, row.session) == ("kept,too", "s-2")
    too_many = daemon.post("/v1/chat/completions", ask("dime"), tagged(*"abcdefghi"))
    assert (too_many.status, too_many.error["code"]) == (400, "invalid_value")


def run(daemon: Daemon, *arguments: str) -> Any:
    file = daemon.folder / "config.yaml"
    command = [sys.executable, "-m", "proxy", *arguments, "--json", "--config", str(file)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=surroundings(daemon.folder),
        timeout=PATIENCE_SECONDS,
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)


def test_a_session_keeps_its_budget_over_a_kill_a_restart_and_a_reload(mock: Mock, tmp_path: Path) -> None:
    """Twenty sub-agents of one session at once get three calls' worth of holds, and not a cent more after a kill."""
    settings = config(mock, {"name": "s", "usd": 1, "per": "total", "each": "session"})
    settings["models"]["slow"] = priced("other/slow?ttft=600", 3000)
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        answers = crowd(daemon, [ask("dime", session_id="busy")] * 20)
        assert set(Counter(answer.status for answer in answers)) <= {200, 402, 429}
        spent = settled(daemon).spent_by("global:s@alice/busy")
        assert spent <= 1
        with daemon.open_chat("slow", headers=session("cut"), max_tokens=100):
            eventually(daemon, lambda books: bool(books.held))
            os.kill(daemon.pid, signal.SIGKILL)
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        books = settled(daemon)
        assert books.spent_by("global:s@alice/busy") == spent
        assert books.spent_by("global:s@alice/cut") * 10 == 3  # at its hold: nobody knows what it would have cost
        (row,) = run(daemon, "explain", "dime", "--key", "alice", "--session", "busy")["budgets"]
        assert (row["budget"], Decimal(row["left_usd"])) == ("global:s@alice/busy", 1 - spent)
        shown = {row["budget"] for row in daemon.asked("/budgets")["budgets"]}
        assert shown == {"global:s@alice/busy", "global:s@alice/cut"}
        assert daemon.metric("tollkeeper_budget_limit_usd") == 0  # nobody draws a gauge for every session
        run(daemon, "budgets", "adjust", "global:s@alice/cut", "0.65", "--reason", "x")
        assert daemon.post("/v1/chat/completions", ask("dime"), session("cut")).status == 402
        usage = {row["session"]: row["calls"] for row in daemon.asked("/usage?by=session")["rows"]}
        assert usage == {"busy": len([row for row in books.rows.values() if row.session == "busy"]), "cut": 1}
        file = daemon.folder / "config.yaml"
        file.write_text(file.read_text().replace("usd: 1\n", "usd: 2\n"))
        os.utime(file, (1, 1))  # long since left alone
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_for_log(lambda line: line.get("event") == "reloaded")
        assert daemon.post("/v1/chat/completions", ask("dime"), session("cut")).status == 200
        assert daemon.stop() == 0
