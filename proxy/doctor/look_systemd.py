"""Looks at the service of systemd, where there is one: its unit files, and what `systemctl show` says of them."""

from __future__ import annotations

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
    """The system's unit, else the user's own."""
    is_system = any((folder / NAME).exists() for folder in _SYSTEM)
    is_user = (user_config(env).parents[1] / "systemd" / "user" / NAME).exists()
    seen = UnitSeen(_RUNS.is_dir(), is_system or is_user, is_user=not is_system)
    if not seen.exists or not seen.manager_runs:
        return seen
    try:
        return UnitSeen(True, True, not is_system, _shown(NAME, seen.is_user), _shown(_SOCKET, seen.is_user))
    except subprocess.TimeoutExpired:
        return UnitSeen(True, True, trouble=f"nothing within {_SECONDS:.0f} s")
    except (OSError, subprocess.CalledProcessError) as error:
        return UnitSeen(
            True, True, trouble=getattr(error, "strerror", "") or f"status {getattr(error, 'returncode', 1)}"
        )


def _shown(unit: str, is_user: bool) -> dict[str, str]:
    command = ["systemctl", *(["--user"] if is_user else []), "show", f"--property={_PROPERTIES}", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}
