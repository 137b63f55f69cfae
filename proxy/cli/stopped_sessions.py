"""The sessions of agents on the files of a daemon that does not run."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from proxy.stores.journal import Journal
from proxy.web.operator.admin_api import AdminApi
from proxy.web.operator.sessions import (
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


def sessions(admin_api: AdminApi, params: dict[str, Any]) -> SessionsAnswer:
    """Those used last."""
    known = known_sessions(admin_api, msgspec.convert(params, SessionsAsk))
    return session_list(known, admin_api.books, time.time())


def raise_session(admin_api: AdminApi, journal: Journal, params: dict[str, Any]) -> RaisedAnswer:
    """Let one spend more; the lock is the caller's."""
    ask, now, books, files = msgspec.convert(params, RaiseAsk), time.time(), admin_api.books, admin_api.files
    key = key_of_session(files.keys_of_session(ask.session), admin_api, ask, now)
    books.open(own := own_budgets(books, key, ask.session), files.spent(own))
    wanted = raising(admin_api.settings, books, ask, key, now)
    for record in wanted.records:
        journal.append(record)
        books.adjust(record.budget, record.period, record.delta_pusd)
    return raised(books, wanted, now)
