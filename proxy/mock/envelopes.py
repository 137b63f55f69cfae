"""Errors as each provider writes them, before a stream and inside one."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from proxy.mock.asked import Profile
from proxy.mock.frames import Frame, named, plain

Skin = Literal["chat", "responses", "messages"]

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI_TYPES = {
    429: ("requests", "rate_limit_exceeded"),
    401: ("invalid_request_error", "invalid_api_key"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}
_OPENROUTER_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    412: "precondition_failed",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}
MESSAGES = {
    400: "The mock was asked to refuse this request.",
    401: "No auth credentials found",
    402: "Insufficient credits. Add more credits and retry.",
    403: "The mock was asked to forbid this request.",
    404: "No endpoints found for this model.",
    408: "The request timed out.",
    413: "The request is too large.",
    429: "Rate limit exceeded. Please retry after a while.",
    500: "Internal Server Error",
    502: "Provider returned error",
    503: "No provider available right now.",
    504: "The provider timed out.",
    524: "Request timed out. Please try again later.",
    529: "Provider returned error",
}
HTML = b"<html>\r\n<head><title>%d</title></head>\r\n<body><center><h1>%d</h1></center></body>\r\n</html>\r\n"


class Failure(Struct, frozen=True):
    """An error to report: `code` None means the provider's usual one for the status."""

    status: int
    message: str = ""
    code: str | None = None
    param: str | None = None

    @property
    def text(self) -> str:
        """The message, or the usual sentence for the status."""
        return self.message or MESSAGES.get(self.status, "The mock was asked to fail.")


def skin_of(endpoint: str) -> Skin:
    """Which of the three error spellings an endpoint uses."""
    if endpoint.startswith("messages"):
        return "messages"
    return "responses" if endpoint.startswith("responses") else "chat"


def envelope(profile: Profile, endpoint: str, failure: Failure, request_id: str) -> dict[str, Any]:
    """The body of an error reply."""
    skin = skin_of(endpoint)
    if profile == "openai" or (profile == "anthropic" and endpoint == "chat/completions"):
        return _openai(failure)
    if profile == "anthropic":
        kind = _ANTHROPIC_TYPES.get(failure.status, "api_error")
        error = {"type": failure.code or kind, "message": failure.text}
        return {"type": "error", "error": error, "request_id": request_id}
    word = _OPENROUTER_TYPES.get(failure.status, "unmapped")
    if skin == "messages":
        kind = _ANTHROPIC_TYPES.get(failure.status, "api_error")
        error = {"type": kind, "message": failure.text, "error_type": failure.code or word}
        return {"type": "error", "error": error, "request_id": request_id}
    if skin == "responses":
        return {"error": {"code": failure.code or word, "message": failure.text}, "metadata": None}
    return _openrouter(failure, word)


def encoded(profile: Profile, endpoint: str, failure: Failure, request_id: str) -> bytes:
    """The body of an error reply as bytes."""
    return msgspec.json.encode(envelope(profile, endpoint, failure, request_id))


def first_event(profile: Profile, endpoint: str, failure: Failure, request_id: str) -> Frame:
    """An error as the first event of a stream that began with status 200."""
    body = envelope(profile, endpoint, failure, request_id)
    if skin_of(endpoint) == "messages":
        return named({"type": "error", "error": body["error"]})
    if skin_of(endpoint) == "responses":
        return named(response_error(failure, 0))
    return plain({"error": body["error"]})


def response_error(failure: Failure, sequence_number: int) -> dict[str, Any]:
    """The `error` event of the Responses API."""
    code = failure.code or _OPENROUTER_TYPES.get(failure.status, "server_error")
    return {
        "type": "error",
        "code": code,
        "message": failure.text,
        "param": None,
        "sequence_number": sequence_number,
    }


def openrouter_error(failure: Failure) -> dict[str, Any]:
    """The `error` member of OpenRouter's chat skin, as documented."""
    word = _OPENROUTER_TYPES.get(failure.status, "unmapped")
    return {"code": failure.status, "message": failure.text, "metadata": {"error_type": word}}


def _openrouter(failure: Failure, word: str) -> dict[str, Any]:
    code = failure.code
    error: dict[str, Any] = {
        "message": failure.text,
        "code": failure.status if code is None else int(code) if code.isdecimal() and len(code) < 10 else code,
    }
    if failure.status == 429 or failure.status >= 500:
        error["metadata"] = {"error_type": word, "provider_name": "Mock", "raw": failure.text}
    return {"error": error, "user_id": "user_mock"}


def _openai(failure: Failure) -> dict[str, Any]:
    fallback = "server_error" if failure.status >= 500 else "invalid_request_error"
    kind, usual = _OPENAI_TYPES.get(failure.status, (fallback, None))
    code = failure.code or usual
    if code == "insufficient_quota":
        kind = "insufficient_quota"
    return {"error": {"message": failure.text, "type": kind, "param": failure.param, "code": code}}
