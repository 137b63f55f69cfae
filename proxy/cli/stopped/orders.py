"""The same answers and orders on the files of a daemon that does not run. Changes take its lock first.

An order imports what it needs, not what others do.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from proxy.cli.home import Home
from proxy.errors import ProxyError
from proxy.policy.money.credits import with_credits
from proxy.stores.audit import anchor
from proxy.stores.failures import StateUnusable, StoreError
from proxy.stores.questions.queries import Files
from proxy.stores.use_cases import numbered_from
from proxy.web.operator.access.actor import ACTOR, Actor
from proxy.web.operator.access.rights import RIGHTS
from proxy.web.operator.admin_api import Declined
from proxy.web.operator.answers import Answer

if TYPE_CHECKING:
    from proxy.stores.effective import Effective

Params = dict[str, Any]

# a module of this package -> the orders it does; those about settings and their secrets are `stopped_settings`'
SUBJECTS = {
    "money": ("usage", "show", "budgets", "forecast", "adjust", "tenants", "tenant"),
    "keys": ("keys", "create", "update", "rotate", "revoke"),
    "sessions": ("sessions", "raise_session"),
    "models": ("models", "model_news", "model_diff"),
    "routing": (
        "explain", "images_models", "images_estimate", "reconciliation", "savings", "what_if", "simulate", "recommend",
    ),
    "experiments": (
        "experiments", "experiment", "ramp_experiment", "hold_experiment", "rollback_experiment", "finish_experiment",
    ),
    "files": ("alert_rules", "alert_rules_file", "backup", "audit", "audit_verification"),
    "provider": ("test_provider",),
}  # fmt: skip
_MODULES = {order: module for module, orders in SUBJECTS.items() for order in orders}


def answer(home: Home, order: str, params: Params, reason: str = "") -> dict[str, Any]:
    """Do what the daemon would; what cannot be done ends the command with a sentence."""
    state_dir = Path(home.state_dir)
    ACTOR.set(Actor(f"uid {os.geteuid()}", "the files", reason))
    effective = home.effective()
    try:
        do = _of_subject(order) or _of_settings(home, order)
        if do is None:
            raise Declined(f"no daemon runs at {state_dir}; start one with `tollkeeper serve`")
        _bring_up_to_date(state_dir)  # an older version had no settings to read before this
        done = do(effective, params)
        if RIGHTS[order].verb == "write":
            anchor(state_dir / "ledger.db")
        found: dict[str, Any] = msgspec.to_builtins(done)
        return with_credits(found, effective.loaded.settings.credits) if order in _MODULES else found
    except (Declined, ValueError, StoreError, ProxyError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(str(StateUnusable(state_dir, error))) from None


def _of_subject(order: str) -> Callable[[Effective, Params], Answer] | None:
    """What does an order on the settings alone; None where it is none of those."""
    if order not in _MODULES:
        return None
    work = importlib.import_module(f"proxy.cli.stopped.{_MODULES[order]}").ORDERS[order]

    def do(effective: Effective, params: Params) -> Answer:
        settings = effective.loaded.settings
        done: Answer = work(numbered_from(Path(settings.state_dir) / "ledger.db", settings), params)
        return done

    return do


def _of_settings(home: Home, order: str) -> Callable[[Effective, Params], Answer] | None:
    """What does an order about settings and their secrets; None where it is none of those."""
    from proxy.cli.stopped.settings import STORE_ORDERS, settings_answer

    if order not in STORE_ORDERS:
        return None
    return lambda effective, params: settings_answer(home.file, effective, order, params)


def _bring_up_to_date(state_dir: Path) -> None:
    """What an older version left is migrated first, as the daemon does at its start."""
    if Files(state_dir).is_of_older_version:
        from proxy.stores.ledger.opening import open_ledger
        from proxy.stores.lock import StateLock

        with StateLock(state_dir):
            open_ledger(state_dir / "ledger.db")
