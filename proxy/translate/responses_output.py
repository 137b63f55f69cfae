"""The items and the object that a reply of the Responses API is made of."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.faults import named_id, response_error
from proxy.translate.sealing import seal
from proxy.translate.stops import settled, to_responses
from proxy.translate.tools import ACTION_MEMBER
from proxy.translate.usage import responses_usage
from proxy.translate.values import Citation, Ending, Fault, Identity, Reasoning, ToolUse


def head(identity: Identity, model: str, status: str, echo: dict[str, Any]) -> dict[str, Any]:
    """A response of which there is nothing yet, but for what it repeats of its request."""
    begun: dict[str, Any] = {
        "id": named_id("responses", identity),
        "object": "response",
        "created_at": identity.created,
        "completed_at": None,
        "status": status,
        "background": False,
        "error": None,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }
    for name in ("reasoning", "text"):
        if isinstance(told := echo.get(name), dict):
            echo = {**echo, name: {**begun[name], **told}}
    return begun | echo


def ended(begun: dict[str, Any], output: list[dict[str, Any]], ending: Ending) -> dict[str, Any]:
    """The response once it is whole."""
    calls = any(item["type"] not in ("message", "reasoning") for item in output)
    status, why = to_responses(settled(ending.stop, has_tools=calls))
    whole = {**begun, "status": status, "incomplete_details": why, "output": output}
    whole["usage"] = responses_usage(ending.usage)
    return whole | ({"service_tier": ending.tier} if ending.tier else {})


def cut_off(output: list[dict[str, Any]], ending: Ending) -> None:
    """Say of the last item that it is incomplete, where the reply was cut off in the middle of it."""
    if output and "status" in output[-1] and to_responses(ending.stop)[1]:
        output[-1]["status"] = "incomplete"


def failed(begun: dict[str, Any], output: list[dict[str, Any]], fault: Fault) -> dict[str, Any]:
    """The response where it came to nothing."""
    return {**begun, "status": "failed", "output": output, "error": response_error(fault)}


def message_item(item_id: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    """What the assistant says."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str, annotations: list[dict[str, Any]], logprobs: list[Any]) -> dict[str, Any]:
    """Words of a message."""
    return {"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text}


def refusal_part(text: str) -> dict[str, Any]:
    """Words in which the model declines."""
    return {"type": "refusal", "refusal": text}


def annotation(citation: Citation) -> dict[str, Any]:
    """Where words come from."""
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": max(0, citation.start),
        "end_index": max(0, citation.end),
    }


def reasoning_item(item_id: str, thought: Reasoning) -> dict[str, Any]:
    """Thoughts, with what is needed to put them back sealed."""
    summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
    return {"id": item_id, "type": "reasoning", "summary": summary, "encrypted_content": seal(thought)}


def call_item(use: ToolUse, item_id: str, status: str = "completed") -> dict[str, Any]:
    """The call of a tool."""
    if use.kind == "custom":
        item = {"id": item_id, "type": "custom_tool_call", "call_id": use.id, "name": use.name}
        return item | {"input": use.arguments} | _namespace(use)
    if use.kind == "function":
        item = {"id": item_id, "type": "function_call", "status": status, "call_id": use.id, "name": use.name}
        return item | {"arguments": use.arguments} | _namespace(use)
    item = {"id": item_id, "type": f"{use.kind}_call", "status": status, "call_id": use.id}
    return item | {ACTION_MEMBER[use.kind]: _action(use)}


def _namespace(use: ToolUse) -> dict[str, str]:
    return {"namespace": use.namespace} if use.namespace else {}


def _action(use: ToolUse) -> dict[str, Any]:
    """What a client's own tool is to do; a model that did not keep to the shape is repeated word for word."""
    try:
        action = msgspec.json.decode(use.arguments)
    except (msgspec.DecodeError, RecursionError):
        action = None
    action = action if isinstance(action, dict) else {"command": [use.arguments], "commands": [use.arguments]}
    if use.kind == "local_shell":
        return {"type": "exec", "env": {}, **action}
    if use.kind == "shell":
        return {"timeout_ms": None, "max_output_length": None, **action}
    return action
