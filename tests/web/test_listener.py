"""A listener that stops accepting loses nothing it has accepted, on either event loop and at any moment."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop
from aiohttp import web

from proxy.listeners import listen
from proxy.policy.values import Listen

CLIENTS = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
Run = Callable[[Coroutine[Any, Any, None]], None]


async def answer(_: web.BaseRequest) -> web.Response:
    return web.Response(body=b"here")


async def served(client: socket.socket) -> bytes:
    """The reply, or what there is of it when the connection ends."""
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        return await asyncio.wait_for(reader.readuntil(b"here"), 60)
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()


async def stop_after(rounds: int, inherited: socket.socket) -> None:
    """Let clients connect, stop accepting so many rounds of the loop later; who was not accepted waits in the kernel."""
    async with AsyncExitStack() as stack:
        listener = await listen(stack, answer, Listen(), [inherited.dup()])
        clients = [socket.create_connection(inherited.getsockname()) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(REQUEST)
        for _ in range(rounds):
            await asyncio.sleep(0)
        listener.stop_accepting()
        inherited.setblocking(False)
        await asyncio.sleep(0.05)
        waiting = set()
        while len(waiting) < CLIENTS:
            try:
                accepted, peer = inherited.accept()
            except BlockingIOError:
                break
            accepted.close()
            waiting.add(peer)
        ours = [client for client in clients if client.getsockname() not in waiting]
        replies = [await served(client) for client in ours]
        for client in clients:
            client.close()
    assert all(reply.endswith(b"here") for reply in replies)
    assert len(ours) + len(waiting) == CLIENTS


@pytest.mark.parametrize("rounds", range(5))
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_was_accepted_is_served_and_the_rest_waits(run: Run, rounds: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as inherited:
        run(stop_after(rounds, inherited))
