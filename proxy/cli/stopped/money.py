"""What was spent, and where budgets stand, on the files of a daemon that does not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from proxy.cli.stopped.state import Params, admin_api_of, journal_of
from proxy.policy.values import Settings
from proxy.stores.lock import StateLock
from proxy.web.operator.admin_api import UsageAsk
from proxy.web.operator.answers import Answer
from proxy.web.operator.spending.adjusting import AdjustAsk, adjusted, adjustment
from proxy.web.operator.tenants import tenants_answer


def _forecast(settings: Settings, _: Params) -> Answer:
    from proxy.web.operator.spending.forecasts import forecasts

    admin_api, now = admin_api_of(settings), time.time()
    return forecasts(admin_api, admin_api.books.state(now), now)


def _adjust(settings: Settings, params: Params) -> Answer:
    ask, now = msgspec.convert(params, AdjustAsk), time.time()
    with StateLock(Path(settings.state_dir)), journal_of(settings) as journal:
        admin_api = admin_api_of(settings)
        books = admin_api.books
        if missing := books.narrowed.missing([ask.budget]):
            books.open(missing, admin_api.files.spent(missing))
        record = adjustment(admin_api, ask, now)
        journal.append(record)
        books.adjust(record.budget, record.period, record.delta_pusd)
        return adjusted(books, record, now)


ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "usage": lambda settings, params: admin_api_of(settings).usage(msgspec.convert(params, UsageAsk)),
    "show": lambda settings, params: admin_api_of(settings).show(params["request_id"]),
    "budgets": lambda settings, _: admin_api_of(settings).budgets(time.time()),
    "forecast": _forecast,
    "adjust": _adjust,
    **dict.fromkeys(("tenants", "tenant"), lambda settings, params: tenants_answer(admin_api_of(settings), params)),
}
