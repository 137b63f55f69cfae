"""Errors in the clients' envelopes; the one place where they are rendered."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from proxy.errors import ProxyError
from proxy.wire.endpoints import Shape
from proxy.wire.headers import Headers
from proxy.wire.reader import anthropic_type, openai_error

SERVER_NAME = ("Server", "tollkeeper")


def error_reply(error: ProxyError, shape: Shape, own: Headers) -> tuple[Headers, bytes]:
    """OpenAI's envelope, or Anthropic's on messages; with the hints SDKs obey (wire.md 2.7). Headers and body."""
    headers: Headers = [("Content-Type", "application/json"), *own]
    if not any(name == "Server" for name, _ in own):
        headers.append(SERVER_NAME)
    if error.should_retry is not None:
        headers.append(("x-should-retry", "true" if error.should_retry else "false"))
    if error.retry_after is not None:
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        headers.append(("retry-after-ms", str(max(1, math.ceil(error.retry_after * 1000)))))
    return headers, _body(error, shape, own)


def error_response(error: ProxyError) -> web.Response:
    """The same for what is no call: the admin port, and heads that cannot be read."""
    headers, body = error_reply(error, "other", [])
    return web.Response(status=error.status, headers=CIMultiDict(headers), body=body)


def error_bytes(error: ProxyError) -> bytes:
    """The same as bytes, for a connection that is closed before it has asked for anything."""
    body = _body(error, "other", [])
    retry = f"retry-after: {max(1, math.ceil(error.retry_after or 0))}"
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n{retry}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _body(error: ProxyError, shape: Shape, own: Headers) -> bytes:
    if shape == "messages":
        detail = {"type": anthropic_type(error.status), "message": error.message, "code": error.code}
        envelope: dict[str, object] = {"type": "error", "error": detail, "request_id": dict(own).get("x-request-id")}
    else:
        envelope = {"error": openai_error(error)}
    return msgspec.json.encode(envelope)
