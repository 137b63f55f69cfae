"""Tools that calls define and never call, told with what reading them cost, in every protocol, however the daemon ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.setting import CLIENT_KEY
from harness.surroundings import PATIENCE_SECONDS

CALLS = 30
USED, UNUSED = "look_up", ("book_a_table", "mcp__files__write")
SCHEMA = {
    "type": "object",
    "properties": {f"argument_{n}": {"type": "string", "description": "What it says. " * 30} for n in range(6)},
}
PRICE = {"input": 10, "output": 10}
SAID = f"mock: call {USED} " + "{}"
LONG = "so many words " * 2000  # so that a call reads more than its tools


def named(name: str, kind: str) -> dict[str, Any]:
    """A tool as a protocol has it."""
    if kind == "messages":
        return {"name": name, "description": f"Does {name}.", "input_schema": SCHEMA}
    inner = {"name": name, "description": f"Does {name}.", "parameters": SCHEMA}
    return {"type": "function", "function": inner} if kind == "chat/completions" else {"type": "function", **inner}


def tokens(name: str, kind: str) -> int:
    """Four bytes each."""
    return -(-len(json.dumps(named(name, kind), separators=(",", ":"))) // 4)


def body(kind: str, model: str, said: str, **members: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"{LONG}{said}"}]
    tools = [named(name, kind) for name in (USED, *UNUSED)]
    texts = {"input": asked} if kind == "responses" else {"messages": asked, "max_tokens": 50}
    return {"model": model, **texts, "tools": tools, **members}


# the protocol of the client, the provider, whether it streams
WAYS = [
    (kind, provider, stream)
    for kind, provider in (
        ("chat/completions", "openrouter"),
        ("responses", "openrouter"),
        ("messages", "anthropic"),
        ("chat/completions", "anthropic"),
        ("messages", "openai"),
    )
    for stream in (False, True)
]


def alias(kind: str, provider: str, stream: bool) -> str:  # noqa: FBT001
    return f"{kind.partition('/')[0]}-{provider}-{'streamed' if stream else 'whole'}"


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as running:
        yield running


def config(mock: Mock) -> dict[str, Any]:
    providers = {
        "openrouter": mock.provider(),
        "anthropic": mock.provider("anthropic"),
        "openai": mock.provider("openai"),
    }
    targets = {"openrouter": "mock/echo?cost=0.5", "anthropic": "mock/echo", "openai": "mock/echo"}
    return {
        "providers": {**providers, "openai": {**providers["openai"], "speaks": ["chat"]}},
        "models": {alias(*way): {"target": f"{way[1]}/{targets[way[1]]}", "price": PRICE} for way in WAYS},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 1000, "per": "total"}]}},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 1},
    }


def call(daemon: Daemon, way: tuple[str, str, bool], said: str = "hello") -> str:
    kind, _, stream = way
    reply = daemon.post(f"/v1/{kind}", body(kind, alias(*way), said, stream=stream))
    assert reply.status == 200, reply.body
    return reply.body.decode()


def told(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The advice about tools, by name."""
    found = daemon.asked("/savings")["savings"]
    return {row["model"]: row for row in found if row["kind"] == "unused_tools"}


def test_tools_that_were_never_called_are_told_with_what_they_cost(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path, key=CLIENT_KEY) as daemon:
        for way in WAYS:
            assert USED in call(daemon, way, SAID)
            for _ in range(CALLS - 1):
                call(daemon, way)
        found = told(daemon)
        assert daemon.stop() == 0, daemon.output
    assert set(found) == {alias(*way) for way in WAYS}
    for way in WAYS:
        row, each = found[alias(*way)], [tokens(name, way[0]) for name in UNUSED]
        assert row["saves_usd"] == f"{sum(each) * CALLS * 10 / 1e6:.12f}"
        for name, size in zip(UNUSED, each, strict=True):
            cost = f"${size * CALLS / 1e5:.6f}".rstrip("0")
            assert f"{name} ({cost}: {size:,} tokens in each of {CALLS} calls)" in row["why"]
        assert USED not in row["why"] and (row["provider"], row["confidence"], row["to"]) == (way[1], "low", None)


def test_a_kill_loses_none_and_counts_none_twice(mock: Mock, tmp_path: Path) -> None:
    way = WAYS[1]
    for _ in range(3):
        with Daemon(config(mock), tmp_path, key=CLIENT_KEY) as daemon:
            for _ in range(CALLS // 3 - 1):
                call(daemon, way)
            assert USED in call(daemon, way, SAID)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon._process.wait(PATIENCE_SECONDS)
    with Daemon(config(mock), tmp_path, key=CLIENT_KEY) as daemon:
        row = told(daemon)[alias(*way)]
        assert daemon.stop() == 0, daemon.output
    assert row["saves_usd"] == f"{sum(tokens(name, way[0]) for name in UNUSED) * CALLS * 10 / 1e6:.12f}"
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
        counts = ledger.execute("SELECT tool, calls, called, tokens, cached_tokens FROM rollup_tools").fetchall()
    each = {name: (CALLS, 3 * (name == USED), CALLS * tokens(name, way[0]), 0) for name in (USED, *UNUSED)}
    assert {name: tuple(rest) for name, *rest in counts} == each


HOSTILE: list[Any] = [
    [{"name": f"tool{number}"} for number in range(5000)],
    [named(USED, "chat/completions")] * 200,
    [
        {"type": "function", "function": {"name": name}}
        for name in (7, None, ["a"], {}, "", "x" * 100_000, "a b", "\x00", "ü")
    ],
    [{"type": "function", "function": {"name": "big", "description": "x" * 300_000}}],
    {"name": "no list"},
    "look_up",
]


def test_no_tools_that_a_client_defines_are_too_much_for_the_ledger(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path, key=CLIENT_KEY) as daemon:
        for tools in HOSTILE:
            sent = {**body("chat/completions", alias(*WAYS[0]), "hello"), "tools": tools}
            assert daemon.post("/v1/chat/completions", sent).status in (200, 400)
        assert daemon.post("/v1/chat/completions", body("chat/completions", alias(*WAYS[0]), "hello")).status == 200
        told(daemon)
        assert daemon.stop() == 0, daemon.output
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
        (calls,) = ledger.execute("SELECT count(*) FROM attempts WHERE status = 200").fetchone()
        counts = dict(ledger.execute("SELECT tool, calls FROM rollup_tools").fetchall())
    assert set(counts) >= {USED, *UNUSED, ""} and len(counts) <= 128 + 4
    assert counts[USED] <= calls and all(len(name) <= 128 for name in counts)
