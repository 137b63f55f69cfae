"""Refusals cost next to nothing: those of one key and reason in a second are one row with a count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.commands import typed
from harness.crowd import crowd
from harness.daemon import Daemon
from harness.mock import Mock
from money_books import StartToll, ask, books_of, eventually, priced

REFUSED = 600
CENT = [{"usd": 0.01, "per": "total"}]


def journal_bytes(daemon: Daemon) -> int:
    return sum(file.stat().st_size for file in (daemon.folder / "state" / "journal").glob("*.log"))


def said(daemon: Daemon, *words: str) -> str:
    done = typed(daemon.folder, *words, "--config", str(daemon.folder / "config.yaml"))
    assert done.returncode == 0, done
    return done.stdout


def show(daemon: Daemon, request_id: str, *options: str) -> str:
    return said(daemon, "show", request_id, *options)


def usage(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(daemon, "usage", "--json"))
    return found


def test_many_refusals_are_few_rows_and_each_is_counted(start_toll: StartToll) -> None:
    daemon = start_toll(alice={"budgets": CENT}, models={"m": priced("openrouter/mock/echo")})
    before = journal_bytes(daemon)
    answers = crowd(daemon, [ask("m")] * REFUSED)
    assert {answer.code for answer in answers} == {"budget_exceeded"}
    books = eventually(daemon, lambda books: sum(row.times for row in books.refused) == REFUSED)
    assert len(books.refused) < REFUSED / 10
    assert journal_bytes(daemon) - before < 500 * len(books.refused) + 1000
    assert daemon.metric("tollkeeper_rejections_total", reason="budget_exceeded") == REFUSED
    assert usage(daemon)["total"]["calls"] == 0
    most = max(books.refused, key=lambda row: row.times)
    told = json.loads(show(daemon, most.request_id, "--json"))["refused"]
    assert (told["error"], told["times"]) == ("budget_exceeded", most.times)
    assert f"and {most.times - 1:,} more calls of this key within a second" in show(daemon, most.request_id)


def test_a_refusal_can_be_shown_at_once_and_is_kept_at_the_end(start_toll: StartToll) -> None:
    daemon = start_toll(alice={"budgets": CENT}, models={"m": priced("openrouter/mock/echo")})
    first = daemon.post("/v1/chat/completions", ask("m")).request_id
    assert "refused: 402 budget_exceeded" in show(daemon, first)
    last = daemon.post("/v1/chat/completions", ask("m")).request_id
    assert daemon.stop() == 0
    assert {row.request_id for row in books_of(daemon).refused} == {first, last}


def test_a_flood_without_a_key_writes_nothing(start_toll: StartToll, tmp_path: Path) -> None:
    daemon = start_toll()
    before = journal_bytes(daemon)
    stranger = [("Authorization", "Bearer nobody")]
    assert {daemon.post("/v1/chat/completions", ask("m"), stranger).status for _ in range(200)} == {401}
    assert daemon.stop() == 0
    assert journal_bytes(daemon) == before
    assert books_of(daemon).refused == []


def test_what_cannot_be_made_ready_to_send_holds_nothing(start_toll: StartToll, mock: Mock) -> None:
    """A member that stands twice where only the flag for usage is looked for: after the hold, before a byte."""
    own = {"own": mock.provider("openai")}
    daemon = start_toll(alice={"budgets": CENT}, providers=own, models={"m": priced("own/mock/echo", 90)})
    body = json.dumps(ask("m", stream=True, stream_options={"a": 1})).replace('{"a": 1}', '{"a": 1, "a": 1}').encode()
    for _ in range(3):  # each would hold nine tenths of the budget
        reply = daemon.ask("POST", "/v1/chat/completions", [("Content-Type", "application/json")], body)
        assert (reply.status, reply.error["code"]) == (400, "duplicate_key"), reply.raw
    assert daemon.metric("tollkeeper_budget_held_usd", budget="key:alice:total") == 0
    assert not books_of(daemon).held
    assert daemon.post("/v1/chat/completions", ask("m")).status == 200
