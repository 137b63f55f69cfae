"""Webhooks of jobs: whoever asked for one is told when it is over, by the sender that alerts go by."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping

import msgspec

from proxy.errors import InvalidValue
from proxy.exchange.background.webhooks import Over, Tried, Webhooks
from proxy.jobs.told import event_body
from proxy.jobs.work import Work, new_id
from proxy.policy.operators import Hook
from proxy.policy.webhooks import DAY_SECONDS, is_private, signed_hook
from proxy.secret import Secret
from proxy.stores.jobs.deliveries import Delivery
from proxy.stores.jobs.job_rows import Job, Tenants
from proxy.stores.outbox import Message
from proxy.stores.secrets.sealing import Unreadable
from proxy.wire.headers import HOOK


class Hooks:
    """The box of its messages as well: they wait in the database of jobs, sealed. Costs nothing before the first."""

    keep_seconds = DAY_SECONDS

    def __init__(self, work: Work, tell: Callable[[Tried], None]) -> None:
        """`tell` hears what becomes of each."""
        self._work = work
        self._sender = Webhooks(self, tell)
        self._hooks: dict[str, Hook] = {}

    def take_on(self, *, allow_private: bool) -> None:
        """From now on this counts."""
        self._sender.only_public = not allow_private

    async def add(self, key: str, job_id: str, hook: Hook | None) -> None:
        """Tell them when this job of the key is over. Raises `InvalidValue`, `StoreError`."""
        if hook is None:
            return
        if self._sender.only_public and is_private(hook):
            raise InvalidValue(
                f"The address in {HOOK} is in a private network, where nothing is sent "
                "(`webhooks: {allow_private: true}` allows it).",
                param=HOOK,
            )
        url, work, message_id = hook.url.reveal(), self._work, new_id("msg_")
        address = hashlib.sha256(f"{key} {url.partition('?')[0]}".encode()).hexdigest()[:16]
        said = msgspec.json.encode([url, *[one.reveal() for one in hook.secrets]]).decode()
        sealed = await work.seal(_place(message_id), said)
        wanted = Delivery(message_id, job_id, key, hook.host, address, sealed, int(time.time() * 1000))
        await work.ask(lambda: work.deliveries.add(wanted))

    async def end(self, job: Job) -> None:
        """A job is over: that is written down, and told. Raises `StoreError`."""
        wanted = await self._work.ask(lambda: self._work.deliveries.end(job, event_body, int(time.time() * 1000)))
        if wanted is not None:
            self._sender.send(await self._work.ask(self._opened, [wanted]))

    async def again(self, message_id: str, tenants: Tenants) -> bool:
        """Send one of these tenants' once more, by hand; False where there is none, or its job is under way. Raises
        `StoreError`."""
        if not self._work.was_used:
            return False
        wanted = await self._work.ask(lambda: self._work.deliveries.again(message_id, tenants, int(time.time() * 1000)))
        if wanted is not None:
            self._sender.again(await self._work.ask(self._opened, [wanted]))
        return wanted is not None

    async def newest(self, most: int, tenants: Tenants) -> list[Delivery]:
        """The last messages about jobs of these tenants."""
        return await self._work.ask(lambda: self._work.deliveries.newest(most, tenants)) if self._work.was_used else []

    def open(self) -> None:
        """Go on with what an earlier daemon left."""
        self._sender.load()

    async def close(self) -> None:
        """What is not delivered waits for the next start."""
        await self._sender.close()

    def hook(self, message: Message) -> Hook | None:
        """Where it goes."""
        return self._hooks.get(message.id)

    async def waiting(self) -> list[Message]:
        """All that are due."""
        return await self._work.ask(lambda: self._opened(self._work.deliveries.waiting()))

    async def tried(self, message: Message, tries: int) -> None:
        """Written down."""
        await self._work.ask(self._work.deliveries.tried, message.id, tries)

    async def over(self, ended: Mapping[tuple[str, str], Over]) -> None:
        """These are."""
        deliveries, now_ms = self._work.deliveries, int(time.time() * 1000)
        for (message_id, _), how in ended.items():
            about = how.reason, how.tries
            await self._work.ask(deliveries.over, message_id, how.outcome, about, now_ms)
            self._hooks.pop(message_id, None)

    def _opened(self, wanted: list[Delivery]) -> list[Message]:
        """In the thread. One that cannot be opened has no address any more."""
        for one in wanted:
            try:
                url, *secrets = msgspec.json.decode(self._work.open(_place(one.id), one.sealed), type=list[str])
            except Unreadable:
                continue
            self._hooks[one.id] = signed_hook(url, list(map(Secret, secrets)))
        return [Message(one.id, one.address, one.body, one.made_ms, one.tries) for one in wanted]


def _place(message_id: str) -> str:
    return f"jobs.{message_id}.hook"
