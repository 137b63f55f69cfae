"""Listens to the replies of names that want it: how long they take beside each other, and what a judge says of some.

A judge's question is a call like any other, made once the client has its reply: under a budget of the judge's own, and those of
the caller's tenant and of everybody, with the keys of that tenant. No word of a reply or of an answer is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from functools import partial

import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxy.compare.cells import begin_chat
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.listening import ReplyObserver
from proxy.exchange.record import Record
from proxy.policy.quality.judging import Scene, is_sampled, keeps_to_it, question, scene_of
from proxy.policy.quality.pace import Pace
from proxy.policy.quality.values import JUDGED, Judge, Watch
from proxy.policy.tenants import in_name_of
from proxy.policy.values import Caller
from proxy.stores.failures import StoreError
from proxy.stores.feedback import Feedback, keep_feedback
from proxy.stores.flags import Flagged, keep_flags
from proxy.web.client.api import Api
from proxy.wire.call import Call

log = structlog.get_logger()

MOST_AT_ONCE = 4  # what comes beside so many is not judged


class Question(Struct, frozen=True):
    """A reply that is to be judged: whose it was, and what it was given to."""

    judge: Judge
    caller: Caller
    record: Record
    scene: Scene


class ReplyObservers:
    """Owned by the daemon, and of its event loop but for the pace."""

    def __init__(self, api: Api, books: Bookkeeping, judged: Callable[[str], None]) -> None:
        """`judged` is told the name whose reply was found wanting."""
        self._api = api
        self._books = books
        self._judged = judged
        self._loop = asyncio.get_running_loop()
        self._under_way: set[asyncio.Task[None]] = set()
        self.pace = Pace()

    def observer_for(self, record: Record, call: Call, watch: Watch, caller: Caller) -> ReplyObserver:
        """For a call that is about to go out, as it will be sent."""
        judge, asked = watch.judge, None
        if judge is not None and len(call.body) <= LARGE and is_sampled(record.request_id, judge.sample):
            asked = Question(judge, caller, record, scene_of(call))
        return _ReplyObserver(self, record, asked)

    def soon(self, asked: Question, reply: str) -> None:
        """Have a reply judged; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the daemon at its end
            self._loop.call_soon_threadsafe(self._begin, asked, reply)

    def _begin(self, asked: Question, reply: str) -> None:
        if self._api.parts.closing is None and len(self._under_way) < MOST_AT_ONCE:
            task = asyncio.create_task(self._judge(asked, reply), name="judge a reply")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _judge(self, asked: Question, reply: str) -> None:
        judge = asked.judge
        caller = replace(in_name_of(judge.scope, asked.caller), default_model=None, max_output=None)
        connection = begin_chat(self._api, caller, judge.model, question(judge.rubric, asked.scene, reply))
        record = await connection.over
        keeps = None if connection.error else keeps_to_it("".join(connection.text))
        told = {"request_id": asked.record.request_id, "judged_by": record.request_id}
        if keeps is None:
            log.warning("not_judged", **told, reason=connection.error or "the judge's answer cannot be read")
            return
        log.info("judged", **told, flags=() if keeps else (JUDGED,))
        if not keeps:
            self._judged(asked.record.label or "")
        with contextlib.suppress(StoreError):  # of a ledger that is locked or full others tell
            await asyncio.wrap_future(self._books.writer.do(partial(_keep, asked=asked, keeps=keeps)))
        self._api.parts.router.observed.thought(asked.record.request_id, "judge", 1.0 if keeps else -1.0)


class _ReplyObserver:
    """Of one call; used by the thread that tells of calls."""

    def __init__(self, observers: ReplyObservers, record: Record, asked: Question | None) -> None:
        self._observers = observers
        self._record = record
        self._asked = asked

    def is_slowest(self, seconds: float) -> bool:
        """Whether it took longer than nearly all of its name."""
        return self._observers.pace.is_slowest(self._record.label or "", seconds, stream=self._record.stream)

    def hear(self, text: str) -> None:
        """What a reply said that has come to its end."""
        if self._asked is not None and text.strip():
            self._observers.soon(self._asked, text)


def _keep(driver: sqlite3.Connection, asked: Question, keeps: bool) -> None:
    record, score = asked.record, 1000 if keeps else -1000
    keep_feedback(driver, [Feedback(record.request_id, asked.caller.name, score, "judge")], int(time.time() * 1000))
    if not keeps:
        keep_flags(driver, [Flagged(record.request_id, (JUDGED,), int(record.at * 1000))])
