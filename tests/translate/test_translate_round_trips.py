"""There and back again: what comes back is what was sent, or the difference is in the list of losses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.translate.bridge import read_request, write_request
from proxy.translate.losses import FIELDS, Losses
from proxy.translate.values import Aim, Part, Protocol, Request, Text, ToolResult

# what a member's difference may be called in the list of losses
MAY_DIFFER: dict[str, set[str]] = {
    "turns": {"response_format", "cache_control", "documents", "image_detail", "audio", "pictures", "system_position", "tool_arguments", "tool_result_error", "tool_result_media", "message_name", "citations", "thinking"},
    "tools": {"cache_control"},
    "choice": {"tool_choice"},
    "maximum": {"max_tokens"},
    "temperature": {"temperature"},
    "top_p": {"top_p"},
    "stop": {"stop"},
    "format": {"response_format"},
    "thinking": {"reasoning"},
    "user": {"user"},
    "tier": {"service_tier"},
    "metadata": {"metadata"},
    "verbosity": {"verbosity"},
    "cache_key": {"prompt_cache_key"},
    "extra": {"seed", "n", "logit_bias", "presence_penalty", "frequency_penalty", "top_k", "other"},
}  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(names, values, max_size=2).map(json.dumps)
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(names, st.just({"type": "string"}), max_size=2)}
)
pictures = st.sampled_from(["https://x.example/a.png", "data:image/png;base64,AAAA", "data:image/webp;base64,BBBB"])


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request of chat: a conversation with calls and their results, and any of its members."""
    messages: list[dict[str, Any]] = [{"role": draw(st.sampled_from(["system", "developer"])), "content": draw(texts)}]
    for turn in range(draw(st.integers(1, 3))):
        parts = [{"type": "text", "text": draw(texts)}]
        if draw(st.booleans()):
            parts.append({"type": "image_url", "image_url": {"url": draw(pictures)}})
        messages.append({"role": "user", "content": draw(st.sampled_from([parts, parts[0]["text"]]))})
        calls = [
            {"id": f"c{turn}_{n}", "type": "function", "function": {"name": draw(names), "arguments": draw(arguments)}}
            for n in range(draw(st.integers(0, 2)))
        ]
        messages.append({"role": "assistant", "content": draw(texts), **({"tool_calls": calls} if calls else {})})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in calls]
    messages.append({"role": "user", "content": draw(texts)})
    tools = [
        {"type": "function", "function": {"name": name, "description": draw(texts), "parameters": draw(schemas)}}
        for name in draw(st.lists(names, max_size=2, unique=True))
    ]
    members = {
        "max_tokens": st.integers(1, 50_000),
        "temperature": st.sampled_from([0, 0.5, 1, 1.7]),
        "top_p": st.sampled_from([0.1, 1]),
        "stop": st.lists(texts, max_size=2),
        "seed": st.integers(0, 9),
        "n": st.sampled_from([1, 2]),
        "user": texts,
        "service_tier": st.sampled_from(["auto", "default", "flex"]),
        "metadata": st.just({"a": "b"}),
        "reasoning_effort": st.sampled_from(["none", "low", "medium", "high"]),
        "response_format": st.sampled_from(
            [
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}}},
            ]
        ),
        "parallel_tool_calls": st.booleans(),
        "stream": st.booleans(),
        "verbosity": st.just("low"),
        "tool_choice": st.sampled_from(
            ["auto", "none", "required", *({"type": "function", "function": t["function"]} for t in tools)]
        ),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=members))
    if not tools:
        chosen.pop("tool_choice", None), chosen.pop("parallel_tool_calls", None)
    return {"messages": messages, **({"tools": tools} if tools else {}), **chosen}


def read(protocol: Protocol, body: bytes, losses: Losses | None = None) -> Request:
    return read_request(protocol, body, losses or Losses())


def sent(request: Request, target: Protocol, losses: Losses) -> bytes:
    return write_request(request, Aim(target, request.model, maximum=50_001), losses)


def plain(parts: list[Part]) -> list[Any]:
    """Parts, with words in a row as one, and arguments as what they say."""
    found: list[Any] = []
    for part in parts:
        if _is_blank(part):
            continue
        said = msgspec.to_builtins(part)
        if isinstance(part, ToolResult):
            said["parts"] = plain(list(part.parts))
        if isinstance(part, Text):
            said = part.text
            if found and isinstance(found[-1], str):
                found[-1] += said
                continue
        if "arguments" in said and not isinstance(said, str):
            said["arguments"] = json.loads(said["arguments"] or "{}")
        found.append(said)
    return found


def canon(request: Request) -> dict[str, Any]:
    """A request by its members, without what is spelled otherwise and means the same."""
    said = msgspec.to_builtins(request)
    turns: list[list[Any]] = []
    for turn in request.turns:
        if turn.parts and all(map(_is_blank, turn.parts)):
            continue
        role = "user" if turn.role == "tool" else turn.role
        if turns and turns[-1][0] == role:
            turns[-1][1] += turn.parts
        else:
            turns.append([role, list(turn.parts)])
    said["turns"] = [[role, _words(plain(parts))] for role, parts in turns]
    said["thinking"] = {"on": request.thinking.on, "effort": request.thinking.effort}
    if request.format is not None:
        said["format"] = {"type": "object"} if request.format.schema is None else request.format.schema
    if request.parallel is not None and request.choice is None:
        said["choice"] = {"mode": "auto", "names": ()}
    said["extra"] = {name: value for name, value in request.extra.items() if (name, value) != ("n", 1)}
    for tool in said["tools"]:
        tool["strict"] = tool["strict"] or None
    for name in ("temperature", "top_p"):  # the usual one need not be said
        said[name] = None if said[name] == 1 else said[name]
    for name in ("model", "include_usage", "echo"):
        said.pop(name)
    return said


def _is_blank(part: Part) -> bool:
    """Text of nothing but white space, which Anthropic refuses."""
    return isinstance(part, Text) and not part.text.strip()


def _words(parts: list[Any]) -> list[Any]:
    return [
        part.replace("\n", "")
        if isinstance(part, str)
        else {**part, "parts": _words(part["parts"])}
        if "parts" in part
        else part
        for part in parts
    ]


@settings(max_examples=120)
@given(chat_requests(), st.sampled_from(["messages", "responses"]), st.sampled_from(["chat", "messages", "responses"]))
def test_what_comes_back_is_what_was_sent_or_is_listed(body: dict[str, Any], over: Protocol, home: Protocol) -> None:
    """A chat request is said in the tongue of `home`, and sent from there over another and back."""
    first = read("chat", json.dumps(body).encode())
    at_home = first if home == "chat" else read(home, sent(first, home, Losses()))
    over = over if over != home else "chat"
    losses = Losses()
    back = read(home, sent(read(over, sent(at_home, over, losses), losses), home, losses), losses)
    fields = {loss.field for loss in losses.sort()}
    before, after = canon(at_home), canon(back)
    for name in before:
        if before[name] == after[name]:
            continue
        if name == "maximum" and before[name] is None:  # the one protocol that demands it was given one
            continue
        if name == "thinking" and at_home.thinking.on and back.thinking.on:  # an effort was a budget under way
            continue
        if name in ("choice", "parallel") and at_home.choice is not None and at_home.choice.mode == "none":
            continue
        assert MAY_DIFFER.get(name, set()) & fields, (name, before[name], after[name], fields)
    assert fields <= FIELDS
