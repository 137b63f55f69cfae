"""A new configuration under a running daemon: taken on whole or not at all, calls under way not touched."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from harness.daemon import REPOSITORY, Daemon, chat_body
from harness.events import chat_chunk, chat_reply
from harness.http import Connection, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import LAST_CHUNK, chunk, json_reply, say, stream_head, then, wait_at
from harness.upstream import Upstream

from proxy.cli.chosen import REPLACED

BEARER = ("Authorization", f"Bearer {CLIENT_KEY}")
StartDaemon = Callable[..., Daemon]
CLIENTS = 5
RELOADS = 25
CALLS = 2_500


def rewrite(daemon: Daemon, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration file and tell the daemon."""
    file = daemon.folder / "config.yaml"
    config = yaml.safe_load(file.read_text())
    change(config)
    file.write_text(yaml.safe_dump(config))
    os.utime(file, (1, 1))  # long since left alone, so that nobody waits for more
    os.kill(daemon.pid, signal.SIGHUP)


def test_keys_and_names_change_and_the_difference_is_told(start_daemon: StartDaemon, upstream: Upstream) -> None:
    daemon = start_daemon()
    upstream.expect(json_reply(chat_reply()), again=True)
    assert daemon.chat("fresh").status == 404

    def change(config: dict[str, Any]) -> None:
        config["models"]["fresh"] = "openai/gpt-4o"
        config["keys"]["bob"] = {"key": "sk-bob-canary"}

    rewrite(daemon, change)
    line = daemon.wait_for_log(lambda entry: entry.get("event") == "reloaded")
    assert set(line["changes"]) == {"models: fresh added", "keys: bob added"}
    assert daemon.chat("fresh").header("x-tollkeeper-model") == "openai/gpt-4o"
    assert daemon.chat(headers=[("Authorization", "Bearer sk-bob-canary")]).status == 200


def test_another_admin_token_counts_at_once(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(admin={"host": "127.0.0.1", "port": 0, "token": "canary-of-old"})
    rewrite(daemon, lambda config: config["admin"].update(token="canary-of-new"))
    line = daemon.wait_for_log(lambda entry: entry.get("event") == "reloaded")
    assert line["changes"] == ["admin_token: changed"]
    for token, status in (("canary-of-old", 401), ("canary-of-new", 200)):
        with Connection(daemon.admin_port) as connection:
            headers, host = [("Authorization", f"Bearer {token}")], f"127.0.0.1:{daemon.admin_port}"
            connection.send(request_bytes("POST", "/models/undo?dry_run", headers, b"", host))
            assert (connection.read_reply("POST").status == 401) == (status == 401), token


def test_a_provider_that_is_gone_is_none_for_a_head_that_came_before(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon, named = start_daemon(), [("x-tollkeeper-route", "local")]
    upstream.expect(json_reply(chat_reply()), again=True)
    assert [daemon.chat(headers=named).status for _ in range(3)] == [200] * 3
    rewrite(daemon, lambda config: config["providers"].pop("local"))
    daemon.wait_for_log(lambda entry: entry.get("event") == "reloaded")
    assert daemon.chat(headers=named).error["message"].startswith("No provider of the name that the call gives")


def test_a_call_like_many_before_goes_where_the_new_configuration_says(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon, texts = start_daemon(), [f"question {number}" for number in range(7)]
    upstream.expect(json_reply(chat_reply()), again=True)
    bodies = [json.dumps({**chat_body("quiet"), "messages": [{"role": "user", "content": text}]}) for text in texts]

    def ask(body: str) -> str | None:
        return daemon.ask("POST", "/v1/chat/completions", [BEARER], body.encode()).header("x-tollkeeper-model")

    assert [ask(body) for body in bodies[:5]] == ["openai/gpt-4o"] * 5
    rewrite(daemon, lambda config: config["models"].update(quiet={"target": "local/llama3.1"}))
    daemon.wait_for_log(lambda entry: entry.get("event") == "reloaded")
    assert [ask(body) for body in bodies[5:]] == ["llama3.1"] * 2
    told = [
        (call.json["model"], call.json.get("max_tokens"), call.json["messages"][0]["content"])
        for call in upstream.calls
    ]
    assert told == [
        (model, most, text)
        for (model, most), text in zip([("openai/gpt-4o", 77)] * 5 + [("llama3.1", None)] * 2, texts, strict=True)
    ]


def test_a_broken_file_changes_nothing_and_says_where_it_is_broken(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon()
    upstream.expect(json_reply(chat_reply()), again=True)
    (daemon.folder / "config.yaml").write_text("keys:\n  alice: {kee: x}\n")
    os.kill(daemon.pid, signal.SIGHUP)
    line = daemon.wait_for_log(lambda entry: entry.get("event") == "reload_refused")
    assert "config.yaml:2:" in line["problems"] and "kee" in line["problems"]
    assert daemon.chat().status == 200
    with Connection(daemon.admin_port, lambda _: None) as connection:
        connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"\ntollkeeper_config_last_reload_successful 0.0\n" in connection.read_reply().body


def test_a_stream_under_way_ends_as_it_began(start_daemon: StartDaemon, upstream: Upstream) -> None:
    daemon = start_daemon()
    gate = upstream.gate()
    stream = chat_chunk("He") + chat_chunk("llo", finish="stop") + b"data: [DONE]\n\n"
    upstream.expect(
        then(say(stream_head()), say(chunk(chat_chunk("He"))), wait_at(gate), say(chunk(stream) + LAST_CHUNK))
    )
    with daemon.open_chat(stream=True) as connection:
        reply = connection.read_head()
        rewrite(
            daemon, lambda config: config["keys"].pop("alice") and config["keys"].update(bob={"key": "sk-bob-canary"})
        )
        daemon.wait_for_log(lambda entry: entry.get("event") == "reloaded")
        gate.open()
        connection.read_body(reply)
    assert reply.body.endswith(b"data: [DONE]\n\n") and reply.complete
    assert daemon.chat().status == 401, "the key it began with is no longer one"


def test_no_call_fails_under_many_reloads(start_daemon: StartDaemon, upstream: Upstream) -> None:
    daemon = start_daemon()
    upstream.expect(json_reply(chat_reply()), again=True)
    going = threading.Event()
    seen = [Counter[int]() for _ in range(CLIENTS)]

    def ask(statuses: Counter[int]) -> None:
        request = daemon.request("POST", "/v1/chat/completions", (), json.dumps(chat_body()).encode())
        with daemon.connect() as connection:
            while not going.is_set() or statuses.total() < CALLS // CLIENTS:
                connection.send(request)
                statuses[connection.read_reply("POST").status] += 1

    threads = [threading.Thread(target=ask, args=(statuses,)) for statuses in seen]
    for thread in threads:
        thread.start()
    for number in range(RELOADS):
        rewrite(daemon, lambda config, number=number: config["models"].update({f"name-{number}": "openai/gpt-4o"}))  # type: ignore[misc]
        daemon.wait_for_log(lambda entry, number=number: f"models: name-{number} added" in entry.get("changes", ()))  # type: ignore[misc]
    going.set()
    for thread in threads:
        thread.join()
    statuses = sum(seen, Counter[int]())
    assert statuses.keys() == {200}
    assert statuses[200] >= CALLS


def test_a_file_that_is_watched_is_taken_on_by_itself(start_daemon: StartDaemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    daemon = start_daemon(args=["--watch"])
    file = daemon.folder / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["models"]["fresh"] = "openai/gpt-4o"
    file.write_text(yaml.safe_dump(config))
    daemon.wait_for_log(lambda entry: entry.get("changes") == ["models: fresh added"])
    assert daemon.chat("fresh").status == 200
    file.write_text("keys: [")
    daemon.wait_for_log(lambda entry: entry.get("event") == "reload_refused")
    replaced = daemon.folder / "config.new"
    config["models"]["fresher"] = "openai/gpt-4o"
    replaced.write_text(yaml.safe_dump(config))
    replaced.chmod(0o600)
    replaced.replace(file)
    daemon.wait_for_log(lambda entry: entry.get("changes") == ["models: fresher added"])


def test_a_daemon_that_was_installed_anew_wants_a_restart_before_it_reads_its_configuration_again(
    upstream: Upstream, tmp_path: Path
) -> None:
    installed = tmp_path / "installed" / "proxy"
    installed.mkdir(parents=True)
    for entry in (REPOSITORY / "proxy").iterdir():
        (installed / entry.name).symlink_to(entry)
    root = installed / "__init__.py"
    text = root.read_text()
    root.unlink()
    root.write_text(text)
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(installed.parent)}
    with Daemon(config_for(upstream), tmp_path, key=CLIENT_KEY, env=env) as daemon:
        upstream.expect(json_reply(chat_reply()), again=True)
        root.unlink()
        root.write_text(text)
        os.utime(root, (1, 1))
        rewrite(daemon, lambda config: config["models"].update(fresh="openai/gpt-4o"))
        line = daemon.wait_for_log(lambda entry: entry.get("event") == "reload_refused")
        assert line["problems"] == REPLACED
        assert daemon.chat("fresh").status == 404
        assert daemon.chat().status == 200
