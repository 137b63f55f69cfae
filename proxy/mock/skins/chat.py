"""Chat completions: OpenRouter's, OpenAI's, and the one Anthropic offers for compatibility."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from proxy.mock.answer import Turn
from proxy.mock.envelopes import Failure, envelope, openrouter_error
from proxy.mock.frames import COMMENT, DONE, Frame, plain
from proxy.mock.skins.usage import chat_usage

_NATIVE = {"stop": "completed", "length": "max_output_tokens", "tool_calls": "completed"}
_COMMENTS_FIRST = 2


def chat_body(turn: Turn) -> dict[str, Any]:
    """A reply that is not streamed."""
    choices: list[dict[str, Any]] | None = [_choice(turn, index) for index in range(turn.asked.choices)]
    if turn.behaviour.name == "empty-choices":
        choices = None if turn.behaviour.null else []
    head = _head(turn, "chat.completion")
    usage = chat_usage(turn)
    if turn.asked.profile == "openrouter":
        return {**head, "system_fingerprint": None, "choices": choices, "usage": usage}
    tier = "default" if turn.asked.profile == "openai" else None
    return {**head, "choices": choices, "usage": usage, "service_tier": tier, "system_fingerprint": None}


def chat_frames(turn: Turn) -> Iterator[Frame]:
    """A streamed reply; the choices of `n` interleave."""
    yield from comments_first(turn)
    indexes = range(turn.asked.choices)
    for index in indexes:
        yield _event(turn, index, {"content": ""} if turn.asked.profile != "openai" else _FIRST)
    for delta in _deltas(turn):
        for index in indexes:
            yield _event(turn, index, delta, tokens=1)
    if turn.answer.image is not None:
        for index in indexes:
            delta = {"content": "", "images": _images(turn)}
            yield _event(turn, index, delta, tokens=turn.answer.image_tokens // len(indexes))
    for index in indexes:
        choice = _finished(turn, index)
        yield plain(_chunk(turn, [choice]), "finish")
    yield from _usage_frames(turn)
    yield DONE


def comments_first(turn: Turn) -> Iterator[Frame]:
    """OpenRouter's keep-alive comments before the first event, or as many as the model name asks for."""
    if turn.behaviour.name == "comments":
        yield from [COMMENT] * turn.behaviour.n
    elif turn.asked.profile == "openrouter":
        yield from [COMMENT] * _COMMENTS_FIRST


def chat_error(turn: Turn, failure: Failure, emitted: int) -> list[Frame]:
    """An error inside a stream: OpenRouter's documented, recorded or string-coded form, or OpenAI's."""
    if turn.asked.profile != "openrouter":
        return [plain({"error": envelope("openai", "chat/completions", failure, "")["error"]})]
    head = _head(turn, "chat.completion.chunk")
    if turn.behaviour.style == "recorded":
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        given = turn.answer.input_tokens
        usage = {"prompt_tokens": given, "completion_tokens": emitted, "total_tokens": given + emitted}
        error = {"code": failure.status, "message": failure.text}
        return [plain({**head, "choices": [choice], "error": error, "usage": usage}), DONE]
    error = openrouter_error(failure)
    if turn.behaviour.style == "string":
        error["code"] = failure.code or "server_error"
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    return [plain({**head, "error": error, "choices": [choice]})]


_FIRST: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}


def _head(turn: Turn, kind: str) -> dict[str, Any]:
    head: dict[str, Any] = {"id": turn.reply_id, "object": kind, "created": turn.created, "model": turn.served}
    if turn.asked.profile == "openrouter":
        head["provider"] = "Mock"
    return head


def _choice(turn: Turn, index: int) -> dict[str, Any]:
    answer, finish = turn.answer, turn.answer.finish
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.tool else answer.text,
        "refusal": None,
    }
    if answer.tool:
        message["tool_calls"] = [_tool(turn, "".join(answer.arguments))]
    if turn.asked.profile != "openrouter":
        message |= {"annotations": []} if turn.asked.profile == "openai" else {}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
    thought = "".join(answer.thoughts)
    message["reasoning"] = thought or None
    message["reasoning_details"] = [_reasoning(thought)] if thought else []
    if answer.image:
        message["images"] = _images(turn)
    return {
        "index": index,
        "logprobs": None,
        "finish_reason": finish,
        "native_finish_reason": _NATIVE[finish],
        "message": message,
    }


def _deltas(turn: Turn) -> Iterator[dict[str, Any]]:
    answer = turn.answer
    for thought in answer.thoughts:
        # Only OpenRouter shows thoughts here; elsewhere they pass in silence, but cost the same.
        shown = {"reasoning": thought, "reasoning_details": [_reasoning(thought)]}
        yield {"content": "", **(shown if turn.asked.profile == "openrouter" else {})}
    for word in answer.words:
        yield {"content": word}
    for at, piece in enumerate(answer.arguments):
        if at:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        else:
            yield {"tool_calls": [{"index": 0, **_tool(turn, piece)}]}


def _event(turn: Turn, index: int, delta: dict[str, Any], tokens: int = 0) -> Frame:
    if turn.asked.profile == "openrouter":
        choice = {
            "index": index,
            "delta": {"role": "assistant", "content": "", **delta},
            "finish_reason": None,
            "native_finish_reason": None,
            "logprobs": None,
        }
    else:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    return plain(_chunk(turn, [choice]), "event", tokens)


def _finished(turn: Turn, index: int) -> dict[str, Any]:
    finish = turn.answer.finish
    if turn.asked.profile != "openrouter":
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": finish}
    return {
        "index": index,
        "delta": {"role": "assistant", "content": ""},
        "finish_reason": finish,
        "native_finish_reason": _NATIVE[finish],
        "logprobs": None,
    }


def _chunk(turn: Turn, choices: list[dict[str, Any]]) -> dict[str, Any]:
    kept: list[dict[str, Any]] | None = choices
    if turn.behaviour.name == "empty-choices":
        kept = None if turn.behaviour.null else []
    head = _head(turn, "chat.completion.chunk")
    if turn.asked.profile == "openrouter":
        return {**head, "choices": kept}
    if turn.asked.profile == "openai":
        head |= {"service_tier": "default", "system_fingerprint": "fp_mock"}
    chunk = {**head, "choices": kept}
    if _options(turn).get("include_usage") is True:
        chunk["usage"] = None
    return _padded(turn, chunk, repr(choices))


def _padded(turn: Turn, chunk: dict[str, Any], seed: str) -> dict[str, Any]:
    """OpenAI's padding, which hides the length of a word; here made from the chunk itself."""
    if turn.asked.profile == "openai" and _options(turn).get("include_obfuscation") is not False:
        digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()
        chunk["obfuscation"] = digest[: 4 + int(digest[0], 16)]
    return chunk


def _usage_frames(turn: Turn) -> Iterator[Frame]:
    shape, usage = turn.behaviour.usage_shape, chat_usage(turn)
    if turn.asked.profile != "openrouter":
        if _options(turn).get("include_usage") is True:
            yield plain(_padded(turn, {**_chunk(turn, []), "usage": usage}, "usage"), "usage")
    elif shape == 1:
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        yield plain({**_chunk(turn, [choice]), "usage": usage}, "usage")
    elif shape == 2:
        yield plain({**_chunk(turn, []), "usage": usage}, "usage")
    else:
        chunk = _chunk(turn, [_finished(turn, 0)])
        yield plain({**chunk, "service_tier": "default", "usage": usage}, "usage")


def _options(turn: Turn) -> dict[str, Any]:
    options = turn.asked.fields.get("stream_options")
    return options if isinstance(options, dict) else {}


def _tool(turn: Turn, arguments: str) -> dict[str, Any]:
    function = {"name": turn.answer.tool, "arguments": arguments}
    return {"id": f"call_{turn.suffix}", "type": "function", "function": function}


def _reasoning(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "signature": None, "id": None, "format": "unknown", "index": 0}


def _images(turn: Turn) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{turn.answer.image}"}, "index": 0}]
