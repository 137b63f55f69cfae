"""The fixtures of the money tests: the mock as a process of its own, and daemons with budgets before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.setting import CLIENT_KEY
from harness.upstream import Upstream
from money_books import KEY, StartToll, toll_config
from money_calls import Calls, sources_config


@pytest.fixture(scope="session")
def mock_server() -> Iterator[Mock]:
    """One `tollkeeper mock` for this process."""
    with Mock() as running:
        yield running


@pytest.fixture
def mock(mock_server: Mock) -> Mock:
    """The mock, nothing billed."""
    mock_server.forget()
    return mock_server


@pytest.fixture
def start_toll(mock: Mock, tmp_path: Path) -> Iterator[StartToll]:
    """Start a daemon before the mock: `start_toll(budgets=[...])` gives alice budgets, other members change the rest."""
    with ExitStack() as stack:
        running: list[Daemon] = []

        def start(*, alice: dict[str, Any] | None = None, folder: Path | None = None, **members: Any) -> Daemon:
            config = toll_config(mock, alice, **members)
            place = folder or tmp_path / f"toll{len(running)}"
            place.mkdir(exist_ok=True)
            daemon = Daemon(config, place, key=KEY)
            running.append(stack.enter_context(daemon))
            return daemon

        yield start
        for one in running:
            crashed = [line for line in one.output.splitlines() if '"crashed"' in line]
            assert not crashed, one.output


@pytest.fixture(scope="module")
def toll(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon before the scripted upstream, with models of every kind of provider."""
    with Daemon(sources_config(upstream_server), tmp_path_factory.mktemp("toll"), key=CLIENT_KEY) as running:
        yield running


@pytest.fixture
def calls(toll: Daemon, upstream: Upstream) -> Calls:
    return Calls(toll, upstream)
