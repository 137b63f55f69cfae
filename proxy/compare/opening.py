"""Comparisons, feedback and judges as parts of a daemon: who is asked, and where what they find is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from proxy.compare.copying import Copies
from proxy.compare.feedback import FeedbackSurface
from proxy.compare.judging import ReplyObservers
from proxy.compare.surface import CompareSurface
from proxy.errors import LedgerUnusable
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.policy.routing.observing import Observed
from proxy.stores.failures import StoreError
from proxy.stores.feedback import Feedback, keep_feedback
from proxy.stores.journal.records import Row
from proxy.web.client.api import Api

_FLUSH_SECONDS = 5.0


def open_compare(api: Api, books: Bookkeeping, judged: Callable[[str], None]) -> None:
    """Be asked from now on, and listen to replies; `judged` is told of each name whose reply a judge finds wanting."""
    api.parts.observers, api.parts.copies = ReplyObservers(api, books, judged), Copies(api)
    kept = _Kept(books, api.parts.router.observed)
    api.parts.own["tollkeeper/compare"] = CompareSurface(api, kept.keep)
    api.parts.own["tollkeeper/feedback"] = FeedbackSurface(kept.find, kept.keep)


class _Kept:
    """The ledger, as these two need it. Raises `LedgerUnusable`."""

    def __init__(self, books: Bookkeeping, observed: Observed) -> None:
        self._books = books
        self._observed = observed

    async def find(self, request_id: str) -> list[Row]:
        """The rows of a call, those the ledger has not taken in yet among them."""
        try:
            await asyncio.to_thread(self._books.writer.flush, _FLUSH_SECONDS)
            return await asyncio.to_thread(self._books.files.find, request_id)
        except StoreError as error:
            raise LedgerUnusable(str(error)) from None

    async def keep(self, given: list[Feedback]) -> None:
        """Write down."""
        try:
            work = partial(keep_feedback, given=given, at_ms=int(time.time() * 1000))
            await asyncio.wrap_future(self._books.writer.do(work))
            for one in given:
                self._observed.thought(one.request_id, one.label, one.score_milli / 1000)
        except StoreError as error:
            raise LedgerUnusable(str(error)) from None
