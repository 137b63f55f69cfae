"""One request, measured before it is sent: what it brings and what it asks for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from proxy.policy.money.input_media import (
    INPUT_MEMBERS,
    TEXT_ALONE,
    InputMedia,
    are_for_hours,
    read_input,
    tools_tokens,
)
from proxy.policy.money.requested import PLAIN, REQUESTED_FIELDS, REQUESTED_MEMBERS, Requested, read_requested
from proxy.policy.money.tools import read_tools
from proxy.wire.body_template import member_of
from proxy.wire.call import MAXIMA, Call, Defaults, applied_defaults
from proxy.wire.form import read_form
from proxy.wire.json_object import JsonObject, Text
from proxy.wire.json_text import is_utf_8
from proxy.wire.media import Lacking

_NONE = Raw(b"null")
_WANTED = INPUT_MEMBERS | REQUESTED_MEMBERS
_LIKELY_IMAGE_TOKENS = 1_000
_LIKELY_AUDIO_TOKENS_PER_SECOND = 1  # of the seconds a file can have at most; real ones have a tenth


class _Caching(Struct, gc=False):
    ttl: Literal["5m", "30m"] | None = None


class _Said(Struct, gc=False):
    """Of a message, an item of a response's input, or a part of one, that is text and nothing else, as are calls of tools and their
    results; what it has beside this weighs nothing."""

    audio: None = None
    cache_control: _Caching | None = None
    prompt_cache_breakpoint: _Caching | None = None
    type: (
        Literal[
            "text", "tool_use", "tool_result", "thinking", "redacted_thinking", "message", "function_call", "function_call_output",
            "custom_tool_call", "custom_tool_call_output", "reasoning", "input_text", "output_text", "refusal",
        ]
        | None
    ) = None  # fmt: skip


class _Result(_Said, gc=False):
    content: str | None = None
    output: str | None = None


class _Part(_Said, gc=False):
    content: str | list[_Result] | None = None
    output: str | list[_Result] | None = None


class _Message(_Said, gc=False):
    content: str | list[_Part] | None = None
    output: str | list[_Part] | None = None


class _Long(_Said, gc=False):
    """Of a long talk: nobody reads what was said, and copies of it would take most of the time."""

    content: Raw = _NONE
    output: Raw = _NONE


_read_texts = msgspec.json.Decoder(str | list[_Message]).decode
_read_system = msgspec.json.Decoder(str | list[_Part]).decode
_read_long = msgspec.json.Decoder(str | list[_Long]).decode
LONG_BYTES, _FIRST_BYTES = 32 * 1024, 128
_LIST = re.compile(rb'": ?\[')
_TEXTS = frozenset(b'"n')  # what a string begins with, and null


class Weight(Struct, frozen=True):
    """What a request weighs, whichever model serves it.

    `text_tokens` is the most that its text comes to; `likely_input_tokens` what all of it likely does, at 3.5 bytes a token;
    `likely_tokens` what a limit on tokens reserves until the call's own count is known: that, and the maximum of output.
    """

    endpoint: str
    body_bytes: int
    text_tokens: int
    input_media: InputMedia
    requested: Requested
    likely_input_tokens: int
    likely_tokens: int


def weigh(call: Call, defaults: Defaults = ()) -> Weight:
    """Measure a request once, with the defaults of its alias that will be put in."""
    return (None if defaults else weigh_plain(call)) or weigh_all(call, defaults)


def weigh_all(call: Call, defaults: Defaults = ()) -> Weight:
    """The same, every member looked into."""
    members: dict[str, Any] = {}
    lacking: Lacking = {}
    if call.form is not None:
        fields = read_form(call.body, call.content_type, REQUESTED_FIELDS)
        members = {name: field.text for name, field in fields.items()}
    elif call.document is not None:
        members, lacking = _members_of(call, call.document)
    added = applied_defaults(call, defaults, call.endpoint.max_field)
    for name, text in added:
        members[name] = msgspec.json.decode(text)
    added_bytes = sum(len(text) for _, text in added)
    text_tokens, input_media = read_input(call, members, added_bytes, lacking)
    read = -(-text_tokens * 2 // 7) if text_tokens > 0 else 0
    read += input_media.images * _LIKELY_IMAGE_TOKENS + input_media.audio_seconds * _LIKELY_AUDIO_TOKENS_PER_SECOND
    body_bytes, requested = len(call.body) + added_bytes, read_requested(call, members)
    likely = read + _likely_output(requested)
    return Weight(call.endpoint.name, body_bytes, text_tokens, input_media, requested, read, likely)


def _likely_output(requested: Requested) -> int:
    return requested.maximum * (requested.copies or 1) if requested.maximum else 0


def to_weigh(call: Call) -> int:
    """How much of a request is looked into to weigh it: all but the long strings of its conversation."""
    document = call.document
    if document is None or document.brief is None:
        return len(call.body)
    return sum(len(memoryview(_telling(call, document, name).values[name])) for name in document.values)


def _members_of(call: Call, document: JsonObject) -> tuple[dict[str, Any], Lacking]:
    """The members to look into, decoded; those of a conversation less their long strings."""
    wanted = [name for name in document.values if name in _WANTED]
    return {name: _telling(call, document, name).value(name) for name in wanted}, document.lacking


def _telling(call: Call, document: JsonObject, name: str) -> JsonObject:
    """What to read a member in."""
    if document.brief is None or not (name == "messages" or (name == "input" and call.endpoint.shape == "responses")):
        return document
    text = document.brief.values[name]
    return document.brief if bytes(memoryview(text)[:1]) == b"[" else document


def weigh_plain(call: Call) -> Weight | None:
    """The weight of a conversation whose messages are texts and nothing else, without looking into them; None of any other."""
    template, body = call.template, call.body
    if template is not None and template.weighed is not None:
        return _weigh_texts(call, template.messages_of(body), template.weighed) if template.weighed else None
    document = call.document
    if document is None or call.endpoint.shape not in ("chat", "messages", "responses"):
        return None
    member = member_of(call.endpoint)
    requested = _asks_beside_messages(call, document, member)
    if template is not None:
        template.weighed = requested
    if not requested:
        return None
    messages = _telling(call, document, member).values[member] if member in document.values else b"[]"
    return _weigh_texts(call, messages, requested)


def _weigh_texts(call: Call, messages: Text | None, requested: Requested) -> Weight | None:
    """The weight of a call that `requested` for no more, whose `messages` are texts and nothing else; None where they are more, or
    neither a JSON array nor a string."""
    if messages is None or not are_texts(messages):
        return None
    likely_tokens = likely_tokens_of(call.body, requested)
    return (
        None if likely_tokens is None else weight_of_texts(call.endpoint.name, len(call.body), likely_tokens, requested)
    )


def likely_tokens_of(body: bytes, requested: Requested) -> int | None:
    """What a body likely comes to whose messages are texts and nothing else, and which `requested` for no more; None where it is
    no JSON."""
    if not (body.isascii() or is_utf_8(body)):
        return None
    return -(-(len(body) + requested.tools_tokens) * 2 // 7) + (requested.maximum or 0)


def weight_of_texts(endpoint: str, size: int, likely_tokens: int, requested: Requested) -> Weight:
    """The weight of a body of so many bytes, which are text and nothing else beside what it `requested` for."""
    tokens, likely_input_tokens = size + requested.tools_tokens, likely_tokens - (requested.maximum or 0)
    return Weight(endpoint, size, tokens, TEXT_ALONE, requested, likely_input_tokens, likely_tokens)


def _asks_beside_messages(call: Call, document: JsonObject, member: str) -> Requested | Literal[False]:
    """What a chat asks for, whatever its messages say; False where that is more than text."""
    maxima = MAXIMA[call.endpoint.shape]
    tools = document.value("tools")
    others = document.values.keys() & _WANTED - {member, "tools", *maxima}
    if (tools is not None and not _run_at_the_client(tools)) or not all(_is_text(document, name) for name in others):
        return False
    maximum = None
    for name in call.max_fields:
        if name in maxima:
            limit = document.value(name)
            if type(limit) is not int or limit <= 0:
                return False
            maximum = limit if maximum is None or limit > maximum else maximum
    may_lower = maximum is None and call.endpoint.max_field is not None
    return _plain_asks(maximum, may_lower, tools_tokens(tools))


def _run_at_the_client(tools: Any) -> bool:
    """Whether tools are text to the model, and nothing that costs more."""
    return not are_for_hours(tools) and read_tools({"tools": tools}) == PLAIN.tools


def _is_text(document: JsonObject, name: str) -> bool:
    """Whether a member is text to the model, and no more."""
    try:
        return name == "system" and _read_system(document.values[name]) is not None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def are_texts(messages: Text) -> bool:
    """Whether messages are a string, or a list of what is text and nothing else."""
    try:
        if len(messages) > LONG_BYTES and _are_likely_strings(memoryview(messages)):
            said = _read_long(messages)
            texts = [] if isinstance(said, str) else [text for one in said for text in (one.content, one.output)]
            if {memoryview(text)[0] for text in texts} <= _TEXTS:
                return True
        return _read_texts(messages) is not None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):  # more, neither of these, or half a character
        return False


def _are_likely_strings(messages: memoryview) -> bool:
    """What the first message says, that says it in a string, the others mostly say in strings, too."""
    return not _LIST.search(messages[:_FIRST_BYTES])


@lru_cache(maxsize=1024)
def _plain_asks(maximum: int | None, may_lower: bool, tools_tokens: int) -> Requested:  # noqa: FBT001 - remembered by position
    """What a plain chat asks for."""
    return msgspec.structs.replace(PLAIN, maximum=maximum, may_lower=may_lower, tools_tokens=tools_tokens)


def asking(weight: Weight, **members: Any) -> Weight:
    """The weight of the same request where it asks for something else."""
    requested = msgspec.structs.replace(weight.requested, **members)
    return msgspec.structs.replace(
        weight, requested=requested, likely_tokens=weight.likely_input_tokens + _likely_output(requested)
    )


def longer(weight: Weight, tokens: int) -> Weight:
    """The weight of the same request with so many tokens more to read."""
    return msgspec.structs.replace(weight, text_tokens=weight.text_tokens + tokens)


def capped(weight: Weight, cap: int) -> Weight:
    """The same with no more than so many output tokens, which a budget may lower still."""
    return asking(weight, maximum=cap if weight.requested.maximum is None else min(cap, weight.requested.maximum))
