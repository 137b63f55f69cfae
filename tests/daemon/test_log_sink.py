"""A log nobody reads: calls go on as if nothing were, and what was lost is counted and told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.daemon import REPOSITORY
from harness.http import Connection, request_bytes
from harness.surroundings import PATIENCE_SECONDS, OwnTime

from proxy.observe.sink import MOST_LINES

SLOWEST_SECONDS = 0.25  # of a call, without what the machine made it wait


def fetch(connection: Connection, port: int, path: str) -> bytes:
    connection.send(request_bytes("GET", path, (), None, f"127.0.0.1:{port}"))
    return connection.read_reply("GET").body


def dropped(port: int) -> int:
    with Connection(port) as connection:
        page = fetch(connection, port, "/metrics").decode()
    return int(float(page.partition("\ntollkeeper_log_lines_dropped_total ")[2].partition("\n")[0]))


def started(folder: Path, log: int) -> tuple[subprocess.Popen[str], int, int]:
    """A daemon that logs to a descriptor; its ports."""
    own = {"listen": {"port": 0}, "admin": {"port": 0}, "state_dir": str(folder / "state"), "providers": {"mock": {}}}
    (folder / "config.yaml").write_text(json.dumps(own))
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(folder / "config.yaml")]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    ports: dict[str, int] = {}
    while "Listening" not in ports:
        line = process.stdout.readline()
        if line.startswith(("Admin", "Listening")):
            ports[line.partition(" ")[0]] = int(line.removesuffix("/v1\n").rpartition(":")[2])
    return process, ports["Listening"], ports["Admin"]


def drained(reading: int) -> list[dict[str, object]]:
    """The lines that wait in the pipe, none of them cut."""
    data = b""
    while not data.endswith(b"\n"):
        data += os.read(reading, 65536)
    return [json.loads(line) for line in data.splitlines()]


def test_calls_go_on_while_the_log_is_blocked_and_it_says_so_afterwards(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process, data, admin = started(tmp_path, writing)
    os.close(writing)
    try:
        longest, calls = 0.0, 0
        with Connection(data) as connection:
            while not dropped(admin):  # the pipe and the queue are full
                for _ in range(MOST_LINES // 5):
                    own_time = OwnTime(process.pid)
                    assert b"invalid_value" in fetch(connection, data, "/v1/files/%2e%2e/x")
                    longest, calls = max(longest, own_time.seconds), calls + 1
            lost = dropped(admin)
            assert longest < SLOWEST_SECONDS
            lines = drained(reading)
            while sum(line["event"] == "call" for line in lines) < calls - lost:
                lines += drained(reading)
            fetch(connection, data, "/v1/files/%2e%2e/x")
            while sum(int(str(line.get("lines", 0))) for line in lines) < lost:
                lines += drained(reading)
        assert {line["event"] for line in lines} == {"call", "log_lines_dropped"}
        assert dropped(admin) == lost
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        os.close(reading)
