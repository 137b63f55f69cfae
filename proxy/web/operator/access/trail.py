"""Deeds that no transaction of their own writes down, and the head of the audit beside the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from proxy.stores.audit import AuditRow, Deed, anchor, append
from proxy.stores.failures import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger()

_MOST_WAITING = 1000
_SECRET_WORDS = ("secret", "token", "password", "authorization", "cookie", "api_key", "credential", "master_key")


def shown(params: Any) -> Any:
    """What an order was given, without what may be a secret by its name."""
    if isinstance(params, dict):
        return {
            name: "…" if isinstance(item, str) and any(word in name.lower() for word in _SECRET_WORDS) else shown(item)
            for name, item in params.items()
        }
    return [shown(item) for item in params] if isinstance(params, list) else params


def _log(row: AuditRow) -> None:
    told = {name: getattr(row, name) for name in ("seq", "actor", "source", "action", "target", "reason", "hash")}
    log.info("audited", **told)


def _nobody_listens(_: AuditRow) -> None:
    """Nobody wants to hear of it at once."""


class Trail:
    """What was written down is told in the log as well, and `told`; its hash there is one that nobody takes back who can write here.

    `run` works on the ledger in a transaction.
    """

    def __init__(self, run: Callable[[Callable[[Connection], Any]], Awaitable[Any]], state_dir: str) -> None:
        self.told: Callable[[AuditRow], object] = _nobody_listens
        self._run = run
        self._ledger = Path(state_dir) / "ledger.db"
        self._waiting: list[Deed] = []
        self._turn = asyncio.Lock()

    def note(self, deeds: Iterable[Deed]) -> None:
        """To be written down next time."""
        self._waiting = [*self._waiting, *deeds][-_MOST_WAITING:]

    async def catch_up(self) -> None:
        """Write down what waits, and have the head beside the ledger tell of the newest row. What cannot be written now
        waits on; nothing that was done is undone for it."""
        async with self._turn:
            try:
                if self._waiting:
                    deeds, self._waiting = self._waiting, []
                    await self._write(deeds)
                rows = await asyncio.to_thread(anchor, self._ledger)
            except (TimeoutError, StoreError, OSError) as error:
                log.warning("audit_waits", reason=str(error) or "the ledger cannot be written now")
                return
            for row in rows:
                _log(row)
                self.told(row)

    async def _write(self, deeds: list[Deed]) -> None:
        try:
            await self._run(lambda connection: append(connection, deeds))
        except BaseException:
            self._waiting = [*deeds, *self._waiting][-_MOST_WAITING:]
            raise
