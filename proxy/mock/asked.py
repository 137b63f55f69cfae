"""What a request asks for, read from the body of any endpoint."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from proxy.errors import InvalidJson, InvalidValue

Profile = Literal["openrouter", "openai", "anthropic"]
Fields = dict[str, Any]

_MAXIMUM_FIELDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_PROMPT_FIELDS = ("instructions", "system", "messages", "prompt", "input", "query", "documents")
_COUNTED = ("chat/completions", "completions", "images")
_GREETING = "Hello from the mock."
_SCRIPTED = re.compile(r"mock: call (\S+) (?=\{)")


class Asked(Struct, frozen=True):
    """One request: `prompt` is the text to echo, `prompt_bytes` the UTF-8 length of all text sent."""

    profile: Profile
    endpoint: str
    model: str
    stream: bool
    prompt: str
    prompt_bytes: int
    maximum: int | None
    choices: int
    fields: Fields

    @property
    def input_tokens(self) -> int:
        """One token per four bytes, rounded up."""
        return math.ceil(self.prompt_bytes / 4)

    @property
    def in_background(self) -> bool:
        """Whether the reply does not wait for the response; OpenRouter's skin knows no such thing."""
        wanted = self.fields.get("background") is True
        return wanted and (self.profile, self.endpoint) == ("openai", "responses")


class Offered(Struct, frozen=True):
    """A tool that may be called: the schema of its parameters; `is_custom`: its input is a text."""

    schema: object
    is_custom: bool = False
    namespace: str | None = None


def input_tokens(fields: Fields) -> int:
    """What a request's text comes to: one token per four bytes, rounded up."""
    return math.ceil(_text_bytes(fields) / 4)


def read_json(body: bytes) -> Fields:
    """Decode a JSON object, as leniently as providers do. Raises `InvalidJson`."""
    try:
        fields = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise InvalidJson("The body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise InvalidJson("The body must be a JSON object.")
    return fields


def read_asked(profile: Profile, endpoint: str, fields: Fields) -> Asked:
    """Check the fields every endpoint shares. Raises `InvalidValue`."""
    model = fields.get("model")
    if model is None and profile == "openrouter":
        models = fields.get("models")
        model = models[0] if isinstance(models, list) and models else "mock/echo"
    if model is None and endpoint == "moderations":
        model = "omni-moderation-latest"
    if not isinstance(model, str) or not model:
        raise InvalidValue("You must provide a model parameter.", param="model")
    prompt = _last_prompt(fields)
    return Asked(
        profile=profile,
        endpoint=endpoint,
        model=_sendable(model),
        stream=fields.get("stream") is True or fields.get("stream") == "true",
        prompt=_sendable(prompt),
        prompt_bytes=_text_bytes(fields),
        maximum=_maximum(fields),
        choices=_whole(fields, "n", 1) if endpoint in _COUNTED else 1,
        fields=fields,
    )


def wanted_schema(asked: Asked) -> object:
    """The JSON Schema of a structured answer; True for any JSON object; None when text will do."""
    text = asked.fields.get("text")
    output = asked.fields.get("output_config")
    for place in (
        asked.fields.get("response_format"),
        text.get("format") if isinstance(text, dict) else None,
        output.get("format") if isinstance(output, dict) else None,
    ):
        if not isinstance(place, dict):
            continue
        if place.get("type") == "json_object":
            return True
        if place.get("type") == "json_schema":
            inner = place.get("json_schema")
            return (inner if isinstance(inner, dict) else place).get("schema", True)
    return None


def wanted_tool(asked: Asked) -> tuple[str, object] | None:
    """The name and parameter schema of the tool to call: the chosen one, else the first."""
    found = offered_tools(asked)
    choice = asked.fields.get("tool_choice")
    if not found or choice == "none":
        return None
    row = choice.get("function", choice) if isinstance(choice, dict) else {}
    name = row.get("name") if isinstance(row, dict) else None
    name = name if name in found else next(iter(found))
    schema = found[str(name)].schema
    return _sendable(str(name)), {**(schema if isinstance(schema, dict) else {}), "type": "object"}


def must_call(asked: Asked) -> bool:
    """Whether `tool_choice` leaves the model no other answer than a call."""
    choice = asked.fields.get("tool_choice")
    return choice == "required" or (isinstance(choice, dict) and choice.get("type") in ("function", "tool", "any"))


def scripted_tool(asked: Asked) -> tuple[str, Fields] | None:
    """The name and arguments of the tool that the prompt itself says to call: `mock: call NAME {"a": 1}`.

    None where the request brings no such tool, and where a tool's result has come since.
    """
    found = _SCRIPTED.search(asked.prompt)
    if found is None or found[1] not in offered_tools(asked):
        return None
    try:
        arguments, _ = json.JSONDecoder().raw_decode(asked.prompt, found.end())
    except (ValueError, RecursionError):
        return None
    return found[1], arguments


def offered_tools(asked: Asked) -> dict[str, Offered]:
    """The tools that the request brings, by name, however its API wraps them and wherever it has them stand."""
    items = asked.fields.get("input")
    brought = [item.get("tools") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return dict(pair for tools in (asked.fields.get("tools"), *brought) for pair in _offered(tools))


def _offered(tools: object, namespace: str | None = None) -> Iterator[tuple[str, Offered]]:
    for tool in tools if isinstance(tools, list) else ():
        row = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(row, dict) or not isinstance(name := row.get("name"), str):
            continue
        if row.get("type") == "namespace" and namespace is None:
            yield from _offered(row.get("tools"), name)
        else:
            schema = row.get("parameters", row.get("input_schema", {}))
            yield name, Offered(schema, is_custom=row.get("type") == "custom", namespace=namespace)


def _last_prompt(fields: Fields) -> str:
    """The last user message or tool's result, prompt or input; a greeting when there is none."""
    for name in ("messages", "input"):
        items = fields.get(name)
        if not isinstance(items, list):
            continue
        for item in reversed(items):
            if not isinstance(item, dict):
                continue
            if item.get("role") in ("user", "tool") or str(item.get("type")).endswith("_call_output"):
                return "".join(_texts(item)) or _GREETING
    for name in ("prompt", "input", "query"):
        value = fields.get(name)
        if isinstance(value, list) and name == "prompt":
            value = value[0] if value else None
        if isinstance(value, str) and value:
            return value
    return _GREETING


def _text_bytes(fields: Fields) -> int:
    texts = (piece for name in _PROMPT_FIELDS for piece in _texts(fields.get(name)))
    return sum(len(piece.encode("utf-8", "replace")) for piece in texts)


def _texts(value: object) -> Iterator[str]:
    """Every piece of text in a prompt; a number is a token, which counts as four bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield "0000"
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name in ("content", "text", "output"):
            yield from _texts(value.get(name))


def _maximum(fields: Fields) -> int | None:
    for name in _MAXIMUM_FIELDS:
        if fields.get(name) is not None:
            return _whole(fields, name, 0)
    return None


def _whole(fields: Fields, name: str, lowest: int) -> int:
    value = fields.get(name)
    if value is None:
        return lowest
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value < 2**31:
        raise InvalidValue(f"{name} must be a whole number of at least {lowest}.", param=name)
    if name == "n" and value > 128:
        raise InvalidValue("n must be at most 128.", param=name)
    return value


def _sendable(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 reply can carry."""
    return text.encode("utf-8", "replace").decode()
