"""The part of a daemon that works on jobs: opened with it, closed before its books are."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import structlog

from proxy.errors import CredentialUnreadable, JobsUnavailable
from proxy.exchange.bookkeeping import Bookkeeping
from proxy.exchange.client import Client
from proxy.jobs.calls import Calls
from proxy.jobs.runner import Runner
from proxy.jobs.surface import Surface
from proxy.jobs.upload import Limits
from proxy.jobs.work import Sealing, Work
from proxy.policy.values import Settings
from proxy.stores.failures import StoreError
from proxy.stores.sealing import Unreadable
from proxy.web.client.api import Api
from proxy.web.client.heads import Asked

_TIDY_SECONDS = 600.0
_FOR_EVER_SECONDS = 100 * 366 * 86400

log = structlog.get_logger()


class Jobs:
    """Costs nothing before the first file or job: neither a database nor a key is made, and no thread runs."""

    def __init__(self, api: Api, books: Bookkeeping, settings: Settings, sealing: Sealing) -> None:
        """What earlier daemons left is taken up by `open`."""
        self._api = api
        self._work = Work(Path(settings.state_dir), sealing, books.writer)
        self._runner = Runner(self._work, Calls(api, books), lambda: api.parts.max_body)
        self._surface = Surface(self._work, self._runner, _limits(settings))
        self._tasks: list[asyncio.Task[None]] = []
        self.take_on(settings)

    def take_on(self, settings: Settings) -> None:
        """From now on these rules count."""
        self._runner.concurrent = settings.jobs.concurrent
        self._surface.limits = _limits(settings)
        self._runner.look()

    def open(self) -> None:
        """Be asked from now on, and go on with what there is."""
        self._api.parts.own.update(dict.fromkeys(("files", "batches", "tollkeeper/jobs"), self))
        if self._work.was_used:
            self._begin()

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer a request for files or batches; False where a provider is to. Raises `ProxyError`."""
        try:
            is_ours = await self._surface.answer(asked, client)
        except Unreadable as error:
            raise CredentialUnreadable(f"What batches are sealed with cannot be opened: {error}.") from None
        except (StoreError, sqlite3.Error, OSError) as error:
            raise JobsUnavailable(f"The files of batches cannot be used now: {error}.", retry_after=5) from None
        if is_ours and not self._tasks and self._work.was_used:
            self._begin()
        return is_ours

    async def close(self) -> None:
        """What is under way stays as it is, for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()
        await self._work.close()

    def _begin(self) -> None:
        self._tasks = [
            asyncio.create_task(self._runner.run(), name="run jobs"),
            asyncio.create_task(self._keep_tidy(), name="tidy jobs"),
        ]

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            with contextlib.suppress(OSError):
                await self._work.ask(self._work.expire)


def _limits(settings: Settings) -> Limits:
    rules = settings.jobs
    keep = _FOR_EVER_SECONDS if rules.keep_seconds is None else int(rules.keep_seconds)
    return Limits(rules.max_file, settings.max_body, keep)
