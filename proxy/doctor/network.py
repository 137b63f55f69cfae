"""DNS, TCP and TLS by hand, for diagnosis only: connections made here carry no request and are closed at once.

Everything that is asked of a provider goes through proxy/exchange/upstream.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from proxy.exchange.io.tls import BROKEN_OFF, client_context, why_failed

MOST_ADDRESSES = 4
ResultT = TypeVar("ResultT")


class Unreached(Exception):
    """The message says in a few words what went wrong."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once. Raises `Unreached`."""
    try:
        found = await _in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        raise Unreached(f"{host} has no address ({(error.strerror or 'unknown').lower()})") from None
    except (UnicodeError, OSError):
        raise Unreached(f"{host} is no name that can be looked up") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run in a thread that nobody waits for: a resolver may hang for longer than a doctor's visit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def run() -> None:
        try:
            result = work()
        except (OSError, UnicodeError) as error:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, error)
        else:
            outcome = (future.set_result, result)
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await future


async def connect(addresses: Sequence[str], port: int) -> tuple[str, float]:
    """Try all of them at once: the first that answered, and after how many milliseconds. Raises `Unreached`."""
    began = time.monotonic()
    tasks = [asyncio.create_task(_connect(address, port)) for address in addresses[:MOST_ADDRESSES]]
    reasons: list[str] = []
    try:
        for task in asyncio.as_completed(tasks):
            try:
                return await task, (time.monotonic() - began) * 1000
            except OSError as error:
                reasons.append(os.strerror(error.errno).lower() if error.errno else "no connection")
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise Unreached(f"no connection to port {port}: {', '.join(dict.fromkeys(reasons))}")


async def _connect(address: str, port: int) -> str:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return address


async def certificate_days(host: str, address: str, port: int, ca_file: str | None) -> int:
    """How many whole days the server's certificate is valid yet. Raises `Unreached` where it does not hold."""
    try:
        context = client_context(ca_file)
    except OSError:
        raise Unreached("its `ca_file:` cannot be read as PEM certificates") from None
    try:
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    except ssl.SSLError as error:
        raise Unreached(why_failed(error, ca_file)) from None
    except OSError:
        raise Unreached(BROKEN_OFF) from None
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    return int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // 86_400)
