"""The admin port: is it alive, is it ready."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from proxy.errors import ProxyError, UnknownEndpoint
from proxy.web.connection import Connection
from proxy.web.errors import SERVER_NAME, error_response
from proxy.web.guard import Guard


class Admin:
    """Answers the admin port. `problems` names what keeps the daemon from being ready."""

    def __init__(self, guard: Guard, problems: Callable[[], list[str]]) -> None:
        self._guard = guard
        self._problems = problems

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; health answers are constant and need no key."""
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.begin(_nothing)
        try:
            self._guard.check(request)
            return self._answer(request.path)
        except ProxyError as error:
            return error_response(error, "other", [])
        finally:
            if isinstance(connection, Connection):
                connection.finish()

    def _answer(self, path: str) -> web.StreamResponse:
        if path == "/healthz":
            return _json(200, {"status": "ok"})
        if path == "/readyz":
            problems = self._problems()
            return _json(503 if problems else 200, {"status": "not ready" if problems else "ok", "problems": problems})
        raise UnknownEndpoint("The admin port answers /healthz and /readyz; the API is on the data port.")


def _json(status: int, body: dict[str, object]) -> web.Response:
    headers = dict([SERVER_NAME])
    return web.Response(status=status, headers=headers, body=msgspec.json.encode(body), content_type="application/json")


def _nothing() -> None:
    """Health checks have nothing to clean up when their client leaves."""
