"""Neutral replies, whole, in each protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate import responses_output
from proxy.translate.chat_stream import annotation, chat_logprobs
from proxy.translate.chat_writing import details
from proxy.translate.faults import named_id
from proxy.translate.messages_stream import web_citation
from proxy.translate.messages_writing import thought_block
from proxy.translate.responses_output import (
    call_item,
    cut_off,
    ended,
    head,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
)
from proxy.translate.stops import settled, to_chat, to_messages
from proxy.translate.usage import chat_usage, messages_usage
from proxy.translate.values import Identity, Part, Reasoning, Refusal, Reply, Text, ToolUse


def chat_reply(reply: Reply, identity: Identity, *, shown: bool, functions: bool = False) -> dict[str, Any]:
    """A chat completion; `functions`: of a client that knows of those, and not of tools."""
    texts = [part for part in reply.parts if isinstance(part, Text)]
    calls = [_chat_call(part) for part in reply.parts if isinstance(part, ToolUse)]
    refusal = "".join(part.text for part in reply.parts if isinstance(part, Refusal))
    said = "".join(part.text for part in texts)
    message: dict[str, Any] = {"role": "assistant", "content": said or (None if calls or refusal else "")}
    message["refusal"] = refusal or None
    if calls and functions:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    if citations := _cited(texts):
        message["annotations"] = citations
    thoughts = [part for part in reply.parts if isinstance(part, Reasoning)] if shown else []
    if thoughts:
        message["reasoning"] = "".join(thought.text for thought in thoughts) or None
        blocks: list[dict[str, Any]] = []
        for thought in thoughts:
            blocks += details(thought, len(blocks))
        message["reasoning_details"] = blocks
    ending = reply.ending
    finish = to_chat(settled(ending.stop, has_tools=bool(calls)), functions=functions)
    likely = [token for part in texts for token in part.logprobs]
    choice = {"index": 0, "message": message, "logprobs": chat_logprobs(likely), "finish_reason": finish}
    choice["native_finish_reason"] = ending.native or None
    return {
        "id": named_id("chat", identity),
        "object": "chat.completion",
        "created": identity.created,
        "model": reply.model,
        "choices": [choice],
        "usage": chat_usage(ending.usage),
        **({"service_tier": ending.tier} if ending.tier else {}),
    }


def _cited(texts: list[Text]) -> list[dict[str, Any]]:
    """Where the words of a message come from, that are said in these texts."""
    notes, at = [], 0
    for part in texts:
        end = at + len(part.text)
        notes += [annotation(citation.placed(at, end)) for citation in part.citations]
        at = end
    return notes


def _chat_call(use: ToolUse) -> dict[str, Any]:
    if use.kind == "custom":
        return {"id": use.id, "type": "custom", "custom": {"name": use.name, "input": use.arguments}}
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}


def messages_reply(reply: Reply, identity: Identity, *, shown: bool) -> dict[str, Any]:
    """A message."""
    content = [block for part in reply.parts if (block := _block(part, shown=shown)) is not None]
    calls = any(block["type"] == "tool_use" for block in content)
    refused = any(isinstance(part, Refusal) for part in reply.parts)
    return {
        "id": named_id("messages", identity),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": to_messages(settled(reply.ending.stop, has_tools=calls, has_refused=refused)),
        "stop_sequence": reply.ending.stop_sequence or None,
        "usage": messages_usage(reply.ending.usage),
    }


def _block(part: Part, *, shown: bool) -> dict[str, Any] | None:
    if isinstance(part, Text):
        if not part.text and not part.citations:
            return None
        citations = {"citations": [web_citation(citation) for citation in part.citations]} if part.citations else {}
        return {"type": "text", "text": part.text, **citations}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Reasoning):
        return thought_block(part) if shown else None
    if isinstance(part, ToolUse):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)}
    return None


def _input(arguments: str) -> Any:
    """The arguments, as the object they are; what is none is told word for word."""
    try:
        value = msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}


def responses_reply(reply: Reply, identity: Identity, echo: dict[str, Any]) -> dict[str, Any]:
    """A response; `echo` is what it repeats of its request."""
    output: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for part in reply.parts:
        if isinstance(part, Text | Refusal):
            if not content:
                output.append(message_item(f"msg_{identity.id}_{len(output)}", content))
            content += _said(part)
            continue
        content = []
        if isinstance(part, Reasoning):
            output.append(reasoning_item(f"rs_{identity.id}_{len(output)}", part))
        elif isinstance(part, ToolUse):
            prefix = "ctc" if part.kind == "custom" else "fc"
            output.append(call_item(part, f"{prefix}_{identity.id}_{len(output)}"))
    cut_off(output, reply.ending)
    return ended(head(identity, reply.model, "completed", echo), output, reply.ending)


def _said(part: Text | Refusal) -> list[dict[str, Any]]:
    if isinstance(part, Refusal):
        return [refusal_part(part.text)]
    notes = [responses_output.annotation(citation.placed(0, len(part.text))) for citation in part.citations]
    return [text_part(part.text, notes, part.logprobs)]
