"""A mock and a daemon for every module here, of the `config` that the module has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.daemon import Daemon
from harness.mock import Mock


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as running:
        yield running


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest, mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(request.module.config(mock), tmp_path_factory.mktemp("jobs")) as running:
        yield running
        assert '"crashed"' not in running.output and "job_trouble" not in running.output
        assert running.stop() == 0
