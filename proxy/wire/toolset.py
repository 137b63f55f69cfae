"""The tools of its own that a request defines: their names, and about how much there is to read of each definition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.wire.counting import tokens_in
from proxy.wire.json_object import Text

LARGEST = 256 * 1024  # more than that is not looked into
MOST_NAMED = 128  # of one request, as many as OpenAI takes
# Items of a Responses conversation that bring tools: the developer's (Codex gives its newest models all of theirs so), those found.
_BRINGING = ("additional_tools", "tool_search_output")
OTHER = ""  # the name of all that have none fit to be kept, and of those beyond the first so many
_MOST_KNOWN = 32
_DEEPEST = 4
_NAME = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")  # Anthropic's are the longest
_sizes = msgspec.json.Decoder(dict[str, Annotated[int, Meta(ge=1, le=LARGEST)]])


class Toolset(Struct, frozen=True):
    """`offered`: their names with the tokens of each, as JSON, in the order they came; `names` are the same."""

    offered: str
    names: frozenset[str]


NO_TOOLS = Toolset("", frozenset())


def toolset_of(member: Text) -> Toolset:
    """What the member `tools` of a request defines. The same bytes come again and again, and are read once."""
    if type(member) is bytes:
        return _read(member) if len(member) <= LARGEST else NO_TOOLS
    return _read(bytes(member)) if len(memoryview(member)) <= LARGEST else NO_TOOLS


def brings_tools(item: Any) -> bool:
    """Whether it is an item of a Responses conversation that brings tools."""
    return isinstance(item, dict) and item.get("type") in _BRINGING and isinstance(item.get("tools"), list)


@lru_cache(maxsize=1024)
def definitions(offered: str) -> tuple[dict[str, int], int]:
    """What `Toolset.offered` says: names with their tokens, and the sum of these. Nothing where it cannot be read."""
    try:
        found = _sizes.decode(offered)
    except (msgspec.DecodeError, RecursionError):
        return {}, 0
    return found, sum(found.values())


@lru_cache(maxsize=_MOST_KNOWN)
def _read(text: bytes) -> Toolset:
    sizes: dict[str, int] = {}
    try:
        for tool in _each(msgspec.json.decode(text)):
            name = _name_of(tool)
            name = name if name in sizes or len(sizes) < MOST_NAMED else OTHER
            sizes[name] = sizes.get(name, 0) + tokens_in(msgspec.json.encode(tool))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return NO_TOOLS
    return Toolset(msgspec.json.encode(sizes).decode(), frozenset(sizes)) if sizes else NO_TOOLS


def _each(tools: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every tool, those of a namespace (Responses) one by one."""
    for tool in tools if isinstance(tools, list) and depth < _DEEPEST else ():
        if isinstance(tool, dict) and tool.get("type") == "namespace":
            yield from _each(tool.get("tools"), depth + 1)
        elif isinstance(tool, dict):
            yield tool


def _name_of(tool: dict[str, Any]) -> str:
    """In chat it stands in what is named after the tool's type."""
    inner = tool.get("function") or tool.get("custom") or tool
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else OTHER
