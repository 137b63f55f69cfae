"""What an error inside a reply says of itself, whatever its shape."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}")
_STATUS_OF_TYPE = {
    "authentication_error": 401,
    "insufficient_quota": 402,
    "billing_error": 402,
    "payment_required": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_is_overloaded": 529,
    "provider_overloaded": 529,
    "timeout_error": 504,
    "timeout": 504,
}


def status_of(error: Any) -> int:
    """The HTTP status it stands for: its own code, else by its type, else 502."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    return next((_STATUS_OF_TYPE[name] for name in _names(error) if name in _STATUS_OF_TYPE), 502)


def code_of(error: Any) -> str:
    """Its own word for itself, where that is one; else the status it stands for."""
    return next((name for name in _names(error) if _CODE.fullmatch(name)), str(status_of(error)))


def message_of(body: Any) -> str | None:
    """The sentence in `{"error": {"message"}}`, `{"error": "…"}`, `{"message"}`, `{"detail"}`, `{"errors": […]}`."""
    if isinstance(body, str):  # the half of a cut emoji is no text for JSON
        return body[:1000].encode("utf-8", "replace").decode()
    if isinstance(body, list):
        return message_of(body[0]) if body else None
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "errors", "msg"):
            if body.get(name):
                return message_of(body[name])
    return None


def _names(error: Any) -> list[str]:
    if not isinstance(error, dict):
        return []
    metadata = error.get("metadata")
    kind = metadata.get("error_type") if isinstance(metadata, dict) else None
    names = (kind, error.get("code"), error.get("type"))
    return [name for name in names if isinstance(name, str) and name != "error"]
