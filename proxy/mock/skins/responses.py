"""The Responses API: OpenAI's, and OpenRouter's skin of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from proxy.mock.answer import Turn
from proxy.mock.asked import offered_tools
from proxy.mock.envelopes import Failure, response_error
from proxy.mock.frames import Frame, Part, named
from proxy.mock.skins.chat import comments_first
from proxy.mock.skins.usage import response_usage

Event = tuple[dict[str, Any], int]

_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "compaction": {},
    "reasoning": {"summary": []},
}


def response_body(turn: Turn) -> dict[str, Any]:
    """A reply that is not streamed, or the `response` of the terminal event."""
    cut = turn.answer.finish == "length"
    output = [item for item, _ in _items(turn)] if turn.behaviour.name != "empty-choices" else []
    return {
        **_head(turn, "incomplete" if cut else "completed"),
        "completed_at": None if cut else turn.created,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": response_usage(turn),
    }


def begun_body(turn: Turn, status: str) -> dict[str, Any]:
    """The response before there is anything of it."""
    return {**_head(turn, status), "completed_at": None, "incomplete_details": None, "output": [], "usage": None}


def compaction_body(turn: Turn) -> dict[str, Any]:
    """What a conversation comes to that is made shorter: what its user said, and a text that only OpenAI can read."""
    items = turn.asked.fields.get("input")
    items = items if isinstance(items, list) else [{"role": "user", "content": turn.asked.prompt}]
    said = [item for item in items if isinstance(item, dict) and item.get("role") == "user"]
    return {
        "id": turn.reply_id,
        "object": "response.compaction",
        "created_at": turn.created,
        "output": [*[_as_output(turn, number, item) for number, item in enumerate(said)], _compaction(turn)],
        "usage": response_usage(turn),
    }


def response_frames(turn: Turn) -> Iterator[Frame]:
    """A streamed reply: numbered events, ended by one that carries the usage; no [DONE]."""
    yield from comments_first(turn)
    numbers = count()
    opening = begun_body(turn, "in_progress")
    for kind in ("response.created", "response.in_progress"):
        yield _numbered({"type": kind, "response": opening}, next(numbers))
    items = _items(turn) if turn.behaviour.name != "empty-choices" else []
    for index, (item, deltas) in enumerate(items):
        for event, tokens in _item_events(index, item, deltas):
            yield _numbered(event, next(numbers), "event", tokens)
    body = response_body(turn)
    # One event is both the finish reason and the end, so `no-done` and `no-finish` both lose it.
    yield _numbered({"type": f"response.{body['status']}", "response": body}, next(numbers), "finish-done")


def response_failure(failure: Failure, sequence_number: int) -> list[Frame]:
    """An error inside a stream."""
    return [named(response_error(failure, sequence_number))]


def _head(turn: Turn, status: str) -> dict[str, Any]:
    fields = turn.asked.fields
    routed = turn.asked.profile == "openrouter"
    text = fields.get("text")
    return {
        "id": turn.reply_id,
        "object": "response",
        "created_at": turn.created,
        "status": status,
        "background": turn.asked.in_background,
        "error": None,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "instructions": fields.get("instructions"),
        "max_output_tokens": turn.asked.maximum,
        "model": turn.served,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": not routed,
        "temperature": fields.get("temperature", 1.0),
        "text": text if isinstance(text, dict) else {"format": {"type": "text"}},
        "tool_choice": fields.get("tool_choice", "auto"),
        "tools": fields.get("tools") if isinstance(fields.get("tools"), list) else [],
        "top_p": fields.get("top_p", 1.0),
        "truncation": "disabled",
        "metadata": fields.get("metadata") if isinstance(fields.get("metadata"), dict) else {},
    }


def _items(turn: Turn) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """The finished output items with the pieces they are streamed in."""
    answer = turn.answer
    items: list[tuple[dict[str, Any], tuple[str, ...]]] = []
    if answer.thoughts:
        summary = [{"type": "summary_text", "text": "".join(answer.thoughts)}]
        items.append(({"id": f"rs_{turn.suffix}", "type": "reasoning", "summary": summary}, answer.thoughts))
    status = "incomplete" if answer.finish == "length" else "completed"
    if answer.tool:
        return [*items, (_call(turn, answer.tool, status), answer.arguments)]
    if _is_to_compact(turn):
        return [(_compaction(turn), ())]
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}]
    message = {"id": f"msg_{turn.suffix}", "type": "message", "status": status, "role": "assistant"}
    return [*items, ({**message, "content": content}, answer.words)]


def _call(turn: Turn, name: str, status: str) -> dict[str, Any]:
    offered, said = offered_tools(turn.asked).get(name), "".join(turn.answer.arguments)
    call = {"status": status, "call_id": f"call_{turn.suffix}", "name": name}
    if offered is not None and offered.namespace is not None:
        call["namespace"] = offered.namespace
    if offered is not None and offered.is_custom:
        return {"id": f"ctc_{turn.suffix}", "type": "custom_tool_call", **call, "input": said}
    return {"id": f"fc_{turn.suffix}", "type": "function_call", **call, "arguments": said}


def _compaction(turn: Turn) -> dict[str, Any]:
    return {"id": f"cmp_{turn.suffix}", "type": "compaction", "encrypted_content": turn.answer.text}


def _as_output(turn: Turn, number: int, item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    parts = content if isinstance(content, list) else [{"type": "input_text", "text": content}]
    return {
        "id": f"msg_{turn.suffix}{number}",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": parts,
    }


def _is_to_compact(turn: Turn) -> bool:
    """Whether the conversation is to be made shorter, which OpenAI does where its last item says so."""
    items = turn.asked.fields.get("input")
    last = items[-1] if isinstance(items, list) and items else None
    return turn.asked.profile == "openai" and isinstance(last, dict) and last.get("type") == "compaction_trigger"


def _item_events(index: int, item: dict[str, Any], pieces: tuple[str, ...]) -> Iterator[Event]:
    opened = {**item, **_EMPTY[item["type"]]}
    if "status" in item:
        opened["status"] = "in_progress"
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}, 0
    if (inner := _EVENTS.get(item["type"])) is not None:
        yield from inner({"item_id": item["id"], "output_index": index}, item, pieces)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}, 0


def _text_events(place: dict[str, Any], item: dict[str, Any], pieces: tuple[str, ...]) -> Iterator[Event]:
    place = {**place, "content_index": 0}
    part = item["content"][0]
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}, 0
    for piece in pieces:
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}, 1
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}, 0
    yield {"type": "response.content_part.done", **place, "part": part}, 0


def _call_events(place: dict[str, Any], item: dict[str, Any], pieces: tuple[str, ...]) -> Iterator[Event]:
    for piece in pieces:
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}, 1
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **place, **done}, 0


def _custom_events(place: dict[str, Any], item: dict[str, Any], pieces: tuple[str, ...]) -> Iterator[Event]:
    for piece in pieces:
        yield {"type": "response.custom_tool_call_input.delta", **place, "delta": piece}, 1
    yield {"type": "response.custom_tool_call_input.done", **place, "input": item["input"]}, 0


def _summary_events(place: dict[str, Any], item: dict[str, Any], pieces: tuple[str, ...]) -> Iterator[Event]:
    place = {**place, "summary_index": 0}
    part = item["summary"][0]
    yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}, 0
    for piece in pieces:
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}, 1
    yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}, 0
    yield {"type": "response.reasoning_summary_part.done", **place, "part": part}, 0


_EVENTS = {
    "message": _text_events,
    "function_call": _call_events,
    "custom_tool_call": _custom_events,
    "reasoning": _summary_events,
}


def _numbered(event: dict[str, Any], number: int, part: Part = "event", tokens: int = 0) -> Frame:
    kind, *rest = event.items()
    return named(dict([kind, ("sequence_number", number), *rest]), part, tokens)
