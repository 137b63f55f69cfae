"""Errors, from the envelope of one protocol into that of another."""

from __future__ import annotations

import re
from typing import Any

from proxy.translate.values import Fault, Identity, Protocol
from proxy.wire.error_objects import code_of, message_of, status_of
from proxy.wire.reader import anthropic_type

INCOMPLETE = Fault("The provider ended its answer in the middle.", 502, "upstream_reset", "server_error")
UNREADABLE = Fault("The provider sent an event that cannot be read.", 502, "upstream_bad_response", "server_error")

# How servers say that a conversation is too long. Agents shorten theirs when they read their own provider's word for it.
_TOO_LONG = re.compile(
    r"context[_ ](?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens|"
    r"exceeds? (?:the )?(?:model'?s )?(?:available )?context|input is too long|"
    r"exceeds the maximum number of (?:input )?tokens|maximum prompt length|`?max_new_tokens`? must be",
    re.IGNORECASE,
)
_TOO_LONG_CODE = "context_length_exceeded"


def fault_of(body: Any, status: int = 0) -> Fault:
    """The error in a decoded reply or event; `status` is that of the reply, 0 inside a stream. Gemini's is in a list."""
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error") if isinstance(body, dict) and body.get("error") else body
    said = error if isinstance(error, dict) else {}
    found = status or status_of(error)
    message = message_of(error) or message_of(body) or f"The provider answered with status {found}."
    kind, param = said.get("type"), said.get("param")
    code = "" if "code" in said and said["code"] is None else code_of(error)
    code = _TOO_LONG_CODE if found in (400, 413, 422, 502) and _TOO_LONG.search(message) else code
    return Fault(
        message,
        400 if code == _TOO_LONG_CODE and not status else found,
        "" if code in (str(found), str(status_of(error))) else code,
        kind if isinstance(kind, str) and kind != "error" else "",
        param if isinstance(param, str) else None,
    )


def envelope(protocol: Protocol, fault: Fault) -> dict[str, Any]:
    """The error as the body of a reply."""
    if protocol == "messages":
        return {"type": "error", "error": messages_error(fault), "request_id": None}
    return {"error": openai_object(fault)}


def openai_object(fault: Fault) -> dict[str, Any]:
    """What stands under `error` in OpenAI's envelope (wire.md 2.6)."""
    return {"message": fault.message, "type": _openai_type(fault), "param": fault.param, "code": fault.code or None}


def _openai_type(fault: Fault) -> str:
    if fault.type and fault.type not in _ANTHROPICS:
        return fault.type
    return "invalid_request_error" if 400 <= fault.status < 500 else "server_error"


_ANTHROPICS = frozenset({"api_error", "overloaded_error", "request_too_large", "timeout_error", "billing_error"})


def messages_error(fault: Fault) -> dict[str, str]:
    """What stands under `error` in Anthropic's envelope (wire.md 3.4)."""
    message = fault.message
    if fault.code == _TOO_LONG_CODE and "prompt is too long" not in message:
        message = f"prompt is too long: {message}"
    return {"type": anthropic_type(fault.status), "message": message}


def response_error(fault: Fault) -> dict[str, str]:
    """What stands under `error` of a response that failed."""
    return {"code": fault.code or "server_error", "message": fault.message}


def named_id(protocol: Protocol, identity: Identity) -> str:
    """The id of a reply that is made here."""
    return {"chat": "chatcmpl-", "messages": "msg_", "responses": "resp_"}[protocol] + identity.id
