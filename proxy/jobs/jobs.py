"""The part of a daemon that works on jobs: opened with it, closed before its books are."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from proxy.errors import CredentialUnreadable
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.background.webhooks import Tried
from proxy.exchange.client import Client
from proxy.jobs.calls import Calls
from proxy.jobs.faults import JobsUnavailable
from proxy.jobs.handing import Hander
from proxy.jobs.hooks import Hooks
from proxy.jobs.kept import KeptReplies
from proxy.jobs.later import Later
from proxy.jobs.message_surface import MessageSurface
from proxy.jobs.replies import Replies
from proxy.jobs.runner import Runner
from proxy.jobs.sharing import Sharer
from proxy.jobs.surface import Surface
from proxy.jobs.upload import Limits
from proxy.jobs.work import TROUBLE, Work
from proxy.policy.values import Plan, Settings
from proxy.stores.failures import StoreError
from proxy.stores.jobs.job_rows import OPEN, Job, Tenants
from proxy.stores.secrets.safe import Safe
from proxy.stores.secrets.sealing import Unreadable
from proxy.web.client.api import Api
from proxy.web.client.heads import Asked
from proxy.wire.call import Call

_TIDY_SECONDS = 600.0
_FOR_EVER_SECONDS = 100 * 366 * 86400


class Jobs:
    """Costs nothing before the first file, job or Idempotency-Key: neither a database nor a key is made, and no thread
    runs."""

    def __init__(
        self, api: Api, books: Bookkeeping, settings: Settings, safe: Safe, told: Callable[[Tried], None]
    ) -> None:
        """What earlier daemons left is taken up by `open`. `told` hears what becomes of webhooks."""
        self._api = api
        work = self._work = Work(Path(settings.state_dir), safe)
        calls = Calls(api, books, work.open)
        self.hooks = Hooks(work, told)
        self._hander = Hander(work, self.hooks, api, books)
        self._runner = Runner(work, calls, self.hooks, self._hander, lambda: api.parts.max_body)
        self._surface = Surface(work, self._runner, self.hooks, _limits(settings))
        self._messages = MessageSurface(work, self._runner, self.hooks, _limits(settings))
        self._later = Later(work, self._runner, self.hooks, _limits(settings))
        self._by_name: dict[str, Later | MessageSurface] = {
            "tollkeeper/jobs": self._later,
            "messages/batches": self._messages,
        }
        self._replies = Replies(work, calls.was_sent, self._runner.do)
        kept_replies = KeptReplies(work, books.journal, self._runner.do)
        self._sharer = Sharer(kept_replies, api.parts.drainer.left)
        self._tasks: list[asyncio.Task[None]] = []
        self.take_on(settings)

    def take_on(self, settings: Settings) -> None:
        """From now on these rules count."""
        self._runner.concurrent = settings.jobs.concurrent
        self.hooks.take_on(allow_private=settings.jobs.allow_private)
        self._surface.limits = self._messages.limits = self._later.limits = _limits(settings)
        self._runner.look()

    def open(self) -> Callable[[], Awaitable[None]]:
        """Be asked from now on, and go on with what there is. What comes back closes it."""
        parts = self._api.parts
        parts.own.update(dict.fromkeys(("files", "batches", "messages/batches", "tollkeeper/jobs"), self))
        parts.elsewhere = self
        if self._work.was_used:
            self._begin()
        else:
            self._hander.settle_strays()
        return self.close

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer a request for files, batches or jobs; False where a provider is to. Raises `ProxyError`."""
        if not self._api.parts.features.is_on("jobs", asked.caller.name):
            return False
        with _told():
            is_ours = await self._by_name.get(asked.head.endpoint.name, self._surface).answer(asked, client)
        if is_ours and not self._tasks and self._work.was_used:
            self._begin()
        return is_ours

    async def apart(self, asked: Asked, client: Client, call: Call) -> bool:
        """Answer a call that is to be answered once, or later; False where it goes its way now. Raises `ProxyError`."""
        apart = asked.head.apart
        with _told():
            if apart is None or (apart.once is not None and await self._replies.claim(asked, client)):
                return apart is not None
            if (
                not apart.later or call.stream or not self._api.parts.features.is_on("jobs", asked.caller.name)
            ):  # a stream cannot come later; a preference may be passed over
                return False
            await self._later.defer(asked, client)
        if not self._tasks:
            self._begin()
        return True

    def key_name(self, owner: str) -> str:
        """What the owner of jobs is called now."""
        return self._api.parts.keys.name_of(owner)

    async def newest(self, tenants: Tenants, after: str, most: int) -> list[Job]:
        """Those of these tenants, the newest first, behind the job `after` ("" for all). Raises `StoreError`."""
        work = self._work
        return await work.ask(work.store.jobs_of, tenants, after, most) if work.was_used else []

    async def cancel(self, tenants: Tenants, job_id: str) -> Job | None:
        """Cancel one of theirs under way; one that is over, or is being cancelled, as it is; None where there is none. Raises `StoreError`."""
        job = await self._work.ask(lambda: self._work.store.job_of(tenants, job_id)) if self._work.was_used else None
        is_open = job is not None and job.status in OPEN and job.status != "cancelling"
        return await self._runner.cancel(job) if job is not None and is_open else job

    async def shared(self, asked: Asked, client: Client, call: Call, plan: Plan) -> bool:
        """Answer a call with what another one got, as keys, models and the call want it; False where it goes its way now."""
        is_served = await self._sharer.serve(asked, client, call, plan)
        if not self._tasks and self._work.was_used:
            self._begin()
        return is_served

    async def close(self) -> None:
        """What is under way stays as it is, for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._hander.close()
        await self._runner.close()
        await self.hooks.close()
        await self._work.close()

    def _begin(self) -> None:
        self.hooks.open()
        self._tasks = [
            asyncio.create_task(self._runner.run(), name="run jobs"),
            asyncio.create_task(self._keep_tidy(), name="tidy jobs"),
        ]

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            with contextlib.suppress(*TROUBLE):
                await self._work.ask(self._work.expire)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Trouble with what is kept, in words for clients."""
    try:
        yield
    except Unreadable as error:
        raise CredentialUnreadable(f"What is kept here is sealed, and cannot be opened: {error}.") from None
    except (StoreError, sqlite3.Error, OSError) as error:
        raise JobsUnavailable(f"The folder of jobs cannot be used now: {error}.", retry_after=5) from None


def _limits(settings: Settings) -> Limits:
    rules = settings.jobs
    keep = _FOR_EVER_SECONDS if rules.keep_seconds is None else int(rules.keep_seconds)
    return Limits(rules.max_file, settings.max_body, keep)
