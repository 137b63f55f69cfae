"""Commands that are one thing each: `demo`, `health`, `mock`, and a `serve` that cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.commands import typed
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import PATIENCE_SECONDS, held_port, surroundings

from proxy import __version__


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon({"providers": {"mock": {}}, "shutdown": {"drain": 1}}, tmp_path_factory.mktemp("small")) as running:
        yield running


def test_the_demo_streams_a_call_and_shows_one_that_is_refused(tmp_path: Path) -> None:
    done = typed(tmp_path, "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nEvery call passes the toll, and every toll is written down.\n" in done.stdout
    assert "15 tokens in, 11 out, cost 0.000037 USD as the provider reported it" in done.stdout
    assert "\n< 402 Insufficient credits" in done.stdout
    assert "attempts: 1, id: req_" in done.stdout


def test_health_asks_the_admin_port(daemon: Daemon, tmp_path: Path) -> None:
    well = typed(tmp_path, "health", "--url", f"{daemon.admin_url}/readyz")
    assert (well.returncode, well.stdout) == (0, f"{daemon.admin_url}/readyz: 200\n")
    unknown = typed(tmp_path, "health", "--url", f"{daemon.admin_url}/nowhere")
    assert (unknown.returncode, unknown.stderr) == (1, f"{daemon.admin_url}/nowhere: 404\n")


def test_health_where_nobody_listens_is_one_sentence(tmp_path: Path) -> None:
    with held_port() as port:
        url = f"http://127.0.0.1:{port}/healthz"
        done = typed(tmp_path, "health", "--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{url}: Connection refused\n"


def test_health_of_something_that_is_no_url_is_a_usage_error(tmp_path: Path) -> None:
    done = typed(tmp_path, "health", "--url", "file:///etc/passwd")
    assert (done.returncode, "must begin with http" in done.stderr) == (2, True)


def test_the_mock_says_why_it_cannot_listen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = typed(tmp_path, "mock", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr


@pytest.mark.parametrize(
    "words", [(), ("serve",), ("keys",), ("keys", "create"), ("models", "sync"), ("what-if",), ("settings", "rollback")]
)
def test_every_command_says_its_version(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = typed(tmp_path, *words, "--version")
    assert (done.returncode, done.stdout) == (0, f"tollkeeper, version {__version__}\n")


@pytest.mark.parametrize("words", [("serve",), ("usage",), ("keys", "list"), ("check",), ("what-if",)])
def test_a_configuration_whose_variable_is_not_set_is_not_the_default_one(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = typed(tmp_path, *words, "--config", "")
    assert (done.returncode, "'--config': is empty; leave it out" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["check", "init"])
def test_a_file_whose_variable_is_not_set_is_not_the_usual_one(tmp_path: Path, command: str) -> None:
    done = typed(tmp_path, command, "")
    assert (done.returncode, done.stdout, "is empty; leave it out" in done.stderr) == (2, "", True)


def test_a_file_to_watch_must_be_there(tmp_path: Path) -> None:
    done = typed(tmp_path, "serve", "--mock", "--watch")
    assert (done.returncode, "--watch needs a configuration file" in done.stderr) == (2, True)


def test_a_command_nobody_knows_is_a_usage_error(tmp_path: Path) -> None:
    done = typed(tmp_path, "sevre")
    assert (done.returncode, "No such command 'sevre' (did you mean serve?)" in done.stderr) == (2, True)
    done = typed(tmp_path, "keys", "crate")
    assert (done.returncode, "No such command 'crate' (did you mean create?)" in done.stderr) == (2, True)
    assert "last used.\n" in typed(tmp_path, "keys", "--help").stdout, "sentences are whole"
    done = typed(tmp_path, "zzzz")
    assert (done.returncode, "No such command 'zzzz'\n" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["serve", "tail", "top", "usage", "budgets", "keys list"])
def test_a_configuration_with_problems_stops_every_command(tmp_path: Path, command: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("lisen: {}\n")
    done = typed(tmp_path, *command.split(), "--config", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown field (did you mean listen?)" in done.stderr


@pytest.mark.parametrize(
    "words", ["--version", "check CONFIG", "doctor --offline --config CONFIG", "serve --config CONFIG"]
)
def test_output_that_finds_no_place_is_a_sentence_and_a_reader_who_left_needs_none(tmp_path: Path, words: str) -> None:
    (tmp_path / "config.yaml").write_text(
        "providers: {mock: }\nstate_dir: state\nlisten: {port: 0}\nadmin: {port: 0}\n"
    )
    command = [sys.executable, "-m", "proxy", *words.replace("CONFIG", str(tmp_path / "config.yaml")).split()]
    gone, pipe = os.pipe()
    os.close(gone)
    with open("/dev/full", "w") as full, os.fdopen(pipe, "w") as left:
        ended = [
            subprocess.run(
                command, check=False, cwd=REPOSITORY, env=surroundings(tmp_path), stdout=place, stderr=subprocess.PIPE,
                text=True, timeout=PATIENCE_SECONDS,
            )
            for place in (full, left)
        ]  # fmt: skip
    assert [done.returncode for done in ended] == [1, 1]
    sentence = "tollkeeper: what is printed cannot be written: No space left on device\n"
    assert [done.stderr for done in ended] == [sentence, ""]


def test_a_terminal_of_few_characters_gets_question_marks_for_the_others(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("providers: {mock: }\nstate_dir: state\nkeys: {a: {key: sk-a, budgets: [{usd: 5, per: day}]}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "keys", "list", "--config", str(file)], check=False, cwd=REPOSITORY,
        env=surroundings(tmp_path, PYTHONIOENCODING="latin-1"), capture_output=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode, b"??????????" in done.stdout) == (0, True), done.stderr
