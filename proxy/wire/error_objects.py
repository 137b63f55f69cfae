"""What an error inside a reply says of itself, whatever its shape."""

from __future__ import annotations

import re
from typing import Any, Literal

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
    "content_filter": 400,
    "content_policy_violation": 400,
    "tool_use_failed": 400,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_is_overloaded": 529,
    "provider_overloaded": 529,
    "timeout_error": 504,
    "timeout": 504,
}
_NUMBERS = ("code", "status", "status_code")  # Azure's filter says the second beside a code in words, Groq the third

# A model that is not there, in the words of OpenAI, Anthropic, OpenRouter, Azure and servers of one's own; and what 400 means it
# (OpenRouter since August 2026, DeepSeek, Mistral), where other words of models are about what was sent to one.
# compiled when first wanted, as starts are short of time
_MODEL = r"(?i)model|\bendpoints? (?:found|available)|\bdeployments?\b"
_NO_MODEL = r"(?i)\b(?:not a|no) valid model\b|\binvalid model\b|\bmodel not exist"
# Something stored: by its id, whatever it is, or as OpenAI says it
_STORED = (
    r"(?i)\bwith id\b|\bno such \w|\b(?:file|resp|rs|msg|msgbatch|conv|batch|asst|thread|run|step|vs|cntr|container|cfile|pmpt|"
    r"upload|skill|video|item|ft|ftjob|eval|evalrun|gen|sess|agent|env)[-_]\w{3,}"
)

# of an endpoint that it does not have, in a 200: LM Studio
_NO_ENDPOINT = "Unexpected endpoint or method"

Missing = Literal["model", "object", "unknown"]

_KIND_OF_STATUS = {
    200: "provider_server_error",
    **dict.fromkeys((400, 404, 413, 415, 422), "caller_invalid_request"),
    401: "provider_auth_failed",
    402: "provider_billing",
    403: "policy_access_denied",
    **dict.fromkeys((408, 504, 524), "provider_timeout"),
    429: "provider_rate_limited",
    503: "provider_overloaded",
    529: "provider_overloaded",
}


def kind_of(status: int, missing: Missing) -> str:
    """Whose fault a provider's failure was, by its status and what it says is not there, in the vocabulary of the metrics."""
    if missing == "model":
        return "caller_model_not_available"
    return _KIND_OF_STATUS.get(status, "provider_server_error" if status >= 500 else "_OTHER")


def missing_from(status: int, body: Any) -> Missing:
    """What an error says is not there: the model, something stored at the provider, or nobody can tell, as where there is
    no such endpoint. `body` is the reply, or its error."""
    error = body["error"] if isinstance(body, dict) and isinstance(body.get("error"), dict) else body
    told = error if isinstance(error, dict) else {}
    message, availability = message_of(body) or "", told.get("availability")
    code = availability.get("code") if isinstance(availability, dict) else told.get("code")
    if status != 404:
        is_model = status == 400 and (code == "model_not_found" or re.search(_NO_MODEL, message))
        return "model" if is_model else "unknown"
    if code == "model_not_found" or isinstance(availability, dict) or re.search(_MODEL, message):
        return "model"
    return "object" if told.get("param") or re.search(_STORED, message) else "unknown"


def status_of(error: Any) -> int:
    """The HTTP status it stands for: its own number, else by its type, else 502."""
    for name in _NUMBERS if isinstance(error, dict) else ():
        code = error.get(name)
        if isinstance(code, str) and len(code) == 3 and code.isdecimal():
            code = int(code)
        if isinstance(code, int) and 400 <= code <= 599:
            return code
    if is_of_no_endpoint(error):
        return 404
    return next((_STATUS_OF_TYPE[name] for name in _names(error) if name in _STATUS_OF_TYPE), 502)


def is_of_no_endpoint(error: Any) -> bool:
    """Whether the error inside a 200 says that there is no such endpoint."""
    return isinstance(error, str) and error.startswith(_NO_ENDPOINT)


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
