"""What becomes of stored keys, said alike by a running daemon and on a stopped one's files."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from proxy.config.problems import suggestion
from proxy.policy.values import Caller, Settings
from proxy.stores.keys import StoredKey, key_terms
from proxy.stores.keyset import KeySet
from proxy.web.operator.access.actor import Work, written
from proxy.web.operator.admin_api import Declined, InFile, Unknown, instant
from proxy.web.operator.answers import KeyChangedAnswer, KeyMadeAnswer, KeyRotatedAnswer

if TYPE_CHECKING:
    from proxy.config.new_key import KeyChangesSection, TermsSection


_LATE_SECONDS = 60.0  # that somebody's clock may be ahead


class RotateAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """`key` is a name; its present secret goes on for `grace_seconds`."""

    key: str
    grace_seconds: Annotated[float, Meta(ge=0, le=366 * 86_400)] = 0

    def times_ms(self, now: float) -> tuple[int, int]:
        """Now, and when the present secret ends."""
        return int(now * 1000), int((now + self.grace_seconds) * 1000)


def key_work(verb: str, name: str, work: Work, heir: str | None = None) -> Work:
    """The same work on a stored key, written down in its transaction; `heir` is what the key is called from then on."""
    return written(
        work, f"key.{verb}", f"keys.{name}", lambda store: key_terms(store, name) or (heir and key_terms(store, heir))
    )


def made(key: StoredKey, secret: str, *, was_open: bool) -> KeyMadeAnswer:
    """The answer that holds the secret, this once; `was_open`: until now everybody might call."""
    return KeyMadeAnswer(key.name, secret, sha256_of(secret), was_open)


def changed(name: str, asked: KeyChangesSection, carried: list[str]) -> KeyChangedAnswer:
    """What is so now; `carried` are the budgets that go on with what it has spent."""
    given = asked.model_dump(mode="json", exclude_unset=True)
    words = ["expires" if field == "expires_ms" else field for field in given]
    return KeyChangedAnswer(asked.name or name, sorted(words), carried)


def rotated(ask: RotateAsk, secret: str, times_ms: tuple[int, int]) -> KeyRotatedAnswer:
    """The answer that holds the new secret, this once."""
    at_ms, until_ms = times_ms
    return KeyRotatedAnswer(ask.key, secret, sha256_of(secret), instant(until_ms) if until_ms > at_ms else None)


def sha256_of(secret: str) -> str:
    """As `key_hash:` takes it."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def no_such_key(name: str, known: Iterable[Caller]) -> Unknown:
    """For a name that no key of the store has; `known` are those that whoever asks may know of."""
    near = suggestion(name, [caller.name for caller in known])
    return Unknown(f"there is no key named {name!r} in the store{near}; `tollkeeper keys list` names them")


def refuse_terms(settings: Settings, keys: KeySet, name: str, asked: TermsSection) -> None:
    """What a key of this name cannot be."""
    if asked.name is not None:
        _refuse_taken(settings, asked.name)
    if asked.expires_ms and asked.expires_ms < 1000 * (time.time() - _LATE_SECONDS):
        raise Declined("expires_ms: is over already; it counts milliseconds since 1970 in UTC, and 0 is never")
    _refuse_stray(settings, asked.tenant)
    if asked.uid is not None:
        _refuse_user(settings, [caller for caller in keys.each if caller.name != name], asked.uid)


def _refuse_user(settings: Settings, others: list[Caller], uid: int) -> None:
    """Every user of this machine is one key, and known over a Unix socket only."""
    if settings.listen.socket is None:
        raise Declined("a uid counts on a Unix socket only, and `listen: socket:` is not set: it would let nobody in")
    if (other := next((caller.name for caller in others if caller.uid == uid), None)) is not None:
        raise Declined(f"the user {uid} is the key {other!r} already; every user is one key")


def _refuse_taken(settings: Settings, name: str) -> None:
    """A key of the configuration would win over a new one of its name."""
    if name in {caller.name for caller in settings.callers}:
        raise InFile(f"the configuration has a key named {name!r} already; choose another name")


def refuse_loss(before: KeySet, after: KeySet) -> None:
    """A configuration that closes the door to everybody, or takes the tenant of a stored key away, is not taken on."""
    if before.callers and not after.callers and not after.is_open:
        raise Declined("no client key would be left; where everybody may call from now on, write `open: true`")
    if strays := set(after.unreadable) - set(before.unreadable):
        names = ", ".join(sorted(strays)[:5])
        raise Declined(f"stored keys would be left without their tenant: {names}; give them another, or revoke them")


def _refuse_stray(settings: Settings, tenant: str | None) -> None:
    """A key's tenant must be there."""
    if tenant and tenant not in settings.tenants:
        raise Declined(
            f"there is no tenant {tenant!r}{suggestion(tenant, settings.tenants)}; `tollkeeper tenants list` names them"
        )


def refuse_configured(settings: Settings, name: str) -> None:
    """A key of the configuration is changed or removed there."""
    if name in {caller.name for caller in settings.callers}:
        raise InFile(f"the key {name!r} stands in the configuration; change it there, and reload")
