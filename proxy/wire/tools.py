"""Tools in a reply: what the provider's own did, as far as that is billed, and the names of those that a stream calls."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from proxy.wire.called import CALLS, MOST_NAMES, names_in
from proxy.wire.events import read_value
from proxy.wire.usage import Pass, Usage, read_usage, with_passes

# What draws where the request names no model (OpenAI's reference of the tool).
_DRAWS = "gpt-image-1"
# What in `tools` says what a run of theirs costs.
_TOLD_APART = re.compile(b'"web_search_preview|"memory_limit"')
_ALWAYS_SEARCHES = re.compile(r"-search-(?:preview|api)(?:[-:@]|$)")


def always_searches(model: str) -> bool:
    """Whether it is one that searches for every call, and each is charged for it (OpenAI's price list: search models)."""
    return "-search-" in model and _ALWAYS_SEARCHES.search(model) is not None


def with_usual_search(usage: Usage, model: str) -> Usage:
    """The usage with the search that a model makes for every call."""
    return usage if usage.web_searches or not always_searches(model) else replace(usage, web_searches=1)


class _Item(Struct):
    id: Any = None
    type: Any = None
    name: Any = None
    status: Any = None
    action: Any = None
    container_id: Any = None
    environment: Any = None


class _Executed(Struct):
    """One of Groq's own tools that ran; in a stream it may come twice, the second time with what it found."""

    index: Any = None
    type: Any = None


class _Function(Struct):
    name: Any = None


class _ToolCall(Struct):
    id: Any = None
    function: _Function | None = None


class _Said(Struct):
    executed_tools: list[_Executed] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    message: _Said | None = None
    delta: _Said | None = None


class _Chat(Struct):
    choices: list[_Choice] | None = None


class _Start(Struct):
    """Of Anthropic's `content_block_start`."""

    content_block: _Item | None = None


class _Tool(Struct):
    type: Any = None
    model: Any = None
    container: Any = None
    environment: Any = None

    @property
    def gigabytes(self) -> int:
        """The memory of the container that it runs in, which is charged by its size (`"4g"`); one where it does not say."""
        place = self.container if isinstance(self.container, dict) else self.environment
        limit = place.get("memory_limit") if isinstance(place, dict) else None
        number = limit.removesuffix("g") if isinstance(limit, str) else ""
        return int(number) if number.isdecimal() and len(number) < 4 else 1


_item = msgspec.json.Decoder(_Item)
_items = msgspec.json.Decoder(list[_Item])
_tools = msgspec.json.Decoder(list[_Tool])
_start = msgspec.json.Decoder(_Start)
_chat = msgspec.json.Decoder(_Chat)


class ToolRuns:
    """Counts items of `output` as they come; a whole `output` replaces what was counted before. `called`: the names of tools."""

    __slots__ = ("_drawing", "_gigabytes", "_is_preview", "_ran", "_requests", "called")

    def __init__(self) -> None:
        self._ran: dict[str, set[str]] = {}
        self._requests = 0
        self._is_preview = False
        self._gigabytes = 1
        self._drawing: Pass | None = None
        self.called: set[str] = set()

    def call(self, calls: Any) -> None:
        """A chat's event has such `tool_calls`; their names come once, and their arguments after that."""
        if len(self.called) < MOST_NAMES:
            self.called.update(names_in(calls))

    def begins(self, data: bytes) -> None:
        """A `content_block_start`, most likely that of a call."""
        start = _decoded(_start, Raw(data))
        block = None if start is None else start.content_block
        if block is None or not isinstance(block.type, str):
            return
        self._see_name(block)
        if block.type == "server_tool_use" and block.name == "web_search":
            self._ran.setdefault("web_search_call", set()).add(f"{block.id}")

    def searched(self, data: bytes) -> None:
        """A chat's event or whole reply tells of searches."""
        chat = _decoded(_chat, Raw(data))
        said = [choice.message or choice.delta for choice in (chat and chat.choices) or ()]
        ran = self._ran.setdefault("web_search_call", set())
        for one in said:
            for tool in (one and one.executed_tools) or ():
                if isinstance(tool.type, str) and "search" in tool.type:
                    ran.add(f"{tool.index}")
            for call in (one and one.tool_calls) or ():
                if call.function is not None and call.function.name == "$web_search":
                    ran.add(f"{call.id}")

    def ran(self, item: Raw | UnsetType) -> None:
        """One item is done."""
        if item is not UNSET:
            self._count(_decoded(_item, item))

    def ended(self, output: Raw | UnsetType, tool_usage: Raw | UnsetType, tools: Raw | UnsetType) -> None:
        """The reply as a whole, as far as it was told."""
        found = None if output is UNSET else _decoded(_items, output)
        if found:
            self._ran.clear()
            for position, item in enumerate(found):
                self._count(item, str(position))
        if tools is not UNSET and _TOLD_APART.search(bytes(tools)):
            offered = _decoded(_tools, tools) or ()
            self._is_preview = any(str(tool.type).startswith("web_search_preview") for tool in offered)
            self._gigabytes = max([tool.gigabytes for tool in offered], default=1)
        told = read_value(tool_usage)
        if isinstance(told, dict):
            self._see_usage(told, tools)

    def added_to(self, usage: Usage) -> Usage:
        """The usage with what the tools did."""
        if not self._ran and not self._requests and self._drawing is None:
            return usage
        searches, files = self._runs("web_search_call"), self._runs("file_search_call")
        code = self._runs("code_interpreter_call") * self._gigabytes
        if searches or self._requests or files or code:
            searches = max(usage.web_searches, self._requests or searches)
            usage = replace(
                usage,
                web_searches=searches,
                preview_searches=searches if self._is_preview else 0,
                file_searches=max(usage.file_searches, files),
                code_sessions=max(usage.code_sessions, code),
            )
        if self._drawing is None:
            return usage
        return with_passes(usage, [*(usage.passes or (Pass(None, usage),)), self._drawing])

    def _runs(self, kind: str) -> int:
        return len(self._ran.get(kind, ()))

    def _count(self, item: _Item | None, name: str = "") -> None:
        """Count what really ran.

        Of a search only its action `search` is charged, opening a page and finding in it are not (OpenAI's reference of
        `web_search_call`); Azure leaves items of a completed reply at `searching`, xAI's have no action. Sessions of
        code are charged by the container, a shell's as well where it runs at the provider, and by its gigabytes.
        """
        if item is None or not isinstance(item.type, str):
            return
        self._see_name(item)
        if item.status in ("failed", "incomplete"):
            return
        kind, container_id = "web_search_call" if item.type == "x_search_call" else item.type, item.container_id
        if kind == "shell_call" and isinstance(item.environment, dict) and "container_id" in item.environment:
            kind, container_id = "code_interpreter_call", item.environment["container_id"]
        action = item.action.get("type") if isinstance(item.action, dict) else None
        if kind == "web_search_call" and action not in (None, "search"):
            return
        identity = container_id if kind == "code_interpreter_call" else item.id
        ran = self._ran.setdefault(kind, set())
        ran.add(identity if isinstance(identity, str) else name or str(len(ran)))

    def _see_name(self, item: _Item) -> None:
        if isinstance(item.name, str) and item.type in CALLS and len(self.called) < MOST_NAMES:
            self.called.add(item.name)

    def _see_usage(self, told: dict[str, Any], tools: Raw | UnsetType) -> None:
        search = told.get("web_search")
        if isinstance(search, dict):
            self._requests = read_usage({"input_tokens": search.get("num_requests")}).input_tokens
        drawing = told.get("image_gen")
        used = read_usage(drawing) if isinstance(drawing, dict) else Usage()
        if used.input_tokens or used.output_tokens:
            self._drawing = Pass(_drawer(tools), used)


def _drawer(tools: Raw | UnsetType) -> str:
    """The model that the tool for pictures was told to use."""
    found = None if tools is UNSET else _decoded(_tools, tools)
    named = (tool.model for tool in found or () if tool.type == "image_generation")
    return next((name for name in named if isinstance(name, str)), _DRAWS)


def _decoded(decoder: msgspec.json.Decoder[Any], raw: Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
