"""`Idempotency-Key`: the same request is answered once and billed once, over restarts and leaving clients as well."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_chunk, chat_stream
from harness.http import Ended, Reply
from harness.mock import Mock
from harness.setting import CLIENT_KEY, config_for
from harness.steps import reset, sse, then
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

ALICE, BOB = "sk-alice-once-test", "sk-bob-once-test"
CHAT = "/v1/chat/completions"


def config(mock: Mock) -> dict[str, Any]:
    budget = {"budgets": [{"usd": 100, "per": "day"}]}
    return {
        "providers": {"openrouter": mock.provider()},
        "models": {
            "cent": "openrouter/mock/echo?cost=0.01",
            "slow": "openrouter/mock/slow?ttft=1.5&interval=0.01&tokens=4&cost=0.01",
            "stuck": "openrouter/mock/slow?ttft=600&tokens=4&cost=0.01",
            "bad": "openrouter/mock/error?status=500",
        },
        "keys": {"alice": {"key": ALICE, **budget}, "bob": {"key": BOB, **budget}},
        "budget_policy": {"unpriced": "allow"},
        "retries": {"attempts": 1},
    }


@pytest.fixture(scope="module")
def daemon(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(mock), tmp_path_factory.mktemp("once")) as running:
        yield running
        assert '"crashed"' not in running.output and "job_trouble" not in running.output


def body(model: str = "cent", text: str = "hello", **members: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **members}).encode()


def post(daemon: Daemon, once: str, content: bytes, key: str = ALICE) -> Reply:
    return daemon.ask("POST", CHAT, [("Authorization", f"Bearer {key}"), ("Idempotency-Key", once)], content)


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_gets_the_same_bytes_and_is_billed_once(daemon: Daemon, mock: Mock, stream: bool) -> None:
    mock.forget()
    first, *again = [post(daemon, f"same-{stream}", body(stream=stream)) for _ in range(4)]
    assert first.status == 200 and first.header("x-tollkeeper-idempotent") is None
    for reply in again:
        assert (reply.status, reply.body) == (200, first.body)
        assert reply.header("x-tollkeeper-idempotent") == "replayed"
        for name in ("content-type", "x-request-id", "x-tollkeeper-request-id", "x-tollkeeper-model"):
            assert reply.header(name) == first.header(name)
    assert len(mock.bill()) == 1


def test_a_key_may_be_bytes_that_are_no_text(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    first, again, other = (post(daemon, once, body(text="bytes")) for once in ("caf\xe9", "caf\xe9", "caf\xc3\xa9"))
    assert (first.status, again.status, again.body, other.status) == (200, 200, first.body, 200)
    assert [reply.header("x-tollkeeper-idempotent") for reply in (first, again, other)] == [None, "replayed", None]
    assert len(mock.bill()) == 2


def test_others_wait_for_the_one_under_way(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: post(daemon, "crowd", body("slow")), range(12)))
    assert {reply.status for reply in replies} == {200} and len({reply.body for reply in replies}) == 1
    assert [reply.header("x-tollkeeper-idempotent") for reply in replies].count(None) == 1
    assert len(mock.bill()) == 1


def test_another_request_is_a_mismatch_and_another_key_s_is_its_own(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    assert post(daemon, "mine", body()).status == 200
    reply = post(daemon, "mine", body(text="other"))
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (409, "idempotency_mismatch")
    assert reply.header("x-should-retry") == "false"
    theirs = post(daemon, "mine", body(text="other"), BOB)
    assert theirs.status == 200 and theirs.header("x-tollkeeper-idempotent") is None
    assert len(mock.bill()) == 2
    assert post(daemon, "x" * 256, body()).status == 400


def test_a_failure_frees_the_key(daemon: Daemon) -> None:
    for _ in range(2):
        reply = post(daemon, "broken", body("bad"))
        assert reply.status == 500 and reply.header("x-tollkeeper-idempotent") is None
    assert post(daemon, "broken", body()).status == 200


def test_a_large_reply_that_breaks_off_is_a_failure_as_well(upstream: Upstream, tmp_path: Path) -> None:
    large = chat_chunk("x" * (9 * 2**20))
    with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY) as daemon:
        headers = [("Authorization", f"Bearer {CLIENT_KEY}"), ("Idempotency-Key", "large")]
        content = json.dumps(chat_body(stream=True)).encode()
        upstream.expect(then(sse(large, end=False), reset))
        assert not daemon.ask("POST", CHAT, headers, content).complete
        upstream.expect(sse(large + chat_stream()))
        again = daemon.ask("POST", CHAT, headers, content)
        assert again.status == 200 and again.header("x-tollkeeper-idempotent") is None
        gone = daemon.ask("POST", CHAT, headers, content)
        assert (gone.status, gone.json["error"]["code"]) == (409, "idempotency_result_gone")


def test_an_error_within_a_stream_is_a_failure_as_well(upstream: Upstream, tmp_path: Path) -> None:
    error = b'data: {"error": {"message": "It broke.", "type": "server_error", "code": 500}}\n\n'
    upstream.expect(sse(chat_chunk("Hel") + error), sse(chat_stream()))
    headers = [("Authorization", f"Bearer {CLIENT_KEY}"), ("Idempotency-Key", "within")]
    with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY) as daemon:
        replies = [daemon.post(CHAT, chat_body(stream=True), headers) for _ in range(3)]
    assert b"It broke." in replies[0].body and b"[DONE]" in replies[1].body and replies[2].body == replies[1].body
    assert len(upstream.calls) == 2


def test_a_client_that_left_finds_its_reply(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    connection = daemon.connect()
    headers = [("Authorization", f"Bearer {ALICE}"), ("Idempotency-Key", "tunnel")]
    connection.send(daemon.request("POST", CHAT, headers, body("slow", stream=True)))
    until = time.monotonic() + PATIENCE_SECONDS
    while not mock.bill():
        assert time.monotonic() < until
    connection.leave()
    reply = post(daemon, "tunnel", body("slow", stream=True))
    assert reply.status == 200 and reply.header("x-tollkeeper-idempotent") == "replayed"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert len(mock.bill()) == 1


def test_a_restart_forgets_nothing_and_what_was_interrupted_is_not_sent_again(mock: Mock, tmp_path: Path) -> None:
    mock.forget()
    with Daemon(config(mock), tmp_path) as daemon:
        first = post(daemon, "kept", body())
        assert first.status == 200
        thread = threading.Thread(target=_quietly, args=(daemon, "lost", body("stuck")))
        thread.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while len(mock.bill()) < 2:
            assert time.monotonic() < until
        os.kill(daemon.pid, signal.SIGKILL)
        thread.join(PATIENCE_SECONDS)
    with Daemon(config(mock), tmp_path) as daemon:
        again = post(daemon, "kept", body())
        assert (again.body, again.header("x-tollkeeper-idempotent")) == (first.body, "replayed")
        lost = post(daemon, "lost", body("stuck"))
        error = json.loads(lost.body)["error"]
        assert (lost.status, error["code"]) == (409, "idempotency_result_gone")
        assert "tollkeeper show req_" in error["message"]
        assert len(mock.bill()) == 2
        later = [("Authorization", f"Bearer {ALICE}"), ("Prefer", "respond-async")]
        url = daemon.ask("POST", CHAT, later, body()).json["status_url"]
    moved = config(mock)
    moved["tenants"], moved["keys"]["alice"]["tenant"] = {"acme": {}}, "acme"
    with Daemon(moved, tmp_path) as daemon:  # that key's name is another tenant's now
        assert post(daemon, "kept", body(text="other")).header("x-tollkeeper-idempotent") is None
        for path in (url, "/tollkeeper/jobs"):
            reply = daemon.ask("GET", path, later[:1])
            assert reply.status == 404 or reply.json["data"] == []
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path for path in files if b'"content":"hello"' in path.read_bytes()] == []


def _quietly(daemon: Daemon, once: str, content: bytes) -> None:
    try:
        post(daemon, once, content)
    except (OSError, Ended):
        return
