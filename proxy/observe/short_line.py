"""The line of a finished call for people at a terminal: what they look for; `tollkeeper show` and the JSON have the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from proxy.policy.money.amounts import dollars

_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_YELLOW, _RED, _PLAIN = "\x1b[33m", "\x1b[31m", "\x1b[0m"


class Tried(Protocol):
    """Where an attempt went, and the model as it was sent."""

    provider: str
    model: str


class Call(Protocol):
    """The fields of an entry that are shown."""

    request_id: str
    key: str | None
    endpoint: str
    model: str | None
    tried: Sequence[Tried]
    status: int
    error_type: str | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: str | None
    cost_credits: str | None
    first_token_seconds: float | None
    total_seconds: float
    client_left: str | None
    shadow_rejections: Sequence[str]


def short_line(call: Call, ended: datetime) -> str:
    """Time, status, key, model → target, tokens, cost, first token, total; what went wrong, or would have; the id for `show`."""
    parts = [
        f"{ended:%H:%M:%S}",
        f"{call.status or '-':>3}",
        call.key or "-",
        _way(call),
        _tokens(call),
        dollars(call.cost_usd) if call.cost_usd is not None else "",
        call.cost_credits or "",
        f"first {_seconds(call.first_token_seconds)}" if call.first_token_seconds is not None else "",
        _seconds(call.total_seconds),
        call.error or call.error_type or ("client left" if call.client_left else ""),
        f"would be refused: {', '.join(call.shadow_rejections)}" if call.shadow_rejections else "",
        call.request_id,
    ]
    return "  ".join(_on_one_line(part) for part in parts if part)


def coloured(line: str, status: int) -> str:
    """Colours for the lines that deserve a look."""
    tone = _RED if status >= _SERVER_ERROR else _YELLOW if status >= _CLIENT_ERROR else ""
    return f"{tone}{line}{_PLAIN}" if tone else line


def _way(call: Call) -> str:
    """What was asked for and where it went last: a name is said once where it was sent on as it came."""
    asked = call.model or call.endpoint
    if not call.tried:
        return asked
    last = call.tried[-1]
    return f"{asked} → {last.provider}" + ("" if last.model == asked else f": {last.model}")


def _tokens(call: Call) -> str:
    if call.input_tokens is None and call.output_tokens is None:
        return ""
    return f"{call.input_tokens or 0:,}+{call.output_tokens or 0:,} tokens"


def _seconds(duration: float) -> str:
    return f"{duration:.2f}s"


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
