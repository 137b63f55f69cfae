"""Builders of what upstreams say: chat chunks, usage in its many places, whole replies, by provider."""

from __future__ import annotations

import json
from typing import Any

DONE = b"data: [DONE]\n\n"
OPENROUTER_COMMENT = b": OPENROUTER PROCESSING\n\n"
OPENROUTER_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 4,
    "total_tokens": 15,
    "cost": 0.0000425,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
    "cost_details": {"upstream_inference_cost": None},
}
OPENAI_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 4,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def event(value: Any, name: str | None = None) -> bytes:
    """One event with JSON data."""
    data = b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
    return data if name is None else b"event: " + name.encode() + b"\n" + data


def chat_chunk(text: str | None = None, *, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    """One `chat.completion.chunk`; `text` None leaves the delta empty."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    choices = [{"index": index, "delta": delta, "finish_reason": finish}]
    return event(
        {"id": "gen-1", "object": "chat.completion.chunk", "model": "openai/gpt-4o", "choices": choices, **more}
    )


def usage_chunk(usage: Any, choices: Any = ()) -> bytes:
    """OpenAI's and OpenRouter's last chunk: usage and no choices."""
    return event(
        {"id": "gen-1", "object": "chat.completion.chunk", "model": "openai/gpt-4o", "choices": choices, "usage": usage}
    )


def chat_stream(usage: bytes | None = None, text: str = "Hello wörld 😀") -> bytes:
    """A complete chat stream; `usage` is the event that carries usage."""
    middle = b"" if usage is None else usage
    return chat_chunk(text) + chat_chunk(finish="stop") + middle + DONE


OPENROUTER_USAGE_SHAPES = {
    "empty_choices": usage_chunk(OPENROUTER_USAGE),
    "dummy_delta": usage_chunk(
        OPENROUTER_USAGE, [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    ),
    "repeated_finish": usage_chunk(
        OPENROUTER_USAGE,
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "finish_reason": "stop",
                "native_finish_reason": "stop",
            }
        ],
    ),
}


def chat_reply(text: str = "Hello", usage: Any = None, **more: Any) -> dict[str, Any]:
    """A whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = OPENROUTER_USAGE if usage is None else usage
    return {
        "id": "gen-1",
        "object": "chat.completion",
        "model": "openai/gpt-4o",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def error_body(message: str = "It broke.", code: Any = 503, **more: Any) -> dict[str, Any]:
    """An error envelope as OpenRouter has it."""
    return {"error": {"message": message, "code": code, **more}}


def anthropic_stream(output_tokens: int = 4, text: str = "Héllo", **delta_usage: int) -> bytes:
    """A complete Messages stream, with its `event:` lines."""
    start_usage = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 1,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": start_usage,
    }
    return b"".join(
        [
            event({"type": "message_start", "message": message}, "message_start"),
            event(
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                "content_block_start",
            ),
            event({"type": "ping"}, "ping"),
            event(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
                "content_block_delta",
            ),
            event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
            event(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn"},
                    "usage": {"output_tokens": output_tokens, **delta_usage},
                },
                "message_delta",
            ),
            event({"type": "message_stop"}, "message_stop"),
        ]
    )


def responses_stream(last: str = "response.completed") -> bytes:
    """A Responses stream that ends with `last`; there is no [DONE]."""
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 15,
    }
    begun = {
        "id": "resp_1",
        "object": "response",
        "status": "in_progress",
        "model": "gpt-4o",
        "output": [],
        "usage": None,
    }
    ended = {**begun, "status": last.partition(".")[2], "usage": usage}
    return b"".join(
        [
            event({"type": "response.created", "response": begun, "sequence_number": 0}, "response.created"),
            event(
                {"type": "response.output_text.delta", "delta": "Hé", "sequence_number": 1},
                "response.output_text.delta",
            ),
            event({"type": last, "response": ended, "sequence_number": 2}, last),
        ]
    )


def ollama_completions_stream() -> bytes:
    """Ollama's /v1/completions: zeros in every chunk, the truth in the last."""
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    last = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
    return (
        event(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "choices": [{"index": 0, "text": "He", "finish_reason": None}],
                "usage": zeros,
            }
        )
        + event(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "choices": [{"index": 0, "text": "", "finish_reason": "stop"}],
                "usage": zeros,
            }
        )
        + event({"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": last})
        + DONE
    )


def vllm_stream() -> bytes:
    """vLLM's continuous usage: each chunk counts up."""
    first, second, last = ({"prompt_tokens": 11, "completion_tokens": n, "total_tokens": 11 + n} for n in (1, 3, 4))
    return (
        chat_chunk("He", usage=first) + chat_chunk("llo", usage=second) + chat_chunk(finish="stop", usage=last) + DONE
    )
