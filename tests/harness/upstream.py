"""A scripted upstream on raw sockets: says exactly the bytes a test wants and remembers the bytes it was sent.

It runs in a thread of the test process. `expect` queues a script; each request takes the first one that
fits. Unless a script asks for it by its path, `GET …/models` is answered with an empty list, `GET …/models/NAME/endpoints` with
404 and `GET …/generation` with a cost, and none is counted, as daemons ask for them by themselves.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from harness.queue import ReceiveQueues
from harness.steps import Script, Wire, close, json_reply
from harness.surroundings import PATIENCE_SECONDS

_EMPTY_LIST = {"object": "list", "data": []}
_NOT_LISTED = {"error": {"message": "Not Found", "code": 404}}


@dataclass
class Call:
    """One request as it arrived. `closed` is set when the daemon closes or resets the connection."""

    connection: int
    head: bytes
    body: bytes
    arrived: float
    closed: threading.Event
    sent_bytes: Callable[[], int]

    @property
    def request_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def target(self) -> str:
        return self.request_line.split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in their order and case, as Latin-1."""
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> str | None:
        """One header; fails where it was sent twice."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Expected:
    script: Script
    path: str
    model: str | None
    again: bool


@dataclass
class Upstream:
    """`url` is its root; `calls` what arrived since `reset`, oldest first; `models` the lists answered by path.

    `most_at_once` calls are answered at a time, until their script ends; others wait for their turn. With `tls` it speaks TLS.
    """

    port: int = 0
    most_at_once: int = 100_000
    models: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._scripts: list[_Expected] = []
        self._changed = threading.Condition()
        self._connections = 0
        self._has_hung_up = False
        self._wires = weakref.WeakSet[Wire]()
        self._queues = ReceiveQueues()
        self._room = asyncio.Semaphore(self.most_at_once)
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()
        self._queues.close()

    def gate(self) -> Gate:
        """A point where scripts wait until the test opens it."""
        return Gate(self._loop)

    def expect(self, *scripts: Script, path: str = "", model: str | None = None, again: bool = False) -> None:
        """Queue scripts for the next requests whose path holds `path` and whose body names `model`.

        `again`: the script answers every such request, not one.
        """
        with self._changed:
            self._scripts += [_Expected(script, path, model, again) for script in scripts]

    def reset(self) -> None:
        """Forget scripts and calls."""
        with self._changed:
            self._scripts = []
            self.calls = []
            self.models = {}
            self._has_hung_up = False

    def hang_up(self) -> None:
        """Close every connection: what comes next comes over a new one."""
        self._has_hung_up = True
        asyncio.run_coroutine_threadsafe(self._close_all(), self._loop).result(PATIENCE_SECONDS)

    async def _close_all(self) -> None:
        wires = [wire for wire in self._wires if hasattr(wire, "transport")]  # else its TLS handshake failed
        for wire in wires:
            wire.transport.abort()
        while not all(wire.closed.is_set() for wire in wires):
            await asyncio.sleep(0)

    def wait_for_calls(self, number: int, seconds: float = PATIENCE_SECONDS) -> list[Call]:
        """Return the calls once there are `number` of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= number, seconds), (
                f"{len(self.calls)} of {number} calls arrived within {seconds} s"
            )
            return list(self.calls)

    @property
    def is_full(self) -> bool:
        """Whether as many calls are being answered as may be."""
        return self._room.locked()

    @property
    def call(self) -> Call:
        """The one call there was."""
        calls = self.calls
        assert len(calls) == 1, f"there were {len(calls)} calls: {[call.request_line for call in calls]}"
        return calls[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> int:
        self._server = await self._loop.create_server(self._connect, "127.0.0.1", 0, backlog=256, ssl=self.tls)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._close_all()
        # Python 3.11's wait_closed waits for nobody; a handshake that failed leaves its socket to the next round
        for _ in range(500):
            if not getattr(self._server, "_active_count", 0):
                break
            await asyncio.sleep(0.01)

    def _connect(self) -> Wire:
        self._connections += 1
        wire = Wire(self._connections, self._answer, self._queues)
        self._wires.add(wire)
        return wire

    async def _answer(self, wire: Wire, head: bytes, body: bytes) -> None:
        call = Call(wire.number, head, body, time.monotonic(), wire.closed, lambda: wire.sent_bytes)
        if self._is_plain_listing(call):
            await self._list(wire, call.target.partition("?")[0])
            return
        if call.request_line.startswith("GET") and "/generation?id=gen-" in call.target:
            await json_reply({"data": {"total_cost": 0.0125, "tokens_prompt": 7, "tokens_completion": 3}})(wire)
            return
        with self._changed:
            script = self._take(call)
            self.calls.append(call)
            self._changed.notify_all()
        async with self._room:
            await script(wire)

    async def _list(self, wire: Wire, path: str) -> None:
        """Since all was hung up, over a connection of its own: the next call is to have a new one."""
        there = path.endswith("/models") or path in self.models
        listed = self.models.get(path, _EMPTY_LIST if there else _NOT_LISTED)
        is_last = self._has_hung_up
        await json_reply(listed, 200 if there else 404, [("Connection", "close")] if is_last else ())(wire)
        if is_last:
            await close(wire)

    def _is_plain_listing(self, call: Call) -> bool:
        asked = any("/models" in expected.path and expected.path in call.target for expected in self._scripts)
        path = call.target.partition("?")[0]
        is_listing = path.endswith("/models") or ("/v1/models/" in path and path.endswith("/endpoints"))
        return call.request_line.startswith("GET") and is_listing and not asked

    def _take(self, call: Call) -> Script:
        for expected in self._scripts:
            named = expected.model is None or json.dumps(expected.model).encode() in call.body
            if expected.path in call.target and named:
                if not expected.again:
                    self._scripts.remove(expected)
                return expected.script
        return json_reply({"error": {"message": "nothing was scripted for this call"}}, status=501)


class Gate:
    """Closed until `open`; used from the test's thread, awaited in the upstream's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def open(self) -> None:
        """Let the scripts waiting here go on."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def passed(self) -> None:
        """Wait until the gate is open."""
        await asyncio.wait_for(self._event.wait(), PATIENCE_SECONDS)
