"""Real agents, as `connect` configures them, use one of their tools through the real daemon, under a budget."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from agents import AGENTS, MARKER, SAID, TURNS, run
from harness.daemon import REPOSITORY, Daemon
from harness.mock import Mock
from harness.surroundings import surroundings

KEY = "sk-alice-canary"
BUDGET = {"usd": 5, "per": "day"}


def param(name: str, *rest: str) -> Any:
    reason = f"{name} is not installed; `make agents AGENTS={name}` does it"
    return pytest.param(name, *rest, marks=pytest.mark.skipif(not AGENTS[name].installed, reason=reason))


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as running:
        yield running


@pytest.fixture
def daemon(mock: Mock, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon before the mock, spelled as the provider the agent is led to; its only key has a budget."""
    mock.forget()
    kind = AGENTS[request.getfixturevalue("name")].kind
    provider = mock.provider(kind)
    if "chat" in request.fixturenames:  # spelled as any other server, that only knows chat
        kind, provider = "openai", {**mock.provider("openai"), "speaks": ["chat"]}
    config = {
        "providers": {kind: provider},
        "keys": {"alice": {"key": KEY, "budgets": [BUDGET]}},
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path, key=KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def told(daemon: Daemon, *command: str, home: Path | None = None) -> Any:
    """What a command of ours prints with --json, for somebody with this home."""
    arguments = [*command, "--config", str(daemon.folder / "config.yaml"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        cwd=REPOSITORY,
        env=None if home is None else surroundings(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return json.loads(done.stdout)


@pytest.fixture
def chat() -> None:
    """The provider speaks nothing but chat."""


def pointed_at(daemon: Daemon, name: str, home: Path) -> list[dict[str, str]]:
    """What `connect` prints for the agent, its files written."""
    parts: list[dict[str, str]] = told(daemon, "connect", name)["parts"]
    if any(part["file"] for part in parts):
        told(daemon, "connect", name, "--write", home=home)
    return parts


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", [param(name) for name in ("claude-code", "codex")])
@pytest.mark.usefixtures("chat")
def test_an_agent_uses_a_tool_in_every_one_of_ten_turns_at_a_server_that_only_knows_chat(
    daemon: Daemon, tmp_path: Path, name: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = {"ANTHROPIC_MODEL": "gpt-4o", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "gpt-4o"}  # that server has none of Claude's
    agent = dataclasses.replace(AGENTS[name], env={**AGENTS[name].env, **own}).in_turns(home)
    printed = run(agent, pointed_at(daemon, name, home), home, KEY)
    assert (home / "work" / MARKER).exists(), printed
    assert SAID in printed
    assert len((home / "turns").read_text().splitlines()) == TURNS
    calls = daemon.wait_for_lines(lambda line: line.get("endpoint") == agent.endpoint, TURNS + 1)
    assert {line["status"] for line in calls} == {200}
    protocol = {"messages": "messages>chat", "responses": "responses>chat"}[agent.endpoint]
    assert all(f"protocol={protocol}" in line["adjusted"] for line in calls), calls


# (who, at whose servers, by which of their protocols, with which of their models)
ABROAD = [
    ("claude-code", "openai", "responses", "gpt-5"),
    ("claude-code", "openai", "responses", "gpt-4o"),
    ("claude-code", "openai", "chat", "gpt-5"),
    ("codex", "anthropic", "messages", "claude-sonnet-4-5"),
    ("codex", "anthropic", "messages", "claude-opus-4-8"),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "kind", "speaks", "model"), [param(name, *rest) for name, *rest in ABROAD])
def test_an_agent_uses_a_tool_in_every_one_of_ten_turns_at_the_servers_of_others(
    mock: Mock, tmp_path: Path, name: str, kind: str, speaks: str, model: str
) -> None:
    """Which refuse what they do not know, as the mock does."""
    home = tmp_path / "home"
    home.mkdir()
    config = {
        "providers": {kind: {**mock.provider(kind), "speaks": [speaks]}},
        "keys": {"alice": {"key": KEY, "budgets": [BUDGET]}},
        "default_model": model,
        "shutdown": {"drain": 1},
    }
    own = {"ANTHROPIC_MODEL": model, "ANTHROPIC_DEFAULT_HAIKU_MODEL": model}
    agent = dataclasses.replace(AGENTS[name], env={**AGENTS[name].env, **own}).in_turns(home)
    with Daemon(config, tmp_path, key=KEY) as daemon:
        printed = run(agent, pointed_at(daemon, name, home), home, KEY)
        assert (home / "work" / MARKER).exists(), printed
        assert SAID in printed
        calls = daemon.wait_for_lines(lambda line: line.get("endpoint") == agent.endpoint, TURNS + 1)
        assert {line["status"] for line in calls} == {200}, calls
        assert all(f"protocol={agent.endpoint}>{speaks}" in line["adjusted"] for line in calls), calls
        assert daemon.stop() == 0, daemon.output


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "speaks", "tool"), [param("codex", "responses", "exec"), param("codex", "chat", "functions__exec")]
)
def test_codex_uses_the_tools_that_its_newest_models_are_given_with_the_conversation(
    mock: Mock, tmp_path: Path, name: str, speaks: str, tool: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    config = {
        "providers": {"openai": {**mock.provider("openai"), "speaks": [speaks]}},
        "keys": {"alice": {"key": KEY, "budgets": [BUDGET]}},
        "default_model": "gpt-6-sol",
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path, key=KEY) as daemon:
        printed = run(AGENTS[name].in_javascript(tool), pointed_at(daemon, name, home), home, KEY)
        assert (home / "work" / MARKER).exists(), printed
        calls = daemon.wait_for_lines(lambda line: line.get("endpoint") == "responses", 2)
        assert {line["status"] for line in calls} == {200}, calls
        assert not [what for line in calls for what in line["adjusted"] if "input_items" in what], calls
        assert daemon.stop() == 0, daemon.output


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", [param(name) for name in AGENTS])
def test_an_agent_uses_a_tool_under_a_budget(daemon: Daemon, mock: Mock, tmp_path: Path, name: str) -> None:
    agent, home = AGENTS[name], tmp_path / "home"
    home.mkdir()
    printed = run(agent, pointed_at(daemon, name, home), home, KEY)
    assert (home / "work" / MARKER).exists(), printed
    assert SAID in printed

    billed = [row for row in mock.bill() if row["completed"]]
    metered = daemon.wait_for_lines(lambda line: line.get("endpoint") == agent.endpoint, len(billed))
    calls = [line for line in daemon.log_lines() if line.get("event") == "call"]
    assert {line["status"] for line in calls} == {200}, calls
    assert {line["key"] for line in calls} == {"alice"}
    assert len(metered) >= agent.calls
    assert all(Decimal(line["cost_usd"]) > 0 for line in metered), metered
    assert not [line for line in daemon.log_lines() if line.get("event") == "cost_anomaly"]

    booked = told(daemon, "usage", "--by", "key")
    assert [row["key"] for row in booked["rows"]] == ["alice"]
    assert booked["total"]["calls"] == len(billed) == len(metered)
    assert Decimal(booked["total"]["cost_usd"]) == sum(Decimal(line["cost_usd"]) for line in metered)


def test_the_page_says_which_ones_are_run() -> None:
    page = (REPOSITORY / "docs" / "clients.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|.*`make agents`", page, re.MULTILINE)) == set(AGENTS)
