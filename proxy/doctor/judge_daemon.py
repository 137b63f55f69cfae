"""What was seen of the daemon, its ports, its metrics and its unit: pass, warn or fail. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from proxy.config.problems import number_of
from proxy.doctor.check import Check, failed, passed, warned
from proxy.doctor.seen import ConfigSeen, DaemonSeen, PortSeen, ScrapeSeen, UnitSeen, WebhooksSeen
from proxy.policy.tenants import name_of_owner
from proxy.stores.secrets.master_keys import VARIABLE

# the bounds of the alerts in prometheus/rules.yml
SLOW_LOOP_SECONDS = 0.25
LATE_LEDGER_SECONDS = 60.0
RELOADED = "tollkeeper_config_last_reload_successful"
LOOP_LAG = "tollkeeper_event_loop_lag_seconds"
LEDGER_LAG = "tollkeeper_ledger_lag_seconds"


def daemon_checks(seen: DaemonSeen, config: ConfigSeen, version: str) -> list[Check]:
    """Whether one runs, and whether it is the one this command belongs to."""
    lock = _lock(seen)
    if seen.is_hidden:
        step = "run this as the daemon's user or as root"
        return [warned("daemon", "control socket", f"this user may not ask the daemon ({seen.trouble})", step)]
    if seen.trouble:
        step = "look at its log, then restart it"
        return [failed("daemon", "control socket", f"it is there and does not answer ({seen.trouble})", step), lock]
    if not seen.answers:
        return [passed("daemon", "control socket", "no daemon runs on this state directory"), lock]
    who = f"process {seen.pid}, version {seen.version}" if seen.pid else "a daemon of another version"
    if seen.version != version:
        found = f"{who}; this command is of version {version}"
        return [warned("daemon", "control socket", found, "restart the daemon"), lock]
    if seen.config != (config.file and os.path.abspath(config.file)):
        found = f"{who}, started with {seen.config or 'the environment alone'}"
        return [warned("daemon", "control socket", found, "give this command the same --config"), lock]
    return [passed("daemon", "control socket", f"{who} answers"), lock, *_unspoken(seen)]


def _unspoken(seen: DaemonSeen) -> list[Check]:
    """What it found out: calls in these protocols are said in another."""
    return [
        passed("daemon", "protocols", f"{name} was seen not to speak {' and '.join(sorted(apis))}; calls go as chat")
        for name, apis in seen.unspoken.items()
    ]


def _lock(seen: DaemonSeen) -> Check:
    if seen.holder is None:
        return passed("daemon", "lock", "free")
    who = f"process {seen.holder}" if seen.holder else "a process that cannot be named"
    if seen.answers:
        return passed("daemon", "lock", f"held by {who}")
    if seen.is_stopped:
        return failed(
            "daemon", "lock", f"held by {who}, which is stopped, as by SIGSTOP or Ctrl-Z", f"kill -CONT {seen.holder}"
        )
    kill = f"if it is a daemon that hangs: kill {seen.holder}, and where that does nothing kill -9 {seen.holder}"
    step = kill if seen.holder else "find it: fuser -v lock"
    found = f"held by {who}, which answers nothing: a daemon that starts or hangs, or a command at work"
    return warned("daemon", "lock", found, step)


def sealed_checks(config: ConfigSeen, daemon: DaemonSeen) -> list[Check]:
    """Whether stored secrets can be opened where they are needed: by the daemon, which may have master keys of its own."""
    there = daemon.unopened
    here = {f"{entry.section}.{entry.name}": entry.unreadable for entry in config.unopened}
    if there is None:
        return [_sealed_here(place, why, runs=daemon.answers) for place, why in here.items()]
    step = "put that master key back where the daemon has it, then `tollkeeper reload`; or store the secret again"
    lost = [
        failed("config", "stored secret", f"the daemon cannot open that of {place}: {why}", step)
        for place, why in there.items()
    ]
    found = "that of {} can be opened by the daemon alone, which has master keys that are not here"
    return [*lost, *(passed("config", "stored secret", found.format(place)) for place in here if place not in there)]


def _sealed_here(place: str, why: str, *, runs: bool) -> Check:
    if runs:
        found = f"that of {place} cannot be opened here, and the daemon does not tell whether it can: {why}"
        return warned("config", "stored secret", found, "tollkeeper secrets status")
    step = f"put it back; if the daemon gets it as {VARIABLE} or a systemd credential, run this as it is run"
    return failed("config", "stored secret", f"that of {place} cannot be opened: {why}", step)


def webhook_checks(seen: WebhooksSeen) -> list[Check]:
    """Whether clients hear of their jobs."""
    if seen.trouble:
        return [warned("daemon", "webhooks", f"the jobs cannot be read ({seen.trouble})", "look at the daemon's log")]
    step = "when it takes messages again: tollkeeper webhooks replay MESSAGE (tollkeeper webhooks list)"
    off = [f"{one.host} of {name_of_owner(one.key)} is switched off: {one.reason}" for one in seen.off]
    return [warned("daemon", "webhooks", found, step) for found in off]


def port_checks(ports: list[PortSeen], *, runs: bool) -> list[Check]:
    """With a daemon its ports answer; without one they can be listened on."""
    return [check for port in ports for check in (_serving(port) if runs else [_free(port)])]


def _serving(port: PortSeen) -> list[Check]:
    name = f"{port.name} port"
    if port.trouble:
        step = f"curl -v {port.address}/healthz; then look at the daemon's log"
        return [failed("ports", name, f"{port.address} does not answer ({port.trouble})", step)]
    if port.problems:
        step = "see the state group, and the daemon's log"
        return [failed("ports", name, f"{port.address} is not ready: {problem}", step) for problem in port.problems]
    drawing = [_drawing(row) for row in port.drawing]
    return [passed("ports", name, f"{port.address} is alive and ready"), *drawing]


def _drawing(row: dict[str, Any]) -> Check:
    """One provider that draws: by which protocol, and whether it is left alone."""
    provider, alone = str(row.get("provider")), row.get("left_alone")
    models = f", {number_of(row['models'], 'model')}" if row.get("models") is not None else ""
    if row.get("breaker") == "open":
        step = f"see the group of the provider {provider}; a probe goes out by itself"
        return warned("pictures", provider, "has failed several times in a row and is left alone for a while", step)
    if isinstance(alone, list) and alone:
        named = ", ".join(map(str, alone[:3]))
        return warned(
            "pictures", provider, f"{named} failed several times in a row", "ask for pictures of another model"
        )
    return passed("pictures", provider, f"draws by {row.get('by')}{models}")


def _free(port: PortSeen) -> Check:
    name = f"{port.name} port"
    if port.is_taken and port.holder.startswith("systemd "):
        return passed("ports", name, f"{port.address} is held by {port.holder}, for the daemon it starts")
    setting = "listen" if port.name == "data" else port.name
    if port.is_taken:
        step = f"stop it, or set {setting}.port to another one"
        return failed("ports", name, f"{port.address} is taken by {port.holder or 'another process'}", step)
    if port.trouble:
        found = f"{port.address} cannot be listened on ({port.trouble})"
        return failed("ports", name, found, f"correct {setting}.host and {setting}.port")
    return passed("ports", name, f"{port.address} is free")


def scrape_checks(seen: ScrapeSeen) -> list[Check]:
    """What a running daemon says of itself."""
    if seen.trouble:
        step = "curl the admin port's /metrics; with an admin token: -H 'Authorization: Bearer TOKEN'"
        return [failed("scrape", "metrics", f"/metrics cannot be read ({seen.trouble})", step)]
    missing = [name for name in (RELOADED, LOOP_LAG, LEDGER_LAG) if name not in seen.values]
    if missing:
        return [failed("scrape", "metrics", f"/metrics lacks {', '.join(missing)}", "restart the daemon")]
    loop, ledger = seen.values[LOOP_LAG], seen.values[LEDGER_LAG]
    return [
        passed("scrape", "metrics", "/metrics can be read"),
        passed("scrape", "reload", "the last configuration read is in use")
        if seen.values[RELOADED]
        else failed(
            "scrape",
            "reload",
            "the last reload was refused; the daemon goes on with the former configuration",
            "correct the file (`tollkeeper check`), then send SIGHUP again",
        ),
        passed("scrape", "event loop", f"longest stall of the last 30 s: {loop * 1000:.0f} ms")
        if loop <= SLOW_LOOP_SECONDS
        else warned(
            "scrape",
            "event loop",
            f"it stalls for {loop * 1000:.0f} ms; every call waits that long",
            "look for an overloaded machine: uptime, vmstat 1",
        ),
        passed("scrape", "ledger", f"{ledger:.0f} s behind the journal")
        if ledger <= LATE_LEDGER_SECONDS
        else warned(
            "scrape",
            "ledger",
            f"{ledger:.0f} s behind the journal; nothing is lost, reports are late",
            "look for ledger_trouble in the log",
        ),
    ]


def unit_checks(seen: UnitSeen, *, runs: bool) -> list[Check]:
    """The service of systemd, where that is used."""
    if seen.trouble:
        return [warned("systemd", "unit", f"systemctl gave no answer ({seen.trouble})", "systemctl status tollkeeper")]
    if not seen.exists:
        return [passed("systemd", "unit", "not used; no unit is installed")]
    if not seen.manager_runs:
        return [passed("systemd", "unit", "not used; a unit is installed, but systemd does not run here")]
    control = "systemctl --user" if seen.is_user else "systemctl"
    log = "journalctl --user -u tollkeeper" if seen.is_user else "journalctl -u tollkeeper"
    loaded = seen.service.get("LoadState", "")
    if loaded != "loaded":
        step = f"{control} cat tollkeeper; {control} daemon-reload"
        return [failed("systemd", "unit", f"the unit cannot be used ({loaded or 'not loaded'})", step)]
    return [_enabled(seen, control), _active(seen, control, log, runs=runs)]


def _enabled(seen: UnitSeen, control: str) -> Check:
    states = seen.service.get("UnitFileState", ""), seen.socket.get("UnitFileState", "")
    if "enabled" in states or "enabled-runtime" in states or "static" in states[0]:
        by = "" if states[0].startswith("enabled") else ", by its socket"
        return passed("systemd", "enabled", f"it starts at boot{by}")
    found = f"it does not start at boot ({states[0] or 'unknown'})"
    return warned("systemd", "enabled", found, f"{control} enable tollkeeper")


def _active(seen: UnitSeen, control: str, log: str, *, runs: bool) -> Check:
    state, restarts = seen.service.get("ActiveState", ""), _count(seen.service, "NRestarts")
    if state == "active" and not restarts:
        return passed("systemd", "active", "active")
    if state == "active":
        found = f"active, after {restarts} restarts because it failed or hung"
        return warned("systemd", "active", found, f"{log} -n 100")
    if state == "failed":
        found = f"failed ({seen.service.get('Result', '')})"
        return failed("systemd", "active", found, f"{log} -n 50; {control} reset-failed tollkeeper")
    if seen.socket.get("ActiveState") == "active":
        return passed("systemd", "active", "its socket listens; the first call starts it")
    step = "stop one of the two" if runs else f"{control} start tollkeeper"
    also = "; the daemon that runs was started otherwise" if runs else ""
    return warned("systemd", "active", f"{state or 'unknown'}{also}", step)


def _count(properties: Mapping[str, str], name: str) -> int:
    text = properties.get(name, "")
    return int(text) if text.isdigit() else 0
