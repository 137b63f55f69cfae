"""The bytes that travel: requests as an OpenAI client sends them, replies as OpenRouter shapes them."""

from __future__ import annotations

import base64
import json

CLIENT_KEY = "tk-bench-0123456789abcdef0123456789abcdef"
PATH = "/api/v1/chat/completions"
EVENTS_HEADER = "x-bench-events"
INTERVAL_HEADER = "x-bench-interval-ms"
IMAGE_BYTES = 4 * 10**6

_SMALL_MODEL = "openai/gpt-4o-mini"
# the daemon's configuration sends this author's models to the upstream that streams
_STREAM_MODEL = "anthropic/claude-3.5-haiku"
_ID = "gen-1763700000-q8ZPp0dWvK3mXbT7cRfY"


def _dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def small_body() -> bytes:
    """A short chat call."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant. Answer in one sentence."},
        {"role": "user", "content": "What is the capital of France, and since when has it been?"},
    ]
    return _dumped({"model": _SMALL_MODEL, "messages": messages, "temperature": 0.7, "max_tokens": 200})


def stream_body() -> bytes:
    """The same, streamed."""
    messages = [{"role": "user", "content": "Tell me a story of two hundred words."}]
    return _dumped({"model": _STREAM_MODEL, "messages": messages, "stream": True, "max_tokens": 400})


def image_body() -> bytes:
    """A chat call with one picture of 4 MB, base64 included."""
    picture = base64.b64encode(bytes(range(256)) * (IMAGE_BYTES * 3 // 4 // 256)).decode()
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}},
    ]
    return _dumped({"model": _STREAM_MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 200})


def small_reply() -> bytes:
    """A reply to `small_body`, with its usage and cost."""
    answer = "The capital of France is Paris, which has held that role almost without a break since 987."
    choice = {
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "stop",
        "index": 0,
        "message": {"role": "assistant", "content": answer, "refusal": None, "reasoning": None},
    }
    reply = {"id": _ID, "provider": "OpenAI", "model": _SMALL_MODEL, "object": "chat.completion"}
    return _dumped({**reply, "created": 1763700000, "choices": [choice], "usage": _usage(38, 22)})


def event() -> bytes:
    """One event of a stream: a word of the answer."""
    delta = {"role": "assistant", "content": " story"}
    choice = {"index": 0, "delta": delta, "finish_reason": None, "native_finish_reason": None, "logprobs": None}
    return _event([choice])


def last_events() -> bytes:
    """The end of a stream: the finish, the usage, the terminal event."""
    delta = {"role": "assistant", "content": ""}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop", "native_finish_reason": "stop", "logprobs": None}
    return _event([choice]) + _event([], usage=_usage(18, 200)) + b"data: [DONE]\n\n"


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    chunk = {"id": _ID, "provider": "Anthropic", "model": _STREAM_MODEL, "object": "chat.completion.chunk"}
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


def request_headers() -> dict[str, str]:
    """What every request carries beside Host and Content-Length."""
    return {
        "Authorization": f"Bearer {CLIENT_KEY}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "bench/1",
    }


def request(port: int, body: bytes, more: dict[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 request to a port of this machine."""
    headers = {"Host": f"127.0.0.1:{port}", **request_headers(), **(more or {}), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


def stream_request(port: int, events: int, interval_ms: int) -> bytes:
    """A request answered with so many events, one every `interval_ms`."""
    return request(port, stream_body(), {EVENTS_HEADER: str(events), INTERVAL_HEADER: str(interval_ms)})
