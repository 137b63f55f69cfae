"""The whole visit: everything is looked at and judged, in the order an operator would."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from proxy import __version__
from proxy.config.load import load
from proxy.config.locate import locate
from proxy.config.problems import ConfigProblems
from proxy.doctor.check import Check, passed
from proxy.doctor.judge import (
    audit_checks,
    config_checks,
    journal_checks,
    key_checks,
    ledger_checks,
    news_check,
    price_checks,
    sqlite_checks,
    state_checks,
    zone_checks,
)
from proxy.doctor.judge_daemon import (
    daemon_checks,
    port_checks,
    scrape_checks,
    sealed_checks,
    unit_checks,
    webhook_checks,
)
from proxy.doctor.judge_provider import clock_checks, offline_checks, period_checks, provider_checks, sealed_check
from proxy.doctor.look_config import look_at_config, look_at_keys, look_at_prices
from proxy.doctor.look_daemon import look_at_daemon, look_at_metrics, look_at_ports
from proxy.doctor.look_provider import look_at_providers
from proxy.doctor.look_state import (
    look_at_audit,
    look_at_journal,
    look_at_ledger,
    look_at_periods,
    look_at_state,
    look_at_webhooks,
)
from proxy.doctor.look_systemd import look_at_unit
from proxy.doctor.seen import ConfigSeen, DaemonSeen
from proxy.policy.tenants import Accounts
from proxy.policy.values import Settings


def visit(path: Path | None, env: Mapping[str, str], *, offline: bool) -> list[Check]:
    """Look at everything around the installation that the configuration at `path` describes."""
    config = look_at_config(path, env)
    if config.settings is None:
        return _beside_a_broken_file(config, path, env)
    settings = config.settings
    daemon = look_at_daemon(settings.state_dir)
    checks = config_checks(config, runs=daemon.answers) + sealed_checks(config, daemon)
    keys, keys_seen = look_at_keys(settings)
    checks += key_checks(keys_seen)
    checks += _providers(config, daemon, offline=offline)
    checks += zone_checks(settings, config.tz)
    prices = look_at_prices(settings, keys)
    checks += [*price_checks(settings, prices), news_check(prices.news)]
    checks += _state(settings)
    checks += _daemon(config, settings, daemon)
    checks += unit_checks(look_at_unit(env), runs=daemon.answers)
    return checks


def _beside_a_broken_file(config: ConfigSeen, path: Path | None, env: Mapping[str, str]) -> list[Check]:
    """What can be known all the same: a daemon that runs has read the file when it was whole."""
    checks = config_checks(config)
    checks.append(passed("rest", "keys, providers, prices", "skipped; they stand in the configuration"))
    try:
        state_dir = locate(path, env).state_dir
    except ConfigProblems:
        return [*checks, *unit_checks(look_at_unit(env), runs=False)]
    settings, daemon = replace(load(None, {}).settings, state_dir=state_dir), look_at_daemon(state_dir)
    checks += _state(settings)
    checks += _daemon(config, settings, daemon) if daemon.answers else daemon_checks(daemon, config, __version__)
    return [*checks, *unit_checks(look_at_unit(env), runs=daemon.answers)]


def _providers(config: ConfigSeen, daemon: DaemonSeen, *, offline: bool) -> list[Check]:
    """Each with everybody's key, and with that of every tenant that has its own. Those whose key cannot be had here are
    not asked."""
    settings = config.settings
    assert settings is not None
    if offline:
        return [*offline_checks(list(settings.providers)), passed("clock", "offset", "skipped (--offline)")]
    asked = [provider for provider in settings.providers.values() if provider.name not in config.keyless]
    if not config.problems:  # else tenants' keys, too, may be such as cannot be had here
        accounts = Accounts(settings.providers, settings.tenants)
        asked += [provider for tenant in settings.tenants for provider in accounts.with_key_of(tenant).values()]
    seen = asyncio.run(look_at_providers([one for one in asked if not one.is_unreadable]))
    left_out = [
        passed(f"provider {name}", "reach", "skipped; its key cannot be had here") for name in sorted(config.keyless)
    ]
    left_out += [sealed_check(one, runs=daemon.answers) for one in asked if one.is_unreadable]
    return left_out + [check for one in seen for check in provider_checks(one)] + clock_checks(seen)


def _state(settings: Settings) -> list[Check]:
    seen = look_at_state(settings.state_dir)
    checks = state_checks(seen, settings.money.journal_max_bytes)
    checks += sqlite_checks(sqlite3.sqlite_version_info)
    if seen.exists and not seen.trouble:
        ledger = look_at_ledger(settings.state_dir)
        checks += ledger_checks(ledger)
        checks += period_checks(look_at_periods(settings))
        checks += audit_checks(look_at_audit(settings.state_dir), ledger)
        checks += journal_checks(look_at_journal(settings.state_dir))
        checks += webhook_checks(look_at_webhooks(settings.state_dir))
    return checks


def _daemon(config: ConfigSeen, settings: Settings, daemon: DaemonSeen) -> list[Check]:
    checks = daemon_checks(daemon, config, __version__)
    if daemon.trouble:
        return checks
    checks += port_checks(look_at_ports(settings, daemon), runs=daemon.answers)
    if not daemon.answers:
        return [*checks, passed("scrape", "metrics", "skipped; no daemon runs")]
    return checks + scrape_checks(look_at_metrics(settings, daemon))
