"""An Anthropic request as a neutral one."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.losses import Field, Losses, tool_field
from proxy.translate.sealing import unseal
from proxy.translate.values import (
    Choice,
    Citation,
    Format,
    Media,
    Part,
    Reasoning,
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

_ROLES: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}
_READ = frozenset(
    "model system messages tools tool_choice max_tokens temperature top_p stop_sequences stream thinking output_config "
    "output_format metadata service_tier".split()
)
# Members of Anthropic's that no other protocol has.
_LOST: dict[str, Field] = {
    "cache_control": "cache_control",
    "container": "container",
    "context_management": "context_management",
    "mcp_servers": "mcp_servers",
}
# The provider is to remember the conversation; one that goes on means something else without what it remembers.
_BEGINS = {"type": "create"}
# What Claude Code tells Anthropic of itself in front of the system's words, another text in every call: nobody else
# reads it, and where it stands no server could go on from what it knows of the prompt.
_ATTRIBUTION = "x-anthropic-billing-header:"
_TIERS = {"auto": "auto", "standard_only": "default"}
# What is read of a message, of a block in it, of a tool, and of how it is to think and to answer. That a tool's arguments
# are to come as they are made is what the others do.
_OF_MESSAGE = frozenset({"content"})
_KINDS = "text thinking redacted_thinking tool_use tool_result image document search_result compaction".split()
_OF_BLOCK = frozenset(
    "text citations cache_control thinking signature data name input content tool_use_id is_error source title context "
    "transformations".split()
)
_OF_TOOL = frozenset("name description input_schema strict cache_control eager_input_streaming".split())
_OF_THINKING = frozenset({"budget_tokens", "display"})
_OF_OUTPUT = frozenset({"effort", "format"})


def read_messages(body: dict[str, Any], losses: Losses) -> Request:
    """Read a request. Raises `InvalidValue` where its shape is not that of messages."""
    told = _system(body.get("system"), losses)
    turns = [Turn("system", told)] if told else []
    for message in a_list(body.get("messages"), "messages"):
        said = an_object(message, "messages")
        losses.beside(said, _OF_MESSAGE)
        parts = read_content(_blocks(said), losses)
        turns.append(Turn(_ROLES.get(a_text(said.get("role")), "user"), parts))
    if turns and turns[-1].role == "assistant":
        losses.add("prefill", "changed")
    metadata = body.get("metadata")
    choice = body.get("tool_choice")
    output = body.get("output_config")
    output = output if isinstance(output, dict) else {}
    _note(body, losses)
    losses.beside(output, _OF_OUTPUT)
    losses.beside(metadata if isinstance(metadata, dict) else {}, frozenset({"user_id"}), "metadata")
    return Request(
        model=a_text(body.get("model")),
        turns=turns,
        tools=_tools(body.get("tools"), losses),
        choice=_choice(choice, losses),
        parallel=_parallel(choice),
        maximum=whole(body.get("max_tokens")),
        temperature=a_number(body.get("temperature")),
        top_p=a_number(body.get("top_p")),
        stop=[text for text in a_list(body.get("stop_sequences"), "stop_sequences") if isinstance(text, str)],
        stream=body.get("stream") is True,
        include_usage=True,
        format=_format(output.get("format", body.get("output_format"))),
        thinking=_thinking(body.get("thinking"), a_text(output.get("effort")), losses),
        user=a_text(metadata.get("user_id")) if isinstance(metadata, dict) else "",
        tier=_TIERS.get(a_text(body.get("service_tier")), ""),
        extra={
            name: value for name, value in body.items() if name not in _READ and name not in _LOST and value is not None
        },
    )


def _blocks(message: dict[str, Any]) -> Any:
    """What a message says; of an assistant's the texts in a row are one: where it cites, each is a piece of a sentence."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if message.get("role") != "assistant" or not isinstance(content, list):
        return content
    joined: list[Any] = []
    for block in content:
        if joined and _is_text(joined[-1]) and _is_text(block):
            joined[-1] = {**joined[-1], **block, "text": joined[-1]["text"] + block["text"]}
        else:
            joined.append(block)
    return joined


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _note(body: dict[str, Any], losses: Losses) -> None:
    if body.get("thread") not in (None, _BEGINS):
        losses.add("conversation", "refused")
    if body.get("compaction") is not None:  # what is wanted is a summary and nothing else
        losses.add("compaction", "refused")
    for name, field in _LOST.items():
        losses.unless_empty(field, body.get(name))


def _system(system: Any, losses: Losses) -> list[Part]:
    told = read_content([{"type": "text", "text": system}] if isinstance(system, str) else system, losses)
    kept = [part for part in told if not (isinstance(part, Text) and part.text.startswith(_ATTRIBUTION))]
    if len(kept) < len(told):
        losses.add("metadata")
    return kept


def read_content(content: Any, losses: Losses) -> list[Part]:
    """The blocks of a message."""
    parts: list[Part] = []
    for block in a_list(content, "content"):
        part = read_block(an_object(block, "content"), losses)
        if part is not None:
            parts.append(part)
    return parts


def read_block(block: dict[str, Any], losses: Losses) -> Part | None:
    """One block, as a request or a reply has them; None where nobody else has its like."""
    kind, cache = block.get("type"), block.get("cache_control")
    if kind in _KINDS:
        losses.beside(block, _OF_BLOCK)
    if kind == "text":
        return Text(a_text(block.get("text")), read_citations(block.get("citations"), losses), cache)
    if kind == "thinking":
        return read_thinking(block)
    if kind == "redacted_thinking":
        data = a_text(block.get("data"))
        return unseal(data) or Reasoning(data=data, origin="anthropic")
    if kind == "tool_use":
        given = block.get("input")
        losses.unless_empty("cache_control", cache)
        arguments = given if isinstance(given, str) else msgspec.json.encode(given or {}).decode()
        return ToolUse(a_text(block.get("id")), a_text(block.get("name")), arguments)
    if kind == "tool_result":
        content = block.get("content")
        parts = read_content([{"type": "text", "text": content}] if isinstance(content, str) else content, losses)
        shown = [part for part in parts if isinstance(part, Text | Media)]
        return ToolResult(a_text(block.get("tool_use_id")), shown, block.get("is_error") is True, cache=cache)
    if kind in ("image", "document"):
        return _media(block, losses)
    if kind == "search_result":
        losses.add("citations")
        found = read_content(block.get("content"), losses)
        return Text("\n".join(part.text for part in found if isinstance(part, Text)), cache=cache)
    if kind == "compaction":  # Anthropic's are legible; one without a text is none
        return Text(summary, cache=cache) if (summary := a_text(block.get("content"))) else None
    losses.add("input_items" if kind != "container_upload" else "file_id")
    return None


def read_thinking(block: dict[str, Any]) -> Reasoning | None:
    """Thoughts: those that were sealed here, or Anthropic's."""
    signature, text = a_text(block.get("signature")), a_text(block.get("thinking"))
    sealed = unseal(signature, text)
    if sealed is not None:
        return sealed
    return Reasoning(text, signature, origin="anthropic") if text or signature else None


def refusal_in(details: Any) -> str:
    """Why the model declined, in the words that `stop_details` has for it."""
    return a_text(details.get("explanation")) if isinstance(details, dict) else ""


def read_citations(said: Any, losses: Losses) -> list[Citation]:
    """Citations that lead to a page; those that lead into a document of the request have no equal elsewhere."""
    found = []
    for citation in said if isinstance(said, list) else []:
        if isinstance(citation, dict) and (url := a_text(citation.get("url"))):
            found.append(Citation(url, a_text(citation.get("title")), a_text(citation.get("cited_text"))))
        else:
            losses.add("citations")
    return found


def _media(block: dict[str, Any], losses: Losses) -> Part | None:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    kind, cache, context = source.get("type"), block.get("cache_control"), a_text(block.get("context"))
    losses.unless_empty("citations", block.get("citations"))
    losses.unless_empty("image_detail", block.get("transformations"))
    if kind in ("text", "content"):
        said = a_text(source.get("data")) if kind == "text" else _words(source.get("content"), losses)
        return Text("\n\n".join(filter(None, (a_text(block.get("title")), context, said))), cache=cache)
    losses.unless_empty("other", context)
    return Media(
        "image" if block.get("type") == "image" else "file",
        url=a_text(source.get("url")),
        data=a_text(source.get("data")),
        media_type=a_text(source.get("media_type")),
        file_id=a_text(source.get("file_id")),
        filename=a_text(block.get("title")),
        cache=cache,
    )


def _words(content: Any, losses: Losses) -> str:
    """What a document of blocks says."""
    if isinstance(content, str):
        return content
    parts = read_content(content, losses)
    texts = [part for part in parts if isinstance(part, Text)]
    losses.unless_empty("pictures", [part for part in parts if not isinstance(part, Text)])
    losses.unless_empty("cache_control", [part for part in texts if part.cache])
    return "\n".join(part.text for part in texts)


def _tools(said: Any, losses: Losses) -> list[Tool]:
    tools = []
    for tool in a_list(said, "tools"):
        tool = an_object(tool, "tools")
        if tool.get("type") not in (None, "custom"):
            losses.add(tool_field(tool.get("type")))
            continue
        losses.beside(tool, _OF_TOOL)
        tools.append(
            Tool(
                name=a_text(tool.get("name")),
                description=a_text(tool.get("description")),
                parameters=tool.get("input_schema"),
                strict=a_flag(tool.get("strict")),
                cache=tool.get("cache_control"),
            )
        )
    return tools


def _choice(said: Any, losses: Losses) -> Choice | None:
    if not isinstance(said, dict):
        return None
    kind = said.get("type")
    if kind == "tool":
        return Choice("required", (a_text(said.get("name")),))
    if kind in ("auto", "any", "none"):
        return Choice("required" if kind == "any" else kind)
    losses.add("tool_choice")
    return None


def _parallel(said: Any) -> bool | None:
    disabled = a_flag(said.get("disable_parallel_tool_use")) if isinstance(said, dict) else None
    return None if disabled is None else not disabled


def _format(said: Any) -> Format | None:
    if not isinstance(said, dict) or said.get("type") != "json_schema":
        return None
    schema = said.get("schema")
    return Format(None if schema == {"type": "object"} else schema)


def _thinking(said: Any, effort: str, losses: Losses) -> Thinking:
    said = said if isinstance(said, dict) else {}
    losses.beside(said, _OF_THINKING, "thinking")
    kind = said.get("type")
    on = None if kind is None else kind != "disabled"
    return Thinking(
        on, effort, a_count(said.get("budget_tokens")), shown=on is True and said.get("display") != "omitted"
    )
