"""Many clients at once: each on a connection of its own, all requests sent before any reply is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness.daemon import Daemon
from harness.surroundings import PATIENCE_SECONDS


@dataclass
class Leave:
    """A client that resets its connection once it has read so many bytes, at the latest after so long; `begun`: of the
    first of them."""

    after_bytes: int
    after_seconds: float
    begun: bool = False


@dataclass
class Answer:
    """What one client saw. `whole`: the reply's framing was honoured to the end, and a stream said so itself."""

    status: int = 0
    headers: dict[str, str] | None = None
    body: bytes = b""
    framed: bool = False

    @property
    def whole(self) -> bool:
        is_stream = "event-stream" in self.header("content-type")
        return self.framed and (not is_stream or self.body.endswith(b"data: [DONE]\n\n"))

    @property
    def code(self) -> str | None:
        """The code of an error, also of one inside a stream."""
        if self.status >= 400:
            code: str = json.loads(self.body)["error"]["code"]
            return code
        return None

    def header(self, name: str) -> str:
        return (self.headers or {}).get(name, "")

    @property
    def request_id(self) -> str:
        return self.header("x-tollkeeper-request-id")


def crowd(daemon: Daemon, bodies: Iterable[dict[str, Any]], **how: Any) -> list[Answer]:
    """Send all of them at the same time; the answers in their order."""
    return asyncio.run(gather(daemon, bodies, **how))


async def gather(
    daemon: Daemon,
    bodies: Iterable[dict[str, Any]],
    *,
    path: str = "/v1/chat/completions",
    leave_after: Callable[[int], Leave | None] = lambda _: None,
) -> list[Answer]:
    """The same on a running loop. `leave_after(n)`: when the n-th client goes, if it does."""
    bodies = list(bodies)
    ready = asyncio.Barrier(len(bodies))
    tasks = [
        asyncio.ensure_future(_one(daemon, daemon.request("POST", path, (), json.dumps(body).encode()), ready, leave))
        for body, leave in ((body, leave_after(number)) for number, body in enumerate(bodies))
    ]
    return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_SECONDS)


async def _one(daemon: Daemon, request: bytes, ready: asyncio.Barrier, leave: Leave | None) -> Answer:
    answer = Answer()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    except OSError:
        await ready.wait()
        return answer
    try:
        await ready.wait()
        writer.write(request)
        if leave is not None:
            first = len(await reader.read(1)) if leave.begun else 0
            await asyncio.wait_for(_read_bytes(reader, leave.after_bytes - first), leave.after_seconds)
        else:
            await read_answer(reader, answer)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort() if leave is not None else writer.close()
    return answer


async def _read_bytes(reader: asyncio.StreamReader, limit: int) -> None:
    left = limit
    while left > 0 and (piece := await reader.read(left)):
        left -= len(piece)


async def read_answer(reader: asyncio.StreamReader, answer: Answer) -> None:
    """Read one reply into `answer`, by its framing."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    answer.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    answer.status = int(head[0].split(" ")[1])
    if answer.header("transfer-encoding") != "chunked":
        answer.body = await reader.readexactly(int(answer.header("content-length")))
        answer.framed = True
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        answer.body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    answer.framed = True
