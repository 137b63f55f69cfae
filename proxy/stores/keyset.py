"""Keys of the configuration and of the store side by side, as the values that calls are judged by."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.build_money import budgets_for, limits_for
from proxy.config.terms import budgets_of, limits_of
from proxy.config.use_cases import sharing_of
from proxy.policy.money.budgets import Budget, Limit, key_scope
from proxy.policy.sharing import Sharing
from proxy.policy.tenants import Accounts, new_owner
from proxy.policy.values import Caller, Lossy, Settings
from proxy.stores.keys import StoredKey
from proxy.stores.mark import is_marked
from proxy.stores.secrets.hash_key import keyed_hash

if TYPE_CHECKING:
    from proxy.config.new_key import KeyChangesSection, NewKeySection, TermsSection

SECRET_PREFIX = "sk-tk-"
_SECRET_BYTES = 32
_MARK_BYTES = 8  # of owners


class KeySet(Struct, frozen=True):
    """Who may call, and what bounds them. `is_open`: everybody may, for there never was a key, or `open: true` says so.

    `is_lost`: there were keys, and neither the configuration nor the store knows of any. `clashes` are names that the configuration and the store both have; the configuration's counts. `unreadable` are keys of the store whose
    terms make no sense, or whose tenant is not there; they are refused.
    """

    callers: tuple[Caller, ...]
    budgets: tuple[Budget, ...]
    limits: tuple[Limit, ...]
    is_open: bool
    clashes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    is_lost: bool = False

    @property
    def each(self) -> tuple[Caller, ...]:
        """Every caller once, by the newest of its secrets."""
        found: dict[str, Caller] = {}
        for caller in self.callers:
            found.setdefault(caller.name, caller)
        return tuple(found.values())


def key_set(settings: Settings, stored: Iterable[StoredKey]) -> KeySet:
    """All keys in force. Where there was ever one, the last one revoked does not open the door to everybody."""
    taken = {caller.name for caller in settings.callers}
    everything, now_ms = list(stored), int(time.time() * 1000)
    living = [key for key in everything if key.revoked_ms is None]
    own = [key for key in living if key.name not in taken]
    accounts = Accounts(settings.providers, settings.tenants)
    callers = [accounts.resolved(caller) for caller in settings.callers]
    budgets, limits = list(settings.money.budgets), list(settings.money.limits)
    unreadable = []
    for key in own:
        scope = key_scope(key.name)
        about = key.name, key.models, b"", key.expires_ms, key.key_hmac, key.timing
        caller = Caller(*about, tenant=key.tenant, lossy=_lossy(key), uid=key.uid, owner=key.owner)
        try:
            caller = replace(caller, sharing=_sharing_of(key))
            its_budgets, its_limits = budgets_of(key.budgets), limits_of(key.limits)
            callers.append(accounts.resolved(caller))
        except (ValueError, KeyError):  # no bound is worse than no key; nor is there one without its tenant
            unreadable.append(key.name)
            continue
        budgets += budgets_for(scope, its_budgets, settings.money.zone, settings.money.alerts)
        limits += limits_for(scope, its_limits)
    callers += _with_former_secrets(callers, [key for key in everything if (key.revoked_ms or 0) > now_ms])
    was_keyed = bool(everything) or is_marked(settings)
    return KeySet(
        callers=tuple(callers),
        budgets=tuple(budgets),
        limits=tuple(limits),
        is_open=not callers and (settings.open or not was_keyed),
        clashes=tuple(key.name for key in living if key.name in taken),
        unreadable=tuple(unreadable),
        names=frozenset(caller.name for caller in callers),
        is_lost=was_keyed and not callers and not everything,
    )


def _lossy(key: StoredKey) -> Lossy | None:
    return next((word for word in get_args(Lossy) if word == key.lossy), None)


def _with_former_secrets(callers: Iterable[Caller], former: Iterable[StoredKey]) -> list[Caller]:
    """The same callers by secrets they had before, each as long as it goes on."""
    by_name = {caller.name: caller for caller in callers if caller.key_hmac}
    found = []
    for key in former:
        if (caller := by_name.get(key.name)) is not None:
            ends = [end for end in (key.revoked_ms, caller.expires_ms) if end is not None]
            found.append(replace(caller, key_hmac=key.key_hmac, expires_ms=min(ends)))
    return found


def new_secret(key: bytes) -> tuple[str, bytes]:
    """A secret, and what is kept of it; `key` is that of the hashes."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    return secret, keyed_hash(key, secret)


def make_key(asked: NewKeySection, now_ms: int, key: bytes) -> tuple[StoredKey, str]:
    """A key to be stored, and its secret, which is nowhere else; `key` is that of the hashes."""
    secret, key_hmac = new_secret(key)
    owner = new_owner(str(asked.name), secrets.token_hex(_MARK_BYTES))
    return StoredKey(**_kept(asked), key_hmac=key_hmac, created_ms=now_ms, owner=owner), secret


def changes_of(asked: KeyChangesSection) -> dict[str, Any]:
    """What is to be different of a stored key: the fields that were given."""
    return {name: value for name, value in _kept(asked).items() if name in asked.model_fields_set}


def _kept(asked: TermsSection) -> dict[str, Any]:
    """The fields of a stored key that somebody asked for."""
    return {
        "name": asked.name,
        "models": tuple(asked.models),
        "limits": _text([term.model_dump(mode="json", exclude_defaults=True) for term in asked.limits]),
        "budgets": _text(
            [term.model_dump(mode="json", exclude_defaults=True, by_alias=True) for term in asked.budgets]
        ),
        "expires_ms": asked.expires_ms or None,
        "timing": asked.timing,
        "tenant": asked.tenant or "",
        "lossy": asked.lossy or "",
        "uid": asked.uid,
        "coalesce": "" if asked.coalesce is None else _text(asked.coalesce),
        "cache": "" if asked.cache is None else _text(asked.cache.model_dump(mode="json")),
    }


def _sharing_of(key: StoredKey) -> Sharing | None:
    if not (key.coalesce or key.cache):
        return None
    said = {
        name: msgspec.json.decode(text or "null") for name, text in (("coalesce", key.coalesce), ("cache", key.cache))
    }
    from proxy.config.models_sharing import SharingSection  # only where a key says something of it

    return sharing_of(f"keys.{key.name}", SharingSection.model_validate(said))


def _text(terms: object) -> str:
    return msgspec.json.encode(terms).decode()
