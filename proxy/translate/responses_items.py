"""The items of the Responses API, in a request and in a reply, as turns and parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translate.logprobs import read_logprobs
from proxy.translate.losses import Losses
from proxy.translate.media import from_url
from proxy.translate.sealing import unseal
from proxy.translate.tools import ACTION_MEMBER
from proxy.translate.values import (
    Citation,
    Media,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolKind,
    ToolResult,
    ToolUse,
    Turn,
    a_count,
    a_list,
    a_text,
    an_object,
)
from proxy.wire.toolset import brings_tools

_ROLES: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}
_CALLS: dict[str, ToolKind] = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
}
# a conversation that its provider is to make shorter, or has: what it makes of it none else can read
_SHORTENED = frozenset({"compaction", "compaction_summary", "compaction_trigger"})
# What is read of an item, and of a part of a message; the limits of a shell's output are known to who ran it.
_OF_ITEM = frozenset(
    "content call_id name namespace arguments input output action operation summary encrypted_content environment "
    "max_output_length tools execution".split()
)
_OF_PART = frozenset(
    "text annotations logprobs refusal image_url file_id file_url file_data filename detail input_audio "
    "prompt_cache_breakpoint".split()
)
_KINDS = frozenset({"", "message", "reasoning", *_CALLS})
# an item by its id, None where it is not known
Recall = Callable[[str], Any]
_encode = msgspec.json.Encoder().encode


def read_items(items: list[Any], losses: Losses) -> list[Turn]:
    """The conversation; what an assistant says, thinks and calls in a row is one turn."""
    turns: list[Turn] = []
    for item in items:
        item = an_object(item, "input")
        kind = a_text(item.get("type"))
        if kind.removesuffix("_output") in _KINDS:
            losses.beside(item, _OF_ITEM)
        if brings_tools(item):
            continue
        if kind.endswith("_output") and _CALLS.get(kind.removesuffix("_output")):
            turns.append(Turn("tool", [_result(item, _CALLS[kind.removesuffix("_output")], losses)]))
        elif _is_reference(item):
            losses.add("item_reference", "refused")
        elif kind in _SHORTENED:
            losses.add("compaction", "refused")
        elif kind in ("", "message"):
            role = _ROLES.get(a_text(item.get("role")), "user")
            _say(turns, role, read_parts(item.get("content"), losses))
        else:
            _say(turns, "assistant", read_output(item, losses))
    return turns


def brought(items: list[Any]) -> list[Any]:
    """The tools that come with the conversation."""
    return [tool for item in items if brings_tools(item) for tool in item["tools"]]


def recalled(items: list[Any], recall: Recall) -> list[Any]:
    """The items, with those that are known here in the place of references to them."""
    return [(_is_reference(item) and recall(a_text(item.get("id")))) or item for item in items]


def _is_reference(item: Any) -> bool:
    """Whether it only refers to an item, which need not be said."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and isinstance(item.get("id"), str) and "role" not in item)


def _say(turns: list[Turn], role: Role, parts: list[Part]) -> None:
    if role == "assistant" and turns and turns[-1].role == role:
        turns[-1].parts += parts
    elif parts or role != "assistant":
        turns.append(Turn(role, parts))


def read_output(item: dict[str, Any], losses: Losses) -> list[Part]:
    """What one item of a reply holds; the work of a provider's own tools has no equal elsewhere."""
    kind = a_text(item.get("type"))
    if kind == "message":
        return read_parts(item.get("content"), losses)
    if kind == "reasoning":
        thought = read_reasoning(item)
        return [] if thought is None else [thought]
    if kind in _CALLS:
        return [read_call(item, _CALLS[kind])]
    losses.add("input_items")
    return []


def read_reasoning(item: dict[str, Any]) -> Reasoning | None:
    """Thoughts: those that were sealed here, or the provider's."""
    data = a_text(item.get("encrypted_content"))
    summary = a_list(item.get("summary"), "summary")
    said = [*summary, *a_list(item.get("content"), "content")]
    text = "\n\n".join(a_text(part.get("text")) for part in said if isinstance(part, dict))
    sealed = unseal(data, text)
    if sealed is not None:
        return sealed
    is_full = bool(said) and not summary
    thought = Reasoning(text, data=data, id=a_text(item.get("id")), origin="openai", is_full=is_full)
    return thought if text or data else None


def read_call(item: dict[str, Any], kind: ToolKind) -> ToolUse:
    """The call of a tool."""
    identity = a_text(item.get("call_id")) or a_text(item.get("id"))
    name, namespace = a_text(item.get("name")) or kind, a_text(item.get("namespace"))
    if kind == "function":
        return ToolUse(identity, name, a_text(item.get("arguments")), kind, namespace)
    if kind == "custom":
        return ToolUse(identity, name, a_text(item.get("input")), kind, namespace)
    action = item.get(ACTION_MEMBER[kind])
    action = dict(action) if isinstance(action, dict) else {}
    if kind == "local_shell":
        action.pop("type", None)
    return ToolUse(identity, name, _encode({k: v for k, v in action.items() if v is not None}).decode(), kind)


def _result(item: dict[str, Any], kind: ToolKind, losses: Losses) -> ToolResult:
    identity = a_text(item.get("call_id")) or a_text(item.get("id"))
    output = item.get("output")
    failed = kind == "apply_patch" and item.get("status") == "failed"
    if output is None or isinstance(output, str):
        return ToolResult(identity, [Text(output)] if output else [], failed, kind)
    if kind == "shell" or not isinstance(output, list):  # what each command wrote, and how it ended
        return ToolResult(identity, [Text(_encode(output).decode())], failed, kind)
    parts = [part for part in read_parts(output, losses) if isinstance(part, Text | Media)]
    return ToolResult(identity, parts, failed, kind)


def read_parts(content: Any, losses: Losses) -> list[Part]:
    """The parts of a message's content."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = [_part(an_object(part, "content"), losses) for part in a_list(content, "content")]
    return [part for part in parts if part is not None]


def _part(part: dict[str, Any], losses: Losses) -> Part | None:
    kind, cache = part.get("type"), part.get("prompt_cache_breakpoint")
    losses.beside(part, _OF_PART)
    if kind in ("input_text", "output_text", "text", "summary_text"):
        citations, told = read_annotations(part.get("annotations"), losses), part.get("logprobs")
        return Text(a_text(part.get("text")), citations, cache, read_logprobs(told) if told else [])
    if kind == "refusal":
        return Refusal(a_text(part.get("refusal")))
    if kind == "input_image":
        media = Media("image", file_id=a_text(part.get("file_id")), detail=_detail(part), cache=cache)
        return from_url(media, a_text(part.get("image_url")))
    if kind == "input_file":
        losses.unless_empty("image_detail", _detail(part))
        named = a_text(part.get("file_id")), a_text(part.get("filename"))
        media = Media("file", file_id=named[0], filename=named[1], cache=cache)
        return from_url(media, a_text(part.get("file_data")) or a_text(part.get("file_url")))
    if kind == "input_audio":
        audio = an_object(part.get("input_audio"), "input_audio")
        return Media("audio", data=a_text(audio.get("data")), media_type=a_text(audio.get("format")))
    losses.add("other")
    return None


def _detail(part: dict[str, Any]) -> str:
    """How closely a picture is to be looked at, where that is not left to the model."""
    detail = a_text(part.get("detail"))
    return "" if detail == "auto" else detail


def read_annotations(said: Any, losses: Losses) -> list[Citation]:
    """Annotations that lead to a page, chat's or those of Responses; the others have no equal elsewhere."""
    found = []
    for annotation in said if isinstance(said, list) else []:
        if citation := read_annotation(annotation):
            found.append(citation)
        else:
            losses.add("citations")
    return found


def read_annotation(said: Any) -> Citation | None:
    """One annotation; None where it leads to no page."""
    inner = said.get("url_citation", said) if isinstance(said, dict) else None
    if not isinstance(inner, dict) or not a_text(inner.get("url")):
        return None
    start, end = a_count(inner.get("start_index")), a_count(inner.get("end_index"))
    return Citation(
        a_text(inner.get("url")),
        a_text(inner.get("title")),
        a_text(inner.get("content")),
        -1 if start is None else start,
        -1 if end is None else end,
    )
