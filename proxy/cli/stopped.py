"""The same answers and orders on the files of a daemon that does not run. Changes take its lock first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from proxy.cli.home import Home
from proxy.cli.stopped_experiments import ORDERS as EXPERIMENT_ORDERS
from proxy.cli.stopped_experiments import experiments_answer
from proxy.cli.stopped_provider import test_provider
from proxy.cli.stopped_sessions import raise_session, sessions
from proxy.cli.stopped_settings import STORE_ORDERS, on_ledger, settings_answer
from proxy.config.new_key import read_key_changes, read_new_key
from proxy.errors import ProxyError
from proxy.exchange.kept_lists import cached_images, kept_catalogue
from proxy.exchange.pricing import price_book
from proxy.policy.money.account import Standing
from proxy.policy.money.books import Books
from proxy.policy.money.credits import with_credits
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.resolution import Names
from proxy.policy.values import Settings
from proxy.stores.audit import anchor, append
from proxy.stores.backup import backup
from proxy.stores.failures import LockedBy, StateUnusable, StoreError
from proxy.stores.hash_key import hash_key
from proxy.stores.journal import Journal, JournalRules
from proxy.stores.keys import create_key, revoke_key, rotate_key, update_key
from proxy.stores.keyset import changes_of, key_set, make_key, new_secret
from proxy.stores.lock import StateLock
from proxy.stores.mark import mark_keyed
from proxy.stores.opening import open_ledger
from proxy.stores.queries import Files
from proxy.stores.replay import replay
from proxy.stores.use_cases import numbered_from
from proxy.stores.writer import Writer, WriterRules
from proxy.web.operator.actor import ACTOR, Actor
from proxy.web.operator.adjusting import AdjustAsk, adjusted, adjustment
from proxy.web.operator.admin_api import AdminApi, Declined, UsageAsk
from proxy.web.operator.alerting import OF_SETTINGS
from proxy.web.operator.answers import Answer, BackupAnswer, KeyRevokedAnswer
from proxy.web.operator.explain import ExplainAsk, explain
from proxy.web.operator.forecasts import forecasts
from proxy.web.operator.key_orders import (
    RotateAsk,
    changed,
    key_work,
    made,
    no_such_key,
    refuse_configured,
    refuse_terms,
    renamed,
    rotated,
)
from proxy.web.operator.model_orders import news_of
from proxy.web.operator.model_rows import Known, ModelsAsk
from proxy.web.operator.model_versions import ModelDiffAsk, model_diff
from proxy.web.operator.models import model_list
from proxy.web.operator.pictures import images_estimate, images_models
from proxy.web.operator.reconciliation import reconciliation
from proxy.web.operator.rights import RIGHTS
from proxy.web.operator.routing_orders import recommend
from proxy.web.operator.savings import savings, what_if
from proxy.web.operator.simulating import simulation
from proxy.web.operator.tenants import tenants_answer
from proxy.web.operator.trail import AuditAsk, VerifyAsk, audit_answer, heads_of, question, verdict_answer

if TYPE_CHECKING:
    from sqlalchemy import Connection

Params = dict[str, Any]


def answer(home: Home, order: str, params: Params, reason: str = "") -> dict[str, Any]:
    """Do what the daemon would; what cannot be done ends the command with a sentence."""
    state_dir = Path(home.state_dir)
    ACTOR.set(Actor(f"uid {os.geteuid()}", "the files", reason))
    effective = home.effective()
    try:
        if order not in _ORDERS and order not in STORE_ORDERS:
            raise Declined(f"no daemon runs at {state_dir}; start one with `tollkeeper serve`")
        _bring_up_to_date(state_dir)  # an older version had no settings to read before this
        if order in STORE_ORDERS:
            done = settings_answer(home.file, effective, order, params)
        else:
            settings = numbered_from(state_dir / "ledger.db", effective.loaded.settings)
            done = _ORDERS[order](settings, params)
        if RIGHTS[order].verb == "write":
            anchor(state_dir / "ledger.db")
        found: dict[str, Any] = msgspec.to_builtins(done)
        return found if order in STORE_ORDERS else with_credits(found, effective.loaded.settings.credits)
    except (Declined, ValueError, StoreError, ProxyError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(str(StateUnusable(state_dir, error))) from None


def _bring_up_to_date(state_dir: Path) -> None:
    """What an older version left is migrated first, as the daemon does at its start."""
    if Files(state_dir).is_of_older_version:
        with StateLock(state_dir):
            open_ledger(state_dir / "ledger.db")


def _admin_api(settings: Settings) -> AdminApi:
    """What a daemon would know right after its start."""
    files = Files(Path(settings.state_dir))
    keys = key_set(settings, files.stored_keys())
    books = Books(keys.budgets)
    for (budget, period), amount in files.spent(budget.id for budget in keys.budgets).items():
        books.load(budget, period, amount)
    holds = [orphan.hold for orphan in replay(Path(settings.state_dir) / "journal").holds]
    if missing := books.narrowed.missing({budget for hold in holds for budget, _ in hold.charges}):
        books.open(missing, files.spent(missing))
    for hold in holds:
        books.restore(hold.id, hold.key, hold.amount_pusd, hold.charges)
    return AdminApi(settings, files, books, *_names(settings), keys)


def _names(settings: Settings) -> tuple[Names, PriceBook]:
    catalogue = kept_catalogue(settings.state_dir)
    names = Names(settings, catalogue, {})
    return names, price_book(settings, names, catalogue, cached_images(settings.state_dir))


def _models(settings: Settings, params: Params) -> Answer:
    return model_list(Known(settings, *_names(settings)), msgspec.convert(params, ModelsAsk, strict=False))


def _standing(answer: Callable[[AdminApi, list[Standing], float], Answer], settings: Settings, _: Params) -> Answer:
    """What is answered from where the budgets stand."""
    admin_api, now = _admin_api(settings), time.time()
    return answer(admin_api, admin_api.books.state(now), now)


def _adjust(settings: Settings, params: Params) -> Answer:
    ask, now = msgspec.convert(params, AdjustAsk), time.time()
    with StateLock(Path(settings.state_dir)), _journal(settings) as journal:
        admin_api = _admin_api(settings)
        books = admin_api.books
        if missing := books.narrowed.missing([ask.budget]):
            books.open(missing, admin_api.files.spent(missing))
        record = adjustment(admin_api, ask, now)
        journal.append(record)
        books.adjust(record.budget, record.period, record.delta_pusd)
        return adjusted(books, record, now)


def _raise_session(settings: Settings, params: Params) -> Answer:
    with StateLock(Path(settings.state_dir)), _journal(settings) as journal:
        return raise_session(_admin_api(settings), journal, params)


def _create(settings: Settings, params: Params) -> Answer:
    asked = read_new_key(params)
    keys = key_set(settings, Files(Path(settings.state_dir)).stored_keys())
    refuse_terms(settings, keys, asked.name, asked)
    key, secret = make_key(asked, int(time.time() * 1000), hash_key(Path(settings.state_dir)))
    _run(settings, key_work("create", key.name, lambda connection: create_key(connection, key)))
    mark_keyed(settings)
    return made(key, secret, was_open=keys.is_open)


def _update(settings: Settings, params: Params) -> Answer:
    """Under another name the key goes on with what it has spent."""
    name, asked = params["key"], read_key_changes({k: v for k, v in params.items() if k != "key"})
    refuse_configured(settings, name)
    now, admin_api = time.time(), _admin_api(settings)
    refuse_terms(settings, admin_api.keys, name, asked)
    former, changes = admin_api.books.state(now), changes_of(asked)
    at_ms = int(now * 1000)
    work = key_work("update", name, lambda connection: update_key(connection, name, changes, at_ms), asked.name)
    if not _run(settings, work):
        raise no_such_key(name, _admin_api(settings).keys.each)
    carried = renamed(_admin_api(settings).books, former, (name, asked.name), now)
    if carried:
        with StateLock(Path(settings.state_dir)), _journal(settings) as journal:
            for record in carried:
                journal.append(record)
    return changed(name, asked, carried)


def _rotate(settings: Settings, params: Params) -> Answer:
    ask = msgspec.convert(params, RotateAsk)
    refuse_configured(settings, ask.key)
    (secret, key_hmac), times_ms = new_secret(hash_key(Path(settings.state_dir))), ask.times_ms(time.time())
    work = key_work("rotate", ask.key, lambda connection: rotate_key(connection, ask.key, key_hmac, times_ms))
    if not _run(settings, work):
        raise no_such_key(ask.key, _admin_api(settings).keys.each)
    return rotated(ask, secret, times_ms)


def _revoke(settings: Settings, params: Params) -> Answer:
    name, at_ms = params["key"], int(time.time() * 1000)
    refuse_configured(settings, name)
    if not _run(settings, key_work("revoke", name, lambda connection: revoke_key(connection, name, at_ms))):
        raise no_such_key(name, _admin_api(settings).keys.each)
    return KeyRevokedAnswer(name)


def _backup(settings: Settings, params: Params) -> Answer:
    """Bring the ledger up to date first, as the daemon does."""
    state_dir = Path(settings.state_dir)
    ledger = state_dir / "ledger.db"
    if not ledger.exists():
        raise Declined(f"there is no ledger in {state_dir}: nothing to copy")
    with StateLock(state_dir):
        if not _is_brought_in(settings):
            raise Declined("the ledger does not take what the journal has; no backup was made")
        backup(ledger, Path(params["file"]))
    told = ACTOR.get().deed("backup", params["file"], after=params)
    _run(settings, partial(append, deeds=[told]))
    return BackupAnswer(params["file"])


def _is_brought_in(settings: Settings) -> bool:
    """Bring what the journal has into the ledger; False where that takes it not. The lock is the caller's."""
    with _journal(settings) as journal:
        ledger = Path(settings.state_dir) / "ledger.db"
        writer = Writer(journal, ledger, WriterRules(), lambda sentence: click.echo(sentence, err=True))
        writer.start()
        return writer.stop()


def _audit(settings: Settings, params: Params) -> Answer:
    """Corrections of budgets come by way of the journal."""
    ask, state_dir = msgspec.convert(params, AuditAsk), Path(settings.state_dir)
    if (state_dir / "ledger.db").exists():
        with suppress(LockedBy), StateLock(state_dir):
            _is_brought_in(settings)
    return audit_answer(ask, Files(state_dir).audit(question(ask)))


def _run(settings: Settings, work: Callable[[Connection], Any]) -> Any:
    """Work on the ledger, made where there is none."""
    return on_ledger(Path(settings.state_dir), work)


@contextmanager
def _journal(settings: Settings) -> Iterator[Journal]:
    """The journal, to be written behind what the ledger has. The lock is the caller's."""
    state_dir = Path(settings.state_dir)
    _, position = Files(state_dir).booked(())
    rules = JournalRules("always", settings.money.journal_max_bytes)
    journal = Journal(state_dir / "journal", rules, replay(state_dir / "journal", position))
    try:
        yield journal
    finally:
        journal.close()


_ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "usage": lambda settings, params: _admin_api(settings).usage(msgspec.convert(params, UsageAsk)),
    "show": lambda settings, params: _admin_api(settings).show(params["request_id"]),
    "explain": lambda settings, params: explain(_admin_api(settings), msgspec.convert(params, ExplainAsk), time.time()),
    **{order: partial(experiments_answer, order) for order in EXPERIMENT_ORDERS},
    "alert_rules": lambda settings, _: OF_SETTINGS["alert_rules"](settings.alert_rules),
    "alert_rules_file": lambda settings, _: OF_SETTINGS["alert_rules_file"](settings.alert_rules),
    "models": _models,
    "model_news": lambda settings, params: news_of(Files(Path(settings.state_dir)), params, settings.money.zone),
    "images_models": lambda settings, params: images_models(_admin_api(settings), params),
    "images_estimate": lambda settings, params: images_estimate(_admin_api(settings), params, time.time()),
    "model_diff": lambda settings, params: model_diff(settings.state_dir, msgspec.convert(params, ModelDiffAsk)),
    "budgets": lambda settings, _: _admin_api(settings).budgets(time.time()),
    "reconciliation": lambda settings, params: reconciliation(_admin_api(settings), params, time.time()),
    "forecast": partial(_standing, forecasts),
    "savings": lambda settings, params: savings(_admin_api(settings), params, time.time()),
    "what_if": lambda settings, params: what_if(_admin_api(settings), params, time.time()),
    "simulate": lambda settings, params: simulation(_admin_api(settings), params)(),
    "recommend": lambda settings, params: recommend(_admin_api(settings), params),
    "adjust": _adjust,
    "test_provider": test_provider,
    "sessions": lambda settings, params: sessions(_admin_api(settings), params),
    "raise_session": _raise_session,
    "keys": partial(_standing, AdminApi.key_list),
    **dict.fromkeys(("tenants", "tenant"), lambda settings, params: tenants_answer(_admin_api(settings), params)),
    "create": _create,
    "update": _update,
    "rotate": _rotate,
    "revoke": _revoke,
    "backup": _backup,
    "audit": _audit,
    "audit_verification": lambda settings, params: verdict_answer(
        Files(Path(settings.state_dir)).audit_verdict(heads_of(msgspec.convert(params, VerifyAsk)))
    ),
}
