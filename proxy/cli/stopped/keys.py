"""Client keys on the files of a daemon that does not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from proxy.cli.stopped.state import Params, admin_api_of, journal_of, on_ledger
from proxy.config.new_key import read_key_changes, read_new_key
from proxy.exchange.background.renamed_keys import inherited, moved, unopened
from proxy.policy.money.account import Standing
from proxy.policy.values import Settings
from proxy.stores.keys import create_key, revoke_key, rotate_key, update_key
from proxy.stores.keyset import changes_of, key_set, make_key, new_secret
from proxy.stores.lock import StateLock
from proxy.stores.mark import mark_keyed
from proxy.stores.questions.queries import Files
from proxy.stores.secrets.hash_key import hash_key
from proxy.web.operator.admin_api import AdminApi
from proxy.web.operator.answers import Answer, KeyRevokedAnswer
from proxy.web.operator.key_orders import (
    RotateAsk,
    changed,
    key_work,
    made,
    no_such_key,
    refuse_configured,
    refuse_terms,
    rotated,
)


def _listed(settings: Settings, _: Params) -> Answer:
    admin_api, now = admin_api_of(settings), time.time()
    return admin_api.key_list(admin_api.books.state(now), now)


def _create(settings: Settings, params: Params) -> Answer:
    asked = read_new_key(params)
    keys = key_set(settings, Files(Path(settings.state_dir)).stored_keys())
    refuse_terms(settings, keys, asked.name, asked)
    key, secret = make_key(asked, int(time.time() * 1000), hash_key(Path(settings.state_dir)))
    on_ledger(Path(settings.state_dir), key_work("create", key.name, lambda connection: create_key(connection, key)))
    mark_keyed(settings)
    return made(key, secret, was_open=keys.is_open)


def _update(settings: Settings, params: Params) -> Answer:
    """Under another name the key goes on with what it has spent."""
    name, asked = params["key"], read_key_changes({k: v for k, v in params.items() if k != "key"})
    refuse_configured(settings, name)
    now, admin_api = time.time(), admin_api_of(settings)
    refuse_terms(settings, admin_api.keys, name, asked)
    names, changes = (name, asked.name or name), changes_of(asked)
    former = _standings(admin_api, names, now)
    at_ms = int(now * 1000)
    work = key_work("update", name, lambda connection: update_key(connection, name, changes, at_ms), asked.name)
    if not on_ledger(Path(settings.state_dir), work):
        raise no_such_key(name, admin_api_of(settings).keys.each)
    if asked.name in (None, name):
        return changed(name, asked, [])
    heir = admin_api_of(settings)
    _standings(heir, names, now)
    pairs = inherited(heir.books, former, names, now)
    if records := moved(pairs, names, now):
        with StateLock(Path(settings.state_dir)), journal_of(settings) as journal:
            for record in records:
                journal.append(record)
    return changed(name, asked, [record.budget for record in records[::2]])


def _standings(admin_api: AdminApi, names: tuple[str, str], now: float) -> list[Standing]:
    """Where all budgets stand, those of these keys' own among them."""
    books = admin_api.books
    own = unopened(books, names, now)
    books.open(own, admin_api.files.spent(own))
    return books.state(now) + books.own_state(now)


def _rotate(settings: Settings, params: Params) -> Answer:
    ask = msgspec.convert(params, RotateAsk)
    refuse_configured(settings, ask.key)
    (secret, key_hmac), times_ms = new_secret(hash_key(Path(settings.state_dir))), ask.times_ms(time.time())
    work = key_work("rotate", ask.key, lambda connection: rotate_key(connection, ask.key, key_hmac, times_ms))
    if not on_ledger(Path(settings.state_dir), work):
        raise no_such_key(ask.key, admin_api_of(settings).keys.each)
    return rotated(ask, secret, times_ms)


def _revoke(settings: Settings, params: Params) -> Answer:
    name, at_ms = params["key"], int(time.time() * 1000)
    refuse_configured(settings, name)
    if not on_ledger(
        Path(settings.state_dir), key_work("revoke", name, lambda connection: revoke_key(connection, name, at_ms))
    ):
        raise no_such_key(name, admin_api_of(settings).keys.each)
    return KeyRevokedAnswer(name)


ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "keys": _listed,
    "create": _create,
    "update": _update,
    "rotate": _rotate,
    "revoke": _revoke,
}
