"""What the service manager is told: ready, how it stands, reloading, stopping, still alive (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Mapping

_LONGEST_INTERVAL = 5.0  # seconds; a status older than that is of no use to whoever looks
_TIMEOUT_SECONDS = 1.0  # seconds to wait for room in the manager's queue, where the message must not be lost
_USEC = re.compile(r"[0-9]{1,18}")  # 18 digits are 30,000 years; more is nonsense


class Notifier:
    """Speaks to the manager that started us; says nothing where there is none. No call ever fails."""

    def __init__(self, env: Mapping[str, str], pid: int | None = None) -> None:
        self._address = _address(env.get("NOTIFY_SOCKET", ""))
        self._socket = _open(self._address)
        self.watchdog_seconds = _watchdog_seconds(env, os.getpid() if pid is None else pid)
        self._status = ""

    @property
    def enabled(self) -> bool:
        """Whether there is a manager to speak to."""
        return self._socket is not None

    @property
    def interval(self) -> float:
        """Seconds between signs of life: two within each watchdog period, and a status that is fresh."""
        return min(_LONGEST_INTERVAL, (self.watchdog_seconds or 2 * _LONGEST_INTERVAL) / 2)

    def ready(self, status: str) -> bool:
        """Started, or done with reloading."""
        self._status = _line(status)
        return self._send(f"READY=1\nSTATUS={self._status}", _TIMEOUT_SECONDS)

    def reloading(self) -> bool:
        """The configuration is being read again; `ready` ends it. The time tells it from an earlier reload."""
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", _TIMEOUT_SECONDS)

    def stopping(self, status: str) -> bool:
        """No new calls are taken any more."""
        self._status = _line(status)
        return self._send(f"STOPPING=1\nSTATUS={self._status}", _TIMEOUT_SECONDS)

    def extend_timeout(self, seconds: float) -> bool:
        """Ask that starting or stopping may take this many seconds from now on."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", _TIMEOUT_SECONDS)

    def status(self, status: str) -> bool:
        """Say in one line how things stand, if that is news."""
        line = _line(status)
        if line == self._status:
            return self.enabled
        self._status = line
        return self._send(f"STATUS={line}")

    def alive(self) -> bool:
        """Feed the watchdog, if the manager keeps one."""
        return self.watchdog_seconds is not None and self._send("WATCHDOG=1")

    def close(self) -> None:
        """Say nothing from now on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str, timeout_seconds: float = 0.0) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.settimeout(timeout_seconds)  # 0 = not at all: the event loop must not wait for a busy manager
            self._socket.sendto(message.encode(errors="replace"), self._address)
        except OSError:  # nobody listens there, or its queue is full: calls matter more than being seen
            return False
        return True


async def keep_telling(notifier: Notifier, status: Callable[[], str]) -> None:
    """Feed the watchdog from the event loop, so that a blocked loop is noticed, and keep the status fresh."""
    while notifier.enabled:
        notifier.alive()
        notifier.status(status())
        await asyncio.sleep(notifier.interval)


def _address(written: str) -> bytes:
    """`/path` or `@name` of the abstract namespace; nothing where the variable holds anything else."""
    if not written.startswith(("/", "@")):
        return b""
    try:
        name = os.fsencode(written)
    except UnicodeEncodeError:
        return b""
    return b"\0" + name[1:] if name.startswith(b"@") else name


def _open(address: bytes) -> socket.socket | None:
    if not address:
        return None
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:  # not a descriptor left: the daemon will say so itself
        return None


def _watchdog_seconds(env: Mapping[str, str], pid: int) -> float | None:
    """The manager's period in seconds, if it watches this very process."""
    microseconds, watched = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", str(pid))
    if watched != str(pid) or not _USEC.fullmatch(microseconds):
        return None
    return int(microseconds) / 1e6 or None


def _line(text: str) -> str:
    """One line: a line break would begin an assignment of its own."""
    return " ".join(text.split())
