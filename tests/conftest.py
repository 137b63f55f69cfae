"""The fixtures of end-to-end tests: one scripted upstream a process, one real daemon a module."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CANARIES, CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream
from hypothesis import HealthCheck, settings
from processes import none_started, starts_processes

StartDaemon = Callable[..., Daemon]
PLACE = pytest.StashKey[int]()

# a busy machine is no fault
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes, so that `-m "not process"` are the quick tests."""
    for place, item in enumerate(items):
        item.stash[PLACE] = place
        if isinstance(item, pytest.Function) and starts_processes(item):
            item.add_marker("process")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A quick test starts nothing."""
    if item.get_closest_marker("process"):
        return (yield)
    with none_started(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Workers take tests from each other: one that stands further up in its module finds the module as it is at first."""
    found = yield
    if nextitem is not None and nextitem.path == item.path and nextitem.stash[PLACE] < item.stash[PLACE]:
        item.session._setupstate.teardown_exact(None)
    return found


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[Upstream]:
    """The scripted upstream of this process."""
    with Upstream() as server:
        yield server


@pytest.fixture
def upstream(upstream_server: Upstream) -> Iterator[Upstream]:
    """The scripted upstream, with nothing queued and nothing seen."""
    upstream_server.reset()
    yield upstream_server
    upstream_server.reset()


@pytest.fixture(scope="module")
def daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for the module, with one client key. At its end no canary may have leaked, and it must stop in order."""
    with Daemon(config_for(upstream_server), tmp_path_factory.mktemp("daemon"), key=CLIENT_KEY) as running:
        yield running
        _check_end(running)


@pytest.fixture(scope="module")
def open_daemon(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The same without keys: open mode."""
    with Daemon(config_for(upstream_server, keys={}), tmp_path_factory.mktemp("open")) as running:
        yield running
        _check_end(running)


@pytest.fixture
def start_daemon(upstream: Upstream, tmp_path: Path) -> Iterator[StartDaemon]:
    """Start a daemon of one's own: `start_daemon(retries={...})` changes members of the usual configuration."""
    with _starting(upstream, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDaemon]:
    """The same for a daemon that several tests of a module ask, and none changes."""
    with _starting(upstream_server, tmp_path_factory.mktemp("shared")) as start:
        yield start


@contextmanager
def _starting(upstream: Upstream, home: Path) -> Iterator[StartDaemon]:
    with ExitStack() as stack:
        running: list[Daemon] = []

        def start(args: Sequence[str] = (), most_descriptors: int | None = None, **members: Any) -> Daemon:
            folder = home / f"daemon{len(running)}"
            folder.mkdir()
            config = config_for(upstream, **members)
            running.append(
                stack.enter_context(
                    Daemon(config, folder, key=CLIENT_KEY, args=args, most_descriptors=most_descriptors)
                )
            )
            return running[-1]

        yield start
        for one in running:
            _check_end(one)


@pytest.fixture
def goes_on(upstream: Upstream, daemon: Daemon) -> Iterator[None]:
    """Prove after the test that the daemon still answers a plain call of each provider (which closes breakers)."""
    yield
    upstream.reset()
    for model in ("openai/gpt-4o", "local/llama3.1", "oai/gpt-4o", "anthropic/claude-3.5-sonnet"):
        upstream.expect(json_reply(chat_reply()))
        reply = daemon.chat(model)
        assert (reply.status, reply.json) == (200, chat_reply()), f"{model}: {reply.body!r}"


def _check_end(running: Daemon) -> None:
    """Nothing secret was printed, logged or sent in an error; SIGTERM ends the process with 0."""
    assert running.stop() == 0, running.output
    for canary in CANARIES:
        assert canary not in running.output, f"{canary} is in the log"
        for reply in running.replies_with_errors:
            assert canary.encode() not in reply.raw, f"{canary} is in {reply.raw!r}"
    assert not [line for line in running.log_lines() if line.get("event") == "crashed"], running.output
