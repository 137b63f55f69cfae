"""What a request asks for: how much output, of what kind, which tools of the provider's, at which tier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from proxy.wire.call import MAXIMA, Call

# How often a provider's tool may run where the request sets no limit, and what one search may add to read.
MOST_USES = 10
TOKENS_PER_SEARCH = 25_000
# The dearest engine of OpenRouter's web plugin (wire.md 1.9), and each result above ten.
PLUGIN_SEARCH_USD = Decimal("0.015")
PLUGIN_RESULT_USD = Decimal("0.001")
# A container for an hour: the usual one, and the largest.
CODE_USD = Decimal("0.05")
LARGE_CODE_USD = Decimal("2")

# Output tokens of a picture of 1024 x 1024 at the highest quality, and of the smallest one.
TOKENS_PER_PICTURE = 7_100
FEWEST_PICTURE_TOKENS = 1_300
TOKENS_PER_PARTIAL_PICTURE = 100

_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_RESOLUTIONS = {"512": 1, "1k": 1, "2k": 4, "4k": 16}
_QUALITIES = {"low": 10, "medium": 3}
# Tools that run at the client's, or cost nothing beside tokens.
_HARMLESS_TOOLS = ("computer", "bash", "text_editor", "local_shell", "apply_patch", "memory", "tool_search")
_HARMLESS_PLUGINS = frozenset({"response-healing", "context-compression", "moderation", "file-parser"})
_USUAL_TIERS = frozenset({"auto", "default", "standard", "standard_only", "flex", "batch", "global", "not_available"})
_TIERS = ("service_tier", "speed", "inference_geo")

ASKS_MEMBERS = frozenset(
    {"n", "best_of", "prompt", "prediction", "modalities", "image_config", "web_search_options", "plugins", "tools"}
    | {"max_tool_calls", "size", "resolution", "quality", "partial_images", "documents", "input", *_TIERS}
    | {name for names in MAXIMA.values() for name in names}
)
ASKS_FIELDS = frozenset({"n", "size", "quality", "partial_images"})


class Tools(Struct, frozen=True):
    """What a provider's tools may do: searches (each at least `search_usd`), sessions of code.

    `reads_on`: they may read what only the context window bounds. `is_open_ended`: nothing bounds their cost.
    """

    searches: int = 0
    search_usd: Decimal = Decimal(0)
    file_searches: int = 0
    code_usd: Decimal = Decimal(0)
    reads_on: bool = False
    is_open_ended: bool = False


class Asks(Struct, frozen=True):
    """Bounds of what a request asks for. `copies` None: its number of answers cannot be read.

    `maximum` is the output limit the provider will heed, for each copy; `may_lower`: there is a member for one, and
    the client left it open. `tiers` are (member,
    value) of what costs more than usual. `picture_tokens` are for one picture.
    """

    tools: Tools
    copies: int | None = 1
    maximum: int | None = None
    may_lower: bool = False
    predicted_tokens: int = 0
    makes_images: bool = False
    makes_audio: bool = False
    tiers: tuple[tuple[str, str], ...] = ()
    picture_tokens: int = 0
    characters: int = 0
    documents: int = 0


def read_asks(call: Call, members: Mapping[str, Any]) -> Asks:
    """Read what is asked for; `members` are those of `ASKS_MEMBERS` it will have, decoded."""
    modalities = members.get("modalities")
    modalities = modalities if isinstance(modalities, list) else ()
    text = members.get("input")
    documents = members.get("documents")
    limits = [value for name in MAXIMA.get(call.endpoint.shape, ()) if (value := members.get(name)) is not None]
    tiers = tuple((name, str(value).lower()) for name in _TIERS if (value := members.get(name)) is not None)
    return Asks(
        tools=_read_tools(members),
        copies=_copies(call, members),
        maximum=_maximum(limits),
        may_lower=call.endpoint.max_field is not None and not limits,
        predicted_tokens=_length(members.get("prediction")),
        makes_images="image" in modalities or bool(members.get("image_config")),
        makes_audio="audio" in modalities,
        tiers=tuple((name, value) for name, value in tiers if value not in _USUAL_TIERS),
        picture_tokens=_picture_tokens(members),
        characters=len(text) if isinstance(text, str) else 0,
        documents=len(documents) if isinstance(documents, list) else 0,
    )


def _maximum(found: list[Any]) -> int | None:
    """The larger of the limits set; one that is no count at all may mean anything to the provider."""
    counts = [_positive(value) for value in found]
    return None if None in counts else max((count for count in counts if count is not None), default=None)


def _positive(value: Any) -> int | None:
    """A count of at least one; None where it is none."""
    count = _whole(value)
    return None if count is None or count < 1 else count


def _whole(value: Any) -> int | None:
    """A whole number as lenient providers read it (`100.0`, `"100"`); None for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _copies(call: Call, members: Mapping[str, Any]) -> int | None:
    """How many answers: `n` or `best_of`, for each of the prompts."""
    if call.endpoint.shape in ("responses", "messages"):
        return 1
    n, best_of = _count(members.get("n")), _count(members.get("best_of"))
    if n is None or best_of is None:
        return None
    prompts = members.get("prompt")
    if isinstance(prompts, list) and not all(isinstance(token, int) for token in prompts):
        return max(n, best_of) * len(prompts)
    return max(n, best_of)


def _count(value: Any) -> int | None:
    """A number of things, at least one; None where it is no number."""
    count = 1 if value is None else _whole(value)
    return None if count is None else max(1, count)


def _length(value: Any) -> int:
    """The UTF-8 bytes of all text in a value."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_length(part) for part in parts)


def _picture_tokens(members: Mapping[str, Any]) -> int:
    """Output tokens of one picture: by its area, and less for a lower quality."""
    size, resolution = str(members.get("size") or "auto").lower(), str(members.get("resolution") or "1k").lower()
    area = TOKENS_PER_PICTURE * 3 // 2 * _RESOLUTIONS.get(resolution, 16)
    if match := _SIZE.fullmatch(size):
        area = -(-int(match[1]) * int(match[2]) * TOKENS_PER_PICTURE // 2**20)
    elif size != "auto":
        area = TOKENS_PER_PICTURE * 24
    quality = _QUALITIES.get(str(members.get("quality")).lower(), 1)
    partial = _count(members.get("partial_images")) or 1
    return max(-(-area // quality), FEWEST_PICTURE_TOKENS) + partial * TOKENS_PER_PARTIAL_PICTURE


def _read_tools(members: Mapping[str, Any]) -> Tools:
    """Add up the plugins, the search options and the provider's own tools."""
    all_of = [*_plugins(members.get("plugins")), *_own_tools(members)]
    if members.get("web_search_options") is not None:
        all_of.append(Tools(searches=1))
    return Tools(
        searches=sum(tools.searches for tools in all_of),
        search_usd=max((tools.search_usd for tools in all_of), default=Decimal(0)),
        file_searches=sum(tools.file_searches for tools in all_of),
        code_usd=sum((tools.code_usd for tools in all_of), Decimal(0)),
        reads_on=any(tools.reads_on for tools in all_of),
        is_open_ended=any(tools.is_open_ended for tools in all_of),
    )


def web_plugin(max_results: Any = None) -> Tools:
    """One search by OpenRouter's web plugin."""
    above_ten = max(0, max_results - 10) if isinstance(max_results, int) else 0
    return Tools(searches=1, search_usd=PLUGIN_SEARCH_USD + above_ten * PLUGIN_RESULT_USD)


def _plugins(plugins: Any) -> Iterator[Tools]:
    for plugin in plugins if isinstance(plugins, list) else ():
        if not isinstance(plugin, dict) or plugin.get("enabled") is False:
            continue
        if plugin.get("id") == "web":
            yield web_plugin(plugin.get("max_results"))
        elif plugin.get("id") == "web-fetch":
            yield Tools(reads_on=True)
        elif plugin.get("id") not in _HARMLESS_PLUGINS or "mistral-ocr" in str(plugin.get("pdf")):
            yield Tools(is_open_ended=True)


def _own_tools(members: Mapping[str, Any]) -> Iterator[Tools]:
    tools = members.get("tools")
    most = members.get("max_tool_calls")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind not in ("function", "custom"):
            yield _own_tool(kind, tool, most if isinstance(most, int) else MOST_USES)


def _own_tool(kind: str, tool: dict[str, Any], most: int) -> Tools:
    uses = tool.get("max_uses")
    uses = uses if isinstance(uses, int) and uses > 0 else max(1, most)
    if "web_search" in kind:
        least = PLUGIN_SEARCH_USD if kind.startswith("openrouter:") else Decimal(0)
        return Tools(searches=uses, search_usd=least)
    if kind == "file_search":
        return Tools(file_searches=uses, reads_on=True)
    if kind.startswith("code_"):
        return Tools(code_usd=LARGE_CODE_USD if "memory_limit" in str(tool.get("container")) else CODE_USD)
    if "web_fetch" in kind or kind == "mcp":
        return Tools(reads_on=True)
    is_harmless = kind.startswith(_HARMLESS_TOOLS) or kind == "openrouter:datetime"
    return Tools(is_open_ended=not is_harmless)
