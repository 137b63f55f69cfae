"""Signed webhooks: each message is sent until its address takes it or wants no more, over restarts as well.

Nobody waits for them. The outbox in the ledger keeps a message from the transaction that makes it until it is over, so
that one may arrive twice, under the same id, but never not at all because the daemon ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from proxy import __version__
from proxy.policy.operators import Hook
from proxy.policy.webhooks import meaning, signed_headers, wait_seconds
from proxy.stores import outbox
from proxy.stores.failures import StoreError
from proxy.stores.outbox import Message
from proxy.stores.writer import Writer

if TYPE_CHECKING:
    from aiohttp import ClientSession

MOST_WAITING = 1000
ANSWER_SECONDS = 15.0
AT_ONCE = 2  # to one address
_LOAD_AGAIN_SECONDS = 10.0


class Undelivered(Exception):
    """No answer came; the message says why, and nothing of the address."""


class Tried(Struct, frozen=True):
    """What became of a message, in the words of the metric, and why in a few words; when it is tried again, if it is.

    `host` is what may be shown of the address, "" where it is not configured any more.
    """

    message_id: str
    host: str
    outcome: str
    reason: str
    tries: int
    again_in_seconds: float | None = None


class Webhooks:
    """Owned by the daemon, on its event loop."""

    def __init__(self, writer: Writer, tell: Callable[[Tried], None]) -> None:
        """Nothing is opened before there are hooks."""
        self.hooks: dict[str, Hook] = {}
        self._writer = writer
        self._tell = tell
        self._sending: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._over: set[tuple[str, str]] = set()
        self._gone: set[str] = set()
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, AT_ONCE))
        self._loading: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._is_closed = False

    def take_on(self, hooks: Iterable[Hook]) -> None:
        """From now on these are sent to; what waits for others is dropped at its next try."""
        self.hooks = {hook.id: hook for hook in hooks}
        self._gone.clear()
        if self.hooks and self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load the outbox")

    def send(self, messages: Iterable[Message]) -> None:
        """Deliver what the outbox has. Of more than `MOST_WAITING` the oldest are given up."""
        for message in messages:
            if self._is_closed or message.name in self._sending or message.name in self._over:
                continue
            task = asyncio.create_task(self._deliver(message), name=f"webhook {message.id}")
            self._sending[message.name] = task
            if len(self._sending) > MOST_WAITING:
                self._drop(next(iter(self._sending)))

    async def close(self) -> None:
        """Stop sending. What is not delivered waits in the outbox for the next start."""
        self._is_closed = True
        tasks = [*self._sending.values(), *([self._loading] if self._loading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _load(self) -> None:
        """What an earlier daemon left. A ledger that cannot be read now is asked again."""
        while True:
            try:
                self.send(await asyncio.wrap_future(self._writer.do(outbox.waiting)))
                return
            except (StoreError, sqlite3.Error):
                await asyncio.sleep(_LOAD_AGAIN_SECONDS)

    async def _deliver(self, message: Message) -> None:
        tries = 0
        while True:
            async with self._turns[message.hook]:
                outcome, reason = await self._try(message)
            tries += 1
            age = time.time() - message.made_ms / 1000
            wait = wait_seconds(tries, age, random.random()) if outcome == "failed" else None
            if wait is None:
                break
            self._tell(Tried(message.id, self._host(message.hook), "retried", reason, tries, round(wait, 1)))
            await asyncio.sleep(wait)
        await self._end(message.name, "given_up" if outcome == "failed" else outcome, reason, tries)

    async def _try(self, message: Message) -> tuple[str, str]:
        """What became of it, and why in a few words."""
        hook = self.hooks.get(message.hook)
        if hook is None:
            return "dropped", "its address is not in the configuration any more"
        if message.hook in self._gone:
            return "gone", "the address has answered 410 before"
        try:
            status = await post(self._client(), hook, message.id, message.body.encode())
        except Undelivered as error:
            return "failed", str(error)
        answer = meaning(status)
        if answer == "gone":
            self._gone.add(message.hook)
        return answer, f"answered {status}"

    def _drop(self, name: tuple[str, str]) -> None:
        self._sending.pop(name).cancel()
        end = self._end(name, "dropped", f"more than {MOST_WAITING} messages wait", 0)
        self._sending[name] = asyncio.create_task(end, name=f"webhook {name[0]}")

    async def _end(self, name: tuple[str, str], outcome: str, reason: str, tries: int) -> None:
        """It is over, which is told once the outbox knows. A ledger that cannot be written now hears it with the next one."""
        self._over.add(name)
        over = frozenset(self._over)
        with contextlib.suppress(StoreError, sqlite3.Error):
            await asyncio.wrap_future(self._writer.do(partial(outbox.remove, names=over)))
            self._over -= over
        del self._sending[name]
        self._tell(Tried(name[0], self._host(name[1]), outcome, reason, tries))

    def _host(self, hook_id: str) -> str:
        hook = self.hooks.get(hook_id)
        return "" if hook is None else hook.host

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = client()
        return self._session


def client() -> ClientSession:
    """What webhooks are sent with: no cookies, no connection kept, no proxy. To be closed."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

    return ClientSession(
        connector=TCPConnector(limit=0, force_close=True),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=ANSWER_SECONDS),
    )


async def post(session: ClientSession, hook: Hook, message_id: str, body: bytes) -> int:
    """Send one message once; the status of the answer, of which nothing else counts. Raises `Undelivered`."""
    from aiohttp import ClientError
    from yarl import URL

    headers = {
        "content-type": "application/json",
        "user-agent": f"tollkeeper/{__version__}",
        **signed_headers(hook.secret, message_id, int(time.time()), body),
    }
    url = URL(hook.url.reveal(), encoded=True)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as reply:
            return reply.status
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        raise Undelivered(_reason(error)) from None


def _reason(error: Exception) -> str:
    """In words of ours: the library's hold the address."""
    from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientConnectorError, ClientSSLError

    if isinstance(error, ClientConnectorCertificateError):
        return "its certificate is not accepted"
    if isinstance(error, ClientSSLError):
        return "the TLS handshake failed"
    if isinstance(error, ClientConnectorDNSError):
        return "its host name has no address"
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return "no connection" if isinstance(error, ClientConnectorError) else "the connection broke, or it speaks no HTTP"
