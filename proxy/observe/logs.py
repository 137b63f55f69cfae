"""Logging: one JSON object a line, or colours on a terminal; to stderr; other libraries' lines included.

Secrets cannot be rendered: `Secret` has no text, and one processor removes what looks like a
credential from every value, whoever logged it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, Protocol, TextIO, cast

import msgspec
import structlog

from proxy.observe.short_line import coloured, short_line
from proxy.observe.sink import LineSink

_json = msgspec.json.Encoder()
_CREDENTIAL = re.compile(r"(?i)\b(sk-|bearer\s+)[A-Za-z0-9_\-.~+/]{6,}=*")
# what a terminal obeys, what ends a line somewhere, and half an emoji
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LONGEST = 2048  # characters of a text
_FAILED = 500  # the least status of a failure that is worth a warning
_STRUCTLOGS_OWN = frozenset({"_record", "_from_structlog"})

Event = MutableMapping[str, Any]


class Line(Protocol):
    """A finished call, a msgspec Struct with the members of its line. `is_odd`: something in it has to be escaped, cut or
    taken out."""

    is_odd: ClassVar[bool]

    @property
    def level(self) -> str:
        """How grave it is."""

    @property
    def time(self) -> str:
        """When it ended, UTC."""

    def entry(self) -> Any:
        """The call's own members."""


class Sink(Protocol):
    """Where lines go: a text file, or a `LineSink`."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> None:
        """Bring it out."""

    def isatty(self) -> bool:
        """Whether people read along."""


def set_up(level: str, style: Literal["auto", "json", "pretty"], stream: Sink = sys.stderr) -> None:
    """Configure structlog and the standard library's root logger. Call once, at start."""
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    colours = pretty and stream.isatty() and not os.environ.get("NO_COLOR")
    render: Any = structlog.dev.ConsoleRenderer(colors=colours) if pretty else _render
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    _call_log.sink, _call_log.level, _call_log.pretty = stream, number, pretty
    _call_log.colours = colours
    _call_log.queue = stream if isinstance(stream, LineSink) else None
    if isinstance(stream, LineSink):
        stream.healed = lambda lines: structlog.get_logger().warning("log_lines_dropped", lines=lines)
    handler = logging.StreamHandler(cast(TextIO, stream))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


class _CallLog:
    """Writes call lines past the processor chain, which costs more than the rest of a call's bookkeeping."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.queue: LineSink | None = None
        self.level = logging.INFO
        self.pretty = False
        self.colours = False

    def write(self, lines: Sequence[Line], *, has_odd: bool) -> None:
        """The same lines the chain would make, or for people the short ones; anything out of the ordinary takes the chain."""
        if self.sink is None:
            for line in lines:
                getattr(structlog.get_logger(), line.level)("call", **msgspec.to_builtins(line.entry()))
            return
        if self.level > logging.INFO:
            lines = [line for line in lines if line.level != "info"]
        if self.level > logging.WARNING or not lines:
            return
        if self.pretty:
            block = b"".join(map(self._short, lines))
        else:
            block = b"".join(map(_line, lines)) if has_odd else _json.encode_lines(lines)
        if self.queue is not None:
            self.queue.take(block, len(lines))
        else:
            self.sink.write(block.decode())
            self.sink.flush()

    def _short(self, line: Line) -> bytes:
        call = line.entry()
        text = redacted(short_line(call, datetime.fromisoformat(line.time).astimezone()))
        text = coloured(text, call.status) if self.colours else text
        return text.encode(errors="backslashreplace") + b"\n"


_call_log = _CallLog()


def log_calls(lines: Sequence[Line], *, has_odd: bool) -> None:
    """The one line each of finished calls. `has_odd`: not all of them are as they are written."""
    _call_log.write(lines, has_odd=has_odd)


def lines_dropped() -> int:
    """How many lines were lost since the start, because nobody took them off in time."""
    return 0 if _call_log.queue is None else _call_log.queue.dropped


def _line(line: Line) -> bytes:
    if not line.is_odd:
        return _json.encode(line) + b"\n"
    return _render(None, line.level, redact(None, line.level, msgspec.to_builtins(line))).encode() + b"\n"


def is_plain(said: bytes) -> bool:
    """Whether nothing in this JSON has to be escaped or taken out."""
    is_fit = said.isascii() and b"\x7f" not in said and b"\\" not in said
    return is_fit and b"sk-" not in said and (b" " not in said or b"earer" not in said.lower())


def level_of(status: int) -> str:
    """How grave a call's end is."""
    return "warning" if status >= _FAILED else "info"


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Take credentials out of every text, however deep it stands, and cut texts that are too long."""
    for name in [name for name in event if name not in _STRUCTLOGS_OWN]:
        event[redacted(name)] = _redacted_value(event.pop(name))
    return event


def _redacted_value(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, Mapping):
        return {redacted(str(name)): _redacted_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted_value(inner) for inner in value]
    return redacted(repr(value))


def redacted(text: str) -> str:
    """`text` with anything that looks like a credential replaced, at most 2 KiB of it, fit for any terminal."""
    limit = LONGEST * 8 if "\n" in text else LONGEST
    if not text.isprintable():
        text = _UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    if "sk-" in text or "earer" in text.lower():
        text = _CREDENTIAL.sub(r"\1***", text)
    return text if len(text) <= limit else text[:limit] + "…"


def _render(_logger: Any, _method: str, event: Event) -> str:
    return _json.encode(dict(event)).decode()
