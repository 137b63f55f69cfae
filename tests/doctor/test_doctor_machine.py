"""A healthy installation, running and stopped, and one thing after the other that is wrong with the machine."""

from __future__ import annotations

import json
import os
import pty
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from doctor_visits import CLIENT_KEY, PROVIDER_KEY, TOKEN, command, usual, visit
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import surroundings

from proxy import __version__
from proxy.stores.journal.records import Row, Settled
from proxy.stores.journal.segment_writer import framed
from proxy.stores.journal.segments import segment_path
from proxy.stores.lock import StateLock, holder_of

NOTHING_WRONG: list[tuple[str, str]] = []


@contextmanager
def daemon(folder: Path, **members: Any) -> Iterator[Daemon]:
    with Daemon(usual(folder, **members), folder, key=CLIENT_KEY) as running:
        yield running
        if running._process.poll() is None:
            assert running.stop() == 0, running.output


def test_a_running_daemon_with_the_mock_is_healthy(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.chat("mock/echo").status == 200
        found = visit(tmp_path)
        assert found.failed == NOTHING_WRONG
        assert found.one("daemon", "control socket")["found"] == f"process {running.pid}, version {__version__} answers"
        assert found.one("daemon", "lock")["found"] == f"held by process {running.pid}"
        for name, port in (("data port", running.port), ("admin port", running.admin_port)):
            assert found.one("ports", name)["found"] == f"http://127.0.0.1:{port} is alive and ready"
    for name in ("metrics", "reload", "event loop", "ledger"):
        assert found.status_of("scrape", name) == "pass"
    assert found.one("provider mock", "reach")["found"] == "built in; needs no network"
    assert found.one("state", "ledger")["found"] == "sound"
    assert found.one("config", "client keys")["found"] == "alice"
    assert found.one("clock", "time zone")["found"] == "Europe/Berlin"


def test_a_stopped_daemon_and_one_that_never_ran_are_healthy(tmp_path: Path) -> None:
    never = visit(tmp_path, usual(tmp_path))
    assert never.failed == NOTHING_WRONG
    assert never.one("state", "directory")["found"] == f"{tmp_path}/state is made at the first start"
    assert not (tmp_path / "state").exists(), "looking changes nothing"
    with daemon(tmp_path) as running:
        assert running.chat("mock/echo").status == 200
    before = {file: file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()}
    stopped = visit(tmp_path)
    after = {file: file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()}
    assert after.keys() - before.keys() <= {tmp_path / "state" / f"ledger.db-{side}" for side in ("wal", "shm")}
    assert {file: after[file] for file in before} == before, "looking changes nothing"
    assert stopped.failed == NOTHING_WRONG
    assert stopped.one("daemon", "lock")["found"] == "free"
    assert stopped.one("scrape", "metrics")["found"] == "skipped; no daemon runs"
    assert stopped.status_of("ports", "data port") == "pass"


def test_what_a_crash_left_behind_is_read_and_left_alone(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.chat("mock/echo").status == 200
        running._process.kill()
        running._process.wait()
    # without SQLite's index of the -wal, which the first reader behind a crash makes anew
    files = [file for file in (tmp_path / "state").rglob("*.[dl][bo]*") if not file.name.endswith("-shm")]
    before = {file: file.read_bytes() for file in files if file.is_file()}
    assert visit(tmp_path).failed == NOTHING_WRONG
    assert {file: file.read_bytes() for file in before} == before


def test_a_refused_reload_is_told(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        good = (tmp_path / "config.yaml").read_text()
        (tmp_path / "config.yaml").write_text("lisen: 1\n")
        os.kill(running.pid, 1)
        running.wait_for_log(lambda line: line.get("event") == "reload_refused")
        (tmp_path / "config.yaml").write_text(good)
        assert visit(tmp_path).failed == [("scrape", "reload")]


def test_a_daemon_that_hangs_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running._process.send_signal(19)
        hung = visit(tmp_path)
        running._process.send_signal(18)
        assert hung.failed == [("daemon", "control socket"), ("daemon", "lock")]
        assert hung.one("daemon", "lock")["next"] == f"kill -CONT {running.pid}"
        running._process.kill()
        running._process.wait()
    gone = visit(tmp_path)
    assert gone.failed == NOTHING_WRONG
    assert gone.one("daemon", "lock")["found"] == "free"


def test_a_budget_that_a_wrong_clock_took_into_the_future_is_told_with_what_frees_it(tmp_path: Path) -> None:
    """No call is refused for it, and none reopens a period; but the daily cap is one for all days until then."""
    budgets = [{"usd": 0.02, "per": "day", "tz": "UTC"}]
    ahead, price = 2_000_073_600, {"input": 100, "output": 100}  # 2033-05-19

    def settings(**named: str) -> dict[str, Any]:
        return usual(tmp_path, budgets=[{**budgets[0], **named}], models={"m": {"target": "mock/echo", "price": price}})

    (tmp_path / "state" / "journal").mkdir(parents=True)
    (tmp_path / "state").chmod(0o700)
    row = Row(
        "before.1", "before", 1, ahead * 1000, "alice", "chat/completions", "m", "m", "mock", cost_pusd=20_000_000_000
    )
    spent = Settled(row, (("global:day", ahead),))
    segment_path(tmp_path / "state" / "journal", 1).write_bytes(framed(spent))
    with Daemon(settings(), tmp_path, key=CLIENT_KEY) as running:
        refused = running.chat("m", max_tokens=100)
        assert (refused.status, "2033-05-20" in refused.error["message"]) == (402, True)
        assert running.stop() == 0
    told = visit(tmp_path)
    assert told.failed == [("state", "periods")]
    assert "the budget global:day is in the period that begins on 2033-05-19" in told.one("state", "periods")["found"]
    assert "give it a `name:`" in told.one("state", "periods")["next"]
    with Daemon(settings(name="daily"), tmp_path, key=CLIENT_KEY) as running:
        assert running.chat("m", max_tokens=100).status == 200
        assert running.stop() == 0
    assert visit(tmp_path).failed == NOTHING_WRONG


def test_who_holds_the_lock_is_asked_without_taking_it(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    with StateLock(tmp_path):
        assert holder_of(tmp_path) == os.getpid()
    assert holder_of(tmp_path) is None


def test_every_problem_of_the_configuration_is_told_with_its_place(tmp_path: Path) -> None:
    config = {"lisen": 1, "keys": {"a": {"key": CLIENT_KEY}}, "providers": {"openai": {"api_key": f"{PROVIDER_KEY} x"}}}
    found = visit(tmp_path, config)
    assert found.failed == [("config", "file"), ("config", "file")]
    problems = [row["found"] for row in found.rows if row["status"] == "fail"]
    assert problems[0].startswith(f"{tmp_path}/config.yaml:4:1: lisen: unknown field")
    assert "providers.openai.api_key" in problems[1]


def test_secrets_others_can_read_are_a_warning(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(PROVIDER_KEY)
    key.chmod(0o644)
    file = tmp_path / "config.yaml"
    provider = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key_file": str(key)}
    file.write_text(yaml.safe_dump(usual(tmp_path, providers={"p": provider})))
    file.chmod(0o644)
    done = command(tmp_path, "--config", str(file), "--json", "--offline")
    found = [row for row in json.loads(done.stdout)["checks"] if row["name"] == "permissions"]
    assert [(row["status"], row["next"].split(",")[0]) for row in found] == [
        ("warn", f"chmod 600 {file}"),
        ("warn", f"chmod 600 {key}"),
    ]


def test_a_damaged_ledger_fails_and_stays_as_it_is(tmp_path: Path) -> None:
    with daemon(tmp_path):
        pass
    ledger = tmp_path / "state" / "ledger.db"
    ledger.write_bytes(b"no database at all" * 500)
    damaged = ledger.read_bytes()
    found = visit(tmp_path)
    assert found.failed == [("state", "ledger")]
    assert f"the ledger {ledger} is damaged" in found.one("state", "ledger")["found"]
    assert "tollkeeper backup" in found.one("state", "ledger")["next"]
    assert found.status_of("config", "client keys") == "warn"
    assert ledger.read_bytes() == damaged


def test_a_ledger_whose_pages_are_torn_is_found_by_reading_all_of_it(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.chat("mock/echo").status == 200
    ledger = tmp_path / "state" / "ledger.db"
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempts'").fetchall() or [(4,)]
    content = bytearray(ledger.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\x55" * 4096
    ledger.write_bytes(content)
    assert ("state", "ledger") in visit(tmp_path).failed


def test_a_journal_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.chat("mock/echo").status == 200
        running._process.kill()
        running._process.wait()
    [segment, *_] = sorted((tmp_path / "state" / "journal").glob("*.log"))
    (tmp_path / "state" / "ledger.db").unlink()
    content = bytearray(segment.read_bytes())
    content[9] ^= 0xFF
    segment.write_bytes(bytes(content) + b"\x01")
    assert visit(tmp_path).status_of("state", "journal") == "warn"


def test_a_state_directory_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = visit(tmp_path, usual(tmp_path, state_dir=str(tmp_path / "file" / "state")))
    assert found.failed == [("state", "directory")]
    assert "not a directory" in found.one("state", "directory")["found"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A state directory on a disk of 64 KiB, mounted read-only."""
    disk = tmp_path / "state"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k,mode=700", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    yield tmp_path
    subprocess.run(["umount", str(disk)], check=True)


def test_a_state_directory_that_cannot_be_written_fails(full_disk: Path) -> None:
    found = visit(full_disk, usual(full_disk))
    assert found.failed == [("state", "directory")]
    assert "read-only file system" in found.one("state", "directory")["found"]


def test_a_disk_without_room_fails_and_its_file_system_is_named(full_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", str(full_disk / "state")], check=True)
    found = visit(full_disk, usual(full_disk))
    assert found.failed == [("state", "space")]
    assert found.one("state", "file system")["found"] == "tmpfs"


def test_a_state_directory_open_to_others_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    found = visit(tmp_path, usual(tmp_path))
    assert found.one("state", "directory")["next"] == f"chmod 700 {tmp_path}/state"


def test_a_port_taken_by_somebody_else_is_told_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = {"host": "127.0.0.1", "port": other.getsockname()[1]}
        found = visit(tmp_path, usual(tmp_path, listen=listen))
    assert found.failed == [("ports", "data port")]
    assert f"(process {os.getpid()})" in found.one("ports", "data port")["found"]


def test_a_socket_taken_by_somebody_else_is_told_and_one_left_over_is_not(tmp_path: Path) -> None:
    config = usual(tmp_path, listen={"socket": str(tmp_path / "data.sock")})
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "data.sock"))
        assert visit(tmp_path, config).failed == NOTHING_WRONG
        other.listen()
        assert visit(tmp_path, config).failed == [("ports", "data port")]


def test_a_daemon_on_sockets_is_asked_there(tmp_path: Path) -> None:
    listen, admin = {"socket": str(tmp_path / "d.sock")}, {"socket": str(tmp_path / "a.sock"), "token": TOKEN}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(usual(tmp_path, listen=listen, admin=admin)))
    file.chmod(0o600)
    serve = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
    env = surroundings(tmp_path)
    with subprocess.Popen(
        serve, cwd=REPOSITORY, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            assert any(line.startswith("Listening on unix:") for line in process.stdout)
            found = visit(tmp_path)
        finally:
            process.terminate()
    assert found.failed == NOTHING_WRONG
    assert found.one("ports", "data port")["found"] == f"unix:{tmp_path}/d.sock is alive and ready"
    assert found.status_of("scrape", "metrics") == "pass"


def test_a_model_without_a_price_fails_for_the_key_under_a_budget(tmp_path: Path) -> None:
    local = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"}
    budgets = [{"usd": 1, "per": "day"}]
    keys = {
        "alice": {"key": CLIENT_KEY, "budgets": budgets},
        "bob": {"key": "sk-bob"},
        "carol": {"key": "sk-carol", "budgets": budgets, "models": ["other/*"]},
    }
    config = usual(tmp_path, providers={"local": local}, keys=keys, models={"m": "local/llama"})
    found = visit(tmp_path, config, "--offline")
    assert found.failed == [("prices", "models")]
    assert found.one("prices", "models")["found"].endswith("refused with 402 under a budget, for alice")
    priced = {"m": {"target": "local/llama", "price": {"input": 1, "output": 2}}}
    assert visit(tmp_path, {**config, "models": priced}, "--offline").failed == NOTHING_WRONG


def test_a_unit_without_systemd_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    (folder / "tollkeeper.service").write_text("")
    assert visit(tmp_path, usual(tmp_path)).status_of("systemd", "unit") == "pass"


def printed(folder: Path, **env: str) -> str:
    """What a terminal of 80 columns gets."""
    ours, theirs = pty.openpty()
    env = surroundings(folder, TERM="xterm", COLUMNS="80", **env)
    arguments = [sys.executable, "-m", "proxy", "doctor", "--config", str(folder / "config.yaml")]
    process = subprocess.Popen(arguments, cwd=REPOSITORY, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65536):
            text += piece
    except OSError:  # how a terminal says that everybody else has left
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return text.decode()


def test_a_terminal_gets_colours_unless_it_wants_none_and_80_columns_are_enough(tmp_path: Path) -> None:
    visit(tmp_path, usual(tmp_path))
    coloured, plain = printed(tmp_path), printed(tmp_path, NO_COLOR="1")
    assert "\x1b[32mpass" in coloured
    assert "\x1b[32m" not in plain
    piped = command(tmp_path, "--config", str(tmp_path / "config.yaml"), env={"COLUMNS": "80"}).stdout
    assert "\x1b" not in piped
    assert "  pass  file" in piped
    assert max(len(line) for line in piped.splitlines() if str(tmp_path) not in line) <= 80
    assert piped.splitlines()[-1].startswith("0 failed, ")
