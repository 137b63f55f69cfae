"""Errors of whoever draws, in the words of OpenAI's images API."""

from __future__ import annotations

import re
from typing import Any

from proxy.translate.faults import fault_of, openai_object
from proxy.translate.images.refusals import InvalidPrompt
from proxy.translate.values import Fault
from proxy.wire.error_objects import message_of

# How providers say that they will not draw this: OpenAI, OpenRouter's moderation, and the hosts it passes on.
_CODES = frozenset(
    {"moderation_blocked", "content_policy_violation", "content_filter", "invalid_prompt", "refusal", "content_policy"}
)
_SENTENCE = re.compile(
    r"content[ _](?:management )?(?:policy|moderation|filter)|safety (?:system|filter|policy)|was flagged|moderation",
    re.IGNORECASE,
)
_STATUSES = frozenset({400, 403, 422, 451})


def image_fault(body: Any, status: int) -> Fault:
    """The error; one about what was to be drawn is `invalid_prompt`, with the provider's own code as its `param`."""
    fault = fault_of(body, status)
    own = _own_code(body, fault, status)
    if status in _STATUSES and (own in _CODES or _SENTENCE.search(fault.message)):
        return Fault(fault.message, InvalidPrompt.status, InvalidPrompt.code, InvalidPrompt.error_type, own)
    return fault


def image_error(body: Any, status: int) -> tuple[int, dict[str, Any]]:
    """The status and the body of an error reply."""
    fault = image_fault(body, status)
    return fault.status, {"error": openai_object(fault)}


def _own_code(body: Any, fault: Fault, status: int) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    metadata = error.get("metadata") if isinstance(error, dict) else None
    reasons = metadata.get("reasons") if isinstance(metadata, dict) else None
    if isinstance(reasons, list) and reasons and isinstance(reasons[0], str):
        return message_of(reasons[0]) or str(status)
    return fault.code or str(status)
