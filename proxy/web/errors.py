"""Errors as replies; the one place where they are rendered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp.web_response import Response
from multidict import CIMultiDict

from proxy.errors import ProxyError
from proxy.wire.endpoints import speaks_anthropic
from proxy.wire.headers import Headers, lines_of
from proxy.wire.reader import error_body

SERVER_NAME = ("Server", "tollkeeper")


def error_reply(error: ProxyError, own: Headers, *, anthropic: bool = False) -> tuple[Headers, bytes]:
    """OpenAI's envelope, or Anthropic's; with the hints SDKs obey (wire.md 2.7). Headers and body."""
    headers: Headers = [("Content-Type", "application/json"), *error.headers, *own]
    if not any(name == "Server" for name, _ in own):
        headers.append(SERVER_NAME)
    if error.should_retry is not None:
        headers.append(("x-should-retry", "true" if error.should_retry else "false"))
    if error.retry_after is not None:
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        headers.append(("retry-after-ms", str(max(1, math.ceil(error.retry_after * 1000)))))
    return headers, error_body(error, dict(own).get("x-request-id"), anthropic=anthropic)


def error_response(error: ProxyError, own: Sequence[tuple[str, str]] = (), *, anthropic: bool = False) -> Response:
    """The same for what is no call: the admin port, and heads that cannot be read."""
    headers, body = error_reply(error, [*own], anthropic=anthropic)
    return Response(status=error.status, headers=CIMultiDict(headers), body=body)


def head_refused(error: ProxyError, beginning: bytes, request_id: str | None) -> Response:
    """The last reply of a connection whose head cannot be read; what it was to reach is told by how it begins. The data port's
    has an id."""
    target = beginning.partition(b"\r\n")[0].split(b" ")[1:2]
    is_told = bool(target) and speaks_anthropic(target[0].decode("latin-1"), has_version=False)
    response = error_response(error, ids(request_id) if request_id else (), anthropic=is_told)
    response.headers["Connection"] = "close"
    response.force_close()
    return response


def error_bytes(error: ProxyError, request_id: str | None) -> bytes:
    """The same as bytes, for a connection that is closed before it has asked for anything."""
    headers, body = error_reply(error, ids(request_id) if request_id else [], anthropic=False)
    lines = lines_of([*headers, ("Content-Length", str(len(body))), ("Connection", "close")])
    return f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n".encode() + lines + b"\r\n" + body


def ids(request_id: str) -> Headers:
    """Ours, by both names, where there is none of a provider."""
    return [("x-request-id", request_id), ("x-tollkeeper-request-id", request_id)]
