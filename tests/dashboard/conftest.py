"""One browser a module, one visit a test: while it runs, no other test of this process may run a loop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; every visit has a profile of its own."""
    with started() as running:
        yield running
