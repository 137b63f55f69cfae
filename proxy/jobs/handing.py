"""Hands a batch on to its provider's own batch, where that is cheaper and all its lines' holds fit at once.

What is done next is in the database before it is done. A batch there is known by our id in its metadata, so that one whose
making was cut off is found again, not made twice. Holds stay in the journal until the answers are here.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace

from proxy.errors import ProviderError
from proxy.exchange.background.bookkeeping import Bookkeeping, interrupted
from proxy.jobs.calls import head_of_job
from proxy.jobs.ending import Ended, finish, sealed_result
from proxy.jobs.hooks import Hooks
from proxy.jobs.lines import body_of
from proxy.jobs.offered import Offer, Offers, Unfit, unanswered
from proxy.jobs.provider import Batches, Declined, FileBatches, Standing, Wanted, is_final, may_be_made
from proxy.jobs.provider_messages import MessageBatches
from proxy.jobs.shapes import Answered
from proxy.jobs.underway import DAY_SECONDS, Handing, asked, rest
from proxy.jobs.work import Work, as_often_as_it_takes
from proxy.policy.values import Provider
from proxy.stores.failures import JournalUnwritable, StoreError
from proxy.stores.jobs.job_rows import Handed, Job, KeptFile, Task
from proxy.web.client.api import Api

_AT_ONCE = 64  # lines that are read together
_MOST_BYTES = 200 * 2**20  # of a provider's input file
_FIRST_WAIT_SECONDS = 0.2
_LOOKS, _BETWEEN_LOOKS_SECONDS = 2, 3.0  # before a batch that is not there was never made

log = structlog.get_logger()


class Hander:
    """`take` says whether a batch goes there; `enter` gets one that does not after all."""

    def __init__(self, work: Work, hooks: Hooks, api: Api, books: Bookkeeping) -> None:
        """Holds of batches that an earlier daemon left are ours to resolve."""
        self.enter: Callable[[Job, KeptFile], None] = _nobody
        self._work = work
        self._hooks = hooks
        self._api = api
        upstream = api.parts.exchange.upstream
        self._there: dict[str, Batches] = {"openai": FileBatches(upstream), "anthropic": MessageBatches(upstream)}
        self._offers = Offers(api, self._there)
        self._left = [orphan for orphan in books.orphans if orphan.hold.batch]
        self._open: dict[str, Handing] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, job: Job, file: KeptFile, tasks: list[Task]) -> bool:
        """Hand a batch on that was read and not begun. Raises `StoreError`."""
        caller = self._api.parts.keys.owning(job.key)
        if caller is None or job.handed is not None:
            return False
        offer = Offer(head_of_job(job, self._work.open))
        try:
            for at in range(0, len(tasks), _AT_ONCE):
                for line in await self._work.ask(self._read, file, tasks[at : at + _AT_ONCE]):
                    await self._offers.add(offer, job, caller, line)
                if sum(map(len, offer.lines)) > _MOST_BYTES:
                    raise Unfit("its file would be too large there")
        except Unfit as error:
            self._offers.withdraw(offer)
            log.debug("batch_not_handed_on", batch=job.id, reason=str(error))
            return False
        except BaseException:
            self._offers.withdraw(offer)
            raise
        assert offer.provider is not None
        handed = Handed(offer.provider.name, offer.provider.tenant, "uploading")
        named = [replace(task, request_id=hold.request_id) for task, hold in zip(tasks, offer.holds, strict=True)]
        entry = Handing(
            replace(job, handed=handed),
            file,
            offer.provider,
            {task.request_id: task for task in named},
            {hold.request_id: hold for hold in offer.holds},
        )
        self._begin(entry, Wanted(job.id, job.endpoint, list(entry.lines), offer.lines, offer.head.incoming))
        return True

    def _read(self, file: KeptFile, tasks: list[Task]) -> list[bytes]:
        return [body_of(self._work.read(file, task.offset, task.length)) for task in tasks]

    async def resume(self, job: Job, file: KeptFile) -> None:
        """Go on with one that an earlier daemon left."""
        holds = {orphan.hold.request_id: orphan.hold for orphan in self._left if orphan.hold.batch == job.id}
        self._left = [orphan for orphan in self._left if orphan.hold.batch != job.id]
        assert job.handed is not None
        provider = self._api.parts.exchange.accounts.find(job.handed.provider, job.handed.tenant)
        if provider is None or provider.kind not in self._there:
            reason = f"{job.id} is at {job.handed.provider}, which is no provider with batches any more"
            log.error("job_trouble", reason=reason)
            return
        tasks = await self._work.insist(self._work.store.started, job.id)
        self._begin(Handing(job, file, provider, {task.request_id: task for task in tasks}, holds), None)

    def settle_strays(self) -> None:
        """What was held for batches that nobody knows any more has cost what was held."""
        for orphan in self._left:
            interrupted(self._offers.accounting, orphan, None)
        self._left = []

    async def cancel(self, job: Job) -> Job | None:
        """Have it end early, there and here; None where it is none of ours, or over."""
        entry = self._open.get(job.id)
        if entry is None:
            return None
        entry.job = replace(entry.job, status="cancelling", times={**entry.job.times, "cancelling": int(time.time())})
        entry.news.set()
        await self._work.ask(self._work.store.change, entry.job)
        return entry.job

    async def close(self) -> None:
        """What is there goes on there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, entry: Handing, wanted: Wanted | None) -> None:
        self._open[entry.job.id] = entry
        task = asyncio.create_task(self._run(entry, wanted), name=f"batch {entry.job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, entry: Handing, wanted: Wanted | None) -> None:
        try:
            found = await self._sent(entry, wanted)
            if found is not None:
                found = await self._awaited(entry, found)
            if found is not None and found.status != "failed":
                await self._take_in(entry, found)
            else:
                await self._give_up(entry, is_declined=found is not None or wanted is not None)
        except (StoreError, OSError, sqlite3.Error) as error:
            log.error("job_trouble", reason=str(error))
        finally:
            if self._open.get(entry.job.id) is entry:
                del self._open[entry.job.id]

    async def _sent(self, entry: Handing, wanted: Wanted | None) -> Standing | None:
        """The batch there, made now or before; None where there is none."""
        if wanted is not None:
            try:
                return await self._create(entry, wanted)
            except (Declined, JournalUnwritable) as error:
                log.warning("batch_declined", batch=entry.job.id, reason=str(error))
                return None
            except ProviderError as error:
                log.warning("batch_uncertain", batch=entry.job.id, reason=error.message)
                if entry.handed.state == "creating" and may_be_made(error):
                    await self._stands(entry, state="lost")
        if entry.handed.state == "uploading":
            return None
        if entry.handed.state == "running":
            return Standing(entry.handed.batch, "validating")
        return await self._found(entry)

    async def _create(self, entry: Handing, wanted: Wanted) -> Standing:
        work, there, provider = self._work, self._there[entry.provider.kind], entry.provider
        await work.insist(work.store.change, entry.job)
        file_id = await asked(entry, partial(there.upload, provider, wanted))
        entry.now(state="creating", file=file_id)
        await work.insist(work.store.hand_on, entry.job, entry.lines.values())
        if entry.job.status == "cancelling":
            raise Declined("it was cancelled before")
        self._offers.write_down(entry.holds.values())
        return await self._known(entry, await asked(entry, partial(there.create, provider, file_id, wanted)))

    async def _known(self, entry: Handing, found: Standing) -> Standing:
        """From now on it is known what it is called there."""
        await self._stands(entry, state="running", batch=found.id)
        log.info("batch_handed_on", batch=entry.job.id, provider=entry.provider.name, provider_batch=found.id)
        return found

    async def _stands(self, entry: Handing, **how: Any) -> None:
        """So it stands there, and a next start knows."""
        entry.now(**how)
        await self._work.insist(self._work.store.change, entry.job)

    async def _found(self, entry: Handing) -> Standing | None:
        """The batch whose making was cut off; None once it is known that there is none."""
        looks, wait, there = 0, _BETWEEN_LOOKS_SECONDS, self._there[entry.provider.kind]
        wanted = Wanted(entry.job.id, entry.job.endpoint, list(entry.lines))
        since = entry.job.created_ms / 1000 - DAY_SECONDS
        while looks < _LOOKS:
            try:
                found = await there.find(entry.provider, wanted, since)
                if found is not None:
                    return await self._known(entry, found)
                looks += 1
            except (Declined, ProviderError) as error:
                log.warning("batch_uncertain", batch=entry.job.id, reason=str(error))
                if is_final(error) or entry.is_past:
                    looks += 1
                    await self._stands(entry, state="lost")
            wait = await rest(entry, wait)
        if entry.handed.state != "lost":
            return None
        log.error("batch_lost", batch=entry.job.id, provider=entry.provider.name)
        return Standing("", "lost")

    async def _awaited(self, entry: Handing, found: Standing) -> Standing | None:
        """How it stands once it is over; None where its provider does not know it any more."""
        wait, is_told, there = _FIRST_WAIT_SECONDS, False, self._there[entry.provider.kind]
        while not found.is_over:
            wait = await rest(entry, wait)
            now = self._api.parts.exchange.accounts.find(entry.handed.provider, entry.handed.tenant)
            entry.provider = now if now is not None and now.kind == entry.provider.kind else entry.provider
            try:
                if entry.job.status == "cancelling" and not is_told:
                    await there.cancel(entry.provider, found.id)
                    is_told = True
                found = await there.see(entry.provider, found.id)
            except (Declined, ProviderError) as error:  # it is there, whatever its provider says at the moment
                log.warning("batch_uncertain", batch=entry.job.id, reason=str(error))
                if entry.is_past:
                    return Standing(found.id, "lost")
            if found.counts != entry.handed.counts:
                await self._stands(entry, counts=found.counts)
        if found.status == "failed":
            log.warning("batch_declined", batch=entry.job.id, reason=str(found.errors))
        return found

    async def _take_in(self, entry: Handing, found: Standing) -> None:
        """Every line has its end, whether the provider has one for it or not; those taken in before are passed over."""
        for file_id in filter(None, (found.output_file_id, found.error_file_id)):
            await self._read_results(entry, file_id)
        for request_id in list(entry.holds | entry.lines):
            await self._ended(entry, request_id, unanswered(found.status))
        ended: Ended | None = "expired" if found.status == "expired" else None
        await as_often_as_it_takes(lambda: finish(self._work, self._hooks, entry.job, entry.file, ended))
        await self._remove(entry.provider, entry.handed.file, found.output_file_id, found.error_file_id)

    async def _remove(self, provider: Provider, *files: str | None) -> None:
        """Remove what lies there, as far as that can be."""
        for file_id in filter(None, files):
            with contextlib.suppress(Declined, ProviderError):
                await self._there[provider.kind].remove(provider, file_id)

    async def _read_results(self, entry: Handing, file_id: str) -> None:
        """Read a file of results, from its beginning where it breaks off."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                async for request_id, answered in self._there[entry.provider.kind].results(entry.provider, file_id):
                    await self._ended(entry, request_id, answered)
            except ProviderError as error:
                log.warning("batch_uncertain", batch=entry.job.id, reason=error.message)
                wait = await rest(entry, wait)
            else:
                return

    async def _ended(self, entry: Handing, request_id: str, answered: Answered) -> None:
        """One line: in the database first, so that what it has saved is counted once; then in the books."""
        work, task, hold = self._work, entry.lines.pop(request_id, None), entry.holds.pop(request_id, None)
        billed = None if hold is None else self._offers.billed(entry.provider, hold, answered)
        if task is not None:
            pusd = (0, 0) if billed is None else (billed.settlement.cost_pusd, billed.saved_pusd)

            def keep() -> None:
                sealed = sealed_result(work, entry.file, task, answered)
                work.store.end(task, sealed, is_good=answered.is_good, pusd=pusd)

            await work.insist(keep)
        if hold is not None and billed is not None:
            self._offers.settle(hold, answered, billed, entry.handed.batch)

    async def _give_up(self, entry: Handing, *, is_declined: bool) -> None:
        """There is no such batch: its lines are answered one by one, unless it may be handed on anew."""
        if entry.handed.state == "uploading":
            self._offers.free(entry.holds.values())
        else:
            for hold in entry.holds.values():
                self._offers.void(hold)
        entry.now(state="refused")
        work, uploaded = self._work, entry.handed.file
        if not is_declined:
            entry.job = replace(entry.job, handed=None)
        await work.insist(work.store.take_back, entry.job)
        is_anew = not is_declined and entry.job.status == "in_progress"
        tasks = await work.insist(work.store.waiting, entry.job.id, max(1, entry.job.total)) if is_anew else []
        if not (is_anew and await self.take(entry.job, entry.file, tasks)):
            self.enter(entry.job, entry.file)
        await self._remove(entry.provider, uploaded)


def _nobody(job: Job, file: KeptFile) -> None:
    """Nobody is there yet."""
