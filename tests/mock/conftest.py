"""A mock in the test's own loop, and one in a thread for SDKs that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.mock.server import MockServer, start_mock


@pytest.fixture
async def server() -> AsyncIterator[MockServer]:
    """A mock on the loop of the test."""
    mock = await start_mock()
    yield mock
    await mock.close()


@pytest.fixture
def threaded() -> Iterator[MockServer]:
    """A mock on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    mock = asyncio.run_coroutine_threadsafe(start_mock(), loop).result(60)
    yield mock
    asyncio.run_coroutine_threadsafe(mock.close(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()
