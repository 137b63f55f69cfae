"""The sessions of agents on the files of a daemon that does not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from proxy.cli.stopped.state import Params, admin_api_of, journal_of
from proxy.policy.values import Settings
from proxy.stores.journal.journal import Journal
from proxy.stores.lock import StateLock
from proxy.web.operator.admin_api import AdminApi
from proxy.web.operator.answers import Answer
from proxy.web.operator.calls.sessions import (
    RaiseAsk,
    RaisedAnswer,
    SessionsAnswer,
    SessionsAsk,
    key_of_session,
    known_sessions,
    own_budgets,
    raised,
    raising,
    session_list,
)


def _sessions(settings: Settings, params: Params) -> SessionsAnswer:
    """Those used last."""
    admin_api = admin_api_of(settings)
    known = known_sessions(admin_api, msgspec.convert(params, SessionsAsk))
    return session_list(known, admin_api.books, time.time())


def _raise_session(settings: Settings, params: Params) -> RaisedAnswer:
    with StateLock(Path(settings.state_dir)), journal_of(settings) as journal:
        return _raised(admin_api_of(settings), journal, params)


def _raised(admin_api: AdminApi, journal: Journal, params: Params) -> RaisedAnswer:
    """Let one spend more; the lock is the caller's."""
    ask, now, books, files = msgspec.convert(params, RaiseAsk), time.time(), admin_api.books, admin_api.files
    key = key_of_session(files.keys_of_session(ask.session), admin_api, ask, now)
    books.open(own := own_budgets(books, key, ask.session), files.spent(own))
    wanted = raising(admin_api.settings, books, ask, key, now)
    for record in wanted.records:
        journal.append(record)
        books.adjust(record.budget, record.period, record.delta_pusd)
    return raised(books, wanted, now)


ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {"sessions": _sessions, "raise_session": _raise_session}
