"""The bytes that travel: requests as an OpenAI client sends them, replies as OpenRouter shapes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

CLIENT_KEY = "tk-bench-0123456789abcdef0123456789abcdef"
PATH = "/api/v1/chat/completions"
IMAGE_BYTES = 4 * 10**6
EVENT_INTERVAL_MS = 20

# what the client sends: short names of its own, so that a proxy that knows them has to write the model anew
SMALL_ALIAS, STREAM_ALIAS = "quick", "story"
# leads to the upstream that streams as well, and is said to speak nothing but chat
CHAT_ONLY_ALIAS = "tale"
# what they stand for; the second leads to the upstream that streams
SMALL_MODEL, STREAM_MODEL = "openai/gpt-4o-mini", "anthropic/claude-3.5-haiku"
_ID = "gen-1763700000-q8ZPp0dWvK3mXbT7cRfY"


# stands for the number of a call, and is as long as it
NUMBER = "@@@@@@@@"
_DESCRIPTION = (
    "Looks at what is asked for, does what has to be done about it, and says in a few words what became of that. " * 3
)


class Door(NamedTuple):
    """How one kind of call enters a proxy."""

    port: int
    model: str
    path: str = PATH
    headers: Mapping[str, str] = MappingProxyType({})
    key: str = CLIENT_KEY


def _dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def small_request(door: Door) -> bytes:
    """A short chat call."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant. Answer in one sentence."},
        {"role": "user", "content": "What is the capital of France, and since when has it been?"},
    ]
    return _request(door, {"model": door.model, "messages": messages, "temperature": 0.7, "max_tokens": 200})


def stream_request(door: Door, events: int, interval_ms: int) -> bytes:
    """A streamed call. The upstream sends `max_tokens` events, one every `seed` milliseconds: every proxy passes these on.

    Only chat has a `seed`; without one the upstream keeps to `EVENT_INTERVAL_MS`.
    """
    asked = [{"role": "user", "content": "Tell me a story of two hundred words."}]
    if door.path.endswith("/responses"):
        return _request(door, {"model": door.model, "input": asked, "stream": True, "max_output_tokens": events})
    body = {"model": door.model, "messages": asked, "stream": True, "max_tokens": events}
    return _request(door, body if door.path.endswith("/messages") else {**body, "seed": interval_ms})


def agent_request(door: Door, calls: int = 8, lines: int = 60) -> bytes:
    """A turn of an agent, 15 KB: its tools, and what it called them for, as many times and with as many lines each; with a trace and a
    user of its own in every call."""
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "line": {"type": "integer"}},
        "required": ["path"],
    }
    tools = [
        {"type": "function", "function": {"name": f"tool_{number}", "description": _DESCRIPTION, "parameters": schema}}
        for number in range(10)
    ]
    messages: list[dict[str, object]] = [{"role": "system", "content": _DESCRIPTION * 4}]
    for number in range(calls):
        called = {"name": "tool_1", "arguments": json.dumps({"path": "src/main.py", "line": number})}
        call = {"id": f"call_{number}", "type": "function", "function": called}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append(
            {"role": "tool", "tool_call_id": f"call_{number}", "content": "def main():\n    return 0\n" * (lines // 2)}
        )
    body = {"model": door.model, "messages": messages, "tools": tools, "max_tokens": 200, "user": f"user-{NUMBER}"}
    traced = door._replace(headers={**door.headers, "traceparent": f"00-{NUMBER * 4}-{NUMBER * 2}-01"})
    return _request(traced, body)


def image_request(door: Door) -> bytes:
    """A chat call with one picture of 4 MB, base64 included."""
    picture = base64.b64encode(bytes(range(256)) * (IMAGE_BYTES * 3 // 4 // 256)).decode()
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}},
    ]
    return _request(door, {"model": door.model, "messages": [{"role": "user", "content": content}], "max_tokens": 200})


def small_reply() -> bytes:
    """A reply to `small_request`, with its usage and cost."""
    answer = "The capital of France is Paris, which has held that role almost without a break since 987."
    choice = {
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "stop",
        "index": 0,
        "message": {"role": "assistant", "content": answer, "refusal": None, "reasoning": None},
    }
    reply = {"id": _ID, "provider": "OpenAI", "model": SMALL_MODEL, "object": "chat.completion"}
    return _dumped({**reply, "created": 1763700000, "choices": [choice], "usage": _usage(38, 22)})


def event(word: str) -> bytes:
    """One event of a stream: a word of the answer."""
    delta = {"role": "assistant", "content": word}
    choice = {"index": 0, "delta": delta, "finish_reason": None, "native_finish_reason": None, "logprobs": None}
    return _event([choice])


def last_events() -> bytes:
    """The end of a stream: the finish, the usage, the terminal event."""
    delta = {"role": "assistant", "content": ""}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop", "native_finish_reason": "stop", "logprobs": None}
    return _event([choice]) + _event([], usage=_usage(18, 200)) + b"data: [DONE]\n\n"


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    chunk = {"id": _ID, "provider": "Anthropic", "model": STREAM_MODEL, "object": "chat.completion.chunk"}
    return b"data: " + _dumped({**chunk, "created": 1763700000, "choices": choices, **more}) + b"\n\n"


def _usage(prompt: int, completion: int) -> dict[str, object]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": 0.0000189,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _request(door: Door, body: dict[str, object]) -> bytes:
    """A whole HTTP/1.1 request, as an SDK sends it."""
    content = _dumped(body)
    headers = {
        "Host": f"127.0.0.1:{door.port}",
        "Authorization": f"Bearer {door.key}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "bench/1",
        **door.headers,
        "Content-Length": str(len(content)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {door.path} HTTP/1.1\r\n{lines}\r\n".encode() + content
