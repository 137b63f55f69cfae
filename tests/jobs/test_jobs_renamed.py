"""What a key owns (files, batches, jobs, kept replies and results) is its own behind a new name, and no other key's that has its
former one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.commands import typed
from harness.daemon import Daemon
from harness.http import Headers, Reply
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS

CHAT = {"model": "cent", "messages": [{"role": "user", "content": "mine"}], "temperature": 0}
EDGE = "edge-of-a-part"
ONCE = ("Idempotency-Key", "once")


def config(mock: Mock) -> dict[str, Any]:
    return {
        "providers": {"openrouter": mock.provider()},
        "models": {
            "cent": {"target": "openrouter/mock/echo?cost=0.01", "cache": True},
            "slow": "openrouter/mock/slow?ttft=30&tokens=4",
        },
        "keys": {"other": {"key": "sk-other-renamed-test"}},
        "budget_policy": {"unpriced": "allow"},
        "jobs": {"concurrent": 4},
        "shutdown": {"drain": 0},
    }


@pytest.fixture
def daemon(mock: Mock, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(config(mock), tmp_path) as running:
        yield running
        assert '"crashed"' not in running.output and "job_trouble" not in running.output


def command(daemon: Daemon, *words: str) -> str:
    done = typed(daemon.folder, *words, "--config", str(daemon.folder / "config.yaml"))
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def rewrite(daemon: Daemon, **keys: str) -> None:
    """Have these keys, by their secrets, in the file, and have it read."""
    file = daemon.folder / "config.yaml"
    entries = {name: {"key": secret} for name, secret in keys.items()}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "keys": entries}))
    command(daemon, "reload", "--yes")


def asked(daemon: Daemon, key: str, method: str, path: str, body: Any = None, more: Headers = ()) -> Reply:
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return daemon.ask(method, path, [("Authorization", f"Bearer {key}"), *more], sent)


def put_file(daemon: Daemon, key: str, model: str = "cent") -> str:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {**CHAT, "model": model}}
    parts = [("purpose", "", "batch"), ("file", '; filename="lines.jsonl"', json.dumps(line) + "\n")]
    body = "".join(
        f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n'
        for name, more, text in parts
    )
    form = ("Content-Type", f"multipart/form-data; boundary={EDGE}")
    reply = asked(daemon, key, "POST", "/v1/files", f"{body}--{EDGE}--\r\n".encode(), [form])
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def begun(daemon: Daemon, key: str, model: str = "cent") -> str:
    order = {"input_file_id": put_file(daemon, key, model), "endpoint": "/v1/chat/completions"}
    reply = asked(daemon, key, "POST", "/v1/batches", {**order, "completion_window": "24h"})
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def ended(daemon: Daemon, key: str, path: str, *states: str) -> dict[str, Any]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (told := asked(daemon, key, "GET", path).json).get("status") not in states:
        assert time.monotonic() < give_up, told
        time.sleep(0.02)
    return dict(told)


def made(daemon: Daemon, key: str) -> list[str]:
    """Everything there can be; the paths under which this key reads it."""
    batch = f"/v1/batches/{begun(daemon, key)}"
    told = ended(daemon, key, batch, "completed")
    later = asked(daemon, key, "POST", "/v1/chat/completions", CHAT, [("Prefer", "respond-async")])
    job = str(later.json["status_url"])
    ended(daemon, key, job, "succeeded")
    once = asked(daemon, key, "POST", "/v1/chat/completions", CHAT, [ONCE])
    assert once.status == 200, once.body
    files = [f"/v1/files/{told[name]}/content" for name in ("input_file_id", "output_file_id")]
    return [batch, job, *files]


def assert_has(daemon: Daemon, key: str, paths: list[str]) -> None:
    assert [asked(daemon, key, "GET", path).status for path in paths] == [200] * len(paths)
    listed = [asked(daemon, key, "GET", path).json["data"] for path in ("/v1/batches", "/v1/files", "/tollkeeper/jobs")]
    assert [len(data) for data in listed] == [1, 2, 2]
    again = asked(daemon, key, "POST", "/v1/chat/completions", CHAT, [ONCE])
    assert (again.status, again.header("x-tollkeeper-idempotent")) == (200, "replayed")
    assert asked(daemon, key, "POST", "/v1/chat/completions", CHAT).header("x-tollkeeper-cache") == "hit"


def assert_has_not(daemon: Daemon, key: str, paths: list[str]) -> None:
    assert [asked(daemon, key, "GET", path).status for path in paths] == [404] * len(paths)
    assert asked(daemon, key, "GET", "/tollkeeper/jobs").json["data"] == []
    for path in paths:
        assert asked(daemon, key, "DELETE", path).status in (404, 405)
    once = asked(daemon, key, "POST", "/v1/chat/completions", CHAT, [ONCE])
    assert (once.status, once.header("x-tollkeeper-idempotent")) == (200, None)
    assert once.header("x-tollkeeper-cache") == "miss"


def test_a_renamed_key_keeps_what_it_owns_and_the_next_of_its_name_has_none_of_it(daemon: Daemon) -> None:
    alice = command(daemon, "keys", "create", "alice").strip()
    paths = made(daemon, alice)
    command(daemon, "keys", "update", "alice", "--name", "bob")
    assert_has(daemon, alice, paths)
    assert {job["key"] for job in daemon.asked("/jobs")["jobs"]} == {"bob"}
    assert_has_not(daemon, command(daemon, "keys", "create", "alice").strip(), paths)
    rotated = command(daemon, "keys", "rotate", "bob").strip()
    assert_has(daemon, rotated, paths)


def test_a_key_made_again_under_the_name_of_a_revoked_one_has_none_of_its_things(daemon: Daemon) -> None:
    paths = made(daemon, command(daemon, "keys", "create", "alice").strip())
    command(daemon, "keys", "revoke", "alice")
    assert_has_not(daemon, command(daemon, "keys", "create", "alice").strip(), paths)
    assert {job["key"] for job in daemon.asked("/jobs")["jobs"]} == {"alice"}


def test_a_batch_under_way_goes_on_under_the_new_name(daemon: Daemon) -> None:
    key = command(daemon, "keys", "create", "alice").strip()
    batch = f"/v1/batches/{begun(daemon, key, 'slow')}"
    ended(daemon, key, batch, "in_progress")
    command(daemon, "keys", "update", "alice", "--name", "bob")
    command(daemon, "keys", "create", "alice")
    assert asked(daemon, key, "POST", f"{batch}/cancel").json["status"] == "cancelling"


def test_a_key_renamed_while_no_daemon_runs_keeps_what_it_owns(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path) as first:
        key = command(first, "keys", "create", "alice").strip()
        paths = made(first, key)
        assert first.stop() == 0
        command(first, "keys", "update", "alice", "--name", "bob")
        anew = command(first, "keys", "create", "alice").strip()
    with Daemon(config(mock), tmp_path) as second:
        assert_has(second, key, paths)
        assert_has_not(second, anew, paths)


ALICE, ANEW, OTHER = "sk-alice-renamed-test", "sk-alice-anew-renamed-test", "sk-other-renamed-test"


def test_a_key_that_is_renamed_in_the_configuration_keeps_what_it_owns(mock: Mock, tmp_path: Path) -> None:
    """It is told by its secret; with a new secret as well, nothing tells it."""
    with Daemon({**config(mock), "keys": {"alice": {"key": ALICE}}}, tmp_path) as first:
        paths = made(first, ALICE)
        rewrite(first, bob=ALICE, alice=ANEW)
        assert_has(first, ALICE, paths)
        assert_has_not(first, ANEW, paths)
        assert {job["key"] for job in first.asked("/jobs")["jobs"]} == {"bob"}
    renamed_again = {"eve": {"key": ALICE}, "bob": {"key": ANEW}}
    with Daemon({**config(mock), "keys": renamed_again}, tmp_path) as second:
        assert_has(second, ALICE, paths)
        assert [asked(second, ANEW, "GET", path).status for path in paths] == [404] * len(paths)
        rewrite(second, eve=OTHER, bob=ANEW)
        assert_has(second, OTHER, paths)


def test_a_key_of_the_configuration_that_was_gone_is_known_by_its_secret_alone(mock: Mock, tmp_path: Path) -> None:
    with Daemon({**config(mock), "keys": {"alice": {"key": ALICE}}}, tmp_path) as daemon:
        paths = made(daemon, ALICE)
        rewrite(daemon, other=OTHER)
        rewrite(daemon, alice=ANEW, other=OTHER)
        assert_has_not(daemon, ANEW, paths)
        rewrite(daemon, alice=ALICE)
        assert_has(daemon, ALICE, paths)


def test_a_key_that_moves_from_the_store_to_the_configuration_keeps_what_it_owns(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path) as daemon:
        key = command(daemon, "keys", "create", "alice").strip()
        paths = made(daemon, key)
        command(daemon, "keys", "revoke", "alice")
        rewrite(daemon, alice=ANEW)
        assert_has_not(daemon, ANEW, paths)
        rewrite(daemon, ann=key)
        assert_has(daemon, key, paths)
