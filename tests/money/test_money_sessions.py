"""Sessions of agents before a real daemon: what stops one, and how it goes on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.http import Headers, Reply
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, surroundings
from money_books import KEY, ask, eventually, priced, settled, toll_config

BOB = [("Authorization", "Bearer sk-bob-money-test")]
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
AGAIN = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "."},
]
HUMAN = {"role": "user", "content": "hi"}


def config(mock: Mock, **sessions: Any) -> dict[str, Any]:
    return toll_config(
        mock,
        models={"dime": priced("openrouter/mock/echo?cost=0.1", 3000)},  # holds $0.30
        keys={"alice": {"key": KEY}, "bob": {"key": "sk-bob-money-test"}},
        sessions=sessions,
    )


@pytest.fixture(scope="module")
def daemon(mock_server: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    loops = {"same_tool_call": 8, "usd_per_minute": 0.25}
    with Daemon(config(mock_server, loops=loops, budget=30), tmp_path_factory.mktemp("sessions"), key=KEY) as running:
        yield running


def call(daemon: Daemon, session: str, headers: Headers = (), **members: Any) -> Reply:
    return daemon.post("/v1/chat/completions", ask("dime", **members), [("session-id", session), *headers])


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", "sessions", *arguments, "--config", str(daemon.folder / "config.yaml")]
    env = surroundings(daemon.folder)
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, timeout=PATIENCE_SECONDS, check=False, capture_output=True, text=True
    )


def test_a_session_stops_at_its_budget_and_goes_on_where_it_is_raised(mock: Mock, tmp_path: Path) -> None:
    """The same id under another key is another session. What was raised outlives the daemon, and can be without one."""
    settings = config(mock, budget=0.35)
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        assert [call(daemon, "s-1").status, call(daemon, "s-1", BOB).status] == [200, 200]
        refused = call(daemon, "s-1")
        assert (refused.status, refused.error["code"]) == (402, "session_budget_exceeded")
        assert refused.header("x-should-retry") == "false"
        assert refused.error["message"] == (
            "This call may cost up to $0.30, and the budget of the session s-1 has $0.25 left of $0.35. It never starts "
            "anew. An operator lets the session go on: `tollkeeper sessions raise s-1 --usd 0.35`."
        )
        ambiguous = run(daemon, "raise", "s-1", "--usd", "1")
        assert (ambiguous.returncode, "--key: alice, bob" in ambiguous.stderr) == (1, True)
        assert "no session 's-2' is known" in run(daemon, "raise", "s-2", "--usd", "1").stderr
        raised = run(daemon, "raise", "s-1", "--usd", "0.1", "--key", "alice").stdout
        assert raised == "s-1 of alice may spend $0.10 more; it has $0.35 left\n"
        assert [call(daemon, "s-1").status, call(daemon, "s-1", BOB).status] == [200, 402]
        settled(daemon)
        listed = {row["key"]: row for row in daemon.asked("/sessions")["sessions"]}
        assert {
            key: (row["session"], row["calls"], row["cost_usd"], row["left_usd"]) for key, row in listed.items()
        } == {
            "alice": ("s-1", 2, "0.200000000000", "0.250000000000"),
            "bob": ("s-1", 1, "0.100000000000", "0.250000000000"),
        }
        assert daemon.stop() == 0
        assert run(daemon, "raise", "s-1", "--usd", "0.05", "--key", "alice").returncode == 0
    with Daemon(settings, tmp_path, key=KEY) as daemon:
        assert [call(daemon, "s-1").status, call(daemon, "s-1").status] == [200, 402]
        assert daemon.stop() == 0


def test_the_same_tool_call_again_and_again_is_stopped(daemon: Daemon, mock_server: Mock) -> None:
    assert call(daemon, "loop", messages=[HUMAN, *AGAIN * 7]).status == 200
    before = len(settled(daemon).rows)
    refused = call(daemon, "loop", messages=[HUMAN, *AGAIN * 8])
    assert (refused.status, refused.error["code"]) == (402, "loop_detected")
    assert refused.error["message"] == (
        "This looks like an agent that runs in a loop. It made the same tool calls with the same arguments 8 times in a row "
        "without a word from a human. A new word from you lets the session go on. An operator lets it go on all the same: "
        "`tollkeeper sessions raise loop --usd 1.00`."
    )
    without = daemon.post("/v1/chat/completions", ask("dime", messages=[HUMAN, *AGAIN * 8]))
    assert (without.status, "raise" in without.error["message"]) == (402, False)  # it names no session
    books = eventually(daemon, lambda books: sum(row.times for row in books.refused) == 2)
    assert (books.refused[0].session, len(books.rows)) == ("loop", before)
    assert call(daemon, "loop", messages=[HUMAN, *AGAIN * 8, HUMAN]).status == 200
    assert run(daemon, "raise", "loop", "--usd", "1").returncode == 0
    assert call(daemon, "loop", messages=[HUMAN, HUMAN, *AGAIN * 9]).status == 200


def test_a_session_that_was_stopped_at_its_first_call_goes_on_by_the_command_it_was_told(daemon: Daemon) -> None:
    refused = call(daemon, "fresh", messages=[HUMAN, *AGAIN * 8])
    told = re.findall("`tollkeeper sessions (.*)`", refused.error["message"])
    assert (refused.status, told) == (402, ["raise fresh --usd 1.00"])
    assert run(daemon, *told[0].split()).returncode == 0
    assert call(daemon, "fresh", messages=[HUMAN, *AGAIN * 8]).status == 200


def test_money_without_a_word_from_a_human_is_stopped(daemon: Daemon) -> None:
    statuses = []
    for _ in range(3):
        statuses.append(call(daemon, "burns", messages=[HUMAN, *AGAIN]).status)
        settled(daemon)
    refused = call(daemon, "burns", messages=[HUMAN, *AGAIN])
    assert (statuses, refused.status) == ([200] * 3, 402)
    assert "It spent $0.30 within a minute, and $0.25 are allowed," in refused.error["message"]
    assert call(daemon, "else", messages=[HUMAN, *AGAIN]).status == 200
    assert call(daemon, "burns", messages=[HUMAN, *AGAIN, HUMAN]).status == 200


def test_its_line_and_its_past_name_the_session(daemon: Daemon) -> None:
    reply = call(daemon, "shown", [("x-tollkeeper-tags", "a,b")])
    assert daemon.line_of(reply)["session"] == "shown"
    eventually(daemon, lambda books: bool(books.of(reply.request_id)))
    shown = daemon.asked(f"/calls/{reply.request_id}")
    assert (shown["session"], shown["tags"]) == ("shown", ["a", "b"])
    rows = {row["session"]: row["calls"] for row in daemon.asked("/usage?by=session&session=show*")["rows"]}
    assert json.dumps(rows) == '{"shown": 1}'
