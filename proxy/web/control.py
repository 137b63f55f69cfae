"""The control socket: orders and questions of the operator's commands, for nobody but the daemon's own user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy.exc import DBAPIError

from proxy.config.new_key import read_new_key
from proxy.errors import ProxyError
from proxy.stores.failures import BackupRefused, StoreError
from proxy.web.connection import Server
from proxy.web.control_state import AdjustAsk, LiveState
from proxy.web.desk import Answer, Declined, UsageAsk
from proxy.web.explain import ExplainAsk, explain

SOCKET_NAME = "control.sock"
_LONGEST_PATH = 103  # what every system's socket addresses can hold
_NOTE_SECONDS = 60.0
_LAST_NOTE_SECONDS = 0.5

Told = Callable[[str, str], None]
Closing = Callable[[], Awaitable[None]]


class Control:
    """POST /NAME with a JSON object; the answer is one, or {"error": sentence}. `told` gets (event, reason)."""

    def __init__(self, state: LiveState, told: Told) -> None:
        self._state = state
        self._told = told
        self._orders: dict[str, Callable[[Answer], Awaitable[Answer]]] = {
            "usage": self._usage,
            "show": self._show,
            "explain": self._explain,
            "budgets": self._budgets,
            "adjust": self._adjust,
            "keys": self._keys,
            "create": self._create,
            "revoke": self._revoke,
            "backup": self._backup,
        }

    async def open(self, state_dir: str) -> Closing:
        """Serve on the socket in `state_dir`; return what ends it. Without a socket the daemon runs all the same."""
        for name in self._state.keys.clashes:
            self._told("key_shadowed", f"the configuration and the store both have a key {name!r}; the former counts")
        runner = web.ServerRunner(Server(self.answer), shutdown_timeout=0.1)
        await runner.setup()
        folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        file = Path(state_dir) / SOCKET_NAME
        try:
            file.unlink(missing_ok=True)  # the state directory's lock is ours, so that nobody listens there
            await web.UnixSite(runner, reachable(state_dir, folder), backlog=64).start()
            file.chmod(0o600)
        except OSError as error:
            self._told("no_control_socket", f"{file}: {error.strerror or error}; commands cannot reach this daemon")
        notes = asyncio.create_task(self._note_for_ever(), name="note the use of keys")

        async def close() -> None:
            notes.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_NOTE_SECONDS):
                    await self._note()
            await runner.cleanup()
            file.unlink(missing_ok=True)
            os.close(folder)

        return close

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One order, by its path."""
        order = self._orders.get(request.path.removeprefix("/"))
        if order is None or request.method != "POST":
            return _reply(404, {"error": "this daemon knows no such order; is it of another version?"})
        try:
            params = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
            return _reply(200, await order(params))
        except (Declined, ValueError, msgspec.DecodeError, msgspec.ValidationError) as error:
            return _reply(400, {"error": str(error)})
        except BackupRefused as error:
            return _reply(409, {"error": str(error)})
        except (StoreError, ProxyError) as error:
            return _reply(503, {"error": str(error)})
        except TimeoutError:
            return _reply(503, {"error": "the ledger cannot be written now; try again when it can"})
        except (DBAPIError, OSError) as error:
            return _reply(503, {"error": f"the ledger cannot be used now: {getattr(error, 'orig', error)}"})

    async def _usage(self, params: Answer) -> Answer:
        ask = msgspec.convert(params, UsageAsk)
        await self._state.flushed()
        return await asyncio.to_thread(self._state.desk().usage, ask)

    async def _show(self, params: Answer) -> Answer:
        await self._state.flushed()
        return await asyncio.to_thread(self._state.desk().show, str(params.get("request_id")))

    async def _explain(self, params: Answer) -> Answer:
        return explain(self._state.desk(), msgspec.convert(params, ExplainAsk), time.time())

    async def _budgets(self, _: Answer) -> Answer:
        return self._state.desk().budgets(time.time())

    async def _adjust(self, params: Answer) -> Answer:
        return await self._state.adjust(msgspec.convert(params, AdjustAsk))

    async def _keys(self, _: Answer) -> Answer:
        await self._state.flushed()
        desk, now = self._state.desk(), time.time()
        return await asyncio.to_thread(desk.key_list, desk.books.state(now), now)

    async def _create(self, params: Answer) -> Answer:
        return await self._state.create(read_new_key(params))

    async def _revoke(self, params: Answer) -> Answer:
        return await self._state.revoke(str(params.get("name")))

    async def _backup(self, params: Answer) -> Answer:
        return await self._state.backup(Path(str(params.get("file"))))

    async def _note_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            await self._note()

    async def _note(self) -> None:
        """When keys were last used is nice to know, and not worth any trouble."""
        try:
            await self._state.note_use()
        except (DBAPIError, TimeoutError, StoreError) as error:
            self._told("key_use_not_noted", str(getattr(error, "orig", error)))


def reachable(state_dir: str, folder: int) -> str:
    """The socket's path; one too long for an address goes by the folder's descriptor, where the system has that."""
    path = str(Path(state_dir) / SOCKET_NAME)
    return path if len(path.encode()) <= _LONGEST_PATH else f"/proc/self/fd/{folder}/{SOCKET_NAME}"


def _reply(status: int, answer: Answer) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")
