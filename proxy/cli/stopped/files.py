"""Backups, the audit and alert rules, on the files of a daemon that does not run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import msgspec

from proxy.cli.stopped.state import Params, journal_of, on_ledger
from proxy.policy.values import Settings
from proxy.stores.audit import append
from proxy.stores.failures import LockedBy
from proxy.stores.ledger.backup import backup
from proxy.stores.ledger.writer import Writer, WriterRules
from proxy.stores.lock import StateLock
from proxy.stores.questions.queries import Files
from proxy.web.operator.access.actor import ACTOR
from proxy.web.operator.access.audit import AuditAsk, VerifyAsk, audit_answer, heads_of, question, verdict_answer
from proxy.web.operator.admin_api import Declined
from proxy.web.operator.alerting import OF_SETTINGS
from proxy.web.operator.answers import Answer, BackupAnswer


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
    on_ledger(Path(settings.state_dir), partial(append, deeds=[told]))
    return BackupAnswer(params["file"])


def _is_brought_in(settings: Settings) -> bool:
    """Bring what the journal has into the ledger; False where that takes it not. The lock is the caller's."""
    with journal_of(settings) as journal:
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


ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "alert_rules": lambda settings, _: OF_SETTINGS["alert_rules"](settings.alert_rules),
    "alert_rules_file": lambda settings, _: OF_SETTINGS["alert_rules_file"](settings.alert_rules),
    "backup": _backup,
    "audit": _audit,
    "audit_verification": lambda settings, params: verdict_answer(
        Files(Path(settings.state_dir)).audit_verdict(heads_of(msgspec.convert(params, VerifyAsk)))
    ),
}
