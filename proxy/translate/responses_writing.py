"""A neutral request as one of Responses."""

from __future__ import annotations

from typing import Any

from proxy.translate.chat_writing import LONGEST_USER, split_system
from proxy.translate.logprobs import INCLUDED
from proxy.translate.losses import Field, Losses
from proxy.translate.media import is_breakpoint, to_url
from proxy.translate.openai_models import USUAL_OF_RESPONSES, asked_effort, efforts_of, sampling
from proxy.translate.responses_output import call_item
from proxy.translate.tools import fitting_id, wire_name
from proxy.translate.values import (
    Aim,
    Choice,
    Format,
    Media,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)

_LOST: tuple[Field, ...] = (
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "seed",
    "prediction",
    "modalities",
    "audio",
    "top_k",
    "container",
    "context_management",
    "mcp_servers",
)
LEAST_OUTPUT = 16  # tokens
_SPOKEN = frozenset({"truncation", "max_tool_calls", "prompt_cache_options", "prompt_cache_retention"})


def write_responses(request: Request, aim: Aim, losses: Losses) -> dict[str, Any]:
    """The body of a request. Nothing is stored: what has to come back is asked for sealed."""
    system, turns = split_system(request.turns, losses)
    for part in system:
        losses.unless_empty("cache_control", part.cache)
    items = [item for turn in turns for item in _items(turn, losses)]
    body: dict[str, Any] = {"model": aim.model, "input": items, "store": False}
    if text := "\n\n".join(part.text for part in system):
        if items:
            body["instructions"] = text
        else:  # no input at all is refused
            items.append({"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]})
    if request.tools:
        body["tools"] = _tools(request.tools, losses)
        if request.choice is not None:
            body["tool_choice"] = _choice(request.choice, request.tools)
        if request.parallel is not None:
            body["parallel_tool_calls"] = request.parallel
    effort = asked_effort(request, aim.model, USUAL_OF_RESPONSES, losses)
    thinks = efforts_of(aim.model) != ()
    members = {
        "include": [*(["reasoning.encrypted_content"] if thinks else []), *([INCLUDED] if request.logprobs else [])]
        or None,
        "top_logprobs": request.top_logprobs,
        "max_output_tokens": _maximum(request.maximum, losses),
        **sampling(request, aim.model, effort, losses),
        "stream": request.stream or None,
        "text": _text(request),
        "reasoning": _reasoning(request, effort) if thinks else None,
        "safety_identifier": request.user if 0 < len(request.user) <= LONGEST_USER else None,
        "service_tier": request.tier or None,
        "metadata": request.metadata,
        "prompt_cache_key": request.cache_key or None,
    }
    _note(request, losses)
    spoken = {name: value for name, value in request.extra.items() if name in _SPOKEN}
    return body | {name: value for name, value in members.items() if value is not None} | spoken


def _maximum(asked: int | None, losses: Losses) -> int | None:
    """The limit of the output; agents ask for one token to see whether there is an answer, which is refused here."""
    if asked is None or not 0 < asked < LEAST_OUTPUT:
        return asked
    losses.add("max_tokens", "changed")
    return LEAST_OUTPUT


def _note(request: Request, losses: Losses) -> None:
    """List what is asked for and not to be had here."""
    extra = request.extra
    for name in _LOST:
        losses.unless_empty(name, extra.get(name))
    losses.unless_empty("stop", request.stop)
    if len(request.user) > LONGEST_USER:
        losses.add("user")
    if extra.get("n") not in (None, 1):
        losses.add("n", "changed")
    if extra.keys() - set(_LOST) - _SPOKEN - {"n"}:
        losses.add("other")


def _text(request: Request) -> dict[str, Any] | None:
    said: dict[str, Any] = {}
    if request.format is not None:
        said["format"] = _format(request.format)
    if request.verbosity:
        said["verbosity"] = request.verbosity
    return said or None


def _format(said: Format) -> dict[str, Any]:
    if said.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"type": "json_schema", "name": said.name or "reply", "schema": said.schema}
    if said.description:
        schema["description"] = said.description
    if said.strict is not None:
        schema["strict"] = said.strict
    return schema


def _reasoning(request: Request, effort: str) -> dict[str, Any] | None:
    thinking = request.thinking
    said = {"effort": effort}
    if thinking.shown and (thinking.on or thinking.summary):
        said["summary"] = thinking.summary or "auto"
    return {name: value for name, value in said.items() if value} or None


def _items(turn: Turn, losses: Losses) -> list[dict[str, Any]]:
    """The items of one turn, in order; words between calls and thoughts are messages."""
    items: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    role = "assistant" if turn.role == "assistant" else "user"
    for part in turn.parts:
        if isinstance(part, Text | Media | Refusal):
            said += _content(part, role, losses)
            continue
        if said:
            items.append(_message(role, said))
            said = []
        items += _item(part, losses)
    if said:
        items.append(_message(role, said))
    return items


def _message(role: str, said: list[dict[str, Any]]) -> dict[str, Any]:
    """A message; an assistant's words as one text, as Azure and vLLM refuse parts of it without ids and annotations."""
    content: Any = said
    if role == "assistant" and all(part["type"] == "output_text" for part in said):
        content = "".join(part["text"] for part in said)
    return {"type": "message", "role": role, "content": content}


def _item(part: Part, losses: Losses) -> list[dict[str, Any]]:
    if isinstance(part, ToolUse):
        item = call_item(part, "")
        del item["id"]
        return [item | {"call_id": fitting_id(part.id)}]
    if isinstance(part, ToolResult):
        return [_result(part, losses)]
    if isinstance(part, Reasoning) and part.origin == "openai":
        kind, member = ("reasoning_text", "content") if part.is_full else ("summary_text", "summary")
        said = {"summary": [], member: [{"type": kind, "text": part.text}] if part.text else []}
        item = {"type": "reasoning", "id": part.id, **said, "encrypted_content": part.data or None}
        return [{name: value for name, value in item.items() if value not in (None, "")}]
    losses.add("thinking")
    return []


def _marked(part: Text | Media, role: str, losses: Losses) -> dict[str, Any]:
    """The mark for a prompt cache, where it is one that Responses has and in a place that may have it."""
    if role == "user" and is_breakpoint(part.cache):
        return {"prompt_cache_breakpoint": part.cache}
    losses.unless_empty("cache_control", part.cache)
    return {}


def _result(part: ToolResult, losses: Losses) -> dict[str, Any]:
    losses.unless_empty("cache_control", part.cache or [inner for inner in part.parts if inner.cache])
    output: Any = "\n".join(inner.text for inner in part.parts if isinstance(inner, Text))
    if part.failed:
        losses.add("tool_result_error", "changed")
        output = f"Error: {output}"
    shown = [inner for inner in part.parts if isinstance(inner, Media)]
    if shown:
        words = [{"type": "input_text", "text": output}] if output else []
        output = words + [block for inner in shown for block in _content(inner, "user", losses)]
    kind = "custom_tool_call_output" if part.kind == "custom" else "function_call_output"
    return {"type": kind, "call_id": fitting_id(part.id), "output": output}


def _content(part: Text | Media | Refusal, role: str, losses: Losses) -> list[dict[str, Any]]:
    if isinstance(part, Refusal):
        return [{"type": "refusal", "refusal": part.text}]
    if isinstance(part, Text):
        if not part.text:
            return []
        if role == "assistant":
            return [{"type": "output_text", "text": part.text, "annotations": [], **_marked(part, role, losses)}]
        return [{"type": "input_text", "text": part.text, **_marked(part, role, losses)}]
    if part.kind == "audio":
        losses.add("audio")
        return []
    if part.kind == "image":
        source = {"file_id": part.file_id} if part.file_id else {"image_url": to_url(part)}
        return [{"type": "input_image", "detail": part.detail or "auto", **source, **_marked(part, role, losses)}]
    source = {"file_id": part.file_id} if part.file_id else {"file_url": part.url}
    if part.data:
        source = {"file_data": to_url(part), "filename": part.filename or "document"}
    return [{"type": "input_file", **source, **_marked(part, role, losses)}]


def _tools(tools: list[Tool], losses: Losses) -> list[dict[str, Any]]:
    written = []
    for tool in tools:
        losses.unless_empty("cache_control", tool.cache)
        said: dict[str, Any] = {"type": tool.kind, "name": wire_name(tool.namespace, tool.name, "responses")}
        if tool.description:
            said["description"] = tool.description
        if tool.kind == "custom":
            said |= {"format": _grammar(tool.format)} if tool.format else {}
        else:
            said |= {"parameters": tool.parameters or {"type": "object", "properties": {}}}
            said |= {"strict": tool.strict if tool.strict is not None else False}
        written.append(said)
    return written


def _grammar(said: Any) -> Any:
    """The grammar of a custom tool as Responses spells it: chat has it one level deeper."""
    inner = said.get("grammar") if isinstance(said, dict) else None
    return {"type": "grammar", **inner} if isinstance(inner, dict) else said


def _choice(choice: Choice, tools: list[Tool]) -> Any:
    if not choice.names:
        return choice.mode
    kinds = {wire_name(tool.namespace, tool.name, "responses"): tool.kind for tool in tools}
    named = [{"type": kinds.get(name, "function"), "name": name} for name in choice.names]
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
