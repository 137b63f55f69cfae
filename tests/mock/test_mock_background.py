"""The mock's responses in the background: how they stand, what they cost, and that a daemon books what they bill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness.daemon import Daemon
from harness.mock import Mock

from proxy.mock.server import MockServer

PATH = "/openai/v1/responses"
PATIENCE_SECONDS = 60


@pytest.fixture
async def client(server: MockServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.root) as session:
        yield session


async def ask(client: aiohttp.ClientSession, method: str, path: str, status: int = 200, **body: Any) -> Any:
    async with client.request(method, path, json=body or None) as reply:
        assert reply.status == status, await reply.text()
        return await reply.json()


async def make(client: aiohttp.ClientSession, model: str, **members: Any) -> Any:
    return await ask(client, "POST", PATH, model=model, input="one two three", background=True, **members)


async def test_one_that_takes_no_time_is_queued_and_then_there(client: aiohttp.ClientSession) -> None:
    made = await make(client, "mock/echo")
    assert (made["status"], made["background"], made["usage"], made["output"]) == ("queued", True, None, [])
    done = await ask(client, "GET", f"{PATH}/{made['id']}")
    assert (done["status"], done["background"], done["usage"]["output_tokens"]) == ("completed", True, 3)
    cancelled = await ask(client, "POST", f"{PATH}/{made['id']}/cancel")
    assert cancelled["status"] == "completed"


async def test_one_that_is_slow_runs_and_can_be_cancelled(client: aiohttp.ClientSession, server: MockServer) -> None:
    made = await make(client, "mock/slow?ttft=0&interval=60")
    assert (await ask(client, "GET", f"{PATH}/{made['id']}"))["status"] == "in_progress"
    assert (await ask(client, "POST", f"{PATH}/{made['id']}/cancel"))["status"] == "cancelled"
    told = await ask(client, "GET", f"{PATH}/{made['id']}")
    assert (told["status"], told["usage"]) == ("cancelled", None)
    assert server.bill.total == 0


async def test_one_that_waits_for_its_first_word_is_queued(client: aiohttp.ClientSession) -> None:
    made = await make(client, "mock/slow?ttft=60")
    assert (await ask(client, "GET", f"{PATH}/{made['id']}"))["status"] == "queued"


async def test_a_stream_that_is_left_goes_on_and_is_billed(client: aiohttp.ClientSession, server: MockServer) -> None:
    body = {"model": "mock/slow?ttft=0&interval=0.2", "input": "one two three", "background": True, "stream": True}
    async with client.post(PATH, json=body) as reply:
        begun = await reply.content.readuntil(b"\n\n")
        assert b'"background":true' in begun
    (row,) = server.bill.as_json()["rows"]
    until = time.monotonic() + PATIENCE_SECONDS
    while (await ask(client, "GET", f"{PATH}/{row['id']}"))["status"] != "completed":
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    assert server.bill.total > 0


async def test_what_is_deleted_or_was_never_made_is_not_found(client: aiohttp.ClientSession) -> None:
    made = await make(client, "mock/echo")
    assert (await ask(client, "DELETE", f"{PATH}/{made['id']}"))["deleted"] is True
    for path in (f"{PATH}/{made['id']}", f"/api/v1/responses/{made['id']}", f"{PATH}/resp_other"):
        assert (await ask(client, "GET", path, 404))["error"]["message"]


def test_a_daemon_books_what_the_mock_bills(tmp_path: Path) -> None:
    with Mock() as mock:
        config = {
            "providers": {"oai": mock.provider("openai")},
            "models": {"m": {"target": "oai/mock/echo", "price": {"input": 1, "output": 2}}},
            "keys": {"alice": {"key": "sk-alice", "budgets": [{"usd": 1, "per": "total"}]}},
        }
        with Daemon(config, tmp_path, key="sk-alice") as daemon:
            made = daemon.post("/v1/responses", {"model": "m", "input": "one two three", "background": True})
            assert made.json["status"] == "queued"
            assert daemon.ask("GET", f"/v1/responses/{made.json['id']}").json["status"] == "completed"
            told = daemon.wait_for_log(lambda line: line.get("event") == "background_ended")
            assert float(told["cost_usd"]) == float(mock.billed()) > 0
            assert daemon.metric("tollkeeper_budget_held_usd") == 0
            assert daemon.stop() == 0
