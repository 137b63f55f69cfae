"""Commands in a second terminal: without the daemon's environment, in another folder, as another user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
from alembic import command
from alembic.config import Config
from harness.commands import Done, typed
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import PATIENCE_SECONDS, as_user, held_port, surroundings
from sqlalchemy import Engine

from proxy.cli.client import ask
from proxy.cli.home import Home
from proxy.stores.database import engine_for
from proxy.stores.ledger.upgrade import MIGRATIONS
from proxy.stores.lock import StateLock

SECRETS = {"OPENROUTER_API_KEY": "sk-or-canary", "ALICE_KEY": "sk-alice-canary", "ADMIN_TOKEN": "token-canary"}
CONFIG: dict[str, Any] = {
    "providers": {
        "openrouter": {"api_key": "${OPENROUTER_API_KEY}", "base_url": "http://127.0.0.1:9/api/v1"},
        "mock": {},
    },
    "keys": {"alice": {"key": "${ALICE_KEY}", "budgets": [{"usd": 5, "per": "day"}]}},
    "admin": {"host": "127.0.0.1", "port": 0, "token": "${ADMIN_TOKEN}"},
    "catalogue": {"refresh": "never"},
    "shutdown": {"drain": 1},
}
NOBODY = 65534


def run(home: Path, *arguments: str, folder: Path = REPOSITORY, user: int | None = None, **more: str) -> Done:
    """A command in an environment that holds nothing of the daemon's, but `more`."""
    if user is None:
        return typed(home, *arguments, folder=folder, **more)
    return subprocess.run(
        [*as_user(user), "-m", "proxy", *arguments],
        check=False,
        cwd=folder,
        env=surroundings(home, PYTHONDONTWRITEBYTECODE="1", **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("second")
    with Daemon(CONFIG, folder, env=SECRETS, key=SECRETS["ALICE_KEY"]) as running:
        yield running


def test_no_command_wants_the_daemons_secrets(daemon: Daemon, tmp_path: Path) -> None:
    request_id = daemon.line_of(daemon.chat("mock/echo"))["request_id"]
    commands = [
        ("usage", "--by", "key"),
        ("top", "--once"),
        ("top", "--json"),
        ("keys", "list"),
        ("keys", "create", "bob"),
        ("keys", "revoke", "bob"),
        ("budgets",),
        ("budgets", "adjust", "key:alice:day", "0.01", "--reason", "test"),
        ("show", request_id),
        ("explain", "mock/echo", "--key", "alice"),
        ("models", "gpt-4o"),
        ("doctor",),
        ("connect", "curl"),
        ("backup", str(tmp_path / "copy.db")),
        ("health",),
        ("reload", "--yes"),
    ]
    for words in commands[:-1]:
        done = run(tmp_path, *words, "--config", str(daemon.folder / "config.yaml"))
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert "canary" not in done.stdout + done.stderr
    # the daemon reads the file again with the environment it has
    assert (
        run(tmp_path, *commands[-1], "--config", str(daemon.folder / "config.yaml")).stdout == "nothing has changed\n"
    )


def test_a_daemon_that_only_the_environment_made_is_found_without_it(tmp_path: Path) -> None:
    env = {"OPENROUTER_API_KEY": "sk-or-canary", "OPENAI_API_KEY": "sk-canary", "OPENROUTER_MAX_RETRIES": "1"}
    with Daemon(None, tmp_path, env={**env, "OPENROUTER_DEFAULT_MODEL": "gpt-4o"}) as daemon:
        assert "Setting default_model: gpt-4o; environment variable OPENROUTER_DEFAULT_MODEL" in daemon.output
        explained = run(tmp_path, "explain", "claude-sonnet-4-5")
        assert "-> anthropic/claude-sonnet-4.5 at openrouter: anthropic/claude-sonnet-4.5\n" in explained.stdout
        assert run(tmp_path, "health").returncode == 0
        other = {"OPENROUTER_TIMEOUT_MS": "soon", "AI_PROVIDER": "openai"}
        assert run(tmp_path, "usage", **other).returncode == 0
        assert run(tmp_path, "reload", **other).stdout == "nothing has changed\n"
        assert "canary" not in daemon.output


def test_tail_follows_a_daemon_whose_secrets_it_does_not_have(daemon: Daemon, tmp_path: Path) -> None:
    reply = daemon.chat("mock/echo")
    daemon.line_of(reply)
    words = [sys.executable, "-m", "proxy", "tail", "-n", "1", "--json", "--config", f"{daemon.folder}/config.yaml"]
    with subprocess.Popen(words, cwd=REPOSITORY, env=surroundings(tmp_path), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        line = json.loads(tail.stdout.readline())
        tail.kill()
    assert line["request_id"] == reply.request_id


def test_doctor_warns_of_secrets_it_has_not_and_asks_those_providers_nothing(daemon: Daemon, tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--json", "--config", str(daemon.folder / "config.yaml"))
    checks = json.loads(done.stdout)["checks"]
    secrets = [check for check in checks if check["name"] == "secret"]
    assert {check["status"] for check in secrets} == {"warn"}
    assert any("OPENROUTER_API_KEY is not set, here" in check["found"] for check in secrets)
    (asked,) = [check for check in checks if check["group"] == "provider openrouter"]
    assert asked["found"] == "skipped; its key cannot be had here"


def test_connect_and_health_go_where_the_daemon_says_it_listens(daemon: Daemon, tmp_path: Path) -> None:
    config = str(daemon.folder / "config.yaml")
    assert daemon.url in run(tmp_path, "connect", "openai-python", "--config", config).stdout
    assert run(tmp_path, "health", "--config", config).stdout == f"{daemon.admin_url}/healthz: 200\n"


def test_a_daemon_that_hangs_is_a_sentence_with_what_to_type(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "control.sock"))
        hung.listen()
        with pytest.raises(click.ClickException) as told:
            ask(Home(None, str(tmp_path), UTC), "usage", timeout_seconds=0.1)
    assert told.value.message == "the daemon gave no answer for 0.1 seconds; `tollkeeper doctor` says how it fares"


def test_a_daemon_that_is_stopped_is_told_with_what_makes_it_go_on(tmp_path: Path) -> None:
    with Daemon({"providers": {"mock": {}}}, tmp_path) as daemon:
        os.kill(daemon.pid, signal.SIGSTOP)
        config = str(tmp_path / "config.yaml")
        followed = run(tmp_path, "tail", "--config", config)
        asked = run(tmp_path, "usage", "--config", config)
        os.kill(daemon.pid, signal.SIGCONT)
        assert daemon.stop() == 0
    told = f"the daemon (process {daemon.pid}) is stopped, as by SIGSTOP or Ctrl-Z, and answers nothing; type: kill -CONT {daemon.pid}"
    assert [done.stderr for done in (asked, followed)] == [f"Error: {told}\n"] * 2


@contextmanager
def control_socket(folder: Path, backlog: int = 8) -> Iterator[socket.socket]:
    """In the place of a daemon's."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "control.sock"))
        listening.listen(backlog)
        yield listening


def test_one_that_answers_nothing_at_all_hangs(tmp_path: Path) -> None:
    with control_socket(tmp_path), StateLock(tmp_path), pytest.raises(click.ClickException) as told:
        ask(Home(None, str(tmp_path), UTC), "usage")
    assert told.value.message.startswith(f"the daemon (process {os.getpid()}) hangs: it is there and answers nothing.")
    assert f"kill -9 {os.getpid()}" in told.value.message


def test_so_it_does_where_nobody_can_even_get_in_line(tmp_path: Path) -> None:
    with control_socket(tmp_path, backlog=0), socket.socket(socket.AF_UNIX) as first:
        first.connect(str(tmp_path / "control.sock"))
        with pytest.raises(click.ClickException, match="the daemon hangs: "):
            ask(Home(None, str(tmp_path), UTC), "usage")


def test_an_order_that_takes_its_time_is_waited_for_while_the_daemon_answers(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 %d .\r\nContent-Length: 2\r\n\r\n{}"

    def serve(listening: socket.socket) -> None:
        slow, _ = listening.accept()
        looked, _ = listening.accept()
        for connection, status in ((looked, 404), (slow, 200)):
            connection.recv(65536)
            connection.sendall(answer % status)
            connection.close()

    with control_socket(tmp_path) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        assert ask(Home(None, str(tmp_path), UTC), "usage") == {}
        server.join()


@pytest.mark.parametrize("params", [{}, {"file": "copy.db"}])
def test_a_copy_that_is_to_go_nowhere_in_particular_is_refused(daemon: Daemon, params: dict[str, str]) -> None:
    with pytest.raises(click.ClickException, match="`file` says where the copy goes, from the root on"):
        ask(Home(None, str(daemon.folder / "state"), UTC), "backup", params)


def test_a_relative_path_from_another_folder(daemon: Daemon, tmp_path: Path) -> None:
    done = run(tmp_path, "budgets", "--config", os.path.relpath(daemon.folder / "config.yaml", "/"), folder=Path("/"))
    assert (done.returncode, "key:alice:day" in done.stdout) == (0, True), done.stderr


BROKEN = [
    "state_dir: {state}\nproviders: [\n",
    "providers: {{x: {{kind: nonsense}}}}\nstate_dir: '{state}'\nunheard_of: 1\n",
    "listen: {{port: '${{PORT}}'}}\nbudgets: [{{usd: 1, per: day}}, *nowhere]\nstate_dir: {state}\n",
    "other: &here {state}\nstate_dir: *here\n",
    "limits: [{{a: {{state_dir: /nowhere}}}}]\n? [x]\n: 1\nstate_dir: {state}\nx: 'open\n",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_running_daemon_is_found_by_a_file_that_is_broken(daemon: Daemon, tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text.format(state=daemon.folder / "state"))
    done = run(tmp_path, "usage", "--by", "key", "--config", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_so_it_is_by_every_command_that_only_asks_it(daemon: Daemon, tmp_path: Path) -> None:
    request_id = daemon.line_of(daemon.chat("mock/echo"))["request_id"]
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN[0].format(state=daemon.folder / "state"))
    for words in (
        ("top", "--once"),
        ("keys", "list"),
        ("budgets",),
        ("show", request_id),
        ("explain", "mock/echo", "--key", "alice"),
        ("models", "gpt-4o"),
        ("health",),
    ):
        done = run(tmp_path, *words, "--config", str(file))
        assert (done.returncode, done.stderr) == (0, ""), words


def test_what_wants_the_configuration_makes_do_with_the_daemon_and_says_what_is_broken(
    daemon: Daemon, tmp_path: Path
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN[0].format(state=daemon.folder / "state"))
    problem = f"{file}:3:1: this is not YAML; text with special characters wants quotes"
    done = run(tmp_path, "connect", "curl", "--config", str(file))
    assert (done.returncode, f"{daemon.url}/chat/completions" in done.stdout) == (0, True)
    assert done.stderr.endswith(f"the configuration is broken by now: {problem}\n")
    told = json.loads(run(tmp_path, "doctor", "--json", "--config", str(file)).stdout)["checks"]
    found = {(check["group"], check["name"]): check for check in told}
    assert [check["found"] for check in told if check["status"] == "fail"] == [problem]
    assert found["ports", "data port"]["status"] == found["state", "ledger"]["status"] == "pass"


def test_a_state_directory_behind_a_variable_that_is_not_set_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("state_dir: ${TOLLS}/x\n")
    done = run(tmp_path, "usage", "--config", str(file))
    assert (done.returncode, done.stderr) == (
        1,
        f"{file}:1:12: state_dir: the environment variable TOLLS is not set\n",
    )


def test_a_variable_that_is_not_set_is_named_where_its_value_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("state_dir: s\nlisten: {port: '${PORT}'}\nproviders: {openai: {api_key: '${KEY}'}}\n")
    done = run(tmp_path, "connect", "curl", "--config", str(file))
    assert done.stderr == f"{file}:2:16: listen.port: the environment variable PORT is not set\n"


def test_without_a_daemon_the_files_answer_without_secrets(tmp_path: Path) -> None:
    with Daemon(CONFIG, tmp_path, env=SECRETS) as running:
        assert running.stop() == 0
    for words in (
        ("usage",),
        ("budgets",),
        ("keys", "list"),
        ("explain", "mock/echo"),
        ("models", "mock"),
        ("keys", "create", "x"),
    ):
        done = run(tmp_path, *words, "--config", str(tmp_path / "config.yaml"))
        assert done.returncode == 0, (words, done.stderr)


def test_what_an_older_version_left_is_migrated_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine_for_new(tmp_path / "state" / "ledger.db").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    file = tmp_path / "config.yaml"
    file.write_text("state_dir: state\nproviders: {mock: {}}\n")
    looked = run(tmp_path, "doctor", "--offline", "--config", str(file))
    assert "is of an older tollkeeper" in looked.stdout.replace("\n", " ").replace("                         ", "")
    done = run(tmp_path, "keys", "list", "--config", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def engine_for_new(path: Path) -> Engine:
    """Over a file that is made."""
    path.touch(mode=0o600)
    return engine_for(path)


@pytest.fixture(scope="module")
def another_user() -> None:
    """There is one here that can run this Python."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    tried = run(Path("/"), "--version", folder=Path("/"), user=NOBODY)
    if tried.returncode:
        pytest.skip(f"another user cannot run this python: {tried.stderr}")


@pytest.fixture
def public(another_user: None) -> Iterator[Path]:
    """A folder everybody can look into, for what another user is to reach."""
    with tempfile.TemporaryDirectory(prefix="tollkeeper-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def addresses() -> Iterator[dict[str, Any]]:
    """Of both ports: the commands read them in the file."""
    with held_port() as data, held_port() as admin:
        yield {"listen": {"port": data}, "admin": {"port": admin, "token": "${ADMIN_TOKEN}"}}


def test_another_users_daemon_is_one_sentence_with_what_to_type(public: Path, addresses: dict[str, Any]) -> None:
    with Daemon({**CONFIG, **addresses}, public, env=SECRETS) as running:
        config = public / "config.yaml"
        config.chmod(0o644)
        for words in (
            ("usage",),
            ("keys", "list"),
            ("top", "--once"),
            ("tail",),
            ("backup", "x"),
            ("models",),
            ("doctor",),
        ):
            done = run(public, *words, "--config", str(config), folder=public, user=NOBODY)
            typed = " ".join(("tollkeeper", *words, "--config", str(config)))
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == (
                f"Error: {public / 'state'} belongs to the user root, and you are nobody; type: sudo {typed}\n"
            )
        done = run(public, "serve", "--config", str(config), folder=public, user=NOBODY, **SECRETS)
        typed = f"sudo tollkeeper serve --config {config}, or name a `state_dir:` of your own"
        whose = f"{public / 'state'} belongs to the user root, and you are nobody"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {whose}; type: {typed}\n")
        for words in (("connect", "curl"), ("health",)):  # what needs nothing of its state
            done = run(public, *words, "--config", str(config), folder=public, user=NOBODY)
            assert (done.returncode, running.url.rpartition(":")[0] in done.stdout) == (0, True), done.stderr
        taken = str(urlsplit(running.url).port)
        (public / "home").mkdir()
        shutil.chown(public / "home", NOBODY)
        done = run(public / "home", "serve", "--mock", "--port", taken, folder=public, user=NOBODY)
        assert "Address already in use by a process of the user root; stop it, or take others with" in done.stderr


def test_connect_names_the_same_model_and_key_to_whoever_runs_it(public: Path, addresses: dict[str, Any]) -> None:
    """What the daemon was told meanwhile lies where nobody else can look."""
    open_to_all = {"providers": CONFIG["providers"], "catalogue": {"refresh": "never"}, "shutdown": {"drain": 1}}
    addresses = {**addresses, "admin": {"port": addresses["admin"]["port"]}}
    with Daemon({**open_to_all, **addresses}, public, env=SECRETS):
        config = public / "config.yaml"
        config.chmod(0o644)
        words = ("connect", "curl", "--config", str(config))
        first = run(public, *words).stdout
        assert '"model": "openai/gpt-4o-mini"' in first and "TOLLKEEPER_KEY" not in first
        assert run(public, *words, folder=public, user=NOBODY).stdout == first
        for told in (("models", "disable", "openai/gpt-4o-mini"), ("keys", "create", "carol")):
            assert run(public, *told, "--config", str(config)).returncode == 0
        then = run(public, *words).stdout
        assert "gpt-4o-mini" not in then and "TOLLKEEPER_KEY" in then
        assert run(public, *words, folder=public, user=NOBODY).stdout == then
    done = run(public, *words, folder=public, user=NOBODY)
    assert "TOLLKEEPER_KEY" in done.stdout, "whether it is open cannot be seen"
    assert "The daemon's own list of models could not be asked" in done.stderr


def test_another_users_configuration_is_the_same_sentence(public: Path) -> None:
    config = public / "config.yaml"
    config.write_text("state_dir: state\n")
    config.chmod(0o600)
    for words in (("usage",), ("doctor",), ("serve",)):
        done = run(public, *words, "--config", str(config), folder=public, user=NOBODY)
        typed = f"sudo tollkeeper {words[0]} --config {config}"
        assert done.stderr == f"Error: {config} belongs to the user root, and you are nobody; type: {typed}\n"


def test_a_state_directory_that_cannot_be_made_is_the_same_sentence(public: Path) -> None:
    state = public / "deeper" / "state"
    config = public / "config.yaml"
    config.write_text(f"state_dir: {state}\nproviders: {{mock: {{}}}}\n")
    done = run(public, "serve", "--config", str(config), folder=public, user=NOBODY)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {state} cannot be made: {public} belongs to the user root, and you are nobody; type: sudo install -d -m 700 "
        f"-o nobody {state}, or name a `state_dir:` of your own\n"
    )


def test_root_leaves_no_files_in_another_users_state(public: Path) -> None:
    (public / "state").mkdir()
    shutil.chown(public / "state", NOBODY)
    config = public / "config.yaml"
    config.write_text("state_dir: state\n")
    done = run(public, "keys", "create", "x", "--config", str(config))
    assert (done.returncode, f"type: sudo -u nobody tollkeeper keys create x --config {config}" in done.stderr) == (
        1,
        True,
    )
    assert list((public / "state").iterdir()) == []


@pytest.mark.parametrize("command", ["serve", "check", "usage", "doctor", "models", "health", "connect curl"])
def test_a_home_that_cannot_be_read_is_a_sentence(public: Path, command: str) -> None:
    home = public / "home"
    home.mkdir(mode=0o700)
    done = run(home, *command.split(), folder=public, user=NOBODY)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"{home}/.config/tollkeeper/config.yaml: it cannot be looked for: {home} is not for you to read; "
        "set HOME, or name a file: --config\n"
    )


def test_the_first_key_can_be_made_before_the_first_start(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"{{providers: {{mock: {{}}}}, state_dir: {tmp_path / 'new' / 'state'}}}")
    none = typed(tmp_path, "keys", "rotate", "ann", "--config", str(file))
    assert (none.returncode, none.stderr.split(";")[0]) == (1, "Error: there is no key named 'ann' in the store")
    made = typed(tmp_path, "keys", "create", "ann", "--config", str(file))
    assert made.returncode == 0 and made.stdout.startswith("sk-tk-"), made.stderr
    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
    config = {"providers": {"mock": {}}, "state_dir": str(tmp_path / "new" / "state")}
    with Daemon(config, tmp_path, key=made.stdout.strip()) as daemon:
        assert daemon.chat("mock/echo").status == 200
        assert daemon.chat("mock/echo", [("Authorization", "Bearer sk-other")]).status == 401
