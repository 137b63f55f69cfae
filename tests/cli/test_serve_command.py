"""`serve`: addresses from the command line, a port that is taken, and hints that work as they stand."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from harness.commands import typed
from harness.daemon import REPOSITORY, Daemon
from harness.http import Connection, request_bytes
from harness.surroundings import PATIENCE_SECONDS, surroundings
from harness.tmux import Tmux, needs_tmux

from proxy.cli.start_lines import start_lines
from proxy.config.load import load
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller


def serve(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "proxy", "serve", *arguments], check=False, cwd=REPOSITORY, env=surroundings(home),
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip


@pytest.fixture
def taken() -> Iterator[int]:
    """A port this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_addresses_of_the_command_line_win_over_the_files(tmp_path: Path, taken: int) -> None:
    listen, admin = {"socket": str(tmp_path / "data.sock")}, {"host": "127.0.0.1", "port": taken}
    config = {"providers": {"mock": {}}, "listen": listen, "admin": admin, "shutdown": {"drain": 1}}
    arguments = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"]
    with Daemon(config, tmp_path, args=arguments) as daemon:
        assert daemon.chat("mock/echo").status == 200
        assert not (tmp_path / "data.sock").exists()
        reloaded = typed(tmp_path, "reload", "--config", str(tmp_path / "config.yaml"))
        assert reloaded.stdout == "nothing has changed\n"


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_that_is_taken_names_who_has_it_and_the_way_out(tmp_path: Path, taken: int, option: str) -> None:
    other = {"--port": "--admin-port", "--admin-port": "--port"}[option]
    done = serve(tmp_path, "--mock", option, str(taken), other, "0")
    name = Path("/proc/self/comm").read_text().strip()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tollkeeper: cannot listen on 127.0.0.1:{taken}: Address already in use by {name} (process {os.getpid()}); "
        "stop it, or take others with --port and --admin-port\n"
    )


def test_an_address_others_reach_wants_keys_on_the_command_line_too(tmp_path: Path) -> None:
    done = serve(tmp_path, "--mock", "--host", "0.0.0.0", "--port", "0", "--admin-port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--host 0.0.0.0: other machines can reach this address, and without keys anybody")


def test_the_hints_at_start_work_with_keys() -> None:
    settings = load(None, {}, mock=True).settings
    url, admin = "http://127.0.0.1:8655/v1", "http://127.0.0.1:8656"
    keyed = "\n".join(start_lines(settings, url, admin, is_open=False))
    assert '-H "Authorization: Bearer $TOLLKEEPER_KEY"' in keyed
    assert 'api_key=os.environ["TOLLKEEPER_KEY"]' in keyed
    assert "anything" not in keyed
    assert "curl" not in "\n".join(start_lines(settings, "unix:/x.sock/v1", admin))
    assert 'api_key="anything"' in "\n".join(start_lines(settings, url, admin))
    assert "curl 'http://[::1]:1/v1/chat/completions' -H" in "\n".join(
        start_lines(settings, "http://[::1]:1/v1", admin)
    )


def test_of_many_keys_the_start_names_the_first_and_says_how_many_there_are() -> None:
    settings = load(None, {}, mock=True).settings
    for count, ends in ((20, "k18, k19"), (21, "k18, k19 and 1 more"), (10_000, "k18, k19 and 9,980 more")):
        many = msgspec.structs.replace(settings, callers=tuple(Caller(f"k{n}") for n in range(count)))
        (line,) = [line for line in start_lines(many, "unix:/x/v1", "", is_open=False) if line.startswith("Keys: ")]
        assert line.startswith("Keys: k0, k1, ")
        assert line.endswith(ends)


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 2)], ids=str)
def test_a_daemon_whose_streams_were_closed_serves_and_ends_in_order(tmp_path: Path, closed: tuple[int, ...]) -> None:
    (tmp_path / "config.yaml").write_text(
        "providers: {mock: }\nstate_dir: state\nlisten: {port: 0}\nadmin: {port: 0}\n"
    )
    shell = ["sh", "-c", 'exec "$@" ' + " ".join(f"{number}>&-" for number in closed), "sh"]
    command = [*shell, sys.executable, "-m", "proxy", "serve", "--config", str(tmp_path / "config.yaml")]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=surroundings(tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = next((line for line in process.stdout if line.startswith("Listening on ")), "")
            assert url, "it does not start"
            port = int(url.rsplit(":", 1)[1].removesuffix("/v1\n"))
            with Connection(port) as connection:
                connection.send(request_bytes("GET", "/v1/models", (), None, f"127.0.0.1:{port}"))
                assert connection.read_reply("GET").status == 200
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == 0
        finally:
            process.kill()


@needs_tmux
@pytest.mark.parametrize("width", [80, 200])
def test_a_call_is_one_short_line_on_a_terminal(tmp_path: Path, width: int) -> None:
    state = f"XDG_STATE_HOME={tmp_path} XDG_CONFIG_HOME={tmp_path}"
    with Tmux(width, 60) as terminal:
        terminal.run(f"{state} {sys.executable} -m proxy serve --mock --port 0 --admin-port 0")
        screen = terminal.wait(lambda screen: "client.chat" in screen)
        found = re.search(r"Listening on http://127\.0\.0\.1:(\d+)/v1", screen)
        assert found is not None
        body = b'{"model":"mock/echo","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
        with Connection(int(found[1])) as connection:
            headers = [("Content-Type", "application/json")]
            connection.send(request_bytes("POST", "/v1/chat/completions", headers, body, f"127.0.0.1:{found[1]}"))
            reply = connection.read_reply("POST")
        shown = terminal.wait(lambda screen: reply.request_id in screen.replace("\n", ""))
        terminal.press("C-c")
    words = "".join(shown.replace("\n", " ").rpartition("client.chat")[2].split())
    said = (
        r"\d\d:\d\d:\d\d200openmock/echo→mock:echo\d\+\d" + rf"tokens\$[0-9.]+first[0-9.]+s[0-9.]+s{reply.request_id}"
    )
    assert re.search(said, words), shown
    assert "overhead" not in shown


@pytest.mark.parametrize(
    ("variables", "line", "goes"),
    [
        ("OPENROUTER", "Names: all go to openrouter (", "openrouter openrouter"),
        ("OPENAI", "Names: all go to openai", "openai openai"),
        ("ANTHROPIC", "Names: all go to anthropic", "anthropic anthropic"),
        ("OPENAI ANTHROPIC", "Names: OpenAI's (gpt-4o, openai/gpt-4o) go to openai; Anthropic's (", "openai anthropic"),
        ("OPENROUTER OPENAI", "none to openai without an entry under routes:", "openrouter openrouter"),
        ("OPENROUTER OPENAI ANTHROPIC", "none to openai or anthropic without", "openrouter openrouter"),
    ],
)
def test_the_start_says_which_names_go_where(variables: str, line: str, goes: str) -> None:
    settings = load(None, {f"{name}_API_KEY": "sk-test" for name in variables.split()}).settings
    (said,) = [each for each in start_lines(settings, "", "") if each.startswith("Names: ")]
    assert line in said
    names = Names(settings, Catalogue([]), {})
    asked = ("gpt-4o", "claude-sonnet-4-5")
    assert [names.look_up(name).plan.targets[0].provider for name in asked] == goes.split()
