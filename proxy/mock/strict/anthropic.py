"""Anthropic: what api.anthropic.com takes (wire.md 3.1; the parameters of the official SDK), and its errors (3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.mock.envelopes import Failure
from proxy.mock.strict.facts import Facts
from proxy.mock.strict.shape import Fault, Path, Shape, Want, faults

_KINDS = {
    "integer": "a valid integer",
    "number": "a valid number",
    "string": "a valid string",
    "boolean": "a valid boolean",
    "array": "a valid list",
    "object": "a valid dictionary",
}
_TEXT = Want(("string",))
_THING = Want(("object",))
_LIST = Want(("array",))
_NAME = Want(("string",), required=True)
# the efforts of models before 4.7, which takes all (Anthropic, "Effort"; a recorded refusal)
_LEVELS = (
    (re.compile(r"claude-opus-4-5"), ("high", "low", "medium")),
    (re.compile(r"claude-(?:opus|sonnet)-4-6"), ("high", "low", "max", "medium")),
    (re.compile(r"claude-(?:3|[a-z]+-4(?:-[0-5])?(?:-\d{8})?$)"), ()),
)
# from 4.6 on an answer cannot be begun by the client (a recorded refusal)
_BEGINS_ITSELF = re.compile(r"claude-[a-z]+-(?:4-(?:[6-9]|\d\d)(?!\d)|[5-9](?!\d)|\d\d(?!\d))")
_SERVER_TOOL = Shape({"name": _NAME})
_SCHEMA = Want(("object",), required=True, inside=Shape({"type": Want(("string",), required=True)}))
_CUSTOM_TOOL = Shape(
    {
        "name": Want(("string",), required=True, filled=True),
        "input_schema": _SCHEMA,
        "description": _TEXT,
        "type": _TEXT,
        "allowed_callers": _LIST,
        "cache_control": _THING,
        "defer_loading": Want(("boolean",)),
        "eager_input_streaming": Want(("boolean",)),
        "input_examples": _LIST,
        "strict": Want(("boolean",)),
    },
    closed=True,
)
# the tools that Anthropic defines itself, dates aside
_SERVER_TOOLS = (
    *("bash", "code_execution", "computer", "memory", "text_editor", "web_search", "web_fetch", "advisor"),
    *("tool_search_tool_bm25", "tool_search_tool_regex", "tool_search_tool"),
)
_TOOLSETS = ("mcp_toolset", "browser_toolset", "computer_toolset")
_MESSAGE = Shape({"content": Want(("string", "array"), required=True, each={"": Shape({"type": _NAME})})})
_MESSAGES = {"user": _MESSAGE, "assistant": _MESSAGE, "system": _MESSAGE}

_COUNTED = {
    "model": _NAME,
    "messages": Want(("array",), required=True, filled=True, each=_MESSAGES, tag="role"),
    "system": Want(("string", "array")),
    "tools": Want(("array",)),
    "tool_choice": _THING,
    "thinking": _THING,
    "output_config": _THING,
    "output_format": _THING,
    "cache_control": _THING,
    "context_management": _THING,
    "compaction": _THING,
    "billing_policy": _THING,
    "mcp_servers": _LIST,
    "speed": Want(("string",), words=("fast", "standard")),
    "user_profile_id": _TEXT,
    "workspace_id": _TEXT,
}
COUNT_TOKENS = Shape(_COUNTED, closed=True)
MESSAGES = Shape(
    {
        **_COUNTED,
        "max_tokens": Want(("integer",), required=True, least=0),  # 0: what is to be cached is, and nothing is said
        "temperature": Want(("number",), least=0, most=1),
        "top_p": Want(("number",), least=0, most=1),
        "top_k": Want(("integer",), least=0),
        "stop_sequences": _LIST,
        "stream": Want(("boolean",)),
        "metadata": _THING,
        "container": Want(("string", "object")),
        "diagnostics": _THING,
        "fallback_credit_token": Want(("string", "object")),
        "fallbacks": Want(("string", "array")),
        "inference_geo": _TEXT,
        "safeguards": _LIST,  # of Claude Code, as it begins
        "service_tier": Want(("string",), words=("auto", "standard_only")),
        "thread": _THING,
    },
    closed=True,
)
# its own endpoint in OpenAI's shape passes over most of what it does not know (wire.md 3.5)
CHAT = Shape(
    {
        "model": _NAME,
        "messages": Want(("array",), required=True, filled=True),
        "max_tokens": Want(("integer",), least=1),
        "max_completion_tokens": Want(("integer",), least=1),
        "n": Want(("integer",), least=1, most=1),
        "top_p": Want(("number",), least=0, most=1),
        "tools": _LIST,
        "stream": Want(("boolean",)),
    }
)


def sentence(fault: Fault) -> Failure:
    """A difference in Anthropic's words."""
    value, want = fault.value, fault.want
    if fault.wrong == "unknown":
        text = "Extra inputs are not permitted here"
    elif fault.wrong == "missing":
        text = "Field required, and not sent"
    elif fault.wrong == "empty":
        text = "at least one is required"
    elif fault.wrong in ("word", "tag"):
        text = f"Input should be one of {', '.join(repr(word) for word in fault.known)}"
    elif fault.wrong == "type" and want is not None:
        text = f"Input should be {' or '.join(_KINDS[kind] for kind in want.kinds)}"
    elif fault.wrong == "below" and want is not None:
        text = f"Input should be at least {want.least:g}, and is {value}"
    else:
        text = (
            f"Input should be at most {want.most:g}, and is {value}" if want and want.most is not None else "too long"
        )
    return _refusal(f"{spelled(fault.path)}: {text}")


def differences(endpoint: str, fields: Mapping[str, Any], facts: Facts | None, given: int) -> Iterator[Failure]:
    """What no table can say: tools by their type, empty texts, thinking, and what the model itself takes."""
    tools = fields.get("tools")
    if endpoint != "chat/completions" and isinstance(tools, list):
        yield from _tools(tools)
    if endpoint.startswith("messages"):
        yield from _empty_texts(fields["messages"])
    if endpoint.startswith("messages") and _is_open(_shape_of_reply(fields)):
        yield _refusal("output_config.format.schema: 'additionalProperties' of every 'object' has to be false")
    maximum, thinking = fields.get("max_tokens"), fields.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int) and isinstance(maximum, int):
        if budget < 1024:
            yield _refusal(f"thinking.enabled.budget_tokens: Input should be at least 1024, and is {budget}")
        if budget >= maximum:
            yield _refusal("`max_tokens` must be above `thinking.budget_tokens`.")
    if maximum == 0 and endpoint == "messages":
        yield from _of_caching_only(fields)
    if facts is not None:
        yield from _of_model(fields, facts, given)


def _of_caching_only(fields: Mapping[str, Any]) -> Iterator[Failure]:
    """What does not go with a prompt that is only to be cached."""
    thinking, choice = fields.get("thinking"), fields.get("tool_choice")
    config = fields.get("output_config")
    wrong = {
        "stream": fields.get("stream") is True,
        "thinking": isinstance(thinking, dict) and thinking.get("type") == "enabled",
        "tool_choice": isinstance(choice, dict) and choice.get("type") in ("any", "tool"),
        "output_config.format": isinstance(config, dict) and config.get("format") is not None,
    }
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        yield _refusal(f"max_tokens: 0 cannot be combined with {name}")


def _shape_of_reply(fields: Mapping[str, Any]) -> Any:
    """The schema that is asked for; older clients name it beside `output_config`."""
    config = fields.get("output_config")
    form = config.get("format") if isinstance(config, dict) else fields.get("output_format")
    return form.get("schema") if isinstance(form, dict) else None


def _is_open(schema: Any) -> bool:
    """Whether an object in it may have members of any name."""
    if isinstance(schema, list):
        return any(map(_is_open, schema))
    if not isinstance(schema, dict):
        return False
    inner = [value for name, value in schema.items() if name not in ("enum", "const", "default", "properties")]
    named = schema.get("properties")
    inner += named.values() if isinstance(named, dict) else ()
    return (schema.get("type") == "object" and schema.get("additionalProperties") is not False) or _is_open(inner)


def _of_model(fields: Mapping[str, Any], facts: Facts, given: int) -> Iterator[Failure]:
    config = fields.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    levels = next((levels for names, levels in _LEVELS if names.match(facts.name)), None)
    if effort is not None and levels is not None and effort not in levels:
        known = f"level '{str(effort)[:100]}'. Supported levels: {', '.join(levels)}." if levels else "at all."
        yield _refusal(f"This model supports no effort {known}")
    if _BEGINS_ITSELF.match(facts.name) and _is_begun(fields["messages"]):
        yield _refusal("This model takes no prefill of the assistant. The last message must be the user's.")
    for name in ("max_tokens", "max_completion_tokens"):
        asked = fields.get(name)
        if facts.longest_output is not None and isinstance(asked, int) and asked > facts.longest_output:
            yield _refusal(
                f"{name}: {asked} > {facts.longest_output}, the most output tokens that {facts.name} is allowed"
            )
    if facts.context is not None and given > facts.context:
        yield _refusal(f"prompt is too long: {given} tokens > {facts.context} at most")


def _is_begun(messages: list[Any]) -> bool:
    """Whether the last message is words of the assistant's."""
    content = messages[-1].get("content")
    last = content[-1] if isinstance(content, list) and content else {}
    is_text = last.get("type") == "text" if isinstance(content, list) else bool(content)
    return messages[-1].get("role") == "assistant" and is_text


def _tools(tools: list[Any]) -> Iterator[Failure]:
    for at, tool in enumerate(tools):
        path: Path = ("tools", at)
        if not isinstance(tool, dict):
            yield sentence(Fault("type", path, _THING, tool))
            continue
        kind = tool.get("type") or "custom"
        name = str(kind).rpartition("_20")[0] or str(kind)
        if kind == "custom":
            yield from map(sentence, faults(tool, _CUSTOM_TOOL, (*path, "custom")))
        elif name in _SERVER_TOOLS:
            yield from map(sentence, faults(tool, _SERVER_TOOL, (*path, str(kind))))
        elif name not in _TOOLSETS:
            known = ", ".join(f"'{tag}'" for tag in ("custom", *_SERVER_TOOLS))
            yield _refusal(f"tools.{at}: Input tag '{str(kind)[:100]}' is none of the expected tags: {known}")


def _empty_texts(messages: list[Any]) -> Iterator[Failure]:
    """Blocks of empty text, and messages of nothing (only the assistant's last may be that)."""
    for at, message in enumerate(messages):
        content, is_last = message.get("content"), at == len(messages) - 1
        if content in ("", []) and not (is_last and message.get("role") == "assistant"):
            yield _refusal(f"messages.{at}: messages must have content that is not empty")
        for block in content if isinstance(content, list) else ():
            if block.get("type") == "text" and block.get("text") == "":
                yield _refusal("messages: text content blocks must not be empty")


def unknown_model(_: str, model: str) -> Failure:
    """A name that no list of Anthropic's has."""
    return Failure(404, f"model: {model[:100]}")


def no_key() -> Failure:
    """A request without any credential."""
    return Failure(401, "x-api-key header is required; none was sent")


def no_version() -> Failure:
    """A request that does not say which version of the API it speaks."""
    return _refusal("anthropic-version: header is required")


def spelled(path: Path) -> str:
    """A path as Anthropic writes it: `messages.0.role`."""
    return ".".join(str(step) for step in path)


def _refusal(text: str) -> Failure:
    return Failure(400, text)
