"""The mock over real connections: faults on the wire, lookups, files, keys, and the bill."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import uvloop

from proxy.mock.play import GARBAGE
from proxy.mock.server import CALLS, MockServer, start_mock
from proxy.mock.state import Rules
from proxy.secret import Secret

pytestmark = pytest.mark.process
HI = [{"role": "user", "content": "one two three four"}]
ANY_KEY = {"Authorization": "Bearer sk-any"}
VERSION = {"anthropic-version": "2023-06-01"}
PATIENCE = 60


@pytest.fixture
async def client(server: MockServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.root, headers=ANY_KEY, auto_decompress=False) as session:
        yield session


def request_bytes(model: str, path: str = "/api/v1/chat/completions", **fields: Any) -> bytes:
    body = json.dumps({"model": model, "messages": HI, **fields}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer sk-any\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def dial(server: MockServer, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    return reader, writer


async def everything(server: MockServer, data: bytes) -> bytes:
    """All bytes until the server closes."""
    reader, writer = await dial(server, data)
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


async def ask(client: aiohttp.ClientSession, model: str, path: str = "/api/v1/chat/completions", **fields: Any) -> Any:
    async with client.post(path, json={"model": model, "messages": HI, **fields}) as reply:
        assert reply.status == 200, await reply.text()
        return json.loads(await reply.read())


async def bill(client: aiohttp.ClientSession) -> Any:
    async with client.get("/mock/bill") as reply:
        return json.loads(await reply.read())


async def left(server: MockServer) -> None:
    """Wait until the newest call has noticed that its client is gone."""
    async with asyncio.timeout(PATIENCE):
        while not server.bill.rows[-1].cancelled:
            await asyncio.sleep(0)


async def test_a_model_is_told_what_to_do_while_it_is_used(client: aiohttp.ClientSession) -> None:
    async def statuses(times: int) -> list[int]:
        asked = {"model": "mock/model-7", "messages": HI}
        return [(await client.post("/api/v1/chat/completions", json=asked)).status for _ in range(times)]

    path = "/mock/models/mock/model-7"
    assert await statuses(1) == [200]
    assert (await client.put(path, json={"as": "mock/error?status=503"})).status == 204
    assert await statuses(2) == [503, 503]
    assert (await client.put(path, json={"as": "mock/error?status=503&every=3&times=4"})).status == 204
    assert await statuses(6) == [200, 200, 503, 200, 200, 200]
    assert (await client.delete(path)).status == 204
    assert await statuses(3) == [200] * 3
    rows = (await bill(client))["rows"]
    assert {row["model"] for row in rows} == {"mock/model-7"}
    assert {row["cost"] for row in rows} == {"0", "0.00000336"}  # its own price, whatever it does


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ({}, 'Say what the model is to do: {"as": "mock/error?status=503"}.'),
        ({"as": 503}, "Say what the model is to do"),
        ({"as": "mock/echo?every=0"}, "it must be a whole number from 1 to 1000000"),
    ],
)
async def test_an_order_nobody_understands_is_refused(client: aiohttp.ClientSession, order: Any, sentence: str) -> None:
    async with client.put("/mock/models/mock/model-7", json=order) as reply:
        assert reply.status == 400
        assert sentence in json.loads(await reply.read())["error"]["message"]


async def test_a_clean_cut_ends_the_connection_inside_the_chunks(server: MockServer) -> None:
    seen = await everything(server, request_bytes("mock/cut?after=2", stream=True))
    assert seen.count(b"data: ") == 2
    assert not seen.endswith(b"0\r\n\r\n")
    row = server.bill.rows[0]
    assert (row.completed, row.cancelled, row.output_tokens_emitted) == (False, False, 1)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reset_is_a_reset(server: MockServer, *, stream: bool) -> None:
    reader, writer = await dial(server, request_bytes("mock/cut?after=2&rst=1", stream=stream))
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(PATIENCE):
            while await reader.read(65536):
                pass
        raise AssertionError("the connection was closed cleanly")
    writer.close()


async def test_a_body_that_is_cut_is_shorter_than_it_claims(server: MockServer) -> None:
    seen = await everything(server, request_bytes("mock/cut"))
    head, _, body = seen.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    assert 0 < len(body) < length
    assert server.bill.total == Decimal("0.000013")


async def test_garbage_is_not_http(server: MockServer) -> None:
    assert await everything(server, request_bytes("mock/garbage")) == GARBAGE


def test_the_loop_of_the_daemon_breaks_connections_the_same_way() -> None:
    async def faults() -> list[bytes | type[Exception]]:
        server = await start_mock()
        seen: list[bytes | type[Exception]] = []
        for model in ("mock/garbage", "mock/cut?after=1&rst=1", "mock/cut?after=0"):
            try:
                seen.append((await everything(server, request_bytes(model, stream=True)))[:8])
            except ConnectionResetError as error:
                seen.append(type(error))
        await server.close()
        return seen

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(faults()) == [GARBAGE[:8], ConnectionResetError, b"HTTP/1.1"]


async def test_silence_before_the_headers_is_total(server: MockServer) -> None:
    reader, writer = await dial(server, request_bytes("mock/hang", stream=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    writer.close()
    await left(server)
    assert server.bill.total == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_after_the_headers_keeps_the_body(server: MockServer, *, stream: bool) -> None:
    reader, writer = await dial(server, request_bytes("mock/hang?after=headers", stream=stream))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    writer.close()
    await left(server)
    assert (server.bill.total == 0) == stream


async def test_silence_may_come_after_some_events(server: MockServer) -> None:
    reader, writer = await dial(server, request_bytes("mock/hang?after=3", stream=True))
    await asyncio.wait_for(reader.readuntil(b'" two"'), PATIENCE)
    writer.close()
    await left(server)
    row = server.bill.rows[0]
    assert (row.output_tokens_emitted, row.cost) == (2, Decimal("0.000009"))


async def test_a_truncated_reply_ends_properly_with_half_a_body(
    server: MockServer, client: aiohttp.ClientSession
) -> None:
    async with client.post("/openai/v1/chat/completions", json={"model": "truncated", "messages": HI}) as reply:
        body = await reply.read()
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    async with client.post(
        "/api/v1/chat/completions", json={"model": "mock/truncated", "messages": HI, "stream": True}
    ) as reply:
        assert not (await reply.read()).endswith(b"\n")
    assert not any(row.completed for row in server.bill.rows)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_may_be_compressed(client: aiohttp.ClientSession, *, stream: bool) -> None:
    fields = {"model": "mock/gzip", "messages": HI, "stream": stream}
    async with client.post("/api/v1/chat/completions", json=fields) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        raw = await reply.read()
    plain = zlib.decompressobj(wbits=31).decompress(raw) if stream else gzip.decompress(raw)
    assert b'"finish_reason":"stop"' in plain


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_may_lie_about_its_compression(client: aiohttp.ClientSession, *, stream: bool) -> None:
    fields = {"model": "mock/gzip?lie=1", "messages": HI, "stream": stream}
    async with client.post("/api/v1/chat/completions", json=fields) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert b'"finish_reason":"stop"' in await reply.read()


async def test_an_error_has_its_status_and_hints(server: MockServer, client: aiohttp.ClientSession) -> None:
    model = "mock/error?status=429&retry_after=3&retry_after_ms=2500&message=slow%20down"
    async with client.post("/api/v1/chat/completions", json={"model": model, "messages": HI, "stream": True}) as reply:
        assert (reply.status, reply.headers["Retry-After"], reply.headers["retry-after-ms"]) == (429, "3", "2500")
        assert reply.content_type == "application/json"
        assert "X-Generation-Id" not in reply.headers
        assert (await reply.json())["error"]["message"] == "slow down"
    assert [(row.status, row.cost) for row in server.bill.rows] == [(429, 0)]


@pytest.mark.parametrize(
    ("model", "content_type", "start"),
    [
        ("mock/error?status=502&body=html", "text/html", b"<html>"),
        ("mock/error?status=429&body=empty", "application/json", b""),
    ],
)
async def test_an_error_may_come_from_the_edge(
    client: aiohttp.ClientSession, model: str, content_type: str, start: bytes
) -> None:
    async with client.post("/api/v1/chat/completions", json={"model": model, "messages": HI}) as reply:
        body = await reply.read()
        assert reply.content_type == content_type
        assert body.startswith(start)
        assert bool(body) == bool(start)


async def test_a_fault_may_end_after_some_calls_of_that_name(client: aiohttp.ClientSession) -> None:
    statuses = []
    for model in ["mock/error?status=503&times=2"] * 3 + ["mock/error?status=503&times=1"]:
        async with client.post("/api/v1/chat/completions", json={"model": model, "messages": HI}) as reply:
            statuses.append(reply.status)
    assert statuses == [503, 503, 200, 503]


@pytest.mark.parametrize(
    ("model", "status"), [("mock/auth", 401), ("mock/afford?tokens=5", 402), ("mock/slow?ttft=soon", 400)]
)
async def test_a_refusal_is_an_error_reply(client: aiohttp.ClientSession, model: str, status: int) -> None:
    async with client.post("/api/v1/chat/completions", json={"model": model, "messages": HI, "max_tokens": 6}) as reply:
        assert reply.status == status
        assert (await reply.json())["error"]["code"] == (status if status != 400 else "invalid_value")


async def test_what_is_affordable_is_answered_as_an_echo(client: aiohttp.ClientSession) -> None:
    reply = await ask(client, "mock/afford?tokens=500", max_tokens=500)
    assert reply["choices"][0]["message"]["content"] == "one two three four"


async def test_a_redirect_leads_to_a_place_that_knows(client: aiohttp.ClientSession) -> None:
    fields = {"model": "mock/redirect", "messages": HI}
    async with client.post("/api/v1/chat/completions", json=fields, allow_redirects=False) as reply:
        assert (reply.status, reply.headers["Location"]) == (302, "/mock/redirected")
    async with client.get("/mock/redirected") as reply:
        assert "followed" in await reply.text()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_200_may_be_an_error(server: MockServer, client: aiohttp.ClientSession, *, stream: bool) -> None:
    fields = {"model": "mock/first-event-error?status=429", "messages": HI, "stream": stream}
    async with client.post("/api/v1/chat/completions", json=fields) as reply:
        text = await reply.text()
    body = json.loads(text.split("data: ")[-1])
    assert (reply.status, body["error"]["code"], "choices" in body) == (200, 429, False)
    assert server.bill.total == 0


async def test_the_stream_a_client_left_is_billed_at_what_was_emitted(
    server: MockServer, client: aiohttp.ClientSession
) -> None:
    for extra, whole in (("", False), ("&bills_after_disconnect=1", True)):
        model = f"mock/slow?ttft=0&interval=60&tokens=5{extra}"
        reader, writer = await dial(server, request_bytes(model, stream=True))
        await asyncio.wait_for(reader.readuntil(b"token1"), PATIENCE)
        writer.close()
        await left(server)
        row = (await bill(client))["rows"][-1]
        assert (row["cancelled"], row["completed"], row["output_tokens_emitted"]) == (True, False, 1)
        assert Decimal(row["cost"]) == Decimal("0.000005") + Decimal("0.000002") * (5 if whole else 1)


async def test_a_call_that_is_not_streamed_is_billed_in_full_when_its_client_leaves(server: MockServer) -> None:
    _, writer = await dial(server, request_bytes("mock/slow?ttft=60&tokens=5"))
    async with asyncio.timeout(PATIENCE):
        while not server.bill.rows:
            await asyncio.sleep(0)
    writer.close()
    await left(server)
    assert (server.bill.rows[0].completed, server.bill.total) == (False, Decimal("0.000015"))


async def test_the_bill_equals_the_costs_the_replies_reported(client: aiohttp.ClientSession) -> None:
    reported = Decimal(0)
    for model in ("mock/echo", "openai/gpt-5-mini", "mock/exact", "mock/echo?cost=0.03", "mock/echo?cost_style=sci"):
        async with client.post("/api/v1/chat/completions", json={"model": model, "messages": HI}) as reply:
            reported += json.loads(await reply.read(), parse_float=Decimal)["usage"]["cost"]
    seen = await bill(client)
    assert Decimal(seen["total"]) == reported == sum(Decimal(row["cost"]) for row in seen["rows"])
    async with client.delete("/mock/bill") as reply:
        assert reply.status == 204
    assert await bill(client) == {"rows": [], "count": 0, "total": "0"}


async def test_a_generation_is_found_at_the_second_poll(server: MockServer, client: aiohttp.ClientSession) -> None:
    async with client.post("/api/v1/chat/completions", json={"model": "mock/echo", "messages": HI}) as reply:
        name = reply.headers["X-Generation-Id"]
        assert json.loads(await reply.read())["id"] == name
    statuses = []
    for _ in range(3):
        async with client.get("/api/v1/generation", params={"id": name}) as reply:
            statuses.append(reply.status)
            body = json.loads(await reply.read(), parse_float=Decimal)
    assert statuses == [404, 200, 200]
    assert (body["data"]["total_cost"], body["data"]["cancelled"]) == (server.bill.total, False)
    async with client.get("/api/v1/generation", params={"id": "gen-unknown"}) as reply:
        assert reply.status == 404


async def test_a_generation_still_running_is_not_found_and_a_cut_one_says_so(
    server: MockServer, client: aiohttp.ClientSession
) -> None:
    reader, writer = await dial(server, request_bytes("mock/hang?after=3&misses=0", stream=True))
    await asyncio.wait_for(reader.readuntil(b'" two"'), PATIENCE)
    name = server.bill.rows[0].id
    async with client.get("/v1/generation", params={"id": name}) as reply:
        assert reply.status == 404
    writer.close()
    await left(server)
    async with client.get("/v1/generation", params={"id": name}) as reply:
        body = json.loads(await reply.read(), parse_float=Decimal)["data"]
    assert (body["cancelled"], body["total_cost"], body["tokens_completion"]) == (True, Decimal("0.000009"), 2)


async def test_account_endpoints_know_what_was_spent(client: aiohttp.ClientSession) -> None:
    await ask(client, "mock/echo?cost=1.5")
    async with client.get("/api/v1/key") as reply:
        told = (await reply.json())["data"]
    assert (told["usage"], told["budgets"], told["workspace_id"]) == (1.5, [], None)  # as OpenRouter's SDK wants it
    async with client.get("/api/v1/credits") as reply:
        assert (await reply.json())["data"] == {"total_credits": 100, "total_usage": 1.5}


async def test_the_catalogue_has_the_oddities_of_the_real_one(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/v1/models") as reply:
        body = await reply.json()
    models = {model["id"]: model for model in body["data"]}
    assert body["total_count"] == len(models)
    assert models["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert models["openrouter/auto"]["context_length"] is None
    assert any(len(model["pricing"]["prompt"]) == 25 for model in models.values())
    assert any(model["id"] != model["canonical_slug"] for model in models.values())
    assert any(name.startswith("~") for name in models)
    assert any("overrides" in model["pricing"] for model in models.values())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/models/openai/gpt-5-mini", 200),
        ("/api/v1/model/openai/gpt-5-mini", 200),
        ("/api/v1/model/no/body", 404),
        ("/api/v1/models/mock/slow%3Fttft=1/endpoints", 200),
        ("/api/v1/models/mock/model-7", 200),
        ("/api/v1/models/no/body/endpoints", 404),
        ("/openai/v1/models/echo/endpoints", 404),
        ("/openai/v1/models/echo", 200),
        ("/openai/v1/models/nobody", 404),
        ("/anthropic/v1/models/echo", 200),
        ("/anthropic/v1/key", 404),
        ("/openai/v1/nowhere", 404),
        ("/", 404),
    ],
)
async def test_a_path_answers_or_says_that_it_does_not(client: aiohttp.ClientSession, path: str, status: int) -> None:
    async with client.get(path) as reply:
        assert reply.status == status
        assert ("error" in await reply.json()) == (status == 404)


async def test_model_lists_have_the_shape_of_their_provider(client: aiohttp.ClientSession) -> None:
    async with client.get("/openai/v1/models") as reply:
        assert (await reply.json())["data"][0] == {
            "id": "echo",
            "object": "model",
            "created": 1754587407,
            "owned_by": "mock",
        }
    async with client.get("/anthropic/v1/models") as reply:
        body = await reply.json()
    assert (body["has_more"], body["first_id"], body["data"][0]["type"]) == (False, "echo", "model")


async def test_with_a_key_others_are_refused_in_the_words_of_the_provider() -> None:
    server = await start_mock(rules=Rules(Secret("sk-mock")))
    try:
        async with aiohttp.ClientSession(server.root) as client:
            for path, headers, status in (
                ("/api/v1/chat/completions", {}, 401),
                ("/openai/v1/chat/completions", {"Authorization": "Bearer wrong"}, 401),
                ("/anthropic/v1/messages", {"x-api-key": "wrong"}, 401),
                ("/api/v1/chat/completions", {"Authorization": "Bearer sk-mock"}, 200),
                ("/anthropic/v1/messages", {"x-api-key": "sk-mock", "anthropic-version": "2023-06-01"}, 200),
            ):
                fields = {"model": "echo", "messages": HI, "max_tokens": 5}
                async with client.post(path, json=fields, headers=headers) as reply:
                    assert reply.status == status
                    assert ("type" in await reply.json()) == path.startswith("/anthropic")
            for path, status in (("/api/v1/models", 200), ("/openai/v1/models", 401), ("/api/v1/key", 401)):
                async with client.get(path) as reply:
                    assert reply.status == status
            assert len(server.bill.rows) == 2
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("path", "fields", "sentence"),
    [
        ("/openai/v1/chat/completions", {"messages": HI}, "model parameter"),
        ("/api/v1/responses", {"model": "mock/echo", "input": "x", "store": True}, "stateless"),
        ("/api/v1/responses", {"model": "mock/echo", "input": "x", "previous_response_id": "r"}, "stateless"),
        ("/api/v1/embeddings", {"model": "mock/echo", "input": "x", "dimensions": 0}, "dimensions"),
        ("/api/v1/audio/transcriptions", {"model": "mock/echo", "input_audio": {"data": "a"}}, "base64"),
    ],
)
async def test_what_one_provider_insists_on_is_insisted_on(
    client: aiohttp.ClientSession, path: str, fields: dict[str, Any], sentence: str
) -> None:
    async with client.post(path, json=fields) as reply:
        assert reply.status == 400
        assert sentence in (await reply.json())["error"]["message"]


async def test_anthropic_wants_a_maximum_and_openrouter_does_not(client: aiohttp.ClientSession) -> None:
    async with client.post("/anthropic/v1/messages", json={"model": "echo", "messages": HI}, headers=VERSION) as reply:
        assert (reply.status, (await reply.json())["error"]["message"].partition(":")[0]) == (400, "max_tokens")
    assert (await ask(client, "echo", "/api/v1/messages"))["content"][0]["text"] == "one two three four"


async def test_tokens_are_counted_without_a_charge(server: MockServer, client: aiohttp.ClientSession) -> None:
    fields = {"model": "echo", "messages": HI}
    async with client.post("/anthropic/v1/messages/count_tokens", json=fields, headers=VERSION) as reply:
        assert await reply.json() == {"input_tokens": 5}
    async with client.post("/anthropic/v1/messages/count_tokens", data=b"{") as reply:
        assert reply.status == 400
    assert server.bill.rows == []


async def test_a_form_may_name_its_model_after_the_file(server: MockServer, client: aiohttp.ClientSession) -> None:
    for form, start in (("json", b'{"text":'), ("text", b"This is"), ("srt", b"1\n00:"), ("vtt", b"WEBVTT")):
        data = aiohttp.FormData()
        data.add_field("file", b"\x00" * 64_001, filename='a "b" é.wav', content_type="audio/wav")
        data.add_field("response_format", form)
        data.add_field("model", "mock/echo")
        async with client.post("/api/v1/audio/transcriptions", data=data) as reply:
            assert reply.status == 200
            assert (await reply.read()).startswith(start)
    assert [row.turn.asked.model for row in server.bill.rows] == ["mock/echo"] * 4
    assert server.bill.rows[0].cost == Decimal("0.0003") + 6 * Decimal("0.000002")


async def test_a_form_that_cannot_be_read_is_refused(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    async with client.post("/api/v1/audio/transcriptions", data=b"x", headers=headers) as reply:
        assert reply.status == 400


@pytest.mark.parametrize(
    "part",
    [
        b"no colon\r\n\r\nx",
        b'Content-Disposition: form-data; name="\x05"\r\n\r\nx',
        b"None--b--",
        b'Content-Disposition: form-data; name="file"; filename="\x00"\r\n\r\nx',
        b"X: " + b"a" * 70_000 + b"\r\n\r\nx",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/audio/transcriptions", "/openai/v1/files", "/openai/v1/images/edits"])
async def test_a_form_with_a_broken_part_is_refused(client: aiohttp.ClientSession, path: str, part: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with client.post(path, data=b"--b\r\n" + part + b"\r\n--b--\r\n", headers=headers) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]["message"]


async def test_nothing_of_a_transcription_is_none(client: aiohttp.ClientSession) -> None:
    for path in ("/api/v1/audio/transcriptions", "/api/v1/audio/translations", "/openai/v1/audio/transcriptions"):
        async with client.post(path) as reply:
            assert reply.status == 400


async def test_sound_may_come_as_base64(client: aiohttp.ClientSession) -> None:
    audio = {"data": base64.b64encode(b"\x00" * 32_001).decode(), "format": "wav"}
    fields = {"model": "mock/echo", "input_audio": audio, "response_format": "verbose_json"}
    async with client.post("/api/v1/audio/transcriptions", json=fields) as reply:
        body = await reply.json()
    assert (body["duration"], body["usage"]["seconds"]) == (2.0, 2)


async def test_speech_is_bytes_with_a_generation_id(server: MockServer, client: aiohttp.ClientSession) -> None:
    async with client.post("/api/v1/audio/speech", json={"model": "mock/echo", "input": "say this"}) as reply:
        first = await reply.read()
        assert reply.headers["Content-Type"] == "audio/pcm"
        assert reply.headers["X-Generation-Id"] == server.bill.rows[0].id
    fields = {"model": "echo", "input": "say this", "voice": "alloy"}
    async with client.post("/openai/v1/audio/speech", json=fields) as reply:
        assert (reply.content_type, await reply.read()) == ("audio/mpeg", first)


async def test_documents_are_ranked_and_texts_judged(client: aiohttp.ClientSession) -> None:
    ranked = await ask(client, "mock/echo", "/api/v1/rerank", query="q", documents=["a", {"text": "b"}, "c"], top_n=2)
    assert [result["document"] for result in ranked["results"]] == [{"text": "a"}, {"text": "b"}]
    fields = {"model": "mock/echo", "input": ["fine", "FLAG this"]}
    async with client.post("/openai/v1/moderations", json=fields) as reply:
        judged = await reply.json()
    assert [result["flagged"] for result in judged["results"]] == [False, True]
    assert judged["id"].startswith("modr-")


async def test_a_picture_may_be_streamed(server: MockServer, client: aiohttp.ClientSession) -> None:
    for path, done in (("/api/v1/images", True), ("/openai/v1/images/generations", False)):
        async with client.post(path, json={"model": "echo", "prompt": "sun", "stream": True}) as reply:
            text = await reply.text()
        assert "image_generation.completed" in text
        assert text.endswith("data: [DONE]\n\n") == done
        assert ("event: " in text) != done
    assert all(row.completed for row in server.bill.rows)


async def test_files_are_kept_and_forgotten(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/v1/files", json={}) as reply:
        assert reply.status == 400
    data = aiohttp.FormData()
    data.add_field("purpose", "user_data")
    data.add_field("file", b"bytes", filename="a.txt")
    async with client.post("/api/v1/files", data=data) as reply:
        file = await reply.json()
    assert (file["bytes"], file["filename"], file["purpose"]) == (5, "a.txt", "user_data")
    async with client.get(f"/api/v1/files/{file['id']}/content") as reply:
        assert await reply.read() == b"bytes"
    async with client.get("/api/v1/files") as reply:
        assert (await reply.json())["data"] == [file]
    async with client.delete(f"/api/v1/files/{file['id']}") as reply:
        assert (await reply.json())["deleted"] is True
    async with client.get(f"/api/v1/files/{file['id']}") as reply:
        assert reply.status == 404


@pytest.mark.parametrize(
    ("path", "present", "absent"),
    [
        ("/api/v1", {"X-Generation-Id", "Access-Control-Allow-Origin"}, {"x-request-id", "request-id", "Set-Cookie"}),
        ("/openai/v1", {"x-request-id", "openai-processing-ms", "Set-Cookie"}, {"X-Generation-Id", "request-id"}),
        ("/anthropic/v1", {"request-id", "anthropic-ratelimit-requests-limit"}, {"X-Generation-Id", "x-request-id"}),
    ],
)
async def test_headers_are_those_of_the_provider(
    client: aiohttp.ClientSession, path: str, present: set[str], absent: set[str]
) -> None:
    for stream, kind in ((False, "application/json"), (True, "text/event-stream")):
        fields = {"model": "echo", "messages": HI, "stream": stream}
        async with client.post(path + "/chat/completions", json=fields) as reply:
            assert all(name in reply.headers for name in present)
            assert not any(name in reply.headers for name in absent)
            charset = "" if path == "/api/v1" or not stream else "; charset=utf-8"
            assert reply.headers["Content-Type"] == kind + charset


@pytest.mark.parametrize("path", sorted(CALLS))
async def test_every_endpoint_fails_on_demand(client: aiohttp.ClientSession, path: str) -> None:
    fields = {"model": "mock/error?status=503", "input": "x", "prompt": "x", "query": "x", "documents": ["x"]}
    async with client.post("/api/v1" + path, json={**fields, "messages": HI}) as reply:
        assert reply.status == 503


async def test_the_same_question_gets_the_same_answer(client: aiohttp.ClientSession) -> None:
    answers = [await ask(client, "mock/reasoning?thoughts=2") for _ in range(2)]
    assert answers[0].pop("id") != answers[1].pop("id")
    for answer in answers:
        answer.pop("created")
    assert answers[0] == answers[1]


async def test_a_port_that_is_taken_is_an_error(server: MockServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await start_mock(port=server.port)
