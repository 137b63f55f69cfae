"""What a provider's own tools may cost a request: how often each may run, its fee, and what it brings to read.

Tools of the client's run at the client and cost nothing beside the tokens they are described in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.money.pictures import picture_tokens
from proxy.wire.toolset import brings_tools

# What one run brings to read: recorded searches of the web brought 9,000 to 12,000 tokens; OpenAI's in files are cut
# to 16,000.
TOKENS_PER_SEARCH = 15_000
TOKENS_PER_FILE_SEARCH = 16_000
# The dearest engine of OpenRouter's web plugin (wire.md 1.9), and each result above ten.
PLUGIN_SEARCH_USD = Decimal("0.015")
PLUGIN_RESULT_USD = Decimal("0.001")
# Each source xAI's older search may read, and how many where the request does not say.
_SOURCE_USD = Decimal("0.025")
_SOURCES = 15
# A file read by OpenRouter's dearest parser: a thousand pages at most.
_PARSER_USD = Decimal(2)
# A container for an hour: the usual one, and the largest.
CODE_USD = Decimal("0.05")
LARGE_CODE_USD = Decimal("2")

_AT_THE_CLIENT = frozenset({"function", "custom", "namespace", "shell", "local_shell", "apply_patch"})
_AT_THE_CLIENT_BY_VERSION = ("computer", "browser_toolset", "bash", "text_editor", "memory", "tool_search")
_READS_PAGES = frozenset({"browser_search", "browser_automation", "visit_website", "fetch_url"})  # Groq's, Perplexity's
_IN_FILES = frozenset({"file_search", "collections_search"})  # OpenAI's and xAI's
_LIKE_A_FUNCTION = ("parameters", "input_schema", "name", "function")
_FREE_AT_OPENROUTER = frozenset({"openrouter:datetime", "openrouter:apply_patch"})
_HARMLESS_PLUGINS = frozenset({"response-healing", "context-compression", "moderation", "file-parser"})
_DEEPEST = 4

TOOLS_MEMBERS = frozenset(
    {"tools", "plugins", "web_search_options", "search_parameters", "max_tool_calls", "input", "messages"}
)


class Uses(Struct, frozen=True):
    """How often tools may run: `told` by the request, and as often as the operator assumes for each of `untold`."""

    told: int = 0
    untold: int = 0

    def __add__(self, other: Uses) -> Uses:
        return Uses(self.told + other.told, self.untold + other.untold)

    def at(self, tool_uses: int) -> int:
        """The number of runs."""
        return self.told + self.untold * tool_uses


NEVER = Uses()
_ONCE_ASSUMED = Uses(untold=1)


class Advice(Struct, frozen=True):
    """Another model that may be asked, and says no more than `most_tokens` each time (None: nobody bounds it)."""

    uses: Uses
    model: str
    most_tokens: int | None = None


class Tools(Struct, frozen=True):
    """What a provider's tools may do: searches (each at least `search_usd`), pictures drawn, sessions of code.

    `previews`: some are OpenAI's `web_search_preview`. `found` are runs that bring so many tokens to read each, `advice` those of other models, `asked` the names of all models that may be asked. `reads_on`: they may read what only the context window
    bounds. `unbounded` names the tool nothing bounds the cost of, where the provider charges for tools.
    """

    searches: Uses = NEVER
    previews: bool = False
    search_usd: Decimal = Decimal(0)
    file_searches: Uses = NEVER
    code_usd: Decimal = Decimal(0)
    parser_usd: Decimal = Decimal(0)
    pictures: tuple[tuple[Uses, int], ...] = ()
    found: tuple[tuple[Uses, int], ...] = ()
    advice: tuple[Advice, ...] = ()
    asked: tuple[str, ...] = ()
    reads_on: bool = False
    unbounded: str = ""


NO_TOOLS = Tools()


def read_tools(members: Mapping[str, Any]) -> Tools:
    """Add up the plugins, the search options and the provider's own tools; `members` are those of `TOOLS_MEMBERS`."""
    most = _uses(members.get("max_tool_calls"), _ONCE_ASSUMED)
    all_of = [*_plugins(members.get("plugins")), *_own_tools(offered(members), most)]
    if members.get("web_search_options") is not None:
        all_of.append(_searching(Uses(told=1)))
    if isinstance(options := members.get("search_parameters"), dict) and options.get("mode") != "off":
        sources = options.get("max_search_results")
        all_of.append(_searching(Uses(told=sources if isinstance(sources, int) else _SOURCES), _SOURCE_USD, 0))
    return Tools(
        searches=sum((tools.searches for tools in all_of), NEVER),
        previews=any(tools.previews for tools in all_of),
        search_usd=max((tools.search_usd for tools in all_of), default=Decimal(0)),
        file_searches=sum((tools.file_searches for tools in all_of), NEVER),
        code_usd=sum((tools.code_usd for tools in all_of), Decimal(0)),
        parser_usd=sum((tools.parser_usd for tools in all_of), Decimal(0)),
        pictures=tuple(pair for tools in all_of for pair in tools.pictures),
        found=tuple(pair for tools in all_of for pair in tools.found),
        advice=tuple(one for tools in all_of for one in tools.advice),
        asked=tuple(dict.fromkeys(_asked(offered(members)))),
        reads_on=any(tools.reads_on for tools in all_of),
        unbounded=next((tools.unbounded for tools in all_of if tools.unbounded), ""),
    )


def offered(members: Mapping[str, Any]) -> list[Any]:
    """The tools that may be called: those that the request names, and those that its conversation brings."""
    tools = list(_listed(members.get("tools")))
    for item in (*_listed(members.get("input")), *_listed(members.get("messages"))):
        if brings_tools(item):
            tools += item["tools"]
        elif isinstance(item, dict):
            tools += (part["tool"].get("definition") for part in _listed(item.get("content")) if _is_addition(part))
    return tools


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_addition(part: Any) -> bool:
    """Whether a part of a message adds a tool (Anthropic)."""
    return isinstance(part, dict) and part.get("type") == "tool_addition" and isinstance(part.get("tool"), dict)


def web_plugin(max_results: Any = None) -> Tools:
    """One search by OpenRouter's web plugin."""
    return _searching(Uses(told=1), _plugin_usd(max_results))


def _plugin_usd(max_results: Any) -> Decimal:
    """A search with so many results by OpenRouter's dearest engine."""
    above_ten = max(0, max_results - 10) if isinstance(max_results, int) else 0
    return PLUGIN_SEARCH_USD + above_ten * PLUGIN_RESULT_USD


def _searching(uses: Uses, usd: Decimal = Decimal(0), tokens: int = TOKENS_PER_SEARCH) -> Tools:
    return Tools(searches=uses, search_usd=usd, found=((uses, tokens),))


def _plugins(plugins: Any) -> Iterator[Tools]:
    for plugin in plugins if isinstance(plugins, list) else ():
        if not isinstance(plugin, dict) or plugin.get("enabled") is False:
            continue
        name = plugin.get("id")
        if name == "web":
            yield web_plugin(plugin.get("max_results"))
        elif name == "web-fetch":
            yield Tools(reads_on=True)
        elif name == "file-parser" and "mistral-ocr" in str(plugin.get("pdf")):
            yield Tools(parser_usd=_PARSER_USD)
        elif name not in _HARMLESS_PLUGINS:
            yield Tools(unbounded=str(name)[:64])


def _own_tools(tools: Any, most: Uses, depth: int = 0) -> Iterator[Tools]:
    """Every tool, those inside a namespace too; one without a type is a function."""
    for tool in tools if isinstance(tools, list) and depth < _DEEPEST else ():
        if isinstance(tool, dict) and isinstance(kind := tool.get("type"), str):
            yield _own_tool(kind, tool, _uses(tool.get("max_uses"), most))
            yield from _own_tools(tool.get("tools"), most, depth + 1)


def _own_tool(kind: str, tool: dict[str, Any], uses: Uses) -> Tools:
    if kind == "builtin_function" and "$web_search" in str(tool.get("function")):
        return _searching(uses)  # Moonshot's; what it finds is read by the next call, which does not say how long it is
    if _is_at_the_client(kind):
        return _code(tool) if "container" in str(tool.get("environment")) else Tools()
    is_openrouters = kind.startswith("openrouter:")
    if "web_search" in kind or kind == "x_search":
        options = tool.get("parameters")
        most = options.get("max_results") if isinstance(options, dict) else None
        searching = _searching(uses, _plugin_usd(most) if is_openrouters else Decimal(0))
        return replace(searching, previews="preview" in kind)
    if kind in _READS_PAGES:
        return Tools(searches=uses, reads_on=True)
    if kind in _IN_FILES:
        return Tools(file_searches=uses, found=((uses, TOKENS_PER_FILE_SEARCH),))
    if kind.startswith("code_") or kind == "programmatic_tool_calling":
        return _code(tool)
    if "image_generation" in kind:
        return Tools(pictures=((uses, picture_tokens(tool)),))
    if "web_fetch" in kind:
        tokens = tool.get("max_content_tokens")
        return Tools(found=((uses, tokens),)) if isinstance(tokens, int) and tokens > 0 else Tools(reads_on=True)
    if kind in ("mcp", "mcp_toolset"):
        return Tools(reads_on=True)
    if kind.startswith("advisor_") and isinstance(model := tool.get("model"), str):
        most = tool.get("max_tokens")
        return Tools(advice=(Advice(uses, model, most if isinstance(most, int) and most > 0 else None),))
    is_function = not is_openrouters and "model" not in tool and any(name in tool for name in _LIKE_A_FUNCTION)
    if kind in _FREE_AT_OPENROUTER or is_function:
        return Tools()
    return Tools(unbounded=kind[:64])


def _asked(tools: list[Any]) -> Iterator[str]:
    """The models that Anthropic's advisor and OpenRouter's helpers may ask."""
    for tool in tools:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind.startswith(("advisor", "openrouter:")):
            options = tool.get("parameters")
            for given in (tool, options if isinstance(options, dict) else {}):
                yield from (
                    name for name in (given.get("model"), *_listed(given.get("models"))) if isinstance(name, str)
                )


def _is_at_the_client(kind: str) -> bool:
    return kind in _AT_THE_CLIENT or kind.startswith(_AT_THE_CLIENT_BY_VERSION)


def _code(tool: dict[str, Any]) -> Tools:
    is_large = "memory_limit" in str(tool.get("container") or tool.get("environment"))
    return Tools(code_usd=LARGE_CODE_USD if is_large else CODE_USD)


def _uses(limit: Any, otherwise: Uses) -> Uses:
    """As often as a limit says, at least once."""
    return Uses(told=limit) if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else otherwise
