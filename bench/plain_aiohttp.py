"""A reverse proxy of aiohttp's own parts and nothing else: `python -m bench.plain_aiohttp PORT=BASE_URL …`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector
from aiohttp.web import BaseRequest, Response, Server, ServerRunner, StreamResponse, TCPSite

_NOT_PASSED = frozenset({"host", "content-length", "connection", "transfer-encoding", "date", "server"})

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


def _handler(session: ClientSession, url: str) -> Handler:
    """Everything goes to one URL."""

    async def handle(request: BaseRequest) -> StreamResponse:
        body = await request.content.read()
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _NOT_PASSED]
        async with session.request(request.method, url, headers=headers, data=body) as reply:
            passed = {name: value for name, value in reply.headers.items() if name.lower() not in _NOT_PASSED}
            if reply.content_length is not None:
                return Response(status=reply.status, headers=passed, body=await reply.read())
            streamed = StreamResponse(status=reply.status, headers=passed)
            await streamed.prepare(request)
            async for data in reply.content.iter_any():
                await streamed.write(data)
            await streamed.write_eof()
            return streamed

    return handle


async def _serve(routes: list[str]) -> None:
    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(None), auto_decompress=False) as session:
        for route in routes:
            port, _, base_url = route.partition("=")
            runner = ServerRunner(Server(_handler(session, base_url + "/chat/completions"), access_log=None))
            await runner.setup()
            await TCPSite(runner, "127.0.0.1", int(port), backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1:]))
