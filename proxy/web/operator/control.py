"""The control socket: orders and questions of the operator's commands, for nobody but the daemon's own user."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from msgspec import Meta, Struct

from proxy.config.problems import ConfigProblems
from proxy.errors import ProxyError
from proxy.exchange.entry import Entry
from proxy.stores.failures import BackupRefused, StoreError
from proxy.stores.lock import SOCKET_NAME
from proxy.web.connection import Connection
from proxy.web.operator.access.actor import ACTOR, Actor, of_socket, uid_of
from proxy.web.operator.admin_api import Declined
from proxy.web.operator.answers import Answer
from proxy.web.operator.orders import Orders
from proxy.web.operator.settings.settings_orders import ReloadRefused
from proxy.web.server import Server

_LONGEST_PATH = 103  # what every system's socket addresses can hold
_BACKLOG = 64
_LAST_SECONDS = 0.1  # what an order still under way gets when the socket closes
_NOTE_SECONDS = 60.0
_BEAT_SECONDS = 5.0
_LAST_NOTE_SECONDS = 2.0  # what writes it may have to be imported first

Told = Callable[[str, str], None]
Closing = Callable[[], Awaitable[None]]


class TailAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the latest calls come first."""

    last: Annotated[int, Meta(ge=0, le=1000)] = 0


class Control:
    """POST /NAME with a JSON object; the answer is one, or {"error": sentence}. POST /tail answers line by line.

    `told` gets (event, reason).
    """

    def __init__(self, orders: Orders, told: Told) -> None:
        self._orders = orders
        self._state = orders.state
        self._told = told

    async def open(self, state_dir: str) -> Closing:
        """Serve on the socket in `state_dir`; return what ends it. Without a socket the daemon runs all the same."""
        for name in self._state.keys.clashes:
            self._told("key_shadowed", f"the configuration and the store both have a key {name!r}; the former counts")
        for name in self._state.keys.unreadable:
            self._told("key_unreadable", f"the terms of the stored key {name!r} cannot be read, so that it is refused")
        server, listening = Server(self.answer), None
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        file = Path(state_dir) / SOCKET_NAME
        try:
            file.unlink(missing_ok=True)  # the state directory's lock is ours, so that nobody listens there
            path = reachable(state_dir, folder)
            listening = await asyncio.get_running_loop().create_unix_server(server, path, backlog=_BACKLOG)
            file.chmod(0o600)
        except OSError as error:
            self._told("no_control_socket", f"{file}: {error.strerror or error}; commands cannot reach this daemon")
        notes = asyncio.create_task(self._note_for_ever(), name="note the use of keys")

        async def close() -> None:
            notes.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_NOTE_SECONDS):
                    await self._note()
            if listening is not None:
                listening.close()
            await asyncio.sleep(0)  # connections that are accepted are set up
            server.pre_shutdown()
            await server.shutdown(_LAST_SECONDS)
            with contextlib.suppress(OSError):  # the disk may be read-only by now
                file.unlink(missing_ok=True)
            os.close(folder)

        return close

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """One order, by its path."""
        with under_way(request):
            return await self._answer(request)

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        name = request.path.removeprefix("/")
        transport = request.transport
        peer = None if transport is None else transport.get_extra_info("socket")
        if uid_of(peer) not in (None, 0, os.geteuid()):
            return _reply(403, {"error": "the control socket is for the daemon's own user and for root"})
        ACTOR.set(Actor(of_socket(peer), "control socket", request.query.get("reason", "")))
        known = {*self._orders.by_name, *self._orders.streams, "tail"}
        if name not in known or request.method != "POST":
            return _reply(404, {"error": "this daemon knows no such order; is it of another version?"})
        try:
            if name in self._orders.streams:
                return await self._told_on(request, name)
            if name == "tail":
                return await self._tail(request)
            params = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
            return _reply(200, await self._orders.give(name, params))
        except (Declined, ValueError, msgspec.DecodeError, msgspec.ValidationError) as error:
            return _reply(400, {"error": str(error)})
        except (BackupRefused, ConfigProblems, ReloadRefused) as error:
            return _reply(409, {"error": str(error)})
        except (StoreError, ProxyError) as error:
            return _reply(503, {"error": str(error)})
        except TimeoutError:
            return _reply(503, {"error": "the ledger cannot be written now; try again when it can"})
        except OSError as error:
            return _reply(503, {"error": f"the ledger cannot be used now: {error}"})

    async def _told_on(self, request: BaseRequest, order: str) -> StreamResponse:
        """What an order tells while it is done, one JSON object a line."""
        params = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
        response = StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            async for line in self._orders.tell(order, params):
                await response.write(msgspec.json.encode(line) + b"\n")
        return response

    async def _tail(self, request: BaseRequest) -> StreamResponse:
        """Finished calls, one JSON object a line, until the client goes; first the latest `last` that ended before."""
        params = msgspec.json.decode(await request.read() or b"{}", type=TailAsk)
        feed, response = self._orders.traffic.feed, StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await feed.caught_up()
        with feed.watched() as entries, contextlib.suppress(ConnectionError):
            before = list(feed.recent)[-params.last :] if params.last else []
            await response.prepare(request)
            for entry in before:
                await response.write(msgspec.json.encode(entry) + b"\n")
            while True:
                await response.write(await _next_line(entries))
        return response

    async def _note_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            await self._note()

    async def _note(self) -> None:
        """When keys were last used is nice to know, and not worth any trouble. The audit's head moves on."""
        try:
            await self._state.note_use()
        except (TimeoutError, StoreError) as error:
            self._told("key_use_not_noted", str(error))
        await self._orders.trail.catch_up()


@contextlib.contextmanager
def under_way(request: BaseRequest) -> Iterator[None]:
    """While the block lasts its connection is in use, however long that is; it goes on when its client leaves."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        yield
        return
    connection.begin(None)
    try:
        yield
    finally:
        connection.finish()


async def _next_line(entries: asyncio.Queue[Entry]) -> bytes:
    """The next call that ends; after a while of silence a line of nothing, which finds out whether anybody reads."""
    try:
        async with asyncio.timeout(_BEAT_SECONDS):
            return msgspec.json.encode(await entries.get()) + b"\n"
    except TimeoutError:
        return b"\n"


def reachable(state_dir: str, folder: int) -> str:
    """The socket's path; one too long for an address goes by the folder's descriptor, where the system has that."""
    path = str(Path(state_dir) / SOCKET_NAME)
    return path if len(path.encode()) <= _LONGEST_PATH else f"/proc/self/fd/{folder}/{SOCKET_NAME}"


def _reply(status: int, answer: Answer) -> Response:
    return Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")
