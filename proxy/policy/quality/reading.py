"""From the bytes of a reply to what it says, in each protocol; and what its request wants it to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from proxy.policy.quality.detectors import flags_of
from proxy.policy.quality.values import Finish, Flag, Said, Wanted, Watch
from proxy.wire.sse import data_of, split_events

if TYPE_CHECKING:
    from proxy.wire.call import Call

FINISHES: dict[str, Finish] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), "length"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), "tools"),
    **dict.fromkeys(("content_filter", "refusal"), "refusal"),
}


class _Heard:
    """What was said so far."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.finish: Finish = "unknown"
        self.refuses = False
        self.arguments: dict[Any, str] = {}

    def say(self, text: Any) -> None:
        if isinstance(text, str):
            self.text.append(text)

    def call(self, place: Any, text: Any) -> None:
        self.arguments[place] = self.arguments.get(place, "") + (text if isinstance(text, str) else "")

    def end(self, reason: Any) -> None:
        if isinstance(reason, str):
            self.finish = FINISHES.get(reason, "unknown")

    def said(self) -> Said:
        return Said("".join(self.text), self.finish, self.refuses, tuple(self.arguments.values()))


def said_in(body: bytes, *, is_events: bool) -> Said:
    """What a reply of any of the three protocols says; nothing where it is none of them."""
    heard = _Heard()
    for value in _events(body) if is_events else (decoded(body),):
        if is_events and "choices" not in value:
            _read_event(heard, value)
        else:
            _read_whole(heard, value)
    return heard.said()


def flag_to_leave(body: bytes, watch: Watch, wanted: Wanted, *, is_events: bool = False) -> Flag | None:
    """The first flag of a reply in hand that an entry wants another model for."""
    found = flags_of(said_in(body, is_events=is_events), watch, wanted)
    return next((flag for flag in found if flag in watch.fallback_on), None)


def flag_so_far(begun: bytes, watch: Watch) -> Flag | None:
    """The same of a stream that has begun: what its first words tell is told already, and nothing else is."""
    told = flag_to_leave(begun, watch, Wanted(), is_events=True)
    return told if told in ("refusal", "refusal_weak") else None


def wanted_of(call: Call) -> Wanted:
    """Whether the request asks for JSON, and of which schema."""
    document = call.document
    if document is None:
        return Wanted()
    text = _dict(document.value("text"))
    asked = _dict(document.value("response_format")) or _dict(text.get("format"))
    kind, named = asked.get("type"), _dict(asked.get("json_schema"))
    schema = named.get("schema") or asked.get("schema")
    return Wanted(kind in ("json_object", "json_schema"), schema if isinstance(schema, dict) else None)


def _read_whole(heard: _Heard, value: dict[str, Any]) -> None:
    """A chat completion or a piece of one, a message, a response."""
    if (choices := _list(value.get("choices"))) and isinstance(choices[0], dict):
        said = _dict(choices[0].get("message")) or _dict(choices[0].get("delta"))
        heard.say(said.get("content"))
        heard.refuses = heard.refuses or bool(said.get("refusal"))
        for place, tool in enumerate(_list(said.get("tool_calls"))):
            heard.call(_dict(tool).get("index", place), _dict(_dict(tool).get("function")).get("arguments"))
        heard.end(choices[0].get("finish_reason"))
    elif "output" in value:
        _read_output(heard, value)
    else:
        for place, block in enumerate(map(_dict, _list(value.get("content")))):
            heard.say(block.get("text"))
            if block.get("type") == "tool_use":
                heard.call(place, msgspec.json.encode(block.get("input")).decode())
        heard.end(value.get("stop_reason"))


def _read_output(heard: _Heard, response: dict[str, Any]) -> None:
    for place, item in enumerate(map(_dict, _list(response.get("output")))):
        for part in map(_dict, _list(item.get("content"))):
            heard.say(part.get("text") if part.get("type") == "output_text" else None)
            heard.refuses = heard.refuses or part.get("type") == "refusal"
        if item.get("type") == "function_call":
            heard.call(place, item.get("arguments"))
    heard.end(_dict(response.get("incomplete_details")).get("reason") or response.get("status"))


def _read_event(heard: _Heard, event: dict[str, Any]) -> None:
    """An event of a message or a response."""
    kind, delta = event.get("type"), event.get("delta")
    if kind == "content_block_delta":
        heard.say(_dict(delta).get("text"))
        if "partial_json" in _dict(delta):
            heard.call(event.get("index"), _dict(delta).get("partial_json"))
    elif kind == "message_delta":
        heard.end(_dict(delta).get("stop_reason"))
    elif kind == "response.output_text.delta":
        heard.say(delta)
    elif kind == "response.refusal.delta":
        heard.refuses = True
    elif kind == "response.function_call_arguments.done":
        heard.call(event.get("item_id"), event.get("arguments"))
    elif kind in ("response.completed", "response.incomplete"):
        response = _dict(event.get("response"))
        heard.end(_dict(response.get("incomplete_details")).get("reason") or response.get("status"))


def _events(body: bytes) -> Iterable[dict[str, Any]]:
    whole, end, _ = body.rpartition(b"\n\n")
    for event in split_events(whole + end):
        data = data_of(event)
        if data and not data.startswith(b"[DONE]"):
            yield decoded(data)


def decoded(data: bytes) -> dict[str, Any]:
    """The object that this is, or an empty one."""
    try:
        return _dict(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
