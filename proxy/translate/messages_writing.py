"""A neutral request as one of Anthropic's."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.chat_writing import split_system
from proxy.translate.effort import (
    LEAST_BUDGET,
    budget_for,
    is_adaptive,
    messages_effort,
    thinks,
)
from proxy.translate.losses import Field, Losses
from proxy.translate.media import PDF, is_breakpoint, picture_type, text_of
from proxy.translate.messages_terms import keep_prompt, sample
from proxy.translate.schemas import ask_for, narrowed
from proxy.translate.sealing import seal
from proxy.translate.tools import apart, as_function, fitting_id, wire_name, wrapped
from proxy.translate.values import Aim, Media, Part, Reasoning, Request, Text, Tool, ToolResult, ToolUse, Turn

_TIERS = {"auto": "auto", "default": "standard_only"}
_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# What chat and Responses may have asked for, and this protocol cannot say.
_LOST: tuple[Field, ...] = (
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "seed",
    "prediction",
    "modalities",
    "audio",
    "truncation",
    "max_tool_calls",
)
_SPOKEN = frozenset({"cache_control", "container", "context_management", "mcp_servers"})


def write_messages(request: Request, aim: Aim, losses: Losses) -> dict[str, Any]:
    """The body of a request."""
    system, turns = split_system(request.turns, losses)
    _tell_apart(turns)
    maximum = aim.maximum if request.maximum is None else request.maximum
    messages, words = _messages(turns, losses), [_text(part) for part in system if part.text.strip()]
    if messages and messages[-1]["role"] == "assistant":
        losses.add("prefill", "changed")
    if words and not messages:  # a system that speaks to nobody is refused
        messages, words = [{"role": "user", "content": words}], []
        losses.add("system_position", "changed")
    body: dict[str, Any] = {"model": aim.model, "max_tokens": maximum, "messages": messages}
    if words:
        body["system"] = words
    if request.tools:
        body["tools"] = [_tool(as_function(tool, "messages"), losses) for tool in request.tools]
        if choice := _choice(request, losses):
            body["tool_choice"] = choice
    if stops := [text for text in request.stop if text.strip()]:
        body["stop_sequences"] = stops
    if len(stops) < len(request.stop):
        losses.add("stop")
    if request.stream:
        body["stream"] = True
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.tier in _TIERS:
        body["service_tier"] = _TIERS[request.tier]
    elif request.tier:
        losses.add("service_tier")
    _think(body, request, losses)
    sample(body, request, losses)
    _note(request, losses)
    keep_prompt(body, request, losses)
    return body | {name: value for name, value in request.extra.items() if name in _SPOKEN}


def _note(request: Request, losses: Losses) -> None:
    """List what is asked for and not to be had here."""
    extra = request.extra
    for name in _LOST:
        losses.unless_empty(name, extra.get(name))
    if extra.get("n") not in (None, 1):
        losses.add("n", "changed")
    losses.unless_empty("logprobs", request.logprobs or None)
    losses.unless_empty("metadata", request.metadata)
    losses.unless_empty("verbosity", request.verbosity)
    if extra.keys() - set(_LOST) - _SPOKEN - {"n", "top_k"}:
        losses.add("other")


def _think(body: dict[str, Any], request: Request, losses: Losses) -> None:
    """Ask for thoughts, in the way this model is asked for them."""
    thinking = request.thinking
    output = ask_for(request.format, body, losses) if request.format is not None else {}
    if thinking.on and not thinks(body["model"]):
        losses.add("reasoning")
    elif thinking.on and is_adaptive(body["model"]):
        body["thinking"] = {"type": "adaptive"}
        if effort := messages_effort(thinking.effort, body["model"]):
            output["effort"] = effort
    elif thinking.on:
        _budget(body, request, losses)
    elif thinking.on is False:
        body["thinking"] = {"type": "disabled"}
    if output:
        body["output_config"] = output


def _budget(body: dict[str, Any], request: Request, losses: Losses) -> None:
    maximum = body["max_tokens"]
    budget = request.thinking.budget or budget_for(request.thinking.effort or "medium", maximum)
    unfit = budget is None or not LEAST_BUDGET <= budget < maximum
    if unfit or (body.get("tool_choice") or {}).get("type") in ("any", "tool") or _lacks_thoughts(request.turns):
        losses.add("reasoning")
    else:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _lacks_thoughts(turns: list[Turn]) -> bool:
    """Whether the call of a tool that is to go on has lost its thoughts: Anthropic refuses to think on then."""
    last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolUse) for part in last.parts):
        return False
    return not any(isinstance(part, Reasoning) and part.origin == "anthropic" for part in last.parts)


def _messages(turns: list[Turn], losses: Losses) -> list[dict[str, Any]]:
    """The messages: each speaker's in a row are one, with the results of tools before anything else."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = [block for part in turn.parts if (block := _block(part, losses)) is not None]
        if not blocks:
            continue
        if not messages or messages[-1]["role"] != role:
            messages.append({"role": role, "content": []})
        messages[-1]["content"] += blocks
    for message in messages:
        message["content"].sort(key=lambda block: block["type"] != "tool_result")
    _trim(messages)
    return messages


def _tell_apart(turns: list[Turn]) -> None:
    """Give every call an id of its own, and its result with it: some servers number theirs anew in each reply."""
    taken: set[str] = set()
    waiting: dict[str, list[str]] = {}
    for part in [part for turn in turns for part in turn.parts]:
        if isinstance(part, ToolUse):
            found = apart(part.id, taken)
            waiting.setdefault(part.id, []).append(found)
            part.id = found
        elif isinstance(part, ToolResult) and waiting.get(part.id):
            part.id = waiting[part.id].pop(0)


def _trim(messages: list[dict[str, Any]]) -> None:
    """Take white space off the end of what the assistant is to go on with: it is refused there."""
    last = messages[-1]["content"][-1] if messages and messages[-1]["role"] == "assistant" else {}
    if last.get("type") == "text":
        last["text"] = last["text"].rstrip() or "."


def _block(part: Part, losses: Losses) -> dict[str, Any] | None:
    if isinstance(part, Text):  # white space alone is refused
        return _text(part) if part.text.strip() else None
    if isinstance(part, Media):
        return _media(part, losses)
    if isinstance(part, ToolUse):
        name = wire_name(part.namespace, part.name, "messages")
        return {"type": "tool_use", "id": fitting_id(part.id), "name": name, "input": _input(part, losses)}
    if isinstance(part, ToolResult):
        content = [inner for shown in part.parts if (inner := _block(shown, losses)) is not None]
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": fitting_id(part.id), "content": content}
        if part.failed:
            block["is_error"] = True
        return block | _cache(part)
    if isinstance(part, Reasoning):
        return _thought(part, losses)
    return {"type": "text", "text": part.text} if part.text.strip() else None


def _thought(part: Reasoning, losses: Losses) -> dict[str, Any] | None:
    """Thoughts go back only to who can tell that they are its own."""
    if part.origin != "anthropic" or not (part.signature or part.data):
        losses.add("thinking")
        return None
    return thought_block(part)


def thought_block(part: Reasoning) -> dict[str, Any]:
    """Thoughts as a block; those of others come sealed in the signature."""
    if part.origin != "anthropic":
        return {"type": "thinking", "thinking": part.text, "signature": seal(part)}
    if part.data:
        return {"type": "redacted_thinking", "data": part.data}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _input(use: ToolUse, losses: Losses) -> dict[str, Any]:
    """The arguments as the object they have to be here."""
    text = wrapped(use)
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    losses.add("tool_arguments", "changed")
    return {"arguments": text}


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text} | _cache(part)


def _cache(part: Text | Media | ToolResult | Tool) -> dict[str, Any]:
    if part.cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} if is_breakpoint(part.cache) else part.cache}


def _media(part: Media, losses: Losses) -> dict[str, Any] | None:
    losses.unless_empty("image_detail", part.detail if part.detail != "auto" else "")
    if part.kind == "audio":
        losses.add("audio")
        return None
    if part.file_id:
        source = {"type": "file", "file_id": part.file_id}
    elif part.url:
        source = {"type": "url", "url": part.url}
    else:
        source = {"type": "base64", "media_type": picture_type(part), "data": part.data}
        if part.kind == "file" and (text := text_of(part)) is not None:
            source = {"type": "text", "media_type": "text/plain", "data": text}
        elif part.kind == "file" and source["media_type"] != PDF:
            losses.add("documents")
            return None
    if part.kind == "image" and source.get("media_type", "image/png") not in _PICTURES:
        losses.add("pictures")
        return None
    block: dict[str, Any] = {"type": "image" if part.kind == "image" else "document", "source": source}
    if part.kind == "file" and part.filename:
        block["title"] = part.filename
    return block | _cache(part)


def _tool(tool: Tool, losses: Losses) -> dict[str, Any]:
    schema = {"type": "object", **(tool.parameters if isinstance(tool.parameters, dict) else {})}
    if tool.strict and (strict := narrowed(schema)) != schema:
        losses.add("other", "changed")
        schema = strict
    said: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        said["description"] = tool.description
    if tool.strict is not None:
        said["strict"] = tool.strict
    return said | _cache(tool)


def _choice(request: Request, losses: Losses) -> dict[str, Any] | None:
    choice = request.choice
    said: dict[str, Any] = {"type": "auto"}
    if choice is None and request.parallel is None:
        return None
    if choice is not None:
        said = {"type": {"required": "any"}.get(choice.mode, choice.mode)}
        if len(choice.names) == 1 and choice.mode == "required":
            said = {"type": "tool", "name": choice.names[0]}
        elif choice.names:
            losses.add("tool_choice", "changed")
    if request.parallel is not None and said["type"] != "none":
        said["disable_parallel_tool_use"] = not request.parallel
    return said
