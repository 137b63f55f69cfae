"""Another master key for what is stored: the new one first, every data key wrapped anew, the old ones taken out later.

The file is written before the ledger, and the ledger in one transaction: whenever it is killed, every data key opens with
a key that is there, and the next rotation goes on from where this one ended.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proxy.stores.database import connect, raw
from proxy.stores.failures import StoreError
from proxy.stores.secrets.master_keys import MasterKeys, MasterKeysUnusable, new_key
from proxy.stores.secrets.sealing import Sealer, sealed_under
from proxy.stores.settings import DataKey, data_keys, keep_data_key, setting_history

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOST_NAMED = 5
_LONGEST_HEAD = 4096  # of a result's file
_JOBS = ("SELECT sealed_key FROM files", "SELECT sealed FROM secrets")


class RotationRefused(StoreError):
    """Nothing was changed; the message says why not and what to do."""


class Use(Struct, frozen=True):
    """What a data key seals: stored entries, their older versions among them, and how many things of clients'."""

    entries: tuple[str, ...] = ()
    files: int = 0

    def in_words(self) -> str:
        """Some of them, and how many more there are."""
        more = len(self.entries) - _MOST_NAMED
        told = [*self.entries[:_MOST_NAMED], *([f"{more} more entries"] if more > 0 else [])]
        told += [f"{self.files} kept for clients"] if self.files else []
        return ", ".join(told) or "nothing that is still there"


class Rotated(Struct, frozen=True):
    """`label` is active. `is_new`: it was made now; `wrapped` data keys hang on it now that did not before. `unreadable`:
    why each of the others could not be wrapped."""

    label: str
    is_new: bool
    wrapped: tuple[DataKey, ...]
    unreadable: tuple[str, ...]


def uses(driver: sqlite3.Connection, state_dir: Path) -> dict[str, Use]:
    """What each data key seals, by its id. Raises `StoreError` where that cannot be read."""
    entries: dict[str, dict[str, None]] = {}
    for setting in reversed(setting_history(driver)):
        for identity in _named_in(setting.value):
            entries.setdefault(identity, {})[f"{setting.section}.{setting.name}"] = None
    files: dict[str, int] = {}
    for sealed in _of_clients(state_dir):
        identity = sealed_under(sealed)
        files[identity] = files.get(identity, 0) + 1
    return {each: Use(tuple(entries.get(each, ())), files.get(each, 0)) for each in (*entries, *files)}


def rotate(connection: Connection, masters: MasterKeys, now: float, *, is_rehearsal: bool = False) -> Rotated:
    """Put a new master key first, and every data key under it; or only the latter, where the first one does not have them
    all yet. Raises `RotationRefused`, `MasterKeysUnusable`."""
    if masters.trouble:
        raise MasterKeysUnusable(masters.trouble)
    keys = data_keys(raw(connection))
    sealer = Sealer(masters, keys)
    problems = {key.id: sealer.check(key) for key in keys}
    readable = [key for key in keys if not problems[key.id]]
    is_unfinished = any(key.label != masters.active for key in readable)
    if not masters.keys or (keys and not readable):
        raise RotationRefused(_nothing_to_wrap(masters, problems))
    if not is_unfinished:
        _put_first(masters, now, is_rehearsal=is_rehearsal)
    late = [key for key in readable if key.label != masters.active]
    if not is_rehearsal:
        for key in late:
            keep_data_key(connection, sealer.rewrapped(key))
    return Rotated(masters.active, not is_unfinished, tuple(late), tuple(why for why in problems.values() if why))


def prune(connection: Connection, masters: MasterKeys, state_dir: Path, *, is_rehearsal: bool = False) -> list[str]:
    """Take out every master key but the first; their labels. Raises `RotationRefused` while anything needs one of them."""
    if masters.trouble:
        raise MasterKeysUnusable(masters.trouble)
    driver = raw(connection)
    keys = data_keys(driver)
    old, sealer = list(masters.keys)[1:], Sealer(masters, keys)
    if needed := [key for key in keys if key.label in old and not sealer.check(key)]:
        raise RotationRefused(_still_needed(needed, uses(driver, state_dir)))
    if old and not is_rehearsal:
        _without(masters, old)
    return old


def _put_first(masters: MasterKeys, now: float, *, is_rehearsal: bool) -> None:
    label, key = new_key(masters.keys, now)
    wanted = {label: key, **masters.keys}
    if is_rehearsal:
        masters.keys = wanted
        return
    try:
        masters.write(wanted)
    except MasterKeysUnusable as error:
        how = f"""printf '{label}:%s\\n' "$(openssl rand -base64 32)\""""
        raise RotationRefused(
            f"{error}. Put a new line first there, as `{how}` makes one, and leave the others; restart the daemon, and "
            "type `tollkeeper secrets rotate` again"
        ) from None


def _without(masters: MasterKeys, old: Iterable[str]) -> None:
    try:
        masters.write({masters.active: masters.keys[masters.active]})
    except MasterKeysUnusable as error:
        raise RotationRefused(
            f"{error}. Nothing needs {_and(old)} any more: take {'it' if len(list(old)) == 1 else 'them'} out there"
        ) from None


def _nothing_to_wrap(masters: MasterKeys, problems: dict[str, str]) -> str:
    if problems:
        return f"nothing that is stored can be opened: {next(iter(problems.values()))}"
    return f"there is no master key in {masters.source} yet; the first start of the daemon, or the first secret that is stored, makes one"


def _still_needed(needed: Iterable[DataKey], used: dict[str, Use]) -> str:
    told = [
        f"{key.label} opens the data key {key.id} of {key.tenant or 'everybody'} ({used.get(key.id, Use()).in_words()})"
        for key in needed
    ]
    return f"{'; '.join(told[:_MOST_NAMED])}. Type `tollkeeper secrets rotate` first"


def _and(labels: Iterable[str]) -> str:
    *most, last = labels
    return f"{', '.join(most)} and {last}" if most else last


def _named_in(value: Any) -> Iterable[str]:
    """The data keys of what is sealed in a stored value."""
    if isinstance(value, dict):
        if value.keys() == {"sealed"}:
            yield sealed_under(value["sealed"])
            return
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _named_in(item)


def _of_clients(state_dir: Path) -> Iterable[str]:
    """What is sealed beside the ledger: the keys of files that clients sent and got."""
    yield from _of_results(state_dir / "results")
    jobs = state_dir / "jobs" / "jobs.db"
    if not jobs.exists():
        return
    driver = connect(jobs, "ro")
    try:
        for question in _JOBS:
            yield from (sealed for (sealed,) in driver.execute(question))
    except sqlite3.Error as error:
        raise RotationRefused(f"{jobs} cannot be read ({error})") from None
    finally:
        driver.close()


def _of_results(folder: Path) -> Iterable[str]:
    """The sealed keys in the heads of kept results."""
    for path in folder.iterdir() if folder.exists() else ():
        try:
            with path.open("rb") as file:
                yield str(json.loads(file.readline(_LONGEST_HEAD))["sealed"])
        except (OSError, ValueError, KeyError):
            continue  # gone by now, or nothing of ours
