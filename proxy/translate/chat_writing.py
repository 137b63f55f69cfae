"""A neutral request as one of chat's."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from proxy.translate.losses import Losses
from proxy.translate.media import to_url
from proxy.translate.openai_models import USUAL_OF_CHAT, asked_effort, sampling
from proxy.translate.tools import as_function, fitting_id, wire_name, wrapped
from proxy.translate.values import (
    EXTRA,
    Aim,
    Choice,
    Format,
    Media,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)

LONGEST_USER = 64  # OpenAI refuses longer ones
# Members that servers of chat know beside OpenAI's, or that other protocols call the same.
_SPOKEN = frozenset(
    "seed frequency_penalty presence_penalty repetition_penalty logit_bias top_k top_a min_p chat_template_kwargs "
    "prompt_cache_retention prompt_cache_options".split()
)


def write_chat(request: Request, aim: Aim, losses: Losses) -> dict[str, Any]:
    """The body of a request."""
    messages = _messages(request.turns, losses, takes_extra="gemini" in aim.model.lower())
    body: dict[str, Any] = {"model": aim.model, "messages": messages}
    if request.tools:
        body["tools"] = [_tool(as_function(tool, "chat"), losses) for tool in request.tools]
        if request.choice is not None:
            body["tool_choice"] = _choice(request.choice, losses)
        if request.parallel is not None:
            body["parallel_tool_calls"] = request.parallel
    if request.maximum is not None and aim.max_field:
        body[aim.max_field] = request.maximum
    elif request.maximum is not None:
        losses.add("max_tokens")
    effort = asked_effort(request, aim.model, USUAL_OF_CHAT, losses)
    _put(body, **sampling(request, aim.model, effort, losses), stop=request.stop or None)
    if request.stream:
        body["stream"] = True
        if aim.usage_flag:
            body["stream_options"] = {"include_usage": True}
    if request.format is not None:
        body["response_format"] = _format(request.format)
    _put(body, reasoning_effort=effort or None, verbosity=request.verbosity or None)
    if len(request.user) <= LONGEST_USER:
        _put(body, user=request.user or None)
    else:  # as Claude Code's are
        losses.add("user")
    _put(body, service_tier=request.tier or None, metadata=request.metadata, prompt_cache_key=request.cache_key or None)
    _put(body, logprobs=request.logprobs or None, top_logprobs=request.top_logprobs)
    spoken = {name: value for name, value in request.extra.items() if name in _SPOKEN}
    if request.extra.get("n") not in (None, 1):  # the others have one answer, and one is held for
        losses.add("n", "changed")
    if request.extra.keys() - _SPOKEN - {"n"}:
        losses.add("other")
    return body | spoken


def _put(body: dict[str, Any], **members: Any) -> None:
    body.update({name: value for name, value in members.items() if value is not None})


def _messages(turns: list[Turn], losses: Losses, *, takes_extra: bool) -> list[dict[str, Any]]:
    """The messages, what systems and developers say joined at the front: many templates take it nowhere else.

    What a speaker says in a row is one message, as many templates want speakers to alternate; a user's waits for the results
    of all tools that were called, as nothing may stand between a message with calls and those. `takes_extra`: Gemini's own
    members go back to it; others refuse what they do not know.
    """
    system, rest = split_system(turns, losses)
    text = "\n\n".join(part.text for part in system)
    messages: list[dict[str, Any]] = [{"role": "system", "content": text}] if text else []
    for part in system:
        losses.unless_empty("cache_control", part.cache)
    heard: list[Part] = []
    for turn in _in_a_row(rest):
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        if heard and turn.role == "assistant":
            messages.append({"role": "user", "content": _content(heard, losses)})
            heard = []
        if turn.role == "assistant":
            messages.append(_assistant(turn.parts, losses, takes_extra=takes_extra))
            continue
        for result in results:
            messages.append(_result(result, losses))
            heard += [part for part in result.parts if isinstance(part, Media)]
        heard += [part for part in turn.parts if not isinstance(part, ToolResult)]
    return messages + ([{"role": "user", "content": _content(heard, losses)}] if heard else [])


def _in_a_row(turns: list[Turn]) -> list[Turn]:
    """The turns, those of an assistant in a row as one."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role == "assistant":
            joined[-1] = Turn(turn.role, joined[-1].parts + turn.parts)
        else:
            joined.append(turn)
    return joined


def split_system(turns: list[Turn], losses: Losses) -> tuple[list[Text], list[Turn]]:
    """What the system says, and the conversation without it."""
    system: list[Text] = []
    rest: list[Turn] = []
    for turn in turns:
        if turn.role != "system":
            rest.append(turn)
            continue
        if rest:
            losses.add("system_position", "changed")
        system += [part for part in turn.parts if isinstance(part, Text)]
        if any(isinstance(part, Media) for part in turn.parts):
            losses.add("pictures")
    return system, rest


def _result(result: ToolResult, losses: Losses) -> dict[str, Any]:
    """The result of a tool, in words; what in it is none follows in a message of the user."""
    losses.unless_empty("cache_control", result.cache)
    for part in result.parts:
        losses.unless_empty("cache_control", part.cache)
        if isinstance(part, Media):
            losses.add("tool_result_media", "changed")
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    if result.failed:
        losses.add("tool_result_error", "changed")
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": fitting_id(result.id), "content": text}


def _assistant(parts: list[Part], losses: Losses, *, takes_extra: bool) -> dict[str, Any]:
    texts = [part for part in parts if isinstance(part, Text)]
    for text in texts:
        losses.unless_empty("cache_control", text.cache)
    said = "\n".join(part.text for part in texts)
    calls = [_use(part) for part in parts if isinstance(part, ToolUse)]
    message: dict[str, Any] = {"role": "assistant", "content": said if said or not calls else None}
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    if takes_extra:
        _put_back_extra(calls, thoughts)
        thoughts = [thought for thought in thoughts if thought.origin != EXTRA]
    message |= _thoughts(thoughts, losses)
    if refusals := [part.text for part in parts if isinstance(part, Refusal)]:
        message["refusal"] = "\n".join(refusals)
        message["content"] = said or None
    if calls:
        message["tool_calls"] = calls
    return message


def _put_back_extra(calls: list[dict[str, Any]], thoughts: list[Reasoning]) -> None:
    """Give every call what its server sent with it. It came by way of the client, who may have made it up."""
    found: dict[str, Any] = {}
    for thought in thoughts if calls else []:
        with suppress(msgspec.DecodeError, RecursionError):
            found[fitting_id(thought.id)] = msgspec.json.decode(thought.data) if thought.origin == EXTRA else None
    for call in calls:
        if isinstance(extra := found.get(call["id"]), dict):
            call[EXTRA] = extra


def _thoughts(thoughts: list[Reasoning], losses: Losses) -> dict[str, Any]:
    """The member that thoughts came in takes them back; those of others mean nothing here."""
    found: dict[str, Any] = {}
    for thought in thoughts:
        if thought.origin in ("reasoning", "reasoning_content"):
            found[thought.origin] = found.get(thought.origin, "") + thought.text
        elif thought.origin == "reasoning_details":
            blocks = found.setdefault("reasoning_details", [])
            blocks += details(thought, len(blocks))
        else:
            losses.add("thinking")
    return found


def details(thought: Reasoning, index: int) -> list[dict[str, Any]]:
    """Thoughts as blocks of `reasoning_details` from that index on (wire.md 1.5)."""
    origins = {"anthropic": "anthropic-claude-v1", "openai": "openai-responses-v1"}
    shared: dict[str, Any] = {"format": origins.get(thought.origin, "unknown")}
    if thought.id:
        shared["id"] = thought.id
    is_summary = (thought.data or thought.origin == "openai") and not thought.is_full
    kind, member = ("reasoning.summary", "summary") if is_summary else ("reasoning.text", "text")
    signature = {"signature": thought.signature} if thought.signature else {}
    told = [{"type": kind, member: thought.text, **signature}] if thought.text or not thought.data else []
    blocks = told + ([{"type": "reasoning.encrypted", "data": thought.data}] if thought.data else [])
    return [{**block, **shared, "index": index + place} for place, block in enumerate(blocks)]


def _use(use: ToolUse) -> dict[str, Any]:
    name = wire_name(use.namespace, use.name, "chat")
    function = {"name": name, "arguments": wrapped(use)}
    return {"id": fitting_id(use.id), "type": "function", "function": function}


def _content(parts: list[Part], losses: Losses) -> str | list[dict[str, Any]]:
    """Words as one text, as some servers take no list; pictures and files among them as a list."""
    for part in parts:
        losses.unless_empty("cache_control", getattr(part, "cache", None))
    if all(isinstance(part, Text) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    written = [_part(part, losses) for part in parts]
    return [part for part in written if part is not None] or ""


def _part(part: Part, losses: Losses) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if not isinstance(part, Media):
        losses.add("other")
        return None
    if part.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.media_type}}
    if part.kind == "image" and not part.file_id:
        image = {"url": to_url(part)} | ({"detail": part.detail} if part.detail else {})
        return {"type": "image_url", "image_url": image}
    if part.url or part.kind == "image":
        losses.add("documents" if part.kind == "file" else "pictures")
        return None
    file = {"file_id": part.file_id} if part.file_id else {"file_data": to_url(part)}
    return {"type": "file", "file": file | ({"filename": part.filename} if part.filename else {})}


def _tool(tool: Any, losses: Losses) -> dict[str, Any]:
    losses.unless_empty("cache_control", tool.cache)
    function = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: Choice, losses: Losses) -> Any:
    if not choice.names:
        return choice.mode
    if len(choice.names) == 1 and choice.mode == "required":
        return {"type": "function", "function": {"name": choice.names[0]}}
    losses.add("tool_choice", "changed")
    return choice.mode


def _format(said: Format) -> dict[str, Any]:
    if said.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": said.name or "reply", "schema": said.schema}
    if said.description:
        schema["description"] = said.description
    if said.strict is not None:
        schema["strict"] = said.strict
    return {"type": "json_schema", "json_schema": schema}
