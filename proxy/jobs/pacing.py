"""What a reply is to its line: its result, or a refusal of the moment, and how long to let its job rest then. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from proxy.exchange.stand_ins import Reply
from proxy.jobs.shapes import Answered

_LONGEST_SECONDS = 3600.0
_OF_THE_MOMENT = ("overloaded", "no_healthy_upstream", "upstream_unreachable")


def again_after(reply: Reply, rest_seconds: float) -> float | None:
    """In how many seconds a refused line is tried again; None where its reply is its result.

    Refused for the moment is: too much at once, here or there, and a provider that cannot be reached. Nothing was
    billed for it.
    """
    code = _code_of(reply)
    if reply.status != 429 and code not in _OF_THE_MOMENT:
        return None
    if code == "insufficient_quota":
        return None
    try:
        asked = float(reply.headers.get("retry-after", "0"))
    except ValueError:
        asked = 0.0
    return max(rest_seconds, min(asked, _LONGEST_SECONDS))


class _ErrorObject(Struct):
    code: str | int | None = None


class _ErrorReply(Struct):
    error: _ErrorObject


def _code_of(reply: Reply) -> str:
    if reply.status < 400:
        return ""
    try:
        return str(msgspec.json.decode(reply.body, type=_ErrorReply).error.code)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def answered_by(reply: Reply) -> Answered:
    """A line's result: the reply, or that it was cut off."""
    if not reply.status:
        cut = "The reply was cut off; what it has cost is booked, and it is not sent again unasked."
        return Answered(code="interrupted", message=cut)
    headers = reply.headers
    request_id, kind = headers.get("x-tollkeeper-request-id", ""), headers.get("content-type", "")
    return Answered(reply.status, request_id, reply.body, content_type=kind)
