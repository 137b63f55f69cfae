"""Looks at the service of systemd, where there is one: its unit files, and what `systemctl show` says of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from proxy.config.discover import user_config
from proxy.doctor.seen import UnitSeen

NAME = "tollkeeper.service"
_SOCKET = "tollkeeper.socket"
_RUNS = Path("/run/systemd/system")  # there where systemd is process 1 (sd_booted(3))
_SYSTEM = tuple(
    map(Path, ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"))
)
_PROPERTIES = "LoadState,UnitFileState,ActiveState,Result,NRestarts"
_SECONDS = 5.0


def look_at_unit(env: Mapping[str, str]) -> UnitSeen:
    """The system's unit, else the user's own. Where systemd does not run there are only files to look for."""
    of_user = os.path.exists(user_config(env).parents[1] / "systemd" / "user" / NAME)
    if not _RUNS.is_dir():
        return UnitSeen(False, of_user or any((folder / NAME).exists() for folder in _SYSTEM))
    try:
        service = _shown(NAME)
        is_user = service.get("LoadState") == "not-found" and of_user
        if is_user:
            service = _shown(NAME, "--user")
        socket = _shown(_SOCKET, *(["--user"] if is_user else []))
    except subprocess.TimeoutExpired:
        return UnitSeen(True, trouble=f"nothing within {_SECONDS:.0f} s")
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "strerror", None) or f"status {getattr(error, 'returncode', 1)}"
        return UnitSeen(True, trouble=reason)
    return UnitSeen(True, service.get("LoadState") != "not-found", is_user, service, socket)


def _shown(unit: str, *manager: str) -> dict[str, str]:
    command = ["systemctl", *manager, "show", f"--property={_PROPERTIES}", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}
