"""Logging: one JSON object a line, or colours on a terminal; to stderr; other libraries' lines included.

Secrets cannot be rendered: `Secret` has no text, and one processor removes what looks like a
credential from every value, whoever logged it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal, Protocol, TextIO, cast

import msgspec
import structlog

from proxy.observe.short_line import coloured, short_line
from proxy.observe.sink import LineSink

_json = msgspec.json.Encoder()
_CREDENTIAL = re.compile(r"(?i)\b(sk-|bearer\s+)[A-Za-z0-9_\-.~+/]{6,}=*")
# what a terminal obeys, what ends a line somewhere, and half an emoji
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 2048
_FAILED = 500  # the least status of a failure that is worth a warning
_STRUCTLOGS_OWN = frozenset({"_record", "_from_structlog"})

# of a call's entry, all that others may have named, but what is another one for each call
_TEXTS = attrgetter("key", "endpoint", "model", "target", "provider", "served", "error", "tried", "adjusted")

_CALL = b',"event":"call","level":"info","time":"'
_FAILED_CALL = b',"event":"call","level":"warning","time":"'

Event = MutableMapping[str, Any]
Ended = tuple[Any, float]  # a call's entry, a msgspec Struct, and when it ended, in UTC epoch seconds


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

    def write(self, calls: Iterable[Ended]) -> None:
        """The same lines the chain would make, or for people the short ones; anything out of the ordinary takes the chain."""
        if self.sink is None:
            for fields, _ in calls:
                getattr(structlog.get_logger(), _level(fields))("call", **msgspec.to_builtins(fields))
            return
        wanted = calls if self.level <= logging.INFO else [call for call in calls if call[0].status >= _FAILED]
        if self.level > logging.WARNING:
            return
        render = self._short if self.pretty else _line
        lines = [render(fields, ended) for fields, ended in wanted]
        if self.queue is not None:
            self.queue.take(lines)
        else:
            self.sink.write(b"".join(lines).decode())
            self.sink.flush()

    def _short(self, fields: Any, ended: float) -> bytes:
        line = redacted(short_line(fields, datetime.fromtimestamp(ended).astimezone()))
        line = coloured(line, fields.status) if self.colours else line
        return line.encode(errors="backslashreplace") + b"\n"


_call_log = _CallLog()


def log_calls(calls: Iterable[Ended]) -> None:
    """The one line each of finished calls."""
    _call_log.write(calls)


def lines_dropped() -> int:
    """How many lines were lost since the start, because nobody took them off in time."""
    return 0 if _call_log.queue is None else _call_log.queue.dropped


def _line(fields: Any, ended: float) -> bytes:
    """The line; quickly, if nothing in it has to be escaped, cut or taken out."""
    try:
        line = _json.encode(fields)
    except UnicodeEncodeError:
        line = b""
    asked = fields.upstream_request_id
    is_short = 0 < len(line) <= _LONGEST
    if not is_short or not _is_usual(*_TEXTS(fields)) or (asked is not None and not _is_harmless(asked)):
        level = _level(fields)
        event = {**msgspec.to_builtins(fields), "event": "call", "level": level, "time": _instant(ended)}
        return _render(None, level, redact(None, level, event)).encode() + b"\n"
    begun = _FAILED_CALL if fields.status >= _FAILED else _CALL
    return b'%b%b%b"}\n' % (line[:-1], begun, _instant(ended).encode())


def _is_plain(*texts: Any) -> bool:
    """Whether nothing in them has to be escaped or taken out."""
    line = _json.encode(texts)
    is_fit = line.isascii() and b"\x7f" not in line and b"\\" not in line
    return is_fit and b"sk-" not in line and b"earer" not in line.lower()


def _is_harmless(text: str) -> bool:
    """The same of one text that is another one for each call."""
    is_fit = text.isascii() and text.isprintable() and "\\" not in text and '"' not in text
    return is_fit and "sk-" not in text and "earer" not in text.lower()


_is_usual = lru_cache(maxsize=256)(_is_plain)  # nearly every call has the texts of one before


def _level(fields: Any) -> str:
    return "warning" if fields.status >= _FAILED else "info"


def _instant(seconds: float) -> str:
    micro = int(seconds * 1_000_000)
    return f"{_second(micro // 1_000_000)}.{micro % 1_000_000:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


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
    limit = _LONGEST * 8 if "\n" in text else _LONGEST
    if not text.isprintable():
        text = _UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    if "sk-" in text or "earer" in text.lower():
        text = _CREDENTIAL.sub(r"\1***", text)
    return text if len(text) <= limit else text[:limit] + "…"


def _render(_logger: Any, _method: str, event: Event) -> str:
    return _json.encode(dict(event)).decode()
