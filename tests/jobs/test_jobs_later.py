"""`Prefer: respond-async`: 202 with a job, its result, whose it is, cancelling, and a restart in between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.mock import Mock
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

from proxy.stores.jobs.job_rows import Job
from proxy.stores.jobs.jobs import JobStore

ALICE, BOB = "sk-alice-later-test", "sk-bob-later-test"
CHAT = "/v1/chat/completions"


def config(mock: Mock) -> dict[str, Any]:
    return {
        "providers": {"openrouter": mock.provider(), "other": mock.provider("openai")},
        "models": {
            "fast": "openrouter/mock/echo",
            "slow": "openrouter/mock/slow?ttft=30&tokens=4",
            "bad": "openrouter/mock/error?status=400",
            "busy": "openrouter/mock/error?status=429&retry_after=40",
        },
        "keys": {"alice": {"key": ALICE, "models": ["fast", "slow", "bad", "busy"]}, "bob": {"key": BOB}},
        "jobs": {"concurrent": 1},
        "shutdown": {"drain": 0},
    }


@pytest.fixture(scope="module")
def daemon(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(mock), tmp_path_factory.mktemp("later")) as running:
        yield running
        assert '"crashed"' not in running.output and "job_trouble" not in running.output


def asked(daemon: Daemon, method: str, path: str, content: bytes = b"", key: str = ALICE) -> tuple[int, Any]:
    reply = daemon.ask(method, path, [("Authorization", f"Bearer {key}")], content)
    return reply.status, json.loads(reply.body)


def defer(daemon: Daemon, model: str = "fast", **members: Any) -> str:
    content = json.dumps({"model": model, "messages": [{"role": "user", "content": "later"}], **members}).encode()
    headers = [("Authorization", f"Bearer {ALICE}"), ("Prefer", "respond-async, wait=5")]
    reply = daemon.ask("POST", CHAT, headers, content)
    told = json.loads(reply.body)
    assert (reply.status, told["status"]) == (202, "queued"), reply.body
    assert reply.header("preference-applied") == "respond-async"
    assert reply.header("location") == told["status_url"] == f"/tollkeeper/jobs/{told['id']}"
    return str(told["status_url"])


def ended(daemon: Daemon, url: str) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while (told := asked(daemon, "GET", url)[1])["status"] in ("queued", "running"):
        assert time.monotonic() < until, told
    return told


def test_the_result_is_there_when_it_is_there(daemon: Daemon) -> None:
    told = ended(daemon, defer(daemon))
    assert told["status"] == "succeeded" and told["error"] is None and told["started_at"] <= told["ended_at"]
    result = told["result"]
    assert (result["status_code"], result["body"]["choices"][0]["message"]["content"]) == (200, "later")
    line = daemon.wait_for_lines(lambda line: line.get("request_id") == result["request_id"], 1)
    assert line[0]["key"] == "alice"


def test_what_its_head_says_counts_when_it_is_made(daemon: Daemon) -> None:
    content = json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}).encode()
    marked = [("x-tollkeeper-route", "other"), ("x-tollkeeper-tags", "night"), ("Prefer", "respond-async")]
    reply = daemon.ask("POST", CHAT, [("Authorization", f"Bearer {BOB}"), *marked], content)
    url, until = json.loads(reply.body)["status_url"], time.monotonic() + PATIENCE_SECONDS
    while (told := asked(daemon, "GET", url, key=BOB)[1])["status"] in ("queued", "running"):
        assert time.monotonic() < until, told
    request_id = told["result"]["request_id"]
    line = daemon.wait_for_lines(lambda line: line.get("request_id") == request_id, 1)[0]
    assert line["upstream_request_id"] not in (None, request_id)
    assert (line["provider"], line["tags"], line["key"]) == ("other", ["night"], "bob")


def test_a_head_that_is_no_text_is_kept_as_it_is(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply(chat_reply()))
    with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY) as daemon:
        reply = daemon.chat(headers=[("Prefer", "respond-async"), ("X-Title", "caf\xe9")])
        assert reply.status == 202
        upstream.wait_for_calls(1)
        assert upstream.call.header("x-title") == "caf\xe9"


def test_a_failure_is_told_as_its_client_would_have_read_it(daemon: Daemon) -> None:
    told = ended(daemon, defer(daemon, "bad"))
    assert (told["status"], told["result"]["status_code"]) == ("failed", 400)


def test_what_cannot_come_later_comes_now(daemon: Daemon) -> None:
    headers = [("Authorization", f"Bearer {ALICE}"), ("Prefer", "respond-async")]
    stream = json.dumps({"model": "fast", "stream": True, "messages": [{"role": "user", "content": "now"}]}).encode()
    assert daemon.ask("POST", CHAT, headers, stream).status == 200
    unknown = json.dumps({"model": "none-such", "messages": []}).encode()
    assert daemon.ask("POST", CHAT, headers, unknown).status == 404


def test_jobs_are_their_key_s_alone_and_can_be_forgotten(daemon: Daemon) -> None:
    url = defer(daemon)
    ended(daemon, url)
    assert asked(daemon, "GET", url, key=BOB)[0] == asked(daemon, "DELETE", url, key=BOB)[0] == 404
    assert url not in [job["status_url"] for job in asked(daemon, "GET", "/tollkeeper/jobs", key=BOB)[1]["data"]]
    assert asked(daemon, "GET", "/tollkeeper/jobs?limit=1")[1]["data"][0]["status_url"] == url
    assert asked(daemon, "DELETE", url)[1]["deleted"]
    assert asked(daemon, "GET", url)[0] == 404


def test_a_job_is_cancelled_waiting_or_under_way(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    running, waiting = defer(daemon, "slow"), defer(daemon)
    until = time.monotonic() + PATIENCE_SECONDS
    while asked(daemon, "GET", running)[1]["status"] != "running" or not mock.bill():
        assert time.monotonic() < until
    headers = [
        ("Authorization", f"Bearer {ALICE}"),
        ("Prefer", "respond-async"),
        ("x-tollkeeper-priority", "interactive"),
    ]
    first = daemon.post(CHAT, {"model": "fast", "messages": [{"role": "user", "content": "x"}]}, headers)
    assert first.header("x-tollkeeper-queue-place") == "1", "only what is under way comes before it"
    assert first.header("x-tollkeeper-queue-seconds") != "0.000", "its one place is taken"
    assert asked(daemon, "DELETE", json.loads(first.body)["status_url"])[0] == 200
    assert asked(daemon, "GET", waiting)[1]["status"] == "queued"
    assert asked(daemon, "DELETE", waiting)[0] == 200
    assert ended(daemon, waiting)["status"] == "cancelled"
    assert asked(daemon, "DELETE", running)[0] == 200
    over = ended(daemon, running)
    assert over["status"] == "cancelled", "as its webhook says it, and not failed for the call that was cut"
    assert over["result"]["body"]["error"]["code"] == "call_ended"
    assert len(mock.bill()) == 1


def test_a_provider_that_is_busy_is_not_asked_again_and_who_cannot_wait_is_told_at_once(
    daemon: Daemon, mock: Mock
) -> None:
    mock.forget()
    headers = [("Authorization", f"Bearer {ALICE}"), ("x-tollkeeper-priority", "Interactive")]
    body = {"model": "busy", "messages": [{"role": "user", "content": "x"}]}
    first = daemon.post(CHAT, body, headers)
    assert (first.status, first.header("retry-after"), first.header("x-tollkeeper-queue-place")) == (429, "40", None)
    asked_before = len(mock.bill())
    second = daemon.post(CHAT, body, [headers[0], ("x-tollkeeper-priority", "batch")])
    assert (second.status, second.json["error"]["code"], len(mock.bill())) == (503, "no_healthy_upstream", asked_before)
    assert second.header("x-tollkeeper-queue-place") == "1"
    assert 0 < float(second.header("x-tollkeeper-queue-seconds") or 0) <= float(second.header("retry-after") or 0) <= 40
    assert daemon.post(CHAT, {**body, "model": "fast"}, headers).status == 200  # the other models go on
    third = daemon.post(CHAT, body, headers)  # somebody may ask whether it is open again
    assert (third.status, third.header("retry-after")) == (429, "40")


def test_a_priority_is_one_of_three_and_a_job_knows_its_place(daemon: Daemon) -> None:
    headers = [("Authorization", f"Bearer {ALICE}"), ("x-tollkeeper-priority", "soon")]
    body = {"model": "fast", "messages": [{"role": "user", "content": "x"}]}
    refused = daemon.post(CHAT, body, headers)
    assert (refused.status, refused.json["error"]["param"]) == (400, "x-tollkeeper-priority")
    reply = daemon.post(CHAT, body, [headers[0], ("Prefer", "respond-async"), ("x-tollkeeper-priority", "batch")])
    assert (reply.status, reply.header("x-tollkeeper-queue-place"), reply.header("x-tollkeeper-queue-seconds")) == (
        202, "1", "0.000",
    )  # fmt: skip
    ended(daemon, json.loads(reply.body)["status_url"])


def test_a_job_goes_on_after_a_restart_unless_it_was_sent(mock: Mock, tmp_path: Path) -> None:
    mock.forget()
    with Daemon(config(mock), tmp_path) as daemon:
        sent = defer(daemon, "slow")
        until = time.monotonic() + PATIENCE_SECONDS
        while not mock.bill():
            assert time.monotonic() < until
        waiting = defer(daemon)
        assert daemon.stop() == 0
    with Daemon(config(mock), tmp_path) as daemon:
        assert ended(daemon, waiting)["status"] == "succeeded"
        told = ended(daemon, sent)
        assert (told["status"], told["error"]["code"]) == ("failed", "interrupted")
    assert len(mock.bill()) == 2


def test_jobs_of_a_version_before_go_on(tmp_path: Path) -> None:
    job = Job("job_tk_1", "alice", CHAT, "file-tk-1", 1, 1, None, "", "in_progress", 1)
    store = JobStore(tmp_path / "jobs.db")
    store.add_job(job)
    with store.writing() as driver:
        for column in ("rank", "handed", "cost_pusd", "saved_pusd"):
            driver.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        driver.execute("PRAGMA user_version = 1")
    store.close()
    again = JobStore(tmp_path / "jobs.db")
    assert again.open_jobs() == [job]
    again.close()
