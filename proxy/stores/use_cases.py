"""What entries of `models:` have said so far: for the start, a reload, and `tollkeeper models diff`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from proxy.config.use_cases import KeptVersion, has_use_cases, numbered
from proxy.policy.values import Settings
from proxy.stores.database import reading
from proxy.stores.failures import StoreError
from proxy.stores.ledger import known

# what another start finds before it brings the tables up to date
_KNOW_VERSIONS = known.REVISIONS[known.REVISIONS.index("0011") :]
_COLUMNS = "name, number, digest, content, at_ms"


def numbered_in(driver: sqlite3.Connection, settings: Settings, at_ms: int) -> Settings:
    """The settings with the numbers their use cases have; those without one get theirs now, first in force at `at_ms`."""
    found, fresh = numbered(settings, _read(driver))
    rows = [(version.name, version.number, version.digest, version.content.decode(), at_ms) for version in fresh]
    driver.executemany(f"INSERT INTO use_case_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608
    return found


def numbered_from(ledger: Path, settings: Settings) -> Settings:
    """The same from the file of a daemon that does not run, changing nothing; one that cannot be read has no numbers."""
    kept = kept_versions(ledger) if has_use_cases(settings) else None
    return settings if kept is None else numbered(settings, kept)[0]


def kept_versions(ledger: Path) -> list[KeptVersion] | None:
    """All that is kept, by name and number; None where the ledger cannot be read now."""
    try:
        if not ledger.exists():
            return []
        with reading(ledger) as driver:
            return _read(driver) if known.revision_of(driver, ledger) in _KNOW_VERSIONS else []
    except StoreError:
        return None


def _read(driver: sqlite3.Connection) -> list[KeptVersion]:
    rows = driver.execute(f"SELECT {_COLUMNS} FROM use_case_versions ORDER BY name, number")  # noqa: S608
    return [KeptVersion(name, number, digest, content.encode(), at_ms) for name, number, digest, content, at_ms in rows]
