"""What whoever runs the mock asks of it: its bill, and that a model behaves otherwise from now on. No key is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from proxy.errors import CallerError, InvalidValue
from proxy.mock.asked import read_json
from proxy.mock.calls import failed, failure_of
from proxy.mock.state import State

Handler = Callable[[State, web.Request], Awaitable[web.Response]]


async def _bill(state: State, request: web.Request) -> web.Response:
    return web.Response(body=msgspec.json.encode(state.bill.as_json()), content_type="application/json")


async def _forget(state: State, request: web.Request) -> web.Response:
    state.forget()
    return web.Response(status=204)


async def _order(state: State, request: web.Request) -> web.Response:
    """Have a model behave as another name asks."""
    try:
        wanted = read_json(await request.read()).get("as")
        if not isinstance(wanted, str):
            raise InvalidValue('Say what the model is to do: {"as": "mock/error?status=503"}.', param="as")
        state.order(request.match_info["name"], wanted)
    except CallerError as error:
        return failed(state, "openrouter", "models", failure_of(error))
    return web.Response(status=204)


async def _release(state: State, request: web.Request) -> web.Response:
    """Have it behave as its own name asks again."""
    state.order(request.match_info["name"], None)
    return web.Response(status=204)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/mock/bill", _bill),
    ("DELETE", "/mock/bill", _forget),
    ("PUT", "/mock/models/{name:.+}", _order),
    ("DELETE", "/mock/models/{name:.+}", _release),
)
