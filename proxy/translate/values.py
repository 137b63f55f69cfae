"""The neutral values between the protocols: a request, a reply, and what both are made of.

Text is `str`, JSON of others `Any` as msgspec decodes it. What a protocol cannot say is a `Loss`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from proxy.errors import InvalidValue
from proxy.wire.usage import Usage

Protocol = Literal["chat", "messages", "responses"]
Role = Literal["system", "user", "assistant", "tool"]
# What a tool call's text is: the JSON of arguments, free text, or the JSON of the action that a client's own tool takes.
ToolKind = Literal["function", "custom", "local_shell", "shell", "apply_patch"]
Stop = Literal["end", "length", "tools", "filter", "stop_sequence", "pause", "context"]


class Citation(Struct):
    """Where a text comes from; `start` and `end` are characters of the text, -1 where nobody says: then it is all of it.

    In a whole reply they count from the beginning of the text they are with, in a stream from that of the reply.
    """

    url: str = ""
    title: str = ""
    quoted: str = ""
    start: int = -1
    end: int = -1

    def placed(self, start: int, end: int) -> Citation:
        """The same of a text that is from `start` to `end` of something longer."""
        if self.start < 0:
            return msgspec.structs.replace(self, start=start, end=end)
        return msgspec.structs.replace(self, start=self.start + start, end=self.end + start)


class Text(Struct):
    """Words. `cache` is Anthropic's `cache_control`, `logprobs` how likely each token was, as `read_logprobs` gives it."""

    text: str
    citations: list[Citation] = field(default_factory=list)
    cache: Any = None
    logprobs: list[Any] = field(default_factory=list)


class Media(Struct):
    """A picture, a document or sound: by `url`, as base64 `data` of `media_type`, or by a provider's `file_id`."""

    kind: Literal["image", "file", "audio"]
    url: str = ""
    data: str = ""
    media_type: str = ""
    file_id: str = ""
    filename: str = ""
    detail: str = ""
    cache: Any = None


class Reasoning(Struct):
    """One run of thoughts. `signature` vouches for the text, `data` is what only its maker can read; `is_full`: the text is
    the thoughts themselves where their maker tells those and summaries of them apart.

    `origin` says whose it is: "anthropic", "openai", or the chat member it came in; only there it goes back to.
    """

    text: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    origin: str = ""
    is_full: bool = False


# The origin of what is no thought to be read, and goes back inside the call of a tool: Gemini's word for it.
EXTRA = "extra_content"


class Refusal(Struct):
    """The model declines, in words."""

    text: str


class ToolUse(Struct):
    """A call of a tool; `arguments` is text as its `kind` says."""

    id: str
    name: str
    arguments: str
    kind: ToolKind = "function"
    namespace: str = ""


class ToolResult(Struct):
    """What a tool gave back."""

    id: str
    parts: list[Text | Media]
    failed: bool = False
    kind: ToolKind = "function"
    cache: Any = None


Part: TypeAlias = Text | Media | Reasoning | Refusal | ToolUse | ToolResult


class Turn(Struct):
    """One message: who speaks, and what."""

    role: Role
    parts: list[Part]


class Tool(Struct):
    """A tool on offer. `format` is the grammar of a custom one, `namespace_description` that of the group it is in."""

    name: str
    description: str = ""
    parameters: Any = None
    strict: bool | None = None
    kind: ToolKind = "function"
    namespace: str = ""
    format: Any = None
    cache: Any = None


Mode = Literal["auto", "none", "required"]


class Choice(Struct):
    """Which tools may be called: `names` narrows to some of them."""

    mode: Mode
    names: tuple[str, ...] = ()


class Format(Struct):
    """The JSON that text has to be; `schema` None is any object."""

    schema: Any = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Thinking(Struct):
    """How much thought is asked for: `effort` in a word or `budget` in tokens; `on` None is the model's habit.

    `shown`: the client can take thoughts in the reply; `summary` is the kind of summary it wants.
    """

    on: bool | None = None
    effort: str = ""
    budget: int | None = None
    shown: bool = True
    summary: str = ""


class Request(Struct):
    """One request, in no protocol. `extra` holds members that other protocols call the same.

    `logprobs`: it wants to be told how likely the tokens were, and `top_logprobs` others in their place. `refers`: its client
    counts on the items of the reply being known by their ids. `functions`: it offered its tools in chat's older way, in which a
    reply calls one of them, without an id. `echo` is what a response repeats of its request.
    """

    model: str = ""
    turns: list[Turn] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    choice: Choice | None = None
    parallel: bool | None = None
    maximum: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)
    stream: bool = False
    include_usage: bool = False
    format: Format | None = None
    thinking: Thinking = field(default_factory=Thinking)
    user: str = ""
    tier: str = ""
    metadata: Any = None
    verbosity: str = ""
    cache_key: str = ""
    logprobs: bool = False
    top_logprobs: int | None = None
    refers: bool = False
    functions: bool = False
    echo: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Ending(Struct):
    """How a reply ended. `native` is the upstream's own word for it; `error` where it failed instead."""

    stop: Stop
    stop_sequence: str = ""
    native: str = ""
    usage: Usage | None = None
    tier: str = ""


class Reply(Struct):
    """A reply, whole."""

    model: str
    parts: list[Part]
    ending: Ending


class Fault(Struct):
    """An error, in no protocol: `status` is HTTP's, `code` and `type` OpenAI's words."""

    message: str
    status: int = 502
    code: str = ""
    type: str = ""
    param: str | None = None


class Identity(Struct, frozen=True):
    """What a reply is called that is made here: `id` are letters and digits, `created` seconds of UTC."""

    id: str
    created: int


class Aim(Struct, frozen=True):
    """Where a request goes: the protocol spoken there, the model's name there, what limits the output.

    `max_field` is the member that limits chat's output there, empty where there is none. `maximum` is put in where
    the client sets none and the protocol demands one; `largest` is as much as the model puts out, None unknown: clients
    take their own provider's models for granted. `usage_flag`: a stream has to be asked for its usage.
    """

    protocol: Protocol
    model: str
    max_field: str = "max_tokens"
    maximum: int = 32_768
    largest: int | None = None
    usage_flag: bool = True


def an_object(value: Any, where: str) -> dict[str, Any]:
    """The object that has to stand there. Raises `InvalidValue`."""
    if not isinstance(value, dict):
        raise InvalidValue(f"'{where}' must be an object.", param=where)
    return value


def a_list(value: Any, where: str) -> list[Any]:
    """The list that has to stand there, empty for null. Raises `InvalidValue`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidValue(f"'{where}' must be a list.", param=where)
    return value


def a_text(value: Any) -> str:
    """The text there, or none."""
    return value if isinstance(value, str) else ""


def a_count(value: Any) -> int | None:
    """The whole number there, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def a_number(value: Any) -> float | None:
    """The number there, or None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def a_flag(value: Any) -> bool | None:
    """The truth value there, or None."""
    return value if isinstance(value, bool) else None
