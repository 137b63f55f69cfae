"""`tollkeeper tail` and `tollkeeper top` without a terminal: through pipes, for scripts, and without a daemon."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import PATIENCE_SECONDS, surroundings
from money_commands import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, retries={"attempts": 1})


class Tail:
    """A `tail` whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self._lines.get(timeout=PATIENCE_SECONDS)


@contextmanager
def tail(desk: Desk, *arguments: str) -> Iterator[Tail]:
    words = [sys.executable, "-m", "proxy", "tail", *arguments, "--config", str(desk.folder / "config.yaml")]
    env = surroundings(desk.folder)
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=REPOSITORY, env=env, stdout=pipe, stderr=pipe, text=True)
    try:
        yield Tail(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def chat(daemon: Daemon, model: str, **members: object) -> str:
    return daemon.chat(model, **members).request_id


def test_lines_come_through_a_pipe_one_by_one_and_whole(desk: Desk) -> None:
    with desk.daemon() as daemon:
        first = chat(daemon, "mock/echo?cost=0.05")
        with tail(desk, "-n", "5") as seen:
            line = seen.line()
            assert line.split()[1:5] == ["200", "alice", "mock/echo?cost=0.05", "mock"]
            assert "$0.05" in line and line.endswith(first) and "\x1b" not in line
            for status, name in ((200, "mock/echo"), (503, "mock/error?status=503&message=" + "x" * 60)):
                request_id = chat(daemon, name)
                line = seen.line()
                assert line.split()[1:4] == [str(status), "alice", name] and line.endswith(request_id)
            assert daemon.stop() == 0
            assert seen.process.wait(PATIENCE_SECONDS) == 1
            assert seen.process.stderr is not None
            assert seen.process.stderr.read() == "Error: the daemon went away\n"


def test_a_unit_of_ones_own_stands_beside_dollars(tmp_path: Path) -> None:
    desk = Desk(tmp_path, credits={"usd": "0.0004"})
    with desk.daemon() as daemon:
        chat(daemon, "mock/echo?cost=0.03")
        with tail(desk, "-n", "1") as seen:
            assert re.search(r" \$0\.03 +75 ", seen.line())
        with daemon.open_chat("mock/slow?tokens=999&ttft=0&interval=0.1", stream=True, max_tokens=999) as stream:
            stream.read_head()
            wide, narrow = (desk.run("top", "--once", env={"COLUMNS": str(width)}).stdout for width in (130, 80))
    assert wide.count("in credits") == 3 and "in credits" not in narrow
    assert re.search(r"mock/echo\?cost=0\.03 .* \$0\.03 +75 ", wide)
    assert re.search(r"key:alice:day .* \$1\.00 +2,500 ", wide)


def test_json_lines_are_those_of_the_log(desk: Desk) -> None:
    with desk.daemon() as daemon, tail(desk, "--json", "-n", "1") as seen:
        request_id = chat(daemon, "mock/echo?cost=0.05")
        entry = json.loads(seen.line())
        logged = daemon.wait_for_log(lambda line: line.get("request_id") == request_id)
        assert entry == {name: value for name, value in logged.items() if name not in ("event", "level", "time")}


@pytest.mark.parametrize(
    "filters",
    [
        ("--errors", "--key", "ali"),
        ("--model", "*status=503*"),
        ("--slow", "1.5", "--provider", "mock"),
        ("--min-cost", "0.2"),
    ],
)
def test_filters_leave_out_the_rest(desk: Desk, filters: tuple[str, ...]) -> None:
    wanted = {"--errors": "mock/error?status=503", "--model": "mock/error?status=503", "--slow": "mock/slow?ttft=1.6"}
    name = wanted.get(filters[0], "mock/echo?cost=0.2")
    with desk.daemon() as daemon:
        ids = []
        for model in ("mock/echo", name, "mock/echo?cost=0.05", name):
            ids.append(chat(daemon, model, max_tokens=5))
        with tail(desk, "-n", "100", *filters) as seen:
            assert [seen.line().split()[-1], seen.line().split()[-1]] == [ids[1], ids[3]]
            ids.append(chat(daemon, "mock/echo"))
            ids.append(chat(daemon, name, max_tokens=5))
            assert seen.line().split()[-1] == ids[-1]


@pytest.mark.parametrize("arguments", [("tail",), ("top",), ("top", "--json"), ("top", "--once")])
def test_without_a_daemon_there_is_nothing_to_see(desk: Desk, arguments: tuple[str, ...]) -> None:
    sentence = desk.refused(*arguments)
    assert sentence == f"Error: no daemon runs at {desk.folder}/state; start one with `tollkeeper serve`\n"


@pytest.mark.parametrize(
    "arguments", [("tail", "--min-cost", "x"), ("tail", "--min-cost", "-1"), ("tail", "--min-cost", "NaN")]
    + [("tail", "-n", "101"), ("tail", "--slow", "-1"), ("top", "--interval", "0")],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_mistake_of_the_command_line(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert desk.run(*arguments).returncode == 2


def test_top_without_a_terminal_prints_what_there_is(desk: Desk) -> None:
    with desk.daemon() as daemon:
        chat(daemon, "mock/echo?cost=0.05")
        with daemon.open_chat("mock/slow?tokens=999&ttft=0&interval=0.1", stream=True, max_tokens=999) as stream:
            stream.read_head()
            printed, found = desk.run("top"), desk.json("top")
    assert (printed.returncode, printed.stderr) == (0, "")
    for text in ("streaming", "key:alice:day", "global:total", "mock/echo?cost=0.05", "$0.05"):
        assert text in printed.stdout
    assert "\x1b" not in printed.stdout
    assert list(found) == ["live", "providers", "budgets", "usage", "today"]
    assert [call["model"] for call in found["live"]["calls"]] == ["mock/slow?tokens=999&ttft=0&interval=0.1"]
    assert found["usage"]["total"]["cost_usd"] == found["today"]["rows"][0]["cost_usd"] == "0.050000000000"
