"""A chat request as a neutral one."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.chat_thoughts import IN_CONTENT, read_thoughts, thought_in
from proxy.translate.losses import Losses, tool_field
from proxy.translate.media import from_url
from proxy.translate.values import (
    EXTRA,
    Choice,
    Format,
    Media,
    Mode,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
    a_count,
    a_flag,
    a_list,
    a_number,
    a_text,
    an_object,
)
from proxy.wire.call import whole

MODES: dict[str, Mode] = {"auto": "auto", "none": "none", "required": "required"}
_ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SWITCHES = {"enabled": True, "adaptive": True, "disabled": False}  # of `thinking`, which some have in chat
# What is read of a message, of a part of it, and of a tool; annotations are where an answer's words came from.
_OF_MESSAGE = frozenset(
    "name content tool_call_id tool_calls function_call refusal audio reasoning reasoning_content reasoning_details "
    "annotations".split()
)
_OF_PART = frozenset("text image_url file input_audio refusal thinking cache_control prompt_cache_breakpoint".split())
_AROUND_A_TOOL = frozenset({"function", "custom", "cache_control"})
_OF_TOOL = frozenset("name description parameters strict format".split())
_OF_THINKING = frozenset("effort max_tokens enabled exclude summary budget_tokens".split())
# Members that are read here; the rest is either called the same elsewhere or lost.
_READ = frozenset(
    "model messages tools functions tool_choice function_call parallel_tool_calls max_tokens max_completion_tokens "
    "temperature top_p stop stream stream_options response_format reasoning_effort reasoning user safety_identifier "
    "service_tier metadata logprobs top_logprobs verbosity prompt_cache_key store thinking include_reasoning".split()
)


def read_chat(body: dict[str, Any], losses: Losses) -> Request:
    """Read a request. Raises `InvalidValue` where its shape is not chat's."""
    options = body.get("stream_options")
    functions = bool(body.get("functions")) and not body.get("tools")
    maximum = whole(body.get("max_completion_tokens"))
    stop = body.get("stop")
    request = Request(
        model=a_text(body.get("model")),
        turns=[_turn(an_object(message, "messages"), losses) for message in a_list(body.get("messages"), "messages")],
        tools=_tools(body, losses),
        choice=_choice(body.get("tool_choice", body.get("function_call")), losses),
        parallel=False if functions else a_flag(body.get("parallel_tool_calls")),
        functions=functions,
        maximum=whole(body.get("max_tokens")) if maximum is None else maximum,
        temperature=a_number(body.get("temperature")),
        top_p=a_number(body.get("top_p")),
        stop=[stop] if isinstance(stop, str) else [text for text in a_list(stop, "stop") if isinstance(text, str)],
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        format=read_format(body.get("response_format"), losses),
        thinking=_thinking(body, losses),
        user=a_text(body.get("user")) or a_text(body.get("safety_identifier")),
        tier=a_text(body.get("service_tier")),
        metadata=body.get("metadata"),
        verbosity=a_text(body.get("verbosity")),
        cache_key=a_text(body.get("prompt_cache_key")),
        logprobs=body.get("logprobs") is True,
        top_logprobs=a_count(body.get("top_logprobs")),
        extra={name: value for name, value in body.items() if name not in _READ and value is not None},
    )
    if body.get("store") is True:
        losses.add("store")
    _rejoin(request.turns)
    return request


def _turn(message: dict[str, Any], losses: Losses) -> Turn:
    role = _ROLES.get(a_text(message.get("role")), "user")
    losses.beside(message, _OF_MESSAGE)
    losses.unless_empty("message_name", message.get("name") if message.get("role") != "function" else None)
    parts = read_content(message.get("content"), losses)
    if role == "tool":
        identity = a_text(message.get("tool_call_id")) or a_text(message.get("name"))
        return Turn(role, [ToolResult(identity, [part for part in parts if isinstance(part, Text | Media)])])
    if role == "assistant":
        losses.unless_empty("audio", message.get("audio"))
        parts = [*read_thoughts(message), *parts]
        if refusal := a_text(message.get("refusal")):
            parts.append(Refusal(refusal))
        parts += [
            _use(an_object(call, "tool_calls"), losses) for call in a_list(message.get("tool_calls"), "tool_calls")
        ]
        if isinstance(called := message.get("function_call"), dict):
            parts.append(ToolUse(a_text(called.get("name")), a_text(called.get("name")), arguments_of(called)))
    return Turn(role, parts)


def _use(call: dict[str, Any], losses: Losses) -> ToolUse:
    identity = a_text(call.get("id"))
    losses.beside(call, _AROUND_A_TOOL)
    if isinstance(custom := call.get("custom"), dict):
        return ToolUse(identity, a_text(custom.get("name")), a_text(custom.get("input")), "custom")
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    return ToolUse(identity, a_text(function.get("name")), arguments_of(function))


def arguments_of(function: dict[str, Any]) -> str:
    """The text of a call's arguments; some servers send the object itself."""
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()


def extra_of(call: dict[str, Any], identity: str) -> Reasoning | None:
    """What a server wants back with the call of a tool: Gemini's signature, without which it refuses to go on."""
    extra = call.get(EXTRA)
    if not isinstance(extra, dict) or not extra:
        return None
    return Reasoning(data=msgspec.json.encode(extra).decode(), id=identity, origin=EXTRA)


def _rejoin(turns: list[Turn]) -> None:
    """Tell the results of custom tools from others: chat does not say so of them."""
    custom = {part.id for turn in turns for part in turn.parts if isinstance(part, ToolUse) and part.kind == "custom"}
    for turn in turns if custom else ():
        for part in turn.parts:
            if isinstance(part, ToolResult) and part.id in custom:
                part.kind = "custom"


def read_content(content: Any, losses: Losses) -> list[Part]:
    """The parts of a message's content."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = [_part(an_object(part, "content"), losses) for part in a_list(content, "content")]
    return [part for part in parts if part is not None]


def _part(part: dict[str, Any], losses: Losses) -> Part | None:
    kind, cache = part.get("type"), part.get("cache_control") or part.get("prompt_cache_breakpoint")
    losses.beside(part, _OF_PART)
    if kind == "text":
        return Text(a_text(part.get("text")), cache=cache)
    if kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else an_object(image, "image_url")
        media = Media("image", detail=a_text(image.get("detail")), cache=cache)
        return from_url(media, a_text(image.get("url")))
    if kind == "file":
        file = an_object(part.get("file"), "file")
        media = Media("file", file_id=a_text(file.get("file_id")), filename=a_text(file.get("filename")), cache=cache)
        return from_url(media, a_text(file.get("file_data")))
    if kind == "input_audio":
        audio = an_object(part.get("input_audio"), "input_audio")
        return Media("audio", data=a_text(audio.get("data")), media_type=a_text(audio.get("format")))
    if kind == "refusal":
        return Refusal(a_text(part.get("refusal")))
    if kind == "thinking":
        text = thought_in(part)
        return Reasoning(text, origin=IN_CONTENT) if text else None
    losses.add("other")
    return None


def _tools(body: dict[str, Any], losses: Losses) -> list[Tool]:
    offered = [an_object(tool, "tools") for tool in a_list(body.get("tools"), "tools")]
    offered += [{"function": function} for function in a_list(body.get("functions"), "functions")]
    tools = []
    for tool in offered:
        if "function" in tool or "custom" in tool:
            losses.beside(tool, _AROUND_A_TOOL)
        if isinstance(function := tool.get("function"), dict):
            losses.beside(function, _OF_TOOL)
            tools.append(
                Tool(
                    name=a_text(function.get("name")),
                    description=a_text(function.get("description")),
                    parameters=function.get("parameters"),
                    strict=a_flag(function.get("strict")),
                    cache=tool.get("cache_control"),
                )
            )
        elif isinstance(custom := tool.get("custom"), dict):
            losses.beside(custom, _OF_TOOL)
            named = a_text(custom.get("name")), a_text(custom.get("description"))
            tools.append(Tool(*named, kind="custom", format=custom.get("format")))
        else:
            losses.add(tool_field(tool.get("type")))
    return tools


def _choice(choice: Any, losses: Losses) -> Choice | None:
    if choice is None:
        return None
    if (mode := MODES.get(choice) if isinstance(choice, str) else None) is not None:
        return Choice(mode)
    said = choice if isinstance(choice, dict) else {}
    if isinstance(allowed := said.get("allowed_tools"), dict):
        names = [_named(tool) for tool in a_list(allowed.get("tools"), "tool_choice")]
        return Choice(MODES.get(a_text(allowed.get("mode")), "auto"), tuple(name for name in names if name))
    if name := _named(said) or a_text(said.get("name")):
        return Choice("required", (name,))
    losses.add("tool_choice")
    return None


def _named(tool: Any) -> str:
    for kind in ("function", "custom"):
        if isinstance(tool, dict) and isinstance(inner := tool.get(kind), dict):
            return a_text(inner.get("name"))
    return ""


def read_format(said: Any, losses: Losses) -> Format | None:
    """What `response_format` or Responses' `text.format` asks for."""
    if not isinstance(said, dict) or said.get("type") == "text":
        return None
    if said.get("type") == "json_object":
        return Format()
    inner = said.get("json_schema", said)
    if said.get("type") != "json_schema" or not isinstance(inner, dict):
        losses.add("response_format")
        return None
    named = a_text(inner.get("name")), a_text(inner.get("description"))
    return Format(inner.get("schema"), *named, a_flag(inner.get("strict")))


def _thinking(body: dict[str, Any], losses: Losses) -> Thinking:
    said, told = body.get("reasoning"), body.get("thinking")
    said, told = said if isinstance(said, dict) else {}, told if isinstance(told, dict) else {}
    losses.beside(said | told, _OF_THINKING, "reasoning")
    effort = a_text(body.get("reasoning_effort")) or a_text(said.get("effort"))
    budget = a_count(said.get("max_tokens")) or a_count(told.get("budget_tokens"))
    on = False if effort == "none" else _SWITCHES.get(a_text(told.get("type")), a_flag(said.get("enabled")))
    return Thinking(
        on=True if effort not in ("", "none") or budget else on,
        effort="" if effort == "none" else effort,
        budget=budget,
        shown=said.get("exclude") is not True and body.get("include_reasoning") is not False,
        summary=a_text(said.get("summary")),
    )
