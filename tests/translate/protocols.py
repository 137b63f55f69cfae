"""The three protocols in the tests of translation: upstreams' events, and the official SDKs that read what is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import anthropic
import httpx2
import openai

from proxy.translate.bridge import Bridge, read_request, write_request
from proxy.translate.losses import Loss, Losses
from proxy.translate.values import Aim, Identity, Protocol, Request

IDENTITY = Identity("a1b2c3", 1_784_050_000)
PROTOCOLS: tuple[Protocol, ...] = ("chat", "messages", "responses")
PAIRS = [(source, target) for source in PROTOCOLS for target in PROTOCOLS if source != target]
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}


def translated(
    source: Protocol, target: Protocol, body: dict[str, Any], **aim: Any
) -> tuple[dict[str, Any], list[Loss]]:
    """A request as it goes out to `target`, and what was lost of it."""
    losses = Losses()
    request = read_request(source, json.dumps(body).encode(), losses)
    written = write_request(request, Aim(target, **{"model": "m", **aim}), losses)
    return json.loads(written), list(losses.sort())


def lost(losses: Iterable[Loss]) -> list[str]:
    """The fields, in short."""
    return [loss.field for loss in losses]


def bridge(source: Protocol, target: Protocol, request: Request | dict[str, Any] | None = None) -> Bridge:
    """The way back; `request` as the client sent it, or as it was read."""
    if isinstance(request, dict):
        request = read_request(target, json.dumps(request).encode(), Losses())
    return Bridge(source, target, request or asking(target), IDENTITY)


def asking(target: Protocol, **members: Any) -> Request:
    """A request of that protocol that wants to be shown everything."""
    bodies: dict[Protocol, dict[str, Any]] = {
        "chat": {"stream_options": {"include_usage": True}},
        "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "responses": {},
    }
    return read_request(target, json.dumps({**bodies[target], **members}).encode(), Losses())


def stream_of(source: Protocol, events: Sequence[Any], *, done: bool = True) -> bytes:
    """Events as an upstream sends them."""
    if source == "chat":
        chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        return b"".join(chunks) + (b"data: [DONE]\n\n" if done else b"")
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def passed(one: Bridge, stream: bytes, size: int = 0) -> bytes:
    """What the client gets of a stream that comes in pieces of that size, and ends."""
    step = size or len(stream) or 1
    pieces = [one.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    return b"".join(pieces) + one.finish()


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The data of a client's events."""
    found = []
    for event in stream.decode().split("\n\n"):
        data = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
        if data and data[0] != "[DONE]":
            found.append(json.loads(data[0]))
    return found


def _answering(content: bytes, headers: dict[str, str]) -> httpx2.Client:
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=content))
    )


def read_stream(target: Protocol, stream: bytes) -> Any:
    """What the official SDK makes of a stream, as plain data. Raises what it raises."""
    return _plain(_READ_STREAM[target](_answering(stream, EVENTS)))


def read_whole(target: Protocol, body: bytes) -> Any:
    """What the official SDK makes of a reply, as plain data; its types are checked."""
    return _plain(_READ_WHOLE[target](_answering(body, JSON)))


def _plain(parsed: Any) -> Any:
    said = parsed.model_dump(mode="json", by_alias=True, warnings="error")
    return _bare(said)


def _bare(value: Any) -> Any:
    """Without what only the SDK's helpers add or leave out, and what is null; arguments by what they say."""
    if isinstance(value, dict):
        kept = {name: _bare(inner) for name, inner in value.items() if inner not in (None, []) and name not in _HELPERS}
        if kept.get("type") == "function":
            kept.pop("index", None)
        if isinstance(kept.get("arguments"), str):
            kept["arguments"] = _json(kept["arguments"])
        return kept
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_HELPERS = {"parsed", "parsed_arguments", "parsed_output", "native_finish_reason"}


def _openai(client: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url="http://x/v1", api_key="sk-any", http_client=client, max_retries=0)


def _anthropic(client: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url="http://x", api_key="sk-any", http_client=client, max_retries=0)


def _chat_stream(client: httpx2.Client) -> Any:
    options = {"include_usage": True}
    with _openai(client).chat.completions.stream(model="m", messages=[], stream_options=options) as stream:
        return stream.get_final_completion()


def _responses_stream(client: httpx2.Client) -> Any:
    with _openai(client).responses.stream(model="m", input="") as stream:
        *_, last = stream
        return last.response if last.type == "response.incomplete" else stream.get_final_response()


def _messages_stream(client: httpx2.Client) -> Any:
    with _anthropic(client).messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        return stream.get_final_message()


_READ_STREAM = {"chat": _chat_stream, "responses": _responses_stream, "messages": _messages_stream}
_READ_WHOLE = {
    "chat": lambda client: _openai(client).chat.completions.create(model="m", messages=[]),
    "responses": lambda client: _openai(client).responses.create(model="m", input=""),
    "messages": lambda client: _anthropic(client).messages.create(model="m", max_tokens=9, messages=[]),
}
