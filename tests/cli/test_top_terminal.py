"""`tollkeeper top` and `tollkeeper tail` in a real terminal, before a real daemon with real streams."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.http import Connection, Reply
from harness.tmux import Tmux, needs_tmux
from money_commands import KEY, Desk

pytestmark = needs_tmux

KEYS = {"alice": KEY, "bob": "sk-bob-canary", "carol": "sk-carol-canary"}
SIZES = pytest.mark.parametrize("size", [(100, 30), (80, 24)], ids=["100x30", "80x24"])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Three keys; one has a budget, and all share another."""
    own = [{"usd": 5, "per": "total"}]
    keys = {name: {"key": key, "budgets": own if name == "alice" else []} for name, key in KEYS.items()}
    models = {
        "story": "mock/slow?tokens=4000&ttft=0.1&interval=0.05",
        "essay": "mock/slow?tokens=4000&ttft=0.1&interval=0.02",
    }
    return Desk(tmp_path, keys=keys, models=models, retries={"attempts": 1})


@pytest.fixture
def daemon(desk: Desk) -> Iterator[Daemon]:
    with desk.daemon() as running:
        assert running.chat("mock/echo?cost=1.2").status == 200
        yield running


Stream = tuple[Connection, Reply]


@contextmanager
def stream(daemon: Daemon, key: str, model: str) -> Iterator[Stream]:
    """A stream under way, and its head: whoever opens the next one opens a younger one."""
    bearer = [("Authorization", f"Bearer {KEYS[key]}")]
    with daemon.open_chat(model, bearer, stream=True, max_tokens=4000) as connection:
        yield connection, connection.read_head()


@pytest.fixture
def streams(daemon: Daemon) -> Iterator[dict[str, Stream]]:
    """Three that go on for minutes, each of another key."""
    with ExitStack() as stack:
        yield {key: stack.enter_context(stream(daemon, key, model)) for key, model in MODELS.items()}


MODELS = {"alice": "story", "bob": "essay", "carol": "story"}


def command(desk: Desk, *words: str) -> str:
    return " ".join([sys.executable, "-m", "proxy", *words, "--config", str(desk.folder / "config.yaml")])


def rows_of(screen: str) -> list[str]:
    """The keys of the calls under way, as they stand."""
    lines = screen.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("── Under way"))
    found = [re.match(r".\s+(\d+:\d\d) +(\w+)", line) for line in lines[start + 2 : start + 8]]
    return [match[2] for match in found if match]


def under_way(*keys: str) -> Callable[[str], bool]:
    return lambda screen: "── Under way" in screen and rows_of(screen) == list(keys)


def fits(screen: str, size: tuple[int, int]) -> bool:
    lines = screen.rstrip("\n").split("\n")
    return len(lines) == size[1] and max(map(len, lines)) <= size[0] and lines[0].startswith("tollkeeper ")


@SIZES
def test_top_shows_sorts_filters_and_ends_calls(desk: Desk, streams: dict[str, Stream], size: tuple[int, int]) -> None:
    connection, head = streams["bob"]
    with Tmux(*size) as terminal:
        terminal.run(f"stty -a > {desk.folder}/before; {command(desk, 'top', '--interval', '0.3')}")
        screen = terminal.wait(lambda screen: under_way("alice", "bob", "carol")(screen) and fits(screen, size))
        for text in ("key:alice:total", "global:total", "$1.20", "spent in 3 h", "never", "mock/echo"):
            assert text in screen
        terminal.press("s", "s")
        terminal.wait(lambda screen: under_way("bob")("\n".join(screen.splitlines()[:7])) and "by tokens/s" in screen)
        terminal.press("s", "r")
        terminal.wait(under_way("carol", "bob", "alice"))
        terminal.press("r", "Down")
        terminal.wait(lambda screen: under_way("alice", "bob", "carol")(screen) and _marked(screen) == "bob")
        terminal.press("f")
        terminal.type("ESS")
        terminal.wait_for("filter: ESS")
        terminal.press("Enter")
        terminal.wait(lambda screen: under_way("bob")(screen) and '1 of 3, with "ESS"' in screen)
        terminal.press("x")
        terminal.wait_for("y ends bob's call to essay")
        terminal.press("n")
        terminal.wait(lambda screen: "y ends" not in screen and under_way("bob")(screen))
        terminal.press("x", "y")
        terminal.wait(lambda screen: under_way()(screen) and f"ended {head.request_id}" in screen)
        connection.read_body(head)
        assert not head.complete
        assert b'"code":"call_ended"' in head.body
        terminal.press("Escape")
        left = under_way("alice", "carol")
        terminal.wait(lambda screen: left(screen) and "call_ended" in screen and fits(screen, size))
        terminal.press("?")
        terminal.wait(lambda screen: "any key leaves this page" in screen and fits(screen, size))
        terminal.press("q")
        terminal.wait(under_way("alice", "carol"))
        terminal.press("q")
        left_in_order(terminal, desk)


def _marked(screen: str) -> str:
    return next(line.split()[2] for line in screen.splitlines() if line.startswith("›"))


def left_in_order(terminal: Tmux, desk: Desk) -> None:
    """The shell has its screen, its cursor and its keyboard back, and the exit code was 0."""
    terminal.wait(lambda _: terminal.state("alternate_on") == "0")
    terminal.run(f"echo left $?; stty -a > {desk.folder}/after; echo ready")
    terminal.wait_for("left 0", "\nready")
    assert terminal.state("cursor_flag") == "1"
    assert _keyboard(desk, "before") == _keyboard(desk, "after")


def _keyboard(desk: Desk, name: str) -> str:
    """What stty says, without the size."""
    return (desk.folder / name).read_text().partition("\n")[2]


@pytest.mark.parametrize("how", ["C-c", signal.SIGTERM, signal.SIGHUP], ids=str)
def test_however_top_ends_the_terminal_is_as_before(desk: Desk, daemon: Daemon, how: str | signal.Signals) -> None:
    with Tmux(80, 24) as terminal:
        pid = desk.folder / "pid"
        terminal.run(f"stty -a > {desk.folder}/before; sh -c 'echo $$ > {pid}; exec {command(desk, 'top')}'")
        terminal.wait_for("── Under way")
        assert (terminal.state("alternate_on"), terminal.state("cursor_flag")) == ("1", "0")
        if isinstance(how, str):
            terminal.press(how)
        else:
            os.kill(int(pid.read_text()), how)
        left_in_order(terminal, desk)


def test_a_bug_leaves_the_terminal_as_before(desk: Desk) -> None:
    lines = [
        "from proxy.cli.screen.terminal import Waking, opened",
        "with opened(Waking()) as terminal:",
        "    terminal.show([[('on the screen', 'bold')]])",
        "    terminal.wait()",
        "    raise RuntimeError('a bug')",
    ]
    (desk.folder / "bug.py").write_text("\n".join(lines))
    with Tmux(80, 24) as terminal:
        terminal.run(f"stty -a > {desk.folder}/before; PYTHONPATH={REPOSITORY} {sys.executable} {desk.folder}/bug.py")
        terminal.wait_for("on the screen")
        terminal.press("x")
        terminal.wait_for("RuntimeError: a bug")
        terminal.run("true")
        left_in_order(terminal, desk)


def test_top_steps_aside_for_ctrl_z_and_comes_back(desk: Desk, daemon: Daemon) -> None:
    with Tmux(80, 24) as terminal:
        terminal.run(f"stty -a > {desk.folder}/before; {command(desk, 'top')}")
        terminal.wait_for("── Under way")
        terminal.press("C-z")
        terminal.wait_for("Stopped")
        assert terminal.state("alternate_on") == "0"
        terminal.run("fg")
        terminal.wait(lambda screen: "── Under way" in screen and terminal.state("alternate_on") == "1")
        terminal.press("q")
        left_in_order(terminal, desk)


def test_top_follows_the_size_of_its_terminal(desk: Desk, streams: dict[str, Stream]) -> None:
    with Tmux(140, 40) as terminal:
        terminal.run(command(desk, "top", "--interval", "3600"))
        terminal.wait(under_way("alice", "bob", "carol"))
        for size in ((80, 24), (120, 50), (60, 12), (100, 30)):
            terminal.resize(*size)
            terminal.wait(lambda screen, size=size: fits(screen, size) and "── Under way" in screen)


def test_top_once_fills_each_terminal_and_breaks_no_line(desk: Desk, daemon: Daemon) -> None:
    with Tmux(40, 30) as terminal:
        for width in (40, 80, 200):
            terminal.resize(width, 30)
            terminal.run(f"clear; COLUMNS= {command(desk, 'top', '--once')} && echo who''le")
            screen = terminal.wait_for("\nwhole", f"── Under way {'─' * (width - 23)} by age ──")
            assert re.search(r"^\d\d:\d\d:\d\d +200 +alice .*\$1\.20", screen, re.MULTILINE), screen


def test_top_waits_for_a_daemon_that_is_started_again(desk: Desk) -> None:
    with Tmux(100, 30) as terminal:
        with desk.daemon():
            terminal.run(command(desk, "top", "--interval", "0.2"))
            terminal.wait_for("○ mock")
        terminal.wait_for("no daemon runs at", "trying again")
        with desk.daemon() as again, stream(again, "carol", "story"):
            terminal.wait(lambda screen: under_way("carol")(screen) and "trying again" not in screen)
            terminal.press("q")
            terminal.wait(lambda _: terminal.state("alternate_on") == "0")


def test_tail_prints_calls_as_they_end_until_ctrl_c(desk: Desk, daemon: Daemon) -> None:
    with Tmux(80, 24) as terminal:
        terminal.run(command(desk, "tail", "-n", "1"))
        terminal.wait_for("Ended", "mock/echo", "$1.20")
        ids = [
            daemon.chat("mock/error?status=503&times=9", max_tokens=9).request_id,
            daemon.chat("mock/afford", max_tokens=9).request_id,
        ]
        screen = terminal.wait_for("503 alice", "402 alice")
        lines = screen[screen.index("Ended") :].splitlines()
        assert max(map(len, lines)) <= 80 and len([line for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)]) == 3
        terminal.resize(160, 24)
        reply = daemon.chat("mock/echo")
        terminal.wait_for(reply.request_id)
        assert not [i for i in ids if i in terminal.screen()]
        terminal.press("C-c")
        terminal.run("echo left $?")
        terminal.wait_for("left 0")
