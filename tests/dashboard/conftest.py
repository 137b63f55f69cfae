"""One browser a module, and one visit: while it runs, no other test of this process may run a loop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import Visit, started
from harness.daemon import Daemon

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; every visit has a profile of its own."""
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def visit(browser: Browser, daemon: Daemon) -> Iterator[Visit]:
    """One who has logged in at the daemon of the module."""
    visit = Visit(browser, daemon)
    visit.open("#/calls").get_by_role("button", name="Log in").click()
    visit.log_in()
    yield visit
    visit.close(expected="40[019]")  # what the console says of refusals that tests are about
