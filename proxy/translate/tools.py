"""Tools that a protocol does not know, as functions it does, and back.

A custom tool becomes a function whose one argument `input` is its text; a client's own tools become functions whose
arguments are their action; a namespace becomes the beginning of a name. Names too long end on a digest of them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from proxy.translate.values import Protocol, Tool, ToolKind, ToolUse

LONGEST: dict[Protocol, int] = {"chat": 64, "messages": 128, "responses": 64}
LONGEST_ID = 64
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_json = msgspec.json.Encoder()

_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}
_STRING, _NUMBER = {"type": "string"}, {"type": "integer"}
_STRINGS = {"type": "array", "items": _STRING}
# What these take as Responses spells it; what the provider knew of them has to be said to a model that does not.
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "local_shell": (
        "Runs a command on the user's machine and returns its output.",
        {
            "type": "object",
            "properties": {
                "command": {**_STRINGS, "description": "The program and its arguments."},
                "working_directory": _STRING,
                "timeout_ms": _NUMBER,
                "env": {"type": "object", "additionalProperties": _STRING},
            },
            "required": ["command"],
        },
    ),
    "shell": (
        "Runs shell commands on the user's machine and returns their output.",
        {
            "type": "object",
            "properties": {"commands": _STRINGS, "timeout_ms": _NUMBER, "max_output_length": _NUMBER},
            "required": ["commands"],
        },
    ),
    "apply_patch": (
        "Creates, updates or deletes one file. `diff` is in the V4A format: lines begin with a space, + or -, "
        "and sections with @@.",
        {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": _STRING,
                "diff": _STRING,
            },
            "required": ["type", "path"],
        },
    ),
}
# The member of a call's item that holds its action.
ACTION_MEMBER: dict[str, str] = {"local_shell": "action", "shell": "action", "apply_patch": "operation"}


def wire_name(namespace: str, name: str, protocol: Protocol) -> str:
    """The name of a tool where there are no namespaces and names are short; the same for the same tool, always."""
    whole = f"{namespace}__{name}" if namespace and not name.startswith(namespace) else name
    plain = _UNFIT.sub("_", whole)
    longest = LONGEST[protocol]
    if plain == whole and len(plain) <= longest:
        return plain
    return f"{plain[: longest - 9]}_{_digest(whole)}"


def fitting_id(identity: str) -> str:
    """The id of a tool call, with only what every protocol takes; the same for the same id, always."""
    plain = _UNFIT.sub("_", identity)
    if plain == identity and 0 < len(plain) <= LONGEST_ID:
        return plain
    return f"{plain[: LONGEST_ID - 9]}_{_digest(identity)}"


def apart(identity: str, taken: set[str]) -> str:
    """The id of a call, another where one has it already: calls are told apart by it."""
    found, number = identity, 2
    while found in taken:
        found, number = f"{identity}_{number}", number + 1
    taken.add(found)
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def as_function(tool: Tool, protocol: Protocol) -> Tool:
    """The tool as a plain function of that protocol."""
    name = wire_name(tool.namespace, tool.name, protocol)
    if tool.kind == "function":
        return Tool(name, tool.description, tool.parameters or _no_arguments(), tool.strict, cache=tool.cache)
    if tool.kind == "custom":
        return Tool(name, _with_format(tool), _INPUT, cache=tool.cache)
    description, parameters = ACTIONS[tool.kind]
    return Tool(name, tool.description or description, parameters)


def _no_arguments() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


def _with_format(tool: Tool) -> str:
    """A custom tool's description, with the grammar that its input has to follow."""
    said = tool.format if isinstance(tool.format, dict) else {}
    inner = said.get("grammar")
    said = inner if isinstance(inner, dict) else said
    definition = said.get("definition")
    if not isinstance(definition, str):
        return tool.description
    syntax = said.get("syntax")
    start = f"The input must follow this {syntax if isinstance(syntax, str) else ''} grammar:".replace("  ", " ")
    return f"{tool.description}\n\n{start}\n{definition}".strip()


def wrapped(use: ToolUse) -> str:
    """The JSON text of a call's arguments where the tool is a function."""
    return _json.encode({"input": use.arguments}).decode() if use.kind == "custom" else use.arguments


def unwrapped(arguments: str, kind: ToolKind) -> str:
    """What was meant by the arguments of a wrapped tool; as they are where a model did not keep to the shape."""
    if kind != "custom":
        return arguments
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    if isinstance(value, dict):
        texts = [text for text in value.values() if isinstance(text, str)]
        value = value.get("input") if isinstance(value.get("input"), str) else texts[0] if len(texts) == 1 else None
    return value if isinstance(value, str) else arguments


class Known:
    """The tools of a request by the names they went out under."""

    __slots__ = ("_tools",)

    def __init__(self, tools: list[Tool], protocol: Protocol) -> None:
        named = {wire_name(tool.namespace, tool.name, protocol): tool for tool in tools}
        self._tools = {name: tool for name, tool in named.items() if tool.kind != "function" or name != tool.name}

    def call(self, identity: str, name: str, arguments: str = "") -> ToolUse:
        """The call of a tool, under the client's own name for it."""
        tool = self._tools.get(name)
        if tool is None:
            return ToolUse(identity, name, arguments)
        return ToolUse(identity, tool.name, unwrapped(arguments, tool.kind), tool.kind, tool.namespace)


class Unwrapper:
    """Takes the text out of `{"input": "…"}` while it comes in pieces."""

    __slots__ = ("_all", "_begun", "_passed", "_tail")

    def __init__(self) -> None:
        self._all: list[str] = []
        self._passed: list[str] = []
        self._tail = ""
        self._begun = False

    def feed(self, fragment: str) -> str:
        """What of the text is there now and was not before."""
        self._all.append(fragment)
        self._tail += fragment
        if not self._begun:
            begin = _BEGIN.match(self._tail)
            if begin is None:
                return ""
            self._begun, self._tail = True, self._tail[begin.end() :]
        body = _STRING_BODY.match(self._tail)
        if not body or not body[0]:
            return ""
        self._tail = self._tail[body.end() :]
        text = msgspec.json.decode(f'"{body[0]}"', type=str)
        self._passed.append(text)
        return text

    def finish(self) -> tuple[str, str]:
        """What is left of the text, and all of it."""
        text, passed = unwrapped("".join(self._all), "custom"), "".join(self._passed)
        return (text[len(passed) :], text) if text.startswith(passed) else ("", passed)


_BEGIN = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# whole characters and whole escapes; the halves of a pair of surrogates stay together
_STRING_BODY = re.compile(
    r'(?:[^"\\\x00-\x1f]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r'|\\["\\/bfnrt])*'
)
