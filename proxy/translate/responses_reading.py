"""A Responses request as a neutral one."""

from __future__ import annotations

from typing import Any, get_args

from proxy.translate.chat_reading import MODES, read_format
from proxy.translate.logprobs import INCLUDED
from proxy.translate.losses import Field, Losses, tool_field
from proxy.translate.responses_items import brought, read_items
from proxy.translate.tools import ACTION_MEMBER
from proxy.translate.values import (
    Choice,
    Request,
    Text,
    Thinking,
    Tool,
    ToolKind,
    Turn,
    a_count,
    a_flag,
    a_list,
    a_number,
    a_text,
    an_object,
)
from proxy.wire.call import whole

_READ = frozenset(
    "model input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p stream text "
    "reasoning user safety_identifier service_tier metadata top_logprobs include store prompt_cache_key "
    "stream_options client_metadata".split()
)
# What the provider would have to remember: without it the call means something else.
_STATE: tuple[Field, ...] = ("previous_response_id", "conversation", "background", "prompt")
_LOST: tuple[Field, ...] = ("truncation", "max_tool_calls", "context_management")
_KINDS: dict[str, ToolKind] = {kind: kind for kind in get_args(ToolKind)}
_USUAL = {"truncation": "disabled"}
_KNOWN = frozenset({"reasoning.encrypted_content", INCLUDED})
_OF_TOOL = frozenset("name description parameters strict format tools environment".split())
_OF_THINKING = frozenset("effort summary generate_summary context mode".split())
_OF_TEXT = frozenset({"format", "verbosity"})


def read_responses(body: dict[str, Any], losses: Losses) -> Request:
    """Read a request. Raises `InvalidValue` where its shape is not that of Responses."""
    text = body.get("text")
    text = text if isinstance(text, dict) else {}
    include = [a_text(wanted) for wanted in a_list(body.get("include"), "include")]
    losses.beside(text, _OF_TEXT)
    _note(body, include, losses)
    instructions = a_text(body.get("instructions"))
    turns = [Turn("system", [Text(instructions)])] if instructions else []
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else a_list(given, "input")
    return Request(
        model=a_text(body.get("model")),
        turns=turns + read_items(items, losses),
        tools=read_tools([*a_list(body.get("tools"), "tools"), *brought(items)], losses),
        choice=_choice(body.get("tool_choice"), losses),
        parallel=a_flag(body.get("parallel_tool_calls")),
        maximum=whole(body.get("max_output_tokens")),
        temperature=a_number(body.get("temperature")),
        top_p=a_number(body.get("top_p")),
        stream=body.get("stream") is True,
        include_usage=True,
        format=read_format(text.get("format"), losses),
        thinking=_thinking(body.get("reasoning"), losses),
        user=a_text(body.get("user")) or a_text(body.get("safety_identifier")),
        tier=a_text(body.get("service_tier")),
        metadata=body.get("metadata") or None,
        verbosity=a_text(text.get("verbosity")),
        cache_key=a_text(body.get("prompt_cache_key")),
        logprobs=INCLUDED in include,
        top_logprobs=a_count(body.get("top_logprobs")) if INCLUDED in include else None,
        refers=body.get("store") is not False,
        echo={name: body[name] for name in _ECHOED if body.get(name) is not None},
        extra={name: value for name, value in body.items() if name not in _NOT_EXTRA and value is not None},
    )


# of what a response repeats, all that is small and read everywhere alike
_ECHOED = (
    "instructions max_output_tokens metadata parallel_tool_calls prompt_cache_key reasoning safety_identifier "
    "temperature text tool_choice top_logprobs top_p user".split()
)
_NOT_EXTRA = _READ | set(_STATE) | set(_LOST)


def _note(body: dict[str, Any], include: list[str], losses: Losses) -> None:
    for name in _STATE:
        if body.get(name) not in (None, False):
            losses.add(name, "refused")
    for field in _LOST:
        if body.get(field) != _USUAL.get(field):
            losses.unless_empty(field, body.get(field))
    losses.unless_empty("metadata", body.get("client_metadata"))
    if body.get("store") is True:
        losses.add("store")
    if any(wanted not in _KNOWN for wanted in include):
        losses.add("include")


def read_tools(said: Any, losses: Losses) -> list[Tool]:
    """The tools on offer; those of a namespace one by one."""
    tools = []
    for tool in a_list(said, "tools"):
        tool = an_object(tool, "tools")
        if tool.get("type") in (*_KINDS, "namespace"):
            losses.beside(tool, _OF_TOOL)
        if tool.get("type") == "namespace":
            inner = read_tools(tool.get("tools"), losses)
            for one in inner:
                one.namespace = a_text(tool.get("name"))
            tools += inner
        elif _is_hosted(environment := tool.get("environment")):
            losses.add("tools.code_execution")
        elif (kind := _KINDS.get(a_text(tool.get("type")))) is not None:
            losses.beside(environment if isinstance(environment, dict) else {}, frozenset())
            tools.append(_tool(tool, kind))
        else:
            losses.add(tool_field(tool.get("type")))
    return tools


def _is_hosted(environment: Any) -> bool:
    """Whether a shell runs in a container at the provider; nobody else has that one."""
    return isinstance(environment, dict) and environment.get("type") in ("container_auto", "container_reference")


def _tool(tool: dict[str, Any], kind: ToolKind) -> Tool:
    return Tool(
        name=a_text(tool.get("name")) or kind,
        description=a_text(tool.get("description")),
        parameters=tool.get("parameters"),
        strict=a_flag(tool.get("strict")),
        kind=kind,
        format=tool.get("format"),
    )


def _choice(said: Any, losses: Losses) -> Choice | None:
    if said is None:
        return None
    if (mode := MODES.get(said) if isinstance(said, str) else None) is not None:
        return Choice(mode)
    said = said if isinstance(said, dict) else {}
    if said.get("type") == "allowed_tools":
        names = [
            a_text(tool.get("name")) for tool in a_list(said.get("tools"), "tool_choice") if isinstance(tool, dict)
        ]
        return Choice(MODES.get(a_text(said.get("mode")), "auto"), tuple(name for name in names if name))
    if name := a_text(said.get("name")):
        return Choice("required", (name,))
    if (kind := a_text(said.get("type"))) in ACTION_MEMBER:
        return Choice("required", (kind,))
    losses.add("tool_choice")
    return None


def _thinking(said: Any, losses: Losses) -> Thinking:
    said = said if isinstance(said, dict) else {}
    losses.beside(said, _OF_THINKING, "reasoning")
    if said.get("context") not in (None, "auto") or said.get("mode") not in (None, "standard"):
        losses.add("reasoning", "changed")
    effort = a_text(said.get("effort"))
    on = None if not effort else effort != "none"
    return Thinking(on, effort if on else "", summary=a_text(said.get("summary")))
