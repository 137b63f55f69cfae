"""Signed webhooks: each message is sent until its address takes it or wants no more, over restarts as well.

Nobody waits for them. A box keeps a message from the transaction that makes it until it is over, so that one may arrive
twice, under the same id, but never not at all because the daemon ended. Alerts have theirs in the ledger (`proxy.alerts.budgets`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import random
import socket
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from proxy import __version__
from proxy.policy.alerting.notices import as_form, in_words
from proxy.policy.operators import Hook, Told
from proxy.policy.webhooks import asked_wait, is_public, meaning, signed_headers, wait_seconds
from proxy.stores.failures import StoreError
from proxy.stores.outbox import Message

if TYPE_CHECKING:
    from aiohttp import ClientSession

MOST_WAITING = 1000
ANSWER_SECONDS = 15.0
AT_ONCE = 2  # to one address
LAST_SECONDS = 0.5  # for what is on its way when the daemon ends
PRIVATE = "its address is private"
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


class Answer(Struct, frozen=True):
    """Of an address: the status, and for how long it asks to be left alone."""

    status: int
    asked_seconds: float = 0.0


class Over(Struct, frozen=True):
    """How a message ended, after so many tries."""

    outcome: str
    reason: str
    tries: int


class Box(Protocol):
    """Where messages wait. `keep_seconds`: how long each is tried. What asks it raises `StoreError`, sqlite3.Error."""

    keep_seconds: float

    def hook(self, message: Message) -> Told | None:
        """Where it goes; None where that is no address any more."""

    async def waiting(self) -> list[Message]:
        """What is to be sent, oldest first."""

    async def tried(self, message: Message, tries: int) -> None:
        """It was not taken so often, and will be tried again."""

    async def over(self, ended: Mapping[tuple[str, str], Over]) -> None:
        """These are over."""


class Webhooks:
    """Owned by the daemon, on its event loop. With `only_public`, nothing goes to private addresses."""

    def __init__(self, box: Box, tell: Callable[[Tried], None]) -> None:
        """Nothing is opened before there is something to send."""
        self.only_public = False
        self._box = box
        self._tell = tell
        self._sending: dict[tuple[str, str], tuple[Message, asyncio.Task[None]]] = {}
        self._over: dict[tuple[str, str], Over] = {}
        self._gone: set[str] = set()
        self._on_way = set[tuple[str, str]]()
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, AT_ONCE))
        self._loading: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None
        self._is_closed = False

    def load(self) -> None:
        """Send what an earlier daemon left, and to those again that wanted no more."""
        self._gone.clear()
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load webhooks")

    def send(self, messages: Iterable[Message]) -> None:
        """Deliver what the box has. Of more than `MOST_WAITING` the oldest are given up."""
        for message in messages:
            if self._is_closed or message.name in self._sending or message.name in self._over:
                continue
            task = asyncio.create_task(self._deliver(message), name=f"webhook {message.id}")
            self._sending[message.name] = message, task
            if len(self._sending) > MOST_WAITING:
                self._drop(next(iter(self._sending)))

    def again(self, messages: Iterable[Message]) -> None:
        """Deliver these by hand, to whom nothing was sent any more as well."""
        for message in messages:
            self._gone.discard(message.hook)
            self.send([message])

    async def send_once(self, told: Told, message_id: str, body: str) -> Answer:
        """Send one message once, as that address wants it. Raises `Undelivered`."""
        if isinstance(told, Hook):
            url, said = as_form(told.form, told.url.reveal(), body)
            return await post(await self._client(), told, url, (message_id, said))
        from proxy.exchange.background.mail import (  # only where it is wanted: it costs start-up time
            MailRefused,
            mailed,
        )

        try:
            return Answer(await mailed(told, message_id, in_words(msgspec.json.decode(body))))
        except MailRefused as error:
            raise Undelivered(str(error)) from None

    async def close(self) -> None:
        """Stop sending. What is not delivered waits in its box for the next start; what an address has taken is not sent
        again by it."""
        self._is_closed = True
        tasks = [*(task for _, task in self._sending.values()), *([self._loading] if self._loading else [])]
        if on_way := [self._sending[name][1] for name in self._on_way]:
            await asyncio.wait(on_way, timeout=LAST_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _load(self) -> None:
        """A box that cannot be read now is asked again."""
        while True:
            try:
                self.send(await self._box.waiting())
                return
            except (StoreError, sqlite3.Error):
                await asyncio.sleep(_LOAD_AGAIN_SECONDS)

    async def _deliver(self, message: Message) -> None:
        tries = message.tries
        while True:
            async with self._turns[message.hook]:
                if self._is_closed:
                    return
                self._on_way.add(message.name)
                outcome, reason, asked_seconds = await self._try(message)
            tries += 1
            left = message.made_ms / 1000 + self._box.keep_seconds - time.time()
            wait = wait_seconds(tries, left, random.random(), asked_seconds) if outcome == "failed" else None
            if wait is None:
                break
            with contextlib.suppress(StoreError, sqlite3.Error):
                await self._box.tried(message, tries)
            self._on_way.discard(message.name)
            self._tell(Tried(message.id, self._host(message), "retried", reason, tries, round(wait, 1)))
            await asyncio.sleep(wait)
        await self._end(message, "given_up" if outcome == "failed" else outcome, reason, tries)

    async def _try(self, message: Message) -> tuple[str, str, float]:
        """What became of it, why in a few words, and for how long nothing more is wanted there."""
        hook = self._box.hook(message)
        if hook is None:
            return "dropped", "its address is not in the configuration any more", 0.0
        if message.hook in self._gone:
            return "gone", "the address has answered 410 before", 0.0
        try:
            answer = await self.send_once(hook, message.id, message.body)
        except Undelivered as error:
            return "failed", str(error), 0.0
        outcome = meaning(answer.status)
        if outcome == "gone":
            self._gone.add(message.hook)
        return outcome, f"answered {answer.status}", answer.asked_seconds

    def _drop(self, name: tuple[str, str]) -> None:
        message, task = self._sending.pop(name)
        task.cancel()
        end = self._end(message, "dropped", f"more than {MOST_WAITING} messages wait", 0)
        self._sending[name] = message, asyncio.create_task(end, name=f"webhook {name[0]}")

    async def _end(self, message: Message, outcome: str, reason: str, tries: int) -> None:
        """It is over, which is told once the box knows. One that cannot be written now hears it with the next one."""
        name, host = message.name, self._host(message)
        self._over[name] = Over(outcome, reason, tries)
        over = dict(self._over)
        with contextlib.suppress(StoreError, sqlite3.Error):
            await self._box.over(over)
            for known in over:
                self._over.pop(known, None)
        del self._sending[name]
        self._on_way.discard(name)
        if not any(hook == message.hook for _, hook in self._sending):
            self._turns.pop(message.hook, None)
        self._tell(Tried(message.id, host, outcome, reason, tries))

    def _host(self, message: Message) -> str:
        hook = self._box.hook(message)
        return "" if hook is None else hook.host

    async def _client(self) -> ClientSession:
        if self._session is None:
            # which reads the certificates of the machine as well
            await asyncio.to_thread(importlib.import_module, "aiohttp.client")
        if self._session is None:  # another message may have waited as well
            self._session = client(self._socket)
        return self._session

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Looked at here is the very address that is connected to, whatever a name has led to before."""
        family, kind, protocol, _, address = info
        if self.only_public and not is_public(str(address[0])):
            raise OSError(errno.EACCES, PRIVATE)
        return socket.socket(family, kind, protocol)


def client(make_socket: Callable[[tuple[Any, ...]], socket.socket] | None = None) -> ClientSession:
    """What webhooks are sent with: no cookies, no connection kept, no proxy. To be closed."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

    from proxy.exchange.background.hook_names import HookNames

    return ClientSession(
        connector=TCPConnector(limit=0, force_close=True, socket_factory=make_socket, resolver=HookNames()),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=ANSWER_SECONDS),
    )


async def post(session: ClientSession, hook: Hook, address: str, message: tuple[str, bytes]) -> Answer:
    """Send one message, its id and its body, once; of the answer its status counts, and when it wants more.

    Raises `Undelivered`.
    """
    from aiohttp import ClientError
    from yarl import URL

    message_id, body = message
    signed = signed_headers(hook.secrets, message_id, int(time.time()), body) if hook.secrets else {}
    headers = {"content-type": "application/json", "user-agent": f"tollkeeper/{__version__}", **signed}
    url = URL(address, encoded=True)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as reply:
            return Answer(reply.status, asked_wait(reply.status, reply.headers.get("Retry-After"), datetime.now(UTC)))
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        raise Undelivered(_reason(error)) from None


def _reason(error: Exception) -> str:
    """In words of ours: the library's hold the address."""
    from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientConnectorError, ClientSSLError

    if isinstance(error, ClientConnectorCertificateError):
        return "its certificate is not accepted"
    if isinstance(error, ClientSSLError):
        return "the TLS handshake failed"
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return PRIVATE
    if isinstance(error, ClientConnectorDNSError):
        return "its host name has no address"
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return "no connection" if isinstance(error, ClientConnectorError) else "the connection broke, or it speaks no HTTP"
