"""What `connect` prints, run as it is by the clients themselves against the real daemon with the mock provider."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness.commands import typed
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import surroundings

KEY = "sk-alice-canary"
VENV = REPOSITORY / ".venv-clients" / "bin"
CLIENTS_PYTHON = str(VENV / "python")
OPENAI3_PYTHON = str(REPOSITORY / ".venv-clients-openai3" / "bin" / "python")
SECONDS = 200  # of a client; it needs a twentieth, where it was run before
# who runs it, and what is called
PROGRAMS: dict[str, tuple[str, str]] = {
    "openai-python": (sys.executable, "chat/completions"),
    "anthropic-python": (sys.executable, "messages"),
    "langchain": (CLIENTS_PYTHON, "chat/completions"),
    "llamaindex": (CLIENTS_PYTHON, "chat/completions"),
    "litellm": (CLIENTS_PYTHON, "chat/completions"),
    "pydantic-ai": (OPENAI3_PYTHON, "chat/completions"),
    "instructor": (CLIENTS_PYTHON, "chat/completions"),
    "openai-agents": (OPENAI3_PYTHON, "chat/completions"),
}

SAID = {"instructor": "language='mock'\n"}  # of the rest Hello, which was said to it

pytestmark = pytest.mark.timeout(SECONDS + 60)
needs_clients = pytest.mark.skipif(not VENV.exists(), reason="`make test` installs these clients; make it once")


@pytest.fixture(scope="module", params=["open", "keys"])
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with the mock provider; `key` is the one it wants, if any."""
    keys = {"alice": {"key": KEY}} if request.param == "keys" else {}
    config = {"providers": {"mock": {}}, "keys": keys, "shutdown": {"drain": 1}}
    with Daemon(config, tmp_path_factory.mktemp("connect"), key=KEY if keys else None) as running:
        yield running
        assert running.stop() == 0, running.output


def printed(name: str, file: Path, *arguments: str) -> str:
    done = typed(file.parent, "connect", name, "--config", str(file), *arguments)
    assert done.returncode == 0, done
    assert KEY not in done.stdout + done.stderr
    return done.stdout


def run(command: list[str], folder: Path, key: str | None, **more: str) -> str:
    """What a client prints, in a folder of its own and with nothing of this process's environment."""
    env = surroundings(folder, PATH=f"{VENV}:{os.environ['PATH']}", **more)
    if key is not None:
        env["TOLLKEEPER_KEY"] = key
    done = subprocess.run(
        command, cwd=folder, env=env, input=f"{key}\n", capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls(daemon: Daemon) -> set[str]:
    """The ids of the calls logged so far."""
    return {line["request_id"] for line in daemon.log_lines() if line.get("event") == "call"}


def check_call(daemon: Daemon, endpoint: str, before: set[str]) -> None:
    """The call that was not there before went to the mock, under the key that was to be sent."""
    call = daemon.wait_for_log(lambda line: line.get("event") == "call" and line["request_id"] not in before)
    assert (call["endpoint"], call["status"], call["model"]) == (endpoint, 200, "mock/echo")
    assert call["key"] == ("alice" if daemon.key else "open")


# without keys each snippet has the same in the place of one: those that start quickly say whether that is taken
@pytest.mark.parametrize(
    ("daemon", "name"),
    [("keys", name) for name in PROGRAMS] + [("open", name) for name in PROGRAMS if name.endswith("-python")],
    indirect=["daemon"],
)
def test_python_clients_say_hello(daemon: Daemon, tmp_path: Path, name: str) -> None:
    program, endpoint = PROGRAMS[name]
    if not Path(program).exists():
        pytest.skip("`make test` installs this client; make it once")
    before = calls(daemon)
    (tmp_path / "snippet.py").write_text(printed(name, daemon.folder / "config.yaml"))
    assert run([program, "snippet.py"], tmp_path, daemon.key) == SAID.get(name, "Hello\n")
    check_call(daemon, endpoint, before)


def test_curl_says_hello(daemon: Daemon, tmp_path: Path) -> None:
    before = calls(daemon)
    reply = json.loads(run(["sh", "-c", printed("curl", daemon.folder / "config.yaml")], tmp_path, daemon.key))
    assert reply["choices"][0]["message"]["content"] == "Hello"
    check_call(daemon, "chat/completions", before)


@needs_clients
@pytest.mark.parametrize("daemon", ["keys"], indirect=True)
def test_llm_says_hello(daemon: Daemon, tmp_path: Path) -> None:
    before = calls(daemon)
    models, commands = json.loads(printed("llm", daemon.folder / "config.yaml", "--json"))["parts"]
    folder = Path(run(["llm", "logs", "path"], tmp_path, None).strip()).parent
    (folder / models["file"]).write_text(models["text"])
    assert run(["sh", "-c", commands["text"]], tmp_path, daemon.key).endswith("Hello\n")
    check_call(daemon, "chat/completions", before)


def test_curl_says_hello_on_a_unix_socket(tmp_path: Path) -> None:
    config = {"listen": {"socket": "./toll house.sock"}, "admin": {"port": 0}, "state_dir": "./state"}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**config, "providers": {"mock": {}}}))
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as daemon:
        try:
            assert daemon.stdout is not None
            assert any(line.startswith("Listening on unix:") for line in daemon.stdout)
            reply = json.loads(run(["sh", "-c", printed("curl", file)], tmp_path, None))
        finally:
            daemon.terminate()
    assert reply["choices"][0]["message"]["content"] == "Hello"


def test_the_page_says_which_ones_are_run_here() -> None:
    page = (REPOSITORY / "docs" / "clients.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \| by the tests", page, re.MULTILINE)) == {*PROGRAMS, "curl", "llm"}
