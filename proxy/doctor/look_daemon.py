"""Looks at the daemon: who answers on the control socket, what its ports say, or who has them instead."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec

from proxy.doctor.local_http import address_of, ask, connect_unix, reachable_address, reason
from proxy.doctor.seen import DaemonSeen, PortSeen, ScrapeSeen
from proxy.observe.holders import is_stopped, who_has
from proxy.policy.values import Listen, Settings
from proxy.stores.lock import SOCKET_NAME, holder_of

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)


def look_at_daemon(state_dir: str) -> DaemonSeen:
    """Ask who it is. A daemon of a version that cannot tell answers all the same."""
    holder = _holder(Path(state_dir))
    try:
        status, body = ask(f"unix:{state_dir}/{SOCKET_NAME}", "/status", method="POST")
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        if isinstance(error, OSError) and error.errno in _ABSENT:
            return DaemonSeen(holder=holder, is_stopped=is_stopped(holder or 0))
        trouble, is_hidden = (
            (reason(error), isinstance(error, PermissionError))
            if isinstance(error, OSError)
            else ("not in JSON", False)
        )
        return DaemonSeen(trouble=trouble, is_hidden=is_hidden, holder=holder, is_stopped=is_stopped(holder or 0))
    if status != 200:
        return DaemonSeen(answers=True, holder=holder)
    names = ("pid", "version", "config", "url", "admin_url")
    unspoken = told.get("unspoken", {})
    unopened = _unopened(state_dir)
    rest = {name: told[name] for name in names}
    return DaemonSeen(answers=True, holder=holder, unspoken=unspoken, unopened=unopened, **rest)


def _unopened(state_dir: str) -> dict[str, str] | None:
    """The stored entries that it cannot open, and why: its master keys may be such as only it has."""
    try:
        status, body = ask(f"unix:{state_dir}/{SOCKET_NAME}", "/secrets", method="POST")
        rows = msgspec.json.decode(body, type=dict[str, Any])["unreadable"] if status == 200 else None
    except (OSError, msgspec.DecodeError, KeyError):
        return None
    return None if rows is None else {row["entry"]: row["problem"] for row in rows}


def _holder(state_dir: Path) -> int | None:
    try:
        return holder_of(state_dir)
    except OSError:
        return None


def look_at_ports(settings: Settings, daemon: DaemonSeen) -> list[PortSeen]:
    """Where the daemon says it listens, else where the configuration says."""
    listens = (("data", settings.listen, daemon.url), ("admin", settings.admin, daemon.admin_url))
    if daemon.answers:
        return [_served(name, told or address_of(where)) for name, where, told in listens]
    return [_unused(name, where) for name, where, _ in listens]


def _served(name: str, address: str) -> PortSeen:
    try:
        alive, _ = ask(reachable_address(address), "/healthz")
        ready, body = ask(reachable_address(address), "/readyz?verbose")
    except OSError as error:
        return PortSeen(name, address, trouble=reason(error))
    if alive == ready == 200:
        return PortSeen(name, address, drawing=_drawing(body))
    return PortSeen(name, address, problems=_problems(body) or (f"it answered {alive} and {ready}",))


def _drawing(body: bytes) -> tuple[dict[str, Any], ...]:
    """How providers fare that draw; nothing of the data port."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any]).get("images")
    except msgspec.DecodeError:
        return ()
    return tuple(row for row in told if isinstance(row, dict)) if isinstance(told, list) else ()


def _problems(body: bytes) -> tuple[str, ...]:
    try:
        problems = msgspec.json.decode(body, type=dict[str, Any]).get("problems")
    except msgspec.DecodeError:
        return ()
    return tuple(map(str, problems)) if isinstance(problems, list) else ()


def _unused(name: str, where: Listen) -> PortSeen:
    address = address_of(where)
    try:
        if where.socket is not None:
            return PortSeen(name, address, is_taken=_somebody_listens(Path(where.socket)))
        _try_to_listen(where)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return PortSeen(name, address, trouble=reason(error))
        return PortSeen(name, address, is_taken=True, holder=who_has(where.port))
    return PortSeen(name, address)


def _try_to_listen(where: Listen) -> None:
    """Take the address as the daemon would, and give it back."""
    family, kind, _, _, address = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)


def _somebody_listens(path: Path) -> bool:
    """Nobody, where the file is left over; the daemon replaces it. Raises OSError where it cannot be made."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK):
            raise OSError(errno.EACCES, f"{path.parent} cannot be written") from None
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            connect_unix(sock, path)
        except ConnectionRefusedError:
            return False
    return True


def look_at_metrics(settings: Settings, daemon: DaemonSeen) -> ScrapeSeen:
    """Scrape it once, as Prometheus would."""
    from prometheus_client.parser import text_string_to_metric_families

    address = reachable_address(daemon.admin_url or address_of(settings.admin))
    token = settings.admin_token
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    try:
        status, body = ask(address, "/metrics", headers)
        if status != 200:
            return ScrapeSeen(trouble=f"status {status}")
        families = list(text_string_to_metric_families(body.decode()))
    except OSError as error:
        return ScrapeSeen(trouble=reason(error))
    except ValueError:
        return ScrapeSeen(trouble="it is no text of Prometheus")
    return ScrapeSeen({sample.name: sample.value for family in families for sample in family.samples})
