"""The data port: one handler for every endpoint. From the accepted head to `Exchange.serve`, and the errors back."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from aiohttp import web
from msgspec import Struct

from proxy.dialects import Incoming
from proxy.errors import (
    InternalError,
    ModelNotFound,
    NoHealthyUpstream,
    Overloaded,
    ProxyError,
    ShuttingDown,
    UnknownEndpoint,
)
from proxy.exchange.job import NO_WEIGHT, Job
from proxy.exchange.leaving import Drainer
from proxy.exchange.record import Entry, Record
from proxy.exchange.relay import Client
from proxy.exchange.serve import Exchange
from proxy.policy.money.weight import weigh
from proxy.policy.names.access import check_endpoint, choose, may_serve
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller, Plan, Target
from proxy.web.body import read_body
from proxy.web.client.gate import Gate, Room
from proxy.web.client.keys import Keyring
from proxy.web.client.models import ModelList
from proxy.web.connection import Connection
from proxy.web.errors import SERVER_NAME, error_response
from proxy.web.faults import MethodNotSupported, UpgradeRefused
from proxy.web.guard import ALLOWED_METHODS, Guard, cors_headers
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import Endpoint, endpoint_for, split_path

_HEALTH = {"/": b"", "/healthz": b"ok\n", "/readyz": b"ok\n"}


class Closing(Struct):
    """The daemon is ending, and what became of its calls since then.

    `serves`: calls on connections that are open already are still taken, as the next instance takes the new ones.
    """

    serves: bool
    finished: int = 0
    cut: int = 0
    refused: int = 0


class Parts(Struct):
    """What the handler works with. The daemon swaps `names` and `models` when the catalogue changes."""

    exchange: Exchange
    drainer: Drainer
    guard: Guard
    keys: Keyring
    names: Names
    models: ModelList
    default_provider: str
    max_body: int
    gate: Gate
    closing: Closing | None = None


class Api:
    """Answers every request of the data port. `finished` gets the entry of each call, `crashed` our own bugs."""

    def __init__(self, parts: Parts, finished: Callable[[Entry], None], crashed: Callable[[str], None]) -> None:
        self.parts = parts
        self.running: dict[asyncio.Task[object], Record] = {}
        self._finished = finished
        self._crashed = crashed

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, from its head to its last byte."""
        record = Record(time.monotonic())
        connection = cast(Connection, request.protocol)
        task = cast("asyncio.Task[object]", asyncio.current_task())
        connection.begin(partial(self.parts.drainer.left, task, record))
        self.running[task] = record
        client = Client(request, record)
        try:
            asked = await self._asked(request, client, record)
            return await self.parts.exchange.serve(client, asked) if isinstance(asked, Job) else asked
        except ProxyError as error:
            return await _refuse(error, client, record)
        except asyncio.CancelledError:
            written_whole = request.writer.output_size > 0 and not client.started
            if record.cut_by is None or record.client_left is not None or written_whole:
                raise
            if self.parts.closing is not None:
                self.parts.closing.cut += 1
            task.uncancel()
            return await _refuse(record.cut_by, client, record)
        except Exception:
            self._crashed(record.request_id)
            return await _refuse(InternalError("A bug in Tollkeeper; its log has the details."), client, record)
        finally:
            client.rest()
            connection.finish()
            self.running.pop(task, None)
            if record.entered:
                self.parts.gate.leave(record.key or "")
            if record.endpoint != "health":
                self._close(record)

    def cut(self, request_id: str, error: ProxyError) -> bool:
        """End a call under way with an error its client is told; False where there is no such call."""
        for task, record in self.running.items():
            if record.request_id == request_id:
                record.cut_by = error
                return task.cancel()
        return False

    def cut_all(self, error: ProxyError) -> None:
        """End every call under way."""
        for task, record in self.running.items():
            record.cut_by = error
            task.cancel()

    def _close(self, record: Record) -> None:
        """Tell of the call once it is settled, which a look-up may delay."""
        if self.parts.closing is not None and not isinstance(record.error, ShuttingDown):
            self.parts.closing.finished += 1
        if record.error is not None and record.key is not None and not record.calls:
            self.parts.exchange.toll.refused.note(record)
        ended = time.monotonic()
        if record.unsettled:
            record.when_settled = lambda: self._finished(record.entry(ended))
        else:
            self._finished(record.entry(ended))

    async def _asked(self, request: web.BaseRequest, client: Client, record: Record) -> web.StreamResponse | Job:
        """What the request asks of a provider; or the answer, where we have it ourselves."""
        parts = self.parts
        cast(Connection, request.protocol).check_version()
        path, query, prefixed = split_path(request.raw_path)
        health = not prefixed and path in _HEALTH and request.method in ("GET", "HEAD")
        if health and (parts.closing is None or path != "/readyz"):
            record.endpoint = "health"
            return web.Response(headers=dict([SERVER_NAME]), body=_HEALTH[path], content_type="text/plain")
        if parts.closing is not None and (health or not parts.closing.serves):
            parts.closing.refused += 1
            raise ShuttingDown("Tollkeeper is shutting down; try again in a moment.", retry_after=1)
        endpoint = endpoint_for(request.method, path)
        record.shape, record.endpoint = endpoint.shape, endpoint.name
        parts.guard.check(request)
        record.cors = cors_headers(request)
        if request.method == "OPTIONS":
            return await client.whole(204, [("Allow", ", ".join(ALLOWED_METHODS)), *record.own_headers()], b"")
        _refuse_what_cannot_pass(request, endpoint, prefixed)
        caller = parts.keys.caller(request.headers)
        record.key = caller.name
        check_endpoint(caller, endpoint)
        await parts.gate.enter(caller.name, request)
        record.entered = True
        if request.method in ("GET", "HEAD") and (listed := self._models(path, caller, request)) is not None:
            return await client.whole(200, [("Content-Type", "application/json"), *record.own_headers()], listed)
        return await self._job(request, record, caller, await self._call(request, record, endpoint, (path, query)))

    async def _call(self, request: web.BaseRequest, record: Record, endpoint: Endpoint, where: tuple[str, str]) -> Call:
        """The request read to its end, which is not our time."""
        began = time.monotonic()
        with Room(self.parts.gate.bodies, record.key or "") as room:
            body = await read_body(request, self.parts.max_body, room)
        record.upstream_seconds += time.monotonic() - began
        content = (request.headers.get("Content-Type", ""), body)
        return await self.parts.exchange.aside(len(body), read_call, endpoint, request.method, where, content)

    async def _job(self, request: web.BaseRequest, record: Record, caller: Caller, call: Call) -> Job:
        """The call weighed and planned. Nobody but the job may keep it: a long stream lets go of it."""
        record.model, record.stream = call.model, call.stream
        plan = self._plan(caller, call)
        record.label = plan.label
        counts, aside = call.endpoint.counts, self.parts.exchange.aside
        weight = await aside(len(call.body), weigh, call, plan.defaults) if counts else NO_WEIGHT
        return Job(call, weight, caller, plan, Incoming(request.headers.items()), record, _until(request, record))

    def _plan(self, caller: Caller, call: Call) -> Plan:
        """Where this call may go. Calls that carry no model go as they are to the default provider; those
        about a response in the background to the one that has it."""
        if not call.endpoint.carries_model:
            provider = self.parts.exchange.toll.keeping.background.home_of(call) or self.parts.default_provider
            if not provider:
                raise NoHealthyUpstream("No provider is configured.")
            return Plan((Target(provider, ""),), call.endpoint.name, rewrite=False)
        plan = choose(caller, self.parts.names, call.model)
        for name in call.also_models:
            if not may_serve(caller, self.parts.names, name):
                raise ModelNotFound("A model named in `models` or `fallbacks` is not available here.", param="models")
        return plan

    def _models(self, path: str, caller: Caller, request: web.BaseRequest) -> bytes | None:
        """Our own answer to the model list, or None for paths that are the provider's to answer."""
        anthropic = "anthropic-version" in request.headers
        if path == "/models":
            return self.parts.models.all(caller, anthropic=anthropic)
        name = path.removeprefix("/models/")
        if name == path or name.endswith("/endpoints") or name in ("count", "user"):
            return None
        return self.parts.models.one(caller, name, anthropic=anthropic)


def _refuse_what_cannot_pass(request: web.BaseRequest, endpoint: Endpoint, prefixed: bool) -> None:
    if request.method not in ALLOWED_METHODS:
        raise MethodNotSupported("This method is not part of the API.")
    if "websocket" in request.headers.get("Upgrade", "").lower():
        raise UpgradeRefused("WebSockets are not spoken here; use the same endpoint over plain HTTP.")
    if not prefixed and not endpoint.listed:
        raise UnknownEndpoint("There is nothing at this path; the API lives under /v1.")


def _until(request: web.BaseRequest, record: Record) -> float:
    """When the client's own patience ends (monotonic): its read timeout bounds retries and the first byte."""
    try:
        seconds = float(request.headers.get("x-stainless-read-timeout", "inf"))
    except ValueError:
        return math.inf
    return record.started + seconds if seconds > 0 else math.inf


async def _refuse(error: ProxyError, client: Client, record: Record) -> web.StreamResponse:
    """Say no: as a reply of its own, or inside one that has begun."""
    record.error = error
    if client.started:
        return await client.cut(error, record.shape)
    record.status = error.status
    record.phase = "done" if record.phase == "reading" else record.phase
    response = error_response(error, record.shape, record.refusal_headers())
    is_unread = isinstance(error, Overloaded) and not client.request.content.is_eof()
    if error.status in (408, 413, 415, 417) or isinstance(error, ShuttingDown) or is_unread:
        response.force_close()
    return response
