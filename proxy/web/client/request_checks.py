"""A head that the HTTP library has read: whether it is meant for us, who asks, and what for."""

from __future__ import annotations

from functools import partial
from typing import cast

from aiohttp.http import HttpVersion10
from aiohttp.web_request import BaseRequest

from proxy.errors import ShuttingDown
from proxy.exchange.client import Client
from proxy.exchange.record import Record
from proxy.policy.names.access import check_endpoint
from proxy.web.client.heads import head_of
from proxy.web.client.keys import peer_uid
from proxy.web.client.parts import Parts
from proxy.web.client.senders import Sender
from proxy.web.connection import Connection
from proxy.web.errors import SERVER_NAME
from proxy.web.faults import BadRequest, UnsupportedEncoding
from proxy.web.guard import ALLOWED_METHODS, cors_headers, refuse_what_cannot_pass
from proxy.wire.endpoints import OWN, endpoint_for, speaks_anthropic, split_path

_HEALTH = {"/": b"", "/healthz": b"ok\n", "/readyz": b"ok\n"}


def let_in(parts: Parts, request: BaseRequest, client: Client, record: Record) -> Sender | None:
    """Judge a head, for the first time or once more; None where that was all there was to do. Raises `ProxyError`."""
    connection = cast(Connection, request.protocol)
    record.speaks_anthropic = speaks_anthropic(request.raw_path, has_version="anthropic-version" in request.headers)
    connection.check_version()
    if "Transfer-Encoding" in request.headers:
        _check_codings(request, client)
    path, query, prefixed = split_path(request.raw_path)
    health = not prefixed and path in _HEALTH and request.method in ("GET", "HEAD")
    if health and (parts.closing is None or path != "/readyz"):
        record.endpoint = "health"
        client.whole(200, [("Content-Type", "text/plain; charset=utf-8"), SERVER_NAME], _HEALTH[path])
        return None
    if parts.closing is not None and (health or not parts.closing.serves):
        parts.closing.refused += 1
        raise ShuttingDown("Tollkeeper is shutting down; try again in a moment.", retry_after=1)
    endpoint = endpoint_for(request.method, path)
    record.shape, record.endpoint = endpoint.shape, endpoint.name
    parts.guard.check(request)
    record.cors = cors_headers(request)
    if request.method == "OPTIONS":
        client.whole(204, [("Allow", ", ".join(ALLOWED_METHODS)), *client.own_headers()], b"")
        return None
    refuse_what_cannot_pass(request, path)
    caller = parts.keys.caller(request.headers, partial(peer_uid, connection.transport))
    record.key, record.timing, record.tenant = caller.name, caller.timing, caller.tenant
    if endpoint.name not in OWN:
        check_endpoint(caller, endpoint)
    head = head_of(request, (path, query), endpoint, record)
    if connection.outline is not None and not connection.is_last and "Content-Encoding" not in request.headers:
        parts.heads.learn(*connection.outline, head)
    return Sender(head, caller)


def _check_codings(request: BaseRequest, client: Client) -> None:
    """Raise where the body may end elsewhere to another reader (RFC 9112 6.1), or is not what it will be read as; the connection
    ends then."""
    told = [coding.strip().lower() for coding in ",".join(request.headers.getall("Transfer-Encoding")).split(",")]
    if told == ["chunked"] and request.version != HttpVersion10:
        return
    client.keeps = False
    if told[-1] != "chunked" or "" in told or request.version == HttpVersion10:
        raise BadRequest("Transfer-Encoding is chunked, in HTTP/1.1, or is not there at all.")
    raise UnsupportedEncoding(
        "Request bodies must not be compressed on their way; send this one chunked, or with a length."
    )
