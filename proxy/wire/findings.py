"""What a reply says of itself: its usage, its model, an error, whether it is complete.

One `Findings` reads a whole JSON reply (`see` once) or a stream (`see` for each event's data).
Usage is read wherever it appears and the last one wins, as providers move it about (wire.md 1.7).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from proxy.wire.counting import text_of, tokens_in
from proxy.wire.endpoints import Shape
from proxy.wire.error_objects import is_of_no_endpoint, status_of
from proxy.wire.events import Event, read_event, read_inner, read_value
from proxy.wire.json_text import SMALL
from proxy.wire.media_events import is_midway
from proxy.wire.response import Standing
from proxy.wire.structs import often_set
from proxy.wire.tools import ToolRuns, with_usual_search
from proxy.wire.usage import NO_USAGE, Usage
from proxy.wire.usage_plain import may_have_searched, read_plain_reply
from proxy.wire.usage_told import UsageTold

_NONE, _FIRST = frozenset[int](), frozenset({0})
_MOST_CHOICES = 128  # `n` goes no further (wire.md 2.2)
_TERMS = ("service_tier", "speed", "inference_geo")
_TERMINAL = frozenset({"message_stop", "response.completed", "response.failed", "response.incomplete"})
_KNOWN_TYPES = ("response.", "message_", "content_block_")
_besides = attrgetter(
    "error", "type", "delta", "output", "tool_usage", "status", "background", "response", "message",
    "x_groq", "meta", "usage_info", "timings",
)  # fmt: skip
_NOTHING_BESIDES = _besides(Event())


@often_set
class Findings(Struct, eq=False):
    """What has been read so far.

    `events` counts events with data. `error` is the reply's own error object (or text) once seen. `has_output`: a choice
    or content was there. `usage_only` describes the last event that was read: it carried usage, no choices and no error. `terminal`:
    the event that ends a stream was there. `has_told_all`: its last usage was. `served_by` is the provider OpenRouter names.
    `counted_output`: output tokens that streamed past, estimated; `countable`: it streamed in a way that can be counted.
    """

    _shape: Shape
    gives_way: bool = False  # a response that failed need not pass as it came, and another target is left
    _told: UsageTold | None = None
    _usage_as_of: int = -1
    _usage_read: Usage | None = None
    _runs: ToolRuns | None = None
    _open: frozenset[int] = _NONE
    _finished: frozenset[int] = _NONE
    _is_midway: bool = False  # the usage read last counts on: it came with a piece of the answer
    has_told_all: bool = False
    _tier: Any = None
    _standing: Standing | None = None
    latest_type: str = ""  # on the endpoints that have no protocol of their own
    terminal: bool = False
    countable: bool = False
    counted_output: int = 0
    events: int = 0
    error: Any = None
    has_output: bool = False
    usage_only: bool = False
    generation_id: str | None = None
    served_model: str | None = None
    served_by: str | None = None

    @property
    def response(self) -> Standing:
        """How one of the Responses API stands."""
        self._standing = self._standing or Standing()
        return self._standing

    def _tools(self) -> ToolRuns:
        self._runs = self._runs or ToolRuns()
        return self._runs

    def _usage_told(self) -> UsageTold:
        self._told = self._told or UsageTold()
        return self._told

    @property
    def complete(self) -> bool:
        """Whether a stream that ends here has said all it meant to."""
        if self.terminal or self.error is not None:
            return True
        if self._shape in ("chat", "completions"):
            return bool(self._finished) and not self._open
        return self._shape == "other" and not is_midway(self.latest_type)

    @property
    def usage(self) -> Usage | None:
        """The usage read last; None where there was none. Worked out once for what was seen."""
        if self._usage_as_of != self.events:
            self._usage_read, self._usage_as_of = self._read_usage(), self.events
        return self._usage_read

    def _read_usage(self) -> Usage | None:
        told = self._told
        usage = None if told is None else told.read(counts_both=self._shape != "other")
        if told is None or usage is None:
            return None
        if self._runs is not None and (told.is_first_count or self._shape != "messages"):
            usage = self._runs.added_to(usage)
        if self._shape == "chat":
            usage = with_usual_search(usage, self.served_model or "")
        cost = None if self._is_midway and not self.complete else usage.cost_usd
        may_be_zero = self._shape == "completions" and not self.counted_output and told.leaves_out_zero()
        is_uncounted = told.is_first_count or (usage.uncounted and not may_be_zero)
        if cost is usage.cost_usd and is_uncounted is usage.uncounted:
            return usage
        return msgspec.structs.replace(usage, cost_usd=cost, uncounted=is_uncounted)

    @property
    def ran(self) -> Usage:
        """What its tools did that is charged, where no usage comes."""
        return NO_USAGE if self._runs is None else self._runs.added_to(NO_USAGE)

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """What the reply says it was served at, where that may have its own price: tier, Anthropic's speed and place."""
        usage = {} if self._told is None else self._told.usage()
        if self._tier is None and usage.keys().isdisjoint(_TERMS):
            return ()
        told = {"service_tier": self._tier, **{name: usage[name] for name in _TERMS if name in usage}}
        return tuple((name, value) for name, value in told.items() if isinstance(value, str))

    @property
    def called(self) -> set[str]:
        """The names of the tools that a stream called."""
        return set() if self._runs is None else self._runs.called

    @property
    def error_status(self) -> int:
        """The HTTP status an error inside a 200 stands for."""
        return status_of(self.error)

    @property
    def failed(self) -> bool:
        """A 200 that is no answer: an error and no output, on the endpoints where that can be told."""
        if self._shape == "responses":
            return is_of_no_endpoint(self.error) or (self.gives_way and self.broke and self.said_nothing)
        is_told = self.broke and self._shape in ("chat", "completions", "messages")
        return is_told and not self.has_output and not (self.countable and self.counted_output)

    @property
    def broke(self) -> bool:
        """Whether an answer ended in an error, on the endpoints where an error can only mean that."""
        return self.error is not None and self._shape != "other"

    @property
    def said_nothing(self) -> bool:
        """Whether there was no output, not even a piece."""
        return not (self.has_output or self.response.has_output or self.counted_output)

    def see_whole(self, data: bytes) -> None:
        """Read a whole JSON reply."""
        plain = read_plain_reply(data) if self._shape == "chat" and len(data) <= SMALL else None
        if plain is None:
            self.see(data)
            return
        reply, self._usage_read = plain
        self.events = self._usage_as_of = 1
        self.has_output, self._finished, self.served_model = True, _FIRST, reply.model
        self.generation_id, self.served_by, self._tier = reply.id, reply.provider, reply.service_tier

    def see_rest(self, data: bytes) -> None:
        """Read a large event, which was counted as it began, at its end."""
        self.events -= 1
        self._usage_as_of = -1
        self.see(data)

    def see(self, data: bytes) -> None:
        """Read the data of one event, or a whole JSON reply. Anything unreadable counts as so many bytes of output."""
        self.events += 1
        self.usage_only = False
        if data[:6] == b"[DONE]":
            self.terminal = True
            return
        event = read_event(data)
        if event is None:
            self.counted_output += tokens_in(data.decode("utf-8", "replace")) if data else 0
            return
        if self.generation_id is None or event.model != self.served_model or event.service_tier is not None:
            self._see_identity(event.id, event.model, event.service_tier)
        if type(event.provider) is str:
            self.served_by = event.provider
        if event.choices or event.content is not UNSET:
            self._see_choices(event)
            if may_have_searched(data):
                self._tools().searched(data)
        if _besides(event) != _NOTHING_BESIDES:
            self._see_besides(event, data)
        elif event.usage is not UNSET:
            self._see_usage(event, is_usual=True, failed=False)

    def _see_usage(self, event: Event, *, is_usual: bool, failed: bool) -> None:
        is_told = self._usage_told().see(event, is_usual=is_usual)
        if is_told or not is_usual:
            self.has_told_all = bool(self._finished) and not self._open
        if is_told:
            self._is_midway = bool(self._open) and not failed and self.is_under_way(event)
            self.usage_only = not event.choices and not failed

    def _see_besides(self, event: Event, data: bytes) -> None:
        """What else there may be than choices and usage."""
        failed = event.error is not UNSET and self._see_error(event.error)
        is_usual = event.x_groq is event.meta is event.usage_info is event.timings and event.type != "message-end"
        if event.usage is not UNSET or not is_usual:
            self._see_usage(event, is_usual=is_usual, failed=failed)
        if event.type is not None or event.delta:
            self._see_type(event, data)
        if event.output is not event.tool_usage:  # neither is there: no reply of the Responses API
            self._tools().ended(event.output, event.tool_usage, event.tools)
        if event.status is not None or event.background is not None or event.output is not UNSET:
            self.response.see(event)
        if event.response is not UNSET:
            self._see_nested(event.response)
        if event.message is not UNSET:
            self._see_nested(event.message)

    def see_more(self, tokens: int) -> None:
        """Count an event that says what the last one did, but for a text of so many tokens (`alike.py`)."""
        self.events += 1
        self.counted_output += tokens

    def is_under_way(self, event: Event) -> bool:
        """Whether the event is a piece of an answer that goes on."""
        return bool(self._open) and any(choice.delta is not UNSET for choice in event.choices or ())

    def _see_identity(self, identity: Any, model: Any, tier: Any) -> None:
        if isinstance(identity, str) and self.generation_id is None:
            self.generation_id = identity
        if isinstance(model, str):
            self.served_model = model
        if tier is not None:
            self._tier = tier

    def _see_choices(self, event: Event) -> None:
        if event.content is not UNSET and bytes(event.content) not in (b"null", b"[]", b'""'):
            self.has_output = True
        for choice in event.choices or ():
            index = choice.index if isinstance(choice.index, int) and 0 <= choice.index < _MOST_CHOICES else 0
            is_whole = choice.delta is UNSET
            if is_whole and choice.text is None:  # of a chat, in one piece
                self.has_output = True
            else:
                tokens = choice.tokens()
                self.counted_output += tokens
                self.countable, self.has_output = True, self.has_output or is_whole or tokens > 0
                if choice.delta and choice.delta.tool_calls:
                    self._tools().call(choice.delta.tool_calls)
            if choice.finish_reason:
                self._finished = self._finished | {index} if self._finished or index else _FIRST
                self._open = self._open and self._open - {index}
            elif index not in self._finished and index not in self._open:
                self._open = self._open | {index} if self._open or index else _FIRST
            if choice.usage is not UNSET:  # Moonshot's
                self.has_told_all = self._usage_told().add(read_value(choice.usage)) and not self._open

    def _see_error(self, raw: Any) -> bool:
        if error := read_value(raw):
            self.error = error
        return bool(error)

    def _see_type(self, event: Event, data: bytes) -> None:
        kind = event.type if isinstance(event.type, str) else ""
        if self._shape == "other":
            self.latest_type = kind
        self.countable = self.countable or kind.startswith(_KNOWN_TYPES)
        if kind in _TERMINAL:
            self.terminal = True
        elif event.delta and kind != "message_delta":
            text = text_of(event.delta)
            self.counted_output += tokens_in(text) if text else 0
        elif isinstance(event.delta, dict) and event.delta.get("stop_reason"):
            self.has_told_all = not self._usage_told().is_first_count
        elif kind == "content_block_start" and b"_use" in data:
            self._tools().begins(data)
        if kind == "response.output_item.done":
            self._tools().ran(event.item)
        if kind == "error" and self.error is None and self._shape == "responses":
            self.error = read_value(Raw(data))  # its error stands at the top level (wire.md 2.4)

    def _see_nested(self, raw: Raw) -> None:
        inner = read_inner(raw)
        if inner is None:
            return
        self._see_identity(inner.id, inner.model, inner.service_tier)
        self._see_error(inner.error)
        self._tools().ended(inner.output, inner.tool_usage, inner.tools)
        self.response.see(inner)
        if inner.usage is not UNSET and self._usage_told().add(read_value(inner.usage)):
            self._usage_told().is_first_count = self._shape == "messages"
