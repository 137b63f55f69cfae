"""Logging: one JSON object a line, or colours on a terminal; to stderr; other libraries' lines included.

Secrets cannot be rendered: `Secret` has no text, and one processor removes what looks like a
credential from every value, whoever logged it.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog

_json = msgspec.json.Encoder(enc_hook=repr)
_CREDENTIAL = re.compile(r"(?i)\b(sk-|bearer\s+)[A-Za-z0-9_\-.]{6,}")
_LONGEST = 2048

Event = MutableMapping[str, Any]


def set_up(level: str, style: Literal["auto", "json", "pretty"], stream: TextIO = sys.stderr) -> None:
    """Configure structlog and the standard library's root logger. Call once, at start."""
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    render: Any = structlog.dev.ConsoleRenderer(colors=pretty and stream.isatty()) if pretty else _render
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
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Take credentials out of every text, and cut texts that are too long."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redacted(value)
    return event


def redacted(text: str) -> str:
    """`text` with anything that looks like a credential replaced, at most 2 KiB of it."""
    limit = _LONGEST * 8 if "\n" in text else _LONGEST
    if "sk-" in text or "earer" in text.lower():
        text = _CREDENTIAL.sub(r"\1***", text)
    return text if len(text) <= limit else text[:limit] + "…"


def _render(_logger: Any, _method: str, event: Event) -> str:
    try:
        return _json.encode(dict(event)).decode()
    except UnicodeEncodeError:
        # a lone surrogate in a name the client chose
        clean = {
            k: v.encode("ascii", "backslashreplace").decode() if isinstance(v, str) else v for k, v in event.items()
        }
        return _json.encode(clean).decode()
