"""Files of the state directory that go while the daemon runs: noticed, told, and no money is lost with them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from harness.commands import typed
from harness.daemon import REPOSITORY, Daemon
from harness.http import Connection, request_bytes
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from money_books import KEY, Books, ask, books_of, priced, settled, toll_config

CAP = {"usd": 1, "per": "total"}
SLOW = "openrouter/mock/slow?ttft=0&interval=60&tokens=2&cost=0.004&misses=1"


def config(mock: Mock) -> dict[str, object]:
    models = {"m": priced("openrouter/mock/echo?cost=0.01"), "slow": priced(SLOW)}
    return toll_config(mock, {"budgets": [CAP]}, models=models)


def remove_all(state: Path) -> None:
    shutil.rmtree(state.rename(state.with_name("removed")))  # at once, whatever the daemon makes there meanwhile


def remove_journal(state: Path) -> None:
    remove_all(state / "journal")


def remove_segments(state: Path) -> None:
    for file in (state / "journal").glob("*.log"):
        file.unlink(missing_ok=True)


def ready(daemon: Daemon) -> tuple[int, list[str]]:
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes("GET", "/readyz", (), None, f"127.0.0.1:{daemon.admin_port}"))
        reply = connection.read_reply("GET")
    return reply.status, json.loads(reply.body)["problems"]


@pytest.mark.parametrize("remove", [remove_all, remove_journal, remove_segments])
def test_a_journal_that_was_removed_is_made_anew_and_a_kill_loses_nothing(
    mock: Mock, tmp_path: Path, remove: Callable[[Path], None]
) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon, ExitStack() as stack:
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        stream = stack.enter_context(daemon.open_chat("slow", max_tokens=100, stream=True))
        stream.read_until(b"token1")
        remove(tmp_path / "state")
        daemon.wait_for_log(lambda line: "journal was removed" in line.get("reason", ""))
        assert daemon.post("/v1/chat/completions", ask("m")).status in (200, 503)
        while not any((tmp_path / "state" / "journal").glob("*.log")) or daemon.chat("m", max_tokens=1).status != 200:
            pass  # the sync of the removed file failed: new calls wait a second
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.stop()
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        # what was carried forward has no rows, so that no look at the books fits all
        until = time.monotonic() + PATIENCE_SECONDS
        while (books := Books(tmp_path / "state")).held:
            assert time.monotonic() < until, books.held
            time.sleep(0.1)
        spent = books.spent_by("key:alice:total")
        assert spent >= mock.billed(), (spent, mock.billed())
        assert spent - mock.billed() <= Decimal("0.06"), "holds that a crash charged, at most"
        assert daemon.stop() == 0


def test_a_ledger_that_was_removed_is_told_and_the_journal_keeps_what_calls_cost(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert ready(daemon) == (200, [])
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            (tmp_path / "state" / name).unlink(missing_ok=True)
        line = daemon.wait_for_log(lambda line: line.get("event") == "ledger_trouble")
        assert "is not the file the daemon opened at start" in line["reason"]
        status, problems = ready(daemon)
        assert status == 503 and "is not the file the daemon opened" in problems[0]
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200, "the journal is the truth"
        daemon.stop()
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert settled(daemon).spent_by("key:alice:total") == mock.billed()


def test_a_log_of_the_ledger_that_was_removed_is_opened_again(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path, key=KEY) as daemon:
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        (tmp_path / "state" / "ledger.db-wal").unlink()
        assert daemon.post("/v1/chat/completions", ask("m")).status == 200
        assert daemon.stop() == 0
    books = books_of(daemon)
    assert (len(books.rows), books.cost) == (2, mock.billed())


def started(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(folder / "config.yaml")]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o703])
def test_a_directory_others_can_write_into_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    (tmp_path / "config.yaml").write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    ended = started(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"(mode {mode:04o})" in ended.stderr and f"chmod 700 {state}" in ended.stderr


@pytest.mark.parametrize("name", ["lock", "journal", "ledger.db", "hash.key", "control.sock", "keyed"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir(mode=0o700)
    (state / name).symlink_to(elsewhere)
    (tmp_path / "config.yaml").write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    ended = started(tmp_path)
    assert ended.returncode == 1
    assert f"{state / name} is a symbolic link" in ended.stderr
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ["lock", "ledger.db"])
def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / name).mkdir()
    (tmp_path / "config.yaml").write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    ended = started(tmp_path)
    assert ended.returncode == 1
    assert f"the state directory {state} cannot be used: {state / name}: Is a directory\n" in ended.stderr


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("file", "Not a directory"),
        ("file/state", "Not a directory"),
        ("loop/state", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_can_be_no_state_directory_is_refused_in_a_sentence(tmp_path: Path, state: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "config.yaml").write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    ended = started(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"tollkeeper: the state directory {tmp_path / state} cannot be used: {reason}\n"
    for command in (["usage"], ["doctor"], ["keys", "list"]):
        done = typed(tmp_path, *command, "--config", str(tmp_path / "config.yaml"))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_control_socket_that_cannot_be_removed_does_not_spoil_the_end(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "control.sock").mkdir()
    with Daemon({"providers": {"mock": {}}}, tmp_path) as daemon:
        daemon.wait_for_log(lambda line: line["event"] == "no_control_socket")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 12345, 12345)
    (tmp_path / "config.yaml").write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    ended = started(tmp_path)
    assert ended.returncode == 1
    assert (
        f"{state} belongs to the user #12345, and you are root; type: sudo -u '#12345' tollkeeper serve" in ended.stderr
    )
