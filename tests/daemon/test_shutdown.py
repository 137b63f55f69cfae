"""SIGTERM on the real process: who is still served, who is cut, and how long it takes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import REPOSITORY, Daemon, chat_body
from harness.events import DONE, chat_chunk, chat_reply, chat_stream
from harness.http import Connection, Reply, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import LAST_CHUNK, chunk, hang, json_reply, say, stream_head, then, wait_at
from harness.surroundings import PATIENCE_SECONDS, held_port
from harness.upstream import Gate, Upstream

StartDaemon = Callable[..., Daemon]
GOOD = json_reply(chat_reply())
BEGUN = say(stream_head() + chunk(chat_chunk("He", provider="OpenAI")))
MODEL = "/v1/models/openai%2Fgpt-4o"
# a window that no test waits for, however busy the machine
LONG: dict[str, Any] = {"shutdown": {"drain": 300}}
# what ends sooner than that did not wait for the window
AT_ONCE_SECONDS = 60.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket of the test's own, as systemd holds one."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as held:
        yield held


@pytest.fixture
def start_heir(upstream: Upstream, listener: socket.socket, tmp_path: Path) -> Iterator[StartDaemon]:
    """Start a daemon on the test's socket, again and again with the same state."""
    with ExitStack() as stack:

        def start(**members: Any) -> Daemon:
            config = config_for(upstream, **{**LONG, **members})
            return stack.enter_context(Daemon(config, tmp_path, key=CLIENT_KEY, listener=listener))

        yield start


def event(daemon: Daemon, name: str) -> dict[str, Any]:
    return daemon.wait_for_log(lambda line: line["event"] == name)


def begin_stop(daemon: Daemon) -> None:
    """SIGTERM has arrived when this returns."""
    daemon.signal_stop()
    event(daemon, "stopping")


def ask_model(daemon: Daemon, connection: Connection) -> Reply:
    connection.send(daemon.request("GET", MODEL))
    return connection.read_reply("GET")


def used_connection(daemon: Daemon) -> Connection:
    """A kept-alive connection, as a client's pool has it."""
    connection = daemon.connect()
    reply = ask_model(daemon, connection)
    assert (reply.status, reply.header("connection")) == (200, None)
    return connection


def one_call_waiting(daemon: Daemon, upstream: Upstream) -> tuple[Connection, Gate]:
    """A call under way at the upstream until the gate is opened."""
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), GOOD))
    connection = daemon.open_chat()
    upstream.wait_for_calls(1)
    return connection, gate


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it came in the very moment in which the socket was closed
        return False
    return False


def assert_last(reply: Reply, connection: Connection) -> None:
    """It says that nothing follows, and nothing does."""
    assert reply.header("connection") == "close"
    assert connection.read_to_end() == b""


def test_sigterm_closes_the_port_at_once_and_the_call_under_way_ends_whole(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    mine = start_daemon(**LONG)
    connection, gate = one_call_waiting(mine, upstream)
    with connection:
        begin_stop(mine)
        until = time.monotonic() + AT_ONCE_SECONDS
        while not is_refused(mine.port):
            assert time.monotonic() < until
        gate.open()
        reply = connection.read_reply()
        assert (reply.status, reply.json) == (200, chat_reply())
        assert_last(reply, connection)
    assert mine.stop() == 0


def test_what_comes_on_an_open_connection_is_refused_and_the_connection_closed(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    mine = start_daemon(**LONG)
    connection, gate = one_call_waiting(mine, upstream)
    with connection, used_connection(mine) as pooled, used_connection(mine) as second:
        begin_stop(mine)
        reply = ask_model(mine, pooled)
        assert (reply.status, reply.error["code"], reply.header("retry-after")) == (503, "shutting_down", "1")
        assert_last(reply, pooled)
        second.send(mine.request("GET", "/readyz"))
        assert second.read_reply("GET").status == 503
        gate.open()
        assert connection.read_reply().status == 200
    assert mine.stop() == 0
    stopped = event(mine, "stopped")
    assert (stopped["finished"], stopped["cut"], stopped["refused"]) == (1, 0, 2)


def test_with_a_successor_nothing_is_refused(start_heir: StartDaemon, upstream: Upstream) -> None:
    """New connections wait for the next instance; calls on open ones are served, once."""
    old = start_heir()
    port = old.port
    connection, gate = one_call_waiting(old, upstream)
    with connection, used_connection(old) as pooled:
        begin_stop(old)
        with old.connect() as waiting:
            waiting.send(old.request("GET", MODEL))
            reply = ask_model(old, pooled)
            assert reply.status == 200
            assert_last(reply, pooled)
            waiting.set_timeout(0.3)
            with pytest.raises(TimeoutError):
                waiting.read_head()
            gate.open()
            late = connection.read_reply()
            assert (late.status, late.json) == (200, chat_reply())
            assert_last(late, connection)
            assert old.stop() == 0
            assert not is_refused(port), "the socket is the test's and must go on listening"
            new = start_heir()
            assert new.port == port
            waiting.set_timeout(PATIENCE_SECONDS)
            assert waiting.read_reply("GET").status == 200
    stopped = event(old, "stopped")
    assert (stopped["finished"], stopped["cut"], stopped["refused"]) == (2, 0, 0)
    assert new.stop() == 0


def test_one_that_cannot_start_takes_no_call_of_the_next(
    start_heir: StartDaemon, listener: socket.socket, upstream: Upstream
) -> None:
    upstream.expect(GOOD)
    headers = [("Authorization", f"Bearer {CLIENT_KEY}"), ("Content-Type", "application/json")]
    call = request_bytes("POST", "/v1/chat/completions", headers, json.dumps(chat_body()).encode(), "127.0.0.1")
    with Connection(listener.getsockname()[1]) as waiting, socket.create_server(("127.0.0.1", 0)) as taken:
        waiting.send(call)
        with pytest.raises(AssertionError, match="Address already in use"):
            start_heir(admin={"port": taken.getsockname()[1]})
        new = start_heir()
        assert waiting.read_reply().status == 200
    assert new.stop() == 0


@pytest.mark.parametrize("which", ["start_daemon", "start_heir"])
def test_an_idle_connection_is_closed_after_about_a_second(
    request: pytest.FixtureRequest, upstream: Upstream, which: str
) -> None:
    mine: Daemon = request.getfixturevalue(which)(**LONG)
    connection, gate = one_call_waiting(mine, upstream)
    with connection, used_connection(mine) as pooled, mine.connect() as silent:
        began = time.monotonic()
        begin_stop(mine)
        assert pooled.read_to_end() == b""
        assert 0.5 < time.monotonic() - began < AT_ONCE_SECONDS
        assert silent.read_to_end() == b""
        gate.open()
        assert connection.read_reply().status == 200
    assert mine.stop() == 0


def test_a_request_that_is_half_here_is_waited_for_where_a_successor_waits(
    start_heir: StartDaemon, upstream: Upstream
) -> None:
    mine = start_heir()
    request = mine.request("GET", MODEL)
    with mine.connect() as slow:
        slow.send(request[:20])
        connection, gate = one_call_waiting(mine, upstream)
        begin_stop(mine)
        with connection:
            gate.open()
            assert connection.read_reply().status == 200
        time.sleep(1.5)  # longer than an idle connection is kept
        slow.send(request[20:])
        assert slow.read_reply("GET").status == 200
    assert mine.stop() == 0


def test_a_stream_under_way_ends_whole_and_its_connection_has_no_second_call(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    mine = start_daemon(**LONG)
    gate = upstream.gate()
    upstream.expect(then(BEGUN, wait_at(gate), say(chunk(chat_stream()) + LAST_CHUNK)))
    with mine.open_chat(stream=True) as connection:
        reply = connection.read_head()
        begin_stop(mine)
        gate.open()
        connection.read_body(reply)
        assert reply.complete
        assert reply.body.endswith(DONE)
        assert connection.read_to_end() == b""
    assert mine.stop() == 0


def cut_both(daemon: Daemon, upstream: Upstream, cut: Callable[[], None]) -> float:
    """A stream and a plain call under way, cut; how many seconds it took until the process had ended with 0."""
    upstream.expect(then(BEGUN, hang), hang)
    with daemon.open_chat("oai/gpt-4o", stream=True) as stream:
        begun = stream.read_head()
        with daemon.open_chat("oai/gpt-4o") as plain:
            upstream.wait_for_calls(2)
            began = time.monotonic()
            begin_stop(daemon)
            cut()
            stream.read_body(begun)
            refused = plain.read_reply()
            assert daemon.stop() == 0
    assert (refused.status, refused.error["code"]) == (503, "shutting_down")
    assert (refused.header("connection"), refused.header("retry-after")) == ("close", "1")
    last = begun.body.strip().rpartition(b"\n\n")[2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "shutting_down"
    assert not begun.complete
    assert DONE not in begun.body
    stopped = event(daemon, "stopped")
    assert (stopped["finished"], stopped["cut"], stopped["ledger_complete"]) == (0, 2, True)
    calls = [line for line in daemon.log_lines() if line["event"] == "call"]
    assert [(line["error"], line["client_left"], line["cost_source"] is None) for line in calls] == [
        ("shutting_down", None, False)
    ] * 2
    return time.monotonic() - began


def test_at_the_end_of_the_window_the_rest_is_cut(start_daemon: StartDaemon, upstream: Upstream) -> None:
    mine = start_daemon(shutdown={"drain": 1})
    took = cut_both(mine, upstream, lambda: None)
    assert 1 <= took <= 1 + AT_ONCE_SECONDS
    assert event(mine, "stopping")["calls"] == 2
    assert event(mine, "stopping")["window_seconds"] == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_at_once(start_daemon: StartDaemon, upstream: Upstream, second: int) -> None:
    mine = start_daemon(**LONG)
    assert cut_both(mine, upstream, lambda: os.kill(mine.pid, second)) <= AT_ONCE_SECONDS


def test_signals_without_end_change_nothing(start_daemon: StartDaemon) -> None:
    mine = start_daemon(**LONG)
    until = time.monotonic() + AT_ONCE_SECONDS
    mine.signal_stop()
    while not Path(f"/proc/{mine.pid}/stat").read_text().rpartition(") ")[2].startswith("Z"):
        assert time.monotonic() < until
        os.kill(mine.pid, signal.SIGTERM)
        time.sleep(0.001)
    assert mine.stop() == 0


def test_a_client_that_takes_nothing_does_not_hold_up_the_end(start_daemon: StartDaemon, upstream: Upstream) -> None:
    mine = start_daemon(shutdown={"drain": 1})
    flood = [chunk(chat_chunk("x" * 60_000))] * 500
    upstream.expect(then(say(stream_head()), say(*flood), hang))
    with mine.open_chat(stream=True) as connection:
        connection.read_head()
        assert mine.stop() == 0
    call = mine.wait_for_log(lambda line: line["event"] == "call")
    assert (call["error"], call["client_left"]) == ("shutting_down", None)


def test_nothing_is_added_to_an_answer_that_was_sent_whole(start_daemon: StartDaemon, upstream: Upstream) -> None:
    mine = start_daemon(shutdown={"drain": 0.5})
    body = json.dumps(chat_reply("x" * 7_000_000)).encode()
    upstream.expect(json_reply(body))
    with mine.open_chat() as connection:
        reply = connection.read_head()
        begin_stop(mine)
        time.sleep(0.7)  # the window, and nobody reads
        connection.read_body(reply)
        assert body.startswith(reply.body)
        assert connection.read_to_end() == b""
    assert mine.stop() == 0


def test_a_slow_client_gets_its_whole_answer(start_daemon: StartDaemon, upstream: Upstream) -> None:
    body = b"sound" * 1_000_000
    mine = start_daemon(**LONG)
    upstream.expect(say(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 5000000\r\n\r\n" + body))
    with mine.connect() as connection:
        content = b'{"model": "local/tts", "input": "x"}'
        connection.send(mine.request("POST", "/v1/audio/speech", (), content))
        reply = connection.read_head()
        begin_stop(mine)
        time.sleep(1)  # the client's own slowness
        connection.read_body(reply)
        assert (reply.complete, reply.body) == (True, body)
    assert mine.stop() == 0


def test_the_admin_port_answers_until_the_end(start_daemon: StartDaemon, upstream: Upstream) -> None:
    mine = start_daemon(**LONG)
    connection, gate = one_call_waiting(mine, upstream)
    with connection:
        begin_stop(mine)
        for path, status, word in [("/healthz", 200, '"ok"'), ("/readyz", 503, "shutting down"), ("/metrics", 200, "")]:
            found = asked_admin(mine, path)
            assert found[0] == status
            assert word in found[1]
        gate.open()
        assert connection.read_reply().status == 200
    assert mine.stop() == 0


def asked_admin(daemon: Daemon, path: str) -> tuple[int, str]:
    try:
        with closing(urllib.request.urlopen(daemon.admin_url + path, timeout=PATIENCE_SECONDS)) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_reload_while_it_stops_is_not_listened_to(start_daemon: StartDaemon, upstream: Upstream) -> None:
    mine = start_daemon(**LONG)
    connection, gate = one_call_waiting(mine, upstream)
    with connection:
        begin_stop(mine)
        os.kill(mine.pid, signal.SIGHUP)
        gate.open()
        assert connection.read_reply().status == 200
    assert mine.stop() == 0
    assert not [line for line in mine.log_lines() if line["event"].startswith("reload")]


@contextmanager
def serve(folder: Path, config: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """`tollkeeper serve`, whatever becomes of it; ended with the block."""
    folder.mkdir(exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(json.dumps({"state_dir": str(folder / "state"), **config}))
    file.chmod(0o600)
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refused_start(folder: Path, config: dict[str, Any]) -> str:
    """What a daemon says that cannot start."""
    with serve(folder, config) as process:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    return said


@pytest.fixture
def addresses() -> Iterator[tuple[int, int]]:
    """Two ports that nobody else is given between two daemons."""
    with held_port() as data, held_port() as admin:
        yield data, admin


def test_a_successor_takes_the_ports_once_the_old_one_has_ended_and_not_before(
    start_daemon: StartDaemon, upstream: Upstream, tmp_path: Path, addresses: tuple[int, int]
) -> None:
    ports = {"listen": {"port": addresses[0]}, "admin": {"port": addresses[1]}}
    old = start_daemon(**LONG, **ports)
    connection, gate = one_call_waiting(old, upstream)
    with connection:
        # the server closes first, so that both ports have connections in TIME_WAIT
        begin_stop(old)
        asked_admin(old, "/healthz")
        config = {"providers": {"mock": {}}, **ports}
        same_state = {**config, "state_dir": str(old.folder / "state")}
        assert f"in use by process {old.pid}" in refused_start(tmp_path / "same", same_state)
        said = refused_start(tmp_path / "other", config)
        assert f"cannot listen on 127.0.0.1:{old.admin_port}" in said
        assert "in use" in said
        gate.open()
        assert_last(connection.read_reply(), connection)
    assert old.stop() == 0
    new = start_daemon(**ports)
    assert (new.port, new.admin_port) == (old.port, old.admin_port)
    upstream.expect(GOOD)
    assert new.chat().status == 200
    assert new.stop() == 0


@pytest.mark.parametrize("milliseconds", range(0, 1000, 110))
def test_sigterm_during_the_start_ends_it(tmp_path: Path, milliseconds: int) -> None:
    config = {"providers": {"mock": {}}, "listen": {"port": 0}, "admin": {"port": 0}, "log": {"format": "json"}}
    with serve(tmp_path, config) as process:
        time.sleep(milliseconds / 1000)
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    # before Python has come to our first line, the signal does what it does to every program
    assert process.returncode == 0 or (process.returncode == -signal.SIGTERM and not said)


def unix_config(path: Path) -> dict[str, Any]:
    return {"providers": {"mock": {}}, "listen": {"socket": str(path)}, "admin": {"port": 0}}


def started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(line.startswith("Listening on unix:") for line in iter(process.stdout.readline, ""))


def leave_socket(path: Path) -> None:
    """What is left of a process that listened there."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_unix_socket_is_removed_if_it_is_ours(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "data.sock"
    with serve(tmp_path / "one", unix_config(path)) as process:
        started(process)
        assert path.stat().st_mode & 0o777 == 0o660
        if replaced:
            path.unlink()
            leave_socket(path)
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert path.exists() is replaced


def test_a_unix_socket_somebody_listens_on_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    with serve(tmp_path / "one", unix_config(path)) as process:
        started(process)
        assert f"cannot listen on {path}: Address already in use" in refused_start(tmp_path / "two", unix_config(path))
        assert path.is_socket()
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    leave_socket(path)
    with serve(tmp_path / "one", unix_config(path)) as process:
        started(process)
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
