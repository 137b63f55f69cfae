"""What is free by its nature asks no budget and no limit: a key that has nothing left may still read, count, cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.events import OPENAI_USAGE, chat_reply
from harness.http import Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream
from money_books import books_of

FREE_ROW = ("moderations", 0, "computed")
LISTED_KEY = "sk-listed-canary"
READ = (
    "batches",
    "batches/batch_1",
    "conversations/conv_1/items",
    "evals/eval_1/runs",
    "containers",
    "assistants",
    "vector_stores/vs_1/files",
    "threads/thread_1/runs/run_1",
    "fine_tuning/jobs",
    "videos/video_1/content",
    "responses/resp_1",
    "responses/resp_1/input_items",
    "files/file_1/content",
    "nobody/knows/this",
)
DONE = (
    ("DELETE", "responses/resp_1"),
    ("POST", "responses/resp_1/cancel"),
    ("POST", "batches/batch_1/cancel"),
    ("DELETE", "files/file_1"),
    ("POST", "vector_stores/vs_1/search"),
    ("POST", "conversations"),
    ("POST", "threads/thread_1/runs/run_1/cancel"),
)
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("moderations", {"input": "hi"}),
    ("moderations", {"input": "hi", "model": "oai/omni-moderation-latest"}),
    ("responses/input_tokens", {"model": "oai/gpt-4o", "input": "hi"}),
    ("messages/count_tokens", {"model": "anthropic/claude-3.5-sonnet", "messages": []}),
)


@pytest.fixture(scope="module")
def spent(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Nothing may be spent, and one call a day may be made."""
    nothing = {"budgets": [{"usd": "0.000001", "per": "total"}], "limits": [{"requests": 1, "per": "day"}]}
    keys = {
        "alice": {"key": CLIENT_KEY, **nothing},
        "listed": {"key": LISTED_KEY, "models": ["anthropic/*"], **nothing},
    }
    config = config_for(upstream_server, keys=keys, budgets=nothing["budgets"], limits=nothing["limits"])
    with Daemon(config, tmp_path_factory.mktemp("spent"), key=CLIENT_KEY) as running:
        yield running
        books = books_of(running)
        assert {(row.endpoint, row.cost_pusd, row.source) for row in books.rows.values()} <= {FREE_ROW}
        assert not books.held


def check_passed(reply: Reply, upstream: Upstream, cost: str | None = None) -> None:
    assert (reply.status, reply.json) == (200, {"ok": True}), reply.body
    assert reply.header("x-tollkeeper-cost-usd") == cost
    assert upstream.calls


@pytest.mark.parametrize("path", READ)
def test_reading(spent: Daemon, upstream: Upstream, path: str) -> None:
    upstream.expect(json_reply({"ok": True}))
    check_passed(spent.ask("GET", f"/v1/{path}"), upstream)


@pytest.mark.parametrize(("method", "path"), DONE)
def test_stopping_storing_and_deleting(spent: Daemon, upstream: Upstream, method: str, path: str) -> None:
    upstream.expect(json_reply({"ok": True}))
    check_passed(spent.ask(method, f"/v1/{path}", (), b"{}" if method == "POST" else None), upstream)


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_moderating_and_counting(spent: Daemon, upstream: Upstream, path: str, body: dict[str, Any]) -> None:
    upstream.expect(json_reply({"ok": True}))
    check_passed(spent.post(f"/v1/{path}", body), upstream, "0.000000000000" if path == "moderations" else None)


def test_what_was_moderated_is_a_row_that_costs_nothing(spent: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"ok": True, "model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 0}}))
    asked = spent.post("/v1/moderations", {"input": "hi", "model": "oai/gpt-4o"})
    identity = asked.header("x-tollkeeper-request-id")
    kept = [row for row in books_of(spent).rows.values() if row.request_id == identity]
    assert [(row.endpoint, row.cost_pusd, row.source) for row in kept] == [FREE_ROW]
    assert spent.chat("oai/gpt-4o").status == 402, "429: it took the one call a day of the limit"


def test_a_file_is_sent(spent: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"ok": True}))
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n--b--\r\n'
    headers = [("Content-Type", "multipart/form-data; boundary=b")]
    check_passed(spent.ask("POST", "/v1/files", headers, form), upstream)


def test_where_a_model_is_named_the_keys_list_counts(spent: Daemon, upstream: Upstream) -> None:
    headers = [("Authorization", f"Bearer {LISTED_KEY}")]
    for path in ("moderations", "responses/input_tokens"):
        refused = spent.post(f"/v1/{path}", {"model": "oai/gpt-4o", "input": "hi"}, headers)
        assert (refused.status, refused.error["code"]) == (404, "model_not_found")
    assert upstream.calls == []
    upstream.expect(json_reply({"ok": True}))
    body = {"model": "anthropic/claude-3.5-sonnet", "messages": []}
    check_passed(spent.post("/v1/messages/count_tokens", body, headers), upstream)


def test_what_cannot_be_bounded_names_itself_and_the_setting(spent: Daemon, upstream: Upstream) -> None:
    for path in ("videos", "vector_stores", "evals/eval_1/runs", "realtime/client_secrets", "batches"):
        refused = spent.post(f"/v1/{path}", {})
        assert (refused.status, refused.error["code"]) == (402, "model_not_priced")
        assert f"'{path.partition('/')[0]}'" in refused.error["message"]
        assert "`budget_policy: {unpriced: allow}`" in refused.error["message"]
    assert upstream.calls == []


def test_a_budget_of_nothing_lets_through_what_costs_nothing(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    nothing = {"usd": 0, "per": "day", "tz": "UTC"}
    models = {
        "gift": {"target": "oai/gift", "price": {"input": 0, "output": 0}},
        "cheaper": {"target": "openai/gpt-4o", "at": {"50%": "gift"}},
    }
    daemon = start_daemon(keys={"alice": {"key": CLIENT_KEY, "budgets": [nothing]}}, models=models)
    upstream.expect(json_reply(chat_reply(usage=OPENAI_USAGE)), again=True)
    refused = daemon.chat("openai/gpt-4o")
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    assert [daemon.chat(model).status for model in ("gift", "local/llama", "cheaper")] == [200, 200, 200]
    assert daemon.asked("/forecast")["budgets"][0]["cap_usd"] == "0.000000000000"
    for command in ("keys list", "budgets", "budgets --forecast", "top --once", "explain openai/gpt-4o --key alice"):
        ended = typed(daemon.folder, *command.split(), "--config", str(daemon.folder / "config.yaml"))
        assert (ended.returncode, ended.stderr) == (0, ""), command
