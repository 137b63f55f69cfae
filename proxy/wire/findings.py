"""What a reply says of itself: its usage, its model, an error, whether it is complete.

One `Findings` reads a whole JSON reply (`see` once) or a stream (`see` for each event's data).
Usage is read wherever it appears and the last one wins, as providers move it about (wire.md 1.7).
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from proxy.wire.counting import Choice, text_of, tokens_in
from proxy.wire.endpoints import Shape
from proxy.wire.usage import Usage, read_usage


class _Event(Struct):
    """The members worth reading of a chat chunk, a Responses or Messages event, or a JSON reply."""

    id: Any = None
    type: Any = None
    model: Any = None
    provider: Any = None
    choices: list[Choice] | None = None
    content: Raw | UnsetType = UNSET
    service_tier: Any = None
    delta: Any = None
    error: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET
    response: Raw | UnsetType = UNSET
    message: Raw | UnsetType = UNSET


class _Inner(Struct):
    """`response` of a Responses event, `message` of `message_start`."""

    id: Any = None
    model: Any = None
    service_tier: Any = None
    usage: Raw | UnsetType = UNSET


def _number(text: str) -> Decimal:
    """A number as it was spelled; NaN where its exponent is beyond all reading."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_event = msgspec.json.Decoder(_Event)
_inner = msgspec.json.Decoder(_Inner)
_exact = msgspec.json.Decoder(dict[str, Any], float_hook=_number)

_TERMS = frozenset({"service_tier", "speed"})
_TERMINAL = frozenset({"message_stop", "response.completed", "response.failed", "response.incomplete"})
_STATUS_OF_TYPE = {
    "authentication_error": 401,
    "insufficient_quota": 402,
    "billing_error": 402,
    "payment_required": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "provider_overloaded": 529,
    "timeout_error": 504,
    "timeout": 504,
}


class Findings:
    """What has been read so far.

    `events` counts events with data. `error` is the reply's own error object (or text) once
    seen. `has_output`: a choice or content was there. `usage_only` describes the last event:
    it carried usage, no choices and no error. `served_by` is the provider OpenRouter names.
    `counted_output`: output tokens that streamed past, estimated.
    """

    __slots__ = (
        "_finished",
        "_is_first_count",
        "_open",
        "_shape",
        "_terminal",
        "_tier",
        "_usage",
        "counted_output",
        "error",
        "events",
        "generation_id",
        "has_output",
        "served_by",
        "served_model",
        "usage_only",
    )

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._usage: dict[str, Any] = {}
        self._open: frozenset[int] = frozenset()
        self._finished: frozenset[int] = frozenset()
        self._terminal = False
        self._is_first_count = False  # message_start tells what was written before anything was (wire.md 3.3)
        self._tier: Any = None
        self.counted_output = 0
        self.events = 0
        self.error: Any = None
        self.has_output = False
        self.usage_only = False
        self.generation_id: str | None = None
        self.served_model: str | None = None
        self.served_by: str | None = None

    @property
    def complete(self) -> bool:
        """Whether a stream that ends here has said all it meant to."""
        if self._terminal or self.error is not None:
            return True
        if self._shape in ("chat", "completions"):
            return bool(self._finished) and not self._open
        return self._shape == "other"

    @property
    def usage(self) -> Usage | None:
        """The usage read last; None where there was none."""
        if not self._usage:
            return None
        usage = read_usage(self._usage, counts_both=self._shape != "other")
        return msgspec.structs.replace(usage, uncounted=True) if self._is_first_count else usage

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """What the reply says it was served at, where that has its own price: the tier, Anthropic's speed."""
        told = {"service_tier": self._tier, **{name: self._usage[name] for name in _TERMS & self._usage.keys()}}
        return tuple((name, value) for name, value in told.items() if isinstance(value, str))

    @property
    def terminal(self) -> bool:
        """Whether the event that ends the stream has been seen."""
        return self._terminal

    @property
    def error_status(self) -> int:
        """The HTTP status an error inside a 200 stands for: its own code, else by its type, else 502."""
        error = self.error if isinstance(self.error, dict) else {}
        code = error.get("code")
        if isinstance(code, str) and len(code) == 3 and code.isdecimal():
            code = int(code)
        if isinstance(code, int) and 400 <= code <= 599:
            return code
        metadata = error.get("metadata")
        kind = metadata.get("error_type") if isinstance(metadata, dict) else None
        for name in (kind, error.get("type"), code):
            if isinstance(name, str) and name in _STATUS_OF_TYPE:
                return _STATUS_OF_TYPE[name]
        return 502

    @property
    def failed(self) -> bool:
        """A 200 that is no answer: an error and no output, on the endpoints where that can be told."""
        return self.error is not None and not self.has_output and self._shape in ("chat", "completions", "messages")

    def see(self, data: bytes) -> None:
        """Read the data of one event, or a whole JSON reply. Anything unreadable is passed over."""
        self.events += 1
        self.usage_only = False
        if data.startswith(b"[DONE]"):
            self._terminal = True
            return
        event = _decode(data)
        if event is None:
            return
        self._see_identity(event)
        self._see_choices(event)
        failed = event.error is not UNSET and bool(error := _loads(event.error))
        if failed:
            self.error = error
        if event.usage is not UNSET and self._see_usage(event.usage):
            self.usage_only = not event.choices and not failed
        if isinstance(event.type, str) and event.type in _TERMINAL:
            self._terminal = True
        elif event.delta and event.type != "message_delta":
            text = text_of(event.delta)
            self.counted_output += tokens_in(text) if text else 0
        if event.type == "error" and self.error is None and self._shape == "responses":
            self.error = _loads(Raw(data))  # its error stands at the top level (wire.md 2.4)
        for nested in (event.response, event.message):
            if nested is not UNSET:
                self._see_nested(nested)

    def _see_identity(self, event: _Event) -> None:
        if isinstance(event.id, str) and self.generation_id is None:
            self.generation_id = event.id
        if isinstance(event.model, str):
            self.served_model = event.model
        if isinstance(event.provider, str):
            self.served_by = event.provider
        if event.service_tier is not None:
            self._tier = event.service_tier

    def _see_choices(self, event: _Event) -> None:
        if event.content is not UNSET and bytes(event.content) not in (b"null", b"[]", b'""'):
            self.has_output = True
        for choice in event.choices or ():
            index = choice.index if isinstance(choice.index, int) else 0
            tokens = choice.tokens()
            self.counted_output += tokens
            if tokens or choice.delta is UNSET:
                self.has_output = True
            if choice.finish_reason:
                self._finished |= {index}
                self._open -= {index}
            elif index not in self._finished and index not in self._open:
                self._open |= {index}

    def _see_usage(self, raw: Raw) -> bool:
        """Merge by key: a later event replaces what it names, null erases nothing (wire.md T06, T19)."""
        usage = _loads(raw)
        if not isinstance(usage, dict):
            return False
        self._usage.update({name: value for name, value in usage.items() if value is not None})
        self._is_first_count = self._is_first_count and usage.get("output_tokens") is None
        return True

    def _see_nested(self, raw: Raw) -> None:
        try:
            inner = _inner.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        self._see_identity(_Event(id=inner.id, model=inner.model, service_tier=inner.service_tier))
        if inner.usage is not UNSET and self._see_usage(inner.usage):
            self._is_first_count = self._shape == "messages"


def _decode(data: bytes) -> _Event | None:
    """Read an event; by way of the standard library where a cut emoji defeats the quick reader."""
    try:
        return _event.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        loose = json.loads(data, parse_constant=str)
        loose = {name: loose[name] for name in _Event.__struct_fields__ if name in loose}
        if not isinstance(loose.get("choices"), list):
            loose.pop("choices", None)
        return _event.decode(json.dumps(loose, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, TypeError, RecursionError):
        return None


def _loads(raw: Raw) -> Any:
    """Decode with exact numbers; what is no object comes back as plain JSON, what is broken as None."""
    if bytes(raw) == b"null":  # OpenAI says so of the usage in every chunk
        return None
    try:
        return _exact.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return json.loads(bytes(raw), parse_float=_number)
    except (ValueError, RecursionError):
        return None
