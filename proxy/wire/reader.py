"""Reads a reply while it passes: bytes in, the bytes the client gets out, findings on the side."""

from __future__ import annotations

import msgspec

from proxy.errors import ProxyError
from proxy.wire.alike import Alike
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings
from proxy.wire.long_texts import LongTexts, TooLarge
from proxy.wire.sse import EventCutter, data_of, split_events

_json = msgspec.json.Encoder()


class StreamReader:
    """Reads an event stream. `hide_usage` takes out the usage event we, not the client, asked for."""

    __slots__ = (
        "_alike",
        "_cutter",
        "_hid_the_last",
        "_hide_usage",
        "_is_midway",
        "_large",
        "_line_end_is_open",
        "_unlearnt",
        "findings",
    )

    def __init__(self, findings: Findings, *, hide_usage: bool = False) -> None:
        self._alike = Alike()
        self._unlearnt = b""  # an event to be learnt once what it says has passed
        self._cutter = EventCutter()
        self._hide_usage = hide_usage
        self._hid_the_last = False
        self._line_end_is_open = False  # all that came ends on the CR of a blank line; its LF may follow
        self._is_midway = False  # that is so, or what came last is no whole event
        self._large: LongTexts | None = None  # what an event too large to be held says beside its picture
        self.findings = findings

    @property
    def at_boundary(self) -> bool:
        """Whether something of ours may be written between events now."""
        return not self._cutter.mid_event

    @property
    def held(self) -> int:
        """How many bytes of an event wait for its end."""
        return self._cutter.held

    def last_words(self, shape: Shape, error: ProxyError) -> bytes:
        """An error of ours as the last event."""
        return error_event(shape, error)

    def feed(self, chunk: bytes) -> bytes:
        """Return what may go to the client: whole events, unchanged, less the one to hide."""
        if not self._is_midway and _is_one_line(chunk):  # and nothing else, as most reads are
            self.findings.see(chunk[6:-2])
            if self.findings.usage_only:
                return b"" if self._hide_usage else chunk
            if not self.findings.terminal:  # which nothing like it follows
                self._unlearnt = chunk
            return chunk
        if not chunk:
            return chunk
        if not self._line_end_is_open:
            return self._feed(chunk)
        self._line_end_is_open = False
        if not chunk.startswith(b"\n"):
            return self._feed(chunk)
        return (b"" if self._hid_the_last else b"\n") + self._feed(chunk[1:])

    @property
    def knows(self) -> bool:
        """Whether what comes next may be an event that `alike` knows again: what came last was a whole one."""
        return self.alike.knows and not self._is_midway

    @property
    def alike(self) -> Alike:
        """What its events have in common, what passed last among them."""
        event, self._unlearnt = self._unlearnt, b""
        if event:
            self._alike.learn(event)
        return self._alike

    def _feed(self, chunk: bytes) -> bytes:
        cutter = self._cutter
        midway = cutter.mid_event
        ready = cutter.feed(chunk)
        self._line_end_is_open = ready[-1:] == b"\r" and not cutter.tail
        self._is_midway = self._line_end_is_open or bool(cutter.tail) or cutter.mid_event
        if cutter.mid_event:
            self.findings.events += not midway
            self._skim(ready, begins=not midway)
            return ready
        if midway:
            large, *events = split_events(ready)
            self._skim(large, begins=False)
            if self._large is not None and (data := data_of(self._large.take_rest())):
                self.findings.see_rest(data)
            return large + self._read(b"".join(events))
        return self._read(ready) if ready else ready

    def _skim(self, part: bytes, *, begins: bool) -> None:
        """Read the usage of an event that passes in parts: the last one before it may stand in the first of them."""
        if begins:
            self._large = LongTexts()
        if self._large is None:
            return
        try:
            for _ in self._large.feed(part):
                pass
        except TooLarge:
            self._large = None

    def finish(self) -> bytes:
        """Return what the stream ended on; usage in an unterminated last event still counts."""
        rest = self._cutter.rest()
        return self._read(rest) if rest and self.at_boundary else rest

    def _read(self, block: bytes) -> bytes:
        findings, alike = self.findings, self.alike
        shown: list[bytes] | None = None
        event, tokens = b"", 0
        events = split_events(block)
        for position, event in enumerate(events):
            self._hid_the_last = False
            if tokens := alike.tokens_in(event):
                findings.see_more(tokens)
                if shown is not None:
                    shown.append(event)
                continue
            if (data := data_of(event)) is None:
                if shown is not None:
                    shown.append(event)
                continue
            findings.see(data)
            if self._hide_usage and findings.usage_only:
                shown = events[:position] if shown is None else shown
                shown.append(event[: len(event) - len(event.lstrip(b"\r\n"))])  # blank lines before it are not its own
                self._hid_the_last = True
            elif shown is not None:
                shown.append(event)
        if not tokens and not findings.usage_only and not findings.terminal and _is_one_line(event):
            self._unlearnt = event
        return block if shown is None else b"".join(shown)


def _is_one_line(event: bytes) -> bool:
    """Whether it is an event of one line of data."""
    at_end = event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2
    return at_end and event.endswith(b"\n\n") and b"\r" not in event


def openai_error(error: ProxyError) -> dict[str, str | None]:
    """What stands under `error` in OpenAI's envelope (wire.md 2.6)."""
    return {"message": error.message, "type": error.error_type, "param": error.param, "code": error.code}


def error_body(error: ProxyError, request_id: str | None, *, anthropic: bool) -> bytes:
    """A whole error reply: OpenAI's envelope, or Anthropic's (wire.md 2.6 and 3.4)."""
    if not anthropic:
        return _json.encode({"error": openai_error(error)})
    detail = {"type": anthropic_type(error.status), "message": error.message, "code": error.code}
    return _json.encode({"type": "error", "error": detail, "request_id": request_id})


def error_event(shape: Shape, error: ProxyError) -> bytes:
    """An error as the last event of a stream that has begun, in the dialect its readers dispatch on."""
    body = openai_error(error)
    if shape == "messages":
        detail = {"type": anthropic_type(error.status), "message": error.message}
        return b"event: error\ndata: " + _json.encode({"type": "error", "error": detail}) + b"\n\n"
    if shape == "responses":
        event = {"type": "error", "code": error.code, "message": error.message, "param": error.param, "error": body}
        return b"event: error\ndata: " + _json.encode(event) + b"\n\n"
    return b"data: " + _json.encode({"error": body}) + b"\n\n"


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_type(status: int) -> str:
    """Anthropic's `error.type` for a status (wire.md 3.4)."""
    return _ANTHROPIC_TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")
