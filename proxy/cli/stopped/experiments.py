"""Experiments on the files of a daemon that does not run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.cli.stopped.state import Params, on_ledger
from proxy.exchange.routing.trials import Step, Trials, read_kept
from proxy.policy.experiments.values import switched_on
from proxy.policy.values import Settings
from proxy.stores.audit import append
from proxy.stores.database import raw, reading
from proxy.stores.experiments import keep_experiments, kept_experiments
from proxy.web.operator.access.actor import Actor
from proxy.web.operator.answers import Answer
from proxy.web.operator.experiments import ExperimentOrders, deed_of

if TYPE_CHECKING:
    from sqlalchemy import Connection


class _AdminApi(Struct):
    trials: Trials

    def has_model(self, _: str) -> bool:
        """Whoever has the files may know of all."""
        return True


def trials_of(settings: Settings) -> Trials:
    """Where a daemon would have its experiments stand right after its start."""
    trials = Trials()
    ledger, kept = Path(settings.state_dir) / "ledger.db", dict[str, bytes]()
    if ledger.exists():
        with reading(ledger) as driver:
            kept = kept_experiments(driver)
    trials.take_on(switched_on(settings.experiments, settings.features), read_kept(kept), time.time())
    return trials


class _Files:
    """A state directory in the place of the daemon's memory."""

    def __init__(self, settings: Settings) -> None:
        self._state_dir = Path(settings.state_dir)
        self._trials = trials_of(settings)

    def admin_api(self) -> _AdminApi:
        """Where orders find them."""
        return _AdminApi(self._trials)

    async def tell(self, steps: list[Step], actor: Actor) -> None:
        """Write them down."""
        kept, deeds = self._trials.news(), [deed_of(step, actor) for step in steps]
        on_ledger(self._state_dir, partial(_keep, kept=kept, deeds=deeds))


def _keep(connection: Connection, kept: dict[str, bytes], deeds: list[Any]) -> None:
    keep_experiments(raw(connection), kept, int(time.time() * 1000))
    append(connection, deeds)


def _answer(order: str, settings: Settings, params: Params) -> Answer:
    files = _Files(settings)
    return asyncio.run(_done(ExperimentOrders(files, files.tell), order, params))


async def _done(orders: ExperimentOrders, order: str, params: Params) -> Answer:
    return await orders.by_name[order](params)


_NAMES = (
    "experiments", "experiment", "ramp_experiment", "hold_experiment", "rollback_experiment", "finish_experiment",
)  # fmt: skip
ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {order: partial(_answer, order) for order in _NAMES}
