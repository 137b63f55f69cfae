"""The mock's responses beside making them: counted, made shorter, streamed again from an event on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness.daemon import Daemon
from harness.mock import Mock

from proxy.mock.server import MockServer

PATH = "/openai/v1/responses"
TALK = [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}]


@pytest.fixture
async def client(server: MockServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.root) as session:
        yield session


async def ask(client: aiohttp.ClientSession, path: str, status: int = 200, **body: Any) -> Any:
    async with client.post(path, json=body) as reply:
        assert reply.status == status, await reply.text()
        return await reply.json()


def events_of(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_the_tokens_of_a_request_are_counted_for_nothing(
    client: aiohttp.ClientSession, server: MockServer
) -> None:
    made = await ask(client, PATH, model="mock/echo", input=TALK, instructions="Be brief.")
    for named in ({"model": "mock/echo"}, {}):
        counted = await ask(client, f"{PATH}/input_tokens", input=TALK, instructions="Be brief.", **named)
        assert counted == {"object": "response.input_tokens", "input_tokens": made["usage"]["input_tokens"]}
    refused = await ask(client, f"{PATH}/input_tokens", 400, input="one", max_output_tokens=20)
    assert refused["error"]["code"] == "unknown_parameter"
    assert len(server.bill.as_json()["rows"]) == 1


async def test_a_conversation_is_made_shorter(client: aiohttp.ClientSession, server: MockServer) -> None:
    made = await ask(client, f"{PATH}/compact", model="mock/echo", input=TALK)
    user, compaction = made["output"]
    assert made["object"] == "response.compaction"
    assert (user["role"], user["content"]) == ("user", [{"type": "input_text", "text": "one two"}])
    assert compaction["type"] == "compaction"
    assert compaction["encrypted_content"]
    (row,) = server.bill.as_json()["rows"]
    assert (row["id"], row["output_tokens_emitted"]) == (made["id"], made["usage"]["output_tokens"])
    again = await ask(client, PATH, model="mock/echo", input=[*made["output"], {"role": "user", "content": "four"}])
    assert again["output"][0]["content"][0]["text"] == "four"


async def test_what_openai_refuses_of_them(client: aiohttp.ClientSession) -> None:
    told = await ask(client, f"{PATH}/compact", 400, input="one")
    assert (told["error"]["code"], told["error"]["param"]) == ("missing_required_parameter", "model")
    told = await ask(client, f"{PATH}/compact", 400, model="mock/echo", input="one", stream=True)
    assert told["error"]["code"] == "unknown_parameter"
    for path in ("compact", "input_tokens"):
        await ask(client, f"/api/v1/responses/{path}", 404, model="mock/echo", input="one")


@pytest.mark.parametrize("model", ["mock/slow?ttft=0&interval=0.01", "mock/cut?after=4"])
async def test_a_stream_is_taken_up_behind_an_event(
    client: aiohttp.ClientSession, server: MockServer, model: str
) -> None:
    body = {"model": model, "input": "one two three", "background": True, "stream": True}
    async with client.post(PATH, json=body) as reply:
        begun = events_of((await reply.content.readuntil(b"\n\n")).decode())
    where = f"{PATH}/{begun[0]['response']['id']}"
    async with client.get(where, params={"stream": "true"}) as reply:
        every = events_of(await reply.text())
    assert [event["sequence_number"] for event in every] == list(range(len(every)))
    assert (every[0], every[-1]["type"]) == (begun[0], "response.completed")
    for after in (0, 3, len(every) - 2, len(every), 10**9):
        async with client.get(where, params={"stream": "true", "starting_after": str(after)}) as reply:
            assert events_of(await reply.text()) == every[after + 1 :]
    assert len(server.bill.as_json()["rows"]) == 1


async def test_streams_that_cannot_be_taken_up(client: aiohttp.ClientSession) -> None:
    made = await ask(client, PATH, model="mock/echo", input="one", background=True)
    streamed = {"model": "mock/slow?ttft=0&interval=60", "input": "one two", "background": True, "stream": True}
    async with client.post(PATH, json=streamed) as reply:
        begun = events_of((await reply.content.readuntil(b"\n\n")).decode())
    slow = begun[0]["response"]["id"]
    for id_, after, param in (
        (made["id"], "0", "stream"),
        (slow, "x", "starting_after"),
        (slow, "9" * 30, "starting_after"),
    ):
        async with client.get(f"{PATH}/{id_}", params={"stream": "true", "starting_after": after}) as reply:
            assert (reply.status, (await reply.json())["error"]["param"]) == (400, param)
    await ask(client, f"{PATH}/{slow}/cancel")
    async with client.get(f"{PATH}/{slow}", params={"stream": "true"}) as reply:
        assert events_of(await reply.text()) == []


def test_a_daemon_passes_and_books_them(tmp_path: Path) -> None:
    with Mock() as mock:
        config = {
            "providers": {"oai": mock.provider("openai")},
            "models": {"m": {"target": "oai/mock/echo", "price": {"input": 1, "output": 2}}},
            "keys": {"alice": {"key": "sk-alice", "budgets": [{"usd": 1, "per": "total"}]}},
        }
        with Daemon(config, tmp_path, key="sk-alice") as daemon:
            counted = daemon.post("/v1/responses/input_tokens", {"model": "m", "input": TALK})
            assert counted.json == {"object": "response.input_tokens", "input_tokens": 3}
            made = daemon.post("/v1/responses/compact", {"model": "m", "input": TALK})
            assert made.json["output"][-1]["type"] == "compaction"
            told = daemon.wait_for_log(lambda line: line.get("endpoint") == "responses/compact")
            assert float(told["cost_usd"]) == float(mock.billed()) > 0
            streamed = daemon.post("/v1/responses", {"model": "m", "input": "a b", "background": True, "stream": True})
            whole = events_of(streamed.body.decode())
            where = f"/v1/responses/{whole[0]['response']['id']}?stream=true&starting_after=4"
            assert events_of(daemon.ask("GET", where).body.decode()) == whole[5:]
            assert daemon.stop() == 0
