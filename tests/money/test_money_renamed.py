"""A key that is renamed or revoked while its calls are under way, or wait for room: no cap is passed by that."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import yaml
from harness.commands import typed
from harness.daemon import Daemon
from harness.http import Reply
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from money_books import StartToll, books_of, priced, settled

SLOW = "openrouter/mock/slow?ttft=1.5&interval=0&tokens=1&cost=0.01"
CAP = "0.06/day"  # the holds of two calls; each costs a third of its own


def command(daemon: Daemon, *words: str) -> str:
    done = typed(daemon.folder, *words, "--config", str(daemon.folder / "config.yaml"))
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def rewrite(daemon: Daemon, **sections: Any) -> None:
    """Have these sections of the file reloaded."""
    file = daemon.folder / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))
    command(daemon, "reload", "--yes")


@pytest.fixture
def daemon(start_toll: StartToll, request: pytest.FixtureRequest) -> Daemon:
    members: dict[str, Any] = getattr(request, "param", {})
    models = {"m": priced(SLOW), "q": priced("openrouter/mock/echo?cost=0.01")}
    toll = start_toll(models=models, budget_policy={"wait": 10}, **members)
    toll.key = command(toll, "keys", "create", "eve", *([] if members else ["--budget", CAP])).strip()
    return toll


Calls = list[Future[Reply]]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as running:
        yield running


def begun(daemon: Daemon, pool: ThreadPoolExecutor, number: int) -> Calls:
    """Calls, two of which hold all there is; the others wait for that."""
    calls = [pool.submit(daemon.chat, "m", max_tokens=100) for _ in range(number)]
    until = time.monotonic() + PATIENCE_SECONDS
    while len(books_of(daemon).held) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    return calls


def ended(calls: Calls) -> Counter[int]:
    return Counter(call.result().status for call in calls)


def test_calls_of_a_revoked_key_that_wait_stay_within_its_budget(
    daemon: Daemon, mock: Mock, pool: ThreadPoolExecutor
) -> None:
    calls = begun(daemon, pool, 12)
    command(daemon, "keys", "revoke", "eve")
    assert ended(calls) == {200: 4, 402: 8}
    assert settled(daemon).spent_by("key:eve:day") == mock.billed() == Decimal("0.04")
    assert daemon.chat("q").status == 401
    assert "eve" not in command(daemon, "budgets")


def test_a_key_that_a_reload_removes_leaves_what_bound_its_calls(
    start_toll: StartToll, mock: Mock, pool: ThreadPoolExecutor
) -> None:
    narrow = {"budgets": [{"usd": 0.06, "per": "day", "for": {"model": "m"}}]}
    daemon = start_toll(alice=narrow, models={"m": priced(SLOW)}, budget_policy={"wait": 10})
    calls = begun(daemon, pool, 12)
    rewrite(daemon, keys={"bob": {"key": "sk-bob-money-test"}})
    assert ended(calls) == {200: 4, 402: 8}
    assert settled(daemon).spent_by("key:alice:day:model=m") == mock.billed() == Decimal("0.04")
    assert "alice" not in command(daemon, "budgets")


def test_a_key_renamed_while_calls_are_under_way_has_one_budget(
    daemon: Daemon, mock: Mock, pool: ThreadPoolExecutor
) -> None:
    calls = begun(daemon, pool, 4)
    command(daemon, "keys", "update", "eve", "--name", "ann")
    rewrite(daemon, budget_policy={"wait": 9})
    assert daemon.chat("q", max_tokens=200).status == 402, "what they hold counts under the new name"
    assert sum(ended(calls).values()) == 4
    assert settled(daemon).spent_by("key:ann:day") == mock.billed(), "and what they cost, also behind a reload"
    command(daemon, "keys", "update", "ann", "--name", "eve")
    command(daemon, "keys", "update", "eve", "--name", "bea")
    while (reply := daemon.chat("q", max_tokens=100)).status == 200:
        pass
    assert reply.status == 402
    books = settled(daemon)
    assert books.spent_by("key:bea:day") == books.cost == mock.billed() <= Decimal("0.06")
    assert books.spent_by("key:eve:day") == books.spent_by("key:ann:day") == 0


@pytest.mark.parametrize("daemon", [{"budgets": [{"usd": 0.04, "per": "day", "each": "key"}]}], indirect=True)
def test_a_name_lifts_no_cap_that_each_key_has_of_its_own(daemon: Daemon, mock: Mock) -> None:
    assert daemon.chat("q", max_tokens=100).status == 200
    command(daemon, "keys", "update", "eve", "--name", "ann")
    assert daemon.chat("q", max_tokens=100).status == 200
    assert daemon.stop() == 0
    command(daemon, "keys", "update", "ann", "--name", "eve")
    config = yaml.safe_load((daemon.folder / "config.yaml").read_text())
    with Daemon(config, daemon.folder, key=daemon.key) as again:
        assert again.chat("q", max_tokens=100).status == 402
        books = settled(again)
    assert books.spent_by("global:day:each-key@eve") == mock.billed() == Decimal("0.02")
    assert books.spent_by("global:day:each-key@ann") == 0
