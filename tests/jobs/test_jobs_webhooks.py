"""Webhooks of jobs before the real daemon: a receiver that takes them, redirects, hangs, wants no more or is not there."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed
from harness.daemon import Daemon
from harness.hooks import SECRET, Receiver
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, held_port
from openai import OpenAI

from proxy.stores.jobs.deliveries import OFF_AFTER, Deliveries, Delivery, switched_off
from proxy.stores.jobs.job_rows import Job
from proxy.stores.jobs.jobs import JobStore

ALICE = "sk-alice-webhooks-test"
CHAT = "/v1/chat/completions"
OLD = "whsec_b2xkIHNlY3JldCBvZiBhIGhvb2s="


def config(mock: Mock, **members: Any) -> dict[str, Any]:
    keys = {"alice": {"key": ALICE}}
    return {"providers": {"openrouter": mock.provider()}, "keys": keys, "shutdown": {"drain": 0}, **members}


@pytest.fixture(scope="module")
def daemon(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(mock, webhooks={"allow_private": True}), tmp_path_factory.mktemp("hooks")) as running:
        yield running
        assert '"crashed"' not in running.output and "job_trouble" not in running.output
        assert SECRET not in running.output and "token-in-the-address" not in running.output


def defer(daemon: Daemon, url: str, secrets: str | None = SECRET, prefer: str = "respond-async") -> tuple[int, Any]:
    content = json.dumps({"model": "mock/echo", "messages": [{"role": "user", "content": "later"}]}).encode()
    headers = [("Authorization", f"Bearer {ALICE}"), ("Prefer", prefer), ("x-tollkeeper-webhook", url)]
    headers += [] if secrets is None else [("x-tollkeeper-webhook-secret", secrets)]
    reply = daemon.ask("POST", CHAT, headers, content)
    return reply.status, json.loads(reply.body)


def begin(daemon: Daemon, url: str, secrets: str = SECRET) -> str:
    status, told = defer(daemon, url, secrets)
    assert status == 202, told
    return str(told["id"])


def rows(daemon: Daemon) -> dict[str, Any]:
    return {row["job"]: row for row in daemon.asked("/webhooks")["webhooks"]}


def until(fits: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not fits():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_end_of_a_batch_is_told_as_openai_tells_it(daemon: Daemon) -> None:
    user = OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key=ALICE, max_retries=0)
    body = {"model": "mock/echo", "messages": [{"role": "user", "content": "x"}]}
    line = json.dumps({"custom_id": "c1", "method": "POST", "url": CHAT, "body": body})
    file = user.files.create(file=("in.jsonl", line.encode()), purpose="batch")
    with Receiver() as receiver:
        headers = {"x-tollkeeper-webhook": receiver.hook["url"], "x-tollkeeper-webhook-secret": f"{OLD} {SECRET}"}
        asked: dict[str, Any] = {"endpoint": CHAT, "completion_window": "24h", "extra_headers": headers}
        batch = user.batches.create(input_file_id=file.id, **asked)
        (message,) = receiver.wait_for(1)
        content, sent = receiver.raw[0]
    for secret in (OLD, SECRET):
        event = user.webhooks.unwrap(content, sent, secret=secret)
        assert (event.type, event.data.id) == ("batch.completed", batch.id)
    done = user.batches.retrieve(batch.id)
    assert (done.status, done.output_file_id) == ("completed", message["data"]["output_file_id"])
    assert message["data"]["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    assert message["id"] == sent["webhook-id"]


def test_a_redirect_is_not_followed_and_who_hangs_holds_up_nobody(daemon: Daemon) -> None:
    with Receiver() as elsewhere, Receiver(302) as receiver, Receiver() as hanging:
        hanging.hangs = True
        receiver.location = elsewhere.hook["url"]
        for _ in range(3):  # as many as go to one address at a time, and one more
            begin(daemon, hanging.hook["url"])
        hanging.wait_for(2)
        job = begin(daemon, receiver.hook["url"])
        first, again = receiver.wait_for(2)
        assert first == again and (first["type"], first["data"]["id"]) == ("job.succeeded", job)
        assert receiver.ids[0] == receiver.ids[1]
        until(lambda: rows(daemon)[job]["state"] == "delivered")
        assert rows(daemon)[job]["tries"] == 2
        assert not elsewhere.messages and len(hanging.messages) == 2


def test_who_lies_is_believed_by_the_status_alone(daemon: Daemon) -> None:
    """First words that are no HTTP, which is no answer; then a 200 whose body never comes."""
    lies = [b"250 OK, mail accepted\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nx"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        job = begin(daemon, f"http://127.0.0.1:{server.getsockname()[1]}/hook")
        for lie in lies:
            line, _ = server.accept()
            with line:
                while b"job.succeeded" not in line.recv(65536):
                    pass
                line.sendall(lie)
                if lie is lies[-1]:
                    until(lambda: rows(daemon)[job]["state"] == "delivered")
    assert rows(daemon)[job]["tries"] == 2


def test_who_wants_no_more_is_switched_off_until_one_is_sent_by_hand(daemon: Daemon) -> None:
    def doctor() -> str:
        return typed(daemon.folder, "doctor", "--offline", "--config", str(daemon.folder / "config.yaml")).stdout

    with Receiver(410) as receiver:
        first = begin(daemon, receiver.hook["url"])
        until(lambda: rows(daemon).get(first, {}).get("state") == "gone")
        second = begin(daemon, receiver.hook["url"])
        until(lambda: rows(daemon).get(second, {}).get("state") == "off")
        assert len(receiver.messages) == 1
        assert f"127.0.0.1:{receiver.port} of alice is switched off: answered 410" in doctor()
        told = typed(
            daemon.folder,
            "webhooks",
            "replay",
            rows(daemon)[second]["id"],
            "--config",
            str(daemon.folder / "config.yaml"),
        )
        assert told.returncode == 0 and "is being sent again" in told.stdout, told
        assert receiver.wait_for(2)[1]["data"]["id"] == second
        until(lambda: rows(daemon)[second]["state"] == "delivered")
        assert "switched off" not in doctor()
        third = begin(daemon, receiver.hook["url"])
        assert receiver.wait_for(3)[2]["data"]["id"] == third


def test_what_is_not_taken_waits_over_a_kill(mock: Mock, tmp_path: Path) -> None:
    settings = config(mock, webhooks={"allow_private": True})
    with held_port() as port:
        with Daemon(settings, tmp_path) as daemon:
            job = begin(daemon, Receiver.entry(port)["url"])
            daemon.wait_for_log(lambda line: line["event"] == "webhook_failed")
            os.kill(daemon.pid, signal.SIGKILL)
        with Receiver(port=port) as receiver, Daemon(settings, tmp_path):
            assert receiver.wait_for(1)[0]["data"]["id"] == job


@pytest.mark.parametrize(
    ("status", "asked", "least"), [(429, "7200", 7200), (503, "86400000", 14400), (500, "7200", 0)]
)
def test_a_receiver_that_says_for_how_long_is_left_alone_for_that(
    daemon: Daemon, status: int, asked: str, least: float
) -> None:
    with Receiver(status) as receiver:
        receiver.retry_after = asked
        begin(daemon, receiver.hook["url"])
        name = receiver.wait_for(1) and receiver.ids[0]
        told = daemon.wait_for_log(lambda line: line.get("message_id") == name)
    assert (told["event"], told["outcome"]) == ("webhook_failed", "retried")
    assert least <= told["again_in_seconds"] <= 1.1 * least + 2


def test_tries_are_counted_on_over_a_restart(mock: Mock, tmp_path: Path) -> None:
    settings = config(mock, webhooks={"allow_private": True})
    with held_port() as port:
        with Daemon(settings, tmp_path) as first:
            job = begin(first, Receiver.entry(port)["url"])
            failed = first.wait_for_log(lambda line: line["event"] == "webhook_failed" and line["tries"] == 2)
            assert first.stop() == 0
        with Daemon(settings, tmp_path) as second:
            again = second.wait_for_log(lambda line: line["event"] == "webhook_failed")
            assert again["tries"] >= 3 and again["message_id"] == failed["message_id"]
            assert rows(second)[job]["tries"] >= 3


def test_private_addresses_are_refused_at_once_or_where_the_name_leads_there(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path) as daemon, Receiver() as receiver:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"):
            status, told = defer(daemon, f"http://{host}:{receiver.port}/hook")
            assert (status, told["error"]["code"]) == (400, "invalid_value"), host
            assert "private network" in told["error"]["message"]
        hosts = [
            "0x7f000001",
            "0x7f.1",
            "2130706433",
            "127.1",
        ]  # all of them lead to 127.0.0.1, the first two as names do
        for host in hosts:
            begin(daemon, f"http://{host}:{receiver.port}/hook")
        failed = daemon.wait_for_lines(lambda line: line["event"] == "webhook_failed", len(hosts))
        reasons = {line["host"].partition(":")[0]: line["reason"] for line in failed}
        assert set(reasons) == set(hosts)
        assert reasons[hosts[0]] == reasons[hosts[1]] == "its address is private"
        assert not receiver.messages


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("ftp://example.org/x", SECRET, "must be an address"),
        ("https://", SECRET, "must be an address"),
        ("https://example.org:99999/", SECRET, "must be an address"),
        ("https://example.org/#part", SECRET, "must be an address"),
        ("https://example.org/", None, "wants a secret"),
        ("https://example.org/", "a b c", "wants a secret"),
        ("https://example.org/", "whsec_ö", "base64"),
    ],
)
def test_what_cannot_be_told_is_refused(daemon: Daemon, url: str, secret: str | None, says: str) -> None:
    status, told = defer(daemon, url, secret)
    assert status == 400 and says in told["error"]["message"] and told["error"]["param"] == "x-tollkeeper-webhook"


def test_three_given_up_in_a_row_switch_an_address_off(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.db")
    deliveries = Deliveries(store)

    def off() -> int:
        with store.writing() as driver:
            return len(switched_off(driver))

    def told(number: int, outcome: str) -> None:
        name = f"job_tk_{number}"
        deliveries.add(Delivery(f"msg_{number}", name, "alice", "h", "address", "", number))
        job = Job(name, "alice", CHAT, "f", 1, 1, None, "", "completed", number)
        store.add_job(job)
        due = deliveries.end(job, lambda job, message: message, number)
        assert (due is None) == (outcome == "off")
        if due is not None:
            deliveries.over(due.id, outcome, ("no connection", 9), number)

    for number in range(OFF_AFTER):
        assert off() == 0
        told(number, "given_up")
    assert off() == 1
    told(10, "off")
    assert deliveries.again("msg_10", None, 11) is not None and off() == 1
    deliveries.over("msg_10", "delivered", ("answered 204", 1), 12)
    assert off() == 0
    for number in range(20, 20 + OFF_AFTER - 1):
        told(number, "given_up")
    assert off() == 0 and len(deliveries.newest(100, None)) == 6
    deliveries.forget(100)
    assert deliveries.newest(100, None) == []
