"""Shells take the scripts and complete with them; what cannot be known is left out in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import surroundings

# how each reads the script from its standard input and completes its arguments, `tollkeeper` the first of them
SHELLS = {
    "bash": (
        ["bash", "--norc", "-c"],
        'eval "$(cat)"; COMP_WORDS=(tollkeeper "$@"); COMP_CWORD=$#; complete -p tollkeeper >/dev/null || exit 3;'
        '_tollkeeper_completion tollkeeper; printf "%s\\n" "${COMPREPLY[@]}"',
    ),
    # compadd works only while somebody types; here it prints what it would offer
    "zsh": (
        ["zsh", "-f", "-c"],
        'autoload -U compinit; compinit -D -u; eval "$(cat)"; [[ -n ${_comps[tollkeeper]} ]] || exit 3;'
        "compadd() { print -l -- $completions }; _describe() { print -l -- ${completions_with_descriptions%%:*} };"
        'words=(tollkeeper "$@"); CURRENT=$#words; _tollkeeper_completion',
    ),
    "fish": (
        ["fish", "--no-config", "-c"],
        'source -; complete -C "$argv" | string replace -r "\\t.*" ""; true',
    ),
}
every_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder whose bin/tollkeeper is the command, and which is everybody's home."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "tollkeeper"
    code = "from proxy.cli import main; main(prog_name='tollkeeper')"
    file.write_text(f'#!/bin/sh\nexec env PYTHONPATH="{REPOSITORY}" "{sys.executable}" -c "{code}" "$@"\n')
    file.chmod(0o755)
    return tmp_path


def run(place: Path, *command: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    env = surroundings(place, PATH=f"{place / 'bin'}:{os.environ['PATH']}", TERM="dumb", **env)
    return subprocess.run(
        command, cwd=place, env=env, input=given, capture_output=True, text=True, timeout=60, check=False
    )


def complete(place: Path, shell: str, *words: str, **env: str) -> list[str]:
    """What the shell offers after `tollkeeper` and these words, the last of them not yet finished. Nothing may be said aloud."""
    if shutil.which(shell) is None:
        pytest.skip(f"install the Debian package `{shell}`")
    script = run(place, "tollkeeper", "completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    start, code = SHELLS[shell]
    done = run(place, *start, code, "tollkeeper", *words, given=script.stdout, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@every_shell
def test_commands_complete(place: Path, shell: str) -> None:
    assert complete(place, shell, "con") == ["connect"]


@every_shell
def test_clients_complete(place: Path, shell: str) -> None:
    assert sorted(complete(place, shell, "connect", "c")) == ["claude-code", "cline", "codex", "continue", "curl"]


def test_models_complete(place: Path) -> None:
    found = complete(place, "bash", "explain", "anthropic/claude-sonnet-4.", ANTHROPIC_API_KEY="any")
    assert "anthropic/claude-sonnet-4.5" in found
    assert all(name.startswith("anthropic/claude-sonnet-4.") for name in found)


def test_keys_complete_with_those_of_the_store_while_the_daemon_runs(place: Path) -> None:
    config = {"providers": {"mock": {}}, "keys": {"alice": {"key": "sk-alice"}}, "shutdown": {"drain": 1}}
    words = ("explain", "--config", str(place / "config.yaml"), "--key", "")
    with Daemon(config, place) as daemon:
        made = run(place, "tollkeeper", "keys", "create", "bob", "--config", str(place / "config.yaml"))
        assert made.returncode == 0, made
        assert complete(place, "bash", *words) == ["alice", "bob"]
        assert daemon.stop() == 0
    assert complete(place, "bash", *words) == ["alice"]


@pytest.mark.parametrize("words", [("explain", "--key", ""), ("models", "o"), ("explain", "o")])
def test_a_broken_configuration_is_silent(place: Path, words: tuple[str, ...]) -> None:
    (place / "broken.yaml").write_text("lisen: [1\n")
    assert complete(place, "bash", *words, TOLLKEEPER_CONFIG=str(place / "broken.yaml")) == []


def test_an_unknown_shell_is_a_usage_error(place: Path) -> None:
    done = run(place, "tollkeeper", "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
