"""The admin port: is it alive, is it ready, what does it measure."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Protocol

import msgspec
from aiohttp import web

from proxy.errors import InvalidApiKey, ProxyError, UnknownEndpoint
from proxy.secret import Secret
from proxy.web.connection import Connection
from proxy.web.errors import SERVER_NAME, error_response
from proxy.web.guard import Guard


class Page(Protocol):
    """What makes /metrics."""

    async def get(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type."""


class Admin:
    """Answers the admin port. `problems` names what keeps the daemon from being ready."""

    def __init__(self, guard: Guard, problems: Callable[[], list[str]], metrics: Page, token: Secret | None) -> None:
        self._guard = guard
        self._metrics = metrics
        self._token = token
        self._problems = problems

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; health answers are constant and need no key."""
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.begin(_nothing)
        try:
            self._guard.check(request)
            return await self._answer(request)
        except ProxyError as error:
            return error_response(error, "other", [])
        finally:
            if isinstance(connection, Connection):
                connection.finish()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/healthz":
            return _json(200, {"status": "ok"})
        if path == "/readyz":
            problems = self._problems()
            return _json(503 if problems else 200, {"status": "not ready" if problems else "ok", "problems": problems})
        if path != "/metrics" or request.method not in ("GET", "HEAD"):
            raise UnknownEndpoint("The admin port answers /healthz, /readyz and /metrics; the API is on the data port.")
        self._check_token(request)
        page, content_type = await self._metrics.get(request.headers.get("Accept", ""))
        return web.Response(body=page, headers=dict([SERVER_NAME, ("Content-Type", content_type)]))

    def _check_token(self, request: web.BaseRequest) -> None:
        """Off loopback the configuration demands a token; where there is one, it is asked for."""
        if self._token is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip(), self._token.reveal()):
            raise InvalidApiKey("The admin port wants its token: 'Authorization: Bearer TOKEN' (`admin: token:`).")


def _json(status: int, body: dict[str, object]) -> web.Response:
    headers = dict([SERVER_NAME])
    return web.Response(status=status, headers=headers, body=msgspec.json.encode(body), content_type="application/json")


def _nothing() -> None:
    """Health checks have nothing to clean up when their client leaves."""
